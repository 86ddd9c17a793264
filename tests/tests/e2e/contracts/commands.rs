//! `credenza contract …` on data directories and files.

use std::os::unix::fs::PermissionsExt as _;

use credenza_tests::postgres;
use credenza_tests::process::{Credenza, Options};
use serde_json::{Value, json};

use super::installation::{contract_file, credenza, text};

fn contract(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(contract_file(name)).unwrap()).unwrap()
}

#[test]
fn validate_names_the_path_and_what_would_be_right() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("contract.json");
    let mut file = contract("student-card.json");
    let rules = file["rules"].as_object_mut().unwrap();
    let interval = rules.remove("validityInterval").unwrap();
    rules.insert("validty_interval".to_owned(), interval);
    std::fs::write(&path, file.to_string()).unwrap();
    let output = credenza(&["contract", "validate", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in ["$.rules.validty_interval", "did you mean \"validityInterval\"", "contract.json: not valid"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    let good = contract_file("student-card.json");
    let both = credenza(&["contract", "validate", &good, path.to_str().unwrap()]);
    assert_eq!(both.status.code(), Some(1), "one good file does not make up for a bad one");
    assert_eq!(credenza(&["contract", "validate", &good]).status.code(), Some(0));
}

#[tokio::test]
async fn apply_refuses_kinds_that_are_not_issued_and_names_each() {
    let process = Credenza::start(Options::default()).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("contract.json");
    let mut file = contract("event-guest.json");
    let mapping = json!([{"inputClaim": "level", "outputClaim": "level"}]);
    let access = json!([{"inputClaim": "givenName", "outputClaim": "given"}]);
    file["rules"]["attestations"] = json!({
        "presentations": [{"credentialType": "Badge"}],
        "accessTokens": [{"mapping": access}],
        "idTokens": [{
            "configuration": "https://login.example/.well-known/openid-configuration",
            "clientId": "wallet", "redirectUri": "vcclient://openid/", "mapping": mapping,
        }],
    });
    file["displays"][0]["claims"] = json!([]);
    std::fs::write(&path, file.to_string()).unwrap();
    let data_dir = process.data_dir().display().to_string();
    let output = credenza(&["contract", "apply", path.to_str().unwrap(), "--data-dir", &data_dir]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    for kind in ["idTokens", "presentations", "accessTokens"] {
        let named =
            format!("$.rules.attestations.{kind}: {kind} is understood, but credentials are not issued");
        assert!(text(&output).contains(&named), "{kind}: {}", text(&output));
    }
}

#[tokio::test]
async fn show_gives_the_version_that_is_asked_for() {
    let process = Credenza::start(Options::default()).await;
    let data_dir = process.data_dir().display().to_string();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("contract.json");
    let mut file = contract("student-card.json");
    let first = file["displays"][0]["card"]["title"].as_str().unwrap().to_owned();
    let name = file["name"].as_str().unwrap().to_owned();
    file["displays"][0]["card"]["title"] = json!("Second title");
    std::fs::write(&path, file.to_string()).unwrap();
    let applied = credenza(&["contract", "apply", path.to_str().unwrap(), "--data-dir", &data_dir]);
    assert!(applied.status.success(), "{}", text(&applied));
    let title = |version: &[&str]| -> Option<String> {
        let output = credenza(&[&["contract", "show", &name, "--data-dir", &data_dir], version].concat());
        let shown: Value = serde_json::from_slice(&output.stdout).ok()?;
        assert!(output.status.success());
        Some(shown["displays"][0]["card"]["title"].as_str().unwrap().to_owned())
    };
    assert_eq!(title(&["--contract-version", "1"]), Some(first));
    assert_eq!(title(&["--contract-version", "2"]).as_deref(), Some("Second title"));
    assert_eq!(title(&[]).as_deref(), Some("Second title"));
    assert_eq!(title(&["--contract-version", "3"]), None);
}

#[tokio::test]
async fn commands_find_the_database_of_a_data_directory() {
    let database = postgres::database();
    let mut process =
        Credenza::start(Options { database_url: Some(database.url.clone()), ..Options::default() }).await;
    let data_dir = process.data_dir().to_path_buf();
    let remembered = std::fs::metadata(data_dir.join("database")).unwrap();
    assert_eq!(remembered.permissions().mode() & 0o777, 0o600, "it may hold a password");
    let directory = data_dir.display().to_string();
    for _ in 0..2 {
        let output = credenza(&["contract", "list", "--data-dir", &directory]);
        assert!(output.status.success(), "{}", text(&output));
        assert_eq!(text(&output).lines().count(), 3, "{}", text(&output));
        let file = contract_file("event-guest.json");
        let output = credenza(&["contract", "apply", &file, "--data-dir", &directory]);
        assert!(text(&output).contains("unchanged, still version 1"), "{}", text(&output));
        assert!(!data_dir.join("credenza.db").exists(), "no second database is made");
        process.stop();
    }
}

#[test]
fn commands_make_no_database() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().display().to_string();
    let list = || credenza(&["contract", "list", "--data-dir", &data_dir]);
    let output = list();
    assert!(text(&output).contains("is no data directory of `credenza dev`"), "{}", text(&output));
    std::fs::write(directory.path().join("public-url"), "https://localhost:8443/").unwrap();
    let output = list();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("start `credenza dev` with this directory first"), "{}", text(&output));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing was made");
}
