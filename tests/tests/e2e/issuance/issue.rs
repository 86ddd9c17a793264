//! Issuing: what stands in a credential, and that a request gives one credential to one holder.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use serde_json::{Value, json};
use wallet::clock::system_now;
use wallet::holder::{Holder, HolderKind};
use wallet::proof::build;

use super::errors::{assert_code, assert_error};
use super::fixture::{EMPLOYEE, STUDENT, Service, send};
use super::flow::{Flow, holder, signed, signed_text};

#[tokio::test]
async fn every_member_of_the_credential() {
    let service = Service::shared();
    let flow = Flow::start(&service, &service.employee()).await;
    let holder = Holder::generate(HolderKind::IonSecp256k1).unwrap();
    let before = system_now();
    let text = flow.receive(&holder).await.text;
    let header: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text.split('.').next().unwrap()).unwrap()).unwrap();
    let kid = header["kid"].as_str().unwrap();
    assert_eq!(header, json!({"alg": "ES256", "kid": kid, "typ": "JWT"}));
    assert!(kid.starts_with(&format!("{}#", service.did())));
    let found = Flow::payload(&text);
    let issued = found["iat"].as_i64().unwrap();
    assert!((before..=system_now()).contains(&issued));
    let jti = found["jti"].as_str().unwrap();
    let id = jti.strip_prefix("urn:pic:").expect("Entra's form of an id");
    assert!(id.len() == 32 && id.bytes().all(|byte| b"0123456789abcdef".contains(&byte)), "{jti}");
    let status = &found["vc"]["credentialStatus"];
    let index = status["statusListIndex"].as_u64().expect("a number");
    let list = status["id"].as_str().unwrap().strip_prefix("urn:uuid:").unwrap().split('?').next().unwrap();
    let query = URL_SAFE_NO_PAD.encode(format!(
        r#"[{{"method":"CollectionsQuery","schema":"https://w3id.org/vc-status-list-2021/v1","objectId":"{list}"}}]"#
    ));
    assert_eq!(
        found,
        json!({
            "jti": jti, "iss": service.did(), "sub": holder.did(), "iat": issued, "exp": issued + 15_552_000,
            "vc": {
                "@context": ["https://www.w3.org/2018/credentials/v1"],
                "type": ["VerifiableCredential", "VerifiedEmployee"],
                "credentialSubject": {"givenName": "Megan", "familyName": "Bowen", "employeeId": "E-1"},
                "credentialStatus": {
                    "id": format!("urn:uuid:{list}?bit-index={index}"), "type": "RevocationList2021Status",
                    "statusListIndex": index,
                    "statusListCredential":
                        format!("{}?service=IdentityHub&queries={query}", service.did()),
                },
            },
        })
    );
}

#[tokio::test]
async fn the_ledger_tells_the_whole_story_in_order() {
    let service = Service::shared();
    let flow = Flow::start(&service, &service.employee()).await;
    service.trail_when(&flow.created.id, |trail| trail.has("contract_fetched")).await;
    let text = flow.receive(&holder()).await.text;
    flow.complete().await;
    let trail = service.trail(&flow.created.id).await;
    assert_eq!(
        trail.kinds(),
        [
            "request_created",
            "signing_intent",
            "signing_outcome",
            "request_retrieved",
            "contract_fetched",
            "signing_intent",
            "signing_outcome",
            "credential_issued",
            "wallet_reported",
        ]
    );
    assert_eq!((trail.intents("request_object"), trail.intents("credential")), (1, 1));
    for (intent, outcome) in trail.of("signing_intent").into_iter().zip(trail.of("signing_outcome")) {
        for member in ["intent", "attempt", "digest", "key", "purpose"] {
            assert_eq!(intent[member], outcome[member], "{member}");
        }
        assert_eq!(outcome["outcome"], "signed");
    }
    let credential = Flow::payload(&text);
    assert_eq!(trail.of("credential_issued")[0]["credential"], credential["jti"]);
    let events = service.ledger(&flow.created.transaction, 9).await;
    let client = service.ready.client_id.as_deref().unwrap();
    for event in &events {
        assert_eq!(event["transaction"], json!(flow.created.transaction));
        assert_eq!((&event["tenant"], &event["client"]), (&json!(service.tenant()), &json!(client)));
        assert_eq!((&event["contract"], &event["schema"]), (&json!(EMPLOYEE), &json!(1)));
        assert!(event["authority"].is_string() && event["at"].is_i64());
    }
}

