//! Points in time as milliseconds since 1970 (UTC), and the wire's spellings of them.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

/// Where the time comes from. Production passes the system clock, tests pass one that they own.
pub trait Clock: Send + Sync + 'static {
    /// The present wall-clock time.
    fn now(&self) -> Timestamp;
}

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since 1970.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From whole seconds since 1970, saturating.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down: JWT's `NumericDate` (RFC 7519, section 2).
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This time plus a number of milliseconds, saturating.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// This time plus a number of seconds, saturating.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// Parses an ISO 8601 / RFC 3339 time with offset (`2026-12-31T23:59:59.000Z`).
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let parsed = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(parsed.unix_timestamp_nanos().div_euclid(1_000_000)).ok().map(Self)
    }

    /// `2026-12-31T23:59:59.123Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let Some(at) = self.to_datetime() else { return String::new() };
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.millisecond()
        )
    }

    /// `Mon, 03 Feb 2025 10:21:33 GMT` (RFC 1123), the date of error bodies.
    #[must_use]
    pub fn to_rfc1123(self) -> String {
        self.to_datetime()
            .and_then(|at| at.format(&Rfc2822).ok())
            .map(|text| text.replace("+0000", "GMT"))
            .unwrap_or_default()
    }

    fn to_datetime(self) -> Option<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0).saturating_mul(1_000_000)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_wire_spellings() {
        let at = Timestamp::parse_rfc3339("2025-02-03T10:21:33.614Z").unwrap();
        assert_eq!(at.seconds(), 1_738_578_093);
        assert_eq!(at.to_rfc3339(), "2025-02-03T10:21:33.614Z");
        assert_eq!(at.to_rfc1123(), "Mon, 03 Feb 2025 10:21:33 GMT");
    }

    #[test]
    fn a_time_without_offset_is_refused() {
        assert!(Timestamp::parse_rfc3339("2025-02-03T10:21:33").is_none());
        assert!(Timestamp::parse_rfc3339("tomorrow").is_none());
    }
}
