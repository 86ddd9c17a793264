//! What a vault's answer means when it is not the one that was asked for.
//!
//! Owns the translation of statuses and codes (`docs` of the vault, collected in the specification's table of errors)
//! into [`SignErrorKind`]. It must not look at messages: they change, and they name identities.

use std::time::Duration;

use azure_core::http::headers::{HeaderName, Headers, RETRY_AFTER};
use azure_core::time::{OffsetDateTime, parse_rfc7231};
use domain::Timestamp;
use serde_json::Value;

use crate::error::{Denial, InvalidResponse, SignError, SignErrorKind};
use crate::receipt::Receipt;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
const REGION: HeaderName = HeaderName::from_static("x-ms-keyvault-region");
const SERVICE_VERSION: HeaderName = HeaderName::from_static("x-ms-keyvault-service-version");
const DATE: HeaderName = HeaderName::from_static("date");

/// A vault's 429 names no time. Its windows have 10 s, but others may take less by then.
const THROTTLED_PAUSE: Duration = Duration::from_secs(1);
/// Longer than any window; a wrong clock must not stop signing for a day.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Codes nest once in practice.
const DEEPEST: usize = 8;

/// A status that says that the vault is out of order.
#[derive(Debug, thiserror::Error)]
#[error("the vault answered with status {status} and code {code:?}")]
struct OutOfOrder {
    status: u16,
    code: Option<String>,
}

/// What the head says about the exchange.
pub(super) fn receipt(status: u16, headers: &Headers) -> Receipt {
    let keep = |name| headers.get_optional_str(name).and_then(Receipt::keepable);
    Receipt {
        provider_request_id: keep(&REQUEST_ID),
        status: Some(status),
        region: keep(&REGION),
        service_version: keep(&SERVICE_VERSION),
        server_time: date(headers).map(|at| Timestamp::from_seconds(at.unix_timestamp())),
        error_code: None,
    }
}

/// An answer with another status than 200.
pub(super) fn refusal(mut receipt: Receipt, headers: &Headers, body: &[u8], fresh_token: bool) -> SignError {
    let status = receipt.status.unwrap_or_default();
    let codes = error_codes(body);
    receipt.error_code = Receipt::keepable(&codes.join("/"));
    let is = |code: &str| codes.iter().any(|known| known.eq_ignore_ascii_case(code));
    let kind = match status {
        400 => SignErrorKind::InvalidRequest,
        401 => SignErrorKind::Unauthenticated { fresh_token },
        403 if is("KeyDisabled") => SignErrorKind::KeyDisabled,
        403 if is("KeyExpired") || is("KeyNotYetValid") => SignErrorKind::KeyOutsideValidity,
        403 => SignErrorKind::Forbidden { by: denial(is) },
        404 if is("KeyNotFound") => SignErrorKind::KeyNotFound,
        409 => SignErrorKind::Conflict {
            // A deleted name stays taken until somebody purges or recovers it; the other states pass in seconds.
            passes: !is("ObjectIsDeletedButRecoverable"),
        },
        429 => SignErrorKind::Throttled { after: retry_after(headers).unwrap_or(THROTTLED_PAUSE) },
        408 | 500..=599 => SignErrorKind::Unavailable {
            may_have_signed: true,
            source: Box::new(OutOfOrder { status, code: receipt.error_code.clone() }),
        },
        // A vault answers with none of the others. Nobody else's answer may pass for one about a key.
        _ => SignErrorKind::BadResponse(InvalidResponse::Malformed),
    };
    SignError::answered_with(kind, receipt)
}

fn denial(is: impl Fn(&str) -> bool) -> Denial {
    if is("ForbiddenByRbac") {
        Denial::Role
    } else if is("ForbiddenByPolicy") || is("AccessDenied") {
        Denial::Policy
    } else if is("ForbiddenByFirewall") {
        Denial::Firewall
    } else if is("ForbiddenByConnection") {
        Denial::Network
    } else if is("KeyOperationForbidden") {
        Denial::KeyOperation
    } else {
        Denial::Unknown
    }
}