#[tokio::test]
async fn a_credential_may_end_when_the_front_end_says() {
    let service = Service::shared();
    let end = system_now() + 86_400;
    for text in [wallet::clock::rfc3339(end), wallet::clock::rfc3339(end).replace('Z', ".000Z")] {
        let mut body = service.student();
        body["expirationDate"] = json!(text);
        let flow = Flow::start(&service, &body).await;
        assert_eq!(flow.receive(&holder()).await.credential.expires, end, "{text}");
    }
    let flow = Flow::start(&service, &service.student()).await;
    let credential = flow.receive(&holder()).await.credential;
    assert_eq!(credential.expires, credential.issued + 15_552_000, "without it the contract decides");
}

#[tokio::test]
async fn the_same_holder_gets_the_same_bytes_until_the_completion() {
    let service = Service::shared();
    let flow = Flow::start(&service, &service.employee()).await;
    let holder = holder();
    let proof = flow.proof(&holder);
    let first = flow.accepted(&holder, proof.clone()).await;
    // A retry makes a new proof with a new jti; a repeated call sends the same one.
    assert_eq!(flow.receive(&holder).await, first);
    assert_eq!(flow.accepted(&holder, proof.clone()).await, first);
    assert_eq!(service.trail(&flow.created.id).await.intents("credential"), 1);
    assert_eq!(flow.complete().await.status, 202);
    for proof in [flow.proof(&holder), proof] {
        assert_code(&flow.send(proof).await, 404, "notFound");
    }
    let link = flow.created.link.strip_prefix("openid-vc://?request_uri=").unwrap();
    assert_error(&service.get(link).await, 404, "notFound", Some("request_uri"));
    let trail = service.trail_when(&flow.created.id, |trail| trail.refusals().len() == 2).await;
    assert_eq!((trail.state.as_str(), trail.refusals()), ("completed", vec!["request_not_open"; 2]));
    assert_eq!(trail.intents("credential"), 1);
}

