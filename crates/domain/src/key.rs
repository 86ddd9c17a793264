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
}

impl SignatureAlgorithm {
    /// The name in a JWS header's `alg`.
    #[must_use]
    pub const fn jose_name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es256k => "ES256K",
        }
    }

    /// The curve's name in a vault and in the Admin API.
    #[must_use]
    pub const fn vault_curve(self) -> &'static str {
        match self {
            Self::Es256 => "P-256",
            Self::Es256k => "P-256K",
        }
    }

    /// Length of a raw signature (r ‖ s) in bytes.
    #[must_use]
    pub const fn signature_len(self) -> usize {
        64
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
            _ => Err(InvalidId { kind: "signature algorithm", expected: "ES256 (P-256) or ES256K (P-256K)" }),
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

/// The coordinates of an EC public key, as they stand in a JWK (RFC 7518, section 6.2): 32 bytes each.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EcPoint {
    /// The x coordinate, big endian.
    pub x: [u8; 32],
    /// The y coordinate, big endian.
    pub y: [u8; 32],
}

impl EcPoint {
    /// From the uncompressed SEC 1 form, `04 ‖ x ‖ y`.
    #[must_use]
    pub fn from_sec1(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        let (x, y) = rest.split_at_checked(32)?;
        if *tag != 4 {
            return None;
        }
        Some(Self { x: x.try_into().ok()?, y: y.try_into().ok()? })
    }

    /// The uncompressed SEC 1 form, `04 ‖ x ‖ y`, 65 bytes.
    #[must_use]
    pub fn to_sec1(&self) -> [u8; 65] {
        let mut out = [4; 65];
        if let Some((x, y)) = out.get_mut(1..).and_then(|rest| rest.split_at_mut_checked(32)) {
            x.copy_from_slice(&self.x);
            y.copy_from_slice(&self.y);
        }
        out
    }
}

impl fmt::Debug for EcPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EcPoint(")?;
        for byte in self.x.iter().take(4) {
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
