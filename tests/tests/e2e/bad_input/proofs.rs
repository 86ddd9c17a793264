//! Wallets' answers that are refused: broken tokens, altered claims, and answers to something else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credenza_tests::process::Answer;
use serde_json::{Value, json};
use wallet::clock::system_now;
use wallet::contract::SELF_ISSUED;
use wallet::proof::build;

use crate::issuance::errors::{assert_code, assert_error};
use crate::issuance::fixture::{EMPLOYEE, STUDENT, Service};
use crate::issuance::flow::{Flow, holder, send_proof, signed, signed_with};

/// Refused with this reason in the ledger, nothing signed, and the same request still open for a good answer.
async fn refused(flow: &Flow, answer: &Answer, reason: &str) {
    assert_code(answer, 400, "tokenError");
    let service = &flow.service;
    let trail = service.trail_when(&flow.created.id, |trail| trail.has("proof_refused")).await;
    assert_eq!(trail.refusals(), [reason], "{}", answer.text());
    assert_eq!((trail.state.as_str(), trail.intents("credential")), ("retrieved", 0));
    flow.receive(&holder()).await;
}

#[tokio::test]
async fn bodies_that_are_no_token() {
    let service = Service::shared();
    let flow = Flow::start(&service, &service.employee()).await;
    let good = flow.proof(&holder());
    let parts: Vec<&str> = good.split('.').collect();
    for body in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        "x".to_owned(),
        good[..good.len() / 2].to_owned(),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{good}.x"),
        format!("{good}="),
        format!("\"{good}\""),
        format!(" {good}"),
        format!("{good}\n"),
        format!("!{good}"),
        format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode("[]"), parts[2]),
        format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode("null"), parts[2]),
        format!("{}.{}.{}", URL_SAFE_NO_PAD.encode("[]"), parts[1], parts[2]),
        format!("{}.{}.{}", URL_SAFE_NO_PAD.encode("{}"), parts[1], parts[2]),
        json!({"id_token": good}).to_string(),
        format!("id_token={good}"),
        "\u{feff}x.y.z".to_owned(),
    ] {
        let answer = flow.send(body.clone()).await;
        assert_eq!(answer.status, 400, "{body:?}: {}", answer.text());
        let code = answer.json()["error"]["innererror"]["code"].as_str().unwrap().to_owned();
        assert!(matches!(code.as_str(), "badOrMissingField" | "tokenError"), "{body:?}: {code}");
        assert_code(&answer, 400, &code);
    }
    assert_eq!(service.trail(&flow.created.id).await.intents("credential"), 0);
    flow.receive(&holder()).await;
}

#[tokio::test]
async fn truncated_tokens() {
    let service = Service::shared();
    let flow = Flow::start(&service, &service.employee()).await;
    let good = flow.proof(&holder());
    for length in (0..good.len()).step_by(41) {
        let answer = flow.send(good[..length].to_owned()).await;
        assert_eq!(answer.status, 400, "{length}: {}", answer.text());
    }
    assert_eq!(service.trail(&flow.created.id).await.intents("credential"), 0);
    // A signature that lacks its last byte.
    let flow = Flow::start(&service, &service.employee()).await;
    let good = flow.proof(&holder());
    let answer = flow.send(good[..good.len() - 2].to_owned()).await;
    refused(&flow, &answer, "bad_signature").await;
}

#[tokio::test]
async fn oversized_bodies() {
    let service = Service::shared();
    let flow = Flow::start(&service, &service.employee()).await;
    let holder = holder();
    let answer = flow.send("x".repeat((1 << 20) + 1)).await;
    assert_code(&answer, 413, "badOrMissingField");
    let big = flow.altered(&holder, json!({"padding": "x".repeat(1 << 20)}));
    assert_code(&flow.send(big).await, 413, "badOrMissingField");
    // Big, but not too big: unknown members do no harm.
    let large = flow.altered(&holder, json!({"padding": "x".repeat(600_000)}));
    flow.accepted(&holder, large).await;
}

