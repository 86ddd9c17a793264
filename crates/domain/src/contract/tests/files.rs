//! What a good contract says once it is read.

use serde_json::{Value, json};

use super::super::{Contract, ContractStatus};
use super::{asking, base, parse, set, with};

#[test]
fn everything_that_is_optional_has_its_default() {
    let contract = parse(&base());
    let file = contract.file();
    assert_eq!(contract.id().unwrap().to_string(), "133d7e92-d227-f74d-1a5b-354cbc8df49a");
    assert_eq!(contract.name(), "StudentCard");
    assert_eq!(contract.status(), ContractStatus::Enabled);
    assert!(!contract.allows_expiration_date());
    assert!(!file.available_in_vc_directory);
    assert!(!file.issue_notification_enabled);
    assert_eq!(file.issue_notification_allowed_to_group_oids, None);
    assert_eq!(contract.rules().validity_interval_secs, 2_592_000);
    assert_eq!(contract.rules().custom_status_endpoint, None);
    let hint = contract.rules().attestations.id_token_hints.as_ref().unwrap();
    assert!(!hint.required);
    assert!(!hint.mapping[0].indexed);
    assert_eq!(hint.mapping[0].kind.name(), "String");
    assert_eq!(hint.mapping[0].path, "$.rules.attestations.idTokenHints[0].mapping[0]");
}

#[test]
fn null_is_like_absent_where_a_member_is_optional() {
    let mut contract = base();
    for pointer in [
        "/id",
        "/status",
        "/availableInVcDirectory",
        "/issueNotificationEnabled",
        "/issueNotificationAllowedToGroupOids",
        "/allowOverrideValidityIntervalOnIssuance",
        "/rules/customStatusEndpoint",
        "/rules/attestations/idTokens",
        "/rules/attestations/selfIssued",
        "/rules/attestations/idTokenHints/0/trustedIssuers",
        "/rules/attestations/idTokenHints/0/mapping/0/type",
        "/displays/0/card/logo",
        "/displays/0/consent/title",
        "/displays/0/claims/0/description",
    ] {
        set(&mut contract, pointer, Value::Null);
    }
    assert_eq!(parse(&contract).id(), None);
}

#[test]
fn what_was_submitted_is_kept() {
    let mut submitted = with("/issueNotificationAllowedToGroupOids", Value::Null);
    set(&mut submitted, "/status", json!("Disabled"));
    let contract = parse(&submitted);
    assert_eq!(contract.submitted(), &submitted);
    assert_eq!(contract.status(), ContractStatus::Disabled);
    assert_eq!(Contract::from_value(submitted).unwrap(), contract);
}

#[test]
fn the_largest_and_the_smallest_validity() {
    for secs in [60_i64, 315_360_000] {
        assert_eq!(parse(&with("/rules/validityInterval", json!(secs))).rules().validity_interval_secs, secs);
    }
}

#[test]
fn the_base_type_comes_first_and_once() {
    let contract = parse(&with("/rules/vc/type", json!(["StudentCard", "VerifiableCredential", "Card"])));
    let types: Vec<&str> = contract.credential_types().collect();
    assert_eq!(types, ["VerifiableCredential", "StudentCard", "Card"]);
    assert_eq!(contract.primary_type(), "StudentCard");
}

#[test]
fn a_byte_order_mark_does_no_harm() {
    assert!(Contract::parse(&format!("\u{feff}{}", base())).is_ok());
}

#[test]
fn self_issued_may_be_an_object_or_an_array_of_one() {
    let entry = json!({ "mapping": [{ "inputClaim": "name", "outputClaim": "name" }], "required": true });
    for attestations in [json!({ "selfIssued": entry }), json!({ "selfIssued": [entry] })] {
        let contract = parse(&asking(attestations));
        assert!(contract.needs_self_issued());
        assert!(!contract.accepts_hint());
        assert!(!contract.accepts_pin());
        assert!(contract.check_issuable().is_ok());
        assert!(contract.rules().attestations.self_issued.as_ref().unwrap().required);
    }
}

#[test]
fn a_pin_goes_with_a_hint_alone() {
    assert!(parse(&base()).accepts_pin());
    let mut contract = base();
    set(
        &mut contract,
        "/rules/attestations/selfIssued",
        json!({ "mapping": [{ "inputClaim": "nick", "outputClaim": "nick" }] }),
    );
    let contract = parse(&contract);
    assert!(contract.accepts_hint());
    assert!(!contract.accepts_pin());
}

#[test]
fn the_index_claim() {
    assert_eq!(parse(&base()).index_claim().unwrap().output_claim, "number");
    let contract = with("/rules/attestations/idTokenHints/0/mapping/1/indexed", json!(false));
    assert_eq!(parse(&contract).index_claim(), None);
}

#[test]
fn kinds_that_are_not_issued_are_read_and_refused_at_apply() {
    let contract = parse(&asking(json!({
        "idTokens": [{
            "mapping": [{ "inputClaim": "$.emails[0]", "outputClaim": "email" }],
            "configuration": "https://login.example/.well-known/openid-configuration",
            "clientId": "wallet",
            "redirectUri": "vcclient://openid/",
            "scope": "openid",
            "trustedIssuers": ["https://login.example", "did:web:login.example"]
        }],
        "presentations": [{
            "mapping": [{ "inputClaim": "$.vc.credentialSubject.level", "outputClaim": "level" }],
            "credentialType": "Employee",
            "trustedIssuers": ["did:web:hr.example"],
            "contracts": ["https://hr.example/manifest"]
        }],
        "accessTokens": [{ "mapping": [{ "inputClaim": "$.mail", "outputClaim": "mail" }] }],
        "selfIssued": { "mapping": [{ "inputClaim": "nick", "outputClaim": "nick" }] }
    })));
    let findings = contract.check_issuable().unwrap_err();
    let paths: Vec<&str> = findings.iter().map(|finding| finding.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "$.rules.attestations.idTokens",
            "$.rules.attestations.presentations",
            "$.rules.attestations.accessTokens"
        ]
    );
    assert!(
        findings[0].message.contains("idTokens is understood, but credentials are not issued from it yet")
    );
    assert!(findings[0].message.contains("idTokenHints and selfIssued"));
}

#[test]
fn displays_are_chosen_by_language() {
    let mut contract = base();
    let mut german = contract["displays"][0].clone();
    german["locale"] = json!("de-DE");
    set(&mut contract, "/displays/1", german);
    let contract = parse(&contract);
    for (header, locale) in [
        (None, "en-US"),
        (Some(""), "en-US"),
        (Some("de"), "de-DE"),
        (Some("DE-de;q=0.3"), "de-DE"),
        (Some("fr, de-AT;q=0.5, en;q=0.4"), "de-DE"),
        (Some("fr"), "en-US"),
        (Some("*"), "en-US"),
        (Some("en;q=0, *;q=0.1"), "de-DE"),
        (Some("en;q=0, de;q=0"), "en-US"),
        (Some("\u{0};;;q=,,"), "en-US"),
    ] {
        assert_eq!(contract.select_display(header).locale.as_str(), locale, "{header:?}");
    }
}
