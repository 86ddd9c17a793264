//! What `doctor` asks: permissions without using them, the challenge, the vault's clock.

use signer::Denial;
use signer::key_vault::probe::{Operation, Permission};
use vault_sim::{FaultKind, FaultSpec, Role};

use super::*;

async fn permitted(vault: &Vault, key: &KeyRef) -> Vec<&'static str> {
    let mut permitted = Vec::new();
    for operation in Operation::ALL {
        match vault.backend.permission(operation, key).await {
            Permission::Permitted => permitted.push(operation.name()),
            Permission::Denied(by) => assert_eq!(by, Denial::Role, "{operation:?}"),
            Permission::Unknown(error) => panic!("{operation:?}: {error:?}"),
        }
    }
    permitted
}

#[tokio::test]
async fn permissions_are_found_out_without_using_them() {
    let vault = Vault::start(SimConfig::quick());
    let key = vault.key("issuer").await.key;
    let sets: [&[&str]; 4] = [
        &["get", "list", "sign", "create", "update", "backup"],
        &["get", "sign"],
        &["get", "list"],
        &["create", "update"],
    ];
    for allowed in sets {
        let allow = allowed.iter().map(|name| (*name).to_owned()).collect();
        vault.sim.set_role(Role { token: "signer".to_owned(), allow, keys: None });
        assert_eq!(permitted(&vault, &key).await, allowed);
    }
    // No question made, changed, signed or copied anything.
    for arrival in vault.sim.arrivals() {
        let changes = ["KeySign", "KeyUpdate", "KeyBackup"].contains(&arrival.op);
        assert!(!changes || arrival.status != 200, "{arrival:?}");
    }
    let made = vault.sim.arrivals().into_iter().filter(|arrival| arrival.op == "KeyCreate");
    assert_eq!(made.filter(|arrival| arrival.status == 200).count(), 1, "the test's own key");
    assert!(vault.backend.describe(&key).await.is_err(), "the last role may not read");
}

#[tokio::test]
async fn a_role_on_one_key_is_seen_there() {
    let vault = Vault::start(SimConfig::quick());
    let key = vault.key("issuer").await.key;
    let role = Role {
        token: "signer".to_owned(),
        allow: vec!["get".to_owned(), "sign".to_owned()],
        keys: Some(vec!["issuer".to_owned()]),
    };
    vault.sim.set_role(role);
    assert_eq!(permitted(&vault, &key).await, ["get", "sign"]);
}

#[tokio::test]
async fn the_challenge_and_the_vaults_clock_are_read() {
    let vault = Vault::start(SimConfig::quick());
    let key = vault.key("issuer").await.key;
    let challenge = vault.backend.challenge().await.expect("an answer");
    assert_eq!(challenge.status, 401);
    assert_eq!(challenge.resource.as_deref(), Some("https://vault.azure.net"));
    assert_eq!(challenge.configured_resource, "https://vault.azure.net");
    let offset = |at: Option<Timestamp>| at.expect("a date").seconds() - WallClock.now().seconds();
    assert!(offset(challenge.vault_time).abs() <= 2);
    vault.sim.set_fault(FaultSpec::new(FaultKind::ClockSkew(-90_000)));
    let read = vault.backend.describe(&key).await.expect("an answer");
    assert!((-92..=-88).contains(&offset(read.receipt.server_time)), "{read:?}");
}

#[tokio::test]
async fn a_key_is_described() {
    let vault = Vault::start(SimConfig::quick());
    let key = vault.key("issuer").await;
    let seen = vault.backend.describe(&key.key).await.expect("a description");
    assert_eq!((seen.key.clone(), seen.public), (key.key.clone(), key.public));
    assert_eq!(seen.protection, Protection::Software);
    assert!(seen.enabled && seen.signs_at(WallClock.now()));
    assert!(seen.receipt.answered());
    vault.backend.disable(&key.key).await.expect("disabled");
    let seen = vault.backend.describe(&key.key).await.expect("a description");
    assert!(!seen.enabled && !seen.signs_at(WallClock.now()));
}