#[tokio::test]
async fn algorithms_that_prove_nothing() {
    let service = Service::shared();
    for (alg, reason) in [
        ("none", "alg_not_allowed"),
        ("None", "alg_not_allowed"),
        ("", "alg_not_allowed"),
        ("HS256", "alg_not_allowed"),
        ("RS256", "alg_not_allowed"),
        ("es256", "alg_not_allowed"),
        ("ES384", "alg_not_allowed"),
        ("ES256K", "alg_key_mismatch"),
        ("EdDSA", "alg_key_mismatch"),
    ] {
        let flow = Flow::start(&service, &service.employee()).await;
        let holder = holder();
        let proof = signed_with(&holder, json!({"alg": alg}), &build(&flow.input(&holder)));
        let answer = flow.send(proof.clone()).await;
        refused(&flow, &answer, reason).await;
        let (input, _) = proof.rsplit_once('.').unwrap();
        let unsigned = flow.send(format!("{input}.")).await;
        assert_eq!(unsigned.status, 400, "{alg}: {}", unsigned.text());
    }
}

#[tokio::test]
async fn headers_that_are_refused() {
    let service = Service::shared();
    for (header, reason) in [
        (json!({"kid": null}), "kid_missing"),
        (json!({"kid": ""}), "kid_malformed"),
        (json!({"kid": "#0"}), "kid_malformed"),
        (json!({"kid": "not a did"}), "kid_malformed"),
        (json!({"kid": "did:jwk:e30#a#b"}), "kid_malformed"),
        (json!({"kid": format!("did:jwk:{}#0", "A".repeat(10_000))}), "kid_malformed"),
        (json!({"kid": 7}), "not_a_token"),
        (json!({"alg": 7}), "not_a_token"),
        (json!({"alg": null}), "not_a_token"),
        (json!({"crit": ["b64"], "b64": false}), "not_a_token"),
        (json!({"crit": []}), "not_a_token"),
    ] {
        let flow = Flow::start(&service, &service.employee()).await;
        let holder = holder();
        let answer = flow.send(signed_with(&holder, header, &build(&flow.input(&holder)))).await;
        refused(&flow, &answer, reason).await;
    }
}

#[tokio::test]
async fn altered_claims() {
    let service = Service::shared();
    let now = system_now();
    let audience = service.issue_url();
    let sub_of_another = holder().public().thumbprint();
    let cases: Vec<(Value, &str)> = vec![
        (json!({"iss": null}), "missing_claim"),
        (json!({"iss": "https://self-issued.me/v2"}), "wrong_issuer"),
        (json!({"aud": null}), "missing_claim"),
        (json!({"aud": "https://other.example/issue"}), "wrong_audience"),
        (json!({"aud": format!("{audience}/")}), "wrong_audience"),
        (json!({"aud": audience.to_uppercase()}), "wrong_audience"),
        (json!({"aud": service.did()}), "wrong_audience"),
        (json!({"sub": null}), "missing_claim"),
        (json!({"sub": sub_of_another}), "sub_mismatch"),
        (json!({"sub_jwk": null}), "missing_claim"),
        (json!({"sub_jwk": holder().public().to_jwk()}), "key_mismatch"),
        (json!({"sub_jwk": {"kty": "EC"}}), "bad_sub_jwk"),
        (json!({"sub_jwk": "text"}), "bad_sub_jwk"),
        (json!({"did": null}), "missing_claim"),
        (json!({"did": holder().did()}), "did_mismatch"),
        (json!({"jti": null}), "missing_claim"),
        (json!({"jti": ""}), "bad_jti"),
        (json!({"jti": "x".repeat(300)}), "bad_jti"),
        (json!({"iat": null}), "missing_claim"),
        (json!({"iat": now + 600}), "issued_in_future"),
        (json!({"nbf": now + 600}), "not_yet_valid"),
        (json!({"exp": null}), "missing_claim"),
        (json!({"exp": now - 600}), "expired"),
        (json!({"exp": 0}), "expired"),
    ];
    for (change, reason) in cases {
        let flow = Flow::start(&service, &service.employee()).await;
        let answer = flow.send(flow.altered(&holder(), change)).await;
        refused(&flow, &answer, reason).await;
    }
}

