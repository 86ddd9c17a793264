//! The coordinates of a public key as they stand in a JWK, and its thumbprint.
//!
//! Owns the JSON form (RFC 7517, RFC 7518 section 6.2, RFC 8037 section 2). It must not verify anything:
//! coordinates are compared and hashed here, and become a checked key in the parent.

use domain::key::EcPoint;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{KeyError, KeyKind};
use crate::base64url;

/// What vaults and old iOS wallets call secp256k1.
const VAULT_SECP256K1: &str = "P-256K";

/// What a JWK says; not yet known to be a point of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coordinates {
    P256(EcPoint),
    Secp256k1(EcPoint),
    Ed25519([u8; 32]),
    P384(EcPoint),
}

impl Coordinates {
    pub(crate) fn from_jwk(jwk: &Value) -> Result<Self, KeyError> {
        let jwk = jwk.as_object().ok_or(KeyError::Malformed)?;
        let text = |name: &str| jwk.get(name).and_then(Value::as_str).ok_or(KeyError::Malformed);
        let coordinate = |name: &str| base64url::decode_array::<32>(text(name)?).ok_or(KeyError::Coordinate);
        let point = || EcPoint::new(&coordinate("x")?, &coordinate("y")?).ok_or(KeyError::Coordinate);
        match (text("kty")?, text("crv")?) {
            ("EC", "P-256") => Ok(Self::P256(point()?)),
            ("EC", "secp256k1" | VAULT_SECP256K1) => Ok(Self::Secp256k1(point()?)),
            ("OKP", "Ed25519") => Ok(Self::Ed25519(coordinate("x")?)),
            _ => Err(KeyError::Unsupported),
        }
    }

    pub(crate) const fn kind(&self) -> KeyKind {
        match self {
            Self::P256(_) => KeyKind::P256,
            Self::Secp256k1(_) => KeyKind::Secp256k1,
            Self::Ed25519(_) => KeyKind::Ed25519,
            Self::P384(_) => KeyKind::P384,
        }
    }

    pub(crate) fn thumbprint(&self) -> String {
        self.thumbprint_with(self.kind().curve_name())
    }

    /// The thumbprint as a sender computes it who writes secp256k1 as `P-256K`.
    pub(crate) fn thumbprint_vault_spelling(&self) -> Option<String> {
        (self.kind() == KeyKind::Secp256k1).then(|| self.thumbprint_with(VAULT_SECP256K1))
    }

    /// RFC 7638, section 3.2: the required members in lexical order, without white space. No value needs escapes.
    fn thumbprint_with(&self, curve: &str) -> String {
        let members = match self {
            Self::P256(point) | Self::Secp256k1(point) | Self::P384(point) => format!(
                r#"{{"crv":"{curve}","kty":"EC","x":"{}","y":"{}"}}"#,
                base64url::encode(point.x()),
                base64url::encode(point.y())
            ),
            Self::Ed25519(x) => {
                format!(r#"{{"crv":"{curve}","kty":"OKP","x":"{}"}}"#, base64url::encode(x))
            }
        };
        base64url::encode(Sha256::digest(members.as_bytes()))
    }

    pub(crate) fn to_jwk(self) -> Value {
        let crv = self.kind().curve_name();
        match self {
            Self::P256(point) | Self::Secp256k1(point) | Self::P384(point) => json!({
                "kty": "EC", "crv": crv, "x": base64url::encode(point.x()), "y": base64url::encode(point.y()),
            }),
            Self::Ed25519(x) => json!({ "kty": "OKP", "crv": crv, "x": base64url::encode(x) }),
        }
    }
}

/// The two `y` of the points of order 8 (little endian, sign bit clear). The other small orders have `y` 0, 1 and p − 1.
pub(super) const ORDER_EIGHT: [[u8; 32]; 2] = [
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

/// Refuses encodings that are not the one of their point (`y` ≥ p), and the points of small order, under which one
/// signature holds for many messages. A `y` that no point has is not noticed here; nothing ever verifies under it.
pub(super) fn is_usable_ed25519(x: &[u8; 32]) -> bool {
    let mut y = *x;
    let [first, middle @ .., last] = &mut y;
    *last &= 0x7f;
    // p = 2^255 − 19 and p − 1 begin with ed and ec; everything from p − 1 up ends in ff…7f.
    if *last == 0x7f && middle.iter().all(|byte| *byte == 0xff) && *first >= 0xec {
        return false;
    }
    let zero_or_one = *last == 0 && middle.iter().all(|byte| *byte == 0) && *first <= 1;
    !zero_or_one && !ORDER_EIGHT.contains(&y)
}
