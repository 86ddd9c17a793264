//! Owns the simulator's time: the system's, or one that only tests move. Everything that lasts is measured with it, except
//! latency, which is real waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use time::OffsetDateTime;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// A point in time: nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

impl Moment {
    /// The beginning of a Unix second.
    #[must_use]
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND))
    }

    /// The whole Unix seconds, as the service writes times.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(NANOS_PER_SECOND)
    }

    /// Later by `span`.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }

    /// Earlier by `span`.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }

    /// Moved by milliseconds of either sign.
    #[must_use]
    pub fn skewed(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis.saturating_mul(1_000_000)))
    }

    /// As a calendar date, UTC.
    #[must_use]
    pub fn date(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

/// Nanoseconds of a span; the longest possible for a span that no clock will see.
pub fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

/// The simulator's clock. Clones show and move the same time.
#[derive(Debug, Clone)]
pub struct SimClock {
    base: Base,
    moved: Arc<AtomicI64>,
}

#[derive(Debug, Clone, Copy)]
enum Base {
    /// The wall clock at the start, continued by the monotonic one: a step of the system's clock would fold two limit
    /// windows into one.
    System {
        wall: i64,
        since: Instant,
    },
    Frozen(i64),
}

impl SimClock {
    /// The system's time.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the simulator's clock; it shares none with the product"
    )]
    pub fn system() -> Self {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, nanos);
        Self { base: Base::System { wall, since: Instant::now() }, moved: Arc::default() }
    }

    /// A clock that stands at `unix_seconds` until somebody advances it.
    #[must_use]
    pub fn frozen_at(unix_seconds: i64) -> Self {
        Self { base: Base::Frozen(unix_seconds.saturating_mul(NANOS_PER_SECOND)), moved: Arc::default() }
    }

    /// Moves the time forward.
    pub fn advance(&self, span: Duration) {
        self.moved.fetch_add(nanos(span), Ordering::SeqCst);
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Moment {
        let base = match self.base {
            Base::System { wall, since } => wall.saturating_add(nanos(since.elapsed())),
            Base::Frozen(at) => at,
        };
        Moment(base.saturating_add(self.moved.load(Ordering::SeqCst)))
    }
}