#[tokio::test]
async fn claims_of_another_type() {
    let service = Service::shared();
    for change in [
        json!({"iss": 1}),
        json!({"aud": ["x"]}),
        json!({"iat": "now"}),
        json!({"exp": true}),
        json!({"exp": 1e300}),
        json!({"jti": {}}),
        json!({"did": []}),
        json!({"pin": 1234}),
        json!({"pin": "x".repeat(500)}),
        json!({"attestations": []}),
        json!({"attestations": {"idTokens": []}}),
        json!({"attestations": {"idTokens": {(SELF_ISSUED): 1}}}),
        json!({"attestations": {"selfIssued": {"name": {"deep": 1}}}}),
        json!({"attestations": {"presentations": {"Badge": []}}}),
        json!({"attestations": {("x".repeat(100)): {}}}),
    ] {
        let flow = Flow::start(&service, &service.employee()).await;
        let answer = flow.send(flow.altered(&holder(), change)).await;
        refused(&flow, &answer, "malformed").await;
    }
    // Without a readable address they belong to no request.
    let flow = Flow::start(&service, &service.employee()).await;
    for contract in [json!(1), json!([]), json!("x".repeat(5000))] {
        let answer = flow.send(flow.altered(&holder(), json!({"contract": contract}))).await;
        assert_code(&answer, 400, "badOrMissingField");
    }
    assert!(!service.trail(&flow.created.id).await.has("proof_refused"));
}

#[tokio::test]
async fn a_contract_address_that_is_not_the_requests() {
    let service = Service::shared();
    let request = |flow: &Flow| format!("?request={}", flow.created.id);
    // Another contract of ours, with this request's id.
    let flow = Flow::start(&service, &service.employee()).await;
    let foreign = format!("{}{}", service.manifest(STUDENT), request(&flow));
    let answer = flow.send(flow.altered(&holder(), json!({"contract": foreign}))).await;
    refused(&flow, &answer, "foreign_contract").await;
    // The same path at somebody else's host: a wallet gives back what stood in the request, and that was ours.
    let flow = Flow::start(&service, &service.employee()).await;
    let elsewhere = flow.opened.request.manifest.as_str().replace(service.public(), "https://evil.example");
    let answer = flow.send(flow.altered(&holder(), json!({"contract": elsewhere}))).await;
    refused(&flow, &answer, "foreign_contract").await;

    let flow = Flow::start(&service, &service.employee()).await;
    let good = service.manifest(EMPLOYEE);
    for (contract, status, code) in [
        (Value::Null, 400, "badOrMissingField"),
        (json!(""), 400, "badOrMissingField"),
        (json!("https://beta.did.msidentity.com/v1.0/contracts/x"), 400, "badOrMissingField"),
        (json!("nonsense"), 400, "badOrMissingField"),
        (
            json!(format!(
                "{}{}",
                good.replace(service.tenant(), "00000000-0000-4000-8000-000000000000"),
                request(&flow)
            )),
            400,
            "badOrMissingField",
        ),
        (json!(format!("{good}?request={0}&request={0}", flow.created.id)), 400, "badOrMissingField"),
        (json!(format!("{good}?request=nonsense")), 400, "badOrMissingField"),
        (json!(format!("{good}?request=00000000-0000-4000-8000-000000000000")), 404, "notFound"),
    ] {
        let answer = flow.send(flow.altered(&holder(), json!({"contract": contract}))).await;
        assert_code(&answer, status, code);
    }
    assert_eq!(service.trail(&flow.created.id).await.intents("credential"), 0);
    flow.receive(&holder()).await;
}

