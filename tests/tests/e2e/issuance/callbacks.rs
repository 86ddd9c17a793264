//! What front ends are told: exact bodies, headers and order, and what happens when their endpoint misbehaves.

use std::time::{Duration, Instant};

use credenza_tests::callbacks::{Reply, Sink};
use credenza_tests::ports;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::fixture::{SOON, Service};
use super::flow::{Flow, holder};

fn with_callback(service: &Service, url: &str, state: &str) -> Value {
    let mut body = service.employee();
    body["callback"] = json!({"url": url, "state": state});
    body
}

/// A whole issuance whose news go to `url`.
async fn issued(service: &Service, url: &str) -> Flow {
    let flow = Flow::start(service, &with_callback(service, url, "s")).await;
    flow.receive(&holder()).await;
    assert_eq!(flow.complete().await.status, 202);
    flow
}

#[tokio::test]
async fn exact_bodies_headers_and_order() {
    let service = Service::shared();
    let sink = Sink::start().await;
    let state = "2a6f7c1e \"quoted\" ünï 名前 💳";
    let mut body = with_callback(&service, &sink.url("/api/cb?tenant=1"), state);
    body["callback"]["headers"] = json!({"api-key": "s3cret", "Authorization": "Basic dTpw"});
    let flow = Flow::start(&service, &body).await;
    sink.wait_for(1, SOON).await;
    flow.receive(&holder()).await;
    flow.complete().await;
    let received = sink.wait_for(2, SOON).await;
    let id = &flow.created.id;
    for (call, status) in received.iter().zip(["request_retrieved", "issuance_successful"]) {
        assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", "/api/cb?tenant=1"));
        assert_eq!(call.header("content-type"), Some("application/json"));
        assert_eq!(call.header("api-key"), Some("s3cret"));
        assert_eq!(call.header("authorization"), Some("Basic dTpw"));
        assert_eq!(call.json(), json!({"requestId": id, "requestStatus": status, "state": state}));
    }
    let trail = service.trail_when(id, |trail| trail.delivered().len() == 2).await;
    assert_eq!(trail.delivered(), ["request_retrieved", "issuance_successful"]);
    assert_eq!(trail.of("callback_delivered")[0]["attempt"], json!(1));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(sink.received().len(), 2, "nothing is told twice");
}

#[tokio::test]
async fn an_error_has_its_own_member() {
    let service = Service::shared();
    let sink = Sink::start().await;
    let flow = Flow::start(&service, &with_callback(&service, &sink.url("/cb"), "s")).await;
    flow.fail("user_canceled").await;
    let received = sink.wait_for(2, SOON).await;
    assert_eq!(
        received[1].json(),
        json!({
            "requestId": flow.created.id, "requestStatus": "issuance_error", "state": "s",
            "error": {"code": "IssuanceFlowFailed", "message": "user_canceled"},
        })
    );
}

