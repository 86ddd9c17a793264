//! Every fault, as a client sees it, with what the log says; afterwards everything works again.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use vault_sim::{ConflictCode, FaultKind, FaultSpec, ForbiddenCode};

use crate::caller::{Caller, is_good};

async fn struck(kind: FaultKind) -> Caller {
    let caller = Caller::quick().with_key().await;
    caller.sim.set_fault(FaultSpec::new(kind).on("KeySign"));
    caller
}

async fn mended(caller: &Caller) {
    caller.sim.clear_faults();
    let signed = caller.sign().await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    assert!(is_good(caller, &signed).await);
}

/// Status of the last row on a signature; `None`: there is none.
fn logged(caller: &Caller) -> Option<u64> {
    let rows = caller.sim.log();
    let row = rows.iter().rev().find(|row| row["operationName"] == "KeySign")?;
    row["properties"]["httpStatusCode"].as_u64()
}

#[tokio::test]
async fn refusals_have_their_status_codes_and_retry_after() {
    for (kind, error, retry_after) in [
        (FaultKind::Throttled(None), (429, "Throttled", None), None),
        (FaultKind::Throttled(Some(3)), (429, "Throttled", None), Some("3")),
        (FaultKind::InternalError, (500, "InternalError", None), None),
        (FaultKind::Unavailable(None), (503, "ServiceUnavailable", None), None),
        (FaultKind::Unavailable(Some(9)), (503, "ServiceUnavailable", None), Some("9")),
        (FaultKind::Conflict(None), (409, "Conflict", None), None),
        (
            FaultKind::Conflict(Some(ConflictCode::ObjectIsBeingRecovered)),
            (409, "Conflict", Some("ObjectIsBeingRecovered")),
            None,
        ),
        (FaultKind::DisabledKey, (403, "Forbidden", Some("KeyDisabled")), None),
        (FaultKind::DeletedKey, (404, "KeyNotFound", None), None),
    ] {
        let caller = struck(kind).await;
        let refused = caller.sign().await;
        assert_eq!(refused.error(), error, "{kind:?}");
        assert_eq!(refused.header("retry-after"), retry_after, "{kind:?}");
        assert!(refused.header("x-ms-request-id").is_some());
        assert_eq!(logged(&caller), Some(u64::from(error.0)));
        assert_eq!(caller.get("/keys/issuer").await.status, 200, "{kind:?} is for signing only");
        mended(&caller).await;
    }
}

#[tokio::test]
async fn proxies_refuse_in_html() {
    for (kind, status) in [(FaultKind::BadGateway, 502), (FaultKind::GatewayTimeout, 504)] {
        let caller = struck(kind).await;
        let refused = caller.sign().await;
        assert_eq!((refused.status, refused.header("content-type")), (status, Some("text/html")));
        assert!(refused.text.starts_with("<html>"), "{}", refused.text);
        assert_eq!(logged(&caller), Some(u64::from(status)));
        mended(&caller).await;
    }
}

#[tokio::test]
async fn a_key_that_refuses_is_not_a_caller_who_is_refused() {
    for (inner, authorized) in [
        (ForbiddenCode::ForbiddenByRbac, false),
        (ForbiddenCode::ForbiddenByFirewall, false),
        (ForbiddenCode::KeyDisabled, true),
    ] {
        let caller = struck(FaultKind::Forbidden(inner)).await;
        let refused = caller.sign().await;
        // Whatever the reason, no 403 names the assignment.
        assert_eq!(refused.header("x-ms-keyvault-rbac-assignment-id"), None);
        let row = caller.sim.log().pop().expect("a row");
        assert_eq!(row["properties"]["isRbacAuthorized"], authorized, "{inner:?}");
        assert_eq!(row["properties"].get("appliedAssignmentId").is_some(), authorized, "{inner:?}");
    }
}

#[tokio::test]
async fn every_inner_code_of_a_403() {
    for (inner, name) in [
        (ForbiddenCode::ForbiddenByRbac, "ForbiddenByRbac"),
        (ForbiddenCode::ForbiddenByPolicy, "ForbiddenByPolicy"),
        (ForbiddenCode::AccessDenied, "AccessDenied"),
        (ForbiddenCode::ForbiddenByFirewall, "ForbiddenByFirewall"),
        (ForbiddenCode::ForbiddenByConnection, "ForbiddenByConnection"),
        (ForbiddenCode::KeyDisabled, "KeyDisabled"),
        (ForbiddenCode::KeyOperationForbidden, "KeyOperationForbidden"),
        (ForbiddenCode::KeyExpired, "KeyExpired"),
        (ForbiddenCode::KeyNotYetValid, "KeyNotYetValid"),
    ] {
        let caller = struck(FaultKind::Forbidden(inner)).await;
        assert_eq!(caller.sign().await.error(), (403, "Forbidden", Some(name)));
        assert_eq!(logged(&caller), Some(403));
        mended(&caller).await;
    }
}

