//! Tests of `did`.

use k256::ecdsa::SigningKey;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::holder::{Resolution, key_from_document, resolve};
use super::*;
use crate::base64url;
use crate::key::{KeyKind, PublicKey};

fn secp256k1_jwk(secret: u8) -> Value {
    let point = SigningKey::from_slice(&[secret; 32]).unwrap().verifying_key().to_sec1_point(false);
    json!({
        "kty": "EC", "crv": "secp256k1", "kid": "k", "use": "sig", "key_ops": ["verify"], "alg": "ES256K",
        "x": base64url::encode(point.x().unwrap()), "y": base64url::encode(point.y().unwrap()),
    })
}

fn p256_jwk() -> Value {
    json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    })
}

fn ion_key(id: &str, secret: u8) -> Value {
    json!({
        "id": id, "type": "EcdsaSecp256k1VerificationKey2019",
        "publicKeyJwk": secp256k1_jwk(secret), "purposes": ["authentication"],
    })
}

/// A delta, and the long-form DID that belongs to it.
fn ion(patches: Value) -> String {
    let delta = json!({
        "patches": patches,
        "updateCommitment": "EiBUaQ2mEwYFuLnvZ7XrgK8YzAJpr2YBcPYzUBnsVJbCqg",
    });
    let suffix_data = json!({
        "deltaHash": ion::multihash(&delta).unwrap(),
        "recoveryCommitment": "EiDTLVFkHBFTE2NzdW2kq3yDPrVkd3u0kQ0TQyDJcqVnGg",
    });
    long_form(&ion::multihash(&suffix_data).unwrap(), &delta, &suffix_data)
}

fn long_form(suffix: &str, delta: &Value, suffix_data: &Value) -> String {
    let state = json!({"delta": delta, "suffixData": suffix_data}).to_string();
    format!("did:ion:{suffix}:{}", base64url::encode(state))
}

fn replace(keys: Value) -> Value {
    json!([{"action": "replace", "document": {"publicKeys": keys, "services": []}}])
}

fn key(did: &str, fragment: Option<&str>) -> Result<PublicKey, DidError> {
    match resolve(did, fragment)? {
        Resolution::Key(key) => Ok(key),
        Resolution::Document(address) => panic!("{address}"),
    }
}

fn expected(jwk: &Value) -> PublicKey {
    PublicKey::from_jwk(jwk).unwrap()
}

#[test]
fn a_did_url_is_taken_apart() {
    let url = DidUrl::parse("did:web:a.example%3A8443:b#key-1/x").unwrap();
    assert_eq!((url.did(), url.method()), ("did:web:a.example%3A8443:b", "web"));
    assert_eq!((url.method_specific_id(), url.fragment()), ("a.example%3A8443:b", Some("key-1/x")));
    assert_eq!(DidUrl::parse("did:key:zA").unwrap().fragment(), None);
}

#[test]
fn texts_that_are_no_dids_are_refused() {
    for text in [
        "",
        "did",
        "did:",
        "did:web",
        "did:web:",
        "did::a",
        "did:Web:a",
        "DID:web:a",
        "did:web:a:",
        "did:web:a#",
        "did:web:a#b#c",
        "did:web:a/b",
        "did:web:a?b=c",
        "did:web:a b",
        "did:web:a#b c",
        "did:web:ä",
        "#a",
        " did:web:a",
        "did:web:a#ä",
    ] {
        assert_eq!(DidUrl::parse(text), Err(DidError::Malformed), "{text}");
    }
}

#[test]
fn lengths_are_limited() {
    let longest = format!("did:jwk:{}", "A".repeat(DID_LIMIT_BYTES - 8));
    assert!(DidUrl::parse(&longest).is_ok());
    assert_eq!(DidUrl::parse(&format!("{longest}A")), Err(DidError::TooLong));
    let fragment = "f".repeat(FRAGMENT_LIMIT_BYTES + 1);
    assert_eq!(DidUrl::parse(&format!("did:key:zA#{fragment}")), Err(DidError::TooLong));
    let did = ion(replace(json!([ion_key("a", 1)])));
    assert_eq!(resolve(&did, Some(&fragment)), Err(DidError::TooLong));
}