#[tokio::test]
async fn only_the_first_retrieval_is_told() {
    let service = Service::shared();
    let sink = Sink::start().await;
    let created = service.created(&with_callback(&service, &sink.url("/cb"), "s")).await;
    let object = created.link.strip_prefix("openid-vc://?request_uri=").unwrap();
    futures_util::future::join_all((0..8).map(|_| service.get(object))).await;
    service.get(object).await;
    sink.wait_for(1, SOON).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(sink.received().len(), 1);
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_tried_again_in_order() {
    let service = Service::shared();
    let port = ports::free();
    let flow = issued(&service, &format!("http://127.0.0.1:{port}/cb")).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    // It comes up.
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let mut bodies = Vec::new();
    while bodies.len() < 2 {
        let accepted = tokio::time::timeout(Duration::from_secs(20), listener.accept()).await;
        let (mut stream, _) = accepted.expect("the callback comes again").unwrap();
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"}") {
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.unwrap();
        bodies.push(String::from_utf8(bytes).unwrap());
    }
    assert!(bodies[0].contains("request_retrieved"), "{bodies:?}");
    assert!(bodies[1].contains("issuance_successful"), "{bodies:?}");
    let trail = service.trail_when(&flow.created.id, |trail| trail.delivered().len() == 2).await;
    assert!(trail.of("callback_delivered")[0]["attempt"].as_i64().unwrap() > 1);
}

#[tokio::test]
async fn five_hundred_cut_and_429_are_tried_again() {
    let service = Service::shared();
    for (reply, at_least) in [
        (Reply::Status(500), Duration::from_millis(400)),
        (Reply::Status(503), Duration::from_millis(400)),
        (Reply::Drop, Duration::from_millis(400)),
        (
            Reply::Full(429, vec![("retry-after".to_owned(), "3".to_owned())], String::new()),
            Duration::from_millis(2_900),
        ),
    ] {
        let sink = Sink::start().await;
        sink.reply_next(reply.clone());
        let flow = issued(&service, &sink.url("/cb")).await;
        let received = sink.wait_for(3, SOON).await;
        assert_eq!(received[0].body, received[1].body, "the same again, before anything later");
        assert_eq!(received[2].json()["requestStatus"], "issuance_successful");
        let pause = received[1].at - received[0].at;
        assert!(pause >= at_least, "{reply:?}: {pause:?}");
        let trail = service.trail_when(&flow.created.id, |trail| trail.delivered().len() == 2).await;
        assert_eq!(trail.of("callback_delivered")[0]["attempt"], json!(2));
    }
}

#[tokio::test]
async fn refusals_and_redirects_are_given_up_and_the_next_news_still_go_out() {
    let service = Service::shared();
    let elsewhere = Sink::start().await;
    for (reply, word) in [
        (Reply::Status(400), "400"),
        (Reply::Status(401), "401"),
        (Reply::Status(404), "404"),
        (Reply::Status(410), "410"),
        (Reply::Redirect(elsewhere.url("/taken-away")), "302"),
        (Reply::Full(307, vec![("location".to_owned(), elsewhere.url("/x"))], String::new()), "307"),
    ] {
        let sink = Sink::start().await;
        sink.reply_next(reply);
        let flow = issued(&service, &sink.url("/cb")).await;
        let received = sink.wait_for(2, SOON).await;
        assert_eq!(received[1].json()["requestStatus"], "issuance_successful");
        let trail = service.trail_when(&flow.created.id, |trail| !trail.delivered().is_empty()).await;
        let given_up = trail.of("callback_abandoned");
        assert_eq!((given_up.len(), trail.delivered()), (1, vec!["issuance_successful"]), "{word}");
        assert_eq!(given_up[0]["callback"], "request_retrieved");
        assert!(given_up[0]["reason"].as_str().unwrap().contains(word), "{given_up:?}");
    }
    assert!(elsewhere.received().is_empty(), "redirects are not followed");
}

#[tokio::test]
async fn a_slow_endpoint_is_waited_for() {
    let service = Service::shared();
    let sink = Sink::start().await;
    sink.reply_next(Reply::Late(Duration::from_secs(4)));
    let flow = issued(&service, &sink.url("/cb")).await;
    let received = sink.wait_for(2, SOON).await;
    assert!(received[1].at - received[0].at >= Duration::from_secs(4), "in order, so the second waits");
    let trail = service.trail_when(&flow.created.id, |trail| trail.delivered().len() == 2).await;
    assert_eq!(trail.of("callback_delivered")[0]["attempt"], json!(1));
}

#[tokio::test]
async fn an_endpoint_that_never_answers_is_tried_again() {
    let service = Service::shared();
    let sink = Sink::start().await;
    sink.reply_next(Reply::Never);
    issued(&service, &sink.url("/cb")).await;
    let received = sink.wait_for(2, Duration::from_secs(25)).await;
    let pause = received[1].at - received[0].at;
    assert!(pause >= Duration::from_secs(10) && pause < Duration::from_secs(14), "{pause:?}");
    assert_eq!(received[0].body, received[1].body);
}

#[tokio::test]
async fn a_huge_answer_is_not_read() {
    let service = Service::shared();
    let sink = Sink::start().await;
    sink.reply_always(Reply::Huge(8 << 30));
    let begun = Instant::now();
    let flow = issued(&service, &sink.url("/cb")).await;
    sink.wait_for(2, SOON).await;
    let trail = service.trail_when(&flow.created.id, |trail| trail.delivered().len() == 2).await;
    assert_eq!(trail.of("callback_delivered")[0]["attempt"], json!(1));
    assert!(begun.elapsed() < SOON);
}

#[tokio::test]
async fn bad_endpoints_delay_nobody_else() {
    let service = Service::shared();
    let (stuck, good) = (Sink::start().await, Sink::start().await);
    stuck.reply_always(Reply::Never);
    // More than one endpoint may occupy.
    for _ in 0..40 {
        let created = service.created(&with_callback(&service, &stuck.url("/cb"), "stuck")).await;
        let object = created.link.strip_prefix("openid-vc://?request_uri=").unwrap().to_owned();
        assert_eq!(service.get(&object).await.status, 200);
    }
    stuck.wait_for(30, SOON).await;
    let begun = Instant::now();
    issued(&service, &good.url("/cb")).await;
    good.wait_for(2, Duration::from_secs(3)).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
