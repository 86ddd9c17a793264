//! The ledger: canonical bytes, in the order in which things happened.

use domain::audit::{Event, EventKind, SCHEMA};
use store::{Write, Written};

use super::fixture::Fixture;
use super::on_both;
use super::rows::{Ids, tenant};

on_both!(
    an_event_is_stored_as_its_canonical_bytes,
    a_trail_is_in_the_order_of_what_happened,
    events_of_one_batch_keep_their_order,
    numbers_only_grow,
);

fn note(event: &Event) -> Write {
    Write::Note(Box::new(event.clone()))
}

async fn an_event_is_stored_as_its_canonical_bytes(f: Fixture) {
    let ids = Ids::fresh();
    let event = Event::new(&ids.subject(), EventKind::ProofRefused, f.now())
        .with("reason", "quote \" backslash \\ line\nfeed \u{1} \u{2028} é 🦀")
        .with("negative", i64::MIN)
        .with("flag", false);
    assert_eq!(f.write(note(&event)).await, Written::Done);
    let trail = f.store.trail(tenant(), ids.transaction).await.unwrap();
    let [stored] = trail.as_slice() else { panic!("{trail:?}") };
    assert_eq!(stored.body, event.canonical());
    assert_eq!((stored.kind.as_str(), stored.at), ("proof_refused", f.now().millis()));
    assert_eq!(f.sql("SELECT schema FROM event"), SCHEMA.to_string());
}

async fn a_trail_is_in_the_order_of_what_happened(f: Fixture) {
    let ids = f.issued().await;
    f.created().await;
    f.write(Write::Complete(Box::new(f.report(ids, "issuance_successful", 1)))).await;
    let expected = [
        "request_created",
        "signing_intent",
        "signing_outcome",
        "request_retrieved",
        "signing_intent",
        "signing_outcome",
        "credential_issued",
        "wallet_reported",
    ];
    assert_eq!(f.trail(ids).await, expected);
    assert!(f.store.trail(tenant(), Ids::fresh().transaction).await.unwrap().is_empty());
}

async fn events_of_one_batch_keep_their_order(f: Fixture) {
    let ids = Ids::fresh();
    let events: Vec<Event> = (0..200)
        .map(|n| Event::new(&ids.subject(), EventKind::ContractFetched, f.now()).with("n", n))
        .collect();
    let results = f.batch(events.iter().map(note).collect()).await;
    assert!(results.iter().all(|written| *written == Written::Done));
    let trail = f.store.trail(tenant(), ids.transaction).await.unwrap();
    let bodies: Vec<_> = trail.into_iter().map(|event| event.body).collect();
    assert_eq!(bodies, events.iter().map(Event::canonical).collect::<Vec<_>>());
}

async fn numbers_only_grow(f: Fixture) {
    let event = Event::new(&Ids::fresh().subject(), EventKind::AdminChange, f.now());
    f.write(note(&event)).await;
    let first: i64 = f.sql("SELECT MAX(seq) FROM event").parse().unwrap();
    // Even when a row is taken away by hand, its number is not given out again.
    f.sql("DELETE FROM event");
    f.write(note(&event)).await;
    let second: i64 = f.sql("SELECT MAX(seq) FROM event").parse().unwrap();
    assert!(second > first, "{second} after {first}");
}
