//! A version that was stored and not signed, as a crash of `contract apply` leaves it: the running service finishes it,
//! and wallets get the version before it until then.

use std::time::{Duration, Instant};

use credenza_tests::process::{Credenza, Options};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::installation::contract_file;
use crate::issuance::fixture::{EMPLOYEE, SOON, Service, send};
use crate::issuance::flow::Flow;

fn store_version(service: &Service, version: i64, title: &str) {
    let text = std::fs::read_to_string(contract_file("verified-employee.json")).unwrap();
    let mut file: Value = serde_json::from_str(&text).unwrap();
    for display in file["displays"].as_array_mut().unwrap() {
        display["card"]["title"] = json!(title);
    }
    let database = Connection::open(service.data_dir.join("credenza.db")).unwrap();
    database.busy_timeout(Duration::from_secs(5)).unwrap();
    database
        .execute(
            "INSERT INTO contract_version SELECT tenant, contract, ?1, ?2, applied_at FROM contract_version \
             WHERE contract = ?3 AND version = 1",
            (version, file.to_string(), EMPLOYEE),
        )
        .unwrap();
}

async fn title(service: &Service, language: &str) -> String {
    let call = service.client.get(service.manifest(EMPLOYEE)).header("Accept-Language", language);
    let answer = send(call).await;
    assert_eq!(answer.status, 200, "{language}: {}", answer.text());
    let contract = Flow::payload(answer.json()["token"].as_str().unwrap());
    contract["display"]["card"]["title"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_stored_version_is_signed_and_served_without_a_gap() {
    let process = Credenza::start(Options::default()).await;
    let service = Service::of(&process).await;
    let before = [title(&service, "en").await, title(&service, "de").await];
    store_version(&service, 2, "Stored");
    let until = Instant::now() + SOON + SOON;
    loop {
        // Never 404 or 503, whatever the moment.
        let now = [title(&service, "en").await, title(&service, "de").await];
        service.created(&service.employee()).await;
        assert_eq!(service.get("/readyz").await.status, 200);
        if now == ["Stored", "Stored"] {
            break;
        }
        assert!(now.iter().zip(&before).all(|(now, old)| now == old || now == "Stored"), "{now:?}");
        assert!(Instant::now() < until, "still {now:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let current = "SELECT current_version FROM contract WHERE id = '4c1f7a52-6f0e-4b8e-9a3d-2f5d0f6b7c01'";
    assert_eq!(service.count(current), 2);
    let events = "SELECT count(*) FROM event WHERE kind = 'admin_change' AND body LIKE '%\"version\":2%'";
    assert_eq!(service.count(events), 1);
}

#[tokio::test]
async fn a_stored_version_is_finished_by_the_next_start() {
    let mut process = Credenza::start(Options::default()).await;
    let service = Service::of(&process).await;
    assert!(process.stop().success());
    store_version(&service, 2, "Stored");
    let process = process.start_again().await;
    let service = Service::of(&process).await;
    // `dev` applies its own files at each start: they are the last word.
    assert_ne!(title(&service, "en").await, "Stored");
    assert_eq!(service.count("SELECT max(current_version) FROM contract"), 3);
    for version in [2, 3] {
        let signed = format!("SELECT count(DISTINCT locale) FROM signed_contract WHERE version = {version}");
        assert_eq!(service.count(&signed), 2, "{version}");
    }
}
