//! Owns one key version: its attributes, when it may do what, and its JSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::clock::Moment;
use crate::failure::{Failure, ForbiddenCode};
use crate::material::{Curve, Material};
use crate::members::{Members, base64url};
use crate::meter::Pool;
use crate::profile::Profile;

/// `kty` of an elliptic-curve key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    Ec,
    EcHsm,
}

impl KeyType {
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "EC" => Some(Self::Ec),
            "EC-HSM" => Some(Self::EcHsm),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Ec => "EC",
            Self::EcHsm => "EC-HSM",
        }
    }

    /// Which row of the limits it counts under.
    pub fn pool(self) -> Pool {
        match self {
            Self::Ec => Pool::Software,
            Self::EcHsm => Pool::Hsm,
        }
    }

    fn platform(self) -> &'static str {
        match self {
            Self::Ec => "0",
            Self::EcHsm => "2",
        }
    }
}

/// What `key_ops` may hold.
pub const KEY_OPS: [&str; 9] =
    ["sign", "verify", "encrypt", "decrypt", "wrapKey", "unwrapKey", "import", "export", DERIVE];
/// Only an HSM has it.
const DERIVE: &str = "deriveKey";

/// Reads `key_ops`.
pub fn key_ops(members: &Members, profile: Profile) -> Result<Option<Vec<&'static str>>, Failure> {
    let Some(asked) = members.texts("key_ops")? else { return Ok(None) };
    let may_have = KEY_OPS.into_iter().filter(|op| profile.is_hsm() || *op != DERIVE);
    let known: Option<Vec<&'static str>> =
        asked.iter().map(|asked| may_have.clone().find(|known| known == asked)).collect();
    known.map(Some).ok_or_else(|| Failure::bad_parameter("Property key_ops has an unknown operation."))
}

/// What a caller sets in `attributes`; `None` leaves it.
#[derive(Debug, Clone, Copy, Default)]
pub struct AttributeChange {
    pub enabled: Option<bool>,
    pub not_before: Option<i64>,
    pub expires: Option<i64>,
    pub exportable: Option<bool>,
}

impl AttributeChange {
    pub fn parse(members: &Members) -> Result<Self, Failure> {
        let Some(attributes) = members.object("attributes")? else { return Ok(Self::default()) };
        Ok(Self {
            enabled: attributes.flag("enabled")?,
            not_before: attributes.seconds("nbf")?,
            expires: attributes.seconds("exp")?,
            exportable: attributes.flag("exportable")?,
        })
    }
}

/// A version of a key.
#[derive(Debug, Clone)]
pub struct KeyVersion {
    /// 32 lower-case hexadecimal digits.
    pub version: String,
    pub key_type: KeyType,
    pub material: Arc<Material>,
    pub ops: Vec<&'static str>,
    pub enabled: bool,
    pub not_before: Option<i64>,
    pub expires: Option<i64>,
    pub created: i64,
    pub updated: i64,
    pub exportable: bool,
    pub tags: Option<BTreeMap<String, String>>,
}

/// How soft delete is set in this vault.
#[derive(Debug, Clone, Copy)]
pub struct Recovery {
    /// 7 to 90.
    pub retention_days: u32,
    pub purge_protection: bool,
}

impl Recovery {
    fn level(self) -> &'static str {
        match (self.retention_days < 90, self.purge_protection) {
            (true, false) => "CustomizedRecoverable+Purgeable",
            (true, true) => "CustomizedRecoverable",
            (false, false) => "Recoverable+Purgeable",
            (false, true) => "Recoverable",
        }
    }
}

/// What the JSON depends on besides the key.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// `https://` and the host that was asked.
    pub origin: &'a str,
    pub recovery: Recovery,
    /// Newer API versions have `hsmPlatform`.
    pub platform: bool,
    pub profile: Profile,
}

/// `key` of a bundle.
#[derive(Debug, Serialize)]
pub struct WebKey {
    kid: String,
    kty: &'static str,
    key_ops: Vec<&'static str>,
    crv: &'static str,
    x: String,
    y: String,
}

/// `attributes` of a bundle, in the service's order.
#[derive(Debug, Serialize)]
pub struct Attributes {
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    created: i64,
    updated: i64,
    #[serde(rename = "recoveryLevel")]
    recovery_level: &'static str,
    #[serde(rename = "recoverableDays")]
    recoverable_days: u32,
    exportable: bool,
    #[serde(rename = "hsmPlatform", skip_serializing_if = "Option::is_none")]
    hsm_platform: Option<&'static str>,
}

/// What most calls answer.
#[derive(Debug, Serialize)]
pub struct Bundle {
    key: WebKey,
    attributes: Attributes,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<BTreeMap<String, String>>,
}

impl KeyVersion {
    pub fn apply(&mut self, change: AttributeChange) -> Result<(), Failure> {
        let not_before = change.not_before.or(self.not_before);
        let expires = change.expires.or(self.expires);
        if not_before.zip(expires).is_some_and(|(from, to)| from >= to) {
            return Err(Failure::bad_parameter("Property attributes: nbf must be before exp."));
        }
        self.not_before = not_before;
        self.expires = expires;
        self.enabled = change.enabled.unwrap_or(self.enabled);
        Ok(())
    }

    /// Whether it may sign now.
    pub fn may_sign(&self, now: Moment, leeway_seconds: i64, disabled_by_fault: bool) -> Result<(), Failure> {
        if !self.enabled || disabled_by_fault {
            let message = "The operation needs an enabled key; this one is disabled.";
            return Err(Failure::forbidden(ForbiddenCode::KeyDisabled, message));
        }
        self.permits("sign")?;
        let now = now.seconds();
        if self.not_before.is_some_and(|from| now.saturating_add(leeway_seconds) < from) {
            return Err(Failure::forbidden(ForbiddenCode::KeyNotYetValid, "The key is not valid yet (nbf)."));
        }
        if self.expires.is_some_and(|to| now.saturating_sub(leeway_seconds) >= to) {
            return Err(Failure::forbidden(ForbiddenCode::KeyExpired, "The key has expired (exp)."));
        }
        Ok(())
    }

    /// Whether `key_ops` has it. Neither the key's times nor its being disabled matter to `verify`.
    pub fn permits(&self, op: &str) -> Result<(), Failure> {
        if self.ops.contains(&op) {
            return Ok(());
        }
        let message = format!("Operation {op} is not among the key's key_ops.");
        Err(Failure::forbidden(ForbiddenCode::KeyOperationForbidden, message))
    }

    pub fn curve(&self) -> Curve {
        self.material.curve()
    }

    pub fn attributes(&self, view: View<'_>) -> Attributes {
        Attributes {
            enabled: self.enabled,
            nbf: self.not_before,
            exp: self.expires,
            created: self.created,
            updated: self.updated,
            recovery_level: view.recovery.level(),
            recoverable_days: view.recovery.retention_days,
            exportable: self.exportable,
            hsm_platform: view.platform.then(|| self.key_type.platform()),
        }
    }

    pub fn kid(&self, origin: &str, name: &str) -> String {
        format!("{origin}/keys/{name}/{}", self.version)
    }

    pub fn bundle(&self, name: &str, view: View<'_>) -> Bundle {
        let (x, y) = self.material.coordinates();
        Bundle {
            key: WebKey {
                kid: self.kid(view.origin, name),
                kty: self.key_type.name(),
                key_ops: self.ops.clone(),
                crv: self.curve().name(),
                x: base64url(x),
                y: base64url(y),
            },
            attributes: self.attributes(view),
            tags: self.tags.clone(),
        }
    }
}
