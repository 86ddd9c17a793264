//! Owns backup blobs: JSON under base64url. Not encrypted, since the keys of a simulator protect nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::key::{Bundle, KEY_OPS, KeyType, KeyVersion, View};
use super::{NamedKey, Phase, Vault};
use crate::clock::Moment;
use crate::failure::{Failure, FailureKind};
use crate::material::{Curve, Material};
use crate::members::{Members, base64url, from_base64url};

#[derive(Debug, Serialize, Deserialize)]
struct Blob {
    vault_sim_backup: u32,
    /// A vault and an HSM do not take each other's backups.
    #[serde(default)]
    of_hsm: bool,
    name: String,
    current: String,
    versions: Vec<SavedVersion>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedVersion {
    version: String,
    kty: String,
    crv: String,
    d: String,
    x: String,
    y: String,
    key_ops: Vec<String>,
    enabled: bool,
    nbf: Option<i64>,
    exp: Option<i64>,
    created: i64,
    updated: i64,
    tags: Option<BTreeMap<String, String>>,
}

/// The answer of a backup.
#[derive(Debug, Serialize)]
pub struct BackupAnswer {
    value: String,
}

fn save(version: &KeyVersion) -> Option<SavedVersion> {
    let (x, y) = version.material.coordinates();
    Some(SavedVersion {
        version: version.version.clone(),
        kty: version.key_type.name().to_owned(),
        crv: version.curve().name().to_owned(),
        d: base64url(&version.material.secret().ok()?),
        x: base64url(x),
        y: base64url(y),
        key_ops: version.ops.iter().map(|op| (*op).to_owned()).collect(),
        enabled: version.enabled,
        nbf: version.not_before,
        exp: version.expires,
        created: version.created,
        updated: version.updated,
        tags: version.tags.clone(),
    })
}

fn load(saved: SavedVersion) -> Option<KeyVersion> {
    let (d, x, y) = (from_base64url(&saved.d)?, from_base64url(&saved.x)?, from_base64url(&saved.y)?);
    let material = Material::import(Curve::by_name(&saved.crv)?, &d, &x, &y).ok()?;
    let ops = saved.key_ops.iter().map(|op| KEY_OPS.into_iter().find(|known| known == op));
    Some(KeyVersion {
        version: saved.version,
        key_type: KeyType::by_name(&saved.kty)?,
        material: Arc::new(material),
        ops: ops.collect::<Option<_>>()?,
        enabled: saved.enabled,
        not_before: saved.nbf,
        expires: saved.exp,
        created: saved.created,
        updated: saved.updated,
        exportable: false,
        tags: saved.tags,
    })
}

impl Vault {
    pub fn backup(&self, name: &str, view: View<'_>) -> Result<BackupAnswer, Failure> {
        let (key, _) = self.found(view.origin, name, None)?;
        let versions: Option<Vec<SavedVersion>> = key.versions.values().map(save).collect();
        let blob = versions.map(|versions| Blob {
            vault_sim_backup: 1,
            of_hsm: view.profile.is_hsm(),
            name: key.name.clone(),
            current: key.current.clone(),
            versions,
        });
        let bytes = blob.and_then(|blob| serde_json::to_vec(&blob).ok());
        let bytes =
            bytes.ok_or_else(|| Failure::new(FailureKind::InternalError, "The key cannot be saved."))?;
        Ok(BackupAnswer { value: base64url(&bytes) })
    }

    pub fn restore(&mut self, members: &Members, view: View<'_>, now: Moment) -> Result<Bundle, Failure> {
        let foreign = || Failure::bad_parameter("Property value is no backup of this simulator.");
        let blob: Blob = serde_json::from_slice(&members.bytes("value")?).map_err(|_source| foreign())?;
        if blob.of_hsm != view.profile.is_hsm() {
            return Err(foreign());
        }
        self.may_take_name(&blob.name, now)?;
        self.has_room(&blob.name, blob.versions.len(), view)?;
        if self.keys.contains_key(&blob.name.to_ascii_lowercase()) {
            return Err(Failure::conflict(None, "There is a key of this name already."));
        }
        let versions: Option<Vec<KeyVersion>> = blob.versions.into_iter().map(load).collect();
        let versions = versions.ok_or_else(foreign)?;
        let key = NamedKey {
            name: blob.name,
            versions: versions.into_iter().map(|version| (version.version.clone(), version)).collect(),
            current: blob.current,
            policy: None,
            phase: Phase::Active,
        };
        let bundle = key.version(None).ok_or_else(foreign)?.bundle(&key.name, view);
        self.keys.insert(key.name.to_ascii_lowercase(), key);
        Ok(bundle)
    }
}
