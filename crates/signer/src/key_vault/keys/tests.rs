//! Which bundles are believed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const VERSION: &str = "0123456789abcdef0123456789abcdef";

fn vault() -> Url {
    Url::parse("https://v1.vault.azure.net").unwrap()
}

fn bundle(kty: &str, crv: &str, point: &EcPoint) -> Value {
    json!({
        "key": {
            "kid": format!("https://v1.vault.azure.net/keys/issuer/{VERSION}"), "kty": kty, "crv": crv,
            "key_ops": ["sign", "verify"],
            "x": URL_SAFE_NO_PAD.encode(point.x()), "y": URL_SAFE_NO_PAD.encode(point.y()),
        },
        "attributes": {"enabled": true, "nbf": 1_767_225_600, "exp": 1_798_761_600, "created": 1_767_225_601,
            "recoveryLevel": "CustomizedRecoverable+Purgeable", "unheardOf": 3},
        "tags": {"use": "vc-signing"},
    })
}

fn read_json(value: &Value, asked: Option<&str>) -> Result<KeyDescription, SignErrorKind> {
    let key: Key = serde_json::from_value(value.clone()).unwrap();
    read(key, "main", &vault(), "issuer", asked, Receipt::default())
}

fn p256() -> EcPoint {
    let key = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
    EcPoint::from_sec1(key.verifying_key().to_sec1_point(false).as_bytes()).unwrap()
}

fn p384() -> EcPoint {
    let key = p384::ecdsa::SigningKey::from_slice(&[7; 48]).unwrap();
    EcPoint::from_sec1(key.verifying_key().to_sec1_point(false).as_bytes()).unwrap()
}

fn p256k() -> EcPoint {
    let key = k256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
    EcPoint::from_sec1(key.verifying_key().to_sec1_point(false).as_bytes()).unwrap()
}

#[test]
fn both_protections_and_all_three_curves_are_read() {
    let curves = [
        ("P-256", SignatureAlgorithm::Es256, p256()),
        ("P-256K", SignatureAlgorithm::Es256k, p256k()),
        ("P-384", SignatureAlgorithm::Es384, p384()),
    ];
    for (crv, algorithm, point) in curves {
        for (kty, protection) in [("EC", Protection::Software), ("EC-HSM", Protection::Hsm)] {
            let read = read_json(&bundle(kty, crv, &point), Some(VERSION)).unwrap();
            assert_eq!((read.algorithm, read.protection, read.public), (algorithm, protection, point));
            assert_eq!(read.key.version, VERSION);
            assert!(read.enabled);
            assert_eq!(read.expires, Some(Timestamp::from_seconds(1_798_761_600)));
            assert_eq!(read.recovery_level.as_deref(), Some("CustomizedRecoverable+Purgeable"));
        }
    }
}

#[test]
fn keys_with_which_nobody_signs_are_named() {
    for (kty, crv) in [("EC", "SECP256K1"), ("EC", "P-521"), ("RSA", "P-256"), ("oct-HSM", ""), ("EC", "")] {
        let SignErrorKind::UnsupportedKey { found } =
            read_json(&bundle(kty, crv, &p256()), None).unwrap_err()
        else {
            panic!("{kty} {crv}")
        };
        assert_eq!(found, format!("{kty} {crv}").trim());
    }
}

#[test]
fn another_key_in_the_answer_is_refused() {
    let other_version = format!("https://v1.vault.azure.net/keys/issuer/{}", VERSION.replace('0', "9"));
    for kid in [
        other_version.as_str(),
        "https://v1.vault.azure.net/keys/other/0123456789abcdef0123456789abcdef",
        "https://v2.vault.azure.net/keys/issuer/0123456789abcdef0123456789abcdef",
        "http://v1.vault.azure.net/keys/issuer/0123456789abcdef0123456789abcdef",
        "https://v1.vault.azure.net/secrets/issuer/0123456789abcdef0123456789abcdef",
        "nonsense",
    ] {
        let mut value = bundle("EC", "P-256", &p256());
        value["key"]["kid"] = json!(kid);
        assert!(matches!(read_json(&value, Some(VERSION)), Err(SignErrorKind::WrongKey)), "{kid}");
    }
    let mut value = bundle("EC", "P-256", &p256());
    value["key"]["kid"] =
        json!(format!("https://V1.vault.azure.net:443/keys/Issuer/{}", VERSION.to_uppercase()));
    assert_eq!(read_json(&value, Some(VERSION)).unwrap().key.version, VERSION, "ids compare in any case");
    value["key"]["kid"] = json!("https://v1.vault.azure.net/keys/issuer");
    assert!(matches!(read_json(&value, None), Err(SignErrorKind::BadResponse(InvalidResponse::Malformed))));
}

#[test]
fn points_that_are_none_are_refused() {
    let point = p256();
    let swapped = EcPoint::new(point.y(), point.x()).unwrap();
    for (crv, point) in [("P-256", swapped), ("P-256K", p256()), ("P-384", p256()), ("P-256", p384())] {
        let answer = read_json(&bundle("EC", crv, &point), None);
        let is_refused = matches!(answer, Err(SignErrorKind::BadResponse(InvalidResponse::PublicKey)));
        assert!(is_refused, "{crv} {point:?}");
    }
    for (member, value) in [("x", json!(null)), ("y", json!("AA"))] {
        let mut bundle = bundle("EC", "P-256", &p256());
        bundle["key"][member] = value;
        let answer = read_json(&bundle, None);
        assert!(matches!(answer, Err(SignErrorKind::BadResponse(InvalidResponse::PublicKey))), "{member}");
    }
}

#[test]
fn a_key_signs_inside_its_validity_only() {
    let read = read_json(&bundle("EC", "P-256", &p256()), None).unwrap();
    let at = Timestamp::from_seconds;
    assert!(read.signs_at(at(1_780_000_000)));
    assert!(!read.signs_at(at(1_767_225_600)), "the vault's clock may be behind");
    assert!(!read.signs_at(at(1_798_761_500)), "the vault's clock may be ahead");
    assert!(!KeyDescription { enabled: false, ..read.clone() }.signs_at(at(1_780_000_000)));
    assert!(!KeyDescription { operations: vec!["verify".into()], ..read }.signs_at(at(1_780_000_000)));
}

#[test]
fn versions_stay_in_their_place() {
    assert!(is_version(VERSION));
    for text in ["", "a/b", "../x", "a?b", "a b", &"a".repeat(65)] {
        assert!(!is_version(text), "{text}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bundles_do_not_panic(kty in ".{0,10}", crv in ".{0,10}", kid in ".{0,60}", x in ".{0,60}") {
        let value = json!({"key": {"kty": kty, "crv": crv, "kid": kid, "x": x, "y": x}});
        if let Ok(key) = serde_json::from_value::<Key>(value) {
            prop_assert!(read(key, "main", &vault(), "issuer", None, Receipt::default()).is_err());
        }
    }
}
