//! The suite that every back end passes, and what the vault's log says about how it went.

use std::collections::BTreeSet;

use signer::conformance::{self, Subject};

use super::*;

async fn conforms(protection: Protection) {
    let vault = Vault::with(SimConfig::quick(), |config| config.protection = protection);
    let subject = Subject {
        backend: &*vault.backend,
        admin: &*vault.backend,
        mint: &vault.signers.mint,
        clock: &*vault.clock,
        declared: &[],
    };
    let report = conformance::run(&subject).await;
    assert!(report.is_conformant(), "{report}");
    assert_eq!(report.passed.len(), 13, "{report}");
    assert!(report.skipped.is_empty(), "{report}");

    // One arrival for each permit, and nothing without a token: no probe, no repetition after a challenge.
    let signatures = vault.signatures();
    let names: BTreeSet<_> =
        signatures.iter().map(|arrival| arrival.token.clone().expect("a name")).collect();
    assert_eq!(names.len(), signatures.len());
    assert!(signatures.len() > 90, "{}", signatures.len());
    assert!(vault.sim.arrivals().iter().all(|arrival| arrival.status != 401));
}

#[tokio::test]
async fn the_key_vault_back_end_conforms_with_software_keys() {
    conforms(Protection::Software).await;
}

#[tokio::test]
async fn the_key_vault_back_end_conforms_with_hsm_keys() {
    conforms(Protection::Hsm).await;
}

#[tokio::test]
async fn an_attempt_is_found_in_the_vaults_log_by_its_name_and_by_its_receipt() {
    let vault = Vault::start(SimConfig::quick());
    let key = vault.key("issuer").await.key;
    let signed = vault.sign(&key).await.expect("a signature");
    let arrivals = vault.signatures();
    let [arrival] = arrivals.as_slice() else { panic!("{arrivals:?}") };
    assert_eq!(arrival.token.as_deref(), Some("0198c0de-0000-7000-8000-000000000001.1"));
    assert_eq!(signed.provider_request_id(), Some(arrival.request_id.as_str()));
    assert_eq!(arrival.key, Some(format!("issuer/{}", key.version)));
    let row = vault.sim.log().into_iter().find(|row| row["operationName"] == "KeySign").expect("a row");
    assert_eq!(row["correlationId"], arrival.request_id.as_str());
    let agent = row["properties"]["clientInfo"].as_str().expect("a text");
    assert!(agent.starts_with("credenza/") && agent.ends_with(".1)"), "{agent}");
}

#[tokio::test]
async fn a_list_has_the_keys_of_all_pages() {
    let vault = Vault::start(SimConfig::quick());
    let mut made = BTreeSet::new();
    for number in 0..30 {
        made.insert(vault.key(&format!("slot-{number}")).await.key.to_string());
    }
    // A process that has not seen the keys before.
    let config = config(&vault.sim);
    let fresh = KeyVaultBackend::open(&config, Arc::new(WallClock), vault.clock.clone()).expect("open");
    let listed = fresh.list_keys().await.expect("a list");
    let listed: BTreeSet<_> = listed.iter().map(|one| one.key.to_string()).collect();
    assert_eq!(listed, made);
}

#[tokio::test]
async fn two_who_fill_one_slot_get_one_key() {
    let vault = Vault::start(SimConfig::quick());
    let (one, two) = tokio::join!(vault.key("slot"), vault.key("slot"));
    let later = vault.key("slot").await;
    // Whatever came out of the race, from now on everybody gets the oldest version.
    assert!(later == one || later == two);
    assert_eq!(vault.key("slot").await, later);
}

#[tokio::test]
async fn connections_are_shared_by_many_signatures() {
    let vault = Vault::start(SimConfig::quick());
    let key = vault.key("issuer").await.key;
    for _ in 0..50 {
        vault.sign(&key).await.expect("a signature");
    }
    let connections = vault.sim.status()["connections"].as_u64().expect("a number");
    assert!(connections <= 2, "{connections} connections");
}
