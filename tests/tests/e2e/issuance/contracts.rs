//! The manifest: signed once, per language, never by a GET.

use serde_json::{Value, json};
use wallet::jws::CompactJws;

use super::errors::{assert_error, assert_members};
use super::fixture::{EMPLOYEE, GUEST, STUDENT, Service, send};
use super::flow::Flow;

async fn token(service: &Service, contract: &str, language: Option<&str>) -> String {
    let mut call = service.client.get(service.manifest(contract)).header("x-ms-sign-contract", "true");
    if let Some(language) = language {
        call = call.header("Accept-Language", language);
    }
    let answer = send(call).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.header("vary").unwrap().to_lowercase().contains("accept-language"));
    assert_members(&answer.json(), &["token"]);
    answer.json()["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_contract_with_a_hint_has_the_documented_shape() {
    let service = Service::shared();
    let token = token(&service, EMPLOYEE, None).await;
    let jws = CompactJws::parse(&token).unwrap();
    let document = service.session.resolve(service.did()).await.unwrap();
    document.verify(&jws).expect("signed by the authority");
    let found = jws.payload;
    let issued = found["iat"].as_i64().unwrap();
    let claim = |name: &str, required: bool, indexed: bool| json!({"claim": format!("$.{name}"), "required": required, "indexed": indexed});
    let label = |label: &str| json!({"type": "String", "label": label});
    let mut employee_id = label("Employee number");
    employee_id["description"] = json!("The number in our staff directory.");
    let mut expected = json!({
        "id": EMPLOYEE, "iss": service.did(), "iat": issued,
        "display": {
            "id": "display", "locale": "en-US", "contract": service.manifest(EMPLOYEE),
            "card": {
                "title": "Verified employee", "issuedBy": "Northwind Mills",
                "description": "Shows that you work at Northwind Mills and what you do there.",
                "backgroundColor": "#0B3D5C", "textColor": "#FFFFFF",
                "logo": found["display"]["card"]["logo"],
            },
            "consent": found["display"]["consent"],
            "claims": {
                "vc.credentialSubject.givenName": label("First name"),
                "vc.credentialSubject.familyName": label("Last name"),
                "vc.credentialSubject.jobTitle": label("Role"),
                "vc.credentialSubject.employeeId": employee_id,
            },
        },
        "input": {
            "id": "input", "credentialIssuer": service.issue_url(), "issuer": service.did(),
            "attestations": {"idTokens": [{
                "id": "https://self-issued.me", "encrypted": false, "required": true,
                "configuration": "https://self-issued.me", "client_id": "", "redirect_uri": "",
                "claims": [
                    claim("given_name", true, false), claim("family_name", true, false),
                    claim("job_title", false, false), claim("employee_id", true, true),
                ],
            }]},
        },
    });
    assert_eq!(found["display"]["consent"]["title"], "Add your employee credential?");
    assert_members(&found["display"]["card"]["logo"], &["description", "uri"]);
    // Claims may carry a type as well; nothing else may differ.
    if let Some(claims) = found["input"]["attestations"]["idTokens"][0]["claims"].as_array() {
        for (index, claim) in claims.iter().enumerate() {
            if let Some(kind) = claim.get("type") {
                expected["input"]["attestations"]["idTokens"][0]["claims"][index]["type"] = kind.clone();
            }
        }
    }
    assert_eq!(found, expected);
}

#[tokio::test]
async fn the_self_issued_contract_asks_the_person() {
    let service = Service::shared();
    let found = Flow::payload(&token(&service, GUEST, None).await);
    assert_members(&found["input"]["attestations"], &["selfIssued"]);
    let asked = &found["input"]["attestations"]["selfIssued"];
    assert_eq!((&asked["required"], &asked["encrypted"]), (&json!(true), &json!(false)));
    assert_eq!(asked["claims"][0]["claim"], "name");
}

