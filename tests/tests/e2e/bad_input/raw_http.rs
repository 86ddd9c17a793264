//! Below JSON: broken HTTP, hung connections, too many headers. The service answers others meanwhile.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::issuance::fixture::{CREATE, Service};

async fn connect(service: &Service) -> TcpStream {
    let address = service.http().strip_prefix("http://").unwrap().to_owned();
    TcpStream::connect(address).await.unwrap()
}

/// Sends bytes and reads what comes until the connection ends.
async fn exchange(service: &Service, bytes: &[u8]) -> String {
    let mut stream = connect(service).await;
    // The other side may close before everything is sent.
    stream.write_all(bytes).await.ok();
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer))
        .await
        .expect("the connection ends")
        .ok();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn broken_requests_end_with_a_client_error() {
    let service = Service::shared();
    let many = (0..2000).map(|number| format!("x-{number}: y\r\n")).collect::<String>();
    for (name, bytes) in [
        ("no HTTP", b"hello\r\n\r\n".to_vec()),
        ("TLS on the plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        (
            "two lengths",
            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd".to_vec(),
        ),
        ("a negative length", b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n".to_vec()),
        ("a bad chunk", b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec()),
        ("too many headers", format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n").into_bytes()),
        ("a huge header", format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(1 << 20)).into_bytes()),
        ("a huge path", format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "y".repeat(1 << 20)).into_bytes()),
    ] {
        let begun = Instant::now();
        let answer = exchange(&service, &bytes).await;
        let status = answer.strip_prefix("HTTP/1.1 ").map(|rest| &rest[..1]);
        assert!(answer.is_empty() || status == Some("4"), "{name}: {answer}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{name}");
    }
    assert_eq!(service.get("/livez").await.status, 200);
}

#[tokio::test]
async fn a_body_that_never_comes_holds_up_nobody() {
    let service = Service::shared();
    let head = format!(
        "POST {CREATE} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: 1000\r\n\r\n{{",
        service.token
    );
    let mut hung = Vec::new();
    for _ in 0..50 {
        let mut stream = connect(&service).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        hung.push(stream);
    }
    let begun = Instant::now();
    service.created(&service.employee()).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_wallet_that_hangs_up_does_not_leave_a_signature_open() {
    let service = Service::shared();
    let created = service.created(&service.employee()).await;
    let path = created.link.strip_prefix("openid-vc://?request_uri=").unwrap().replace(service.public(), "");
    for _ in 0..3 {
        let mut stream = connect(&service).await;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await.unwrap();
        drop(stream);
    }
    let answer = service.get(&path).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let trail = service.trail_when(&created.id, |trail| trail.has("request_retrieved")).await;
    assert_eq!((trail.intents("request_object"), trail.of("signing_outcome").len()), (1, 1));
}
