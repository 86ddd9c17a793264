//! Signing keys: how they are named, which algorithm they use, where they are in their life.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{AuthorityId, InvalidId, KeyId};
use crate::time::Timestamp;

/// The JOSE algorithms with which an authority signs (RFC 7518 section 3.4, RFC 8812 section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SignatureAlgorithm {
    /// ECDSA on P-256 with SHA-256. The default.
    #[serde(rename = "ES256")]
    Es256,
    /// ECDSA on secp256k1 (which vaults call P-256K) with SHA-256.
    #[serde(rename = "ES256K")]
    Es256k,
    /// ECDSA on P-384 with SHA-384. Wallets of Entra's wire do not know it.
    #[serde(rename = "ES384")]
    Es384,
}

impl SignatureAlgorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Es256, Self::Es256k, Self::Es384];

    /// The name in a JWS header's `alg`.
    #[must_use]
    pub const fn jose_name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es256k => "ES256K",
            Self::Es384 => "ES384",
        }
    }

    /// The curve's name in a vault and in the Admin API.
    #[must_use]
    pub const fn vault_curve(self) -> &'static str {
        match self {
            Self::Es256 => "P-256",
            Self::Es256k => "P-256K",
            Self::Es384 => "P-384",
        }
    }

    /// Length of a raw signature (r ‖ s) in bytes.
    #[must_use]
    pub const fn signature_len(self) -> usize {
        match self {
            Self::Es256 | Self::Es256k => 64,
            Self::Es384 => 96,
        }
    }

    /// Length of a coordinate of its public keys in bytes.
    #[must_use]
    pub const fn coordinate_len(self) -> usize {
        match self {
            Self::Es256 | Self::Es256k => 32,
            Self::Es384 => 48,
        }
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.jose_name())
    }
}

impl FromStr for SignatureAlgorithm {
    type Err = InvalidId;
    /// Accepts the JOSE name and the vault's curve name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "ES256" | "P-256" => Ok(Self::Es256),
            "ES256K" | "P-256K" | "secp256k1" => Ok(Self::Es256k),
            "ES384" | "P-384" => Ok(Self::Es384),
            _ => Err(InvalidId {
                kind: "signature algorithm",
                expected: "ES256 (P-256), ES256K (P-256K) or ES384 (P-384)",
            }),
        }
    }
}

/// Names one key version in one back end. There is no "latest": a rotation in the vault must not change who signs.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyRef {
    /// The back end's configured name, such as `software` or a vault's authority.
    pub backend: String,
    /// The key's name inside that back end.
    pub name: String,
    /// The version that signs.
    pub version: String,
}

impl fmt::Display for KeyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.backend, self.name, self.version)
    }
}

impl fmt::Debug for KeyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The coordinates of an EC public key, as they stand in a JWK (RFC 7518, section 6.2): 32 bytes each on P-256 and
/// secp256k1, 48 on P-384, big endian.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EcPoint(Coordinates);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Coordinates {
    Bytes32 { x: [u8; 32], y: [u8; 32] },
    Bytes48 { x: [u8; 48], y: [u8; 48] },
}

impl EcPoint {
    /// From both coordinates; `None` unless they have 32 bytes each or 48 bytes each.
    #[must_use]
    pub fn new(x: &[u8], y: &[u8]) -> Option<Self> {
        if let (Ok(x), Ok(y)) = (x.try_into(), y.try_into()) {
            return Some(Self(Coordinates::Bytes32 { x, y }));
        }
        Some(Self(Coordinates::Bytes48 { x: x.try_into().ok()?, y: y.try_into().ok()? }))
    }

    /// From the uncompressed SEC 1 form, `04 ‖ x ‖ y`.
    #[must_use]
    pub fn from_sec1(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        let (x, y) = rest.split_at_checked(rest.len() / 2)?;
        if *tag != 4 {
            return None;
        }
        Self::new(x, y)
    }

    /// The uncompressed SEC 1 form, `04 ‖ x ‖ y`, 65 or 97 bytes.
    #[must_use]
    pub fn to_sec1(&self) -> Vec<u8> {
        [&[4], self.x(), self.y()].concat()
    }

