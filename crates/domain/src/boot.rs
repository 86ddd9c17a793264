//! Time since the machine started, for deadlines and for measuring how much time has passed.
//!
//! Owns the words only. Wall clocks can be set; this one only goes forward and counts suspended time, so that a
//! deadline which passed while the machine slept has passed. It must not read a clock: whoever needs the present
//! asks a [`BootClock`].

use std::time::Duration;

/// Where boot time comes from. Production passes the system's clock, tests pass one that they own.
pub trait BootClock: Send + Sync + 'static {
    /// The present.
    fn now(&self) -> BootTime;

    /// Names this run of the machine: two [`BootTime`]s can be compared only if their boot ids are the same.
    fn boot_id(&self) -> String;
}

/// Nanoseconds since the machine started, suspended time included (`CLOCK_BOOTTIME`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(u64);

impl BootTime {
    /// From nanoseconds since the machine started.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the machine started.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This time plus a duration, saturating.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_time_is_so_much_later() {
        let start = BootTime::from_nanos(5);
        let later = start.plus(Duration::from_millis(3));
        assert_eq!(later.nanos(), 3_000_005);
        assert_eq!(later.since(start), Duration::from_millis(3));
        assert_eq!(start.since(later), Duration::ZERO);
        assert!(later > start);
    }

    #[test]
    fn the_end_of_time_is_not_passed() {
        let end = BootTime::from_nanos(u64::MAX);
        assert_eq!(end.plus(Duration::from_secs(1)), end);
        assert_eq!(BootTime::from_nanos(0).plus(Duration::MAX), end);
    }
}
