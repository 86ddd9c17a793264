//! The client against real listeners on the loopback device, well-behaved ones and others.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::address::AddressKind;

/// A listener that reads one request head (and the announced body) and answers with fixed bytes.
struct Peer {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<tokio::sync::Mutex<Vec<String>>>,
}

#[derive(Clone)]
enum Behaviour {
    /// Answers each request on the connection with these bytes.
    Answer(Vec<u8>),
    /// Sends these bytes, then one more byte every 100 ms.
    Drip(Vec<u8>),
    /// Sends these bytes, then more without end.
    Flood(Vec<u8>),
    /// Accepts and stays silent.
    Silent,
    /// Accepts and closes.
    Hangup,
}

impl Peer {
    async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let (connections, requests) = (Arc::clone(&peer.connections), Arc::clone(&peer.requests));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::SeqCst);
                let (behaviour, requests) = (behaviour.clone(), Arc::clone(&requests));
                tokio::spawn(async move {
                    while let Some(request) = read_request(&mut stream).await {
                        requests.lock().await.push(request);
                        match &behaviour {
                            Behaviour::Answer(bytes) => stream.write_all(bytes).await.unwrap(),
                            Behaviour::Drip(bytes) => {
                                stream.write_all(bytes).await.unwrap();
                                while stream.write_all(b" ").await.is_ok() {
                                    tokio::time::sleep(Duration::from_millis(100)).await;
                                }
                                return;
                            }
                            Behaviour::Flood(bytes) => {
                                stream.write_all(bytes).await.unwrap();
                                while stream.write_all(&[b' '; 4096]).await.is_ok() {}
                                return;
                            }
                            Behaviour::Silent => tokio::time::sleep(Duration::from_secs(60)).await,
                            Behaviour::Hangup => return,
                        }
                    }
                });
            }
        });
        peer
    }

    async fn answering(head: &str, body: &str) -> Self {
        Self::start(Behaviour::Answer(response(head, body))).await
    }

    fn url(&self) -> Url {
        format!("http://{}/path", self.address).parse().unwrap()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn response(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

async fn read_request(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<String> {
    let mut seen = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&seen).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let announced = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok()
                })
                .unwrap_or(0);
            if body.len() >= announced {
                return Some(text);
            }
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => seen.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
    }
}

fn dev_policy() -> Policy {
    Policy {
        allow_http_loopback: true,
        connect_timeout: Duration::from_secs(1),
        total_timeout: Duration::from_secs(1),
        max_response_bytes: 1024,
        ..Policy::default()
    }
}

fn client() -> Client {
    Client::new(dev_policy()).unwrap()
}

