//! Header fields: which ones callers may send, and the two that we read from answers.
//!
//! Owns those rules. It must not touch the network.

use std::time::Duration;

use reqwest::header::{AGE, CACHE_CONTROL, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::error::HeaderRefusal;

/// Fields that frame or route the message (RFC 9110, sections 7.2, 7.6.1, 8.6, 10.1.1; RFC 9112, section 6).
const RESERVED: [&str; 13] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "http2-settings",
];

/// Longest delay that a `Retry-After` or `max-age` can ask for: one day.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Whether a front end may name this header for its callbacks.
///
/// # Errors
/// [`HeaderRefusal`]: not a header, or one that frames or routes the message. `content-type`, `user-agent`, `accept`
/// and `accept-encoding` pass, but ours are sent instead.
pub fn check_header(name: &str, value: &str) -> Result<(), HeaderRefusal> {
    header(name, value).map(drop)
}

pub(crate) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), HeaderRefusal> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_source| HeaderRefusal::Malformed)?;
    let mut value = HeaderValue::from_str(value).map_err(|_source| HeaderRefusal::Malformed)?;
    if RESERVED.contains(&name.as_str()) {
        return Err(HeaderRefusal::Reserved);
    }
    // Callback headers carry API keys: sensitive values stay out of debug output.
    value.set_sensitive(true);
    Ok((name, value))
}

/// Whether a header of the caller gives way to ours.
pub(crate) fn is_ours(name: &HeaderName) -> bool {
    matches!(name.as_str(), "content-type" | "user-agent" | "accept" | "accept-encoding")
}

/// How long the answer may be reused (RFC 9111, section 4.2): `max-age` less `Age`, at most a day. `no-store` and
/// `no-cache` give zero. `None` when the answer does not say.
pub(crate) fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let mut found = None;
    for field in headers.get_all(CACHE_CONTROL) {
        for directive in field.to_str().unwrap_or_default().split(',') {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            let name = name.trim();
            if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
                return Some(Duration::ZERO);
            }
            if name.eq_ignore_ascii_case("max-age") {
                // Unreadable counts as stale (RFC 9111, section 4.2.1).
                found = Some(seconds(value.trim().trim_matches('"')).unwrap_or(Duration::ZERO));
            }
        }
    }
    let age = headers.get(AGE).and_then(|age| seconds(age.to_str().ok()?.trim())).unwrap_or(Duration::ZERO);
    found.map(|found: Duration| found.saturating_sub(age))
}

/// How long the other side asks to wait (RFC 9110, section 10.2.3), at most a day. A date counts from the answer's own
/// `Date`, so that no clock of ours comes in.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Some(delay) = seconds(text) {
        return Some(delay);
    }
    let until = date(text)?;
    let from = date(headers.get(DATE)?.to_str().ok()?.trim())?;
    Some(Duration::try_from(until - from).unwrap_or(Duration::ZERO).min(LONGEST))
}

fn seconds(text: &str) -> Option<Duration> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // More digits than a u64 holds is "very long", not nothing.
    Some(text.parse().map_or(LONGEST, Duration::from_secs).min(LONGEST))
}

fn date(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc2822).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        map
    }

    #[test]
    fn reserved_and_malformed_headers_are_refused() {
        for name in RESERVED {
            assert_eq!(check_header(&name.to_uppercase(), "x"), Err(HeaderRefusal::Reserved), "{name}");
        }
        for (name, value) in
            [("", "x"), ("a b", "x"), ("a:", "x"), ("a", "x\r\nb: y"), ("a", "x\0"), ("ä", "x")]
        {
            assert_eq!(check_header(name, value), Err(HeaderRefusal::Malformed), "{name:?} {value:?}");
        }
        assert_eq!(check_header("Api-Key", "s3cret"), Ok(()));
        assert_eq!(check_header("Authorization", "Bearer x"), Ok(()));
    }

    #[test]
    fn freshness_is_read() {
        let secs = |n| Some(Duration::from_secs(n));
        for (fields, expected) in [
            (vec![], None),
            (vec![("cache-control", "public")], None),
            (vec![("cache-control", "public, Max-Age=600")], secs(600)),
            (vec![("cache-control", "max-age=\"60\"")], secs(60)),
            (vec![("cache-control", "max-age=600"), ("age", "100")], secs(500)),
            (vec![("cache-control", "max-age=60"), ("age", "100")], secs(0)),
            (vec![("cache-control", "max-age=600, no-cache")], secs(0)),
            (vec![("cache-control", "max-age=600"), ("cache-control", "no-store")], secs(0)),
            (vec![("cache-control", "max-age=x")], secs(0)),
            (vec![("cache-control", "max-age=99999999999999999999999")], secs(86_400)),
        ] {
            assert_eq!(max_age(&map(&fields)), expected, "{fields:?}");
        }
    }

    #[test]
    fn the_wished_delay_is_read() {
        let secs = |n| Some(Duration::from_secs(n));
        let sent = ("date", "Mon, 03 Feb 2025 10:21:33 GMT");
        for (fields, expected) in [
            (vec![], None),
            (vec![("retry-after", "7")], secs(7)),
            (vec![("retry-after", "-7")], None),
            (vec![("retry-after", "99999999999999999999999")], secs(86_400)),
            (vec![("retry-after", "Mon, 03 Feb 2025 10:22:33 GMT"), sent], secs(60)),
            (vec![("retry-after", "Mon, 03 Feb 2025 10:20:33 GMT"), sent], secs(0)),
            (vec![("retry-after", "Mon, 03 Feb 2025 10:22:33 GMT")], None),
            (vec![("retry-after", "soon"), sent], None),
        ] {
            assert_eq!(retry_after(&map(&fields)), expected, "{fields:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_fields_do_no_harm(value in "[ -~]{0,40}", other in "[ -~]{0,40}") {
            let headers = map(&[
                ("cache-control", &value), ("age", &other), ("retry-after", &value), ("date", &other),
            ]);
            prop_assert!(max_age(&headers).is_none_or(|age| age <= LONGEST));
            prop_assert!(retry_after(&headers).is_none_or(|delay| delay <= LONGEST));
            let known = [Ok(()), Err(HeaderRefusal::Malformed), Err(HeaderRefusal::Reserved)];
            prop_assert!(known.contains(&check_header(&value, &other)));
        }
    }
}
