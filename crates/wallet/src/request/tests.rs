//! Tests of `request`.

use super::*;
use crate::example::NOW;
use crate::issuer::Issuer;
use proptest::prelude::*;
use serde_json::json;

fn parse(issuer: &Issuer, payload: &Value) -> Result<IssuanceRequest, RequestError> {
    IssuanceRequest::parse(payload, &issuer.did, NOW)
}

/// The answer when the member at `pointer` is `new`.
fn with(pointer: &str, new: Value) -> Result<IssuanceRequest, RequestError> {
    let issuer = Issuer::example();
    let mut payload = issuer.request();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = payload.pointer_mut(parent).unwrap();
    match name.parse::<usize>() {
        Ok(index) => parent[index] = new,
        Err(_) => parent[name] = new,
    }
    parse(&issuer, &payload)
}

fn without(pointer: &str) -> Result<IssuanceRequest, RequestError> {
    let issuer = Issuer::example();
    let mut payload = issuer.request();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    payload.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
    parse(&issuer, &payload)
}

fn shape(result: Result<IssuanceRequest, RequestError>) -> bool {
    matches!(result, Err(RequestError::Shape(_)))
}

const DESCRIPTOR: &str = "/claims/vp_token/presentation_definition/input_descriptors/0";

#[test]
fn reads_a_good_request() {
    let request = Issuer::example().parsed_request();
    assert_eq!(request.manifest.as_str(), "https://issuer.example/manifest?request=6f0c");
    assert_eq!(request.types, ["ContosoBadge"]);
    assert_eq!(request.id_token_hint.as_deref(), Some("aGlu.dC4.dA"));
    assert_eq!((request.state.as_str(), request.client_name.as_deref()), ("c3Rh", Some("Contoso")));
}

#[test]
fn every_needed_member_is_needed() {
    for pointer in [
        "/exp",
        "/client_id",
        "/response_type",
        "/response_mode",
        "/scope",
        "/nonce",
        "/state",
        "/prompt",
        "/redirect_uri",
        "/registration",
        "/claims",
        "/registration/subject_syntax_types_supported",
        "/registration/vp_formats/jwt_vp",
        "/registration/vp_formats/jwt_vc",
        "/registration/vp_formats/jwt_vc/alg",
        "/claims/vp_token",
        "/claims/vp_token/presentation_definition",
        "/claims/vp_token/presentation_definition/id",
        "/claims/vp_token/presentation_definition/input_descriptors",
    ] {
        assert!(shape(without(pointer)), "{pointer}");
    }
    for name in ["id", "schema", "issuance"] {
        assert!(shape(without(&format!("{DESCRIPTOR}/{name}"))), "{name}");
    }
    assert!(shape(without(&format!("{DESCRIPTOR}/issuance/0/manifest"))));
}

#[test]
fn optional_members_may_be_absent_but_never_null() {
    for pointer in [
        "/jti",
        "/iat",
        "/iss",
        "/registration/vp_formats",
        "/registration/client_name",
        "/registration/logo_uri",
        "/id_token_hint",
    ] {
        assert!(without(pointer).is_ok(), "{pointer}");
        assert!(shape(with(pointer, Value::Null)), "{pointer}");
        assert!(shape(with(pointer, json!([]))) || pointer == "/iss", "{pointer}");
    }
    assert!(shape(with("/aud", Value::Null)));
}

#[test]
fn fixed_words_are_exact() {
    for (pointer, bad) in [
        ("/response_mode", "form_post"),
        ("/response_mode", "Post"),
        ("/response_type", "ID_TOKEN"),
        ("/scope", "openid did_authn"),
        ("/prompt", "login"),
        ("/state", " "),
        ("/nonce", ""),
    ] {
        assert!(shape(with(pointer, json!(bad))), "{pointer} {bad}");
    }
}

#[test]
fn the_signer_is_the_client() {
    assert_eq!(with("/client_id", json!("did:web:other")), Err(RequestError::ClientId));
    assert_eq!(with("/iss", json!("did:web:other")), Err(RequestError::Issuer));
}

#[test]
fn times_are_integers_and_current() {
    for bad in [json!(1_795_000_300.0), json!("1795000300"), json!(1e18)] {
        assert!(shape(with("/exp", bad.clone())), "{bad}");
        assert!(shape(with("/iat", bad.clone())), "{bad}");
    }
    assert_eq!(with("/exp", json!(NOW - 301)), Err(RequestError::Expired));
    assert_eq!(with("/iat", json!(NOW + 301)), Err(RequestError::NotYet));
    assert_eq!(with("/nbf", json!(NOW + 301)), Err(RequestError::NotYet));
    assert_eq!(with("/exp", json!(NOW)), Err(RequestError::Lifetime));
    let issuer = Issuer::example();
    let mut late = issuer.request();
    late["iat"] = json!(NOW - 600);
    late["exp"] = json!(NOW - 300);
    assert!(parse(&issuer, &late).is_ok());
}

