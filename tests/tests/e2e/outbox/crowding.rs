//! More callbacks for one endpoint than it may have at a time: they wait, and nothing is held against them.

use std::time::{Duration, Instant};

use credenza_tests::callbacks::{Reply, Sink};
use credenza_tests::process::{Credenza, Options};
use serde_json::json;

use crate::issuance::fixture::{SOON, Service};

/// More than one endpoint's calls and waiting places together.
const CALLBACKS: usize = 200;

async fn announce(service: &Service, url: &str) {
    let mut body = service.employee();
    body["callback"] = json!({"url": url, "state": "s"});
    let created = service.created(&body).await;
    let object = created.link.strip_prefix("openid-vc://?request_uri=").expect("a link").to_owned();
    assert_eq!(service.get(&object).await.status, 200);
}

#[tokio::test]
async fn a_crowd_at_one_endpoint_waits_and_counts_nothing() {
    let credenza = Credenza::start(Options::default()).await;
    let service = Service::of(&credenza).await;
    let (busy, quiet) = (Sink::start().await, Sink::start().await);
    busy.reply_always(Reply::Late(Duration::from_secs(1)));
    for _ in 0..CALLBACKS / 20 {
        let url = busy.url("/cb");
        futures_util::future::join_all((0..20).map(|_| announce(&service, &url))).await;
    }
    let begun = Instant::now();
    announce(&service, &quiet.url("/cb")).await;
    quiet.wait_for(1, Duration::from_secs(3)).await;
    assert!(begun.elapsed() < Duration::from_secs(4), "others do not starve");

    busy.wait_for(CALLBACKS, Duration::from_secs(40)).await;
    let delivered = "SELECT count(*) FROM outbox WHERE state = 'delivered'";
    let until = Instant::now() + SOON;
    while service.count(delivered) < i64::try_from(CALLBACKS + 1).unwrap() {
        assert!(Instant::now() < until, "{} are delivered", service.count(delivered));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(service.count("SELECT count(*) FROM outbox WHERE attempts <> 1"), 0);
    assert_eq!(service.count("SELECT count(*) FROM event WHERE kind = 'callback_abandoned'"), 0);
    assert_eq!(busy.received().len(), CALLBACKS, "nothing is told twice");
}
