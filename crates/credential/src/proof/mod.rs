//! The wallet's issuance response: a token signed by the holder that proves the key and carries what the contract asks for.
//!
//! Owns the rules by which it is believed (RFC 7519, and what Microsoft's server-side validation checks).
//! It must not decide what only the service knows: whether the `jti` was seen, the PIN is right, the contract is ours
//! or an attestation holds.

mod claims;
mod error;

use std::collections::BTreeMap;
use std::fmt;

use domain::contract::SELF_ISSUED;
use domain::{Did, Timestamp};

pub use error::ProofError;

use crate::did::DidUrl;
use crate::jws::{Compact, Header, JwsError};
use crate::key::{Coordinates, PublicKey, SignatureError};
use claims::Claims;

/// Longest response that is read, in bytes.
pub const LIMIT_BYTES: usize = 1 << 20;

/// How far a wallet's clock may be off, in seconds. Android wallets compute their times through 32-bit floats and are up
/// to 129 s off on top of their clock; Microsoft's own validator allows this much.
pub const SKEW_SECS: i64 = 300;

/// Longest `jti`, in characters.
pub const JTI_LIMIT: usize = 256;

/// Most id tokens and presentations in one response, as Microsoft's validator has it.
const ID_TOKENS_LIMIT: usize = 5;
const PRESENTATIONS_LIMIT: usize = 10;
const ALGORITHMS: [&str; 3] = ["ES256", "ES256K", "EdDSA"];

/// A response whose form is right and whose signature nobody has checked.
#[derive(Debug)]
pub struct Unverified {
    header: Header,
    kid: String,
    signing_input: String,
    signature: Vec<u8>,
    claims: Claims,
}

/// What a response is held against.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The contract's `credentialIssuer`, verbatim.
    pub audience: &'a str,
    /// The present time.
    pub now: Timestamp,
    /// Tolerance for `exp`, `nbf` and `iat` in seconds; [`SKEW_SECS`] unless a test says otherwise.
    pub skew_secs: i64,
}

/// A response that is proven to come from the holder of the DID's key. `Debug` shows no claim values.
#[derive(Clone, PartialEq, Eq)]
pub struct Proof {
    /// The holder's DID; the subject of the credential.
    pub holder_did: Did,
    /// RFC 7638 thumbprint of the holder's key; what a request is bound to.
    pub key_thumbprint: String,
    /// The algorithm of the response: `ES256`, `ES256K` or `EdDSA`.
    pub algorithm: &'static str,
    /// The response's own id; single-use until it expires.
    pub jti: String,
    /// `iat`; may lie up to the skew in the future.
    pub issued_at: Timestamp,
    /// `exp`, without skew.
    pub expires_at: Timestamp,
    /// The manifest address that the wallet was given.
    pub contract: String,
    /// What the wallet made of salt and PIN (see [`crate::pin::wallet_value`]).
    pub pin: Option<String>,
    /// The `id_token_hint`, unopened.
    pub hint: Option<String>,
    /// What the person typed.
    pub self_issued: BTreeMap<String, String>,
    /// Kinds of attestations present besides hint and self-issued claims: `accessTokens`, `idTokens`, `presentations`, or
    /// a kind that is not known here.
    pub other_attestations: Vec<String>,
}

impl Unverified {
    /// Reads a request body: one compact JWS and nothing else.
    ///
    /// # Errors
    /// The [`ProofError`] that names what is wrong with its form.
    pub fn parse(body: &str) -> Result<Self, ProofError> {
        let token = Compact::parse(body, LIMIT_BYTES).map_err(|error| match error {
            JwsError::TooLarge => ProofError::TooLarge,
            source => ProofError::NotAToken(source),
        })?;
        let header = token.header().clone();
        let kid = header.kid.clone().ok_or(ProofError::KidMissing)?;
        DidUrl::parse(&kid).map_err(ProofError::KidMalformed)?;
        let claims = Claims::read(token.payload())?;
        Ok(Self {
            header,
            kid,
            signing_input: token.signing_input().to_owned(),
            signature: token.signature().to_vec(),
            claims,
        })
    }

    /// The DID and the fragment of `kid`, for resolution. Some wallets send the DID alone.
    #[must_use]
    pub fn holder(&self) -> (&str, Option<&str>) {
        match self.kid.split_once('#') {
            Some((did, fragment)) => (did, Some(fragment)),
            None => (&self.kid, None),
        }
    }

    /// The manifest address that the sender names. Unverified: it may only choose against what the response is checked.
    #[must_use]
    pub fn contract(&self) -> Option<&str> {
        self.claims.contract.as_deref()
    }

