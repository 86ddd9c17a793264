//! Quotas and the counters behind them: how often a client, a customer, a tenant, an address or a request may call.
//!
//! Owns the arithmetic (GCRA, by `governor`) and the memory of who called. Keys are hashed with a random seed of this
//! process, so a counter costs the same whatever a caller calls itself. Must not know HTTP, the ledger or the database.

use std::hash::{Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota as Cells, RateLimiter};

/// Keys that one counter remembers by themselves. Beyond it, callers share [`SHARED`] places until some have left.
const REMEMBERED: usize = 65_536;

/// Places that callers share while a counter is crowded.
const SHARED: u64 = 4_096;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Calls without a login, by address: wallets, browsers, DID resolvers.
    Address,
    /// Calls of the Request Service API, by address, before their access token is looked at.
    FrontEndAddress,
    /// Calls of the built-in token endpoint, by address: comparing a secret is meant to be slow.
    TokenAddress,
    /// Wallets' calls about one issuance request.
    Request,
    /// Accepted access tokens, by client.
    Client,
    /// The same by customer of a client. A customer's name is the client's own text, so one client cannot use up what
    /// another client's customer of the same name may.
    Customer,
    /// The same by tenant.
    Tenant,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Address,
        Self::FrontEndAddress,
        Self::TokenAddress,
        Self::Request,
        Self::Client,
        Self::Customer,
        Self::Tenant,
    ];

    /// The name, as in the configuration and in the ledger.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::FrontEndAddress => "front_end_address",
            Self::TokenAddress => "token_address",
            Self::Request => "request",
            Self::Client => "client",
            Self::Customer => "customer",
            Self::Tenant => "tenant",
        }
    }
}

/// A rate that may be exceeded for a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Calls per minute, evenly spread.
    pub per_minute: NonZeroU32,
    /// Calls at once after a quiet spell.
    pub burst: NonZeroU32,
}

impl Quota {
    /// This process' share when calls are spread over `replicas`; never less than one.
    #[must_use]
    pub fn share(self, replicas: NonZeroU32) -> Self {
        let part = |whole: NonZeroU32| {
            NonZeroU32::new(whole.get().div_ceil(replicas.get())).unwrap_or(NonZeroU32::MIN)
        };
        Self { per_minute: part(self.per_minute), burst: part(self.burst) }
    }

    fn cells(self) -> Cells {
        let nanos = 60_000_000_000 / u64::from(self.per_minute.get());
        Cells::with_period(Duration::from_nanos(nanos))
            .unwrap_or_else(|| Cells::per_minute(self.per_minute))
            .allow_burst(self.burst)
    }
}

type Counter<C> = RateLimiter<u64, DashMapStateStore<u64>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// One kind's counters.
struct Counters<C: Clock> {
    by_key: Counter<C>,
    shared: Counter<C>,
    crowded: AtomicBool,
}

impl<C: Clock + Clone> Counters<C> {
    fn new(quota: Quota, clock: C) -> Self {
        Self {
            by_key: RateLimiter::dashmap_with_clock(quota.cells(), clock.clone()),
            shared: RateLimiter::dashmap_with_clock(quota.cells(), clock),
            crowded: AtomicBool::new(false),
        }
    }

    fn take(&self, key: u64) -> Result<(), Duration> {
        let (counter, key) = if self.crowded.load(Ordering::Relaxed) {
            (&self.shared, key % SHARED)
        } else {
            (&self.by_key, key)
        };
        counter.check_key(&key).map_err(|until| until.wait_time_from(counter.clock().now()))
    }

    /// Drops whoever is gone: a counter that is full again is the same as none.
    fn tidy(&self) {
        self.by_key.retain_recent();
        self.shared.retain_recent();
        let crowded = self.by_key.len() > REMEMBERED;
        if !crowded {
            self.by_key.shrink_to_fit();
        }
        self.crowded.store(crowded, Ordering::Relaxed);
    }
}

/// All counters of this process.
pub struct Limits<C: Clock = DefaultClock> {
    seed: RandomState,
    counters: Vec<(Kind, Counters<C>)>,
}

impl Limits {
    /// Counters for these quotas; a kind without one is not limited.
    #[must_use]
    pub fn new(quotas: &[(Kind, Quota)]) -> Self {
        Self::with_clock(quotas, &DefaultClock::default())
    }
}

impl<C: Clock + Clone> Limits<C> {
    /// The same by another clock.
    pub fn with_clock(quotas: &[(Kind, Quota)], clock: &C) -> Self {
        let counters = |(kind, quota): &(Kind, Quota)| (*kind, Counters::new(*quota, clock.clone()));
        Self { seed: RandomState::new(), counters: quotas.iter().map(counters).collect() }
    }

    /// Takes one call of `key` off its quota.
    ///
    /// # Errors
    /// How long it has to wait when its quota is used up; a refused call takes nothing.
    pub fn take(&self, kind: Kind, key: impl Hash) -> Result<(), Duration> {
        match self.counters.iter().find(|(known, _)| *known == kind) {
            Some((_, counters)) => {
                use std::hash::BuildHasher as _;
                counters.take(self.seed.hash_one(key))
            }
            None => Ok(()),
        }
    }

    /// Forgets who is gone. To be called every second or so: between two calls the memory grows by what comes anew.
    pub fn tidy(&self) {
        for (_, counters) in &self.counters {
            counters.tidy();
        }
    }

    /// Callers that are remembered.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.counters.iter().map(|(_, counters)| counters.by_key.len() + counters.shared.len()).sum()
    }
}

#[cfg(test)]
mod tests;
