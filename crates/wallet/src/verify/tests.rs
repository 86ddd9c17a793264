//! Tests of `verify`.

use super::*;
use crate::example::NOW;
use crate::holder::HolderKind;
use crate::issuer::Issuer;
use serde_json::json;

fn document(issuer: &Issuer) -> DidDocument {
    DidDocument::parse(issuer.document().to_string().as_bytes(), &issuer.did).unwrap()
}

#[test]
fn all_three_algorithms_verify() {
    for kind in [HolderKind::JwkP256, HolderKind::JwkEd25519, HolderKind::IonSecp256k1] {
        let issuer = Issuer::new(kind, "issuer.example", NOW);
        let document = document(&issuer);
        let request = request(&issuer.sign(&issuer.request()), &document, NOW).unwrap();
        contract(&issuer.sign(&issuer.contract()), &document, &request, NOW).unwrap();
        let expected =
            Expected { issuer: &issuer.did, holder: Some("did:x"), types: &request.types, now: NOW };
        let credential = credential(&issuer.sign(&issuer.credential("did:x")), &document, &expected).unwrap();
        assert_eq!(credential.holder, "did:x");
    }
}

#[test]
fn another_key_does_not_verify() {
    let issuer = Issuer::example();
    let stranger = Issuer::example();
    let document = document(&issuer);
    let parsed = issuer.parsed_request();
    assert_eq!(
        request(&stranger.sign(&issuer.request()), &document, NOW),
        Err(RequestError::Signature(SignatureError::Invalid))
    );
    assert_eq!(
        contract(&stranger.sign(&issuer.contract()), &document, &parsed, NOW),
        Err(ContractError::Signature(SignatureError::Invalid))
    );
    let expected = Expected { issuer: &issuer.did, holder: None, types: &[], now: NOW };
    assert_eq!(
        credential(&stranger.sign(&issuer.credential("did:x")), &document, &expected),
        Err(CredentialError::Signature(SignatureError::Invalid))
    );
}

#[test]
fn an_unknown_fragment_or_another_algorithm_does_not_verify() {
    let issuer = Issuer::example();
    let document = document(&issuer);
    let text = issuer.sign_as(&format!("{}#key-2", issuer.did), &issuer.request());
    assert_eq!(request(&text, &document, NOW), Err(RequestError::Signature(SignatureError::NoSuchKey)));
    let other = Issuer::new(HolderKind::IonSecp256k1, "issuer.example", NOW);
    assert_eq!(
        request(&other.sign(&issuer.request()), &document, NOW),
        Err(RequestError::Signature(SignatureError::Algorithm))
    );
}

#[test]
fn messages_of_another_did_are_refused() {
    let issuer = Issuer::example();
    let other = Issuer::new(HolderKind::JwkP256, "other.example", NOW);
    let document = document(&other);
    let parsed = issuer.parsed_request();
    assert_eq!(
        request(&issuer.sign(&issuer.request()), &document, NOW),
        Err(RequestError::Signature(SignatureError::OtherDid))
    );
    assert_eq!(
        contract(&other.sign(&issuer.contract()), &document, &parsed, NOW),
        Err(ContractError::Issuer)
    );
    let expected = Expected { issuer: &issuer.did, holder: None, types: &[], now: NOW };
    assert_eq!(
        credential(&other.sign(&other.credential("did:x")), &document, &expected),
        Err(CredentialError::Issuer)
    );
}

#[test]
fn a_request_with_a_newline_is_refused() {
    let issuer = Issuer::example();
    let text = format!("{}\n", issuer.sign(&issuer.request()));
    let error = request(&text, &document(&issuer), NOW).unwrap_err();
    assert_eq!(error, RequestError::Jws(crate::jws::JwsError::Surrounded));
}

#[test]
fn answers_have_their_member() {
    assert_eq!(answer_member(&json!({"vc": "a"}), "vc").unwrap(), "a");
    for bad in [json!({}), json!({"vc": null}), json!({"vc": 1}), json!([]), json!("a")] {
        assert!(answer_member(&bad, "vc").is_err(), "{bad}");
    }
}
