//! Public keys: JWKs in, signature checks and thumbprints out. Must not hold private keys; those are in [`crate::holder`].

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use k256::ecdsa::signature::hazmat::PrehashVerifier as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::jws::{Algorithm, decode, encode};
use crate::member::{Node, ShapeError};

/// A public key on one of the three curves that wallets verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// P-256.
    P256(Box<p256::ecdsa::VerifyingKey>),
    /// secp256k1.
    Secp256k1(Box<k256::ecdsa::VerifyingKey>),
    /// Ed25519, the 32 bytes of RFC 8032.
    Ed25519([u8; 32]),
}

/// Why a JWK is not a usable public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A member is missing or of the wrong type.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A combination of `kty` and `crv` outside P-256, secp256k1 and Ed25519.
    #[error("kty and crv are not P-256, secp256k1 or Ed25519")]
    Curve,
    /// A coordinate that is not 32 bytes in base64url, or a point off the curve.
    #[error("the coordinates are not a point of the curve")]
    Point,
    /// A private key was published.
    #[error("it carries a private member")]
    Private,
}

/// Why a signature was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The DID of `kid` is not the document's.
    #[error("it was signed under another DID")]
    OtherDid,
    /// The DID document has no key with the fragment of `kid`.
    #[error("the DID document has no such key")]
    NoSuchKey,
    /// `alg` does not fit the key's curve.
    #[error("its algorithm does not fit the key")]
    Algorithm,
    /// Wrong length, or not made by the key over these bytes.
    #[error("the signature is wrong")]
    Invalid,
}

impl PublicKey {
    /// Reads a JWK (RFC 7517); further members are ignored, private ones refused.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_jwk(jwk: &Value) -> Result<Self, KeyError> {
        Self::from_node(&Node::root("publicKeyJwk", jwk))
    }

    pub(crate) fn from_node(jwk: &Node<'_>) -> Result<Self, KeyError> {
        if jwk.optional("d")?.is_some() {
            return Err(KeyError::Private);
        }
        let kty = jwk.member("kty")?.string()?;
        let crv = jwk.member("crv")?.string()?;
        let x = coordinate(jwk.member("x")?.string()?)?;
        match (kty, crv) {
            ("EC", "P-256") => {
                let point = uncompressed(&x, &coordinate(jwk.member("y")?.string()?)?);
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point);
                Ok(Self::P256(Box::new(key.map_err(|_source| KeyError::Point)?)))
            }
            ("EC", "secp256k1") => {
                let point = uncompressed(&x, &coordinate(jwk.member("y")?.string()?)?);
                let key = k256::ecdsa::VerifyingKey::from_sec1_bytes(&point);
                Ok(Self::Secp256k1(Box::new(key.map_err(|_source| KeyError::Point)?)))
            }
            ("OKP", "Ed25519") => Ok(Self::Ed25519(x)),
            _ => Err(KeyError::Curve),
        }
    }

    /// The JWK with exactly the members that RFC 7638 hashes.
    #[must_use]
    pub fn to_jwk(&self) -> Value {
        let (crv, point) = match self {
            Self::P256(key) => ("P-256", key.to_sec1_point(false).as_bytes().to_vec()),
            Self::Secp256k1(key) => ("secp256k1", key.to_sec1_point(false).as_bytes().to_vec()),
            Self::Ed25519(x) => return json!({"kty": "OKP", "crv": "Ed25519", "x": encode(x)}),
        };
        let (x, y) = point.get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
        json!({"kty": "EC", "crv": crv, "x": encode(x), "y": encode(y)})
    }

    /// The SHA-256 thumbprint in base64url (RFC 7638).
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let jwk = self.to_jwk();
        let member = |name: &str| jwk.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        // RFC 7638, section 3.2: required members only, in lexicographic order, no white space.
        let text = match self {
            Self::P256(_) | Self::Secp256k1(_) => format!(
                r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#,
                member("crv"),
                member("x"),
                member("y")
            ),
            Self::Ed25519(_) => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, member("x")),
        };
        encode(&Sha256::digest(text.as_bytes()))
    }

    /// The algorithm whose signatures this key checks.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::P256(_) => Algorithm::Es256,
            Self::Secp256k1(_) => Algorithm::Es256k,
            Self::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// Checks a JWS signature: raw R and S of 32 bytes each (RFC 7518, section 3.4), or 64 bytes of Ed25519. Both halves of
    /// S are good, as in the Android library.
    ///
    /// # Errors
    /// [`SignatureError::Algorithm`] when `algorithm` is not the key's, [`SignatureError::Invalid`] otherwise.
    pub fn verify(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        if algorithm != self.algorithm() {
            return Err(SignatureError::Algorithm);
        }
        let digest = Sha256::digest(message);
        let good = match self {
            Self::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_prehash(&digest, &signature).is_ok()),
            Self::Secp256k1(key) => k256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_prehash(&digest, &signature.normalize_s()).is_ok()),
            Self::Ed25519(x) => UnparsedPublicKey::new(&ED25519, x).verify(message, signature).is_ok(),
        };
        if good { Ok(()) } else { Err(SignatureError::Invalid) }
    }
}

