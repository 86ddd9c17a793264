//! The wallet's report at the end: what it changes, and what it cannot change.

use credenza_tests::callbacks::Sink;
use serde_json::{Value, json};

use super::errors::{assert_code, assert_error};
use super::fixture::{COMPLETE, SOON, Service, send};
use super::flow::{Flow, holder, send_report};

#[tokio::test]
async fn success_ends_the_request() {
    let service = Service::shared();
    let flow = Flow::start(&service, &service.employee()).await;
    flow.receive(&holder()).await;
    let answer = flow.complete().await;
    assert_eq!((answer.status, answer.body.len()), (202, 0));
    let trail = service.trail(&flow.created.id).await;
    assert_eq!(trail.state, "completed");
    assert_eq!(trail.of("wallet_reported")[0], &json!({"code": "issuance_successful"}));
}

#[tokio::test]
async fn repeating_a_success_changes_nothing() {
    let service = Service::shared();
    let sink = Sink::start().await;
    let mut body = service.employee();
    body["callback"] = json!({"url": sink.url("/cb"), "state": "s"});
    let flow = Flow::start(&service, &body).await;
    flow.receive(&holder()).await;
    for _ in 0..3 {
        assert_eq!(flow.complete().await.status, 202);
    }
    // A failure after the success is too late.
    assert_eq!(flow.fail("unspecified_error").await.status, 202);
    let trail = service.trail_when(&flow.created.id, |trail| trail.delivered().len() == 2).await;
    assert_eq!(trail.of("wallet_reported").len(), 1);
    assert_eq!(trail.delivered(), ["request_retrieved", "issuance_successful"]);
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(sink.received().len(), 2);
}

#[tokio::test]
async fn a_failure_is_not_final() {
    let service = Service::shared();
    let sink = Sink::start().await;
    let mut body = service.employee();
    body["callback"] = json!({"url": sink.url("/cb"), "state": "s"});
    let flow = Flow::start(&service, &body).await;
    for details in ["issuance_service_error", "user_canceled"] {
        assert_eq!(flow.fail(details).await.status, 202);
    }
    flow.receive(&holder()).await;
    assert_eq!(flow.fail("unspecified_error").await.status, 202);
    assert_eq!(flow.complete().await.status, 202);
    let received = sink.wait_for(5, SOON).await;
    let told: Vec<(Value, Value)> = received
        .iter()
        .map(|call| (call.json()["requestStatus"].clone(), call.json()["error"]["message"].clone()))
        .collect();
    assert_eq!(
        told,
        [
            (json!("request_retrieved"), Value::Null),
            (json!("issuance_error"), json!("issuance_service_error")),
            (json!("issuance_error"), json!("user_canceled")),
            (json!("issuance_error"), json!("unspecified_error")),
            (json!("issuance_successful"), Value::Null),
        ]
    );
    assert_eq!(service.trail(&flow.created.id).await.state, "completed");
}

#[tokio::test]
async fn every_reason_of_a_failure() {
    let service = Service::shared();
    let sink = Sink::start().await;
    let mut body = service.employee();
    body["callback"] = json!({"url": sink.url("/cb"), "state": "s"});
    let flow = Flow::start(&service, &body).await;
    let reasons = [
        "user_canceled",
        "fetch_contract_error",
        "linked_domain_error",
        "issuance_service_error",
        "unspecified_error",
    ];
    for details in reasons {
        assert_eq!(flow.fail(details).await.status, 202);
    }
    // What this version does not know is told as unspecified, never lost.
    for details in [json!("something_new"), Value::Null, json!(7)] {
        let state = &flow.opened.request.state;
        let body = json!({"code": "issuance_failed", "state": state, "details": details});
        assert_eq!(send_report(&service, &body).await.status, 202);
    }
    let received = sink.wait_for(9, SOON).await;
    let mut told: Vec<String> = received[1..]
        .iter()
        .map(|call| call.json()["error"]["message"].as_str().unwrap().to_owned())
        .collect();
    let unknown = told.split_off(5);
    assert_eq!(
        (told, unknown),
        (reasons.map(str::to_owned).to_vec(), vec!["unspecified_error".to_owned(); 3])
    );
    assert!(received[1..].iter().all(|call| call.json()["error"]["code"] == "IssuanceFlowFailed"));
}