#[tokio::test]
async fn another_holder_is_refused_before_and_after_the_completion() {
    let service = Service::shared();
    let flow = Flow::start(&service, &service.employee()).await;
    let first = flow.receive(&holder()).await;
    for kind in HolderKind::ALL {
        let other = Holder::generate(kind).unwrap();
        assert_code(&flow.send(flow.proof(&other)).await, 403, "conflict");
    }
    let trail = service.trail_when(&flow.created.id, |trail| trail.refusals().len() == 5).await;
    assert_eq!(trail.refusals(), ["other_holder"; 5]);
    flow.complete().await;
    assert_code(&flow.send(flow.proof(&holder())).await, 404, "notFound");
    assert_eq!(trail.of("credential_issued").len(), 1);
    assert_eq!(first.credential.types, ["VerifiableCredential", "VerifiedEmployee"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_proofs_of_one_holder_give_one_credential() {
    let service = Service::shared();
    for _ in 0..3 {
        let flow = Flow::start(&service, &service.employee()).await;
        let holder = holder();
        let answers = join_all((0..12).map(|_| flow.send(flow.proof(&holder)))).await;
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:#?}");
        let bodies: BTreeSet<&Vec<u8>> = answers.iter().map(|answer| &answer.body).collect();
        assert_eq!(bodies.len(), 1);
        let trail = service.trail(&flow.created.id).await;
        assert_eq!((trail.intents("credential"), trail.of("credential_issued").len()), (1, 1));
        let rows = format!("SELECT count(*) FROM issuance WHERE request = '{}'", flow.created.id);
        assert_eq!(service.count(&rows), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_holders_one_wins() {
    let service = Service::shared();
    let flow = Flow::start(&service, &service.employee()).await;
    let holders: Vec<Holder> = (0..8).map(|_| holder()).collect();
    let answers = join_all(holders.iter().map(|holder| flow.send(flow.proof(holder)))).await;
    let good = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(good, 1, "{answers:#?}");
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_code(answer, 403, "conflict");
    }
    let trail = service.trail_when(&flow.created.id, |trail| trail.refusals().len() == 7).await;
    assert_eq!((trail.refusals(), trail.intents("credential")), (vec!["other_holder"; 7], 1));
}

#[tokio::test]
async fn a_jti_is_for_one_request() {
    let service = Service::shared();
    let holder = holder();
    let (one, two) =
        (Flow::start(&service, &service.employee()).await, Flow::start(&service, &service.employee()).await);
    let jti = uuid::Uuid::new_v4();
    let mut input = one.input(&holder);
    input.jti = jti;
    one.accepted(&holder, signed(&holder, &build(&input))).await;
    let mut input = two.input(&holder);
    input.jti = jti;
    assert_code(&two.send(signed(&holder, &build(&input))).await, 400, "tokenError");
    let trail = service.trail_when(&two.created.id, |trail| trail.has("proof_refused")).await;
    assert_eq!(trail.refusals(), ["jti_reused"]);
    assert_eq!((trail.state.as_str(), trail.intents("credential")), ("retrieved", 0));
    // Neither the request nor the holder is burnt.
    two.receive(&holder).await;
}

#[tokio::test]
async fn a_hint_is_enough_to_find_the_request() {
    let service = Service::shared();
    let flow = Flow::start(&service, &service.student()).await;
    let holder = holder();
    // A wallet that gives back the contract's own address instead of the request's.
    let proof = flow.altered(&holder, json!({"contract": service.manifest(STUDENT)}));
    flow.accepted(&holder, proof).await;
    assert_eq!(service.trail(&flow.created.id).await.state, "issued");
}

#[tokio::test]
async fn wallets_times_may_be_two_minutes_off() {
    let service = Service::shared();
    let holder = holder();
    for offset in [-129, 129, 290] {
        let flow = Flow::start(&service, &service.employee()).await;
        let iat = system_now() + offset;
        let proof = flow.altered(&holder, json!({"iat": iat, "nbf": iat, "exp": iat + 3456}));
        flow.accepted(&holder, proof).await;
    }
    let flow = Flow::start(&service, &service.employee()).await;
    let now = system_now();
    flow.accepted(&holder, flow.altered(&holder, json!({"iat": now - 3600, "exp": now - 290}))).await;
}

#[tokio::test]
async fn any_content_type_and_escaped_slashes() {
    let service = Service::shared();
    let holder = holder();
    for kind in [None, Some("application/jwt"), Some("application/x-www-form-urlencoded"), Some("nonsense")] {
        let flow = Flow::start(&service, &service.employee()).await;
        let mut call = service.client.post(service.issue_url());
        if let Some(kind) = kind {
            call = call.header("content-type", kind);
        }
        let answer = send(call.body(flow.proof(&holder))).await;
        assert_eq!(answer.status, 200, "{kind:?}: {}", answer.text());
    }
    // iOS writes `\/`, another wallet sends nulls where it has nothing.
    let secret = *b"thirty-two bytes of a test's key";
    let holder = Holder::from_secret(HolderKind::IonSecp256k1, secret).unwrap();
    let flow = Flow::start(&service, &service.employee()).await;
    let mut payload = build(&flow.input(&holder));
    payload["attestations"]["accessTokens"] = json!({});
    payload["attestations"]["presentations"] = Value::Null;
    payload["attestations"]["idTokens"]["https://other.example"] = Value::Null;
    payload["pin"] = Value::Null;
    let escaped = payload.to_string().replace('/', "\\/");
    let answer = flow.send(signed_text(secret, &escaped)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn only_post_is_taken() {
    let service = Service::shared();
    assert_error(&service.get(&service.issue_url()).await, 405, "badOrMissingField", None);
    let other = service.issue_url().replace(service.tenant(), "00000000-0000-4000-8000-000000000000");
    let answer = send(service.client.post(other).body("x")).await;
    assert_error(&answer, 404, "notFound", Some("tenant"));
}
