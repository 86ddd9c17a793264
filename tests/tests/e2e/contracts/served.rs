//! `credenza serve`: what its start refuses, and where its keys may come from.

use std::time::Duration;

use credenza_tests::process::client_trusting;

use super::installation::{Installation, contract_file, credenza, hash, text};

const STOP: Duration = Duration::from_secs(20);

#[test]
fn another_public_url_makes_no_second_authority() {
    let mut site = Installation::new();
    let (mut running, ready) = site.serve();
    assert_eq!(ready.authority_did.as_deref(), Some("did:web:issuer.example"));
    assert!(running.terminate(STOP).success());
    site.public_url = "https://moved.example".to_owned();
    let refusal = site.refused();
    assert_eq!(refusal.code, Some(1));
    for part in ["did:web:issuer.example", "did:web:moved.example", "a database of its own"] {
        assert!(refusal.log.contains(part), "{part}: {}", refusal.log);
    }
    let (config, _) = site.config();
    let output = credenza(&["contract", "apply", &contract_file("student-card.json"), "--config", &config]);
    assert!(text(&output).contains("did:web:issuer.example"), "{}", text(&output));
    assert_eq!(site.count("SELECT count(*) FROM authority"), 1);
    assert_eq!(site.count("SELECT count(*) FROM signing_key"), 1);
    site.public_url = "https://issuer.example".to_owned();
    let (mut running, ready) = site.serve();
    assert_eq!(ready.authority_did.as_deref(), Some("did:web:issuer.example"));
    assert!(running.terminate(STOP).success());
}

#[tokio::test]
async fn readiness_is_about_the_authority_of_our_own_origin() {
    let site = Installation::new();
    let (mut running, _) = site.serve();
    assert!(running.terminate(STOP).success());
    // As an earlier release could leave it: an older authority, never set up, besides ours.
    let database = rusqlite::Connection::open(site.path("credenza.db")).unwrap();
    let insert = "INSERT INTO authority SELECT tenant, 'bacf5333-d68c-41c5-952b-8c9039fbd88d', 'Old', \
                  'did:web:old.example', 'https://old.example/', 0 FROM authority";
    assert_eq!(database.execute(insert, []).unwrap(), 1);
    drop(database);
    let (mut running, ready) = site.serve();
    assert_eq!(ready.authority_did.as_deref(), Some("did:web:issuer.example"));
    let answer = client_trusting(None).get(format!("{}/readyz", ready.http.unwrap())).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    assert!(running.terminate(STOP).success());
}

#[test]
fn keys_may_come_from_the_environment() {
    let mut site = Installation::new();
    let (mut running, _) = site.serve();
    assert!(running.terminate(STOP).success());
    let keyring = std::fs::read_to_string(site.path("keyring")).unwrap();
    std::fs::remove_file(site.path("keyring")).unwrap();
    site.env = vec![("CREDENZA_KEYRING", keyring.clone())];
    for section in [String::new(), site.keyring.clone()] {
        site.keyring = section;
        let (mut running, _) = site.serve();
        assert!(running.terminate(STOP).success());
        assert!(!running.log().contains(keyring.lines().last().unwrap()), "keys are not logged");
    }
    site.env = vec![("CREDENZA_KEYRING", "k-1 nonsense".to_owned())];
    let refusal = site.refused();
    assert!(refusal.log.contains("the environment variable CREDENZA_KEYRING"), "{}", refusal.log);
    assert!(!refusal.log.contains("nonsense"), "{}", refusal.log);
    site.env.clear();
    site.keyring.clear();
    let refusal = site.refused();
    assert!(refusal.log.contains("keyring.file is missing"), "{}", refusal.log);
}

#[test]
fn a_secret_that_everybody_tries_is_refused_and_others_are_tried_once() {
    let mut site = Installation::new();
    let good = site.secret_hash.clone();
    site.secret_hash = hash("change-me-change-me");
    let refusal = site.refused();
    assert_eq!(refusal.code, Some(1));
    assert!(refusal.log.contains("which everybody tries first"), "{}", refusal.log);
    site.secret_hash = good;
    for _ in 0..2 {
        let (mut running, _) = site.serve();
        assert!(running.terminate(STOP).success());
        assert_eq!(site.count("SELECT count(*) FROM setting WHERE name LIKE 'secret-checked:%'"), 1);
    }
}
