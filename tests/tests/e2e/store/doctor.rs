//! What the store tells `doctor`: schema, durability, long transactions, the database's clock.

use std::time::{Duration, Instant};

use domain::{Clock as _, Timestamp};
use store::doctor::{Durability, Schema};
use store::{DatabaseUrl, Store};

use super::fixture::Fixture;
use super::on_both;

on_both!(a_database_of_ours_is_current, a_newer_and_an_older_schema_are_told);

async fn a_database_of_ours_is_current(f: Fixture) {
    assert_eq!(f.store.schema().await.unwrap(), Schema::Current);
    match f.store.durability(Duration::from_secs(60)).await.unwrap() {
        Durability::Sqlite { journal_mode, synchronous } => {
            assert_eq!((journal_mode.as_str(), synchronous), ("wal", 2));
            let time = f.store.database_time(&*f.clock).await.unwrap();
            assert_eq!(time.time, f.clock.now());
        }
        Durability::Postgres(server) => {
            assert_eq!(server.synchronous_commit, "on");
            assert!(!server.in_recovery && !server.fsync && server.replicas.is_empty());
            assert_eq!(server.hidden_sessions, 0);
            let time = f.store.database_time(&*f.clock).await.unwrap();
            // The server has a clock of its own, whatever the suite's says.
            assert!(time.time > Timestamp::from_millis(1_700_000_000_000) && time.time != f.clock.now());
            assert!(time.took < Duration::from_secs(5));
        }
    }
}

async fn a_newer_and_an_older_schema_are_told(f: Fixture) {
    f.sql("INSERT INTO schema_migration (version, checksum) VALUES (99, 'of the future')");
    assert!(matches!(f.store.schema().await.unwrap(), Schema::Newer { found: 99, .. }));
    f.sql("DELETE FROM schema_migration WHERE version > 1");
    assert!(matches!(f.store.schema().await.unwrap(), Schema::Behind { found: 1, .. }));
}

struct StandsStill;

impl domain::Clock for StandsStill {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }
}

#[tokio::test]
async fn looking_leaves_a_database_without_tables() {
    let database = credenza_tests::postgres::database();
    let url = DatabaseUrl::Postgres(database.url.clone());
    let store = Store::open_as_is(&url, std::sync::Arc::new(StandsStill)).await.unwrap();
    assert_eq!(store.schema().await.unwrap(), Schema::Absent);
    assert_eq!(database.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_stays_open_is_found_with_its_owner() {
    let database = credenza_tests::postgres::database();
    let url = DatabaseUrl::Postgres(database.url.clone());
    let store = Store::open_as_is(&url, std::sync::Arc::new(StandsStill)).await.unwrap();
    let sleeping = database.clone();
    let sleeper = std::thread::spawn(move || sleeping.sql("SELECT pg_sleep(4)"));
    let until = Instant::now() + Duration::from_secs(4);
    let found = loop {
        let Durability::Postgres(server) = store.durability(Duration::from_secs(1)).await.unwrap() else {
            panic!("it is a server")
        };
        if let Some(old) = server.old_transactions.first() {
            break old.clone();
        }
        assert!(Instant::now() < until, "a transaction of two seconds is not seen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(found.who.contains("credenza") && found.who.contains("active"), "{found:?}");
    assert!(found.open_for >= Duration::from_secs(1), "{found:?}");
    sleeper.join().unwrap();
    let Durability::Postgres(server) = store.durability(Duration::from_secs(1)).await.unwrap() else {
        panic!("it is a server")
    };
    assert_eq!(server.old_transactions, []);
}
