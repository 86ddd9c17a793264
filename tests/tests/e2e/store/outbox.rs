//! Callbacks: taken in order, by one process at a time, until they end.

use domain::audit::{Event, EventKind, Subject};
use domain::{CustomerId, Timestamp};
use store::{CallbackFinished, DueCallback, Write, Written};

use super::fixture::Fixture;
use super::on_both;
use super::rows::{Ids, tenant};

on_both!(
    a_callback_is_claimed_as_it_was_written,
    callbacks_of_a_request_leave_in_order,
    a_claim_keeps_others_away_until_it_ends,
    a_retry_waits_for_its_time,
    an_ended_callback_is_erased,
    an_abandoned_callback_lets_the_next_one_go,
    a_claim_takes_no_more_than_it_was_asked_for,
    the_next_time_is_known,
    a_callback_ends_once,
    a_claim_says_who_and_what_it_is_about,
    a_stale_claim_ends_and_frees_nothing,
    a_claim_that_is_given_back_does_not_count,
);

const CLAIM: i64 = 30_000;

async fn claim(f: &Fixture) -> Vec<DueCallback> {
    f.store.claim_callbacks(CLAIM, 100).await.unwrap()
}

/// By whoever has the latest claim.
fn finished(f: &Fixture, ids: Ids, seq: i64, ended: Option<&'static str>) -> CallbackFinished {
    let attempts =
        f.sql(&format!("SELECT attempts FROM outbox WHERE request = '{}' AND seq = {seq}", ids.request));
    CallbackFinished {
        tenant: tenant(),
        request: ids.request,
        seq,
        attempt: attempts.parse().unwrap_or(0),
        counts: true,
        at: f.now(),
        ended,
        retry_at: f.now().plus_millis(1_000),
        error: ended.is_none().then(|| "HTTP 500".to_owned()),
        event: ended.map(|_| Event::new(&ids.subject(), EventKind::CallbackDelivered, f.now())),
    }
}

async fn finish(f: &Fixture, ids: Ids, seq: i64, ended: Option<&'static str>) -> Written {
    f.write(Write::Callback(Box::new(finished(f, ids, seq, ended)))).await
}

async fn a_callback_is_claimed_as_it_was_written(f: Fixture) {
    let ids = f.retrieved().await;
    let made = f.now();
    f.pass(5);
    let due = claim(&f).await;
    let [callback] = due.as_slice() else { panic!("{due:?}") };
    assert_eq!((callback.request, callback.seq), (ids.request, 1));
    assert_eq!(callback.status, "request_retrieved");
    assert_eq!((callback.payload.as_str(), callback.attempt), ("sealed request_retrieved", 1));
    assert_eq!(callback.created_at, made);
}

async fn callbacks_of_a_request_leave_in_order(f: Fixture) {
    let ids = f.issued().await;
    f.write(Write::Complete(Box::new(f.report(ids, "issuance_successful", 1)))).await;
    let other = f.retrieved().await;
    let mut due: Vec<_> = claim(&f).await.iter().map(|row| (row.request, row.seq)).collect();
    let mut expected = vec![(ids.request, 1), (other.request, 1)];
    due.sort_unstable();
    expected.sort_unstable();
    assert_eq!(due, expected, "the second waits for the first");
    assert!(claim(&f).await.is_empty());
    assert_eq!(finish(&f, ids, 1, Some("delivered")).await, Written::Done);
    let due = claim(&f).await;
    assert_eq!(due.len(), 1);
    assert_eq!((due[0].seq, due[0].status.as_str()), (2, "issuance_successful"));
}

async fn a_claim_keeps_others_away_until_it_ends(f: Fixture) {
    f.retrieved().await;
    let other = f.open_again().await.unwrap();
    assert_eq!(claim(&f).await.len(), 1);
    assert!(other.claim_callbacks(CLAIM, 100).await.unwrap().is_empty());
    f.pass(CLAIM - 1);
    assert!(other.claim_callbacks(CLAIM, 100).await.unwrap().is_empty());
    f.pass(1);
    let due = other.claim_callbacks(CLAIM, 100).await.unwrap();
    assert_eq!(due.len(), 1, "who claimed it is gone");
    assert_eq!(due[0].attempt, 2);
}

async fn a_retry_waits_for_its_time(f: Fixture) {
    let ids = f.retrieved().await;
    claim(&f).await;
    assert_eq!(finish(&f, ids, 1, None).await, Written::Done);
    assert_eq!(
        f.sql("SELECT last_error, payload, finished_at FROM outbox"),
        "HTTP 500|sealed request_retrieved|"
    );
    f.pass(999);
    assert!(claim(&f).await.is_empty());
    f.pass(1);
    let due = claim(&f).await;
    assert_eq!((due.len(), due[0].attempt), (1, 2));
}

async fn an_ended_callback_is_erased(f: Fixture) {
    let ids = f.retrieved().await;
    claim(&f).await;
    assert_eq!(finish(&f, ids, 1, Some("delivered")).await, Written::Done);
    let row = f.sql("SELECT state, payload, last_error, finished_at FROM outbox");
    assert_eq!(row, format!("delivered|||{}", f.now().millis()));
    f.pass(10 * CLAIM);
    assert!(claim(&f).await.is_empty());
    assert_eq!(f.trail(ids).await.last().unwrap(), "callback_delivered");
}