#[test]
fn addresses_carry_only_what_ios_carries() {
    for bad in ["", "/relative", "http://a/b", "https://a/b?c=1&d=2", "https://a/b#c"] {
        assert!(shape(with("/redirect_uri", json!(bad))), "{bad}");
        assert!(shape(with(&format!("{DESCRIPTOR}/issuance/0/manifest"), json!(bad))), "{bad}");
    }
}

#[test]
fn registration_names_what_the_libraries_look_for() {
    assert!(shape(with("/registration", json!("text"))));
    assert!(shape(with("/registration/subject_syntax_types_supported", json!(["did:jwk"]))));
    assert!(shape(with("/registration/vp_formats", json!({}))));
    for name in ["jwt_vp", "jwt_vc"] {
        assert!(shape(with(&format!("/registration/vp_formats/{name}/alg"), json!(["ES256"]))));
    }
}

#[test]
fn exactly_one_descriptor_with_a_type_and_a_manifest() {
    let list = "/claims/vp_token/presentation_definition/input_descriptors";
    assert!(shape(with(list, json!([]))));
    let good = Issuer::example().request().pointer(DESCRIPTOR).unwrap().clone();
    assert!(shape(with(list, json!([good, good]))));
    for bad in [json!([]), json!([{"uri": " "}]), json!(["ContosoBadge"]), json!([{}])] {
        assert!(shape(with(&format!("{DESCRIPTOR}/schema"), bad.clone())), "{bad}");
    }
    assert!(shape(with(&format!("{DESCRIPTOR}/issuance"), json!([]))));
    assert!(shape(with("/claims/vp_token", json!([]))));
}

#[test]
fn constraint_fields_need_a_pattern() {
    let at = format!("{DESCRIPTOR}/constraints");
    for bad in [json!({"fields": [{"path": ["$.a"]}]}), json!({"fields": [{"filter": {"type": "string"}}]})] {
        assert_eq!(with(&at, bad), Err(RequestError::Constraint));
    }
    assert!(with(&at, json!({"fields": [{"filter": {"type": "string", "pattern": "/^a$/"}}]})).is_ok());
    assert!(with(&at, json!({})).is_ok());
}

#[test]
fn a_pin_is_complete_and_comes_with_a_hint() {
    let good =
        json!({"length": 4, "type": "numeric", "alg": "sha256", "iterations": 1, "salt": "s", "hash": "h"});
    assert_eq!(
        with("/pin", good.clone()).unwrap().pin,
        Some(PinRequest { length: 4, kind: PinKind::Numeric, salt: Some("s".into()), hash: "h".into() })
    );
    for (name, bad) in [
        ("length", json!(0)),
        ("length", json!(-1)),
        ("length", json!(4.0)),
        ("length", json!("4")),
        ("type", json!("text")),
        ("hash", json!(1)),
        ("salt", json!(1)),
        ("iterations", json!("1")),
        ("alg", json!(1)),
    ] {
        let mut pin = good.clone();
        pin[name] = bad.clone();
        assert!(shape(with("/pin", pin)), "{name} {bad}");
    }
    for name in ["length", "type", "hash"] {
        let mut pin = good.clone();
        pin.as_object_mut().unwrap().remove(name);
        assert!(shape(with("/pin", pin)), "{name}");
    }
    let issuer = Issuer::example();
    let mut payload = issuer.request();
    payload["pin"] = good;
    payload.as_object_mut().unwrap().remove("id_token_hint");
    assert_eq!(parse(&issuer, &payload), Err(RequestError::PinWithoutHint));
}

proptest! {
    #[test]
    fn arbitrary_json_never_panics(text in any::<String>(), number in any::<f64>(), at in 0usize..20) {
        let issuer = Issuer::example();
        let mut payload = issuer.request();
        let names: Vec<String> = payload.as_object().unwrap().keys().cloned().collect();
        payload[&names[at % names.len()]] = json!({"a": text, "b": [number]});
        prop_assert!(parse(&issuer, &payload).is_err() || names[at % names.len()] == "jti");
        prop_assert!(parse(&issuer, &json!(text)).is_err());
    }
}
