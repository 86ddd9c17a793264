//! An issuer's keys, fetched when needed and kept.
//!
//! Owns when to fetch: first use, age, an unknown `kid`. One fetch at a time, at most one per 30 s for unknown ids, so
//! that nobody can make us hammer an issuer by inventing ids. It must not verify tokens.

use std::sync::{Arc, PoisonError, RwLock};

use domain::{Clock, Timestamp};
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};
use url::Url;

use super::error::AuthError;
use super::jwk::{PublicKey, find, read_set};
use super::trusted::{KeySource, TokenAlgorithm};

/// Least time between two fetches because of unknown key ids, in milliseconds.
const UNKNOWN_KEY_PAUSE_MS: i64 = 30_000;
/// Least time between a failed fetch and the next, in milliseconds.
const FAILURE_PAUSE_MS: i64 = 5_000;
/// How long keys count as fresh when the issuer does not say, in seconds.
const FRESH_SECS: u64 = 3_600;
/// Bounds on what the issuer says, in seconds.
const FRESH_LEAST_SECS: u64 = 300;
const FRESH_MOST_SECS: u64 = 86_400;
/// How long keys serve while the issuer does not answer, in seconds since they were fetched.
const USABLE_SECS: i64 = 86_400;

/// The keys of one issuer. Lives in an [`Arc`], because a refresh runs on its own.
pub(super) struct KeyRing {
    source: KeySource,
    issuer: String,
    egress: egress::Client,
    clock: Arc<dyn Clock>,
    current: RwLock<Option<Arc<KeySet>>>,
    /// Holding this is the right to fetch.
    attempts: Mutex<Attempts>,
}

struct KeySet {
    keys: Vec<PublicKey>,
    fetched_at: Timestamp,
    fresh_until: Timestamp,
}

#[derive(Default)]
struct Attempts {
    last: Option<Timestamp>,
    last_failed: bool,
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("the document could not be fetched")]
    Egress(#[from] egress::EgressError),
    #[error("the discovery document is of another issuer")]
    OtherIssuer,
    #[error("the discovery document has no usable jwks_uri")]
    NoKeysAddress,
    #[error("the document is not a JWK set")]
    NotKeys,
    #[error("the last attempt failed a moment ago")]
    Pausing,
}

impl KeyRing {
    pub(super) fn new(
        source: KeySource,
        issuer: String,
        egress: egress::Client,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { source, issuer, egress, clock, current: RwLock::new(None), attempts: Mutex::default() }
    }

    /// The key for a token's `kid` and algorithm.
    pub(super) async fn key(
        self: &Arc<Self>,
        kid: Option<&str>,
        algorithm: TokenAlgorithm,
    ) -> Result<PublicKey, AuthError> {
        let set = self.usable().await?;
        if let Some(key) = find(&set.keys, kid, algorithm) {
            return Ok(key.clone());
        }
        let newer = self.newer_than(&set).await?;
        find(&newer.keys, kid, algorithm).cloned().ok_or(AuthError::UnknownKey)
    }

    async fn usable(self: &Arc<Self>) -> Result<Arc<KeySet>, AuthError> {
        let now = self.clock.now();
        if let Some(set) = self.read() {
            if now < set.fresh_until {
                return Ok(set);
            }
            if now < set.fetched_at.plus_seconds(USABLE_SECS) {
                // Nobody waits for a refresh: the old keys serve until the new ones are there.
                if self.attempts.try_lock().is_ok_and(|attempts| !attempts.pausing(now)) {
                    let ring = Arc::clone(self);
                    tokio::spawn(async move { ring.refresh().await });
                }
                return Ok(set);
            }
        }
        let attempts = self.attempts.lock().await;
        // Whoever held the lock may have fetched: one fetch serves all who waited.
        match self.read() {
            Some(set) if self.clock.now() < set.fresh_until => Ok(set),
            _ => self.fetch(attempts).await,
        }
    }

    async fn refresh(&self) {
        let Ok(attempts) = self.attempts.try_lock() else { return };
        if self.read().is_some_and(|set| self.clock.now() < set.fresh_until) {
            return;
        }
        if let Err(error) = self.fetch(attempts).await {
            tracing::debug!(issuer = self.issuer, reason = error.reason(), "keeping the issuer's old keys");
        }
    }

    /// Fetches because of an unknown key, unless somebody just did.
    async fn newer_than(&self, seen: &Arc<KeySet>) -> Result<Arc<KeySet>, AuthError> {
        let attempts = self.attempts.lock().await;
        if let Some(set) = self.read()
            && !Arc::ptr_eq(&set, seen)
        {
            return Ok(set);
        }
        if attempts.within(self.clock.now(), UNKNOWN_KEY_PAUSE_MS) {
            return Err(AuthError::UnknownKey);
        }
        self.fetch(attempts).await
    }

    async fn fetch(&self, mut attempts: MutexGuard<'_, Attempts>) -> Result<Arc<KeySet>, AuthError> {
        let now = self.clock.now();
        let outcome = if attempts.pausing(now) {
            Err(FetchError::Pausing)
        } else {
            // Noted before, too: a caller who hangs up ends the fetch but not the pause.
            attempts.last = Some(now);
            let outcome = self.load().await;
            attempts.last = Some(self.clock.now());
            attempts.last_failed = outcome.is_err();
            outcome
        };
        match outcome {
            Ok(set) => {
                let set = Arc::new(set);
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&set));
                Ok(set)
            }
            Err(FetchError::Pausing) => Err(AuthError::KeysUnavailable),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::warn!(issuer = self.issuer, %error, cause, "the keys of a token issuer are not available");
                Err(AuthError::KeysUnavailable)
            }
        }
    }

    async fn load(&self) -> Result<KeySet, FetchError> {
        let address = match &self.source {
            KeySource::Jwks(address) => address.clone(),
            KeySource::Discovery(address) => self.discover(&self.egress.get_json(address).await?.value)?,
        };
        let fetched = self.egress.get_json(&address).await?;
        let keys = read_set(&fetched.value).ok_or(FetchError::NotKeys)?;
        let fresh =
            fetched.max_age.map_or(FRESH_SECS, |age| age.as_secs().clamp(FRESH_LEAST_SECS, FRESH_MOST_SECS));
        let now = self.clock.now();
        let fresh_until = now.plus_seconds(i64::try_from(fresh).unwrap_or(USABLE_SECS));
        Ok(KeySet { keys, fetched_at: now, fresh_until })
    }

    /// The document's `issuer` has to be ours, or another issuer's document could stand in (OpenID Connect Discovery
    /// 1.0, section 4.3).
    fn discover(&self, document: &Value) -> Result<Url, FetchError> {
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        if text("issuer") != Some(self.issuer.as_str()) {
            return Err(FetchError::OtherIssuer);
        }
        text("jwks_uri").and_then(|address| address.parse().ok()).ok_or(FetchError::NoKeysAddress)
    }

    fn read(&self) -> Option<Arc<KeySet>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Attempts {
    /// Whether the last attempt failed a moment ago.
    fn pausing(&self, now: Timestamp) -> bool {
        self.last_failed && self.within(now, FAILURE_PAUSE_MS)
    }

    /// Whether the last attempt was less than this long ago. A clock that went back does not lengthen the pause.
    fn within(&self, now: Timestamp, pause_ms: i64) -> bool {
        self.last.is_some_and(|last| (0..pause_ms).contains(&now.millis().saturating_sub(last.millis())))
    }
}
