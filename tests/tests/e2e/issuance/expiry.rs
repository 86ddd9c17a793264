//! Requests whose time runs out.

use std::time::Duration;

use credenza_tests::callbacks::Sink;
use credenza_tests::process::{Credenza, Options};
use serde_json::json;

use super::errors::{assert_code, assert_error};
use super::fixture::{SOON, Service};
use super::flow::{Flow, holder};

/// Ten seconds of grace, five between two sweeps, and a busy machine.
const SWEPT: Duration = Duration::from_secs(40);

#[tokio::test]
async fn nothing_is_issued_after_the_end_and_everything_is_erased() {
    let options =
        Options { extra_args: vec!["--request-lifetime".to_owned(), "6".to_owned()], ..Options::default() };
    let credenza = Credenza::start(options).await;
    let service = Service::of(&credenza).await;
    let sink = Sink::start().await;
    let holder = holder();
    let unscanned = service.created(&service.employee()).await;
    let scanned = Flow::start(&service, &service.employee()).await;
    let mut body = service.employee();
    body["callback"] = json!({"url": sink.url("/cb"), "state": "s"});
    let issued = Flow::start(&service, &body).await;
    issued.receive(&holder).await;
    let late = issued.proof(&holder);
    let wait = scanned.created.expiry.max(issued.created.expiry) - wallet::clock::system_now() + 1;
    tokio::time::sleep(Duration::from_secs(u64::try_from(wait).unwrap())).await;

    let object = |link: &str| link.strip_prefix("openid-vc://?request_uri=").unwrap().to_owned();
    for link in [&unscanned.link, &scanned.created.link, &issued.created.link] {
        assert_error(&service.get(&object(link)).await, 404, "notFound", Some("request_uri"));
    }
    assert_code(&scanned.send(scanned.proof(&holder)).await, 404, "notFound");
    assert_code(&issued.send(late).await, 404, "notFound");
    let trail = service.trail_when(&scanned.created.id, |trail| trail.has("proof_refused")).await;
    assert_eq!((trail.refusals(), trail.intents("credential")), (vec!["request_expired"], 0));
    assert_eq!(service.trail(&unscanned.id).await.state, "expired");

    for id in [&unscanned.id, &scanned.created.id, &issued.created.id] {
        let begun = std::time::Instant::now();
        while !service.trail(id).await.has("request_expired") {
            assert!(begun.elapsed() < SWEPT, "not swept");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    let left = "SELECT (SELECT count(*) FROM request_part WHERE part <> 'callback') + \
                (SELECT count(*) FROM request WHERE pin_hash IS NOT NULL)";
    assert_eq!(service.count(left), 0);
    // The wallet had stored it before, and says so late: the front end hears of it.
    assert_eq!(issued.complete().await.status, 202);
    let received = sink.wait_for(2, SOON).await;
    assert_eq!(received[1].json()["requestStatus"], "issuance_successful");
    let trail = service.trail(&issued.created.id).await;
    assert_eq!(
        (trail.state.as_str(), trail.of("request_expired")[0]),
        ("completed", &json!({"issued": true}))
    );
    assert_error(&scanned.complete().await, 409, "conflict", Some("code"));
}