async fn an_abandoned_callback_lets_the_next_one_go(f: Fixture) {
    let ids = f.issued().await;
    f.write(Write::Complete(Box::new(f.report(ids, "issuance_successful", 1)))).await;
    claim(&f).await;
    finish(&f, ids, 1, Some("abandoned")).await;
    let due = claim(&f).await;
    assert_eq!((due.len(), due[0].seq), (1, 2));
    assert_eq!(f.sql("SELECT state, payload FROM outbox WHERE seq = 1"), "abandoned|");
}

async fn a_claim_takes_no_more_than_it_was_asked_for(f: Fixture) {
    for _ in 0..5 {
        f.retrieved().await;
        f.pass(1);
    }
    let mut taken = Vec::new();
    for expected in [2, 2, 1, 0] {
        let due = f.store.claim_callbacks(CLAIM, 2).await.unwrap();
        assert_eq!(due.len(), expected);
        taken.extend(due.into_iter().map(|row| row.request));
    }
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), 5);
}

async fn the_next_time_is_known(f: Fixture) {
    let next = || async { f.store.next_callback_at().await.unwrap().map(Timestamp::millis) };
    assert_eq!(next().await, None);
    let ids = f.issued().await;
    f.write(Write::Complete(Box::new(f.report(ids, "issuance_successful", 1)))).await;
    assert_eq!(next().await, Some(f.now().millis()));
    claim(&f).await;
    assert_eq!(next().await, Some(f.now().millis() + CLAIM), "the end of the claim");
    finish(&f, ids, 1, None).await;
    assert_eq!(next().await, Some(f.now().millis() + 1_000), "the retry, although a later callback is older");
    finish(&f, ids, 1, Some("delivered")).await;
    assert_eq!(next().await, Some(f.now().millis()));
    finish(&f, ids, 2, Some("delivered")).await;
    assert_eq!(next().await, None);
}

async fn a_callback_ends_once(f: Fixture) {
    let ids = f.retrieved().await;
    claim(&f).await;
    let both = [Some("delivered"), None].map(|ended| Write::Callback(Box::new(finished(&f, ids, 1, ended))));
    assert_eq!(f.batch(both.into()).await, [Written::Done, Written::Lost]);
    for (seq, ended) in [(1, Some("delivered")), (1, None), (2, Some("delivered"))] {
        assert_eq!(finish(&f, ids, seq, ended).await, Written::Lost);
    }
    assert_eq!(f.sql("SELECT state FROM outbox"), "delivered");
    let delivered = f.trail(ids).await.into_iter().filter(|kind| kind == "callback_delivered").count();
    assert_eq!(delivered, 1);
}

async fn a_claim_says_who_and_what_it_is_about(f: Fixture) {
    let both = [f.retrieved().await, f.retrieved().await];
    let due = claim(&f).await;
    assert_eq!(due.len(), 2);
    for ids in both {
        let callback = due.iter().find(|callback| callback.request == ids.request).unwrap();
        let customer = Some(CustomerId::new("customer 1"));
        assert_eq!(callback.subject, Subject { customer, ..ids.subject() });
    }
}

async fn a_stale_claim_ends_and_frees_nothing(f: Fixture) {
    let ids = f.retrieved().await;
    claim(&f).await;
    let (ended, again) = (finished(&f, ids, 1, Some("delivered")), finished(&f, ids, 1, None));
    f.pass(CLAIM);
    assert_eq!(claim(&f).await.len(), 1, "another process has it now");
    for stale in [ended, again] {
        assert_eq!(f.write(Write::Callback(Box::new(stale))).await, Written::Lost);
    }
    assert_eq!(
        f.sql("SELECT state, payload, attempts, claimed_until FROM outbox"),
        format!("pending|sealed request_retrieved|2|{}", f.now().millis() + CLAIM)
    );
    assert!(claim(&f).await.is_empty(), "nobody else may send it meanwhile");
    assert!(!f.trail(ids).await.contains(&"callback_delivered".to_owned()));
    assert_eq!(finish(&f, ids, 1, Some("delivered")).await, Written::Done);
}

async fn a_claim_that_is_given_back_does_not_count(f: Fixture) {
    let ids = f.retrieved().await;
    for _ in 0..3 {
        let due = claim(&f).await;
        assert_eq!((due.len(), due[0].attempt), (1, 1));
        let back = CallbackFinished { counts: false, ..finished(&f, ids, 1, None) };
        assert_eq!(f.write(Write::Callback(Box::new(back))).await, Written::Done);
        assert!(claim(&f).await.is_empty(), "not before its time");
        f.pass(1_000);
    }
    claim(&f).await;
    assert_eq!(finish(&f, ids, 1, None).await, Written::Done);
    f.pass(1_000);
    assert_eq!(claim(&f).await[0].attempt, 2, "this one was sent");
}
