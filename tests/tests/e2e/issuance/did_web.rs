//! A host of one did:web document over https, with a certificate authority of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// The host. Stops when dropped.
pub struct DidWebHost {
    did: String,
    document: Arc<Mutex<Value>>,
    calls: Arc<AtomicUsize>,
    directory: TempDir,
    server: JoinHandle<()>,
}

impl DidWebHost {
    /// Listens on a free loopback port.
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = certificates(directory.path());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (document, calls) = (Arc::new(Mutex::new(Value::Null)), Arc::new(AtomicUsize::new(0)));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let server = tokio::spawn(serve(listener, acceptor, Arc::clone(&document), Arc::clone(&calls)));
        Self { did: format!("did:web:localhost%3A{port}"), document, calls, directory, server }
    }

    pub fn did(&self) -> &str {
        &self.did
    }

    /// The certificate authority to trust (PEM).
    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Serves this document from now on.
    pub fn publish(&self, document: Value) {
        *self.document.lock().unwrap() = document;
    }

    /// How many requests were answered.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

impl Drop for DidWebHost {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn certificates(directory: &Path) -> ServerConfig {
    let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.distinguished_name.push(DnType::CommonName, "Test CA");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let authority_key = KeyPair::generate().unwrap();
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    std::fs::write(directory.join("ca.pem"), pem).unwrap();
    let leaf_key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&leaf_key, &Issuer::new(authority, authority_key))
        .unwrap();
    let key = PrivateKeyDer::try_from(leaf_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap()
}

async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    document: Arc<Mutex<Value>>,
    calls: Arc<AtomicUsize>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let Ok(mut stream) = acceptor.accept(stream).await else { continue };
        let mut head = Vec::new();
        while !head.windows(4).any(|window| window == b"\r\n\r\n") {
            if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                break;
            }
        }
        if head.is_empty() {
            continue;
        }
        calls.fetch_add(1, Ordering::Relaxed);
        let right_path = head.starts_with(b"GET /.well-known/did.json ");
        let body = if right_path { document.lock().unwrap().to_string() } else { String::new() };
        let status = if right_path { "200 OK" } else { "404 Not Found" };
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await.ok();
        stream.shutdown().await.ok();
    }
}
