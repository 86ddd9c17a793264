//! Kills while a server starts for the first time: keys, schema, contracts, certificates are half there.

use std::process::Command;
use std::time::Duration;

use credenza_tests::database::Database;
use credenza_tests::process::{Credenza, Options};
use credenza_tests::running::Running;
use credenza_tests::wallet::Wallet;
use credenza_tests::{binaries, ports};
use serde_json::json;

use crate::books::Books;
use crate::storm::{between, rounds};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_that_was_cut_short_can_be_repeated() {
    for _ in 0..rounds(8) {
        let scratch = tempfile::tempdir().expect("a temporary directory can be made");
        let data_dir = scratch.path().join("data");
        let ports = (ports::free(), ports::free());
        let mut moments = Vec::new();
        for _ in 0..between(1, 3) {
            let moment = between(0, 600);
            moments.push(moment);
            let mut command = Command::new(binaries::target_bin("credenza"));
            command.arg("dev").arg("--data-dir").arg(&data_dir);
            command.arg("--http").arg(format!("127.0.0.1:{}", ports.0));
            command.arg("--https").arg(format!("127.0.0.1:{}", ports.1));
            let mut running = Running::spawn(command, &scratch.path().join("log"));
            tokio::time::sleep(Duration::from_millis(moment)).await;
            running.kill();
        }
        let options = Options { data_dir: Some(data_dir.clone()), ports: Some(ports), ..Options::default() };
        let mut credenza = Credenza::try_start(options).await.unwrap_or_else(|failure| {
            panic!("killed after {moments:?} ms, it does not start: {}", failure.log)
        });
        issue_one(&credenza).await;
        // What died with an attempt is given up 10 s after its deadline; here it only must not be signed twice.
        assert!(credenza.stop().success());
        let books = Books::read(&Database::Sqlite(data_dir.join("credenza.db")));
        let wrong: Vec<String> = books
            .faults()
            .into_iter()
            .filter(|fault| !fault.contains("(open) has 1 intents and 0 outcomes"))
            .collect();
        assert!(wrong.is_empty(), "killed after {moments:?} ms: {wrong:#?}");
    }
}

/// One issuance with the real wallet.
pub async fn issue_one(credenza: &Credenza) {
    let ready = credenza.ready();
    let body = json!({
        "authority": ready.authority_did,
        "registration": {"clientName": "Crash test"},
        "type": "any",
        "manifest": ready.manifest_url,
        "claims": {"given_name": "Ada", "family_name": "Lovelace", "programme": "Mathematics", "student_number": "1815"},
    });
    let created = credenza.create(&body).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let link = created.json()["url"].as_str().expect("a link").to_owned();
    let report = Wallet::new(ready.ca_file.as_deref()).accept(&link, &[]).await.expect_success().json();
    assert_eq!(report["linked_domain_verified"], true, "{report}");
}
