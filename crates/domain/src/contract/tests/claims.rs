//! Mapping of given values to claims.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::{ClaimFaultReason, ClaimSource, Contract, MAX_CLAIM_BYTES};
use super::{asking, base, parse};

fn given(values: &[(&str, &str)]) -> BTreeMap<String, String> {
    values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn with_photo() -> Contract {
    parse(&asking(json!({ "idTokenHints": [{ "mapping": [
        { "inputClaim": "$['given name']", "outputClaim": "firstName", "required": true, "indexed": true },
        { "inputClaim": "photo", "outputClaim": "photo", "type": "image/jpg;base64url" }
    ] }] })))
}

#[test]
fn mapped_claims_pass_and_others_stay_out() {
    let contract = parse(&base());
    let claims = contract
        .map_claims(
            ClaimSource::IdTokenHint,
            &given(&[("given_name", " Ada "), ("number", "7"), ("admin", "true"), ("firstName", "Eve")]),
        )
        .unwrap();
    assert_eq!(claims, given(&[("firstName", " Ada "), ("number", "7")]));
}

#[test]
fn every_missing_claim_is_named_by_its_input_name() {
    let contract = parse(&base());
    let faults = contract
        .map_claims(ClaimSource::IdTokenHint, &given(&[("number", " \n"), ("$.given_name", "Ada")]))
        .unwrap_err();
    let named: Vec<(&str, &str)> =
        faults.iter().map(|fault| (fault.input_claim.as_str(), fault.path.as_str())).collect();
    assert_eq!(named, [("given_name", "claims.given_name"), ("number", "claims.number")]);
    assert!(faults.iter().all(|fault| fault.reason == ClaimFaultReason::Missing));
    assert_eq!(faults[0].to_string(), "claims.given_name is required by the contract and missing");
}

#[test]
fn self_issued_claims_are_mapped_from_the_wallets_answer() {
    let contract = parse(&asking(json!({ "selfIssued": { "mapping": [
        { "inputClaim": "$.name", "outputClaim": "name", "required": true },
        { "inputClaim": "nick", "outputClaim": "nick" }
    ] } })));
    let claims = contract
        .map_claims(ClaimSource::SelfIssued, &given(&[("name", "Ada"), ("nick", ""), ("x", "y")]))
        .unwrap();
    assert_eq!(claims, given(&[("name", "Ada")]));
    let faults = contract.map_claims(ClaimSource::SelfIssued, &BTreeMap::new()).unwrap_err();
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].path, "attestations.selfIssued.name");
    // The contract takes nothing from the front end.
    assert_eq!(
        contract.map_claims(ClaimSource::IdTokenHint, &given(&[("name", "Eve")])).unwrap(),
        BTreeMap::new()
    );
}

#[test]
fn pictures_pass_unchanged_in_both_alphabets() {
    let contract = with_photo();
    for photo in ["_9j_4A", "/9j/4A==", "/9j/4A", "_9j_4A==", "AAAA", "AAA=", "AAA"] {
        let claims = contract
            .map_claims(ClaimSource::IdTokenHint, &given(&[("given name", "Ada"), ("photo", photo)]))
            .unwrap();
        assert_eq!(claims["photo"], photo);
    }
}

#[test]
fn what_is_not_a_picture_is_refused_without_its_value() {
    let contract = with_photo();
    for photo in [
        "data:image/jpeg;base64,AAAA",
        "%2F9j%2F4A",
        "AAAAA",
        "AA=",
        "AAAA=",
        "AA===",
        "A A A",
        "====",
        "+_AA",
        "AA=A",
        "AAA\n",
    ] {
        let faults = contract
            .map_claims(ClaimSource::IdTokenHint, &given(&[("given name", "Ada"), ("photo", photo)]))
            .unwrap_err();
        assert_eq!(faults.len(), 1, "{photo}");
        assert_eq!(faults[0].reason, ClaimFaultReason::NotBase64, "{photo}");
        assert_eq!(faults[0].path, "claims.photo");
        assert!(!faults[0].to_string().contains(photo));
    }
}

#[test]
fn values_have_a_longest_length() {
    let contract = with_photo();
    let longest = "A".repeat(MAX_CLAIM_BYTES);
    let claims = given(&[("given name", &longest), ("photo", &longest)]);
    assert!(contract.map_claims(ClaimSource::IdTokenHint, &claims).is_ok());
    let too_long = "A".repeat(MAX_CLAIM_BYTES + 4);
    let claims = given(&[("given name", &too_long), ("photo", &too_long)]);
    let faults = contract.map_claims(ClaimSource::IdTokenHint, &claims).unwrap_err();
    assert_eq!(faults.len(), 2);
    assert!(faults.iter().all(|fault| fault.reason == ClaimFaultReason::TooLong));
    assert!(faults[0].to_string().contains(&MAX_CLAIM_BYTES.to_string()));
}

#[test]
fn what_a_front_end_is_asked_for() {
    let contract = parse(&base());
    let wanted = contract.hint_claims(contract.default_display());
    assert_eq!(wanted.len(), 2);
    assert_eq!((wanted[0].input, wanted[0].output), ("given_name", "firstName"));
    assert_eq!(wanted[0].label, Some("First name"));
    assert!(wanted[0].required);
    assert_eq!(wanted[0].kind.name(), "String");
    let contract = with_photo();
    let wanted = contract.hint_claims(contract.default_display());
    assert_eq!(wanted[0].input, "given name");
    assert!(wanted[1].kind.is_image());
    assert_eq!(wanted[1].label, None);
    assert!(contract.wanted_claims(ClaimSource::SelfIssued, contract.default_display()).is_empty());
}