fn coordinate(text: &str) -> Result<[u8; 32], KeyError> {
    let bytes = decode(text).ok_or(KeyError::Point)?;
    bytes.try_into().map_err(|_wrong_length| KeyError::Point)
}

fn uncompressed(x: &[u8; 32], y: &[u8; 32]) -> Vec<u8> {
    let mut point = vec![4];
    point.extend_from_slice(x);
    point.extend_from_slice(y);
    point
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn thumbprint_of_rfc_8037_appendix_a3() {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let key = PublicKey::from_jwk(&jwk).unwrap();
        assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn signature_of_rfc_7515_appendix_a3() {
        let jwk = json!({"kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
        let key = PublicKey::from_jwk(&jwk).unwrap();
        assert_eq!(key.to_jwk(), jwk);
        let input = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature =
            decode("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q")
                .unwrap();
        assert_eq!(key.verify(Algorithm::Es256, input.as_bytes(), &signature), Ok(()));
        assert_eq!(key.verify(Algorithm::Es256, b"other", &signature), Err(SignatureError::Invalid));
        assert_eq!(
            key.verify(Algorithm::Es256k, input.as_bytes(), &signature),
            Err(SignatureError::Algorithm)
        );
        assert_eq!(
            key.verify(Algorithm::Es256, input.as_bytes(), &signature[..63]),
            Err(SignatureError::Invalid)
        );
    }

    #[test]
    fn refuses_unusable_jwks() {
        let x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
        let y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
        let check = |jwk: Value| PublicKey::from_jwk(&jwk).unwrap_err();
        assert_eq!(check(json!({"kty": "EC", "crv": "P-256", "x": x, "y": x})), KeyError::Point);
        assert_eq!(check(json!({"kty": "EC", "crv": "P-256", "x": "AAAA", "y": y})), KeyError::Point);
        assert_eq!(check(json!({"kty": "EC", "crv": "secp256k1", "x": x, "y": y})), KeyError::Point);
        assert_eq!(check(json!({"kty": "EC", "crv": "P-384", "x": x, "y": y})), KeyError::Curve);
        assert_eq!(check(json!({"kty": "OKP", "crv": "P-256", "x": x, "y": y})), KeyError::Curve);
        assert_eq!(check(json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "d": "AA"})), KeyError::Private);
        assert!(matches!(check(json!({"kty": "EC", "crv": "P-256", "x": x})), KeyError::Shape(_)));
        assert!(matches!(check(json!("text")), KeyError::Shape(_)));
    }

    proptest! {
        #[test]
        fn arbitrary_coordinates_never_panic(x in any::<Vec<u8>>(), y in any::<[u8; 32]>(), curve in 0usize..3) {
            let (kty, crv) = [("EC", "P-256"), ("EC", "secp256k1"), ("OKP", "Ed25519")][curve];
            let jwk = json!({"kty": kty, "crv": crv, "x": encode(&x), "y": encode(&y)});
            if let Ok(key) = PublicKey::from_jwk(&jwk) {
                prop_assert_eq!(PublicKey::from_jwk(&key.to_jwk()), Ok(key));
            }
        }
    }
}
