//! Tests of `linked_domain`.

use super::*;
use crate::example::NOW;
use crate::issuer::Issuer;
use proptest::prelude::*;
use serde_json::json;

const ORIGIN: &str = "https://issuer.example/";

fn document(issuer: &Issuer) -> DidDocument {
    DidDocument::parse(issuer.document().to_string().as_bytes(), &issuer.did).unwrap()
}

fn read(issuer: &Issuer, linkage: &Value) -> Result<Configuration, LinkedDomainError> {
    let mut configuration = issuer.configuration();
    configuration["linked_dids"][0] = json!(issuer.sign(linkage));
    Configuration::parse(configuration.to_string().as_bytes())
}

/// The verdict when the member at `pointer` of the linkage is `new`.
fn with(pointer: &str, new: Value) -> Result<(), Unverified> {
    let issuer = Issuer::example();
    let mut linkage = issuer.linkage();
    *linkage.pointer_mut(pointer).unwrap() = new;
    read(&issuer, &linkage).unwrap().judge(&document(&issuer), ORIGIN, NOW)
}

#[test]
fn a_good_configuration_verifies() {
    let issuer = Issuer::example();
    let configuration = Configuration::parse(issuer.configuration().to_string().as_bytes()).unwrap();
    assert_eq!(configuration.signer(), issuer.did);
    assert_eq!(configuration.judge(&document(&issuer), ORIGIN, NOW), Ok(()));
}

#[test]
fn the_origin_is_compared_byte_for_byte() {
    for bad in ["https://issuer.example", "https://ISSUER.example/", "https://other.example/"] {
        assert_eq!(with("/vc/credentialSubject/origin", json!(bad)), Err(Unverified::OtherOrigin), "{bad}");
    }
}

#[test]
fn wrong_values_are_unverified() {
    for pointer in ["/iss", "/sub", "/vc/issuer", "/vc/credentialSubject/id"] {
        assert_eq!(with(pointer, json!("did:web:other")), Err(Unverified::OtherDid), "{pointer}");
    }
    assert_eq!(with("/vc/type", json!(["VerifiableCredential"])), Err(Unverified::OtherType));
    assert_eq!(with("/vc/type", json!(["DomainLinkageCredential"])), Err(Unverified::OtherType));
    assert_eq!(with("/vc/@context", json!([CREDENTIALS_CONTEXT])), Err(Unverified::OtherType));
    assert_eq!(with("/vc/@context", json!([CONTEXT, CREDENTIALS_CONTEXT])), Err(Unverified::OtherType));
    assert_eq!(with("/exp", json!(NOW)), Err(Unverified::Expired));
    assert_eq!(with("/nbf", json!(NOW + 301)), Err(Unverified::Expired));
    let issuer = Issuer::example();
    let stranger = Issuer::example();
    let configuration = read(&stranger, &stranger.linkage()).unwrap();
    assert_eq!(
        configuration.judge(&document(&issuer), ORIGIN, NOW),
        Err(Unverified::Signature(SignatureError::Invalid))
    );
}

#[test]
fn another_signer_is_another_did() {
    let issuer = Issuer::example();
    let mut configuration = issuer.configuration();
    configuration["linked_dids"][0] = json!(issuer.sign_as("did:web:other#key-1", &issuer.linkage()));
    let read = Configuration::parse(configuration.to_string().as_bytes()).unwrap();
    assert_eq!(read.signer(), "did:web:other");
    assert_eq!(read.judge(&document(&issuer), ORIGIN, NOW), Err(Unverified::OtherDid));
}

#[test]
fn a_wrong_shape_is_fatal() {
    let issuer = Issuer::example();
    assert_eq!(Configuration::parse(b"<html>").unwrap_err(), LinkedDomainError::Json);
    assert_eq!(Configuration::parse(b"").unwrap_err(), LinkedDomainError::Json);
    let good = issuer.configuration();
    let entry = good["linked_dids"][0].clone();
    for (name, bad) in [
        ("@context", json!([CONTEXT])),
        ("@context", json!("https://other")),
        ("@context", Value::Null),
        ("linked_dids", json!([])),
        ("linked_dids", entry.clone()),
        ("linked_dids", json!([{"vc": 1}])),
        ("linked_dids", json!([entry, "garbage"])),
    ] {
        let mut configuration = good.clone();
        configuration[name] = bad.clone();
        assert!(Configuration::parse(configuration.to_string().as_bytes()).is_err(), "{name} {bad}");
    }
    for name in ["@context", "linked_dids"] {
        let mut configuration = good.clone();
        configuration.as_object_mut().unwrap().remove(name);
        let error = Configuration::parse(configuration.to_string().as_bytes()).unwrap_err();
        assert!(matches!(error, LinkedDomainError::Shape(_)), "{name}");
    }
    let mut no_fragment = good.clone();
    no_fragment["linked_dids"][0] = json!(issuer.sign_as(&issuer.did, &issuer.linkage()));
    let error = Configuration::parse(no_fragment.to_string().as_bytes()).unwrap_err();
    assert_eq!(error, LinkedDomainError::Jws(JwsError::KeyId));
}

#[test]
fn every_member_of_the_linkage_is_needed() {
    let issuer = Issuer::example();
    for pointer in [
        "/iss",
        "/sub",
        "/nbf",
        "/exp",
        "/vc",
        "/vc/@context",
        "/vc/issuer",
        "/vc/issuanceDate",
        "/vc/expirationDate",
        "/vc/type",
        "/vc/credentialSubject",
        "/vc/credentialSubject/id",
        "/vc/credentialSubject/origin",
    ] {
        let mut linkage = issuer.linkage();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        linkage.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
        assert!(matches!(read(&issuer, &linkage).unwrap_err(), LinkedDomainError::Shape(_)), "{pointer}");
        *linkage.pointer_mut(parent).unwrap() = issuer.linkage().pointer(parent).unwrap().clone();
        *linkage.pointer_mut(pointer).unwrap() = json!(1.5);
        assert!(matches!(read(&issuer, &linkage).unwrap_err(), LinkedDomainError::Shape(_)), "{pointer}");
    }
}

#[test]
fn only_plain_https_origins_are_asked() {
    for origin in [ORIGIN, "https://issuer.example", "https://localhost:8443/"] {
        let url = configuration_url(origin).unwrap().unwrap();
        assert!(url.as_str().ends_with("/.well-known/did-configuration.json"), "{origin}");
    }
    for origin in [
        "https://issuer.example/path",
        "http://issuer.example/",
        "https://issuer.example/?a",
        "https://a@b/",
        "https://issuer.example/#a",
        "https://ISSUER.example/",
        "mailto:a",
    ] {
        assert_eq!(configuration_url(origin).unwrap(), None, "{origin}");
    }
    for origin in ["issuer.example", "", "/"] {
        assert_eq!(configuration_url(origin).unwrap_err(), LinkedDomainError::Origin, "{origin}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>(), text in any::<String>()) {
        prop_assert!(Configuration::parse(&bytes).is_err());
        let configuration = json!({"@context": CONTEXT, "linked_dids": [text]});
        prop_assert!(Configuration::parse(configuration.to_string().as_bytes()).is_err());
        if let Ok(Some(url)) = configuration_url(&text) {
            prop_assert_eq!(url.scheme(), "https");
        }
    }
}
