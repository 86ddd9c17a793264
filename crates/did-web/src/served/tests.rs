//! Every finding has a document that shows it.

use domain::key::KeyState;
use domain::{Did, SignatureAlgorithm};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::address::Origin;
use crate::document::tests::key;
use crate::document::{IdForm, document};

const DID: &str = "did:web:issuer.example";
const NEW: &str = "9f02c1d4a6b84e0f8d2f6b7a9c3e5d71";
const OLD: &str = "5255b9f2d9b94dc19a369ff0d36e3407";

fn keys() -> Vec<SigningKey> {
    vec![
        key(NEW, SignatureAlgorithm::Es256, KeyState::Active, 2),
        key(OLD, SignatureAlgorithm::Es256k, KeyState::Retired, 1),
    ]
}

/// Runs a check with the two keys as what is expected.
fn check(bytes: &[u8]) -> Vec<Finding> {
    with_input(&keys(), IdForm::Relative, |input| verify_served(bytes, input).err().unwrap_or_default())
}

fn with_input<T>(keys: &[SigningKey], ids: IdForm, work: impl FnOnce(&DocumentInput<'_>) -> T) -> T {
    let (did, origins) = (Did::new(DID), [Origin::parse("https://issuer.example").unwrap()]);
    work(&DocumentInput { did: &did, keys, linked_domains: &origins, hub: None, ids })
}

fn rendered(ids: IdForm) -> Vec<u8> {
    with_input(&keys(), ids, |input| document(input).bytes)
}

fn changed(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut value = serde_json::from_slice(&rendered(IdForm::Relative)).unwrap();
    change(&mut value);
    serde_json::to_vec(&value).unwrap()
}

fn id(at: usize) -> KeyId {
    keys()[at].id.clone()
}

#[test]
fn what_we_render_is_in_order() {
    assert_eq!(check(&rendered(IdForm::Relative)), []);
    assert_eq!(check(&rendered(IdForm::Absolute)), []);
}

#[test]
fn what_does_not_matter_to_verifiers_is_not_reported() {
    let bytes = changed(|document| {
        document["service"] = json!([]);
        document["alsoKnownAs"] = json!(["https://issuer.example"]);
        document["@context"] = json!("https://www.w3.org/ns/did/v1");
        document["verificationMethod"][0]["publicKeyJwk"]["alg"] = json!("ES256");
        document["verificationMethod"][0]["type"] = json!("JsonWebKey");
    });
    assert_eq!(check(&bytes), []);
    let pretty: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(check(&serde_json::to_vec_pretty(&pretty).unwrap()), []);
}

#[test]
fn what_is_no_object_is_not_json() {
    for bytes in [b"".as_slice(), b"<html></html>", b"[]", b"null", b"\"did\"", b"{", b"{} x", b"\xff\xfe{}"]
    {
        assert_eq!(check(bytes), [Finding::NotJson], "{bytes:?}");
    }
}

#[test]
fn a_byte_order_mark_is_read_over_and_reported() {
    let mut bytes = BOM.to_vec();
    bytes.extend(rendered(IdForm::Relative));
    assert_eq!(check(&bytes), [Finding::Bom]);
    assert_eq!(check(BOM), [Finding::Bom, Finding::NotJson]);
}

#[test]
fn a_huge_document_is_not_read() {
    let mut bytes = rendered(IdForm::Relative);
    bytes.resize(MAX_DOCUMENT_BYTES, b' ');
    assert_eq!(check(&bytes), []);
    bytes.push(b' ');
    assert_eq!(check(&bytes), [Finding::TooLarge { bytes: MAX_DOCUMENT_BYTES + 1 }]);
}

#[test]
fn another_dids_document_has_the_wrong_id() {
    for wrong in [json!("did:web:other.example"), json!("DID:web:issuer.example"), json!(7), Value::Null] {
        assert_eq!(check(&changed(|document| document["id"] = wrong)), [Finding::WrongId]);
    }
}

#[test]
fn a_key_that_is_not_there_is_missing() {
    let without_old = changed(|document| {
        for member in ["verificationMethod", "authentication", "assertionMethod"] {
            document[member].as_array_mut().unwrap().remove(1);
        }
    });
    assert_eq!(check(&without_old), [Finding::MissingKey { id: id(1) }]);
    assert_eq!(check(&changed(|document| document["verificationMethod"] = json!("none"))).len(), 2);
}

#[test]
fn a_strangers_key_is_foreign_wherever_it_stands() {
    let stranger = json!({"id": "#stranger", "type": "JsonWebKey2020", "controller": DID});
    let listed =
        changed(|document| document["verificationMethod"].as_array_mut().unwrap().push(stranger.clone()));
    let embedded =
        changed(|document| document["assertionMethod"].as_array_mut().unwrap().push(stranger.clone()));
    let other_relationship = changed(|document| document["capabilityInvocation"] = json!([stranger]));
    for bytes in [listed, embedded, other_relationship] {
        assert_eq!(check(&bytes), [Finding::ForeignKey { id: "#stranger".into() }]);
    }
}

#[test]
fn our_fragment_under_another_did_is_a_strangers() {
    let bytes = changed(|document| {
        document["verificationMethod"][0]["id"] = json!(format!("did:web:issuer.example.evil#{}", id(0)));
    });
    let findings = check(&bytes);
    assert_eq!(findings.first(), Some(&Finding::MissingKey { id: id(0) }));
    assert!(matches!(findings.get(1), Some(Finding::ForeignKey { .. })), "{findings:?}");
}

#[test]
fn entries_without_id_are_foreign_and_long_ids_are_cut() {
    for entry in [json!({}), json!(1), json!({"id": 3})] {
        let bytes = changed(|document| document["verificationMethod"].as_array_mut().unwrap().push(entry));
        assert_eq!(check(&bytes), [Finding::ForeignKey { id: String::new() }]);
    }
    let bytes = changed(|document| {
        let entry = json!({"id": "ü".repeat(1000)});
        document["verificationMethod"].as_array_mut().unwrap().push(entry);
    });
    assert_eq!(check(&bytes), [Finding::ForeignKey { id: "ü".repeat(128) }]);
}

#[test]
fn every_change_to_a_key_is_found() {
    for member in ["crv", "kty", "x", "y"] {
        for value in [json!("other"), json!(1), Value::Null] {
            let bytes = changed(|document| document["verificationMethod"][0]["publicKeyJwk"][member] = value);
            assert_eq!(check(&bytes), [Finding::AlteredKey { id: id(0) }], "{member}");
        }
    }
    let controller =
        changed(|document| document["verificationMethod"][1]["controller"] = json!("did:web:other"));
    assert_eq!(check(&controller), [Finding::AlteredKey { id: id(1) }]);
}

#[test]
fn a_second_key_under_our_id_counts_as_altered() {
    let bytes = changed(|document| {
        let mut twin = document["verificationMethod"][0].clone();
        twin["publicKeyJwk"]["x"] = json!("other");
        document["verificationMethod"].as_array_mut().unwrap().push(twin);
    });
    assert_eq!(check(&bytes), [Finding::AlteredKey { id: id(0) }]);
}

#[test]
fn a_key_outside_a_relationship_is_reported() {
    for relationship in RELATIONSHIPS {
        let expected = [Finding::RelationshipMissing { id: id(0), relationship }];
        let shorter = changed(|document| {
            document[relationship].as_array_mut().unwrap().remove(0);
        });
        assert_eq!(check(&shorter), expected);
        let both = changed(|document| {
            document.as_object_mut().unwrap().remove(relationship);
        });
        assert_eq!(check(&both).len(), 2);
    }
}

#[test]
fn another_order_alone_is_cosmetic() {
    let bytes = changed(|document| document["verificationMethod"].as_array_mut().unwrap().reverse());
    assert_eq!(check(&bytes), [Finding::OrderOnly]);
    assert!(!Finding::OrderOnly.is_out_of_sync());
    assert!(Finding::MissingKey { id: id(0) }.is_out_of_sync());
    let with_more = changed(|document| {
        document["verificationMethod"].as_array_mut().unwrap().reverse();
        document["id"] = json!("did:web:other.example");
    });
    assert_eq!(check(&with_more), [Finding::WrongId]);
}

#[test]
fn methods_embedded_in_their_relationships_are_read() {
    let bytes = changed(|document| {
        let methods = document["verificationMethod"].take();
        document["assertionMethod"] = methods;
        document.as_object_mut().unwrap().remove("verificationMethod");
    });
    assert_eq!(check(&bytes), []);
}

#[test]
fn the_words_are_those_of_the_statuses() {
    let key = id(0);
    let words = [
        (Finding::NotJson, "not_json"),
        (Finding::Bom, "bom"),
        (Finding::WrongId, "wrong_id"),
        (Finding::MissingKey { id: key.clone() }, "missing_key"),
        (Finding::ForeignKey { id: String::new() }, "foreign_key"),
        (Finding::AlteredKey { id: key.clone() }, "altered_key"),
        (Finding::RelationshipMissing { id: key, relationship: "authentication" }, "relationship_missing"),
        (Finding::OrderOnly, "order_only"),
    ];
    for (finding, word) in words {
        assert_eq!(finding.code(), word);
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[#a-z:]{0,8}".prop_map(Value::from),
        Just(Value::from(DID)),
    ];
    let names = "id|controller|publicKeyJwk|x|[a-z]{1,4}";
    leaf.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(names, inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(!check(&bytes).is_empty());
    }

    #[test]
    fn any_member_may_be_anything(
        member in "id|service|verificationMethod|authentication|assertionMethod|keyAgreement",
        value in any_json(),
    ) {
        let bytes = changed(|document| document[member.as_str()] = value);
        for finding in check(&bytes) {
            prop_assert!(!finding.code().is_empty() && !finding.to_string().is_empty());
        }
    }

    #[test]
    fn every_set_of_keys_that_we_render_is_in_order(
        seconds in proptest::collection::btree_set(0..200_i64, 0..12),
        absolute in any::<bool>(),
        states in proptest::collection::vec(0..5_usize, 12),
    ) {
        let all = [KeyState::Prepared, KeyState::Published, KeyState::Active, KeyState::Retired, KeyState::Removed];
        let keys: Vec<SigningKey> = seconds
            .iter()
            .zip(states)
            .map(|(second, state)| {
                let algorithm =
                    if second % 2 == 0 { SignatureAlgorithm::Es256 } else { SignatureAlgorithm::Es256k };
                key(&format!("{second:032x}"), algorithm, all[state], *second)
            })
            .collect();
        let ids = if absolute { IdForm::Absolute } else { IdForm::Relative };
        with_input(&keys, ids, |input| {
            prop_assert_eq!(verify_served(&document(input).bytes, input), Ok(()));
            Ok(())
        })?;
    }
}
