//! Tests of `contract`.

use super::*;
use crate::example::NOW;
use crate::issuer::Issuer;
use crate::request::{PinKind, PinRequest};
use proptest::prelude::*;
use serde_json::json;

fn parse(payload: &Value) -> Result<Contract, ContractError> {
    Contract::parse(payload, &Issuer::example().parsed_request(), NOW)
}

fn with(pointer: &str, new: Value) -> Result<Contract, ContractError> {
    let mut payload = Issuer::example().contract();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = payload.pointer_mut(parent).unwrap();
    match name.parse::<usize>() {
        Ok(index) => parent[index] = new,
        Err(_) => parent[name] = new,
    }
    parse(&payload)
}

fn without(pointer: &str) -> Result<Contract, ContractError> {
    let mut payload = Issuer::example().contract();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    payload.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
    parse(&payload)
}

/// A contract with these attestations against a request without a hint.
fn attesting(attestations: Value) -> Result<Contract, ContractError> {
    let issuer = Issuer::example();
    let mut payload = issuer.contract();
    payload["input"]["attestations"] = attestations;
    let request = IssuanceRequest { id_token_hint: None, ..issuer.parsed_request() };
    Contract::parse(&payload, &request, NOW)
}

fn shape<T: std::fmt::Debug>(result: Result<T, ContractError>) -> bool {
    matches!(result, Err(ContractError::Shape(_)))
}

#[test]
fn reads_a_good_contract() {
    let contract = parse(&Issuer::example().contract()).unwrap();
    assert_eq!(contract.card.title, "Badge");
    assert_eq!(contract.credential_issuer.as_str(), "https://issuer.example/issue");
    assert_eq!(contract.attestations.id_tokens, [SELF_ISSUED]);
    assert_eq!(label(&contract.labels, "firstName"), "First name");
    assert_eq!(label(&contract.labels, "other"), "other");
}

#[test]
fn every_needed_member_is_needed() {
    for pointer in [
        "/id",
        "/display",
        "/input",
        "/display/card",
        "/display/card/title",
        "/display/card/issuedBy",
        "/display/card/backgroundColor",
        "/display/card/textColor",
        "/display/card/description",
        "/display/card/logo/description",
        "/display/consent",
        "/display/consent/instructions",
        "/display/claims",
        "/display/claims/vc.credentialSubject.firstName/type",
        "/display/claims/vc.credentialSubject.firstName/label",
        "/input/credentialIssuer",
        "/input/issuer",
        "/input/attestations",
        "/input/attestations/idTokens/0/configuration",
        "/input/attestations/idTokens/0/client_id",
        "/input/attestations/idTokens/0/claims",
        "/input/attestations/idTokens/0/claims/0/claim",
    ] {
        assert!(shape(without(pointer)), "{pointer}");
        assert!(shape(with(pointer, json!(7))), "{pointer}");
        assert!(shape(with(pointer, Value::Null)), "{pointer}");
    }
}

#[test]
fn optional_members_may_be_absent_but_never_of_another_type() {
    for pointer in [
        "/iat",
        "/iss",
        "/display/locale",
        "/display/contract",
        "/display/id",
        "/input/id",
        "/display/consent/title",
        "/display/card/logo",
        "/display/card/logo/uri",
        "/input/attestations/idTokens/0/redirect_uri",
        "/input/attestations/idTokens/0/required",
        "/input/attestations/idTokens/0/encrypted",
        "/input/attestations/idTokens/0/claims/0/required",
        "/input/attestations/idTokens/0/claims/0/indexed",
    ] {
        assert!(without(pointer).is_ok(), "{pointer}");
        assert!(shape(with(pointer, Value::Null)), "{pointer}");
        assert!(shape(with(pointer, json!([1]))), "{pointer}");
    }
    assert!(with("/display/claims", json!({})).is_ok());
}

#[test]
fn the_issuer_is_the_requests() {
    assert_eq!(with("/input/issuer", json!("did:web:other")), Err(ContractError::Issuer));
    assert_eq!(with("/iss", json!("did:web:other")), Err(ContractError::Issuer));
    assert_eq!(with("/iat", json!(NOW + 301)), Err(ContractError::NotYet));
    for bad in ["http://a/b", "https://a/b?c=1&d=2", ""] {
        assert!(shape(with("/input/credentialIssuer", json!(bad))), "{bad}");
    }
}

#[test]
fn something_is_demanded() {
    for nothing in [json!({}), json!({"idTokens": []}), json!({"selfIssued": {"claims": []}})] {
        assert_eq!(attesting(nothing.clone()), Err(ContractError::NoAttestation), "{nothing}");
    }
}

