//! An orderly end: a signing step ends well even when its wallet is gone, and a stuck database holds nobody for ever.

use std::time::{Duration, Instant};

use credenza_tests::postgres::{self, TestDatabase};
use credenza_tests::process::{Credenza, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::issuance::fixture::{SOON, Service};

/// Keeps everybody from changing `table` for so many seconds. Returns when it does.
async fn lock(database: &TestDatabase, table: &str, seconds: u32) -> std::thread::JoinHandle<()> {
    let locking = std::thread::spawn({
        let (database, table) = (database.clone(), table.to_owned());
        // The whole text is one transaction.
        move || {
            database.sql(&format!("LOCK TABLE {table} IN EXCLUSIVE MODE; SELECT pg_sleep({seconds})"));
        }
    });
    let held = format!(
        "SELECT count(*) FROM pg_locks WHERE mode = 'ExclusiveLock' AND granted AND relation = '{table}'::regclass"
    );
    let until = Instant::now() + SOON;
    while database.sql(&held) == "0" {
        assert!(Instant::now() < until, "no lock");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    locking
}

/// Asks for a resource and goes away without a goodbye while the answer is being made: the connection is reset.
async fn hang_up(service: &Service, path: &str) {
    let address = service.http().strip_prefix("http://").expect("plain HTTP");
    let mut wallet = TcpStream::connect(address).await.unwrap();
    wallet.set_zero_linger().unwrap();
    wallet.write_all(format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes()).await.unwrap();
    let answered = tokio::time::timeout(Duration::from_millis(300), wallet.read_u8()).await;
    assert!(answered.is_err(), "transaction 1 waits for the lock");
}

async fn on_postgres() -> (TestDatabase, Credenza, Service) {
    let database = postgres::database();
    let options = Options { database_url: Some(database.url.clone()), ..Options::default() };
    let credenza = Credenza::start(options).await;
    let service = Service::of(&credenza).await;
    (database, credenza, service)
}

#[tokio::test]
async fn a_signing_step_ends_well_although_its_wallet_is_gone_and_the_process_stops() {
    let (database, mut credenza, service) = on_postgres().await;
    let created = service.created(&service.employee()).await;
    let object = created.link.strip_prefix("openid-vc://?request_uri=").expect("a link").to_owned();
    let lock = lock(&database, "intent", 3).await;
    hang_up(&service, url::Url::parse(&object).unwrap().path()).await;
    assert!(credenza.stop().success(), "{}", credenza.log());
    lock.join().unwrap();
    assert_eq!(database.sql(&format!("SELECT state FROM request WHERE id = '{}'", created.id)), "retrieved");
    assert_eq!(database.sql("SELECT count(*) FROM attempt WHERE state = 'open'"), "0");
}

#[tokio::test]
async fn a_database_that_is_stuck_does_not_hold_up_the_end() {
    let (database, mut credenza, service) = on_postgres().await;
    let body = service.employee();
    let lock = lock(&database, "event", 30).await;
    let begun = Instant::now();
    let hasty = service.client.post(service.http().to_owned() + crate::issuance::fixture::CREATE);
    let hasty = hasty.bearer_auth(&service.token).json(&body).timeout(Duration::from_millis(300));
    assert!(hasty.send().await.is_err(), "its commit waits");
    assert!(credenza.stop().success(), "{}", credenza.log());
    assert!(begun.elapsed() < Duration::from_secs(17), "{:?}", begun.elapsed());
    lock.join().unwrap();
}