#[tokio::test]
async fn a_document_is_fetched_with_its_freshness() {
    let peer = Peer::answering("200 OK\r\nCache-Control: max-age=60", r#"{"a":1}"#).await;
    let fetched = client().get_json(&peer.url()).await.unwrap();
    assert_eq!(fetched.value, serde_json::json!({"a": 1}));
    assert_eq!(fetched.max_age, Some(Duration::from_secs(60)));
    let requests = peer.requests.lock().await;
    let request = requests[0].to_ascii_lowercase();
    assert!(request.starts_with("get /path http/1.1\r\n"), "{request}");
    assert!(request.contains(concat!("user-agent: credenza/", env!("CARGO_PKG_VERSION"))), "{request}");
    for absent in ["referer", "cookie", "accept-encoding"] {
        assert!(!request.contains(absent), "{request}");
    }
}

#[tokio::test]
async fn localhost_is_called_without_asking_a_name_server() {
    let peer = Peer::answering("200 OK", "{}").await;
    let url = format!("http://app.localhost:{}/", peer.address.port()).parse().unwrap();
    assert!(client().get_json(&url).await.is_ok());
}

#[tokio::test]
async fn a_refused_url_is_not_called() {
    let peer = Peer::answering("200 OK", "{}").await;
    let strict = Client::new(Policy::default()).unwrap();
    assert_eq!(strict.check(&peer.url()), Err(Refusal::Address(AddressKind::Loopback)));
    let error = strict.get_json(&peer.url()).await.unwrap_err();
    assert!(matches!(error, EgressError::Refused(Refusal::Address(AddressKind::Loopback))), "{error:?}");
    let error = strict.post(&peer.url(), &[], Vec::new(), "application/json").await.unwrap_err();
    assert!(matches!(error, EgressError::Refused(_)), "{error:?}");
    assert_eq!(peer.connections(), 0);
}

/// The gate against names that lead inside: the URL's text is innocent, only the resolved address gives it away.
#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_not_dialled() {
    let peer = Peer::answering("200 OK", "{}").await;
    let http = builder(&dev_policy()).unwrap().dns_resolver(Filtering::new(&[])).build().unwrap();
    let url = format!("http://localhost:{}/", peer.address.port());
    let error = EgressError::from_exchange(http.get(url).send().await.unwrap_err());
    assert!(matches!(error, EgressError::Refused(Refusal::Address(AddressKind::Loopback))), "{error:?}");
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let target = Peer::answering("200 OK", "{}").await;
    let peer = Peer::answering(&format!("302 Found\r\nLocation: {}", target.url()), "").await;
    let error = client().get_json(&peer.url()).await.unwrap_err();
    assert!(matches!(error, EgressError::Status(302)), "{error:?}");
    let delivered = client().post(&peer.url(), &[], Vec::new(), "application/json").await.unwrap();
    assert_eq!(delivered.status, 302);
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn only_200_is_an_answer_to_a_fetch() {
    for (head, status) in [("204 No Content", 204), ("404 Not Found", 404), ("503 Service Unavailable", 503)]
    {
        let peer = Peer::answering(head, "").await;
        let error = client().get_json(&peer.url()).await.unwrap_err();
        assert!(matches!(error, EgressError::Status(found) if found == status), "{error:?}");
        assert_eq!(peer.requests.lock().await.len(), 1, "no retries");
    }
}

#[tokio::test]
async fn a_large_document_is_refused_by_its_announced_length() {
    let peer = Peer::answering("200 OK", &"1".repeat(1025)).await;
    let error = client().get_json(&peer.url()).await.unwrap_err();
    assert!(matches!(error, EgressError::TooLarge { limit: 1024 }), "{error:?}");
}

#[tokio::test]
async fn a_document_of_the_limit_is_read() {
    let peer = Peer::answering("200 OK", &format!("\"{}\"", "1".repeat(1022))).await;
    assert!(client().get_json(&peer.url()).await.is_ok());
}

#[tokio::test]
async fn an_endless_document_is_refused_without_announced_length() {
    let peer = Peer::start(Behaviour::Flood(b"HTTP/1.1 200 OK\r\n\r\n".to_vec())).await;
    let error = client().get_json(&peer.url()).await.unwrap_err();
    assert!(matches!(error, EgressError::TooLarge { limit: 1024 }), "{error:?}");
}

#[tokio::test]
async fn a_slow_document_times_out() {
    let peer =
        Peer::start(Behaviour::Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_vec())).await;
    let begun = Instant::now();
    let error = client().get_json(&peer.url()).await.unwrap_err();
    assert!(matches!(error, EgressError::TimedOut), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn slow_headers_time_out() {
    let peer = Peer::start(Behaviour::Drip(b"HTTP/1.1 200 OK\r\nX: ".to_vec())).await;
    let error = client().get_json(&peer.url()).await.unwrap_err();
    assert!(matches!(error, EgressError::TimedOut), "{error:?}");
}

#[tokio::test]
async fn silence_times_out() {
    let peer = Peer::start(Behaviour::Silent).await;
    let error = client().post(&peer.url(), &[], b"{}".to_vec(), "application/json").await.unwrap_err();
    assert!(matches!(error, EgressError::TimedOut), "{error:?}");
    assert!(!error.is_permanent());
    assert_eq!(peer.requests.lock().await.len(), 1, "no retries");
}

#[tokio::test]
async fn a_broken_exchange_is_told_from_no_connection() {
    let peer = Peer::start(Behaviour::Hangup).await;
    let error = client().get_json(&peer.url()).await.unwrap_err();
    assert!(matches!(error, EgressError::Broken(_)), "{error:?}");
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error =
        client().get_json(&format!("http://{closed}/?key=s3cret").parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, EgressError::Connect(_)), "{error:?}");
    assert!(!format!("{error:?}").contains("s3cret"));
}

#[tokio::test]
async fn garbage_is_an_error() {
    let peer = Peer::start(Behaviour::Answer(b"\x16\x03\x01garbage\r\n\r\n".to_vec())).await;
    let error = client().get_json(&peer.url()).await.unwrap_err();
    assert!(matches!(error, EgressError::Broken(_)), "{error:?}");
    for body in ["", "<html>", "{\"a\":", "{} {}"] {
        let peer = Peer::answering("200 OK", body).await;
        let error = client().get_json(&peer.url()).await.unwrap_err();
        assert!(matches!(error, EgressError::NotJson(_)), "{body}: {error:?}");
    }
}

#[tokio::test]
async fn compressed_answers_are_not_unpacked() {
    let peer = Peer::answering("200 OK\r\nContent-Encoding: gzip", "{}").await;
    assert!(client().get_json(&peer.url()).await.is_ok(), "the bytes are taken as they came");
}

#[tokio::test]
async fn an_unknown_name_is_a_dns_error() {
    let policy = Policy { allowed_targets: vec!["nowhere.invalid".parse().unwrap()], ..dev_policy() };
    let error = Client::new(policy)
        .unwrap()
        .get_json(&"https://nowhere.invalid/".parse().unwrap())
        .await
        .unwrap_err();
    assert!(matches!(error, EgressError::Dns(_) | EgressError::TimedOut), "{error:?}");
    assert!(!error.is_permanent());
}

#[tokio::test]
async fn a_callback_carries_its_headers_and_ours_win() {
    let peer = Peer::answering("200 OK", "").await;
    let headers = [("Api-Key", "k"), ("User-Agent", "other"), ("Content-Type", "text/plain")];
    let delivered =
        client().post(&peer.url(), &headers, b"{\"x\":1}".to_vec(), "application/json").await.unwrap();
    assert_eq!(delivered, Delivered { status: 200, retry_after: None });
    let request = peer.requests.lock().await[0].clone();
    let lower = request.to_ascii_lowercase();
    assert!(lower.starts_with("post /path http/1.1\r\n"));
    assert!(lower.contains("api-key: k\r\n"));
    assert!(lower.contains("content-type: application/json\r\n") && !lower.contains("text/plain"));
    assert!(lower.contains("user-agent: credenza/") && !lower.contains("other"));
    assert!(request.ends_with("\r\n\r\n{\"x\":1}"));
}

#[tokio::test]
async fn framing_headers_are_refused_before_anything_is_sent() {
    let peer = Peer::answering("200 OK", "").await;
    for (headers, content_type, refusal) in [
        ([("Host", "other")], "application/json", HeaderRefusal::Reserved),
        ([("x", "a\r\nb: c")], "application/json", HeaderRefusal::Malformed),
        ([("x", "y")], "a\r\nb", HeaderRefusal::Malformed),
    ] {
        let error = client().post(&peer.url(), &headers, Vec::new(), content_type).await.unwrap_err();
        assert!(matches!(error, EgressError::Header(found) if found == refusal), "{error:?}");
    }
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn a_callback_reports_status_and_delay() {
    let peer = Peer::answering("503 Service Unavailable\r\nRetry-After: 7", "later").await;
    let delivered = client().post(&peer.url(), &[], Vec::new(), "application/json").await.unwrap();
    assert_eq!(delivered, Delivered { status: 503, retry_after: Some(Duration::from_secs(7)) });
}

#[tokio::test]
async fn callbacks_to_one_host_share_a_connection() {
    let peer = Peer::answering("200 OK", &"x".repeat(2000)).await;
    let client = client();
    for _ in 0..5 {
        client.post(&peer.url(), &[], b"{}".to_vec(), "application/json").await.unwrap();
    }
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn an_endless_or_slow_answer_does_not_hold_a_callback_up() {
    for behaviour in [
        Behaviour::Flood(b"HTTP/1.1 202 Accepted\r\n\r\n".to_vec()),
        Behaviour::Drip(b"HTTP/1.1 202 Accepted\r\n\r\n".to_vec()),
    ] {
        let peer = Peer::start(behaviour).await;
        let begun = Instant::now();
        let delivered = client().post(&peer.url(), &[], Vec::new(), "application/json").await.unwrap();
        assert_eq!(delivered.status, 202);
        assert!(begun.elapsed() < Duration::from_secs(3));
    }
}

/// A TLS listener with a certificate for `localhost`; gives its port and the certificate's PEM.
async fn tls_peer() -> (u16, String) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                while read_request(&mut stream).await.is_some() {
                    stream.write_all(&response("200 OK", "{}")).await.unwrap();
                }
            });
        }
    });
    (port, certified.cert.pem())
}

