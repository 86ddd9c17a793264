//! Claims: from the front end or the person into the credential, unchanged.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::errors::{assert_code, assert_error};
use super::fixture::Service;
use super::flow::{Flow, holder};

/// Bytes whose encoding has `+` and `/`, or `-` and `_`, and padding.
fn photo() -> Vec<u8> {
    let mut bytes = b"\xff\xd8\xff\xe0".to_vec();
    bytes.extend((0..=u8::MAX).cycle().take(30_001));
    bytes.extend([0xfb, 0xff, 0xbf, 0xfe]);
    bytes
}

#[tokio::test]
async fn a_photo_passes_unchanged_in_every_alphabet() {
    let service = Service::shared();
    for text in [
        URL_SAFE_NO_PAD.encode(photo()),
        URL_SAFE.encode(photo()),
        STANDARD.encode(photo()),
        STANDARD_NO_PAD.encode(photo()),
    ] {
        let mut body = service.student();
        body["claims"]["photo"] = json!(text);
        let flow = Flow::start(&service, &body).await;
        let received = flow.receive(&holder()).await;
        assert_eq!(received.credential.claims["photo"], json!(text));
    }
}

#[tokio::test]
async fn a_large_photo_passes() {
    let service = Service::shared();
    let text = URL_SAFE_NO_PAD.encode(vec![0xa5; 700_000]);
    let mut body = service.student();
    body["claims"]["photo"] = json!(text);
    let flow = Flow::start(&service, &body).await;
    assert_eq!(flow.receive(&holder()).await.credential.claims["photo"], json!(text));
}

#[tokio::test]
async fn what_is_no_picture_is_refused() {
    let service = Service::shared();
    for text in ["data:image/jpeg;base64,AAAA", "AAA\nAAAA", "AA%2BA", "A", "+_+_", "====", "AAAA="] {
        let mut body = service.student();
        body["claims"]["photo"] = json!(text);
        let answer = service.create(&body).await;
        let message = assert_error(&answer, 400, "badOrMissingField", Some("claims.photo"));
        assert!(!message.contains(text), "{message}");
    }
}

#[tokio::test]
async fn the_contract_decides_what_is_in_the_credential() {
    let service = Service::shared();
    let mut body = service.employee();
    body["claims"] = json!({
        "given_name": "Megan", "family_name": "Bowen", "employee_id": "E-2", "job_title": "",
        "shoe_size": "39", "givenName": "not an input name",
    });
    let flow = Flow::start(&service, &body).await;
    let claims = flow.receive(&holder()).await.credential.claims;
    let expected = json!({"givenName": "Megan", "familyName": "Bowen", "employeeId": "E-2"});
    assert_eq!(Value::Object(claims), expected);
}

#[tokio::test]
async fn a_required_claim_that_is_missing_or_blank_is_named() {
    let service = Service::shared();
    for value in [Value::Null, json!(""), json!(" \t")] {
        let mut body = service.employee();
        body["claims"]["family_name"] = value;
        let answer = service.create(&body).await;
        assert_error(&answer, 400, "badOrMissingField", Some("claims.family_name"));
    }
    let mut body = service.employee();
    body.as_object_mut().unwrap().remove("claims");
    assert_error(&service.create(&body).await, 400, "badOrMissingField", Some("claims.given_name"));
}

#[tokio::test]
async fn the_person_types_self_issued_claims() {
    let service = Service::shared();
    let holder = holder();
    for typed in ["Megan Bowen", "Žofie \"Žo\" Nováková", "名前", "  spaces stay  "] {
        let flow = Flow::start(&service, &service.guest()).await;
        let proof = flow.proof_with_claims(&holder, &[("name", typed), ("unasked", "x")]);
        let claims = flow.accepted(&holder, proof).await.credential.claims;
        assert_eq!(Value::Object(claims), json!({"name": typed}));
        assert_eq!(flow.complete().await.status, 202);
    }
}

#[tokio::test]
async fn an_answer_without_the_persons_claims_is_refused() {
    let service = Service::shared();
    let holder = holder();
    let flow = Flow::start(&service, &service.guest()).await;
    for claims in [&[][..], &[("other", "x")], &[("name", "")], &[("name", "   ")]] {
        assert_code(&flow.send(flow.proof_with_claims(&holder, claims)).await, 400, "tokenError");
    }
    let trail = service.trail_when(&flow.created.id, |trail| trail.refusals().len() == 4).await;
    assert_eq!((trail.refusals(), trail.state.as_str()), (vec!["claim_missing"; 4], "retrieved"));
    assert_eq!(trail.intents("credential"), 0);
    flow.accepted(&holder, flow.proof_with_claims(&holder, &[("name", "Megan")])).await;
}

#[tokio::test]
async fn a_self_issued_answer_needs_the_requests_own_address() {
    let service = Service::shared();
    let holder = holder();
    let flow = Flow::start(&service, &service.guest()).await;
    let without = service.manifest(super::fixture::GUEST);
    let mut input = flow.input(&holder);
    input.contract = &without;
    input.self_issued.insert("name".into(), "Megan".into());
    let proof = super::flow::signed(&holder, &wallet::proof::build(&input));
    assert_code(&flow.send(proof).await, 400, "badOrMissingField");
    assert_eq!(service.trail(&flow.created.id).await.state, "retrieved");
}

#[tokio::test]
async fn two_self_issued_requests_are_told_apart() {
    let service = Service::shared();
    let (one, two) =
        (Flow::start(&service, &service.guest()).await, Flow::start(&service, &service.guest()).await);
    let holder = holder();
    two.accepted(&holder, two.proof_with_claims(&holder, &[("name", "Two")])).await;
    assert_eq!(service.trail(&one.created.id).await.state, "retrieved");
    one.accepted(&holder, one.proof_with_claims(&holder, &[("name", "One")])).await;
    assert_eq!(service.trail(&two.created.id).await.state, "issued");
}
