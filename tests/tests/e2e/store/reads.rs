//! Reads that wait, as many as they may be, keep no change waiting.

use std::time::Duration;

use domain::audit::{Event, EventKind};
use store::{Write, Written};

use super::fixture::Fixture;
use super::rows::{Ids, tenant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_reads_leaves_room_for_changes() {
    let f = Fixture::postgres().await;
    let ids: Ids = f.created().await;
    let lock = std::thread::spawn({
        let database = f.database();
        // The whole text is one transaction.
        move || database.sql("LOCK TABLE contract IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(4)")
    });
    let held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted \
                AND relation = 'contract'::regclass";
    while f.sql(held) == "0" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let reads: Vec<_> = (0..40)
        .map(|_| {
            let store = std::sync::Arc::clone(&f.store);
            tokio::spawn(async move { store.contracts(tenant()).await.map(|found| found.len()) })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(reads.iter().all(|read| !read.is_finished()), "they wait for the lock or for a connection");
    let note = Event::new(&ids.subject(), EventKind::ContractFetched, f.now());
    let rule = super::fixture::no_meters();
    let change = f.store.commit(vec![std::sync::Arc::new(Write::Note(Box::new(note)))], &rule);
    let written = tokio::time::timeout(Duration::from_secs(2), change).await;
    assert_eq!(written.expect("a change finds a connection").unwrap().written, [Written::Done]);
    assert!(reads.iter().all(|read| !read.is_finished()), "the lock was held all the time");
    lock.join().unwrap();
    for read in reads {
        read.await.unwrap().unwrap();
    }
}
