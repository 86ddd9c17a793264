//! Owns curves and key material: making, importing, signing a digest, verifying. Knows nothing of names or states.

use std::convert::Infallible;

use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::encoding::{AsBigEndian as _, EcPrivateKeyBin};
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, KeyPair as _, UnparsedPublicKey,
};

use k256::ecdsa::signature::hazmat::RandomizedPrehashSigner as _;
use k256::elliptic_curve::rand_core::{TryCryptoRng, TryRng};

use crate::random::unpredictable;

/// A curve of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    P256,
    P256K,
    P384,
    P521,
}

/// The cryptographic library refused: bytes that are no key of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no valid key of this curve")]
pub struct NotAKey;

impl Curve {
    /// By its JWK name.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::P256, Self::P256K, Self::P384, Self::P521].into_iter().find(|curve| curve.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P256K => "P-256K",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// The curve that a signature algorithm needs.
    pub fn of_algorithm(algorithm: &str) -> Option<Self> {
        [Self::P256, Self::P256K, Self::P384, Self::P521]
            .into_iter()
            .find(|curve| curve.algorithm() == algorithm)
    }

    /// The one signature algorithm of the curve.
    pub fn algorithm(self) -> &'static str {
        match self {
            Self::P256 => "ES256",
            Self::P256K => "ES256K",
            Self::P384 => "ES384",
            Self::P521 => "ES512",
        }
    }

    /// Bytes of a coordinate, and of each half of a signature.
    pub fn width(self) -> usize {
        match self {
            Self::P256 | Self::P256K => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// Bytes of the digest that is signed.
    pub fn digest_length(self) -> usize {
        self.hash().output_len()
    }

    fn hash(self) -> &'static digest::Algorithm {
        match self {
            Self::P256 | Self::P256K => &digest::SHA256,
            Self::P384 => &digest::SHA384,
            Self::P521 => &digest::SHA512,
        }
    }

    fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            Self::P256K => &signature::ECDSA_P256K1_SHA256_FIXED_SIGNING,
            Self::P384 => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
            Self::P521 => &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
        }
    }

    /// Whether the signature is one over the digest by the key with these coordinates. `s` may be high.
    pub fn verify(self, x: &[u8], y: &[u8], digest: &[u8], signature: &[u8]) -> bool {
        let point: Vec<u8> = std::iter::once(4).chain(x.iter().copied()).chain(y.iter().copied()).collect();
        let Ok(digest) = Digest::import_less_safe(digest, self.hash()) else { return false };
        UnparsedPublicKey::new(self.verifying(), point).verify_digest(&digest, signature).is_ok()
    }

    fn verifying(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::P256K => &signature::ECDSA_P256K1_SHA256_FIXED,
            Self::P384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::P521 => &signature::ECDSA_P521_SHA512_FIXED,
        }
    }
}

/// A private key.
pub struct Material {
    curve: Curve,
    pair: EcdsaKeyPair,
    /// The same key in the library that is about fifteen times as fast on its curve, in a release build.
    secp256k1: Option<k256::ecdsa::SigningKey>,
}

impl std::fmt::Debug for Material {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Material").field("curve", &self.curve).finish_non_exhaustive()
    }
}

/// The system's randomness, as k256 wants it.
struct System;

impl TryRng for System {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(unpredictable()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(unpredictable()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for part in bytes.chunks_mut(32) {
            part.iter_mut().zip(unpredictable::<32>()).for_each(|(to, from)| *to = from);
        }
        Ok(())
    }
}

impl TryCryptoRng for System {}

/// With a fresh nonce, and with `s` high in half of the cases: the library would lower it, the service does not.
fn sign_secp256k1(key: &k256::ecdsa::SigningKey, digest: &[u8]) -> Result<Vec<u8>, NotAKey> {
    let signature: k256::ecdsa::Signature =
        key.sign_prehash_with_rng(&mut System, digest).map_err(|_refused| NotAKey)?;
    let (r, s) = signature.split_scalars();
    let [coin] = unpredictable();
    let signature = k256::ecdsa::Signature::from_scalars(r, if coin & 1 == 1 { -s } else { s });
    Ok(signature.map_err(|_refused| NotAKey)?.to_bytes().to_vec())
}

/// Left-padded with zeros to `width`; `None` when it does not fit.
fn padded(bytes: &[u8], width: usize) -> Option<Vec<u8>> {
    let zeros = width.checked_sub(bytes.len())?;
    Some(std::iter::repeat_n(0, zeros).chain(bytes.iter().copied()).collect())
}

impl Material {
    pub fn generate(curve: Curve) -> Result<Self, NotAKey> {
        let pair = EcdsaKeyPair::generate(curve.signing()).map_err(|_refused| NotAKey)?;
        Self::over(curve, pair)
    }

    fn over(curve: Curve, pair: EcdsaKeyPair) -> Result<Self, NotAKey> {
        let mut made = Self { curve, pair, secp256k1: None };
        if curve == Curve::P256K {
            let key = k256::ecdsa::SigningKey::from_slice(&made.secret()?);
            made.secp256k1 = Some(key.map_err(|_refused| NotAKey)?);
        }
        Ok(made)
    }

    /// From the big-endian numbers of a JWK, leading zeros present or not.
    pub fn import(curve: Curve, secret: &[u8], x: &[u8], y: &[u8]) -> Result<Self, NotAKey> {
        let fit = |bytes| padded(bytes, curve.width()).ok_or(NotAKey);
        let public: Vec<u8> = std::iter::once(4).chain(fit(x)?).chain(fit(y)?).collect();
        let pair = EcdsaKeyPair::from_private_key_and_public_key(curve.signing(), &fit(secret)?, &public)
            .map_err(|_refused| NotAKey)?;
        Self::over(curve, pair)
    }

    pub fn curve(&self) -> Curve {
        self.curve
    }

    /// The point's coordinates, of fixed width.
    pub fn coordinates(&self) -> (&[u8], &[u8]) {
        let point = self.pair.public_key().as_ref().get(1..).unwrap_or_default();
        point.split_at_checked(self.curve.width()).unwrap_or_default()
    }

    /// The secret number, for a backup.
    pub fn secret(&self) -> Result<Vec<u8>, NotAKey> {
        let secret: EcPrivateKeyBin<'_> =
            self.pair.private_key().as_be_bytes().map_err(|_refused| NotAKey)?;
        padded(secret.as_ref(), self.curve.width()).ok_or(NotAKey)
    }

    /// `r || s` over a digest of the curve's length. `s` may be high, as in the service.
    pub fn sign(&self, digest: &[u8]) -> Result<Vec<u8>, NotAKey> {
        if digest.len() != self.curve.digest_length() {
            return Err(NotAKey);
        }
        if let Some(key) = &self.secp256k1 {
            return sign_secp256k1(key, digest);
        }
        let digest = Digest::import_less_safe(digest, self.curve.hash()).map_err(|_refused| NotAKey)?;
        let signature = self.pair.sign_digest(&digest).map_err(|_refused| NotAKey)?;
        Ok(signature.as_ref().to_vec())
    }

    pub fn verify(&self, digest: &[u8], signature: &[u8]) -> bool {
        let (x, y) = self.coordinates();
        self.curve.verify(x, y, digest, signature)
    }
}
