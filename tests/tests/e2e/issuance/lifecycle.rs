//! Starts, restarts and ends: what a second start finds, what a missing key-encryption key means, how a stop behaves.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use credenza_tests::binaries;
use credenza_tests::callbacks::{Reply, Sink};
use credenza_tests::postgres::{self, Durability, Server};
use credenza_tests::process::{Credenza, Options};
use credenza_tests::wallet::Wallet;
use serde_json::json;
use tempfile::TempDir;

use super::fixture::{EMPLOYEE, SOON, Service};
use super::flow::{Flow, holder};

/// Options with a data directory that outlives the process, and fixed ports.
fn lasting() -> (TempDir, Options) {
    let directory = tempfile::tempdir().unwrap();
    let data_dir: PathBuf = directory.path().join("data");
    let ports = Some((credenza_tests::ports::free(), credenza_tests::ports::free()));
    (directory, Options { data_dir: Some(data_dir), ports, ..Options::default() })
}

async fn survives_a_restart(options: Options) {
    let mut credenza = Credenza::start(options).await;
    let service = Service::of(&credenza).await;
    let before = published(&service).await;
    let wallet = Wallet::new(service.ready.ca_file.as_deref());
    let done = service.created(&service.employee()).await;
    let report = wallet.accept(&done.link, &[]).await.expect_success().json();
    let holder = holder();
    let scanned = Flow::start(&service, &service.employee()).await;
    let issued = Flow::start(&service, &service.student()).await;
    let credential = issued.receive(&holder).await;
    let fresh = service.created(&service.employee()).await;
    assert!(credenza.stop().success(), "{}", credenza.log());

    let credenza = credenza.start_again().await;
    let service = Service::of(&credenza).await;
    assert_eq!(published(&service).await, before);
    let ca = service.ready.ca_file.as_ref().unwrap().display().to_string();
    let verdict = wallet.run(&["verify", report["file"].as_str().unwrap(), "--json", "--ca", &ca]).await;
    assert_eq!(verdict.expect_success().json()["valid"], true, "the old credential verifies");
    // What was begun goes on: a fresh request, a scanned one, an issued one.
    let fresh = Flow::scan(&service, fresh).await;
    fresh.receive(&holder).await;
    scanned.receive(&holder).await;
    assert_eq!(issued.receive(&holder).await, credential, "the same bytes");
    assert_eq!(issued.complete().await.status, 202);
    assert_eq!(service.trail(&issued.created.id).await.state, "completed");
    // An access token of the first start is still good: its key was kept.
    assert_eq!(scanned.service.create(&scanned.service.employee()).await.status, 201);
}

async fn published(service: &Service) -> Vec<String> {
    let mut found = vec![service.did().to_owned()];
    for path in ["/.well-known/did.json", "/.well-known/did-configuration.json"] {
        found.push(service.get(path).await.text());
    }
    found.push(service.get(&service.manifest(EMPLOYEE)).await.text());
    found
}

#[tokio::test]
async fn a_second_start_finds_everything_again() {
    let (_directory, options) = lasting();
    survives_a_restart(options).await;
}

#[tokio::test]
async fn on_postgres_too() {
    let database = postgres::database();
    let (_directory, mut options) = lasting();
    options.database_url = Some(database.url.clone());
    let data_dir = options.data_dir.clone().unwrap();
    survives_a_restart(options).await;
    assert!(!data_dir.join("credenza.db").exists(), "no SQLite file beside it");
    assert_eq!(database.sql("SELECT count(*) FROM request WHERE state = 'completed'"), "2");
    assert_eq!(
        database.sql(
            "SELECT count(*) FROM request_part p JOIN request r ON r.id = p.request WHERE r.state = 'completed'"
        ),
        "0"
    );
    assert_eq!(database.sql("SELECT count(*) FROM signing_key"), "1");
}

#[tokio::test]
async fn the_algorithm_of_the_first_start_stays() {
    let (_directory, mut options) = lasting();
    options.extra_args = vec!["--algorithm".to_owned(), "ES256K".to_owned()];
    let mut credenza = Credenza::start(options.clone()).await;
    let service = Service::of(&credenza).await;
    let flow = Flow::start(&service, &service.employee()).await;
    flow.receive(&holder()).await;
    let document = service.get("/.well-known/did.json").await;
    assert_eq!(document.json()["verificationMethod"][0]["publicKeyJwk"]["crv"], "secp256k1");
    credenza.stop();
    drop(credenza);
    let credenza = Credenza::start(Options { extra_args: Vec::new(), ..options }).await;
    let service = Service::of(&credenza).await;
    assert_eq!(service.get("/.well-known/did.json").await.body, document.body);
}

