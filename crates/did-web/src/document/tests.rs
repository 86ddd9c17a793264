//! The documents' exact bytes, and the rules of the two wallet libraries as assertions.

use domain::key::{EcPoint, KeyState};
use domain::{AuthorityId, KeyId, KeyRef, Timestamp};
use serde_json::Value;

use super::*;
use crate::fragment::key_fragment;

const NEW: &str = "9f02c1d4a6b84e0f8d2f6b7a9c3e5d71";
const OLD: &str = "5255b9f2d9b94dc19a369ff0d36e3407";

pub(crate) fn key(version: &str, algorithm: SignatureAlgorithm, state: KeyState, second: i64) -> SigningKey {
    let name = "vcSigningKey-bacf5333-d68c-01c5-152b-8c9039fbd88d";
    let byte = u8::try_from(second).unwrap();
    SigningKey {
        authority: "bacf5333-d68c-01c5-152b-8c9039fbd88d".parse::<AuthorityId>().unwrap(),
        id: key_fragment(version, name).unwrap(),
        key: KeyRef { backend: "software".into(), name: name.into(), version: version.into() },
        algorithm,
        public: EcPoint::new(&[byte; 32], &[byte.wrapping_add(1); 32]).unwrap(),
        state,
        prepared_at: Timestamp::from_seconds(second),
    }
}

fn keys() -> Vec<SigningKey> {
    vec![
        key(NEW, SignatureAlgorithm::Es256, KeyState::Active, 2),
        key(OLD, SignatureAlgorithm::Es256k, KeyState::Retired, 1),
    ]
}

fn origins() -> Vec<Origin> {
    vec![Origin::parse("https://verifiedid.contoso.com").unwrap()]
}

fn render(keys: &[SigningKey], ids: IdForm) -> Rendered {
    let (did, origins) = (Did::new("did:web:verifiedid.contoso.com"), origins());
    let hub = Some("https://hub.example/v1.0/tid");
    document(&DocumentInput { did: &did, keys, linked_domains: &origins, hub, ids })
}

fn json(rendered: &Rendered) -> Value {
    serde_json::from_slice(&rendered.bytes).unwrap()
}

#[test]
fn the_relative_document_to_the_byte() {
    let rendered = render(&keys(), IdForm::Relative);
    let expected = concat!(
        r##"{"id":"did:web:verifiedid.contoso.com","##,
        r##""@context":["https://www.w3.org/ns/did/v1",{"@base":"did:web:verifiedid.contoso.com"}],"##,
        r##""service":[{"id":"#linkeddomains","type":"LinkedDomains","##,
        r##""serviceEndpoint":{"origins":["https://verifiedid.contoso.com/"]}},"##,
        r##"{"id":"#hub","type":"IdentityHub","serviceEndpoint":{"instances":["https://hub.example/v1.0/tid"]}}],"##,
        r##""verificationMethod":[{"id":"#9f02c1d4a6b84e0f8d2f6b7a9c3e5d71vcSigningKey-bacf5","##,
        r##""controller":"did:web:verifiedid.contoso.com","type":"JsonWebKey2020","##,
        r##""publicKeyJwk":{"crv":"P-256","kty":"EC","x":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI","##,
        r##""y":"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM"}},"##,
        r##"{"id":"#5255b9f2d9b94dc19a369ff0d36e3407vcSigningKey-bacf5","##,
        r##""controller":"did:web:verifiedid.contoso.com","type":"EcdsaSecp256k1VerificationKey2019","##,
        r##""publicKeyJwk":{"crv":"secp256k1","kty":"EC","x":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE","##,
        r##""y":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI"}}],"##,
        r##""authentication":["#9f02c1d4a6b84e0f8d2f6b7a9c3e5d71vcSigningKey-bacf5","##,
        r##""#5255b9f2d9b94dc19a369ff0d36e3407vcSigningKey-bacf5"],"##,
        r##""assertionMethod":["#9f02c1d4a6b84e0f8d2f6b7a9c3e5d71vcSigningKey-bacf5","##,
        r##""#5255b9f2d9b94dc19a369ff0d36e3407vcSigningKey-bacf5"]}"##,
    );
    assert_eq!(std::str::from_utf8(&rendered.bytes).unwrap(), expected);
}

#[test]
fn the_entity_tag_is_the_hash_of_the_bytes() {
    let rendered = render(&keys(), IdForm::Relative);
    let digest = Sha256::digest(&rendered.bytes);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(rendered.etag, format!("\"{hex}\""));
    assert_ne!(rendered.etag, render(&keys()[..1], IdForm::Relative).etag);
}

#[test]
fn absolute_ids_come_with_the_suites_contexts_and_without_a_base() {
    let document = json(&render(&keys(), IdForm::Absolute));
    assert_eq!(
        document["@context"],
        serde_json::json!([
            "https://www.w3.org/ns/did/v1",
            "https://w3id.org/security/suites/jws-2020/v1",
            "https://w3id.org/security/suites/secp256k1-2019/v1"
        ])
    );
    let first = format!("did:web:verifiedid.contoso.com#{NEW}vcSigningKey-bacf5");
    assert_eq!(document["verificationMethod"][0]["id"], first);
    assert_eq!(document["assertionMethod"][0], first);
    assert_eq!(document["service"][0]["id"], "did:web:verifiedid.contoso.com#linkeddomains");
    assert!(!String::from_utf8(render(&keys(), IdForm::Absolute).bytes).unwrap().contains("\"#"));
    // Only the suites of keys that are there.
    let document = json(&render(&keys()[..1], IdForm::Absolute));
    assert_eq!(document["@context"].as_array().unwrap().len(), 2);
}