#[test]
fn a_long_form_ion_gives_the_key_of_its_fragment() {
    let did = ion(replace(json!([ion_key("a", 1), ion_key("b", 2), ion_key("b", 3)])));
    assert!(did.len() > 700, "as long as those of wallets: {}", did.len());
    assert_eq!(key(&did, Some("a")), Ok(expected(&secp256k1_jwk(1))));
    assert_eq!(key(&did, Some("b")), Ok(expected(&secp256k1_jwk(2))), "the first match counts");
    for fragment in ["c", "#a", ""] {
        assert_eq!(key(&did, Some(fragment)), Err(DidError::KeyNotFound), "{fragment}");
    }
}

/// The long-form DID in the Sidetree 1.0.0 specification, which the hashes of another implementation bind together.
#[test]
fn the_long_form_of_the_sidetree_specification() {
    let jwk = json!({
        "crv": "secp256k1", "kty": "EC",
        "x": "tXSKB_rubXS7sCjXqupVJEzTcW3MsjmEvq1YpXn96Zg", "y": "dOicXqbjFxoGJ-K0-GJ1kHYJqic_D_OMuUwkQ7Ol6nk",
    });
    let delta = json!({
        "patches": [{"action": "replace", "document": {
            "publicKeys": [{
                "id": "publicKeyModel1Id", "publicKeyJwk": jwk,
                "purposes": ["authentication", "keyAgreement"], "type": "EcdsaSecp256k1VerificationKey2019",
            }],
            "services": [{"id": "service1Id", "serviceEndpoint": "http://www.service1.com", "type": "service1Type"}],
        }}],
        "updateCommitment": "EiDKIkwqO69IPG3pOlHkdb86nYt0aNxSHZu2r-bhEznjdA",
    });
    let suffix_data = json!({
        "deltaHash": "EiCfDWRnYlcD9EGA3d_5Z1AHu-iYqMbJ9nfiqdz5S8VDbg",
        "recoveryCommitment": "EiBfOZdMtU6OBw8Pk879QtZ-2J-9FbbjSZyoaA_bqD4zhA",
    });
    let did = long_form("EiDyOQbbZAa3aiRzeCkV7LOx3SERjjH93EXoIM3UoN4oWg", &delta, &suffix_data);
    assert_eq!(key(&did, Some("publicKeyModel1Id")), Ok(expected(&jwk)));
}

#[test]
fn an_ion_without_fragment_needs_one_usable_key() {
    let unusable = json!({"id": "x", "type": "X", "publicKeyJwk": {"kty": "RSA", "crv": "-"}});
    let one = ion(replace(json!([unusable, ion_key("b", 2)])));
    assert_eq!(key(&one, None), Ok(expected(&secp256k1_jwk(2))));
    assert_eq!(key(&one, Some("x")), Err(DidError::Key(crate::key::KeyError::Unsupported)));
    let two = ion(replace(json!([ion_key("a", 1), ion_key("b", 2)])));
    assert_eq!(key(&two, None), Err(DidError::KeyAmbiguous));
    assert_eq!(key(&ion(replace(json!([]))), None), Err(DidError::KeyNotFound));
}

#[test]
fn a_short_form_ion_has_its_own_refusal() {
    let did = ion(replace(json!([ion_key("a", 1)])));
    let short = did.rsplit_once(':').unwrap().0;
    assert_eq!(resolve(short, Some("a")), Err(DidError::ShortFormIon));
}

#[test]
fn the_hashes_of_an_ion_are_checked() {
    let did = ion(replace(json!([ion_key("a", 1)])));
    let other = ion(replace(json!([ion_key("a", 2)])));
    let (_, suffix) = did.rsplit_once(':').unwrap().0.rsplit_once(':').unwrap();
    let state = other.rsplit_once(':').unwrap().1;
    assert_eq!(resolve(&format!("did:ion:{suffix}:{state}"), None), Err(DidError::IonSuffixMismatch));
    assert_eq!(resolve(&format!("did:ion:test:{suffix}:{state}"), None), Err(DidError::Malformed));

    let delta = json!({"patches": replace(json!([ion_key("a", 1)])), "updateCommitment": "x"});
    let wrong = json!({"deltaHash": ion::multihash(&json!({})).unwrap(), "recoveryCommitment": "y"});
    let did = long_form(&ion::multihash(&wrong).unwrap(), &delta, &wrong);
    assert_eq!(resolve(&did, None), Err(DidError::IonDeltaMismatch));
}

