//! Whole texts that are refused: not JSON, too large, with several errors, or made to hurt.

use serde_json::json;

use super::super::{Contract, MAX_CONTRACT_BYTES, MAX_FINDINGS};
use super::{base, refuse, set, with};

const LINE: &str = "/rules/attestations/idTokenHints/0/mapping/0";

#[test]
fn all_errors_come_at_once() {
    let mut contract = base();
    set(&mut contract, "/name", json!(""));
    set(&mut contract, "/rules/validityInterval", json!(1));
    set(&mut contract, &format!("{LINE}/outputClaim"), json!("id"));
    set(&mut contract, "/displays/0/locale", json!("?"));
    set(&mut contract, "/displays/0/card/textColor", json!("white"));
    let paths: Vec<String> = refuse(&contract).into_iter().map(|finding| finding.path).collect();
    assert_eq!(
        paths,
        [
            "$.name",
            "$.rules.attestations.idTokenHints[0].mapping[0].outputClaim",
            "$.rules.validityInterval",
            "$.displays[0].locale",
            "$.displays[0].card.textColor",
        ]
    );
}

#[test]
fn an_only_bad_type_does_not_hide_behind_another_error() {
    let mut contract = with("/name", json!(""));
    set(&mut contract, "/rules/vc/type", json!(["VerifiableCredential"]));
    set(&mut contract, "/rules/attestations", json!({}));
    let paths: Vec<String> = refuse(&contract).into_iter().map(|finding| finding.path).collect();
    assert_eq!(paths, ["$.name", "$.rules.attestations", "$.rules.vc.type"]);
}

#[test]
fn hostile_texts_get_short_answers() {
    let mut contract = base();
    for n in 0..1000 {
        set(&mut contract, &format!("/unknown{n}"), json!("x".repeat(100)));
    }
    let findings = refuse(&contract);
    assert_eq!(findings.len(), MAX_FINDINGS + 1);

    let findings = refuse(&with("/displays/0/locale", json!("x".repeat(500_000))));
    assert!(findings.iter().all(|finding| finding.to_string().len() < 500), "{findings:?}");

    let long_name = "k".repeat(300_000);
    let findings = Contract::parse(&format!("{{\"{long_name}\": [{}0]}}", "0,".repeat(300_000))).unwrap_err();
    assert!(findings.iter().all(|finding| finding.to_string().len() < 500));
}

#[test]
fn texts_that_are_not_contracts() {
    for (text, message) in [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("{} {}", "is not JSON"),
        ("{\"name\": }", "line 1 column 10"),
        ("[]", "is an array; expected an object"),
        ("null", "is null; expected an object"),
    ] {
        let findings = Contract::parse(text).unwrap_err();
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].path, "$");
        assert!(findings[0].message.contains(message), "{}", findings[0]);
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(Contract::parse(&deep).unwrap_err()[0].message.contains("is not JSON"));

    let large = format!("{}{}", base(), " ".repeat(MAX_CONTRACT_BYTES));
    let findings = Contract::parse(&large).unwrap_err();
    assert!(findings[0].message.contains("expected at most 1048576"), "{findings:?}");
}

#[test]
fn a_member_that_is_there_twice_is_refused() {
    let text = base().to_string();
    let twice = text.replacen("\"validityInterval\"", "\"validityInterval\":60,\"validityInterval\"", 1);
    let findings = Contract::parse(&twice).unwrap_err();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].path, "$.rules.validityInterval");
    assert!(findings[0].message.contains("is there twice"));

    let twice = text.replacen("\"label\"", "\"label\":\"x\",\"label\"", 1);
    assert_eq!(Contract::parse(&twice).unwrap_err()[0].path, "$.displays[0].claims[0].label");
}