#[tokio::test]
async fn the_language_decides_the_display() {
    let service = Service::shared();
    for (contract, language, locale, title) in [
        (EMPLOYEE, None, "en-US", "Verified employee"),
        (EMPLOYEE, Some("de"), "de-DE", "Betriebsausweis"),
        (EMPLOYEE, Some("de-AT"), "de-DE", "Betriebsausweis"),
        (EMPLOYEE, Some("DE-de"), "de-DE", "Betriebsausweis"),
        (EMPLOYEE, Some("fr, de;q=0.5"), "de-DE", "Betriebsausweis"),
        (EMPLOYEE, Some("de;q=0.2, en-GB"), "en-US", "Verified employee"),
        (EMPLOYEE, Some("ja"), "en-US", "Verified employee"),
        (EMPLOYEE, Some("*"), "en-US", "Verified employee"),
        (EMPLOYEE, Some(";;;q=,,"), "en-US", "Verified employee"),
        (STUDENT, Some("fr-CA"), "fr", "Carte d’étudiant"),
        (STUDENT, Some("de"), "en", "Student card"),
    ] {
        let display = Flow::payload(&token(&service, contract, language).await)["display"].clone();
        assert_eq!(display["locale"], locale, "{language:?}");
        assert_eq!(display["card"]["title"], title, "{language:?}");
    }
}

#[tokio::test]
async fn every_fetch_gives_the_same_bytes_and_signs_nothing() {
    let service = Service::shared();
    let flow = Flow::start(&service, &service.employee()).await;
    let first = token(&service, EMPLOYEE, None).await;
    for _ in 0..5 {
        assert_eq!(token(&service, EMPLOYEE, None).await, first);
        let with_request = service.get(flow.opened.request.manifest.as_str()).await;
        assert_eq!(with_request.json()["token"], json!(first), "the request changes nothing in it");
    }
    let count = "SELECT count(*) FROM intent WHERE purpose = 'contract'";
    assert_eq!(service.count(count), 5, "one for each language of each contract");
    let trail = service.trail_when(&flow.created.id, |trail| trail.has("contract_fetched")).await;
    // Noted once: the address is public, and the ledger must not grow by repeating the call.
    assert_eq!(trail.of("contract_fetched"), [&json!({"contract_version": 1, "locale": "en-US"})]);
    assert_eq!(trail.intents("contract"), 0);
}

#[tokio::test]
async fn fetches_after_the_issuance_are_not_noted() {
    let service = Service::shared();
    let flow = Flow::start(&service, &service.employee()).await;
    flow.receive(&super::flow::holder()).await;
    for _ in 0..5 {
        assert_eq!(service.get(flow.opened.request.manifest.as_str()).await.status, 200);
    }
    flow.complete().await;
    let trail = service.trail_when(&flow.created.id, |trail| trail.has("wallet_reported")).await;
    assert_eq!(trail.of("contract_fetched").len(), 1, "the address is public: it must not fill the ledger");
}

#[tokio::test]
async fn the_bare_contract_is_json_without_a_signature() {
    let service = Service::shared();
    let signed = Flow::payload(&token(&service, EMPLOYEE, None).await);
    for value in ["false", "False"] {
        let call = service.client.get(service.manifest(EMPLOYEE)).header("x-ms-sign-contract", value);
        let answer = send(call).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.json(), signed);
    }
    // Absent or anything else: the signed form.
    let plain = send(service.client.get(service.manifest(EMPLOYEE))).await;
    assert_members(&plain.json(), &["token"]);
}

#[tokio::test]
async fn unknown_contracts_are_404() {
    let service = Service::shared();
    let good = service.manifest(EMPLOYEE);
    for (bad, target) in [
        (good.replace(EMPLOYEE, "00000000-0000-4000-8000-000000000000"), Some("contract")),
        (good.replace(EMPLOYEE, "VerifiedEmployee"), Some("contract")),
        (good.replace(service.tenant(), "00000000-0000-4000-8000-000000000000"), Some("tenant")),
        (good.replace("/manifest", "/manifests"), None),
    ] {
        assert_error(&service.get(&bad).await, 404, "notFound", target);
    }
    // A request that does not exist, or no request at all, is no reason to withhold a public document.
    for query in ["?request=00000000-0000-4000-8000-000000000000", "?request=nonsense", "?other=1", "?"] {
        assert_eq!(service.get(&format!("{good}{query}")).await.status, 200, "{query}");
    }
    let upper = service.get(&good.replace(EMPLOYEE, &EMPLOYEE.to_uppercase())).await;
    assert_eq!(upper.status, 200, "GUIDs compare whatever their letter case");
    let answer: Value = service.get(&good).await.json();
    assert!(answer["token"].is_string());
}
