//! Verification of the suite's signatures with libraries that no back end signs P-256 with.

use domain::SignatureAlgorithm;
use domain::key::EcPoint;
use p256::ecdsa::signature::hazmat::PrehashVerifier;

/// Whether a raw signature over a digest verifies under a public key. On secp256k1 a high `s` counts as valid: not
/// every back end normalises it.
pub(super) fn verifies(
    algorithm: SignatureAlgorithm,
    public: &EcPoint,
    digest: &[u8],
    signature: &[u8],
) -> bool {
    let public = public.to_sec1();
    match algorithm {
        SignatureAlgorithm::Es256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(&public)
            .and_then(|key| key.verify_prehash(digest, &p256::ecdsa::Signature::from_slice(signature)?))
            .is_ok(),
        SignatureAlgorithm::Es256k => k256::ecdsa::VerifyingKey::from_sec1_bytes(&public)
            .and_then(|key| {
                let signature = k256::ecdsa::Signature::from_slice(signature)?;
                key.verify_prehash(digest, &signature.normalize_s())
            })
            .is_ok(),
        SignatureAlgorithm::Es384 => p384::ecdsa::VerifyingKey::from_sec1_bytes(&public)
            .and_then(|key| key.verify_prehash(digest, &p384::ecdsa::Signature::from_slice(signature)?))
            .is_ok(),
    }
}

/// Whether a point is on its curve.
pub(super) fn is_public_key(algorithm: SignatureAlgorithm, public: &EcPoint) -> bool {
    let public = public.to_sec1();
    match algorithm {
        SignatureAlgorithm::Es256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(&public).is_ok(),
        SignatureAlgorithm::Es256k => k256::ecdsa::VerifyingKey::from_sec1_bytes(&public).is_ok(),
        SignatureAlgorithm::Es384 => p384::ecdsa::VerifyingKey::from_sec1_bytes(&public).is_ok(),
    }
}
