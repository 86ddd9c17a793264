//! The back end against a TLS server that counts bytes: what goes out, how often, and what the answers mean.
//!
//! Everything that needs a vault which knows its rules is tested against the simulator, from outside of this crate.

mod admin;
mod failures;
mod server;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Timestamp;
use serde_json::json;
use zeroize::Zeroizing;

use self::server::{Reply, Request, Server, answer};
use super::*;
use crate::permit::{PermitMint, PermitTerms};
use crate::{Retry, SystemBootClock};

const VERSION: &str = "0123456789abcdef0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(3);

/// A wall clock; tokens of these tests do not end.
struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(1_780_000_000)
    }
}

/// A boot clock that tests push.
struct Pushed {
    base: SystemBootClock,
    ahead: AtomicU64,
}

impl Pushed {
    fn new() -> Arc<Self> {
        Arc::new(Self { base: SystemBootClock::new(), ahead: AtomicU64::new(0) })
    }

    fn push(&self, by: Duration) {
        self.ahead.fetch_add(u64::try_from(by.as_nanos()).unwrap(), Ordering::SeqCst);
    }
}

impl BootClock for Pushed {
    fn now(&self) -> BootTime {
        self.base.now().plus(Duration::from_nanos(self.ahead.load(Ordering::SeqCst)))
    }

    fn boot_id(&self) -> String {
        self.base.boot_id()
    }
}

fn config(server: &Server) -> KeyVaultConfig {
    let url = Url::parse(&format!("https://localhost:{}", server.port)).unwrap();
    KeyVaultConfig {
        ca_pem: Some(server.ca_pem.clone()),
        verify_challenge_resource: false,
        ..KeyVaultConfig::new("main", url, VaultCredential::StaticToken(Zeroizing::new("t0ken".into())))
    }
}

fn open(config: &KeyVaultConfig, clock: Arc<Pushed>) -> KeyVaultBackend {
    KeyVaultBackend::open(config, Arc::new(Now), clock).unwrap()
}

fn key() -> KeyRef {
    KeyRef { backend: "main".into(), name: "issuer".into(), version: VERSION.into() }
}

fn permit(clock: &Pushed, algorithm: SignatureAlgorithm, within: Duration) -> Permit {
    let digest = match algorithm {
        SignatureAlgorithm::Es384 => Digest::Sha384([7; 48]),
        SignatureAlgorithm::Es256 | SignatureAlgorithm::Es256k => Digest::Sha256([7; 32]),
    };
    PermitMint::new().mint(PermitTerms {
        intent: "0198c0de-0000-7000-8000-000000000001".parse().unwrap(),
        attempt: 3,
        key: key(),
        algorithm,
        digest,
        deadline: clock.now().plus(within),
    })
}

/// A permit for ES256 with time enough.
fn ordinary(clock: &Pushed) -> Permit {
    permit(clock, SignatureAlgorithm::Es256, PATIENCE)
}

/// The answer to a signature request, with so many bytes of signature.
fn signed(request: &Request, bytes: usize) -> Vec<u8> {
    let host = request.header("host").unwrap();
    let kid = format!("https://{host}/keys/issuer/{VERSION}");
    let value = URL_SAFE_NO_PAD.encode(vec![1; bytes]);
    answer(200, &json!({"kid": kid, "value": value}).to_string())
}

/// The bundle of a P-256 key.
fn bundle(host: &str, name: &str, version: &str, created: i64) -> String {
    let key = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
    let point = EcPoint::from_sec1(key.verifying_key().to_sec1_point(false).as_bytes()).unwrap();
    json!({
        "key": {"kid": format!("https://{host}/keys/{name}/{version}"), "kty": "EC-HSM", "crv": "P-256",
            "key_ops": ["sign"], "x": URL_SAFE_NO_PAD.encode(point.x()), "y": URL_SAFE_NO_PAD.encode(point.y())},
        "attributes": {"enabled": true, "created": created},
    })
    .to_string()
}
