//! Public keys of issuers and holders: reading them, naming them, verifying under them.
//!
//! Owns which curves and signature forms are believed. It must not hold private keys and must not decide whose key it is.
//! P-256, P-384 and Ed25519 go through AWS-LC and secp256k1 through k256, the fastest of each (verification is on the hot path).

mod jwk;

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey};
use domain::SignatureAlgorithm;
use domain::key::EcPoint;
use k256::ecdsa::signature::hazmat::PrehashVerifier;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub(crate) use jwk::Coordinates;

/// The kinds of public keys that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// NIST P-256 (RFC 7518, section 6.2).
    P256,
    /// secp256k1 (RFC 8812, section 3.1).
    Secp256k1,
    /// Ed25519 (RFC 8037, section 2).
    Ed25519,
    /// NIST P-384 (RFC 7518, section 6.2): for authorities only, no JWK of a holder is read as one.
    P384,
}

impl KeyKind {
    /// Length of a raw signature in bytes.
    #[must_use]
    pub const fn signature_len(self) -> usize {
        match self {
            Self::P256 | Self::Secp256k1 | Self::Ed25519 => 64,
            Self::P384 => 96,
        }
    }

    /// The `crv` of a JWK.
    #[must_use]
    pub const fn curve_name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::Secp256k1 => "secp256k1",
            Self::Ed25519 => "Ed25519",
            Self::P384 => "P-384",
        }
    }

    /// The one `alg` that fits keys of this kind.
    #[must_use]
    pub const fn jose_name(self) -> &'static str {
        match self {
            Self::P256 => "ES256",
            Self::Secp256k1 => "ES256K",
            Self::Ed25519 => "EdDSA",
            Self::P384 => "ES384",
        }
    }
}

/// A text or JSON value is not a public key that may be used.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// Not a JSON object with text members `kty`, `crv`, `x` (and `y`).
    #[error("the key is not a JWK")]
    Malformed,
    /// A key type, curve or encoding that is not understood.
    #[error("the key's type is not P-256, secp256k1 or Ed25519")]
    Unsupported,
    /// A coordinate is not the base64url of 32 bytes.
    #[error("a coordinate of the key is not 32 bytes of unpadded base64url")]
    Coordinate,
    /// The coordinates are not a point of the curve, or one for which signatures prove nothing.
    #[error("the key is not a usable point of its curve")]
    NotOnCurve,
}

/// A signature does not hold.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum SignatureError {
    /// `alg` is not the one that fits the key.
    #[error("the signature algorithm does not fit the key")]
    AlgorithmMismatch,
    /// Not as long as the key's signatures are.
    #[error("the signature does not have the length that fits the key")]
    Length,
    /// Not made by this key over this message.
    #[error("the signature is wrong")]
    Invalid,
}

/// A public key, checked and ready to verify.
#[derive(Clone)]
pub struct PublicKey {
    coordinates: Coordinates,
    verifier: Verifier,
}

#[derive(Clone)]
enum Verifier {
    P256(ParsedPublicKey),
    Secp256k1(k256::ecdsa::VerifyingKey),
    Ed25519(ParsedPublicKey),
    P384(ParsedPublicKey),
}

impl PublicKey {
    /// Reads a JWK (RFC 7517). Members besides `kty`, `crv`, `x` and `y` are ignored; the curve name `P-256K`
    /// (vaults and old iOS wallets) means secp256k1.
    ///
    /// # Errors
    /// The [`KeyError`] that says what is wrong with it.
    pub fn from_jwk(jwk: &Value) -> Result<Self, KeyError> {
        Self::from_coordinates(Coordinates::from_jwk(jwk)?)
    }

    /// From the coordinates of an authority's key.
    ///
    /// # Errors
    /// [`KeyError::NotOnCurve`] if they are not a point of the algorithm's curve.
    pub fn from_point(algorithm: SignatureAlgorithm, point: &EcPoint) -> Result<Self, KeyError> {
        Self::from_coordinates(match algorithm {
            SignatureAlgorithm::Es256 => Coordinates::P256(*point),
            SignatureAlgorithm::Es256k => Coordinates::Secp256k1(*point),
            SignatureAlgorithm::Es384 => Coordinates::P384(*point),
        })
    }

    /// From the bytes of a multicodec key: compressed SEC 1 points, or the 32 bytes of an Ed25519 key.
    pub(crate) fn from_compressed(kind: KeyKind, bytes: &[u8]) -> Result<Self, KeyError> {
        let ec = kind != KeyKind::Ed25519;
        if bytes.len() != if ec { 33 } else { 32 } {
            return Err(KeyError::Coordinate);
        }
        // The EC crates also read a draft's one-coordinate form with tag 5; SEC 1 compression is 2 and 3.
        if ec && !matches!(bytes.first(), Some(2 | 3)) {
            return Err(KeyError::NotOnCurve);
        }
        let whole = |sec1: &[u8]| EcPoint::from_sec1(sec1).ok_or(KeyError::NotOnCurve);
        Self::from_coordinates(match kind {
            KeyKind::P256 => {
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(bytes)
                    .map_err(|_source| KeyError::NotOnCurve)?;
                Coordinates::P256(whole(key.to_sec1_point(false).as_bytes())?)
            }
            KeyKind::Secp256k1 => {
                let key = k256::ecdsa::VerifyingKey::from_sec1_bytes(bytes)
                    .map_err(|_source| KeyError::NotOnCurve)?;
                Coordinates::Secp256k1(whole(key.to_sec1_point(false).as_bytes())?)
            }
            KeyKind::Ed25519 => {
                Coordinates::Ed25519(bytes.try_into().map_err(|_source| KeyError::Coordinate)?)
            }
            KeyKind::P384 => return Err(KeyError::Unsupported),
        })
    }

