//! The `ssi` crate, another implementation of DIDs and verifiable credentials, resolves our document and verifies our
//! credentials. (In `ssi` an `Ok` of `verify` only says that it could judge; the verdict is inside.)

use ssi::claims::VerificationParameters;
use ssi::claims::jws::JwsStr;
use ssi::claims::jwt::{AnyClaims, ToDecodedJwt as _};
use ssi::claims::vc::v1::{JsonCredential, decode_jwt_vc_claims};
use ssi::dids::document::Document;
use ssi::dids::resolution::{Output, StaticDIDResolver};
use ssi::dids::{DIDBuf, DIDResolver as _, DIDURLBuf};
use ssi::verification_methods::AnyJwkMethod;

use crate::issued::{Issued, forged, issue, part};

/// The served document with every relative id made absolute, as a JSON-LD processor makes them (`did_document`): `ssi` reads
/// documents without one, and does not resolve the ids of methods.
fn absolute(issued: &Issued) -> String {
    let mut document = issued.document();
    let resolve = |id: &mut serde_json::Value| {
        if let Some(fragment) = id.as_str().filter(|id| id.starts_with('#')) {
            *id = serde_json::json!(format!("{}{fragment}", issued.did));
        }
    };
    for list in ["verificationMethod", "service"] {
        for entry in document[list].as_array_mut().expect("a list") {
            resolve(&mut entry["id"]);
        }
    }
    for list in ["authentication", "assertionMethod"] {
        document[list].as_array_mut().expect("a list").iter_mut().for_each(resolve);
    }
    document.to_string()
}

/// Whether `ssi` holds a token to be good: signature, time, and the key found through the DID.
async fn verdict(issued: &Issued, token: &str) -> Result<(), String> {
    let mut resolver = StaticDIDResolver::new();
    let did = DIDBuf::from_string(issued.did.clone()).expect("a DID");
    let content =
        Output::from_content(absolute(issued).into_bytes(), Some("application/did+ld+json".to_owned()));
    resolver.insert(did, content);
    let parameters = VerificationParameters::from_resolver(resolver.into_vm_resolver::<AnyJwkMethod>());
    let jws = JwsStr::new(token).map_err(|error| format!("no compact JWS: {error:?}"))?;
    match jws.verify_jwt(&parameters).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(invalid)) => Err(format!("invalid: {invalid}")),
        Err(error) => Err(format!("no verdict: {error}")),
    }
}

#[tokio::test]
async fn everything_signed_verifies_through_our_did() {
    for algorithm in ["ES256", "ES256K"] {
        let issued = issue(algorithm).await;
        for (name, token) in issued.signed() {
            assert_eq!(verdict(&issued, token).await, Ok(()), "{algorithm} {name}");
            let why = verdict(&issued, &forged(token)).await.expect_err("a forgery was taken");
            assert!(
                why.contains("signature"),
                "{algorithm}: a forged {name} was refused for another reason: {why}"
            );
        }
        let (other, one) = (issue(algorithm).await, &issued);
        assert!(verdict(&other, &one.credential).await.is_err(), "a key of another authority");
    }
}

#[tokio::test]
async fn the_document_names_the_key_of_the_credential() {
    let issued = issue("ES256").await;
    let document: Document = serde_json::from_str(&absolute(&issued)).expect("a DID document");
    assert_eq!(document.id.as_str(), issued.did);
    assert_eq!(document.service.len(), issued.document()["service"].as_array().expect("services").len());
    let kid = part(&issued.credential, 0)["kid"].as_str().expect("a kid").to_owned();
    let kid = DIDURLBuf::from_string(kid).expect("a DID URL");
    let found = document.into_resource(&kid).expect("the document has the key");
    let method =
        found.into_verification_method().unwrap_or_else(|_| panic!("{kid} is no verification method"));
    let jwk: ssi::JWK = serde_json::from_value(method.properties["publicKeyJwk"].clone()).expect("a JWK");
    assert!(jwk.is_public());
}

#[tokio::test]
async fn the_credential_is_one_of_the_w3c_data_model() {
    let issued = issue("ES256").await;
    let jws = JwsStr::new(&issued.credential).expect("a compact JWS");
    let claims = jws.to_decoded_custom_jwt::<AnyClaims>().expect("a JWT").signing_bytes.payload;
    let credential: JsonCredential = decode_jwt_vc_claims(claims).expect("a credential of the data model");
    assert_eq!(credential.issuer.id().as_str(), issued.did);
    assert!(credential.issuance_date.is_some(), "the data model demands an issuance date");
    let types = serde_json::to_value(&credential.types).expect("JSON");
    assert_eq!(types, serde_json::json!(["VerifiableCredential", "StudentCard"]));
    let subject = serde_json::to_value(&credential.credential_subjects).expect("JSON");
    let subject = if subject.is_array() { subject[0].clone() } else { subject };
    assert_eq!(subject["givenName"], "Zsófia \"Zoë\"");
    assert_eq!(subject["id"], issued.holder.as_str());
    assert_eq!(
        credential.credential_status.len(),
        usize::from(!part(&issued.credential, 1)["vc"]["credentialStatus"].is_null())
    );
}
