//! Claims: what a crash leaves behind comes again soon, and the ledger says whose callback it was.

use std::time::{Duration, Instant};

use credenza_tests::callbacks::{Reply, Sink};
use credenza_tests::process::{Credenza, Options};
use serde_json::json;

use crate::issuance::fixture::{EMPLOYEE, SOON, Service};
use crate::issuance::flow::Flow;

#[tokio::test]
async fn a_callback_under_way_at_a_crash_comes_again_within_half_a_minute() {
    let mut credenza = Credenza::start(Options::default()).await;
    let service = Service::of(&credenza).await;
    let sink = Sink::start().await;
    sink.reply_next(Reply::Never);
    let mut body = service.employee();
    body["callback"] = json!({"url": sink.url("/cb"), "state": "s"});
    Flow::start(&service, &body).await;
    sink.wait_for(1, SOON).await;
    credenza.kill();
    let killed = Instant::now();
    let _credenza = credenza.start_again().await;
    let received = sink.wait_for(2, Duration::from_secs(30)).await;
    assert_eq!(received[0].body, received[1].body);
    assert!(killed.elapsed() > Duration::from_secs(10), "not while the claim may still be somebody's");
}

#[tokio::test]
async fn the_ledger_says_whose_callback_it_was() {
    let service = Service::shared();
    let sink = Sink::start().await;
    sink.reply_next(Reply::Status(410));
    let mut body = service.employee();
    body["callback"] = json!({"url": sink.url("/cb"), "state": "s"});
    let flow = Flow::start(&service, &body).await;
    flow.fail("user_canceled").await;
    sink.wait_for(2, SOON).await;
    let done = |trail: &crate::issuance::trail::Trail| {
        trail.has("callback_abandoned") && trail.has("callback_delivered")
    };
    service.trail_when(&flow.created.id, done).await;
    let events = service.ledger(&flow.created.transaction, 1).await;
    let of = |kind: &str| {
        let found = events.iter().find(|event| event["event"] == kind);
        found.unwrap_or_else(|| panic!("no {kind} in {events:#?}"))
    };
    let created = of("request_created");
    assert!(created["client"].is_string() && created["contract"] == EMPLOYEE, "{created}");
    for kind in ["callback_abandoned", "callback_delivered"] {
        for member in ["tenant", "transaction", "authority", "contract", "client"] {
            assert_eq!(of(kind)[member], created[member], "{kind}: {member}");
        }
    }
}
