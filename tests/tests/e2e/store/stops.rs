//! The stop list and the ledger read by time.

use domain::audit::{Event, EventKind, Subject};
use domain::{ClientId, TenantId, TransactionId};
use store::{Stop, StopKind, Write};
use uuid::Uuid;

use super::fixture::Fixture;
use super::on_both;

on_both!(stops_are_added_once_and_removed_once, the_ledger_is_read_back_to_a_time);

fn tenant() -> TenantId {
    TenantId::new(Uuid::new_v4())
}

fn transaction() -> TransactionId {
    TransactionId::new(Uuid::now_v7())
}

async fn stops_are_added_once_and_removed_once(fixture: Fixture) {
    let (ours, other) = (tenant(), tenant());
    let stop = |kind, name: &str, reason: Option<&str>| Stop {
        kind,
        name: name.to_owned(),
        reason: reason.map(str::to_owned),
        created_at: fixture.now(),
    };
    let strange = "O'Brien \"& Söhne\" 名前 %_";
    let all = [
        stop(StopKind::Client, "web", Some("runs away")),
        stop(StopKind::Contract, "8d2b6e90-1c47-4f3a-b5d8-7e9a4c3f1d02", None),
        stop(StopKind::Customer, strange, None),
    ];
    let store = &fixture.store;
    let added = transaction();
    for stop in &all {
        assert!(store.add_stop(ours, stop, added).await.unwrap());
        assert!(!store.add_stop(ours, stop, transaction()).await.unwrap(), "it is there");
    }
    assert_eq!(store.stops(ours).await.unwrap(), all);
    assert_eq!(store.stops(other).await.unwrap(), []);
    assert!(!store.remove_stop(other, StopKind::Client, "web", transaction(), fixture.now()).await.unwrap());
    assert!(!store.remove_stop(ours, StopKind::Customer, "web", transaction(), fixture.now()).await.unwrap());
    let removed = transaction();
    assert!(store.remove_stop(ours, StopKind::Customer, strange, removed, fixture.now()).await.unwrap());
    assert!(!store.remove_stop(ours, StopKind::Customer, strange, removed, fixture.now()).await.unwrap());
    assert_eq!(store.stops(ours).await.unwrap(), all[..2]);
    let trail = store.trail(ours, added).await.unwrap();
    assert_eq!(trail.len(), 3, "what changed nothing is not in the ledger");
    assert!(trail.iter().all(|event| event.kind == "admin_change" && event.at == fixture.now().millis()));
    assert!(trail[0].body.contains("stop_added") && trail[0].body.contains("runs away"));
    assert_eq!(store.trail(ours, removed).await.unwrap().len(), 1);
}

async fn the_ledger_is_read_back_to_a_time(fixture: Fixture) {
    let (ours, other) = (tenant(), tenant());
    let note = |of: TenantId, kind, client: &str| {
        let subject = Subject {
            tenant: of,
            transaction: transaction(),
            authority: None,
            contract: None,
            client: Some(ClientId::new(client)),
            customer: None,
        };
        Write::Note(Box::new(Event::new(&subject, kind, fixture.now())))
    };
    // More than two pages, long ago.
    for _ in 0..45 {
        let batch = (0..100).map(|_| note(ours, EventKind::RequestCreated, "old")).collect();
        fixture.batch(batch).await;
    }
    fixture.pass(3_600_000);
    let since = fixture.now();
    fixture.pass(1);
    fixture.write(note(ours, EventKind::RequestCreated, "new")).await;
    fixture.write(note(ours, EventKind::RequestRefused, "new")).await;
    fixture.write(note(ours, EventKind::RequestRetrieved, "new")).await;
    fixture.write(note(other, EventKind::RequestCreated, "stranger")).await;
    let mut seen = Vec::new();
    let record = |event: &store::StoredEvent| seen.push((event.kind.clone(), event.body.contains("\"new\"")));
    fixture.store.asked_since(ours, since, record).await.unwrap();
    assert_eq!(seen, [("request_refused".to_owned(), true), ("request_created".to_owned(), true)]);
    let mut all = 0;
    let ever = domain::Timestamp::from_millis(0);
    fixture.store.asked_since(ours, ever, |_event| all += 1).await.unwrap();
    assert_eq!(all, 4_502);
}