#[tokio::test]
async fn tls_trusts_the_extra_roots_and_checks_the_name() {
    let (port, pem) = tls_peer().await;
    let trusting = Client::new(Policy { extra_roots: vec![pem.into_bytes()], ..dev_policy() }).unwrap();
    let url: Url = format!("https://localhost:{port}/").parse().unwrap();
    assert!(trusting.get_json(&url).await.is_ok());

    let error = client().get_json(&url).await.unwrap_err();
    assert!(matches!(error, EgressError::Tls(_)), "an unknown authority: {error:?}");

    let error = trusting.get_json(&format!("https://127.0.0.1:{port}/").parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, EgressError::Tls(_)), "a certificate for another name: {error:?}");
}

#[test]
fn unreadable_roots_are_refused() {
    let pem = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec();
    let error = Client::new(Policy { extra_roots: vec![pem], ..Policy::default() }).unwrap_err();
    assert!(matches!(error, EgressError::Setup(_)), "{error:?}");
    assert!(error.is_permanent());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a front end writes, the check answers, and only HTTPS to names and public addresses passes.
    #[test]
    fn check_answers_for_any_url(text in "(https?|ftp|file)://\\PC{0,40}") {
        // One client for all cases: building one reads the trust store.
        static CLIENT: std::sync::OnceLock<Client> = std::sync::OnceLock::new();
        let client = CLIENT.get_or_init(|| Client::new(Policy::default()).unwrap());
        if let Ok(url) = Url::parse(&text) && client.check(&url).is_ok() {
            prop_assert_eq!(url.scheme(), "https");
            prop_assert!(url.username().is_empty() && url.password().is_none());
        }
    }
}
