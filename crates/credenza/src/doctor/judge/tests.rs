//! Every meaning of an answer, one by one.

use super::*;
use crate::doctor::report::Status;

/// The checks that one judgement adds, as JSON.
fn checks(judge: impl FnOnce(&mut Report)) -> Vec<serde_json::Value> {
    let mut report = Report::default();
    judge(&mut report);
    let all: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
    all["checks"].as_array().unwrap().clone()
}

/// The only check: its status, what was found, the cure.
fn only(judge: impl FnOnce(&mut Report)) -> (String, String, String) {
    let all = checks(judge);
    assert_eq!(all.len(), 1, "{all:?}");
    let text = |member: &str| all[0][member].as_str().unwrap_or_default().to_owned();
    (text("status"), text("found"), text("cure"))
}

#[test]
fn clocks_may_differ_by_what_a_reading_is_inexact() {
    for (offset, inexact, status) in [
        (0, 0, "ok"),
        (2_000, 0, "ok"),
        (2_001, 0, "warn"),
        (-2_900, 1_000, "ok"),
        (-3_001, 1_000, "warn"),
        (60_000, 0, "warn"),
        (60_001, 0, "fail"),
        (-61_001, 1_000, "fail"),
        (i64::MIN, 0, "fail"),
    ] {
        let (found, text, _) = only(|report| clock(report, "vault", "the vault's clock", offset, inexact));
        assert_eq!(found, status, "{offset} +-{inexact}: {text}");
    }
    let (_, text, cure) = only(|report| clock(report, "vault", "the vault's clock", -75_250, 500));
    assert!(text.contains("75.250 s behind ours (+-0.500 s)") && cure.contains("chrony"), "{text}");
}

const VAULT: &str = "https://vault.azure.net";

fn a_challenge(resource: &str) -> Challenge {
    Challenge {
        status: 401,
        resource: Some(resource.into()),
        authorization: Some("https://login.microsoftonline.com/7c1e0d93-2f4b-4a68-b5d7-90ce3a1f8b46".into()),
        configured_resource: VAULT.into(),
        vault_time: None,
        latency: std::time::Duration::ZERO,
    }
}

fn challenged(resource: &str, tenant: Option<&str>, verify: bool) -> (String, String, String) {
    let asked = a_challenge(resource);
    only(|report| challenge(report, "vault", "contoso.vault.azure.net", &asked, tenant, verify))
}

#[test]
fn a_challenge_has_to_fit_the_host_and_our_tenant() {
    let ours = "7C1E0D93-2f4b-4a68-b5d7-90ce3a1f8b46";
    assert_eq!(challenged(VAULT, Some(ours), true).0, "ok");
    assert_eq!(challenged(VAULT, None, true).0, "ok");
    for resource in ["https://vault.azure.cn", "nonsense", "https://evil.example"] {
        let (status, found, cure) = challenged(resource, None, true);
        assert_eq!(status, "fail");
        assert!(found.contains(resource) && cure.contains("no vault"), "{found}");
        assert_eq!(challenged(resource, None, false).0, "ok", "a simulator on this machine");
    }
    let (status, found, cure) = challenged(VAULT, Some("other"), true);
    assert_eq!(status, "fail");
    assert!(found.contains("our identity is of other") && cure.contains("tenant_id"), "{found}");
    assert_eq!(challenged("https://vault.azure.net/", None, true).0, "warn");
}

#[test]
fn an_answer_without_a_challenge_is_no_vaults() {
    for (status, expected) in [(200, "no vault"), (502, "a proxy in between"), (403, "firewall")] {
        let asked = Challenge { status, resource: None, ..a_challenge("") };
        let (word, _, cure) = only(|report| challenge(report, "vault", "h", &asked, None, true));
        assert_eq!(word, "fail");
        assert!(cure.contains(expected), "{status}: {cure}");
    }
}

const NOW: i64 = 1_800_000_000;

fn facts() -> KeyFacts {
    KeyFacts {
        enabled: true,
        not_before: Some(NOW - 3_600),
        expires: Some(NOW + 365 * 86_400),
        operations: vec!["sign".into(), "verify".into()],
        kty: "EC-HSM".into(),
        curve: Some("P-256".into()),
    }
}

fn state(key: &KeyFacts) -> Vec<serde_json::Value> {
    checks(|report| key_state(report, "key", key, SignatureAlgorithm::Es256, Protection::Hsm, NOW))
}

