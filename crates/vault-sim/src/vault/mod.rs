//! Owns a vault's keys and what becomes of them: making, changing, soft delete with its delays. No HTTP, no limits, no access.

mod backup;
pub mod key;
mod lifecycle;
mod listing;
pub mod rotation;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::failure::{ConflictCode, Failure, FailureKind};
use crate::material::{Curve, Material};
use crate::members::{Members, from_base64url};
use crate::meter::Pool;
use crate::profile::{MOST_HSM_KEYS, MOST_HSM_VERSIONS, Profile};
use crate::random::{hex, unpredictable};
use key::{AttributeChange, Bundle, KeyType, KeyVersion, Recovery, View, key_ops};
use rotation::{PolicyAnswer, RotationPolicy};

/// How the vaults are set.
#[derive(Debug, Clone)]
pub struct VaultConfig {
    /// A Premium vault takes `EC-HSM`.
    pub premium: bool,
    /// 7 to 90.
    pub retention_days: u32,
    /// Deleted keys cannot be purged.
    pub purge_protection: bool,
    /// How long deletes, recoveries and purges take to be seen.
    pub consistency: Duration,
    /// Granted on `nbf` and `exp`.
    pub leeway_seconds: i64,
}

impl Default for VaultConfig {
    fn default() -> Self {
        Self {
            premium: true,
            retention_days: 90,
            purge_protection: false,
            consistency: Duration::from_secs(4),
            leeway_seconds: 0,
        }
    }
}

impl VaultConfig {
    pub(crate) fn recovery(&self) -> Recovery {
        Recovery { retention_days: self.retention_days, purge_protection: self.purge_protection }
    }
}

/// What a key is going through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Active,
    /// Deleted at, and from when that can be seen.
    Deleted {
        at: Moment,
        seen: Moment,
    },
    /// Comes back at.
    Recovering {
        done: Moment,
    },
    /// Is gone for good at.
    Purging {
        done: Moment,
    },
}

/// All versions under one name.
#[derive(Debug, Clone)]
struct NamedKey {
    /// As written when it was made.
    name: String,
    /// By version string, which is also the order of lists.
    versions: BTreeMap<String, KeyVersion>,
    current: String,
    policy: Option<RotationPolicy>,
    phase: Phase,
}

impl NamedKey {
    fn version(&self, version: Option<&str>) -> Option<&KeyVersion> {
        self.versions.get(version.unwrap_or(&self.current))
    }
}

/// The keys of one vault. Names are told apart without case.
#[derive(Debug, Default)]
pub struct Vault {
    keys: BTreeMap<String, NamedKey>,
    /// When the next delete, recovery or purge comes to its end.
    next_change: Option<Moment>,
}

/// What signing needs, taken out so that nobody waits while it is done.
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// Always versioned.
    pub kid: String,
    pub material: Arc<Material>,
}

fn new_version() -> String {
    hex(&unpredictable::<16>())
}

fn refuse_type(name: &str) -> Failure {
    match name {
        "RSA" | "RSA-HSM" | "oct" | "oct-HSM" => {
            Failure::bad_parameter(format!("Property kty: {name} keys are not simulated."))
        }
        _ => Failure::bad_parameter("Property kty has an unknown value."),
    }
}

fn key_type(members: &Members, config: &VaultConfig, profile: Profile) -> Result<KeyType, Failure> {
    let Some(name) = members.text("kty")?.filter(|name| !name.is_empty()) else {
        return Err(Failure::bad_parameter("Property kty is required."));
    };
    match KeyType::by_name(name) {
        // An HSM has no other keys, whatever was asked for.
        Some(_) if profile.is_hsm() => Ok(KeyType::EcHsm),
        Some(KeyType::EcHsm) if !config.premium => {
            Err(Failure::bad_parameter("Property kty: a Standard vault has no HSM-protected keys."))
        }
        Some(key_type) => Ok(key_type),
        None => Err(refuse_type(name)),
    }
}

fn curve(members: &Members) -> Result<Curve, Failure> {
    // The service's default, for an empty name as for none.
    let name = members.text("crv")?.filter(|name| !name.is_empty()).unwrap_or("P-256");
    Curve::by_name(name).ok_or_else(|| Failure::bad_parameter("Property crv has an unknown value."))
}

fn no_material() -> Failure {
    Failure::new(FailureKind::InternalError, "No key could be made.")
}

impl Vault {
    /// Under which limits an operation on this key counts.
    pub fn pool(&self, name: &str, version: Option<&str>) -> Pool {
        let key = self.keys.get(&name.to_ascii_lowercase());
        key.and_then(|key| key.version(version)).map_or(Pool::None, |key| key.key_type.pool())
    }

