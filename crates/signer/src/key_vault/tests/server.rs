//! A TLS server that answers as a test wants, and remembers every byte that it got.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    /// Request line and headers.
    pub(super) head: String,
    pub(super) body: String,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(super) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }
}

/// What the server does with a request.
pub(super) enum Reply {
    /// Sends these bytes and waits for the next request.
    Send(Vec<u8>),
    /// Sends these bytes and closes.
    SendAndClose(Vec<u8>),
    /// Waits, saying nothing.
    Hang,
}

/// An answer with the headers of a vault.
pub(super) fn answer(status: u16, body: &str) -> Vec<u8> {
    answer_with(status, "", body)
}

pub(super) fn answer_with(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let id = uuid::Uuid::new_v4();
    format!(
        "HTTP/1.1 {status} Status\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\n\
         x-ms-request-id: {id}\r\nx-ms-keyvault-region: westus2\r\nx-ms-keyvault-service-version: 1.9.3347.1\r\n\
         {headers}\r\n{body}",
        body.len()
    )
    .into_bytes()
}

type Script = dyn Fn(&Request) -> Reply + Send + Sync;
type BeforeTls = dyn Fn() + Send + Sync;

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: Mutex<Vec<Request>>,
    /// Bytes that came over TLS, whether or not they made a request.
    bytes: AtomicUsize,
    closed: AtomicUsize,
}

pub(super) struct Server {
    pub(super) port: u16,
    pub(super) ca_pem: Vec<u8>,
    seen: Arc<Seen>,
}

impl Server {
    pub(super) async fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(script, || {}).await
    }

    /// `before_tls` runs on each connection before the handshake.
    pub(super) async fn start_with(
        script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
        before_tls: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Seen::default());
        let (script, before_tls): (Arc<Script>, Arc<BeforeTls>) = (Arc::new(script), Arc::new(before_tls));
        let kept = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen) = (acceptor.clone(), kept.clone());
                let (script, before_tls) = (script.clone(), before_tls.clone());
                seen.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    before_tls();
                    serve(&acceptor, stream, &seen, &*script).await;
                    seen.closed.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { port, ca_pem: cert.pem().into_bytes(), seen }
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.seen.requests.lock().unwrap().clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    pub(super) fn bytes(&self) -> usize {
        self.seen.bytes.load(Ordering::SeqCst)
    }

    /// Waits until as many connections were closed by the client.
    pub(super) async fn closed(&self, count: usize) {
        let wait = async {
            while self.seen.closed.load(Ordering::SeqCst) < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), wait).await.expect("the client closes");
    }
}

async fn serve(acceptor: &TlsAcceptor, stream: TcpStream, seen: &Seen, script: &Script) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let mut buffer = Vec::new();
    loop {
        let request = loop {
            if let Some(request) = take(&mut buffer) {
                break request;
            }
            let mut chunk = [0; 4096];
            match stream.read(&mut chunk).await {
                Ok(0) | Err(_) => return,
                Ok(length) => {
                    seen.bytes.fetch_add(length, Ordering::SeqCst);
                    buffer.extend_from_slice(&chunk[..length]);
                }
            }
        };
        seen.requests.lock().unwrap().push(request.clone());
        match script(&request) {
            Reply::Send(bytes) => stream.write_all(&bytes).await.unwrap(),
            Reply::SendAndClose(bytes) => {
                stream.write_all(&bytes).await.unwrap();
                stream.flush().await.unwrap();
                stream.shutdown().await.unwrap();
                return;
            }
            Reply::Hang => {
                let mut rest = [0; 1];
                // Until the client closes.
                while stream.read(&mut rest).await.is_ok_and(|length| length > 0) {}
                return;
            }
        }
    }
}

/// Takes the first whole request out of the buffer.
fn take(buffer: &mut Vec<u8>) -> Option<Request> {
    let end = buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let mut request =
        Request { head: String::from_utf8(buffer[..end].to_vec()).unwrap(), body: String::new() };
    let length: usize = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    if buffer.len() < end + length {
        return None;
    }
    request.body = String::from_utf8(buffer[end..end + length].to_vec()).unwrap();
    buffer.drain(..end + length);
    Some(request)
}
