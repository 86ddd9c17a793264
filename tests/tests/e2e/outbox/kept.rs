//! A callback that cannot be opened at present, as with a wrong keyring, is neither erased nor given up.

use std::time::{Duration, Instant};

use credenza_tests::callbacks::{Reply, Sink};
use credenza_tests::process::{Credenza, Options};
use serde_json::json;

use super::database;
use crate::issuance::fixture::{SOON, Service};
use crate::issuance::flow::Flow;

#[tokio::test]
async fn a_callback_that_cannot_be_opened_is_kept_until_it_can() {
    let mut credenza = Credenza::start(Options::default()).await;
    let service = Service::of(&credenza).await;
    let sink = Sink::start().await;
    sink.reply_next(Reply::Status(500));
    let mut body = service.employee();
    body["callback"] = json!({"url": sink.url("/cb"), "state": "s"});
    let flow = Flow::start(&service, &body).await;
    sink.wait_for(1, SOON).await;
    // Stopping waits for the call's outcome.
    assert!(credenza.stop().success(), "{}", credenza.log());
    let rows = database(&credenza);
    let sealed: String = rows.query_row("SELECT payload FROM outbox", [], |row| row.get(0)).unwrap();
    // Far older than any callback is tried: age must not erase it either.
    let changed = rows.execute(
        "UPDATE outbox SET payload = substr(payload, 1, length(payload) - 4) || 'AAAA', next_attempt_at = 0, \
         claimed_until = 0, created_at = created_at - 100000000 WHERE state = 'pending'",
        [],
    );
    assert_eq!(changed.unwrap(), 1, "it waits for its second attempt");

    let credenza = credenza.start_again().await;
    let service = Service::of(&credenza).await;
    let row = || -> (String, Option<String>, Option<String>, i64) {
        let read = "SELECT state, payload, last_error, claimed_until FROM outbox";
        rows.query_row(read, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap()
    };
    let until = Instant::now() + SOON;
    let tried = |row: (String, Option<String>, Option<String>, i64)| {
        row.2.is_some_and(|error| !error.contains("500"))
    };
    while !tried(row()) {
        assert!(Instant::now() < until, "{:?}", row());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (state, payload, _error, claimed_until) = row();
    assert_eq!((state.as_str(), payload.is_some(), claimed_until), ("pending", true, 0));
    assert_eq!(sink.received().len(), 1);

    rows.execute("UPDATE outbox SET payload = ?1, next_attempt_at = 0", [&sealed]).unwrap();
    let received = sink.wait_for(2, SOON).await;
    assert_eq!(received[0].body, received[1].body);
    let trail = service.trail_when(&flow.created.id, |trail| !trail.delivered().is_empty()).await;
    assert!(!trail.has("callback_abandoned"));
}
