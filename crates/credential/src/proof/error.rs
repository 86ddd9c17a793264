//! Why a wallet's response is refused.
//!
//! Owns the list of reasons and their labels. It must not carry values of the response.

use crate::did::DidError;
use crate::jws::JwsError;
use crate::key::KeyError;

/// A wallet's response is refused.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// Longer than [`super::LIMIT_BYTES`].
    #[error("the response is too long")]
    TooLarge,
    /// Not a compact JWS.
    #[error("the response is not a compact JWS")]
    NotAToken(#[source] JwsError),
    /// A claim has another type or shape than wallets send.
    #[error("the response's claims are malformed")]
    Malformed,
    /// No `kid`.
    #[error("the response's header has no `kid`")]
    KidMissing,
    /// `kid` is not a DID with or without fragment.
    #[error("the response's `kid` is not a DID")]
    KidMalformed(#[source] DidError),
    /// `alg` is not ES256, ES256K or EdDSA.
    #[error("the response's algorithm is not allowed")]
    AlgNotAllowed,
    /// `alg` does not fit the DID's key.
    #[error("the response's algorithm does not fit the holder's key")]
    AlgKeyMismatch,
    /// The signature is wrong.
    #[error("the response's signature is wrong")]
    BadSignature,
    /// A claim is absent.
    #[error("the response has no `{claim}`")]
    MissingClaim {
        /// The absent claim's name.
        claim: &'static str,
    },
    /// `iss` is not `https://self-issued.me`.
    #[error("the response's issuer is wrong")]
    WrongIssuer,
    /// `aud` is not the address that the wallet was told to answer to.
    #[error("the response is for another audience")]
    WrongAudience,
    /// `exp` has passed.
    #[error("the response has expired")]
    Expired,
    /// `nbf` is still to come.
    #[error("the response is not valid yet")]
    NotYetValid,
    /// `iat` lies further ahead than a wrong clock explains.
    #[error("the response was issued in the future")]
    IssuedInFuture,
    /// `jti` is empty or too long.
    #[error("the response's `jti` is empty or too long")]
    BadJti,
    /// `did` is not the DID of `kid`.
    #[error("the response's `did` is not the DID of its `kid`")]
    DidMismatch,
    /// `sub_jwk` is not a public key.
    #[error("the response's `sub_jwk` is not a public key")]
    BadSubJwk(#[source] KeyError),
    /// `sub_jwk` is not the DID's key.
    #[error("the response's `sub_jwk` is not the holder's key")]
    KeyMismatch,
    /// `sub` is not the thumbprint of `sub_jwk`.
    #[error("the response's `sub` is not the thumbprint of its key")]
    SubMismatch,
    /// More id tokens or presentations than any contract asks for.
    #[error("the response has too many attestations")]
    TooManyAttestations,
}

impl ProofError {
    /// A stable label for the ledger.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::NotAToken(_) => "not_a_token",
            Self::Malformed => "malformed",
            Self::KidMissing => "kid_missing",
            Self::KidMalformed(_) => "kid_malformed",
            Self::AlgNotAllowed => "alg_not_allowed",
            Self::AlgKeyMismatch => "alg_key_mismatch",
            Self::BadSignature => "bad_signature",
            Self::MissingClaim { .. } => "missing_claim",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::IssuedInFuture => "issued_in_future",
            Self::BadJti => "bad_jti",
            Self::DidMismatch => "did_mismatch",
            Self::BadSubJwk(_) => "bad_sub_jwk",
            Self::KeyMismatch => "key_mismatch",
            Self::SubMismatch => "sub_mismatch",
            Self::TooManyAttestations => "too_many_attestations",
        }
    }
}
