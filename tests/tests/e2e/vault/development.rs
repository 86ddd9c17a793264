//! `credenza dev --vault`: from the first start to a credential in a wallet, and the second start.

use credenza_tests::process::{Credenza, Options};
use credenza_tests::wallet::Wallet;
use rusqlite::{Connection, OpenFlags};

use super::site::{Simulator, credenza, text};

fn options(simulator: &Simulator, more: &[&str]) -> Options {
    let (url, ca) = (simulator.sim.url(), simulator.ca_file());
    let mut extra_args: Vec<String> =
        ["--vault", &url, "--vault-ca", &ca, "--vault-token", "any"].map(str::to_owned).to_vec();
    extra_args.extend(more.iter().map(|argument| (*argument).to_owned()));
    Options { extra_args, ..Options::default() }
}

async fn issue(process: &Credenza) {
    let link = process.client().post(format!("{}/demo/link", process.base_http()));
    let link = link.send().await.expect("an answer").text().await.expect("a link");
    let wallet = Wallet::new(process.ready().ca_file.as_deref());
    drop(wallet.accept(link.trim(), &[]).await.expect_success());
}

fn count(process: &Credenza, statement: &str) -> i64 {
    let file = process.data_dir().join("credenza.db");
    let database = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    database.query_row(statement, [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_credential_is_signed_in_the_vault_and_a_second_start_finds_the_key() {
    let simulator = Simulator::start();
    let first = Credenza::start(options(&simulator, &[])).await;
    issue(&first).await;
    assert_eq!(simulator.calls("KeyCreate").len(), 1);
    let keys = simulator.signers();
    assert_eq!(keys.len(), 1, "{keys:?}");
    let (name, version) = keys[0].split_once('/').expect("a version");
    assert!(name.starts_with("vcSigningKey-") && name.ends_with("-1"), "{name}: a generation");
    assert_eq!(count(&first, "SELECT count(*) FROM software_key"), 0);
    let document = first.get("/.well-known/did.json").await.text();
    assert!(document.contains(version), "{document}");
    // Every signature in the vault's log is on record here, with the vault's own number of its answer.
    let signed = simulator.calls("KeySign");
    assert!(signed.iter().all(|call| call.counted && call.token.is_some()));
    for call in &signed {
        let outcomes = format!("SELECT count(*) FROM event WHERE body LIKE '%{}%'", call.request_id);
        assert_eq!(count(&first, &outcomes), 1, "{call:?}");
    }
    let mut first = first;
    assert!(first.stop().success());
    let before = signed.len();

    let second = first.start_again().await;
    assert_eq!(simulator.calls("KeyCreate").len(), 1, "the key was found");
    assert_eq!(simulator.calls("KeySign").len(), before, "nothing was signed again");
    issue(&second).await;
    assert_eq!(simulator.signers(), keys);
    assert_eq!(simulator.calls("KeySign").len(), before + 2, "two signatures for an issuance");
}

#[tokio::test]
async fn the_data_directory_remembers_the_vault() {
    let simulator = Simulator::start();
    let mut process = Credenza::start(options(&simulator, &["--vault-kty", "software"])).await;
    let data_dir = process.data_dir().display().to_string();
    let contract = format!("{}/../config/contracts/event-guest.json", env!("CARGO_MANIFEST_DIR"));
    let changed = std::fs::read_to_string(&contract).unwrap().replace("\"title\": \"", "\"title\": \"New ");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("contract.json").display().to_string();
    std::fs::write(&path, changed).unwrap();
    let before = simulator.calls("KeySign").len();
    let applied = credenza(&["contract", "apply", &path, "--data-dir", &data_dir]);
    assert!(applied.status.success(), "{}", text(&applied));
    assert!(simulator.calls("KeySign").len() > before, "another command signs in the vault too");
    assert!(process.stop().success());
}

#[tokio::test]
async fn all_algorithms_of_wallets_work_in_a_vault() {
    let simulator = Simulator::start();
    let process = Credenza::start(options(&simulator, &["--algorithm", "ES256K"])).await;
    issue(&process).await;
    let document = process.get("/.well-known/did.json").await.text();
    assert!(document.contains("secp256k1"), "{document}");
}
