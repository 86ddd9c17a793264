//! PINs: in clear and hashed, typed wrong and right.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use credenza_tests::wallet::Wallet;
use serde_json::{Value, json};
use wallet::http::WRONG_PIN;
use wallet::pin;

use super::errors::assert_code;
use super::fixture::Service;
use super::flow::{Flow, holder};

async fn start(service: &Service, pin: Value) -> Flow {
    let mut body = service.employee();
    body["pin"] = pin;
    Flow::start(service, &body).await
}

#[tokio::test]
async fn in_clear() {
    let service = Service::shared();
    for (pin, typed) in [
        (json!({"value": "3539", "length": 4}), "3539"),
        (json!({"value": "123456"}), "123456"),
        (json!({"value": "0000", "length": 4, "type": "numeric", "salt": null, "alg": null}), "0000"),
        (json!({"value": "aZ09xY", "type": "alphanumeric"}), "aZ09xY"),
        (json!({"value": "1234567890123456", "length": 16}), "1234567890123456"),
    ] {
        let flow = start(&service, pin).await;
        assert_eq!(flow.opened.request.pin.as_ref().unwrap().length, typed.len());
        let holder = holder();
        flow.accepted(&holder, flow.proof_with_pin(&holder, typed)).await;
    }
}

#[tokio::test]
async fn hashed_by_the_front_end() {
    let service = Service::shared();
    // The vector of the documentation: base64(SHA-256(salt, PIN)).
    let salt = "2f1c9d4e-6a0b-4d77-9c55-1a2b3c4d5e6f";
    let value = "iAkCPeG4ybw8aZcskYXosyl5Cd1pdua2D3OgCzF9U1M=";
    for extra in [json!({}), json!({"alg": "sha256", "iterations": 1, "type": "numeric"})] {
        let mut block = json!({"value": value, "salt": salt, "length": 4});
        block.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let flow = start(&service, block).await;
        let asked = flow.opened.request.pin.as_ref().unwrap();
        assert_eq!(asked.salt.as_deref(), Some(salt), "the front end's salt goes to the wallet as it is");
        assert_eq!(pin::hash(asked.salt.as_deref(), "3539"), value);
        assert_ne!(asked.hash, value, "the request object must not give the answer away");
        let holder = holder();
        let wrong = flow.send(flow.proof_with_pin(&holder, "3538")).await;
        assert_code(&wrong, 403, WRONG_PIN);
        flow.accepted(&holder, flow.proof_with_pin(&holder, "3539")).await;
    }
}

#[tokio::test]
async fn a_wrong_one_may_be_corrected() {
    let service = Service::shared();
    let flow = start(&service, json!({"value": "3539", "length": 4})).await;
    let holder = holder();
    for (typed, count) in [("3538", 1), ("0000", 2)] {
        let answer = flow.send(flow.proof_with_pin(&holder, typed)).await;
        assert_code(&answer, 403, WRONG_PIN);
        // Wallets report every attempt; it must not end the request.
        assert_eq!(flow.fail("issuance_service_error").await.status, 202);
        let trail =
            service.trail_when(&flow.created.id, |trail| trail.of("proof_refused").len() == count).await;
        assert_eq!(trail.of("proof_refused")[count - 1], &json!({"failures": count, "reason": "wrong_pin"}));
        assert_eq!(trail.intents("credential"), 0, "nothing was signed");
    }
    flow.accepted(&holder, flow.proof_with_pin(&holder, "3539")).await;
    assert_eq!(flow.complete().await.status, 202);
    assert_eq!(service.trail(&flow.created.id).await.state, "completed");
}

#[tokio::test]
async fn another_holder_may_type_it_again_but_only_one_gets_the_credential() {
    let service = Service::shared();
    let flow = start(&service, json!({"value": "3539", "length": 4})).await;
    let (one, two) = (holder(), holder());
    assert_code(&flow.send(flow.proof_with_pin(&one, "3538")).await, 403, WRONG_PIN);
    flow.accepted(&two, flow.proof_with_pin(&two, "3539")).await;
    assert_code(&flow.send(flow.proof_with_pin(&one, "3539")).await, 403, "conflict");
}

#[tokio::test]
async fn an_absent_or_unhashed_one_is_wrong() {
    let service = Service::shared();
    let flow = start(&service, json!({"value": "3539", "length": 4})).await;
    let holder = holder();
    let salt = flow.opened.request.pin.as_ref().unwrap().salt.clone().unwrap();
    let unpadded = pin::hash(Some(&salt), "3539").trim_end_matches('=').to_owned();
    for sent in [Value::Null, json!("3539"), json!(""), json!(STANDARD.encode("3539"))] {
        let answer = flow.send(flow.altered(&holder, json!({"pin": sent}))).await;
        assert_code(&answer, 403, WRONG_PIN);
    }
    assert_code(&flow.send(flow.altered(&holder, json!({"pin": [unpadded]}))).await, 400, "tokenError");
    flow.accepted(&holder, flow.proof_with_pin(&holder, "3539")).await;
}

#[tokio::test]
async fn a_proof_with_a_needless_pin_is_taken() {
    let service = Service::shared();
    let flow = Flow::start(&service, &service.employee()).await;
    let holder = holder();
    flow.accepted(&holder, flow.altered(&holder, json!({"pin": "x"}))).await;
}

#[tokio::test]
async fn the_wallet_program_asks_for_it() {
    let service = Service::shared();
    let mut body = service.employee();
    body["pin"] = json!({"value": "3539", "length": 4});
    let wallet = Wallet::new(service.ready.ca_file.as_deref());
    let created = service.created(&body).await;
    let wrong = wallet.accept(&created.link, &["--pin", "3538"]).await.expect_failure().json();
    assert_eq!(wrong["error"]["code"], "pin_rejected", "{wrong}");
    assert_eq!(
        (&wrong["error"]["http_status"], &wrong["error"]["inner_code"]),
        (&json!(403), &json!(WRONG_PIN))
    );
    let report = wallet.accept(&created.link, &["--pin", "3539"]).await.expect_success().json();
    assert_eq!(report["claims"]["employeeId"], "E-1", "{report}");
    let trail = service.trail(&created.id).await;
    assert_eq!((trail.state.as_str(), trail.of("wallet_reported").len()), ("completed", 2));
}