#[tokio::test]
async fn a_missing_key_encryption_key_refuses_the_start_and_makes_no_keys() {
    let (directory, options) = lasting();
    let mut credenza = Credenza::start(options.clone()).await;
    let service = Service::of(&credenza).await;
    let did_document = service.get("/.well-known/did.json").await.body;
    credenza.stop();
    drop(credenza);
    let data_dir = options.data_dir.clone().unwrap();
    let (keyring, aside) = (data_dir.join("keyring"), directory.path().join("aside"));
    std::fs::rename(&keyring, &aside).unwrap();
    let keys = "SELECT count(*) FROM signing_key";
    let counted = |service: &Service| {
        (
            service.count(keys),
            service.count("SELECT count(*) FROM software_key"),
            service.count("SELECT count(*) FROM local_secret"),
        )
    };
    let before = counted(&service);
    let failure = Credenza::try_start(options.clone()).await.expect_err("it must not start");
    assert!(failure.status.is_some_and(|status| !status.success()), "{failure:?}");
    assert!(failure.log.contains("missing") && failure.log.contains("backup"), "{}", failure.log);
    assert!(!keyring.exists(), "no new key-encryption key was made");
    assert_eq!(counted(&service), before);

    // Another key-encryption key is no better than none.
    let made = Command::new(binaries::target_bin("credenza")).arg("keyring").arg(&keyring).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let wrong = std::fs::read(&keyring).unwrap();
    let failure = Credenza::try_start(options.clone()).await.expect_err("it must not start");
    assert!(failure.status.is_some_and(|status| !status.success()), "{failure:?}");
    assert_eq!(std::fs::read(&keyring).unwrap(), wrong);
    assert_eq!(counted(&service), before);

    // A file that is none is named.
    std::fs::write(&keyring, "nonsense\n").unwrap();
    let failure = Credenza::try_start(options.clone()).await.expect_err("it must not start");
    assert!(failure.log.contains("keyring"), "{}", failure.log);
    assert_eq!(counted(&service), before);

    std::fs::rename(&aside, &keyring).unwrap();
    let credenza = Credenza::start(options).await;
    let service = Service::of(&credenza).await;
    assert_eq!(service.get("/.well-known/did.json").await.body, did_document);
    Flow::start(&service, &service.employee()).await.receive(&holder()).await;
}

#[tokio::test]
async fn a_data_directory_keeps_its_origin() {
    let (_directory, options) = lasting();
    let mut credenza = Credenza::start(options.clone()).await;
    credenza.stop();
    drop(credenza);
    let ports = Some((credenza_tests::ports::free(), credenza_tests::ports::free()));
    let failure = Credenza::try_start(Options { ports, ..options }).await.expect_err("it must not start");
    assert!(failure.log.contains("was started as https://localhost:"), "{}", failure.log);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_finishes_the_callback_in_flight() {
    let sink = Sink::start().await;
    let mut credenza = Credenza::start(Options::default()).await;
    let service = Service::of(&credenza).await;
    sink.reply_always(Reply::Late(Duration::from_secs(2)));
    let mut body = service.employee();
    body["callback"] = json!({"url": sink.url("/cb"), "state": "s"});
    let flow = Flow::start(&service, &body).await;
    sink.wait_for(1, SOON).await;
    let begun = Instant::now();
    let (credenza, status) = tokio::task::spawn_blocking(move || {
        let status = credenza.stop();
        (credenza, status)
    })
    .await
    .unwrap();
    assert!(status.success(), "{}", credenza.log());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let events = service.ledger(&flow.created.transaction, 5).await;
    let delivered = events.iter().filter(|event| event["event"] == "callback_delivered").count();
    assert_eq!(delivered, 1, "{events:#?}");
    assert_eq!(sink.received().len(), 1);
    assert_eq!(service.count("SELECT count(*) FROM outbox WHERE state = 'delivered'"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callbacks_wait_for_the_next_start() {
    let sink = Sink::start().await;
    sink.reply_next(Reply::Status(500));
    let (_directory, options) = lasting();
    let mut credenza = Credenza::start(options).await;
    let service = Service::of(&credenza).await;
    let mut body = service.employee();
    body["callback"] = json!({"url": sink.url("/cb"), "state": "s"});
    let flow = Flow::start(&service, &body).await;
    sink.wait_for(1, SOON).await;
    flow.receive(&holder()).await;
    flow.complete().await;
    credenza.kill();
    let credenza = credenza.start_again().await;
    // At least once: what was under way is claimed for a minute, and may then be told a second time.
    let until = Instant::now() + Duration::from_secs(80);
    let told = || -> Vec<String> {
        let calls = sink.received();
        calls.iter().map(|call| call.json()["requestStatus"].as_str().unwrap().to_owned()).collect()
    };
    while told().last().is_none_or(|status| status != "issuance_successful") {
        assert!(Instant::now() < until, "{:?}", told());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (last, before) = told().split_last().map(|(last, before)| (last.clone(), before.to_vec())).unwrap();
    assert_eq!(last, "issuance_successful");
    assert!(before.len() >= 2 && before.iter().all(|status| status == "request_retrieved"), "{before:?}");
    let trail = Service::of(&credenza).await.trail(&flow.created.id).await;
    assert_eq!(trail.state, "completed");
}

#[tokio::test]
async fn readiness_tells_when_the_database_is_gone_and_documents_stay() {
    let server = Server::start(Durability::Fast);
    let (_directory, mut options) = lasting();
    options.database_url = Some(server.database().url);
    let credenza = Credenza::start(options).await;
    let service = Service::of(&credenza).await;
    let document = service.get("/.well-known/did.json").await.body;
    assert_eq!(service.get("/readyz").await.status, 200);
    server.crash();
    let answer = service.get("/readyz").await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.json()["status"], "not ready");
    assert_eq!(answer.json()["reasons"], json!(["the database does not answer"]));
    assert_eq!(service.get("/livez").await.status, 200);
    assert_eq!(service.get("/.well-known/did.json").await.body, document);
    let refused = service.create(&service.employee()).await;
    assert!(matches!(refused.status, 500 | 503), "{}", refused.text());
    assert!(!refused.text().contains("postgres"), "nothing internal leaves: {}", refused.text());
    server.start_again();
    let until = Instant::now() + SOON;
    while service.get("/readyz").await.status != 200 {
        assert!(Instant::now() < until, "not ready again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Flow::start(&service, &service.employee()).await.receive(&holder()).await;
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let ports = Some((port, credenza_tests::ports::free()));
    let failure =
        Credenza::try_start(Options { ports, ..Options::default() }).await.expect_err("it must not start");
    assert!(failure.log.contains(&port.to_string()) && failure.log.contains("--http"), "{}", failure.log);
}