#[test]
fn a_key_that_can_sign_has_one_good_line() {
    let lines = state(&facts());
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["status"], "ok", "{lines:?}");
    let endless = KeyFacts { not_before: None, expires: None, ..facts() };
    assert!(state(&endless)[0]["found"].as_str().unwrap().ends_with("no end"));
}

#[test]
fn each_reason_why_a_key_cannot_sign_is_named() {
    for (key, status, expected) in [
        (KeyFacts { enabled: false, ..facts() }, "fail", "disabled"),
        (KeyFacts { not_before: Some(NOW + 3_600), ..facts() }, "fail", "not valid before"),
        (KeyFacts { not_before: Some(NOW + 200), ..facts() }, "fail", "in a moment"),
        (KeyFacts { not_before: Some(NOW - 200), ..facts() }, "fail", "in a moment"),
        (KeyFacts { expires: Some(NOW - 1), ..facts() }, "fail", "has ended"),
        (KeyFacts { expires: Some(NOW + 200), ..facts() }, "fail", "ends or has ended"),
        (KeyFacts { operations: vec!["verify".into()], ..facts() }, "fail", "not for sign"),
        (KeyFacts { curve: Some("P-256K".into()), ..facts() }, "fail", "curve is P-256K"),
        (KeyFacts { curve: None, ..facts() }, "fail", "unknown"),
    ] {
        let lines = state(&key);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0]["status"], status);
        assert!(lines[0]["found"].as_str().unwrap().contains(expected), "{lines:?}");
        assert!(!lines[0]["cure"].as_str().unwrap().is_empty());
    }
    for (key, expected) in [
        (KeyFacts { expires: Some(NOW + 86_400), ..facts() }, "validity ends at"),
        (KeyFacts { kty: "EC".into(), ..facts() }, "software-protected"),
    ] {
        let lines = state(&key);
        assert_eq!(lines[0]["status"], "warn", "{lines:?}");
        assert!(lines[0]["found"].as_str().unwrap().contains(expected), "{lines:?}");
        assert_eq!(lines[1]["status"], "ok", "it signs all the same");
    }
    let lines = checks(|report| {
        key_state(report, "key", &facts(), SignatureAlgorithm::Es256, Protection::Software, NOW);
    });
    assert!(lines[0]["cure"].as_str().unwrap().contains("kty = \"hsm\""), "{lines:?}");
}

#[test]
fn a_missing_permission_names_the_role_and_the_data_action() {
    for (operation, action, role) in [
        (Operation::Get, "vaults/keys/read", "signer-role.json"),
        (Operation::Sign, "vaults/keys/sign/action", "signer-role.json"),
        (Operation::Create, "vaults/keys/create/action", "Key Vault Crypto Officer"),
    ] {
        for by in [Denial::Role, Denial::Unknown] {
            let (status, found, cure) = only(|report| missing(report, "key", operation, "the signer", by));
            assert_eq!(status, "fail");
            assert!(found.contains(&format!("the signer may not {}", operation.name())), "{found}");
            assert!(cure.contains(action) && cure.contains(role), "{cure}");
        }
    }
    let (_, _, cure) = only(|report| missing(report, "key", Operation::Sign, "the signer", Denial::Policy));
    assert!(cure.contains("key permission `sign`"), "{cure}");
}

#[test]
fn the_role_that_is_shipped_is_the_one_that_is_named() {
    let text = include_str!("../../../../../infra/azure/signer-role.json");
    let role: serde_json::Value = serde_json::from_str(text).unwrap();
    let actions = [Operation::Get, Operation::Sign].map(|operation| operation.data_action().to_owned());
    assert_eq!(role["DataActions"], serde_json::json!(actions));
    for empty in ["Actions", "NotActions", "NotDataActions"] {
        assert_eq!(role[empty], serde_json::json!([]));
    }
}

#[test]
fn an_identity_that_could_do_more_fails_and_a_developers_own_is_warned_of() {
    let more = [Operation::Update, Operation::Backup];
    let (status, found, cure) = only(|report| excess(report, "vault", "the signer", &more, false));
    assert_eq!((status.as_str(), found.as_str()), ("fail", "the signer could also update, backup keys"));
    assert!(cure.contains("Crypto User"), "{cure}");
    assert_eq!(only(|report| excess(report, "vault", "you", &more, true)).0, "warn");
    assert_eq!(only(|report| excess(report, "vault", "the signer", &[], false)).0, "ok");
    let mut report = Report::default();
    excess(&mut report, "vault", "the signer", &[Operation::Create], false);
    assert_eq!(report.count(Status::Fail), 1);
}