    fn from_coordinates(coordinates: Coordinates) -> Result<Self, KeyError> {
        let verifier = match &coordinates {
            Coordinates::P256(point) => Verifier::P256(
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point.to_sec1())
                    .map_err(|_source| KeyError::NotOnCurve)?,
            ),
            Coordinates::Secp256k1(point) => Verifier::Secp256k1(
                k256::ecdsa::VerifyingKey::from_sec1_bytes(&point.to_sec1())
                    .map_err(|_source| KeyError::NotOnCurve)?,
            ),
            Coordinates::P384(point) => Verifier::P384(
                ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point.to_sec1())
                    .map_err(|_source| KeyError::NotOnCurve)?,
            ),
            Coordinates::Ed25519(x) => {
                if !jwk::is_usable_ed25519(x) {
                    return Err(KeyError::NotOnCurve);
                }
                Verifier::Ed25519(ParsedPublicKey::new(&ED25519, x).map_err(|_source| KeyError::NotOnCurve)?)
            }
        };
        Ok(Self { coordinates, verifier })
    }

    /// Which kind of key it is.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.coordinates.kind()
    }

    pub(crate) const fn coordinates(&self) -> &Coordinates {
        &self.coordinates
    }

    /// The JWK thumbprint: base64url of SHA-256 (RFC 7638, section 3; RFC 8037, section 2 for Ed25519), with the
    /// registered curve name.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        self.coordinates.thumbprint()
    }

    /// The JWK with its required members only.
    #[must_use]
    pub fn to_jwk(&self) -> Value {
        self.coordinates.to_jwk()
    }

    /// Verifies a raw signature over a message. Both halves of `s` are accepted, because wallets and vaults
    /// produce both.
    ///
    /// # Errors
    /// [`SignatureError`]; a wrong `alg` is told apart from a wrong signature.
    pub fn verify(&self, alg: &str, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        self.check_form(alg, signature)?;
        match &self.verifier {
            Verifier::P256(key) | Verifier::P384(key) | Verifier::Ed25519(key) => {
                key.verify_sig(message, signature).map_err(|_source| SignatureError::Invalid)
            }
            Verifier::Secp256k1(key) => verify_secp256k1(key, &Sha256::digest(message), signature),
        }
    }

    /// Verifies a raw ECDSA signature over a digest, as a vault signs it.
    ///
    /// # Errors
    /// [`SignatureError`]; EdDSA signs messages, not digests, and is refused as a mismatch, like a digest by another
    /// hash than the algorithm's.
    pub fn verify_digest(
        &self,
        alg: &str,
        digest: &domain::Digest,
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        self.check_form(alg, signature)?;
        let verify = |key: &ParsedPublicKey, hash, digest: &[u8]| {
            digest::Digest::import_less_safe(digest, hash)
                .and_then(|digest| key.verify_digest_sig(&digest, signature))
                .map_err(|_source| SignatureError::Invalid)
        };
        match (&self.verifier, digest) {
            (Verifier::P256(key), domain::Digest::Sha256(digest)) => verify(key, &digest::SHA256, digest),
            (Verifier::P384(key), domain::Digest::Sha384(digest)) => verify(key, &digest::SHA384, digest),
            (Verifier::Secp256k1(key), domain::Digest::Sha256(digest)) => {
                verify_secp256k1(key, digest, signature)
            }
            (Verifier::P256(_) | Verifier::P384(_) | Verifier::Secp256k1(_) | Verifier::Ed25519(_), _) => {
                Err(SignatureError::AlgorithmMismatch)
            }
        }
    }

    fn check_form(&self, alg: &str, signature: &[u8]) -> Result<(), SignatureError> {
        if alg != self.kind().jose_name() {
            return Err(SignatureError::AlgorithmMismatch);
        }
        if signature.len() != self.kind().signature_len() {
            return Err(SignatureError::Length);
        }
        Ok(())
    }
}

/// k256 refuses high `s`, which Android wallets send; the normalised signature is equally valid.
fn verify_secp256k1(
    key: &k256::ecdsa::VerifyingKey,
    digest: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    let signature =
        k256::ecdsa::Signature::from_slice(signature).map_err(|_source| SignatureError::Invalid)?;
    key.verify_prehash(digest, &signature.normalize_s()).map_err(|_source| SignatureError::Invalid)
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.coordinates == other.coordinates
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.kind().curve_name(), self.thumbprint())
    }
}

#[cfg(test)]
mod tests;
