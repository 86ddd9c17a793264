//! Tests of the pure part: header, compact form, claims.

use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::auth::trusted::KeySource;

const TID: &str = "a5f1c9d2-0000-4000-8000-00000000abcd";
const NOW: i64 = 1_738_578_093;

fn trusted() -> TrustedIssuer {
    TrustedIssuer::new(
        "https://login.example",
        KeySource::Jwks("https://login.example/keys".parse().unwrap()),
    )
}

fn claims() -> Value {
    json!({
        "iss": "https://login.example", "aud": super::super::DEFAULT_AUDIENCE, "tid": TID, "appid": "front-end",
        "roles": ["VerifiableCredential.Create.All"], "nbf": NOW, "exp": NOW + 3600, "jti": "t1",
    })
}

fn accept_at(claims: &Value, trusted: &TrustedIssuer, now: i64) -> Result<Caller, AuthError> {
    accept(claims.as_object().unwrap(), trusted, Timestamp::from_seconds(now)).map(|(caller, _)| caller)
}

fn accept_now(claims: &Value) -> Result<Caller, AuthError> {
    accept_at(claims, &trusted(), NOW)
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(names: &[&str]) -> Value {
    let mut claims = claims();
    for name in names {
        claims.as_object_mut().unwrap().remove(*name);
    }
    claims
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[test]
fn the_scheme_is_bearer_in_any_letter_case() {
    for header in ["Bearer abc", "bearer abc", "BEARER  abc ", " bEaReR abc"] {
        assert_eq!(bearer(Some(header)), Ok("abc"), "{header}");
    }
}

#[test]
fn other_headers_are_refused() {
    let long = format!("Bearer {}", "x".repeat(LONGEST));
    for (header, expected) in [
        (None, AuthError::MissingHeader),
        (Some(""), AuthError::NotBearer),
        (Some("abc"), AuthError::NotBearer),
        (Some("Basic abc"), AuthError::NotBearer),
        (Some("Bearerabc"), AuthError::NotBearer),
        (Some("Bearer"), AuthError::Malformed),
        (Some("Bearer  "), AuthError::Malformed),
        (Some(long.as_str()), AuthError::TooLarge),
    ] {
        assert_eq!(bearer(header), Err(expected), "{:?}", header.map(|text| &text[..text.len().min(20)]));
    }
}

#[test]
fn a_compact_token_is_taken_apart() {
    let (header, body) = (encoded(&json!({"alg": "RS256", "kid": "k", "typ": "JWT"})), encoded(&claims()));
    let token = format!("{header}.{body}.AAEC");
    let compact = Compact::parse(&token).unwrap();
    assert_eq!(compact.algorithm, TokenAlgorithm::Rs256);
    assert_eq!(compact.kid.as_deref(), Some("k"));
    assert_eq!(compact.issuer(), Some("https://login.example"));
    assert_eq!(compact.signing_input, format!("{header}.{body}"));
    assert_eq!(compact.signature, [0, 1, 2]);
}

#[test]
fn broken_tokens_are_refused() {
    let header = |value: Value| format!("{}.{}.AA", encoded(&value), encoded(&claims()));
    let good = encoded(&json!({"alg": "RS256"}));
    let body = encoded(&claims());
    for (token, expected) in [
        (String::new(), AuthError::Malformed),
        ("a".to_owned(), AuthError::Malformed),
        ("a.b".to_owned(), AuthError::Malformed),
        (format!("{good}.{body}"), AuthError::Malformed),
        (format!("{good}.{body}.AA.AA.AA"), AuthError::Malformed),
        (format!("{good}.{body}.!"), AuthError::Malformed),
        (format!("{good}.{body}.AA=="), AuthError::Malformed),
        (format!("{good}.!!.AA"), AuthError::Malformed),
        (format!("{good}.{}.AA", encoded(&json!([]))), AuthError::Malformed),
        (format!("{}.{body}.AA", URL_SAFE_NO_PAD.encode("{")), AuthError::Malformed),
        (header(json!({})), AuthError::Malformed),
        (header(json!({"alg": 1})), AuthError::Malformed),
        (header(json!({"alg": "RS256", "kid": 1})), AuthError::Malformed),
        (header(json!({"alg": "RS256", "crit": ["exp"]})), AuthError::Malformed),
        (header(json!({"alg": "none"})), AuthError::AlgorithmNotAllowed),
        (header(json!({"alg": "nOnE"})), AuthError::AlgorithmNotAllowed),
        (header(json!({"alg": "HS256"})), AuthError::AlgorithmNotAllowed),
    ] {
        assert_eq!(Compact::parse(&token).err(), Some(expected), "{token}");
    }
}

#[test]
fn good_claims_make_a_caller() {
    let caller = accept_now(&claims()).unwrap();
    assert_eq!(caller.tenant, TID.parse().unwrap());
    assert_eq!(caller.client.as_str(), "front-end");
    assert_eq!(caller.roles, ["VerifiableCredential.Create.All"]);
    assert_eq!(caller.token_id.as_deref(), Some("t1"));
    assert!(caller.may_create_issuance());
}

#[test]
fn times_are_checked_with_a_minute_of_leeway() {
    let exp = NOW + 3600;
    assert!(accept_at(&claims(), &trusted(), exp + 59).is_ok());
    assert_eq!(accept_at(&claims(), &trusted(), exp + 60), Err(AuthError::Expired));
    assert!(accept_at(&claims(), &trusted(), NOW - 60).is_ok());
    assert_eq!(accept_at(&claims(), &trusted(), NOW - 61), Err(AuthError::NotYetValid));
    assert!(accept_now(&without(&["nbf"])).is_ok());
    assert!(accept_now(&with("exp", json!(1_738_578_094.5))).is_ok());
}

#[test]
fn refused_claims() {
    for (claims, expected) in [
        (without(&["exp"]), AuthError::MissingExpiry),
        (with("exp", json!("1738578093")), AuthError::Malformed),
        (with("exp", json!(1e300)), AuthError::Malformed),
        (with("exp", json!(null)), AuthError::Malformed),
        (with("nbf", json!("soon")), AuthError::Malformed),
        (with("exp", json!(-5)), AuthError::Expired),
        (without(&["aud"]), AuthError::WrongAudience),
        (with("aud", json!("other")), AuthError::WrongAudience),
        (with("aud", json!([])), AuthError::WrongAudience),
        (with("aud", json!(["other"])), AuthError::WrongAudience),
        (with("aud", json!({})), AuthError::WrongAudience),
        (without(&["tid"]), AuthError::MissingTenant),
        (with("tid", json!("")), AuthError::MissingTenant),
        (with("tid", json!(7)), AuthError::MissingTenant),
        (with("tid", json!("realm")), AuthError::WrongTenant),
        (without(&["appid"]), AuthError::MissingClient),
        (with("appid", json!("")), AuthError::MissingClient),
    ] {
        assert_eq!(accept_now(&claims), Err(expected), "{claims}");
    }
}

#[test]
fn an_audience_among_several_is_enough() {
    let several = with("aud", json!(["other", super::super::DEFAULT_AUDIENCE]));
    assert!(accept_now(&several).is_ok());
    let own = TrustedIssuer { audiences: vec!["api://own".to_owned()], ..trusted() };
    assert!(accept_at(&with("aud", json!("api://own")), &own, NOW).is_ok());
    assert_eq!(accept_at(&claims(), &own, NOW), Err(AuthError::WrongAudience));
}

#[test]
fn the_client_is_found_in_the_order_of_claims() {
    let mut all = claims();
    for name in ["sub", "client_id", "azp", "appid"] {
        all[name] = json!(name);
    }
    for name in ["appid", "azp", "client_id", "sub"] {
        assert_eq!(accept_now(&all).unwrap().client.as_str(), name);
        all.as_object_mut().unwrap().remove(name);
    }
    assert_eq!(accept_now(&all), Err(AuthError::MissingClient));
}

#[test]
fn other_issuers_spellings_are_configurable() {
    let keycloak = TrustedIssuer {
        tenant_claim: "ctx.realm".to_owned(),
        roles_claim: "realm_access.roles".to_owned(),
        tenants: TenantMapping::Map(HashMap::from([("prod".to_owned(), TID.parse().unwrap())])),
        role_names: HashMap::from([("issuer".to_owned(), super::super::ROLE_CREATE_ISSUE.to_owned())]),
        ..trusted()
    };
    let mut claims = without(&["tid", "roles"]);
    claims["ctx"] = json!({"realm": "prod"});
    claims["realm_access"] = json!({"roles": ["issuer", "other", 7]});
    let caller = accept_at(&claims, &keycloak, NOW).unwrap();
    assert_eq!(caller.tenant, TID.parse().unwrap());
    assert_eq!(caller.roles, [super::super::ROLE_CREATE_ISSUE, "other"]);
    assert!(caller.may_create_issuance());
    claims["ctx"] = json!({"realm": "test"});
    assert_eq!(accept_at(&claims, &keycloak, NOW), Err(AuthError::WrongTenant));

    let fixed = TrustedIssuer { tenants: TenantMapping::Fixed(TID.parse().unwrap()), ..trusted() };
    assert_eq!(accept_at(&without(&["tid"]), &fixed, NOW).unwrap().tenant, TID.parse().unwrap());
}

#[test]
fn roles_decide_about_issuance() {
    for (roles, may) in [
        (json!(["VerifiableCredential.Create.All"]), true),
        (json!(["VerifiableCredential.Create.IssueRequest"]), true),
        (json!("VerifiableCredential.Create.All"), true),
        (json!(["VerifiableCredential.Create.PresentRequest"]), false),
        (json!(["verifiablecredential.create.all"]), false),
        (json!([]), false),
        (json!({"VerifiableCredential.Create.All": true}), false),
    ] {
        let caller = accept_now(&with("roles", roles.clone())).unwrap();
        assert_eq!(caller.may_create_issuance(), may, "{roles}");
        assert_eq!(caller.require_create_issuance(), if may { Ok(()) } else { Err(AuthError::MissingRole) });
    }
    assert!(!accept_now(&without(&["roles"])).unwrap().may_create_issuance());
}

proptest! {
    #[test]
    fn arbitrary_headers_do_no_harm(header in "\\PC{0,60}", dots in "[A-Za-z0-9_.-]{0,120}") {
        if let Ok(token) = bearer(Some(&header)) {
            prop_assert!(Compact::parse(token).is_err() || token.matches('.').count() == 2);
        }
        prop_assert!(Compact::parse(&dots).is_err() || dots.matches('.').count() == 2);
    }

    #[test]
    fn arbitrary_claims_do_no_harm(
        exp in any::<f64>(), nbf in any::<i64>(), aud in "\\PC{0,10}", tid in "\\PC{0,10}", now in any::<i64>(),
    ) {
        let claims = json!({"exp": exp, "nbf": nbf, "aud": aud, "tid": tid});
        prop_assert!(accept(claims.as_object().unwrap(), &trusted(), Timestamp::from_millis(now)).is_err());
    }

    #[test]
    fn a_token_reads_back(kid in "\\PC{0,20}", signature in any::<Vec<u8>>(), value in "\\PC{0,30}") {
        let body = json!({"iss": value});
        let token = format!(
            "{}.{}.{}",
            encoded(&json!({"alg": "ES256", "kid": kid})), encoded(&body), URL_SAFE_NO_PAD.encode(&signature),
        );
        let compact = Compact::parse(&token).unwrap();
        prop_assert_eq!(compact.kid, Some(kid));
        prop_assert_eq!(compact.signature, signature);
        prop_assert_eq!(Value::Object(compact.claims), body);
    }
}
