//! What is limited, by how much, and what one operation takes of it.
//!
//! Owns the declarations that a back end makes from configuration. Must not hold state: that is the row's.

use std::fmt;
use std::time::Duration;

use super::{Limit, Operations, Scope};

/// What one reference operation costs. Limits are amounts of reference operations, so a limit's capacity is its amount
/// times this.
///
/// 2,520 is divisible by 1 to 10, so that the documented ratios between key types (an eighth to twofold, Azure Key
/// Vault's service limits) come out exact; any other ratio is rounded against us by less than 0.04 %.
pub const UNITS: u64 = 2520;

/// Names a meter, and so its row, over all processes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MeterId(String);

impl MeterId {
    /// The meter of one vault: its authority (`host` or `host:port`), normalised, so that no spelling gives one vault two
    /// rows. Host names compare without case (RFC 3986, section 3.2.2); a closing dot and the default port 443 say
    /// nothing.
    #[must_use]
    pub fn vault(authority: &str) -> Self {
        let lower = authority.trim().to_lowercase();
        let (host, port) = match lower.rsplit_once(':') {
            Some((host, port)) if port.chars().all(|c| c.is_ascii_digit()) => {
                (host, port.trim_start_matches('0'))
            }
            _ => (lower.as_str(), ""),
        };
        let host = host.trim_end_matches('.');
        Self(match port {
            "" | "443" => format!("vault:{host}"),
            port => format!("vault:{host}:{port}"),
        })
    }

    /// The meter that all vaults of a subscription in a region share, by its configured name.
    #[must_use]
    pub fn subscription(name: &str) -> Self {
        Self(format!("subscription:{}", name.trim().to_lowercase()))
    }

    /// As it is kept: the row's key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MeterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How long things take at most. All processes of a database use the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// D: from before transaction 1 to the last instant at which the exchange may be written, on the process's
    /// boot-time clock.
    pub attempt: Duration,
    /// M: how long after its deadline a request may still reach the vault. The transport gives up well before
    /// (`TCP_USER_TIMEOUT` at most 1.5 s), because M also covers how clocks differ over D + W + M.
    pub late: Duration,
    /// G: what a returned slot waits beyond the window. Covers boot-time clocks that run 0.5 % apart over a window
    /// and the uncertainty of a reading.
    pub guard: Duration,
    /// A reading that took longer grants nothing.
    pub slow_reading: Duration,
    /// Added to D + W + M after commits may have been lost.
    pub lost_commit_extra: Duration,
    /// How L shrinks and grows when somebody else uses the vault.
    pub ramp: Ramp,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(3),
            late: Duration::from_secs(2),
            guard: Duration::from_millis(100),
            slow_reading: Duration::from_millis(50),
            lost_commit_extra: Duration::from_millis(500),
            ramp: Ramp::default(),
        }
    }
}

/// How the effective limit reacts to refusals by the vault. Shares are in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ramp {
    /// What is left, of what we used when the vault refused.
    pub keep: u64,
    /// Never below this share of the limit.
    pub floor: u64,
    /// Nothing is granted for so long after a cut.
    pub hold: Duration,
    /// For so long after a cut the share grows by `probe` per 10 s, afterwards by `grow`.
    pub careful: Duration,
    /// Of the limit, per 10 s, while careful.
    pub probe: u64,
    /// Of the limit, per 10 s, afterwards.
    pub grow: u64,
}

impl Default for Ramp {
    fn default() -> Self {
        Self {
            keep: 900,
            floor: 100,
            hold: Duration::from_secs(1),
            careful: Duration::from_secs(30),
            probe: 10,
            grow: 50,
        }
    }
}

/// One thing that is limited: a vault, or all vaults of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meter {
    /// Its row.
    pub id: MeterId,
    /// Each of them holds. Several on the same operations may have different windows.
    pub limits: Vec<Limit>,
    /// The times that the rules use.
    pub timing: Timing,
}

impl Meter {
    /// The meter of a vault: those of the limits that count per vault.
    #[must_use]
    pub fn vault(authority: &str, limits: &[Limit]) -> Self {
        Self::new(MeterId::vault(authority), Scope::Vault, limits)
    }

    /// The meter of a subscription: those of the limits that count per subscription.
    #[must_use]
    pub fn subscription(name: &str, limits: &[Limit]) -> Self {
        Self::new(MeterId::subscription(name), Scope::Subscription, limits)
    }

    fn new(id: MeterId, scope: Scope, limits: &[Limit]) -> Self {
        let limits = limits.iter().filter(|l| l.scope == scope).copied().collect();
        Self { id, limits, timing: Timing::default() }
    }

    /// The limits on one kind of operations.
    pub fn limits_on(&self, operations: Operations) -> impl Iterator<Item = &Limit> {
        self.limits.iter().filter(move |l| l.operations == operations)
    }

    /// The longest window of any limit on these operations; `None` if nothing limits them here.
    #[must_use]
    pub fn window(&self, operations: Operations) -> Option<Duration> {
        self.limits_on(operations).map(|l| l.window).max()
    }

    /// How long nothing is granted after commits may have been lost: D + W + M and a little. Whatever was granted in
    /// a lost commit has reached the vault and left every window by then.
    #[must_use]
    pub fn lost_commit_pause(&self) -> Duration {
        let window = self.limits.iter().map(|l| l.window).max().unwrap_or_default();
        self.timing.attempt + window + self.timing.late + self.timing.lost_commit_extra
    }
}

/// What one operation takes of each limit on its kind.
///
/// A vault adds up fractions: an operation of a key type that alone could be used n times in the window costs 1/n.
/// Here one key type is the reference, whose n is the meter's limit; every other costs in proportion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Which limits it counts against.
    pub operations: Operations,
    /// How much, in [`UNITS`]ths of a reference operation.
    pub units: u64,
}

impl Cost {
    /// What the reference operation costs.
    #[must_use]
    pub const fn one(operations: Operations) -> Self {
        Self { operations, units: UNITS }
    }

    /// What an operation costs of which the vault allows `amount` where it would allow `reference` of the reference
    /// operation. Rounded up. An amount of zero means an operation that is never allowed.
    #[must_use]
    pub fn of(operations: Operations, reference: u32, amount: u32) -> Self {
        let units = match amount {
            0 => u64::MAX,
            amount => (UNITS * u64::from(reference)).div_ceil(u64::from(amount)).max(1),
        };
        Self { operations, units }
    }
}

/// Whole milliseconds, saturating.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
