//! The signed request object: what wallets read, and that it is signed once.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use serde_json::{Value, json};
use wallet::jws::CompactJws;
use wallet::pin;

use super::errors::{assert_error, assert_members};
use super::fixture::{EMPLOYEE, Service, send};
use super::flow::{Flow, holder};

fn address(link: &str) -> &str {
    link.strip_prefix("openid-vc://?request_uri=").expect("a link")
}

#[tokio::test]
async fn every_member_is_as_wallets_need_it() {
    let service = Service::shared();
    let mut body = service.employee();
    body["registration"] = json!({
        "clientName": "Contoso", "purpose": "Onboarding",
        "logoUrl": "https://contoso.example/logo.png", "termsOfServiceUrl": "https://contoso.example/terms",
    });
    let created = service.created(&body).await;
    let answer = service.get(address(&created.link)).await;
    assert_eq!(answer.header("content-type"), Some("application/jwt"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let jws = CompactJws::parse(&answer.text()).expect("a bare compact JWS");
    assert_eq!(jws.kid.did, service.did());
    let header: Value = {
        let text = answer.text();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text.split('.').next().unwrap()).unwrap()).unwrap()
    };
    assert_members(&header, &["alg", "kid", "typ"]);
    assert_eq!((&header["alg"], &header["typ"]), (&json!("ES256"), &json!("JWT")));
    let mut found = jws.payload;
    let text = |found: &Value, name: &str| found[name].as_str().expect(name).to_owned();
    let (nonce, state, hint) = (text(&found, "nonce"), text(&found, "state"), text(&found, "id_token_hint"));
    assert!(nonce.len() >= 22 && state.len() >= 22, "at least 128 random bits");
    let definition = &found["claims"]["vp_token"]["presentation_definition"];
    assert!(definition["id"].is_string());
    let definition_id = definition["id"].clone();
    let (issued, jti) = (found["iat"].as_i64().unwrap(), found["jti"].clone());
    assert!(issued <= created.expiry && created.expiry - issued <= 300);
    let expected = json!({
        "jti": jti, "iat": issued, "exp": created.expiry, "iss": service.did(), "client_id": service.did(),
        "response_type": "id_token", "response_mode": "post", "scope": "openid", "prompt": "create",
        "nonce": nonce, "state": state, "id_token_hint": hint,
        "redirect_uri": format!("{}/v1.0/verifiableCredentials/completeIssuance", service.public()),
        "registration": {
            "client_name": "Contoso", "client_purpose": "Onboarding",
            "logo_uri": "https://contoso.example/logo.png", "tos_uri": "https://contoso.example/terms",
            "subject_syntax_types_supported": ["did:ion"],
            "vp_formats": {
                "jwt_vp": {"alg": ["ES256K", "ES256", "EdDSA"]}, "jwt_vc": {"alg": ["ES256K", "ES256", "EdDSA"]},
            },
        },
        "claims": {"vp_token": {"presentation_definition": {"id": definition_id, "input_descriptors": [{
            "id": "VerifiedEmployee", "schema": [{"uri": "VerifiedEmployee"}],
            "issuance": [{"manifest": format!("{}?request={}", service.manifest(EMPLOYEE), created.id)}],
        }]}}},
    });
    assert_eq!(found.take(), expected);
    // The hint says which request this is, and nothing about the person.
    let hint = hint.split('.').nth(1).unwrap();
    let hint: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(hint).unwrap()).unwrap();
    assert_members(&hint, &["aud", "exp", "iat", "iss", "jti", "nonce"]);
    assert_eq!(hint["iss"], "https://self-issued.me");
    assert_eq!((&hint["jti"], &hint["exp"]), (&json!(created.id), &json!(created.expiry)));
}

#[tokio::test]
async fn absent_registration_members_stay_absent_and_there_is_no_hint_without_need() {
    let service = Service::shared();
    let created = service.created(&service.guest()).await;
    let found = Flow::payload(&service.get(address(&created.link)).await.text());
    assert_members(&found["registration"], &["client_name", "subject_syntax_types_supported", "vp_formats"]);
    assert_eq!((found.get("id_token_hint"), found.get("pin")), (None, None));
}