#[tokio::test]
async fn failures_are_not_told_without_end() {
    let service = Service::shared();
    let flow = Flow::start(&service, &service.employee()).await;
    for _ in 0..15 {
        assert_eq!(flow.fail("user_canceled").await.status, 202);
    }
    let trail = service.trail(&flow.created.id).await;
    assert_eq!((trail.of("wallet_reported").len(), trail.state.as_str()), (10, "retrieved"));
    flow.receive(&holder()).await;
    assert_eq!(flow.complete().await.status, 202);
    assert_eq!(service.trail(&flow.created.id).await.state, "completed");
}

#[tokio::test]
async fn what_was_never_issued_cannot_be_stored() {
    let service = Service::shared();
    let flow = Flow::start(&service, &service.employee()).await;
    assert_error(&flow.complete().await, 409, "conflict", Some("code"));
    let trail = service.trail(&flow.created.id).await;
    assert_eq!((trail.state.as_str(), trail.has("wallet_reported")), ("retrieved", false));
    // The request is as good as before.
    flow.receive(&holder()).await;
    assert_eq!(flow.complete().await.status, 202);
}

#[tokio::test]
async fn a_forged_state_finds_nothing() {
    let service = Service::shared();
    let flow = Flow::start(&service, &service.employee()).await;
    let other = Flow::start(&service, &service.employee()).await;
    flow.receive(&holder()).await;
    let good = flow.opened.request.state.clone();
    let mut flipped = good.clone().into_bytes();
    let last = flipped.len() / 2;
    flipped[last] = if flipped[last] == b'A' { b'B' } else { b'A' };
    let half = good.len() / 2;
    let spliced = format!("{}{}", &good[..half], &other.opened.request.state[half..]);
    for state in [
        String::from_utf8(flipped).unwrap(),
        spliced,
        flow.created.id.clone(),
        format!("{good}A"),
        good[..good.len() - 1].to_owned(),
        "x".to_owned(),
        "..".to_owned(),
        "\u{0}".to_owned(),
        "💳".repeat(100),
    ] {
        for code in ["issuance_successful", "issuance_failed"] {
            let answer = send_report(&service, &json!({"code": code, "state": state})).await;
            assert_error(&answer, 404, "notFound", Some("state"));
        }
    }
    let trail = service.trail(&flow.created.id).await;
    assert_eq!((trail.state.as_str(), trail.has("wallet_reported")), ("issued", false));
}

#[tokio::test]
async fn bodies_that_are_no_reports() {
    let service = Service::shared();
    let flow = Flow::start(&service, &service.employee()).await;
    let state = &flow.opened.request.state;
    for body in [
        json!({"state": state}).to_string(),
        json!({"code": "issuance_done", "state": state}).to_string(),
        json!({"code": 1, "state": state}).to_string(),
        json!({"code": "issuance_failed"}).to_string(),
        json!({"code": "issuance_failed", "state": ""}).to_string(),
        json!({"code": "issuance_failed", "state": [state]}).to_string(),
        json!([{"code": "issuance_failed", "state": state}]).to_string(),
        json!({"code": "issuance_failed", "state": "x".repeat(100_000)}).to_string(),
        "null".to_owned(),
        String::new(),
        "{".to_owned(),
        format!("code=issuance_failed&state={state}"),
    ] {
        let answer = send(service.client.post(service.address(COMPLETE)).body(body.clone())).await;
        assert_code(&answer, 400, "badOrMissingField");
    }
    let huge =
        format!("{{\"code\":\"issuance_failed\",\"state\":\"{state}\",\"x\":\"{}\"}}", "x".repeat(1 << 21));
    let answer = send(service.client.post(service.address(COMPLETE)).body(huge)).await;
    assert_code(&answer, 413, "badOrMissingField");
    assert!(!service.trail(&flow.created.id).await.has("wallet_reported"));
}

#[tokio::test]
async fn the_address_in_every_spelling_and_with_any_content_type() {
    let service = Service::shared();
    let flow = Flow::start(&service, &service.employee()).await;
    flow.receive(&holder()).await;
    let state = &flow.opened.request.state;
    let body = json!({"code": "issuance_failed", "state": state, "details": "user_canceled"}).to_string();
    for path in
        ["/v1.0/verifiablecredentials/completeIssuance", "/beta/VerifiableCredentials/completeissuance/"]
    {
        for kind in ["application/json", "text/plain"] {
            let call = service.client.post(service.address(path)).header("content-type", kind);
            assert_eq!(send(call.body(body.clone())).await.status, 202, "{path} {kind}");
        }
    }
    assert_error(&service.get(COMPLETE).await, 405, "badOrMissingField", None);
}
