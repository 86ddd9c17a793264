//! From an `Authorization` header to a [`Caller`].
//!
//! Owns the order of the checks. It must not know HTTP beyond the header's value.

use std::sync::Arc;

use domain::Clock;
use serde_json::Value;

use super::Caller;
use super::accepted::{Accepted, Fingerprint};
use super::builtin::BuiltinIssuer;
use super::error::AuthError;
use super::jwk::{PublicKey, find};
use super::keys::KeyRing;
use super::token::{Compact, accept, bearer, claim};
use super::trusted::{TokenAlgorithm, TrustedIssuer};

/// Authenticates callers of the Request Service API. One per process, shared by all workers.
pub struct Authenticator {
    sources: Vec<Source>,
    accepted: Accepted,
    clock: Arc<dyn Clock>,
}

struct Source {
    trusted: TrustedIssuer,
    keys: Keys,
}

enum Keys {
    /// Fetched from the issuer.
    Ring(Arc<KeyRing>),
    /// The built-in issuer's own.
    Own([PublicKey; 1]),
}

impl Authenticator {
    /// An authenticator for these issuers. When several match a token, the first decides.
    #[must_use]
    pub fn new(
        trusted: Vec<TrustedIssuer>,
        builtin: Option<Arc<BuiltinIssuer>>,
        egress: egress::Client,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let own = builtin
            .map(|builtin| Source { trusted: builtin.as_trusted(), keys: Keys::Own([builtin.public_key()]) });
        let others = trusted.into_iter().map(|trusted| {
            let ring = KeyRing::new(
                trusted.keys.clone(),
                trusted.issuer.clone(),
                egress.clone(),
                Arc::clone(&clock),
            );
            Source { trusted, keys: Keys::Ring(Arc::new(ring)) }
        });
        let sources = own.into_iter().chain(others).collect();
        Self { sources, accepted: Accepted::default(), clock }
    }

    /// Authenticates the value of an `Authorization` header. A token accepted within the last five minutes costs one
    /// hash and one look-up.
    ///
    /// # Errors
    /// [`AuthError`], never `MissingRole`: which role is needed is the route's business.
    pub async fn authenticate(&self, authorization_header: Option<&str>) -> Result<Caller, AuthError> {
        let token = bearer(authorization_header)?;
        let fingerprint = Fingerprint::of(token);
        if let Some(caller) = self.accepted.get(&fingerprint, self.clock.now()) {
            return Ok(caller);
        }
        let (caller, expires) = self.verify(token).await?;
        self.accepted.put(fingerprint, caller.clone(), expires, self.clock.now());
        Ok(caller)
    }

    async fn verify(&self, token: &str) -> Result<(Caller, domain::Timestamp), AuthError> {
        let compact = Compact::parse(token)?;
        let iss = compact.issuer().ok_or(AuthError::UnknownIssuer)?;
        let (source, tenant) = self
            .sources
            .iter()
            .map(|source| {
                (source, claim(&compact.claims, &source.trusted.tenant_claim).and_then(Value::as_str))
            })
            .find(|(source, tenant)| source.trusted.issues(iss, *tenant))
            .ok_or(AuthError::UnknownIssuer)?;
        if !source.trusted.algorithms.contains(&compact.algorithm) {
            return Err(AuthError::AlgorithmNotAllowed);
        }
        let key = source.keys.key(compact.kid.as_deref(), compact.algorithm).await?;
        if !key.is_for(iss, tenant) {
            return Err(AuthError::UnknownKey);
        }
        if !key.verifies(compact.algorithm, compact.signing_input.as_bytes(), &compact.signature) {
            return Err(AuthError::BadSignature);
        }
        accept(&compact.claims, &source.trusted, self.clock.now())
    }
}

impl Keys {
    async fn key(&self, kid: Option<&str>, algorithm: TokenAlgorithm) -> Result<PublicKey, AuthError> {
        match self {
            Self::Ring(ring) => ring.key(kid, algorithm).await,
            Self::Own(keys) => find(keys, kid, algorithm).cloned().ok_or(AuthError::UnknownKey),
        }
    }
}

#[cfg(test)]
mod tests;
