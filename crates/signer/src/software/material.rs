//! Private keys in memory.
//!
//! Owns making, loading and using them: P-256 through aws-lc-rs and secp256k1 through k256, each the faster one for
//! its curve. It must not hash: it signs digests only.

use aws_lc_rs::digest::{self, SHA256};
use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use domain::key::EcPoint;
use domain::{Digest, SignatureAlgorithm, SignatureBytes};
use k256::ecdsa::signature::hazmat::PrehashSigner;
use k256::elliptic_curve::Generate;
use zeroize::Zeroizing;

/// A private key that can sign at once. Both libraries wipe theirs when it is dropped.
pub(super) enum PrivateKey {
    P256(EcdsaKeyPair),
    Secp256k1(k256::ecdsa::SigningKey),
}

impl PrivateKey {
    /// From the 32 bytes of the private half; `None` if they are no key or if the public half is another one's.
    pub(super) fn from_secret(
        algorithm: SignatureAlgorithm,
        secret: &[u8],
        public: &EcPoint,
    ) -> Option<Self> {
        match algorithm {
            SignatureAlgorithm::Es256 => EcdsaKeyPair::from_private_key_and_public_key(
                &ECDSA_P256_SHA256_FIXED_SIGNING,
                secret,
                &public.to_sec1(),
            )
            .ok()
            .map(Self::P256),
            SignatureAlgorithm::Es256k => {
                let key = k256::ecdsa::SigningKey::from_slice(secret).ok()?;
                (k256_point(&key)? == *public).then_some(Self::Secp256k1(key))
            }
            SignatureAlgorithm::Es384 => None,
        }
    }

    pub(super) fn algorithm(&self) -> SignatureAlgorithm {
        match self {
            Self::P256(_) => SignatureAlgorithm::Es256,
            Self::Secp256k1(_) => SignatureAlgorithm::Es256k,
        }
    }

    /// r ‖ s over a SHA-256 digest; on secp256k1 with a low `s`. `None` if the library fails or for another digest.
    pub(super) fn sign(&self, digest: &Digest) -> Option<SignatureBytes> {
        let Digest::Sha256(digest) = digest else { return None };
        match self {
            Self::P256(key) => {
                let digest = digest::Digest::import_less_safe(digest, &SHA256).ok()?;
                SignatureBytes::from_slice(key.sign_digest(&digest).ok()?.as_ref())
            }
            Self::Secp256k1(key) => {
                let signature: k256::ecdsa::Signature = key.sign_prehash(digest).ok()?;
                SignatureBytes::from_slice(&signature.to_bytes())
            }
        }
    }
}

/// A new key's halves: 32 secret bytes and the point. `None` only if the machine gives no randomness.
pub(super) fn generate(algorithm: SignatureAlgorithm) -> Option<(Zeroizing<[u8; 32]>, EcPoint)> {
    match algorithm {
        SignatureAlgorithm::Es256 => {
            let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?;
            let secret = key.private_key().as_be_bytes().ok()?;
            let secret = Zeroizing::new(<[u8; 32]>::try_from(secret.as_ref()).ok()?);
            Some((secret, EcPoint::from_sec1(key.public_key().as_ref())?))
        }
        SignatureAlgorithm::Es256k => {
            let key = k256::ecdsa::SigningKey::try_generate().ok()?;
            Some((Zeroizing::new(key.to_bytes().into()), k256_point(&key)?))
        }
        SignatureAlgorithm::Es384 => None,
    }
}

fn k256_point(key: &k256::ecdsa::SigningKey) -> Option<EcPoint> {
    EcPoint::from_sec1(key.verifying_key().to_sec1_point(false).as_bytes())
}
