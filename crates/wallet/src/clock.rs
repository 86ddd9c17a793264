//! The only place that reads the clock. Every other function takes the time as an argument, in seconds since 1970.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Seconds by which clocks may disagree: what the iOS library allows on `exp` and Microsoft's validator on `exp` and `nbf`.
pub const LEEWAY_SECS: i64 = 300;

/// The system's time in seconds since 1970.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this crate that asks the system for the time"
)]
pub fn system_now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// RFC 3339 text of a time in seconds since 1970, or the number itself where no calendar date exists for it.
#[must_use]
pub fn rfc3339(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_else(|| seconds.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_any_number() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(i64::MAX), i64::MAX.to_string());
        assert!(system_now() > 1_700_000_000);
    }
}
