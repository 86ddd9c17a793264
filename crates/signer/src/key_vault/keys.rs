//! Keys as a vault describes them, read into our own words.
//!
//! Owns what is believed of a key bundle: its name and version are the ones asked for, its curve is one with which we
//! sign, its point is on that curve. It must not fetch anything.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ParsedPublicKey};
use azure_core::time::OffsetDateTime;
use azure_security_keyvault_keys::ResourceId;
use azure_security_keyvault_keys::models::{CurveName, JsonWebKey, Key, KeyType};
use domain::key::EcPoint;
use domain::{KeyRef, SignatureAlgorithm, Timestamp};
use url::Url;

use super::config::{Protection, authority};
use crate::error::{InvalidResponse, SignErrorKind};
use crate::receipt::Receipt;

/// A key version with everything that an operator may want to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDescription {
    /// Where it lives, with its version.
    pub key: KeyRef,
    /// With what it signs.
    pub algorithm: SignatureAlgorithm,
    /// Its public half.
    pub public: EcPoint,
    /// How its private half is protected.
    pub protection: Protection,
    /// Whether it may be used.
    pub enabled: bool,
    /// From when on.
    pub not_before: Option<Timestamp>,
    /// Until when.
    pub expires: Option<Timestamp>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// For what it may be used (`sign`, `verify`, …).
    pub operations: Vec<String>,
    /// What happens when it is deleted, in the vault's words.
    pub recovery_level: Option<String>,
    /// The exchange that told.
    pub receipt: Receipt,
}

impl KeyDescription {
    /// Whether the vault would sign with it at a time, leaving clocks five minutes of difference.
    #[must_use]
    pub fn signs_at(&self, now: Timestamp) -> bool {
        let early = self.not_before.is_some_and(|from| now < from.plus_seconds(CLOCK_DIFFERENCE));
        let late = self.expires.is_some_and(|until| now.plus_seconds(CLOCK_DIFFERENCE) >= until);
        let is_for_signing = self.operations.is_empty() || self.operations.iter().any(|name| name == "sign");
        self.enabled && !early && !late && is_for_signing
    }
}

const CLOCK_DIFFERENCE: i64 = 300;

/// Name and version in a key's id, provided that the id belongs to this vault.
pub(super) fn locate(kid: &str, vault: &Url) -> Option<(String, Option<String>)> {
    let id = Url::parse(kid).ok()?;
    if authority(&id) != authority(vault) || id.scheme() != "https" {
        return None;
    }
    let id = ResourceId::try_from(&id).ok()?;
    Some((id.name, id.version))
}

/// A version as vaults make them. Everything else cannot exist, and must not get into a path.
pub(super) fn is_version(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Reads a bundle. `asked` is the version that was asked for, `None` if whichever is current.
pub(super) fn read(
    bundle: Key,
    backend: &str,
    vault: &Url,
    name: &str,
    asked: Option<&str>,
    receipt: Receipt,
) -> Result<KeyDescription, SignErrorKind> {
    let malformed = || SignErrorKind::BadResponse(InvalidResponse::Malformed);
    let jwk = bundle.key.ok_or_else(malformed)?;
    let kid = jwk.kid.as_deref().ok_or_else(malformed)?;
    let (found, version) = locate(kid, vault).ok_or(SignErrorKind::WrongKey)?;
    let version = version.filter(|version| is_version(version)).ok_or_else(malformed)?;
    if !found.eq_ignore_ascii_case(name) || asked.is_some_and(|asked| !asked.eq_ignore_ascii_case(&version)) {
        return Err(SignErrorKind::WrongKey);
    }
    let (algorithm, protection) = kind(&jwk)?;
    let public = public(algorithm, &jwk)?;
    let attributes = bundle.attributes.unwrap_or_default();
    let at = |time: Option<OffsetDateTime>| time.map(|time| Timestamp::from_seconds(time.unix_timestamp()));
    Ok(KeyDescription {
        // As it was asked for: a key reference is compared byte by byte.
        key: KeyRef {
            backend: backend.to_owned(),
            name: name.to_owned(),
            version: asked.map_or(version, str::to_owned),
        },
        algorithm,
        public,
        protection,
        enabled: attributes.enabled.unwrap_or(true),
        not_before: at(attributes.not_before),
        expires: at(attributes.expires),
        created: at(attributes.created),
        operations: jwk.key_ops.unwrap_or_default(),
        recovery_level: attributes.recovery_level.and_then(|level| Receipt::keepable(level.as_ref())),
        receipt,
    })
}

/// With what a key signs, and how it is protected.
fn kind(jwk: &JsonWebKey) -> Result<(SignatureAlgorithm, Protection), SignErrorKind> {
    let type_name = jwk.kty.as_ref().map_or("of no type", AsRef::as_ref);
    let curve_name = jwk.crv.as_ref().map_or("", AsRef::as_ref);
    let unsupported = || {
        let found = format!("{type_name} {curve_name}");
        let found =
            found.trim().chars().filter(|character| character.is_ascii_graphic() || *character == ' ');
        SignErrorKind::UnsupportedKey { found: found.take(40).collect() }
    };
    let protection = match &jwk.kty {
        Some(KeyType::Ec) => Protection::Software,
        Some(KeyType::EcHsm) => Protection::Hsm,
        _ => return Err(unsupported()),
    };
    let algorithm = match &jwk.crv {
        Some(CurveName::P256) => SignatureAlgorithm::Es256,
        Some(CurveName::P256K) => SignatureAlgorithm::Es256k,
        Some(CurveName::P384) => SignatureAlgorithm::Es384,
        // Among them SECP256K1, the name of a preview: its keys sign with an algorithm name that JOSE does not have.
        _ => return Err(unsupported()),
    };
    Ok((algorithm, protection))
}

fn public(algorithm: SignatureAlgorithm, jwk: &JsonWebKey) -> Result<EcPoint, SignErrorKind> {
    let wrong = || SignErrorKind::BadResponse(InvalidResponse::PublicKey);
    let (Some(x), Some(y)) = (&jwk.x, &jwk.y) else { return Err(wrong()) };
    if x.len() != algorithm.coordinate_len() {
        return Err(wrong());
    }
    let point = EcPoint::new(x, y).ok_or_else(wrong)?;
    let sec1 = point.to_sec1();
    let on_curve = match algorithm {
        SignatureAlgorithm::Es256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &sec1).is_ok(),
        SignatureAlgorithm::Es384 => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &sec1).is_ok(),
        SignatureAlgorithm::Es256k => k256::ecdsa::VerifyingKey::from_sec1_bytes(&sec1).is_ok(),
    };
    if on_curve { Ok(point) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests;
