//! Guessing a PIN.

use credenza_tests::callbacks::Sink;
use futures_util::future::join_all;
use serde_json::{Value, json};
use wallet::http::WRONG_PIN;

use crate::issuance::errors::{assert_code, assert_error};
use crate::issuance::fixture::{SOON, Service};
use crate::issuance::flow::{Flow, holder};

async fn start(service: &Service, callback: Option<&Sink>) -> Flow {
    let mut body = service.employee();
    body["pin"] = json!({"value": "3539", "length": 4});
    if let Some(sink) = callback {
        body["callback"] = json!({"url": sink.url("/cb"), "state": "s"});
    }
    Flow::start(service, &body).await
}

#[tokio::test]
async fn six_wrong_ones_end_the_request() {
    let service = Service::shared();
    let sink = Sink::start().await;
    let flow = start(&service, Some(&sink)).await;
    let holder = holder();
    for _ in 0..4 {
        assert_code(&flow.send(flow.proof_with_pin(&holder, "0000")).await, 403, WRONG_PIN);
    }
    // The fifth uses up the tries: a refusal after which wallets do not ask again.
    let fifth = flow.send(flow.proof_with_pin(&holder, "0000")).await;
    assert_code(&fifth, 403, "gone");
    for typed in ["0000", "3539"] {
        assert_code(&flow.send(flow.proof_with_pin(&holder, typed)).await, 404, "notFound");
    }
    let link = flow.created.link.strip_prefix("openid-vc://?request_uri=").unwrap();
    assert_error(&service.get(link).await, 404, "notFound", Some("request_uri"));
    assert_error(&flow.complete().await, 409, "conflict", Some("code"));
    let trail = service.trail_when(&flow.created.id, |trail| trail.refusals().len() == 7).await;
    assert_eq!(trail.state, "failed");
    let mut reasons = vec!["wrong_pin"; 5];
    reasons.extend(["request_not_open"; 2]);
    assert_eq!(trail.refusals(), reasons);
    let failures: Vec<&Value> =
        trail.of("proof_refused")[..5].iter().map(|details| &details["failures"]).collect();
    assert_eq!(failures, [&json!(1), &json!(2), &json!(3), &json!(4), &json!(5)]);
    assert_eq!(trail.of("request_failed"), [&json!({"reason": "pin_tries_used_up"})]);
    assert_eq!((trail.intents("credential"), trail.has("credential_issued")), (0, false));
    let received = sink.wait_for(2, SOON).await;
    assert_eq!(received[1].json()["requestStatus"], "issuance_error");
    assert_eq!(
        received[1].json()["error"],
        json!({"code": "IssuanceFlowFailed", "message": "issuance_service_error"})
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_at_the_same_time_gives_no_more_tries() {
    let service = Service::shared();
    let flow = start(&service, None).await;
    let holder = holder();
    let proofs = (0..20).map(|number| flow.proof_with_pin(&holder, &format!("{number:04}")));
    let answers = join_all(proofs.map(|proof| flow.send(proof))).await;
    // Four hear that the PIN was wrong, one that it was once too often, and the request is gone for the others.
    let codes: Vec<(u16, String)> = answers
        .iter()
        .map(|answer| {
            (answer.status, answer.json()["error"]["innererror"]["code"].as_str().unwrap().to_owned())
        })
        .collect();
    let count =
        |status: u16, code: &str| codes.iter().filter(|found| **found == (status, code.into())).count();
    assert_eq!(count(403, "gone"), 1, "{codes:?}");
    assert_eq!(count(403, WRONG_PIN), 4, "{codes:?}");
    assert_eq!(count(404, "notFound"), 15, "{codes:?}");
    let trail = service.trail_when(&flow.created.id, |trail| trail.refusals().len() >= 5).await;
    assert_eq!(trail.refusals().iter().filter(|reason| **reason == "wrong_pin").count(), 5);
    assert_eq!((trail.state.as_str(), trail.of("request_failed").len()), ("failed", 1));
    assert_code(&flow.send(flow.proof_with_pin(&holder, "3539")).await, 404, "notFound");
}

#[tokio::test]
async fn a_forged_proof_costs_no_try() {
    let service = Service::shared();
    let flow = start(&service, None).await;
    let (holder, forger) = (self::holder(), self::holder());
    for _ in 0..10 {
        let proof = flow.proof_with_pin(&holder, "0000");
        let (input, _) = proof.rsplit_once('.').unwrap();
        let other = flow.proof_with_pin(&forger, "0000");
        let (_, signature) = other.rsplit_once('.').unwrap();
        assert_code(&flow.send(format!("{input}.{signature}")).await, 400, "tokenError");
    }
    flow.accepted(&holder, flow.proof_with_pin(&holder, "3539")).await;
}

#[tokio::test]
async fn the_answer_of_one_request_is_none_for_another() {
    let service = Service::shared();
    let (one, two) = (start(&service, None).await, start(&service, None).await);
    let holder = holder();
    let of_one = one.opened.request.pin.as_ref().unwrap();
    let answer = wallet::pin::hash(of_one.salt.as_deref(), "3539");
    assert_code(&two.send(two.altered(&holder, json!({"pin": answer}))).await, 403, WRONG_PIN);
}