#[test]
fn the_order_of_members_in_an_ion_does_not_matter() {
    let did = ion(replace(json!([ion_key("a", 1)])));
    let (head, state) = did.rsplit_once(':').unwrap();
    let state: Value = serde_json::from_slice(&base64url::decode(state).unwrap()).unwrap();
    let reordered = format!(r#"{{ "suffixData": {}, "delta": {} }}"#, state["suffixData"], state["delta"]);
    let did = format!("{head}:{}", base64url::encode(reordered));
    assert_eq!(key(&did, Some("a")), Ok(expected(&secp256k1_jwk(1))));
}

#[test]
fn only_replace_patches_are_read_and_the_last_one_counts() {
    let mut patches = replace(json!([ion_key("a", 1)]));
    patches.as_array_mut().unwrap().push(replace(json!([ion_key("a", 2)]))[0].clone());
    assert_eq!(key(&ion(patches.clone()), Some("a")), Ok(expected(&secp256k1_jwk(2))));
    for patch in [json!({"action": "add-public-keys", "publicKeys": [ion_key("b", 3)]}), json!({}), json!(1)]
    {
        let mut patches = patches.clone();
        patches.as_array_mut().unwrap().push(patch);
        assert_eq!(resolve(&ion(patches), Some("b")), Err(DidError::IonPatch));
    }
    assert_eq!(resolve(&ion(json!([])), None), Err(DidError::Malformed));
    assert_eq!(resolve(&ion(json!([{"action": "replace"}])), None), Err(DidError::Malformed));
}

#[test]
fn ion_states_of_other_shapes_are_refused() {
    let encoded = |state: &str| format!("did:ion:EiA:{}", base64url::encode(state));
    for did in [
        "did:ion:EiA:*".to_owned(),
        "did:ion:EiA:e30:e30".to_owned(),
        encoded("nonsense"),
        encoded("[]"),
        encoded("{}"),
        encoded(r#"{"delta":{}}"#),
        encoded(r#"{"suffixData":{}}"#),
        encoded(r#"{"delta":{},"suffixData":{"a":0.5}}"#),
    ] {
        assert_eq!(resolve(&did, None), Err(DidError::Malformed), "{did}");
    }
    let nameless = json!({"recoveryCommitment": "y"});
    let did = long_form(&ion::multihash(&nameless).unwrap(), &json!({}), &nameless);
    assert_eq!(resolve(&did, None), Err(DidError::Malformed));
}

#[test]
fn a_did_jwk_takes_any_fragment() {
    let did = format!("did:jwk:{}", base64url::encode(p256_jwk().to_string()));
    for fragment in [None, Some("0"), Some("wallet-key-7")] {
        assert_eq!(key(&did, fragment), Ok(expected(&p256_jwk())));
    }
    assert_eq!(resolve("did:jwk:e30", None), Err(DidError::Key(crate::key::KeyError::Malformed)));
    assert_eq!(resolve("did:jwk:bm9uc2Vuc2U", None), Err(DidError::Malformed));
    assert_eq!(resolve("did:jwk:e3", None), Err(DidError::Malformed));
    assert_eq!(resolve(&format!("{did}#0"), None), Err(DidError::Malformed), "the fragment comes apart");
}

/// Test vectors of the W3C CCG did:key method and of its Ed25519, P-256 and secp256k1 suites.
#[test]
fn the_three_kinds_of_did_key() {
    for (body, kind) in [
        ("z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp", KeyKind::Ed25519),
        ("zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169", KeyKind::P256),
        ("zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme", KeyKind::Secp256k1),
    ] {
        let did = format!("did:key:{body}");
        let found = key(&did, None).unwrap();
        assert_eq!(found.kind(), kind);
        assert_eq!(key(&did, Some(body)), Ok(found));
        assert_eq!(key(&did, Some("0")), Err(DidError::KeyNotFound));
    }
    let ed25519 = key("did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp", None).unwrap();
    assert_eq!(ed25519.to_jwk()["x"], "O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik");
}

#[test]
fn did_keys_of_other_kinds_are_refused() {
    use crate::key::KeyError::{Coordinate, Malformed, NotOnCurve, Unsupported};
    let encode = |bytes: &[u8]| format!("did:key:z{}", bs58::encode(bytes).into_string());
    for (did, error) in [
        ("did:key:6Mki".to_owned(), Unsupported),
        ("did:key:z0OIl".to_owned(), Malformed),
        ("did:key:z".to_owned(), Malformed),
        (encode(&[0x12, 0x00, 1, 2]), Unsupported),
        (encode(&[0xed, 0x01, 1, 2]), Coordinate),
        (encode(&[&[0x80, 0x24], [0xff; 33].as_slice()].concat()), NotOnCurve),
        (encode(&[&[0xe7, 0x01], [0x02; 1].as_slice(), [0xff; 32].as_slice()].concat()), NotOnCurve),
        (format!("did:key:z{}", "2".repeat(200)), Unsupported),
    ] {
        assert_eq!(resolve(&did, None), Err(DidError::Key(error)), "{did}");
    }
}

#[test]
fn other_methods_are_refused() {
    for did in ["did:ethr:0xabc", "did:webs:a.example", "did:ionx:EiA"] {
        assert_eq!(resolve(did, None), Err(DidError::UnsupportedMethod), "{did}");
    }
    assert_eq!(web::document_url("did:key:zA"), Err(DidError::UnsupportedMethod));
}

#[test]
fn a_did_web_becomes_an_address() {
    for (did, address) in [
        ("did:web:w3c-ccg.github.io", "https://w3c-ccg.github.io/.well-known/did.json"),
        ("did:web:w3c-ccg.github.io:user:alice", "https://w3c-ccg.github.io/user/alice/did.json"),
        ("did:web:example.com%3A3000:user:alice", "https://example.com:3000/user/alice/did.json"),
        ("did:web:localhost%3a8443", "https://localhost:8443/.well-known/did.json"),
        ("did:web:a.example:caf%C3%A9", "https://a.example/caf%C3%A9/did.json"),
    ] {
        assert_eq!(resolve(did, Some("k")), Ok(Resolution::Document(address.to_owned())));
    }
}

#[test]
fn hostile_hosts_of_did_web_are_refused() {
    for host in [
        "127.0.0.1",
        "10.0.0.1%3A80",
        "2130706433",
        "0x7f000001",
        "0X7F.1",
        "a.0x",
        "1.2.3.010",
        "%5B%3A%3A1%5D",
        "user@a.example",
        "user%40a.example",
        "a.example?x=1",
        "a.example/x",
        "a.example%2Fx",
        "a.example%3A",
        "a.example%3A0",
        "a.example%3A080",
        "a.example%3A65536",
        "a.example%3A%2B80",
        "a.example%3A80%3A80",
        "a..example",
        ".example",
        "a.example.",
        "-a.example",
        "a-.example",
        "a_b.example",
        "a%2Eexample",
    ] {
        assert_eq!(resolve(&format!("did:web:{host}"), None), Err(DidError::HostRefused), "{host}");
    }
    assert_eq!(
        resolve(&format!("did:web:{}", vec!["a".repeat(60); 5].join(".")), None),
        Err(DidError::HostRefused),
        "longer than a name may be"
    );
    assert_eq!(resolve(&format!("did:web:{}.example", "a".repeat(64)), None), Err(DidError::HostRefused));
}

#[test]
fn paths_of_did_web_cannot_climb() {
    for path in [
        "..", ".", "a::b", "%2e%2e", "a%2Fb", "a%5Cb", "a%252Fb", "a%00", "a%0A", "a%", "a%2", "a%zz", "a%+1",
    ] {
        let verdict = resolve(&format!("did:web:a.example:{path}:c"), None);
        assert_eq!(verdict, Err(DidError::Malformed), "{path}");
    }
    assert_eq!(web::document_url("did:web:a.example#k"), Err(DidError::Malformed));
}

fn document(methods: Value) -> Value {
    json!({"id": "did:web:a.example", "verificationMethod": methods})
}

#[test]
fn a_document_gives_the_key_of_the_fragment() {
    let multibase = "z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp";
    let document = document(json!([
        {"id": "#a", "publicKeyJwk": secp256k1_jwk(1)},
        {"id": "did:web:a.example#b", "publicKeyJwk": p256_jwk()},
        {"id": "#b", "publicKeyJwk": secp256k1_jwk(2)},
        {"id": "did:web:other.example#c", "publicKeyJwk": p256_jwk()},
        {"id": "#d", "publicKeyMultibase": multibase},
        {"id": "e", "publicKeyJwk": p256_jwk()},
        {"id": "#f", "publicKeyBase58": "x"},
    ]));
    let find = |fragment| key_from_document(&document, "did:web:a.example", Some(fragment));
    assert_eq!(find("a"), Ok(expected(&secp256k1_jwk(1))));
    assert_eq!(find("b"), Ok(expected(&p256_jwk())), "the first match counts");
    assert_eq!(find("d"), key(&format!("did:key:{multibase}"), None));
    assert_eq!(find("f"), Err(DidError::Key(crate::key::KeyError::Unsupported)));
    for absent in ["c", "e", "g"] {
        assert_eq!(find(absent), Err(DidError::KeyNotFound), "{absent}");
    }
    assert_eq!(key_from_document(&document, "did:web:a.example", None), Err(DidError::KeyAmbiguous));
}

#[test]
fn a_document_without_fragment_needs_one_usable_key() {
    let one =
        document(json!([{"id": "#f", "publicKeyBase58": "x"}, {"id": "#a", "publicKeyJwk": p256_jwk()}]));
    assert_eq!(key_from_document(&one, "did:web:a.example", None), Ok(expected(&p256_jwk())));
    assert_eq!(
        key_from_document(&document(json!([])), "did:web:a.example", None),
        Err(DidError::KeyNotFound)
    );
}

#[test]
fn documents_of_others_and_other_shapes_are_refused() {
    let good = document(json!([{"id": "#a", "publicKeyJwk": p256_jwk()}]));
    for did in ["did:web:b.example", "did:web:A.example", ""] {
        assert_eq!(key_from_document(&good, did, Some("a")), Err(DidError::DocumentMismatch), "{did}");
    }
    assert_eq!(key_from_document(&json!([]), "did:web:a.example", None), Err(DidError::DocumentMismatch));
    for methods in [json!(null), json!({}), json!("x")] {
        let document = document(methods);
        assert_eq!(key_from_document(&document, "did:web:a.example", None), Err(DidError::Document));
    }
}

#[test]
fn every_reason_is_its_own() {
    let errors = [
        DidError::TooLong,
        DidError::Malformed,
        DidError::UnsupportedMethod,
        DidError::ShortFormIon,
        DidError::IonSuffixMismatch,
        DidError::IonDeltaMismatch,
        DidError::IonPatch,
        DidError::HostRefused,
        DidError::DocumentMismatch,
        DidError::Document,
        DidError::KeyNotFound,
        DidError::KeyAmbiguous,
        DidError::Key(crate::key::KeyError::Malformed),
    ];
    let reasons: std::collections::BTreeSet<_> = errors.iter().map(DidError::reason).collect();
    assert_eq!(reasons.len(), errors.len());
}

proptest! {
    #[test]
    fn arbitrary_text_does_not_panic(text in ".{0,200}", fragment in proptest::option::of(".{0,20}")) {
        prop_assert!(resolve(&text, fragment.as_deref()).is_err());
        if let Ok(url) = DidUrl::parse(&text) {
            prop_assert!(text.starts_with(url.did()));
        }
    }

    #[test]
    fn arbitrary_bodies_do_not_panic(method in "ion|jwk|key|web", body in "[a-zA-Z0-9.:%_-]{1,200}", fragment in proptest::option::of("[a-z]{0,4}")) {
        match resolve(&format!("did:{method}:{body}"), fragment.as_deref()) {
            Ok(Resolution::Document(address)) => prop_assert!(address.starts_with("https://") && address.ends_with("/did.json")),
            Ok(Resolution::Key(_)) => prop_assert!(false, "made up from nothing"),
            Err(_) => {}
        }
    }

    #[test]
    fn arbitrary_state_does_not_panic(state: Vec<u8>) {
        let did = format!("did:ion:EiA:{}", base64url::encode(state));
        prop_assert!(resolve(&did, None).is_err());
    }

    #[test]
    fn did_urls_round_trip(method in "[a-z0-9]{1,8}", specific in "[A-Za-z0-9._-]{1,40}", fragment in "[!-\"$-~]{1,40}") {
        let text = format!("did:{method}:{specific}#{fragment}");
        let url = DidUrl::parse(&text).unwrap();
        prop_assert_eq!(format!("{}#{}", url.did(), url.fragment().unwrap()), text.as_str());
        prop_assert_eq!(url.method_specific_id(), specific);
    }
}