#[test]
fn only_published_keys_are_listed() {
    let states = [
        (KeyState::Prepared, 0),
        (KeyState::Published, 1),
        (KeyState::Active, 1),
        (KeyState::Retired, 1),
        (KeyState::Removed, 0),
    ];
    for (state, count) in states {
        let document = json(&render(&[key(NEW, SignatureAlgorithm::Es256, state, 1)], IdForm::Relative));
        for member in ["verificationMethod", "authentication", "assertionMethod"] {
            assert_eq!(document[member].as_array().unwrap().len(), count, "{state:?} {member}");
        }
    }
}

#[test]
fn the_newest_key_comes_first_in_whichever_order_they_are_given() {
    let mut keys = keys();
    let rendered = render(&keys, IdForm::Relative);
    keys.reverse();
    assert_eq!(render(&keys, IdForm::Relative), rendered);
    assert_eq!(json(&rendered)["verificationMethod"][0]["id"], format!("#{NEW}vcSigningKey-bacf5"));
}

#[test]
fn without_domains_and_hub_there_is_no_service() {
    let did = Did::new("did:web:issuer.example");
    let keys = keys();
    let input =
        DocumentInput { did: &did, keys: &keys, linked_domains: &[], hub: None, ids: IdForm::Relative };
    assert!(json(&document(&input)).get("service").is_none());
}

/// `wallet-protocol` 7.2: what the iOS ([I]) and Android ([A]) libraries need to read a document at all.
#[test]
fn both_wallet_libraries_can_read_the_document() {
    let keys = keys();
    let rendered = render(&keys, IdForm::Relative);
    assert!(!rendered.bytes.starts_with(b"\xef\xbb\xbf"));
    let document = json(&rendered);
    // [A] marks the domain as unverified otherwise.
    assert_eq!(document["id"], "did:web:verifiedid.contoso.com");
    let methods = document["verificationMethod"].as_array().unwrap();
    assert_eq!(methods.len(), keys.len());
    for (method, key) in methods.iter().zip(&keys) {
        assert!(method["type"].is_string());
        // [I] compares the id with `#` and the fragment of `kid`.
        let kid = format!("did:web:verifiedid.contoso.com#{}", key.id);
        assert_eq!(method["id"].as_str().unwrap(), format!("#{}", kid.split_once('#').unwrap().1));
        let jwk = method["publicKeyJwk"].as_object().unwrap();
        assert_eq!(jwk.keys().collect::<Vec<_>>().len(), 4);
        assert_eq!(jwk["kty"], "EC");
        assert_eq!(
            jwk["crv"],
            if key.algorithm == SignatureAlgorithm::Es256 { "P-256" } else { "secp256k1" }
        );
        for coordinate in ["x", "y"] {
            assert_eq!(URL_SAFE_NO_PAD.decode(jwk[coordinate].as_str().unwrap()).unwrap().len(), 32);
        }
    }
    for relationship in ["authentication", "assertionMethod"] {
        let entries = document[relationship].as_array().unwrap();
        assert!(entries.iter().all(Value::is_string));
        assert_eq!(entries.len(), keys.len());
    }
    for service in document["service"].as_array().unwrap() {
        assert!(service["id"].is_string() && service["type"].is_string());
        // [I] refuses a string, [A] an array.
        assert!(service["serviceEndpoint"].is_object());
    }
    // [I] compares the linkage credential's origin with this text, slash included.
    assert_eq!(document["service"][0]["serviceEndpoint"]["origins"][0], "https://verifiedid.contoso.com/");
}

#[test]
fn a_document_without_keys_still_has_its_lists() {
    let document = json(&render(&[], IdForm::Relative));
    for member in ["verificationMethod", "authentication", "assertionMethod"] {
        assert_eq!(document[member], Value::Array(Vec::new()), "{member}");
    }
}

#[test]
fn the_did_configuration_to_the_byte() {
    let rendered = did_configuration(&["eyJ.first.sig", "eyJ.second.sig"]);
    assert_eq!(
        std::str::from_utf8(&rendered.bytes).unwrap(),
        concat!(
            r#"{"@context":"https://identity.foundation/.well-known/contexts/did-configuration-v0.0.jsonld","#,
            r#""linked_dids":["eyJ.first.sig","eyJ.second.sig"]}"#
        )
    );
}

/// `wallet-protocol` 7.5: a file of another shape is fatal to the whole request.
#[test]
fn both_wallet_libraries_can_read_the_did_configuration() {
    let document = json(&did_configuration(&["eyJ.first.sig"]));
    assert!(document["@context"].is_string());
    assert!(document["linked_dids"].as_array().unwrap().iter().all(Value::is_string));
    assert_eq!(document.as_object().unwrap().len(), 2);
}

#[test]
fn ids_that_need_escaping_stay_json() {
    let mut odd = key(NEW, SignatureAlgorithm::Es256, KeyState::Active, 1);
    odd.id = KeyId::new("\"quoted\"");
    assert_eq!(json(&render(&[odd], IdForm::Relative))["authentication"][0], "#\"quoted\"");
}
