//! Tests of `jws`.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn token(header: &str, payload: &str) -> String {
    format!("{}.{}", join(header.as_bytes(), payload.as_bytes()), base64url::encode([1_u8; 64]))
}

#[test]
fn the_header_has_three_members_in_a_fixed_order() {
    let unsigned =
        Unsigned::new(SignatureAlgorithm::Es256k, "did:web:a.example#k1", Some("JWT"), &json!({"a": 1}))
            .unwrap();
    let header = base64url::decode(unsigned.signing_input().split('.').next().unwrap()).unwrap();
    assert_eq!(header, br#"{"alg":"ES256K","kid":"did:web:a.example#k1","typ":"JWT"}"#);
    let bare = Unsigned::new(SignatureAlgorithm::Es256, "did:web:a.example#k1", None, &json!({})).unwrap();
    let header = base64url::decode(bare.signing_input().split('.').next().unwrap()).unwrap();
    assert_eq!(header, br#"{"alg":"ES256","kid":"did:web:a.example#k1"}"#);
}

#[test]
fn only_objects_become_payloads() {
    for payload in [json!([1]), json!("text"), json!(1), Value::Null] {
        let made = Unsigned::new(SignatureAlgorithm::Es256, "k", None, &payload);
        assert!(matches!(made, Err(JwsError::Payload)), "{payload}");
    }
    let unwritable = std::collections::BTreeMap::from([((1, 2), 3)]);
    let made = Unsigned::new(SignatureAlgorithm::Es256, "k", None, &unwritable);
    assert!(matches!(made, Err(JwsError::Serialize(_))));
}

#[test]
fn assembling_appends_the_raw_signature() {
    let unsigned = Unsigned::new(SignatureAlgorithm::Es256, "k", None, &json!({"a": 1})).unwrap();
    let token = unsigned.assemble(&[0xfb, 0xff]);
    assert_eq!(token, format!("{}.-_8", unsigned.signing_input()));
    let parsed = Compact::parse(&token, 1000).unwrap();
    assert_eq!(parsed.signing_input(), unsigned.signing_input());
    assert_eq!(parsed.signature(), [0xfb, 0xff]);
    assert_eq!(parsed.payload(), br#"{"a":1}"#);
}

#[test]
fn stored_bytes_come_back_unchanged() {
    let unsigned = Unsigned::new(SignatureAlgorithm::Es256, "k", None, &json!({"a": 1})).unwrap();
    let revived = Unsigned::from_signing_input(unsigned.signing_input().to_owned()).unwrap();
    assert_eq!(revived, unsigned);
    assert_eq!(revived.digest(), unsigned.digest());
    for text in ["", "abc", "YQ.YQ.YQ"] {
        assert!(matches!(Unsigned::from_signing_input(text.to_owned()), Err(JwsError::NotCompact)), "{text}");
    }
    for text in [".YQ", "YQ.YQ==", "Y.YQ"] {
        assert!(matches!(Unsigned::from_signing_input(text.to_owned()), Err(JwsError::Encoding)), "{text}");
    }
}

#[test]
fn stored_bytes_need_an_algorithm_of_ours() {
    for header in ["a", "{}", r#"{"alg":"none"}"#, r#"{"alg":"EdDSA"}"#, r#"{"alg":7}"#] {
        let text = format!("{}.YQ", base64url::encode(header));
        assert!(matches!(Unsigned::from_signing_input(text), Err(JwsError::Header)), "{header}");
    }
}

#[test]
fn the_algorithm_chooses_the_hash() {
    for (algorithm, bytes) in
        [(SignatureAlgorithm::Es256, 32), (SignatureAlgorithm::Es256k, 32), (SignatureAlgorithm::Es384, 48)]
    {
        let unsigned = Unsigned::new(algorithm, "k", None, &json!({"a": 1})).unwrap();
        assert_eq!(unsigned.algorithm(), algorithm);
        assert_eq!(unsigned.digest().len(), bytes);
        let revived = Unsigned::from_signing_input(unsigned.signing_input().to_owned()).unwrap();
        assert_eq!(revived, unsigned);
    }
}

/// RFC 7515, appendix A.3: a complete ES256 token.
#[test]
fn the_es256_example_of_rfc_7515() {
    let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let key = PublicKey::from_jwk(&json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    }))
    .unwrap();
    let parsed = Compact::parse(token, 1000).unwrap();
    assert_eq!(parsed.header(), &Header { alg: "ES256".into(), kid: None, typ: None });
    parsed.verify(&key).unwrap();
    assert_eq!(parsed.claims::<Value>().unwrap()["iss"], "joe");
    let changed = token.replacen("eyJpc3MiOiJqb2Ui", "eyJpc3MiOiJqb2Yi", 1);
    assert_eq!(Compact::parse(&changed, 1000).unwrap().verify(&key), Err(SignatureError::Invalid));
}

#[test]
fn texts_that_are_not_three_parts_are_refused() {
    for text in ["", "a", "e30.e30", "e30.e30.e30.e30", "e30.e30.e30.e30.e30"] {
        assert!(matches!(Compact::parse(text, 100), Err(JwsError::NotCompact)), "{text}");
    }
}

#[test]
fn parts_that_are_not_strict_base64url_are_refused() {
    let good = token(r#"{"alg":"ES256"}"#, "{}");
    assert!(Compact::parse(&good, 1000).is_ok());
    for bad in [format!("{good}="), format!("{good}\n"), format!(" {good}"), good.replace("e30", "e3=")] {
        assert!(matches!(Compact::parse(&bad, 1000), Err(JwsError::Encoding)), "{bad}");
    }
}

#[test]
fn the_limit_counts_bytes() {
    let good = token(r#"{"alg":"ES256"}"#, "{}");
    assert!(Compact::parse(&good, good.len()).is_ok());
    assert!(matches!(Compact::parse(&good, good.len() - 1), Err(JwsError::TooLarge)));
}

#[test]
fn headers_have_to_be_objects_with_a_text_alg() {
    for header in [
        "",
        "{}",
        "[\"ES256\"]",
        "\"ES256\"",
        r#"{"alg":1}"#,
        r#"{"alg":null}"#,
        r#"{"alg":"a","alg":"b"}"#,
        r#"{"alg":"a","kid":1}"#,
    ] {
        assert!(matches!(Compact::parse(&token(header, "{}"), 1000), Err(JwsError::Header)), "{header}");
    }
}

#[test]
fn critical_extensions_are_refused() {
    for crit in [r#"["b64"]"#, "[]", "null"] {
        let header = format!(r#"{{"alg":"ES256","crit":{crit},"b64":false}}"#);
        assert!(matches!(Compact::parse(&token(&header, "{}"), 1000), Err(JwsError::Critical)), "{crit}");
    }
}

#[test]
fn payloads_have_to_be_objects() {
    for payload in ["", "[]", "\"a\"", "1", "null", "{", "{\"a\":}", "{}{}", "{} x"] {
        let parsed = Compact::parse(&token(r#"{"alg":"ES256"}"#, payload), 1000).map(|_| ());
        assert!(matches!(parsed, Err(JwsError::Payload)), "{payload}");
    }
    let not_text = format!("{}.YQ", join(br#"{"alg":"ES256"}"#, b"{\"a\":\"\xff\"}"));
    assert!(matches!(Compact::parse(&not_text, 1000), Err(JwsError::Payload)));
}

proptest! {
    #[test]
    fn arbitrary_text_does_not_panic(text in ".{0,300}") {
        prop_assert!(Compact::parse(&text, 1000).is_err());
    }

    #[test]
    fn arbitrary_parts_do_not_panic(header: Vec<u8>, payload: Vec<u8>, signature: Vec<u8>) {
        let text = format!("{}.{}", join(&header, &payload), base64url::encode(&signature));
        if let Ok(parsed) = Compact::parse(&text, 10_000) {
            prop_assert_eq!(parsed.payload(), payload);
            prop_assert_eq!(parsed.signature(), signature);
        }
    }

    #[test]
    fn what_is_made_can_be_read(kid in ".{0,60}", value in ".{0,60}", signature: [u8; 32]) {
        let unsigned =
            Unsigned::new(SignatureAlgorithm::Es256, &kid, Some("JWT"), &json!({"v": value})).unwrap();
        let token = unsigned.assemble(&signature);
        let parsed = Compact::parse(&token, 10_000).unwrap();
        prop_assert_eq!(parsed.header().kid.as_deref(), Some(kid.as_str()));
        prop_assert_eq!(parsed.claims::<Value>().unwrap(), json!({"v": value}));
        prop_assert_eq!(Unsigned::from_signing_input(parsed.signing_input().to_owned()).unwrap(), unsigned);
    }
}