#[tokio::test]
async fn tokens_are_refused_with_the_challenge() {
    for (kind, part) in [
        (FaultKind::TokenExpired { claims: false }, "expired"),
        (FaultKind::TokenExpired { claims: true }, "expired"),
        (FaultKind::SigningKeyUnknown, "AKV10046"),
        (FaultKind::WrongAudience, "AKV10022"),
        (FaultKind::WrongTenant, "AKV10032"),
    ] {
        let caller = struck(kind).await;
        let refused = caller.sign().await;
        assert_eq!(refused.error(), (401, "Unauthorized", None));
        assert!(refused.body["error"]["message"].as_str().is_some_and(|message| message.contains(part)));
        let challenge = refused.header("www-authenticate").expect("a challenge");
        assert!(challenge.contains(r#"resource="https://vault.azure.net""#));
        let wants_claims = challenge.contains(r#"error="insufficient_claims", claims=""#);
        assert_eq!(wants_claims, kind == FaultKind::TokenExpired { claims: true });
        assert_eq!(
            caller.sim.log().pop().map(|row| row["operationName"].clone()),
            Some("Authentication".into())
        );
        mended(&caller).await;
    }
}

#[tokio::test]
async fn a_reset_before_leaves_no_row_and_one_after_leaves_one() {
    for (kind, row) in [(FaultKind::ResetBefore, None), (FaultKind::ResetAfter, Some(200))] {
        let caller = struck(kind).await;
        let error = caller.try_call(Method::POST, "/keys/issuer/sign", &crate::caller::sign_body()).await;
        let error = format!("{:?}", error.expect_err("the connection was reset"));
        assert!(error.contains("ConnectionReset"), "{error}");
        assert_eq!(logged(&caller), row);
        let arrival = caller.sim.arrivals().pop().expect("an arrival");
        assert_eq!((arrival.op, arrival.counted), ("KeySign", true));
        assert_eq!(arrival.status, if row.is_some() { 200 } else { 0 });
        mended(&caller).await;
    }
}

#[tokio::test]
async fn a_truncated_body_ends_early_and_has_its_row() {
    let caller = struck(FaultKind::TruncatedBody).await;
    let answer = caller.try_call(Method::POST, "/keys/issuer/sign", &crate::caller::sign_body()).await;
    let answer = answer.expect("the head arrives");
    assert_eq!(answer.status().as_u16(), 200);
    answer.text().await.expect_err("the body does not");
    assert_eq!(logged(&caller), Some(200));
    mended(&caller).await;
}

#[tokio::test]
async fn signatures_are_spoilt_in_three_ways() {
    for kind in [FaultKind::BadBase64, FaultKind::OtherKey, FaultKind::WrongSignature] {
        let caller = struck(kind).await;
        let signed = caller.sign().await;
        assert_eq!(signed.status, 200);
        let value = signed.body["value"].as_str().expect("a value");
        let is_base64url = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        assert_eq!(is_base64url, kind != FaultKind::BadBase64, "{value}");
        assert!(!is_good(&caller, &signed).await, "{kind:?}");
        assert_eq!(logged(&caller), Some(200));
        mended(&caller).await;
    }
}

#[tokio::test]
async fn delays_are_real() {
    let half = Duration::from_millis(500);
    for kind in [FaultKind::Delay(half), FaultKind::SlowBody(half)] {
        let caller = struck(kind).await;
        let start = Instant::now();
        let signed = caller.sign().await;
        assert!(start.elapsed() >= half, "{kind:?}: {:?}", start.elapsed());
        assert!(is_good(&caller, &signed).await);
        mended(&caller).await;
    }
    let caller = Caller::quick().with_key().await;
    caller.sim.set_fault(FaultSpec::new(FaultKind::TlsDelay(half)));
    let start = Instant::now();
    let fresh = crate::caller::http(caller.sim.ca_pem());
    let url = format!("{}/keys/issuer?api-version=7.4", caller.sim.url());
    assert_eq!(fresh.get(url).bearer_auth("any").send().await.expect("an answer").status().as_u16(), 200);
    assert!(start.elapsed() >= half);
    // Connections that stand are not touched.
    let start = Instant::now();
    assert_eq!(caller.sign().await.status, 200);
    assert!(start.elapsed() < half);
}

#[tokio::test]
async fn a_skewed_clock_shows_in_date_log_and_keys_but_not_in_arrivals() {
    let caller = Caller::quick().with_key().await;
    let created = |made: &Value| made["attributes"]["created"].as_i64().expect("a time");
    let true_time = created(&caller.get("/keys/issuer").await.body);
    caller.sim.set_fault(FaultSpec::new(FaultKind::ClockSkew(-3_600_000)));
    let made = caller.post("/keys/early/create", &json!({"kty": "EC"})).await;
    let off = true_time - created(&made.body);
    assert!((3_590..=3_600).contains(&off), "{off}");
    let rows = caller.sim.log();
    let hour = |row: &Value| row["time"].as_str().expect("a time")[..13].to_owned();
    assert_ne!(hour(&rows[0]), hour(rows.last().expect("a row")));
    let arrivals = caller.sim.arrivals();
    assert!(arrivals.windows(2).all(|pair| pair[0].ms <= pair[1].ms));
    mended(&caller).await;
}

#[tokio::test]
async fn a_fault_for_one_vault_leaves_the_other_alone() {
    let vaults = vec!["a".to_owned(), "b".to_owned()];
    let caller = Caller::start(vault_sim::SimConfig { vaults, ..vault_sim::SimConfig::quick() });
    caller.sim.set_fault(FaultSpec::new(FaultKind::InternalError).in_vault("b"));
    for (url, status) in [(caller.sim.url_of("a"), 200), (caller.sim.url_of("b"), 500)] {
        let answer = caller.http.get(format!("{url}/keys?api-version=7.4")).bearer_auth("any").send().await;
        assert_eq!(answer.expect("an answer").status().as_u16(), status, "{url}");
    }
}