    /// `kty`, for the audit log.
    pub fn type_name(&self, name: &str, version: Option<&str>) -> Option<&'static str> {
        self.keys.get(&name.to_ascii_lowercase())?.version(version).map(|key| key.key_type.name())
    }

    /// On which curve a key is.
    pub fn curve(&self, name: &str, version: Option<&str>) -> Option<Curve> {
        self.keys.get(&name.to_ascii_lowercase())?.version(version).map(KeyVersion::curve)
    }

    /// How many keys it has, deleted ones included.
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    fn active(&self, name: &str) -> Option<&NamedKey> {
        self.keys.get(&name.to_ascii_lowercase()).filter(|key| key.phase == Phase::Active)
    }

    fn found(
        &self,
        origin: &str,
        name: &str,
        version: Option<&str>,
    ) -> Result<(&NamedKey, &KeyVersion), Failure> {
        let missing = || Failure::key_not_found(&key_id(origin, name, version));
        let key = self.active(name).ok_or_else(missing)?;
        Ok((key, key.version(version).ok_or_else(missing)?))
    }

    /// Makes a key, or a new current version of it.
    pub fn create(
        &mut self,
        name: &str,
        members: &Members,
        config: &VaultConfig,
        view: View<'_>,
        now: Moment,
    ) -> Result<Bundle, Failure> {
        let key_type = key_type(members, config, view.profile)?;
        let material = Material::generate(curve(members)?).map_err(|_refused| no_material())?;
        self.add(name, members, members, key_type, material, view, now)
    }

    /// Takes a key that was made elsewhere.
    pub fn import(
        &mut self,
        name: &str,
        members: &Members,
        config: &VaultConfig,
        view: View<'_>,
        now: Moment,
    ) -> Result<Bundle, Failure> {
        let Some(web_key) = members.object("key")? else {
            return Err(Failure::bad_parameter("Property key is required."));
        };
        let mut key_type = key_type(&web_key, config, view.profile)?;
        if members.flag("Hsm")?.or(members.flag("hsm")?) == Some(true) {
            key_type = KeyType::EcHsm;
        }
        if key_type == KeyType::EcHsm && !config.premium && !view.profile.is_hsm() {
            return Err(refuse_type("EC-HSM"));
        }
        let curve = curve(&web_key)?;
        let material =
            Material::import(curve, &web_key.bytes("d")?, &web_key.bytes("x")?, &web_key.bytes("y")?)
                .map_err(|_refused| {
                    Failure::bad_parameter("Property key: d, x and y are no key of the curve.")
                })?;
        self.add(name, members, &web_key, key_type, material, view, now)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of two different request shapes")]
    fn add(
        &mut self,
        name: &str,
        members: &Members,
        with_ops: &Members,
        key_type: KeyType,
        material: Material,
        view: View<'_>,
        now: Moment,
    ) -> Result<Bundle, Failure> {
        let seconds = now.seconds();
        let change = AttributeChange::parse(members)?;
        let mut version = KeyVersion {
            version: new_version(),
            key_type,
            material: Arc::new(material),
            ops: key_ops(with_ops, view.profile)?.unwrap_or_else(|| view.profile.default_key_ops()),
            enabled: true,
            not_before: None,
            expires: None,
            created: seconds,
            updated: seconds,
            exportable: change.exportable.unwrap_or(false),
            tags: members.tags()?,
        };
        version.apply(change)?;
        self.may_take_name(name, now)?;
        self.has_room(name, 1, view)?;
        let bundle = |key: &NamedKey| version.bundle(&key.name, view);
        let key = self.keys.entry(name.to_ascii_lowercase()).or_insert_with(|| NamedKey {
            name: name.to_owned(),
            versions: BTreeMap::new(),
            current: String::new(),
            policy: None,
            phase: Phase::Active,
        });
        let answer = bundle(key);
        key.current.clone_from(&version.version);
        key.versions.insert(version.version.clone(), version);
        Ok(answer)
    }

    /// Refuses a name whose soft-deleted owner is not gone.
    fn may_take_name(&self, name: &str, now: Moment) -> Result<(), Failure> {
        let inner = match self.keys.get(&name.to_ascii_lowercase()).map(|key| key.phase) {
            None | Some(Phase::Active) => return Ok(()),
            Some(Phase::Deleted { seen, .. }) if now < seen => ConflictCode::ObjectIsBeingDeleted,
            Some(Phase::Deleted { .. }) => ConflictCode::ObjectIsDeletedButRecoverable,
            Some(Phase::Recovering { .. }) => ConflictCode::ObjectIsBeingRecovered,
            Some(Phase::Purging { .. }) => ConflictCode::ObjectIsBeingDeleted,
        };
        let message =
            format!("The name {name} belongs to a key that is deleted, being deleted or being recovered.");
        Err(Failure::conflict(Some(inner), message))
    }

    /// An HSM holds so many keys, and so many versions of each.
    fn has_room(&self, name: &str, more: usize, view: View<'_>) -> Result<(), Failure> {
        let full = |what: &str, most: usize| {
            Failure::new(FailureKind::Forbidden(None), format!("This HSM holds at most {most} {what}."))
        };
        let key = self.keys.get(&name.to_ascii_lowercase());
        let versions = key.map_or(0, |key| key.versions.len()).saturating_add(more);
        match view.profile {
            Profile::Vault => Ok(()),
            Profile::ManagedHsm if key.is_none() && self.keys.len() >= MOST_HSM_KEYS => {
                Err(full("keys", MOST_HSM_KEYS))
            }
            Profile::ManagedHsm if versions > MOST_HSM_VERSIONS => {
                Err(full("versions of a key", MOST_HSM_VERSIONS))
            }
            Profile::ManagedHsm => Ok(()),
        }
    }

    pub fn get(&self, name: &str, version: Option<&str>, view: View<'_>) -> Result<Bundle, Failure> {
        let (key, version) = self.found(view.origin, name, version)?;
        Ok(version.bundle(&key.name, view))
    }

    pub fn update(
        &mut self,
        name: &str,
        version: Option<&str>,
        members: &Members,
        view: View<'_>,
        now: Moment,
    ) -> Result<Bundle, Failure> {
        let change = AttributeChange::parse(members)?;
        let (ops, tags) = (key_ops(members, view.profile)?, members.tags()?);
        let missing = || Failure::key_not_found(&key_id(view.origin, name, version));
        let key = self.keys.get_mut(&name.to_ascii_lowercase()).filter(|key| key.phase == Phase::Active);
        let key = key.ok_or_else(missing)?;
        let wanted = version.unwrap_or(&key.current).to_owned();
        let found = key.versions.get_mut(&wanted).ok_or_else(missing)?;
        found.apply(change)?;
        if let Some(ops) = ops {
            found.ops = ops;
        }
        if tags.is_some() {
            found.tags = tags;
        }
        found.updated = now.seconds();
        Ok(found.bundle(&key.name, view))
    }

    /// Makes a new current version like the one before. Older versions stay as they are.
    pub fn rotate(&mut self, name: &str, view: View<'_>, now: Moment) -> Result<Bundle, Failure> {
        let missing = || Failure::key_not_found(&key_id(view.origin, name, None));
        self.found(view.origin, name, None)?;
        self.has_room(name, 1, view)?;
        let key = self.keys.get_mut(&name.to_ascii_lowercase()).filter(|key| key.phase == Phase::Active);
        let key = key.ok_or_else(missing)?;
        let before = key.version(None).ok_or_else(missing)?;
        let material = Material::generate(before.curve()).map_err(|_refused| no_material())?;
        let version = KeyVersion {
            version: new_version(),
            material: Arc::new(material),
            enabled: true,
            not_before: None,
            expires: key.policy.as_ref().and_then(|policy| policy.expiry_of_new_version(now.seconds())),
            created: now.seconds(),
            updated: now.seconds(),
            ..before.clone()
        };
        let bundle = version.bundle(&key.name, view);
        key.current.clone_from(&version.version);
        key.versions.insert(version.version.clone(), version);
        Ok(bundle)
    }

    pub fn policy(&self, name: &str, origin: &str) -> Result<PolicyAnswer<'_>, Failure> {
        let (key, _) = self.found(origin, name, None)?;
        Ok(RotationPolicy::answer(key.policy.as_ref(), origin, &key.name))
    }

    pub fn set_policy(
        &mut self,
        name: &str,
        members: &Members,
        view: View<'_>,
        now: Moment,
    ) -> Result<PolicyAnswer<'_>, Failure> {
        let View { origin, profile, .. } = view;
        let key = self.keys.get_mut(&name.to_ascii_lowercase()).filter(|key| key.phase == Phase::Active);
        let key = key.ok_or_else(|| Failure::key_not_found(&key_id(origin, name, None)))?;
        key.policy = Some(RotationPolicy::parse(members, key.policy.as_ref(), profile, now.seconds())?);
        Ok(RotationPolicy::answer(key.policy.as_ref(), origin, &key.name))
    }

    /// Whether the key may sign now, and what is needed for it.
    pub fn signing_key(
        &self,
        name: &str,
        version: Option<&str>,
        origin: &str,
        check: impl FnOnce(&KeyVersion) -> Result<(), Failure>,
    ) -> Result<SigningKey, Failure> {
        let (key, version) = self.found(origin, name, version)?;
        check(version)?;
        Ok(SigningKey { kid: version.kid(origin, &key.name), material: Arc::clone(&version.material) })
    }
}

/// The id of a key, as asked for.
pub fn key_id(origin: &str, name: &str, version: Option<&str>) -> String {
    match version {
        Some(version) => format!("{origin}/keys/{name}/{version}"),
        None => format!("{origin}/keys/{name}"),
    }
}

/// A list's place to go on from, out of its opaque token.
fn place_of(token: &str) -> Result<String, Failure> {
    from_base64url(token)
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| Failure::bad_parameter("The $skiptoken is none of this service."))
}
