//! Opening a database: which addresses, which schemas, and several processes at once.

use std::sync::Arc;

use store::{DatabaseUrl, Store, StoreError};

use super::fixture::{Empty, Fixture};
use super::on_both;

on_both!(
    what_was_written_is_there_after_opening_again,
    a_newer_schema_is_refused,
    a_changed_migration_is_refused,
    a_migration_runs_once,
    it_answers,
);

async fn what_was_written_is_there_after_opening_again(f: Fixture) {
    let ids = f.created().await;
    let again = f.open_again().await.expect("it opens again");
    let request = again.request(super::rows::tenant(), ids.request).await.unwrap();
    assert_eq!(request.unwrap().payload.as_deref(), Some("sealed claims"));
}

async fn a_newer_schema_is_refused(f: Fixture) {
    f.sql("INSERT INTO schema_migration (version, checksum) VALUES (99, 'of the future')");
    let refused = f.open_again().await.err();
    assert!(matches!(refused, Some(StoreError::SchemaTooNew { found: 99, known: 3 })), "{refused:?}");
}

async fn a_changed_migration_is_refused(f: Fixture) {
    f.sql("UPDATE schema_migration SET checksum = 'edited' WHERE version = 1");
    let refused = f.open_again().await.err();
    assert!(matches!(refused, Some(StoreError::MigrationChanged(1))), "{refused:?}");
}

async fn a_migration_runs_once(f: Fixture) {
    drop(f.open_again().await.expect("it opens again"));
    let ran = f.sql("SELECT version, length(checksum) FROM schema_migration ORDER BY version");
    assert_eq!(ran, "1|16\n2|16\n3|16");
}

async fn it_answers(f: Fixture) {
    f.store.ping().await.expect("a database that is there answers");
}

async fn all_open(empty: Empty) {
    let empty = Arc::new(empty);
    let starts: Vec<_> = (0..6)
        .map(|_| {
            let empty = Arc::clone(&empty);
            tokio::spawn(async move { empty.open().await })
        })
        .collect();
    for start in starts {
        start.await.unwrap().expect("who comes second finds the schema").ping().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_together_make_one_schema_on_sqlite() {
    all_open(Empty::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_together_make_one_schema_on_postgres() {
    all_open(Empty::postgres()).await;
}

#[tokio::test]
async fn postgres_has_a_time_of_its_own() {
    let empty = Empty::postgres();
    let store = empty.open().await.unwrap();
    // The suite's clock stands in 2027; the server's own says otherwise, and nothing is due on either.
    assert_eq!(store.next_callback_at().await.unwrap(), None);
    drop(store);
}

#[test]
fn an_address_names_a_file_or_a_server() {
    for text in ["sqlite:credenza.db", "sqlite://credenza.db"] {
        assert_eq!(text.parse::<DatabaseUrl>().unwrap(), DatabaseUrl::Sqlite("credenza.db".into()), "{text}");
    }
    let absolute = DatabaseUrl::Sqlite("/var/lib/credenza.db".into());
    assert_eq!("sqlite:///var/lib/credenza.db".parse::<DatabaseUrl>().unwrap(), absolute);
    for text in ["postgres://u:secret@db/credenza", "postgresql://u:secret@db/credenza"] {
        let url: DatabaseUrl = text.parse().unwrap();
        assert_eq!(url, DatabaseUrl::Postgres(text.to_owned()));
        assert!(!format!("{url:?}").contains("secret"), "a password is shown");
    }
    for text in ["", "sqlite:", "mysql://db/credenza", "credenza.db", "POSTGRES://db"] {
        assert!(matches!(text.parse::<DatabaseUrl>(), Err(StoreError::UnknownUrl)), "{text}");
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_an_error() {
    let clock = Fixture::sqlite().await.clock;
    let directory = tempfile::tempdir().unwrap();
    let no_file = DatabaseUrl::Sqlite(directory.path().join("missing").join("credenza.db"));
    let refused = Store::open(&no_file, Arc::clone(&clock) as _).await.err();
    assert!(matches!(refused, Some(StoreError::Sqlite(_))), "{refused:?}");
    let nobody = DatabaseUrl::Postgres("postgres://credenza@127.0.0.1:1/none".into());
    let refused = Store::open(&nobody, clock).await.err();
    assert!(matches!(refused, Some(StoreError::Postgres(_))), "{refused:?}");
}
