//! Tests of `credential`.

use super::*;
use crate::example::NOW;
use crate::issuer::Issuer;
use proptest::prelude::*;
use serde_json::json;

const HOLDER: &str = "did:jwk:abc";

fn parse(payload: &Value) -> Result<Credential, CredentialError> {
    let types = ["ContosoBadge".to_owned()];
    let expected =
        Expected { issuer: "did:web:issuer.example", holder: Some(HOLDER), types: &types, now: NOW };
    Credential::parse(payload, &expected)
}

fn with(pointer: &str, new: Value) -> Result<Credential, CredentialError> {
    let mut payload = Issuer::example().credential(HOLDER);
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    payload.pointer_mut(parent).unwrap()[name] = new;
    parse(&payload)
}

fn without(pointer: &str) -> Result<Credential, CredentialError> {
    let mut payload = Issuer::example().credential(HOLDER);
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    payload.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
    parse(&payload)
}

fn shape(result: Result<Credential, CredentialError>) -> bool {
    matches!(result, Err(CredentialError::Shape(_)))
}

#[test]
fn reads_a_good_credential() {
    let credential = parse(&Issuer::example().credential(HOLDER)).unwrap();
    assert_eq!(credential.types, ["VerifiableCredential", "ContosoBadge"]);
    assert_eq!(credential.claims["firstName"], json!("Ada"));
    assert_eq!(credential.status_type.as_deref(), Some("RevocationList2021Status"));
    assert!(without("/vc/credentialStatus").is_ok());
}

#[test]
fn every_needed_member_is_needed() {
    for pointer in [
        "/jti",
        "/iss",
        "/sub",
        "/iat",
        "/exp",
        "/vc",
        "/vc/@context",
        "/vc/type",
        "/vc/credentialSubject",
        "/vc/credentialStatus/id",
        "/vc/credentialStatus/type",
    ] {
        assert!(shape(without(pointer)), "{pointer}");
        assert!(shape(with(pointer, json!(1.5))), "{pointer}");
        assert!(shape(with(pointer, Value::Null)), "{pointer}");
    }
}

#[test]
fn contexts_and_types_are_strings_in_order() {
    for bad in [
        json!("https://www.w3.org/2018/credentials/v1"),
        json!([]),
        json!(["https://other"]),
        json!(["https://www.w3.org/2018/credentials/v1", {"@vocab": "x"}]),
    ] {
        assert!(shape(with("/vc/@context", bad.clone())), "{bad}");
    }
    for bad in [
        json!([]),
        json!(["VerifiableCredential"]),
        json!(["ContosoBadge", "VerifiableCredential"]),
        json!("VerifiableCredential"),
        json!(["VerifiableCredential", 1]),
    ] {
        assert!(shape(with("/vc/type", bad.clone())), "{bad}");
    }
}

#[test]
fn the_subject_is_an_object_without_what_ios_drops() {
    for bad in [json!([]), json!("x"), json!({"a": null}), json!({"a": [1]})] {
        assert!(shape(with("/vc/credentialSubject", bad.clone())), "{bad}");
    }
    assert!(with("/vc/credentialSubject", json!({"a": 1, "b": true, "c": {"d": "e"}})).is_ok());
    assert!(shape(with("/vc/credentialStatus", json!([]))));
    assert!(shape(with("/vc/revokeService", json!({"id": "x"}))));
}

#[test]
fn what_the_android_library_leaves_unchecked() {
    assert_eq!(with("/iss", json!("did:web:other")), Err(CredentialError::Issuer));
    assert_eq!(with("/sub", json!("did:jwk:other")), Err(CredentialError::Holder));
    assert_eq!(with("/vc/type", json!(["VerifiableCredential", "Other"])), Err(CredentialError::Type));
    assert_eq!(with("/exp", json!(NOW)), Err(CredentialError::Expired));
    assert_eq!(with("/iat", json!(NOW + 301)), Err(CredentialError::NotYet));
    assert_eq!(with("/nbf", json!(NOW + 301)), Err(CredentialError::NotYet));
    assert!(with("/vc/type", json!(["VerifiableCredential", "Other", "ContosoBadge"])).is_ok());
}

proptest! {
    #[test]
    fn arbitrary_json_never_panics(text in any::<String>(), number in any::<i64>()) {
        prop_assert!(parse(&json!(text)).is_err());
        let nested = json!({"vc": text});
        prop_assert!(parse(&nested).is_err());
        prop_assert_eq!(with("/exp", json!(number)).is_ok(), number > NOW);
        let subject = json!({"claim": text});
        prop_assert!(with("/vc/credentialSubject", subject).is_ok());
    }
}