#[tokio::test]
async fn hints_of_other_requests_and_forged_ones() {
    let service = Service::shared();
    let hint_of = |flow: &Flow| flow.opened.request.id_token_hint.clone().unwrap();
    let other = Flow::start(&service, &service.employee()).await;
    let good = hint_of(&Flow::start(&service, &service.employee()).await);
    let (input, tag) = good.rsplit_once('.').unwrap();
    let (header, payload) = input.split_once('.').unwrap();
    let reheaded = |changes: Value| {
        let mut found: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
        found.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        format!("{}.{payload}.{tag}", URL_SAFE_NO_PAD.encode(found.to_string()))
    };
    let none = URL_SAFE_NO_PAD.encode(json!({"alg": "none"}).to_string());
    for (hint, reason) in [
        (Some(hint_of(&other)), "hint_of_another_request"),
        (None, "hint_missing"),
        (Some(String::new()), "hint_malformed"),
        (Some("nonsense".to_owned()), "hint_malformed"),
        (Some(good[..good.len() - 3].to_owned()), "hint_bad_signature"),
        (Some(good[..good.len() - 60].to_owned()), "hint_malformed"),
        (Some(format!("{none}.{payload}.")), "hint_alg_not_allowed"),
        (Some(reheaded(json!({"alg": "HS384"}))), "hint_alg_not_allowed"),
        (Some(reheaded(json!({"kid": "other"}))), "hint_unknown_key"),
        (Some(signed(&holder(), &Flow::payload_of(&good))), "hint_alg_not_allowed"),
        (Some(format!("{header}.{}.{tag}", URL_SAFE_NO_PAD.encode("{}"))), "hint_bad_signature"),
    ] {
        let flow = Flow::start(&service, &service.employee()).await;
        let tokens = match hint {
            Some(hint) => json!({"idTokens": {(SELF_ISSUED): hint}}),
            None => json!({}),
        };
        let answer = flow.send(flow.altered(&holder(), json!({"attestations": tokens}))).await;
        refused(&flow, &answer, reason).await;
    }
    // The one whose hint was tried elsewhere is not burnt.
    other.receive(&holder()).await;
}

#[tokio::test]
async fn a_hint_is_worth_nothing_after_the_completion() {
    let service = Service::shared();
    let done = Flow::start(&service, &service.employee()).await;
    done.receive(&holder()).await;
    done.complete().await;
    let hint = done.opened.request.id_token_hint.clone().unwrap();
    // Alone it finds a request that has ended.
    let replayed = done.altered(&holder(), json!({"contract": service.manifest(EMPLOYEE)}));
    assert_code(&done.send(replayed).await, 404, "notFound");
    // With another request's address it is the wrong one.
    let flow = Flow::start(&service, &service.employee()).await;
    let tokens = json!({"idTokens": {(SELF_ISSUED): hint}});
    let answer = flow.send(flow.altered(&holder(), json!({"attestations": tokens}))).await;
    refused(&flow, &answer, "hint_of_another_request").await;
}

#[tokio::test]
async fn attestations_that_nobody_asked_for() {
    let service = Service::shared();
    for extra in [
        json!({"presentations": {"Badge": "a.b.c"}}),
        json!({"accessTokens": {"https://login.example": "token"}}),
        json!({"idTokens": {"https://login.example": "a.b.c"}}),
        json!({"somethingNew": {"a": "b"}}),
    ] {
        let flow = Flow::start(&service, &service.employee()).await;
        let mut tokens = json!({"idTokens": {(SELF_ISSUED): flow.opened.request.id_token_hint}});
        for (kind, entries) in extra.as_object().unwrap() {
            if tokens[kind].is_null() {
                tokens[kind] = json!({});
            }
            tokens[kind].as_object_mut().unwrap().extend(entries.as_object().unwrap().clone());
        }
        let answer = flow.send(flow.altered(&holder(), json!({"attestations": tokens}))).await;
        refused(&flow, &answer, "unexpected_attestation").await;
    }
    let flow = Flow::start(&service, &service.employee()).await;
    let mut many = json!({(SELF_ISSUED): flow.opened.request.id_token_hint});
    for number in 0..6 {
        many[format!("https://{number}.example")] = json!("a.b.c");
    }
    let answer = flow.send(flow.altered(&holder(), json!({"attestations": {"idTokens": many}}))).await;
    refused(&flow, &answer, "unexpected_attestation").await;
}

#[tokio::test]
async fn a_proof_before_the_request_was_fetched() {
    let service = Service::shared();
    let fetched = Flow::start(&service, &service.guest()).await;
    let created = service.created(&service.guest()).await;
    let holder = holder();
    let contract = format!("{}?request={}", service.manifest(crate::issuance::fixture::GUEST), created.id);
    let mut input = fetched.input(&holder);
    input.contract = &contract;
    input.self_issued.insert("name".into(), "Megan".into());
    let answer = send_proof(&service, signed(&holder, &build(&input))).await;
    assert_error(&answer, 404, "notFound", None);
    let trail = service.trail_when(&created.id, |trail| trail.has("proof_refused")).await;
    assert_eq!((trail.refusals(), trail.state.as_str()), (vec!["request_not_open"], "created"));
}