/// `error.code` and the codes of nested inner errors, in both spellings. Empty for a body that is not an error of a
/// vault, such as a gateway's page.
fn error_codes(body: &[u8]) -> Vec<String> {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
    let mut codes = Vec::new();
    let mut next = body.get("error");
    while let Some(error) = next {
        if let Some(code) = error.get("code").and_then(Value::as_str) {
            codes.push(code.to_owned());
        }
        if codes.len() == DEEPEST {
            break;
        }
        next = error.get("innererror").or_else(|| error.get("innerError"));
    }
    codes
}

/// When the vault sent its answer, by its own clock.
fn date(headers: &Headers) -> Option<OffsetDateTime> {
    parse_rfc7231(headers.get_optional_str(&DATE)?).ok()
}

/// RFC 9110, section 10.2.3: seconds, or a date. The date counts from the answer's own `Date`, whatever our clock says.
fn retry_after(headers: &Headers) -> Option<Duration> {
    let value = headers.get_optional_str(&RETRY_AFTER)?.trim();
    let pause = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_not_seconds) => {
            let until = parse_rfc7231(value).ok()?;
            Duration::try_from(until - date(headers)?).unwrap_or_default()
        }
    };
    Some(pause.min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Retry;

    const ID: &str = "62ddf3d4-0459-4a09-acc1-049e8a453606";

    fn answer(status: u16, body: &str, more: &[(&'static str, &str)]) -> SignError {
        let mut headers = Headers::new();
        headers.insert(REQUEST_ID, ID);
        for (name, value) in more {
            headers.insert(*name, (*value).to_owned());
        }
        refusal(receipt(status, &headers), &headers, body.as_bytes(), false)
    }

    fn error(code: &str, inner: &str) -> String {
        format!(r#"{{"error":{{"code":"{code}","message":"m","innererror":{{"code":"{inner}"}}}}}}"#)
    }

    #[test]
    fn the_table_of_errors() {
        use SignErrorKind as Kind;
        type Row<'a> = (u16, &'a str, &'a str, fn(&Kind) -> bool);
        let rows: [Row<'_>; 19] = [
            (400, "BadParameter", "", |kind| matches!(kind, Kind::InvalidRequest)),
            (401, "Unauthorized", "", |kind| matches!(kind, Kind::Unauthenticated { fresh_token: false })),
            (403, "Forbidden", "ForbiddenByRbac", |kind| {
                matches!(kind, Kind::Forbidden { by: Denial::Role })
            }),
            (403, "Forbidden", "ForbiddenByPolicy", |kind| {
                matches!(kind, Kind::Forbidden { by: Denial::Policy })
            }),
            (403, "Forbidden", "AccessDenied", |kind| matches!(kind, Kind::Forbidden { by: Denial::Policy })),
            (403, "Forbidden", "ForbiddenByFirewall", |kind| {
                matches!(kind, Kind::Forbidden { by: Denial::Firewall })
            }),
            (403, "Forbidden", "ForbiddenByConnection", |kind| {
                matches!(kind, Kind::Forbidden { by: Denial::Network })
            }),
            (403, "Forbidden", "KeyOperationForbidden", |kind| {
                matches!(kind, Kind::Forbidden { by: Denial::KeyOperation })
            }),
            (403, "Forbidden", "Whatever", |kind| matches!(kind, Kind::Forbidden { by: Denial::Unknown })),
            (403, "Forbidden", "KeyDisabled", |kind| matches!(kind, Kind::KeyDisabled)),
            (403, "Forbidden", "KeyExpired", |kind| matches!(kind, Kind::KeyOutsideValidity)),
            (403, "Forbidden", "KeyNotYetValid", |kind| matches!(kind, Kind::KeyOutsideValidity)),
            (404, "KeyNotFound", "", |kind| matches!(kind, Kind::KeyNotFound)),
            (409, "Conflict", "ObjectIsBeingDeleted", |kind| matches!(kind, Kind::Conflict { passes: true })),
            (409, "Conflict", "ObjectIsDeletedButRecoverable", |kind| {
                matches!(kind, Kind::Conflict { passes: false })
            }),
            (429, "Throttled", "", |kind| matches!(kind, Kind::Throttled { .. })),
            (500, "InternalError", "", |kind| {
                matches!(kind, Kind::Unavailable { may_have_signed: true, .. })
            }),
            (503, "", "", |kind| matches!(kind, Kind::Unavailable { .. })),
            (302, "", "", |kind| matches!(kind, Kind::BadResponse(_))),
        ];
        for (status, code, inner, is_right) in rows {
            let seen = answer(status, &error(code, inner), &[]);
            assert!(is_right(seen.kind()), "{status} {code} {inner}: {seen:?}");
            assert!(seen.answered(), "{seen:?}");
            assert_eq!(seen.receipt().unwrap().status, Some(status));
        }
    }

    #[test]
    fn both_spellings_of_the_inner_error_are_read() {
        let body = r#"{"error":{"code":"Forbidden","innerError":{"code":"KeyDisabled"}}}"#;
        let seen = answer(403, body, &[]);
        assert!(matches!(seen.kind(), SignErrorKind::KeyDisabled));
        assert_eq!(seen.receipt().unwrap().error_code.as_deref(), Some("Forbidden/KeyDisabled"));
        let body = r#"{"error":{"code":"Forbidden","innererror":{"innererror":{"code":"KeyDisabled"}}}}"#;
        assert!(matches!(answer(403, body, &[]).kind(), SignErrorKind::KeyDisabled));
    }

    #[test]
    fn messages_do_not_count() {
        let body = r#"{"error":{"code":"Forbidden","message":"KeyDisabled ForbiddenByRbac"}}"#;
        let seen = answer(403, body, &[]);
        assert!(matches!(seen.kind(), SignErrorKind::Forbidden { by: Denial::Unknown }), "{seen:?}");
    }

    #[test]
    fn a_page_of_a_gateway_is_no_answer_about_a_key() {
        let html = "<html>KeyNotFound</html>";
        assert!(matches!(answer(404, html, &[]).kind(), SignErrorKind::BadResponse(_)));
        let seen = refusal(receipt(502, &Headers::new()), &Headers::new(), html.as_bytes(), false);
        assert!(matches!(seen.kind(), SignErrorKind::Unavailable { .. }));
        assert!(!seen.answered());
        assert!(matches!(answer(403, html, &[]).kind(), SignErrorKind::Forbidden { by: Denial::Unknown }));
    }

    #[test]
    fn a_named_pause_is_kept_in_both_forms() {
        let pause = |more: &[(&'static str, &str)]| match answer(429, "", more).retry() {
            Retry::After(pause) => pause.as_secs(),
            Retry::Never => panic!("a 429 passes"),
        };
        assert_eq!(pause(&[]), 1);
        assert_eq!(pause(&[("retry-after", "7")]), 7);
        let (sent, until) = ("Tue, 03 Feb 2026 10:21:33 GMT", "Tue, 03 Feb 2026 10:21:45 GMT");
        assert_eq!(pause(&[("retry-after", until), ("date", sent)]), 12);
        assert_eq!(pause(&[("retry-after", sent), ("date", until)]), 0);
        assert_eq!(pause(&[("retry-after", until)]), 1, "a date without the vault's clock says nothing");
        assert_eq!(pause(&[("retry-after", "soon")]), 1);
        assert_eq!(pause(&[("retry-after", "-3")]), 1);
        assert_eq!(pause(&[("retry-after", "86400")]), 60);
    }

    #[test]
    fn strange_ids_are_not_kept() {
        let mut headers = Headers::new();
        headers.insert(REQUEST_ID, "with space");
        headers.insert(REGION, "x".repeat(500));
        let receipt = receipt(200, &headers);
        assert_eq!((receipt.provider_request_id, receipt.region), (None, None));
    }

    proptest! {
        #[test]
        fn arbitrary_bodies_do_not_panic(status in 100u16..1000, body: Vec<u8>, retry_after in ".{0,40}") {
            let mut headers = Headers::new();
            headers.insert("retry-after", retry_after);
            let seen = refusal(receipt(status, &headers), &headers, &body, true);
            prop_assert_eq!(seen.receipt().unwrap().status, Some(status));
        }

        #[test]
        fn arbitrary_codes_do_not_panic(status in 400u16..600, code in ".{0,40}", inner in ".{0,40}") {
            let body = serde_json::json!({"error": {"code": code, "innererror": {"code": inner}}});
            prop_assert!(!answer(status, &body.to_string(), &[]).code().is_empty());
        }
    }
}