    /// The `id_token_hint`, unopened and unverified, for the same use.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.claims.attestations.hint.as_deref()
    }

    /// Kinds of attestations besides hint and self-issued claims, unverified.
    #[must_use]
    pub fn other_attestations(&self) -> &[String] {
        &self.claims.attestations.others
    }

    /// Checks the rules that need no key, so that nothing is fetched for a response that is refused anyway.
    /// [`verify`](Self::verify) checks them again with the rest.
    ///
    /// # Errors
    /// The [`ProofError`] of the first rule that is broken.
    pub fn check(&self, expected: &Expected<'_>) -> Result<(), ProofError> {
        self.check_algorithm()?;
        let claims = &self.claims;
        require(claims.iss.as_deref(), "iss", |iss| iss == SELF_ISSUED, ProofError::WrongIssuer)?;
        require(claims.aud.as_deref(), "aud", |aud| aud == expected.audience, ProofError::WrongAudience)?;
        check_times(claims.iat, claims.exp, claims.nbf, expected)?;
        let right_jti = |jti: &str| !jti.is_empty() && jti.chars().count() <= JTI_LIMIT;
        require(claims.jti.as_deref(), "jti", right_jti, ProofError::BadJti)?;
        require(claims.did.as_deref(), "did", |did| did == self.holder().0, ProofError::DidMismatch)?;
        Ok(())
    }

    /// Not part of [`parse`](Self::parse), so that such a response still says which request it was meant for.
    fn check_algorithm(&self) -> Result<(), ProofError> {
        if ALGORITHMS.contains(&self.header.alg.as_str()) { Ok(()) } else { Err(ProofError::AlgNotAllowed) }
    }

    /// Checks every rule under the key to which the DID was resolved.
    ///
    /// # Errors
    /// The [`ProofError`] of the first rule that is broken. The signature comes last: it costs most, and the other checks
    /// reveal nothing that the sender does not know.
    pub fn verify(self, key: &PublicKey, expected: &Expected<'_>) -> Result<Proof, ProofError> {
        self.check_algorithm()?;
        let algorithm = key.kind().jose_name();
        if self.header.alg != algorithm {
            return Err(ProofError::AlgKeyMismatch);
        }
        self.check(expected)?;
        let Self { signing_input, signature, claims, .. } = self;
        let (issued_at, expires_at) = check_times(claims.iat, claims.exp, claims.nbf, expected)?;
        let did = claims.did.ok_or(ProofError::MissingClaim { claim: "did" })?;
        let jti = claims.jti.ok_or(ProofError::MissingClaim { claim: "jti" })?;
        let contract = claims.contract.ok_or(ProofError::MissingClaim { claim: "contract" })?;

        let sub_jwk = claims.sub_jwk.ok_or(ProofError::MissingClaim { claim: "sub_jwk" })?;
        let sub_jwk = Coordinates::from_jwk(&sub_jwk).map_err(ProofError::BadSubJwk)?;
        // Equal coordinates are what equal thumbprints stand for.
        if sub_jwk != *key.coordinates() {
            return Err(ProofError::KeyMismatch);
        }
        let key_thumbprint = key.thumbprint();
        let names_key = |sub: &str| {
            sub == key_thumbprint || sub_jwk.thumbprint_vault_spelling().is_some_and(|other| sub == other)
        };
        require(claims.sub.as_deref(), "sub", names_key, ProofError::SubMismatch)?;

        if claims.attestations.id_tokens > ID_TOKENS_LIMIT
            || claims.attestations.presentations > PRESENTATIONS_LIMIT
        {
            return Err(ProofError::TooManyAttestations);
        }
        key.verify(algorithm, signing_input.as_bytes(), &signature).map_err(|error| match error {
            SignatureError::AlgorithmMismatch => ProofError::AlgKeyMismatch,
            SignatureError::Length | SignatureError::Invalid => ProofError::BadSignature,
        })?;
        Ok(Proof {
            holder_did: Did::new(did),
            key_thumbprint,
            algorithm,
            jti,
            issued_at,
            expires_at,
            contract,
            pin: claims.pin,
            hint: claims.attestations.hint,
            self_issued: claims.attestations.self_issued,
            other_attestations: claims.attestations.others,
        })
    }
}

fn require(
    value: Option<&str>,
    claim: &'static str,
    rule: impl FnOnce(&str) -> bool,
    broken: ProofError,
) -> Result<(), ProofError> {
    if rule(value.ok_or(ProofError::MissingClaim { claim })?) { Ok(()) } else { Err(broken) }
}

/// `exp` + skew > now, `nbf` − skew ≤ now, `iat` − skew ≤ now. Gives `iat` and `exp`.
fn check_times(
    iat: Option<Timestamp>,
    exp: Option<Timestamp>,
    nbf: Option<Timestamp>,
    expected: &Expected<'_>,
) -> Result<(Timestamp, Timestamp), ProofError> {
    let iat = iat.ok_or(ProofError::MissingClaim { claim: "iat" })?;
    let exp = exp.ok_or(ProofError::MissingClaim { claim: "exp" })?;
    let latest_start = expected.now.plus_seconds(expected.skew_secs);
    if exp.plus_seconds(expected.skew_secs) <= expected.now {
        return Err(ProofError::Expired);
    }
    if nbf.is_some_and(|nbf| nbf > latest_start) {
        return Err(ProofError::NotYetValid);
    }
    if iat > latest_start {
        return Err(ProofError::IssuedInFuture);
    }
    Ok((iat, exp))
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof")
            .field("holder_did", &self.holder_did)
            .field("key_thumbprint", &self.key_thumbprint)
            .field("algorithm", &self.algorithm)
            .field("jti", &self.jti)
            .field("issued_at", &self.issued_at)
            .field("expires_at", &self.expires_at)
            .field("contract", &self.contract)
            .field("pin", &self.pin.as_ref().map(|_| "…"))
            .field("hint", &self.hint.as_ref().map(|_| "…"))
            .field("self_issued", &self.self_issued.len())
            .field("other_attestations", &self.other_attestations)
            .finish()
    }
}

#[cfg(test)]
mod tests;
