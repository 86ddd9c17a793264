//! Tests of the callback endpoint with the client that the product uses.

use serde_json::json;

use super::*;
use crate::process::client_trusting;

const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn records_what_arrives() {
    let sink = Sink::start().await;
    let body = json!({"requestStatus": "request_retrieved", "state": "ü"});
    let client = client_trusting(None);
    let answer =
        client.post(sink.url("/callback?a=b")).header("Api-Key", "secret").json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    client.get(sink.url("/other")).send().await.unwrap();
    let received = sink.wait_for(2, SOON).await;
    assert_eq!((received[0].method.as_str(), received[0].path.as_str()), ("POST", "/callback?a=b"));
    assert_eq!(received[0].header("api-key"), Some("secret"));
    assert_eq!(received[0].json(), body);
    assert_eq!((received[1].method.as_str(), received[1].path.as_str()), ("GET", "/other"));
    assert!(received[1].body.is_empty() && received[0].at <= received[1].at);
}

#[tokio::test]
async fn plays_its_script_and_then_the_standing_answer() {
    let sink = Sink::start().await;
    sink.reply_next(Reply::Status(503));
    sink.reply_next(Reply::Redirect("http://192.0.2.1/".to_owned()));
    sink.reply_next(Reply::Full(
        429,
        vec![("retry-after".to_owned(), "7".to_owned())],
        "slow down".to_owned(),
    ));
    sink.reply_always(Reply::Status(410));
    let client = client_trusting(None);
    let mut seen = Vec::new();
    for _ in 0..5 {
        let answer = client.get(sink.url("/")).send().await.unwrap();
        seen.push(answer.status().as_u16());
        match seen.len() {
            2 => assert_eq!(answer.headers()["location"], "http://192.0.2.1/"),
            3 => {
                assert_eq!(answer.headers()["retry-after"], "7");
                assert_eq!(answer.text().await.unwrap(), "slow down");
            }
            _ => {}
        }
    }
    assert_eq!(seen, [503, 302, 429, 410, 410]);
}

#[tokio::test]
async fn misbehaves_on_request() {
    let sink = Sink::start().await;
    let client = client_trusting(None);
    sink.reply_next(Reply::Drop);
    assert!(client.get(sink.url("/")).send().await.is_err());

    sink.reply_next(Reply::Never);
    let impatient = client.get(sink.url("/")).timeout(Duration::from_millis(200)).send().await;
    assert!(impatient.unwrap_err().is_timeout());

    sink.reply_next(Reply::Late(Duration::from_millis(150)));
    let asked = Instant::now();
    assert_eq!(client.get(sink.url("/")).send().await.unwrap().status(), 200);
    assert!(asked.elapsed() >= Duration::from_millis(150));

    sink.reply_next(Reply::Huge(3_000_000));
    let body = client.get(sink.url("/")).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(body.len(), 3_000_000);
    assert_eq!(sink.received().len(), 4);
}

#[tokio::test]
#[should_panic(expected = "for 1 requests, got []")]
async fn waiting_for_nothing_fails() {
    Sink::start().await.wait_for(1, Duration::from_millis(50)).await;
}

#[test]
fn chunked_bodies_are_put_together_once_complete() {
    let whole = b"5\r\nhello\r\n6;note=x\r\n world\r\n0\r\n\r\n";
    assert_eq!(unchunk(whole), Some(b"hello world".to_vec()));
    for end in 0..whole.len() - 4 {
        assert_eq!(unchunk(&whole[..end]), None, "{end}");
    }
}
