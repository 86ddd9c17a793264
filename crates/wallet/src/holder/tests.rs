//! Tests of `holder`.

use super::*;
use crate::jws::{CompactJws, decode};
use crate::key::SignatureError;
use ion::IonError;
use proptest::prelude::*;

/// The key as the DID itself gives it, worked out apart from the code under test.
fn key_in_did(holder: &Holder) -> PublicKey {
    let did = holder.did();
    if let Some(encoded) = did.strip_prefix("did:jwk:") {
        return PublicKey::from_jwk(&serde_json::from_slice(&decode(encoded).unwrap()).unwrap()).unwrap();
    }
    if let Some(name) = did.strip_prefix("did:key:z") {
        let bytes = bs58::decode(name).into_vec().unwrap();
        return match bytes[..2] {
            [0x80, 0x24] => {
                PublicKey::P256(Box::new(p256::ecdsa::VerifyingKey::from_sec1_bytes(&bytes[2..]).unwrap()))
            }
            [0xed, 0x01] => PublicKey::Ed25519(bytes[2..].try_into().unwrap()),
            _ => panic!("unexpected prefix"),
        };
    }
    ion::resolve(did, holder.fragment()).unwrap()
}

#[test]
fn every_kind_signs_with_the_key_its_did_names() {
    for kind in HolderKind::ALL {
        let holder = Holder::generate(kind).unwrap();
        let text = holder.sign_jws(&Map::new(), &json!({"a": 1})).unwrap();
        let jws = CompactJws::parse(&text).unwrap();
        assert_eq!(format!("{}#{}", jws.kid.did, jws.kid.fragment), holder.kid());
        let key = key_in_did(&holder);
        assert_eq!(key.verify(jws.algorithm, jws.signing_input.as_bytes(), &jws.signature), Ok(()), "{kind}");
        assert_eq!(
            key.verify(jws.algorithm, b"else", &jws.signature),
            Err(SignatureError::Invalid),
            "{kind}"
        );
        assert_eq!(kind.name().parse(), Ok(kind));
    }
    assert_eq!("p256".parse::<HolderKind>(), Err(UnknownKind));
}

#[test]
fn known_did_key_of_an_ed25519_seed() {
    // did:key method, Ed25519 vector: the all-zero seed.
    let holder = Holder::from_secret(HolderKind::KeyEd25519, [0; 32]).unwrap();
    assert_eq!(holder.did(), "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp");
    assert_eq!(holder.fragment(), "z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp");
}

#[test]
fn did_key_of_p256_begins_as_the_method_says() {
    assert!(Holder::generate(HolderKind::KeyP256).unwrap().did().starts_with("did:key:zDn"));
}

#[test]
fn a_number_outside_the_group_is_no_key() {
    for kind in [HolderKind::JwkP256, HolderKind::IonSecp256k1] {
        assert_eq!(Holder::from_secret(kind, [0; 32]).unwrap_err(), HolderError::Secret);
        assert_eq!(Holder::from_secret(kind, [0xff; 32]).unwrap_err(), HolderError::Secret);
    }
}

#[test]
fn high_s_is_high_and_still_verifies() {
    let holder = Holder::generate(HolderKind::IonSecp256k1).unwrap().with_high_s().unwrap();
    for round in 0..8 {
        let jws =
            CompactJws::parse(&holder.sign_jws(&Map::new(), &json!({"round": round})).unwrap()).unwrap();
        let signature = k256::ecdsa::Signature::from_slice(&jws.signature).unwrap();
        assert_ne!(signature.normalize_s(), signature);
        assert_eq!(
            holder.public().verify(Algorithm::Es256k, jws.signing_input.as_bytes(), &jws.signature),
            Ok(())
        );
    }
    let low = Holder::generate(HolderKind::IonSecp256k1).unwrap();
    let jws = CompactJws::parse(&low.sign_jws(&Map::new(), &json!({})).unwrap()).unwrap();
    let signature = k256::ecdsa::Signature::from_slice(&jws.signature).unwrap();
    assert_eq!(signature.normalize_s(), signature);
    assert_eq!(Holder::generate(HolderKind::JwkP256).unwrap().with_high_s().unwrap_err(), HolderError::HighS);
}

#[test]
fn extras_replace_and_remove_header_members() {
    let holder = Holder::generate(HolderKind::JwkP256).unwrap();
    let extras = json!({"typ": null, "kid": "did:web:x#y", "more": 1});
    let text = holder.sign_jws(extras.as_object().unwrap(), &json!({})).unwrap();
    let header: Value = serde_json::from_slice(&decode(text.split('.').next().unwrap()).unwrap()).unwrap();
    assert_eq!(header, json!({"alg": "ES256", "kid": "did:web:x#y", "more": 1}));
}

#[test]
fn an_altered_did_ion_does_not_prove_itself() {
    let holder = Holder::generate(HolderKind::IonSecp256k1).unwrap();
    let (suffix, state) = holder.did().strip_prefix("did:ion:").unwrap().split_once(':').unwrap();
    let check = |did: &str| ion::resolve(did, holder.fragment()).unwrap_err();
    assert_eq!(ion::resolve(holder.did(), "other").unwrap_err(), IonError::NoSuchKey);
    assert_eq!(check(&format!("did:ion:{suffix}")), IonError::Form);
    assert_eq!(check("did:web:a"), IonError::Form);
    assert_eq!(check(&format!("did:ion:EiA:{state}")), IonError::Suffix);
    let mut value: Value = serde_json::from_slice(&decode(state).unwrap()).unwrap();
    value["delta"]["updateCommitment"] = json!("EiB");
    assert_eq!(check(&format!("did:ion:{suffix}:{}", encode(value.to_string().as_bytes()))), IonError::Delta);
    value["suffixData"]["recoveryCommitment"] = json!("EiB");
    assert_eq!(
        check(&format!("did:ion:{suffix}:{}", encode(value.to_string().as_bytes()))),
        IonError::Suffix
    );
}

#[test]
fn debug_output_has_no_secret() {
    let holder = Holder::from_secret(HolderKind::JwkP256, [7; 32]).unwrap();
    assert!(!format!("{holder:?}").contains("7, 7"));
}

proptest! {
    #[test]
    fn arbitrary_long_forms_never_panic(text in any::<String>(), state in any::<Vec<u8>>()) {
        prop_assert!(ion::resolve(&text, "k").is_err());
        let did = format!("did:ion:a:{}", encode(&state));
        prop_assert!(ion::resolve(&did, "k").is_err());
    }

    #[test]
    fn any_secret_gives_a_did_that_checks_itself(secret in any::<[u8; 32]>()) {
        if let Ok(holder) = Holder::from_secret(HolderKind::IonSecp256k1, secret) {
            prop_assert_eq!(&ion::resolve(holder.did(), holder.fragment()).unwrap(), holder.public());
        }
    }
}