#[tokio::test]
async fn a_second_fetch_gets_the_same_bytes() {
    let service = Service::shared();
    let created = service.created(&service.employee()).await;
    let first = service.get(address(&created.link)).await;
    // After the issuance too: a link may be opened twice.
    let flow = Flow::scan(&service, created.clone()).await;
    flow.receive(&holder()).await;
    let second = service.get(address(&created.link)).await;
    assert_eq!((second.status, &second.body), (200, &first.body));
    let trail = service.trail(&created.id).await;
    assert_eq!((trail.intents("request_object"), trail.of("request_retrieved").len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_wallets_at_once_get_the_same_bytes_and_one_signature() {
    let service = Service::shared();
    for _ in 0..3 {
        let created = service.created(&service.employee()).await;
        let calls = (0..16).map(|_| service.get(address(&created.link)));
        let answers = join_all(calls).await;
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:#?}");
        let bodies: BTreeSet<&Vec<u8>> = answers.iter().map(|answer| &answer.body).collect();
        assert_eq!(bodies.len(), 1);
        let trail = service.trail(&created.id).await;
        assert_eq!(trail.intents("request_object"), 1, "{:?}", trail.kinds());
        assert_eq!(trail.of("signing_outcome").len(), 1);
        assert_eq!(trail.of("request_retrieved").len(), 1);
    }
}

#[tokio::test]
async fn it_is_a_jws_whatever_the_wallet_prefers() {
    let service = Service::shared();
    for prefer in
        ["JWT-interop-profile-0.0.1", "oid4vci-interop-profile-version=0.0.1", "a, b", "respond-async"]
    {
        let created = service.created(&service.employee()).await;
        let call = service.client.get(address(&created.link)).header("Prefer", prefer);
        let answer =
            send(call.header("Content-Type", "text/plain").header("Accept", "application/json")).await;
        assert_eq!(answer.status, 200, "{prefer}");
        CompactJws::parse(&answer.text()).expect("a bare compact JWS");
    }
}

#[tokio::test]
async fn the_pin_block_gives_nothing_away() {
    let service = Service::shared();
    let mut hashes = BTreeSet::new();
    for _ in 0..2 {
        let mut body = service.employee();
        body["pin"] = json!({"value": "4711", "length": 4});
        let created = service.created(&body).await;
        let found = Flow::payload(&service.get(address(&created.link)).await.text());
        let block = &found["pin"];
        assert_members(block, &["alg", "hash", "iterations", "length", "salt", "type"]);
        assert_eq!(
            (&block["length"], &block["type"], &block["alg"], &block["iterations"]),
            (&json!(4), &json!("numeric"), &json!("sha256"), &json!(1))
        );
        let (salt, hash) = (block["salt"].as_str().unwrap(), block["hash"].as_str().unwrap());
        for candidate in
            [pin::hash(Some(salt), "4711"), pin::hash(None, "4711"), pin::hash(Some("4711"), salt)]
        {
            assert_ne!(hash, candidate);
        }
        assert!(!found.to_string().contains("4711\""));
        assert!(hashes.insert(hash.to_owned()) && hashes.insert(salt.to_owned()), "both differ every time");
    }
}

#[tokio::test]
async fn unknown_requests_and_tenants_are_404() {
    let service = Service::shared();
    let created = service.created(&service.employee()).await;
    let good = address(&created.link);
    for (bad, target) in [
        (good.replace(&created.id, "00000000-0000-4000-8000-000000000000"), "request_uri"),
        (good.replace(&created.id, "nonsense"), "request_uri"),
        (good.replace(&created.id, &format!("{}0", created.id)), "request_uri"),
        (good.replace(service.tenant(), "00000000-0000-4000-8000-000000000000"), "tenant"),
        (good.replace(service.tenant(), "nonsense"), "tenant"),
    ] {
        assert_error(&service.get(&bad).await, 404, "notFound", Some(target));
    }
    assert_error(&service.get(&format!("{good}/more")).await, 404, "notFound", None);
    let answer = send(service.client.post(good)).await;
    assert_error(&answer, 405, "badOrMissingField", None);
    assert_eq!(service.trail(&created.id).await.kinds(), ["request_created"], "nothing was signed");
}
