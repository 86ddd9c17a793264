//! Owns which of the two services a vault plays, and what a Managed HSM does to a finished answer. What it stores and refuses
//! differently is with those who store and refuse.

use std::time::Duration;

use serde_json::Value;

use crate::answer::{Answer, JSON};
use crate::failure::{Failure, FailureKind};
use crate::random::Random;

/// The service that a vault plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Azure Key Vault.
    #[default]
    Vault,
    /// Azure Key Vault Managed HSM.
    ManagedHsm,
}

/// Keys in an HSM, deleted ones included.
pub const MOST_HSM_KEYS: usize = 5_000;
/// Versions of a key in an HSM.
pub const MOST_HSM_VERSIONS: usize = 100;

impl Profile {
    /// By its name on the command line.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Vault, Self::ManagedHsm].into_iter().find(|profile| profile.name() == name)
    }

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Vault => "vault",
            Self::ManagedHsm => "managed-hsm",
        }
    }

    pub(crate) fn is_hsm(self) -> bool {
        self == Self::ManagedHsm
    }

    /// What tokens are for; the first is the challenge's. A vault's second is the service's own application id.
    pub(crate) fn audiences(self) -> &'static [&'static str] {
        match self {
            Self::Vault => &["https://vault.azure.net", "cfa8b339-82a2-471a-a3c9-0fc0be7a4093"],
            Self::ManagedHsm => &["https://managedhsm.azure.net"],
        }
    }

    /// What the challenge asks for.
    pub(crate) fn resource(self) -> &'static str {
        self.audiences().first().copied().unwrap_or_default()
    }

    /// `key_ops` of a key that was made without.
    pub(crate) fn default_key_ops(self) -> Vec<&'static str> {
        match self {
            Self::Vault => vec!["sign", "verify"],
            Self::ManagedHsm => vec!["sign", "verify", "deriveKey"],
        }
    }

    /// An HSM's 404 names the activity.
    pub(crate) fn told(self, failure: Failure, request_id: &str) -> Failure {
        if self.is_hsm() && matches!(failure.kind, FailureKind::KeyNotFound | FailureKind::NotFound) {
            let message = format!("{} (Activity ID: {request_id})", failure.message);
            return Failure { message, ..failure };
        }
        failure
    }

    /// Gives a finished answer the HSM's shape: members in alphabetical order, `key_ops` in any, no body with a 401.
    pub(crate) fn dress(self, answer: &mut Answer, draw: u64) {
        if !self.is_hsm() {
            return;
        }
        if answer.status == 401 {
            answer.body.clear();
        }
        if answer.status == 204 {
            answer.headers.push(("content-type", JSON.to_owned()));
        }
        if let Ok(value) = serde_json::from_slice::<Value>(&answer.body) {
            let mut value = sorted(value);
            if let Some(ops) = value.pointer_mut("/key/key_ops").and_then(Value::as_array_mut) {
                shuffle(ops, &mut Random::new(draw));
            }
            answer.body = value.to_string().into_bytes();
        }
    }

    /// The headers that only this service sends. `known`: the caller got past its token.
    pub(crate) fn headers(
        self,
        is_get: bool,
        known: bool,
        address: std::net::IpAddr,
        wait: Duration,
    ) -> Vec<(&'static str, String)> {
        let family = if address.is_ipv6() { "InterNetworkV6" } else { "InterNetwork" };
        let shared = [("cache-control", "no-cache"), ("x-content-type-options", "nosniff")];
        let (fixed, network): (&[(&str, &str)], _) = match self {
            Self::Vault => (
                &[
                    ("pragma", "no-cache"),
                    ("expires", "-1"),
                    ("strict-transport-security", "max-age=31536000;includeSubDomains"),
                    ("x-ms-keyvault-service-version", "1.9.3347.1"),
                ],
                format!("conn_type=Ipv4;addr={address};act_addr_fam={family};"),
            ),
            Self::ManagedHsm => (
                &[
                    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
                    ("content-security-policy", "default-src 'self'"),
                    ("x-frame-options", "SAMEORIGIN"),
                ],
                format!("conn_type=Ipv4;addr={address};act_addr_fam=Ipv4;"),
            ),
        };
        let of = |(name, value): &(&'static str, &str)| (*name, (*value).to_owned());
        let mut headers: Vec<_> = shared.iter().chain(fixed).map(of).collect();
        if self == Self::Vault || known {
            headers.push(("x-ms-keyvault-region", "westus2".to_owned()));
            headers.push(("x-ms-keyvault-network-info", network));
        }
        if self.is_hsm() {
            headers.push(("x-ms-server-latency", wait.as_millis().to_string()));
            if is_get {
                headers.push(("x-ms-build-version", "1.0.20260601-1-5a1de0f0".to_owned()));
            }
        }
        headers
    }
}

/// The same with all members in alphabetical order, however the JSON library keeps them.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut pairs: Vec<(String, Value)> =
                members.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            pairs.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Object(pairs.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

fn shuffle(items: &mut [Value], random: &mut Random) {
    for left in (2..=items.len()).rev() {
        let chosen = usize::try_from(random.below(u64::try_from(left).unwrap_or(1))).unwrap_or(0);
        items.swap(left.saturating_sub(1), chosen);
    }
}