    /// The x coordinate.
    #[must_use]
    pub const fn x(&self) -> &[u8] {
        match &self.0 {
            Coordinates::Bytes32 { x, .. } => x,
            Coordinates::Bytes48 { x, .. } => x,
        }
    }

    /// The y coordinate.
    #[must_use]
    pub const fn y(&self) -> &[u8] {
        match &self.0 {
            Coordinates::Bytes32 { y, .. } => y,
            Coordinates::Bytes48 { y, .. } => y,
        }
    }
}

impl fmt::Debug for EcPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EcPoint(")?;
        for byte in self.x().iter().take(4) {
            write!(f, "{byte:02x}")?;
        }
        f.write_str("…)")
    }
}

/// Where a key is in its life. Verbs: prepare, publish, activate, retire, remove; side exits abandon and compromise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// Made in the back end, not yet in the DID document.
    Prepared,
    /// In the DID document, not yet signing.
    Published,
    /// In the DID document and signing.
    Active,
    /// In the DID document for what it signed; signs no more.
    Retired,
    /// Gone from the DID document: nothing it signed is valid any more.
    Removed,
}

impl KeyState {
    /// The stored and printed name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Published => "published",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Removed => "removed",
        }
    }

    /// Whether the DID document lists a key in this state.
    #[must_use]
    pub const fn is_published(self) -> bool {
        matches!(self, Self::Published | Self::Active | Self::Retired)
    }
}

impl FromStr for KeyState {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Prepared, Self::Published, Self::Active, Self::Retired, Self::Removed]
            .into_iter()
            .find(|state| state.name() == text)
            .ok_or(InvalidId { kind: "key state", expected: "one of the key states" })
    }
}

/// One signing key of an authority with everything that its users need to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// The owner.
    pub authority: AuthorityId,
    /// Fragment in the DID document.
    pub id: KeyId,
    /// Where it lives.
    pub key: KeyRef,
    /// With what it signs.
    pub algorithm: SignatureAlgorithm,
    /// Its public half.
    pub public: EcPoint,
    /// Where it is in its life.
    pub state: KeyState,
    /// When it was made; a DID document lists newest first.
    pub prepared_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn algorithms_are_read_by_both_names() {
        for algorithm in SignatureAlgorithm::ALL {
            assert_eq!(algorithm.jose_name().parse(), Ok(algorithm));
            assert_eq!(algorithm.vault_curve().parse(), Ok(algorithm));
            assert_eq!(serde_json::to_value(algorithm).unwrap(), algorithm.jose_name());
            assert_eq!(algorithm.signature_len(), 2 * algorithm.coordinate_len());
        }
        // The preview name of secp256k1 in old vaults signs with another algorithm name: it is not ours.
        for name in ["SECP256K1", "P-521", "ES512", "es256", ""] {
            assert!(name.parse::<SignatureAlgorithm>().is_err(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn points_have_two_equal_coordinates(
            x in proptest::collection::vec(any::<u8>(), 0..60),
            y in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let fits = x.len() == y.len() && (x.len() == 32 || x.len() == 48);
            prop_assert_eq!(EcPoint::new(&x, &y).is_some(), fits);
        }

        #[test]
        fn sec1_round_trips(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Some(point) = EcPoint::from_sec1(&bytes) {
                prop_assert_eq!(point.to_sec1(), bytes);
            }
        }

        #[test]
        fn both_widths_round_trip(x: [u8; 32], y: [u8; 32], wide: bool) {
            let widen = |bytes: [u8; 32]| if wide { [&bytes[..], &bytes[..16]].concat() } else { bytes.to_vec() };
            let point = EcPoint::new(&widen(x), &widen(y)).unwrap();
            prop_assert_eq!(EcPoint::from_sec1(&point.to_sec1()), Some(point));
            let (x, y) = (widen(x), widen(y));
            prop_assert_eq!((point.x(), point.y()), (x.as_slice(), y.as_slice()));
        }
    }
}