#[test]
fn hint_and_contract_fit_each_other() {
    assert_eq!(
        with("/input/attestations", json!({"selfIssued": {"claims": [{"claim": "a"}]}})),
        Err(ContractError::NoPlaceForHint)
    );
    assert_eq!(
        with("/input/attestations/idTokens/0/configuration", json!("https://self-issued.me/")),
        Err(ContractError::NoPlaceForHint)
    );
    let hint = Issuer::example().contract()["input"]["attestations"].clone();
    assert_eq!(attesting(hint), Err(ContractError::HintMissing));
}

#[test]
fn a_pin_goes_with_the_hint_alone() {
    let issuer = Issuer::example();
    let pin = PinRequest { length: 4, kind: PinKind::Numeric, salt: None, hash: "h".into() };
    let request = IssuanceRequest { pin: Some(pin), ..issuer.parsed_request() };
    let mut payload = issuer.contract();
    assert!(Contract::parse(&payload, &request, NOW).is_ok());
    payload["input"]["attestations"]["selfIssued"] = json!({"claims": [{"claim": "a"}]});
    assert_eq!(Contract::parse(&payload, &request, NOW), Err(ContractError::PinWithOthers));
    assert!(parse(&payload).is_ok());
}

#[test]
fn presentations_have_the_shape_of_section_3_3() {
    let good = json!({"credentialType": "Other", "claims": [], "issuers": [{"iss": "did:web:x"}], "contracts": ["https://a/b"],
        "required": true, "encrypted": false, "validityInterval": 60});
    let read = attesting(json!({"presentations": [good]})).unwrap();
    assert_eq!(read.attestations.presentations, ["Other"]);
    assert!(shape(attesting(json!({"presentations": [good, good]}))));
    for (name, bad) in [
        ("credentialType", json!("")),
        ("claims", json!({})),
        ("issuers", json!([{}])),
        ("contracts", json!([1])),
        ("validityInterval", json!(1.5)),
        ("required", json!("true")),
    ] {
        let mut entry = good.clone();
        entry[name] = bad;
        assert!(shape(attesting(json!({"presentations": [entry]}))), "{name}");
    }
    for name in ["credentialType", "claims"] {
        let mut entry = good.clone();
        entry.as_object_mut().unwrap().remove(name);
        assert!(shape(attesting(json!({"presentations": [entry]}))), "{name}");
    }
}

#[test]
fn access_tokens_serve_both_libraries() {
    let good = json!({"configuration": "https://a/b", "resourceId": "r", "scope": "s", "oboScope": "s", "claims": []});
    assert_eq!(
        attesting(json!({"accessTokens": [good]})).unwrap().attestations.access_tokens,
        ["https://a/b"]
    );
    for name in ["configuration", "resourceId", "scope", "oboScope", "claims"] {
        let mut entry = good.clone();
        entry.as_object_mut().unwrap().remove(name);
        assert!(shape(attesting(json!({"accessTokens": [entry]}))), "{name}");
    }
}

#[test]
fn self_issued_claims_have_names() {
    let read =
        attesting(json!({"selfIssued": {"claims": [{"claim": "a", "required": true}, {"claim": "b"}]}}))
            .unwrap();
    let claims = read.attestations.self_issued;
    assert_eq!(
        claims.iter().map(|one| (one.name.as_str(), one.required)).collect::<Vec<_>>(),
        [("a", true), ("b", false)]
    );
    for bad in [
        json!({}),
        json!([]),
        json!({"claims": [{}]}),
        json!({"claims": [{"claim": "a"}, {"claim": "a"}]}),
        json!({"claims": [{"claim": "a"}], "required": 1}),
    ] {
        assert!(shape(attesting(json!({"selfIssued": bad}))), "{bad}");
    }
}

#[test]
fn a_kept_contract_gives_title_and_labels() {
    let issuer = Issuer::example();
    let read = shown(&issuer.sign(&issuer.contract()));
    assert_eq!(read.title.as_deref(), Some("Badge"));
    assert_eq!(label(&read.labels, "firstName"), "First name");
    assert_eq!(shown("garbage"), Shown::default());
    assert_eq!(shown(&issuer.sign(&json!({}))), Shown::default());
}

proptest! {
    #[test]
    fn arbitrary_json_never_panics(text in any::<String>(), at in 0usize..3, deep in 0usize..8) {
        let mut payload = Issuer::example().contract();
        let top = ["display", "input", "id"][at];
        if let Some(members) = payload[top].as_object_mut() {
            let names: Vec<String> = members.keys().cloned().collect();
            members.insert(names[deep % names.len()].clone(), json!([text]));
        } else {
            payload[top] = json!([text]);
        }
        prop_assert!(parse(&payload).is_err());
        prop_assert!(parse(&json!(text)).is_err());
    }
}
