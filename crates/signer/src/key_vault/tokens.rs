//! The vault's access token: kept, renewed early, by one caller at a time.
//!
//! Owns the token in memory and when it is renewed. It must not decide where tokens come from: a [`TokenSource`] does.
//!
//! A token is renewed after a random 50 to 80 % of its life, so that replicas do not ask at the same time. The old one
//! is used meanwhile, and as long as it lives if the endpoint is down. Only without any good token does a caller wait.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use domain::{Clock, Timestamp};
use tokio::sync::{Mutex, OwnedMutexGuard};
use zeroize::Zeroizing;

use crate::error::{Cause, SignErrorKind, TokenProblem};

/// Not used in its last seconds: it has to live until the vault has seen it.
const LAST_SECONDS: i64 = 15_000;
/// How long a failure is believed before the endpoint is asked again. The machine's identity endpoint takes five
/// requests per second.
const FAILURE_PAUSE: i64 = 1_000;
/// The same while the old token still lives.
const EARLY_FAILURE_PAUSE: i64 = 30_000;
/// A token is new for so long: one that is refused within this time is not refused for its age, and another one would
/// not help. Also bounds how often refusals lead to new tokens.
const FRESH: i64 = 2_000;

/// A token as its source gives it.
pub(super) struct Issued {
    pub(super) secret: Zeroizing<String>,
    pub(super) expires_at: Timestamp,
}

/// Why a source gave none. Cheap to copy: every waiter gets it.
#[derive(Debug, Clone)]
pub(super) struct NoToken {
    pub(super) why: TokenProblem,
    pub(super) source: Arc<dyn std::error::Error + Send + Sync>,
}

/// The shared cause, so that it can stand in several errors.
#[derive(Debug, thiserror::Error)]
#[error("no token was issued")]
struct SharedCause(#[source] Arc<dyn std::error::Error + Send + Sync>);

impl From<NoToken> for SignErrorKind {
    fn from(none: NoToken) -> Self {
        Self::NoToken { why: none.why, source: Cause::from(SharedCause(none.source)) }
    }
}

/// Where tokens come from.
#[async_trait]
pub(super) trait TokenSource: Send + Sync + fmt::Debug {
    /// A new token; never one that the source kept from an earlier call.
    async fn issue(&self) -> Result<Issued, NoToken>;
}

/// A good token, for one exchange.
#[derive(Clone)]
pub(super) struct Token {
    secret: Arc<Zeroizing<String>>,
    serial: u64,
    fresh: bool,
}

impl Token {
    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    /// Whether it was issued a moment ago.
    pub(super) const fn is_fresh(&self) -> bool {
        self.fresh
    }
}

struct Held {
    token: Token,
    issued_at: Timestamp,
    expires_at: Timestamp,
    renew_at: Timestamp,
}

struct Failure {
    none: NoToken,
    until: Timestamp,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    failure: Option<Failure>,
}

/// The token of one vault.
pub(super) struct Tokens {
    source: Arc<dyn TokenSource>,
    clock: Arc<dyn Clock>,
    state: RwLock<State>,
    renewing: Arc<Mutex<()>>,
    serial: AtomicU64,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Tokens {
    pub(super) fn new(source: Arc<dyn TokenSource>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            source,
            clock,
            state: RwLock::default(),
            renewing: Arc::default(),
            serial: AtomicU64::new(0),
        })
    }

    /// A good token: the one that is there, or a new one.
    pub(super) async fn current(self: &Arc<Self>) -> Result<Token, SignErrorKind> {
        if let Some((token, wants_renewal)) = self.held() {
            if wants_renewal && let Ok(guard) = self.renewing.clone().try_lock_owned() {
                let tokens = self.clone();
                // Nobody waits for it: the old token serves.
                drop(tokio::spawn(async move { tokens.renew(guard).await }));
            }
            return Ok(token);
        }
        let guard = self.renewing.clone().lock_owned().await;
        // Whoever held the lock has brought one, or knows that there is none.
        if let Some((token, _)) = self.held() {
            return Ok(token);
        }
        if let Some(none) = self.recent_failure() {
            return Err(none.into());
        }
        let tokens = self.clone();
        // In a task of its own: a caller whose deadline passes must not throw the answer away.
        let renewed = tokio::spawn(async move { tokens.renew(guard).await }).await;
        let renewed = renewed.map_err(|source| SignErrorKind::NoToken {
            why: TokenProblem::Unavailable,
            source: source.into(),
        })?;
        Ok(renewed?)
    }

    /// Takes a token that the vault refused out of use, unless it is new or was replaced already.
    pub(super) fn refuse(&self, token: &Token) {
        if token.fresh {
            return;
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.held.as_ref().is_some_and(|held| held.token.serial == token.serial) {
            state.held = None;
        }
    }

    /// The token that is there, if it is good, and whether it is time for a new one.
    fn held(&self) -> Option<(Token, bool)> {
        let now = self.clock.now();
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let held = state.held.as_ref()?;
        if now.plus_millis(LAST_SECONDS) >= held.expires_at {
            return None;
        }
        let fresh = now < held.issued_at.plus_millis(FRESH);
        Some((Token { fresh, ..held.token.clone() }, now >= held.renew_at))
    }

    fn recent_failure(&self) -> Option<NoToken> {
        let now = self.clock.now();
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.failure.as_ref().filter(|failure| now < failure.until).map(|failure| failure.none.clone())
    }

    async fn renew(self: Arc<Self>, _guard: OwnedMutexGuard<()>) -> Result<Token, NoToken> {
        let issued = self.source.issue().await;
        let now = self.clock.now();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match issued {
            Ok(issued) => {
                let token = Token {
                    secret: Arc::new(issued.secret),
                    serial: self.serial.fetch_add(1, Ordering::Relaxed),
                    fresh: true,
                };
                let renew_at = renewal(now, issued.expires_at, share());
                state.failure = None;
                state.held = Some(Held {
                    token: token.clone(),
                    issued_at: now,
                    expires_at: issued.expires_at,
                    renew_at,
                });
                Ok(token)
            }
            Err(none) => {
                tracing::warn!(why = ?none.why, error = %none.source, "no access token for the vault");
                if let Some(held) = &mut state.held {
                    held.renew_at = now.plus_millis(EARLY_FAILURE_PAUSE);
                }
                state.failure = Some(Failure { none: none.clone(), until: now.plus_millis(FAILURE_PAUSE) });
                Err(none)
            }
        }
    }
}

/// 50 to 80 per cent, at random.
fn share() -> i64 {
    let mut byte = [0; 1];
    // Without randomness every replica renews at half time, which is allowed too.
    let [random] = aws_lc_rs::rand::fill(&mut byte).map_or([0], |()| byte);
    let random = i64::from(random);
    50 + random * 30 / 255
}

/// When a token that was issued at `from` is renewed.
fn renewal(from: Timestamp, expires_at: Timestamp, per_cent: i64) -> Timestamp {
    let life = expires_at.millis().saturating_sub(from.millis()).max(0);
    from.plus_millis((life / 100).saturating_mul(per_cent))
}

#[cfg(test)]
mod tests;
