//! The Key Vault back end against the simulator: conformance, what goes over the wire, tokens, faults, permissions.

mod conformance;
mod faults;
mod permissions;
mod tokens;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use domain::{BootClock as _, Clock, Digest, KeyRef, SignatureAlgorithm, Timestamp};
use signer::key_vault::{KeyVaultBackend, KeyVaultConfig, Protection, VaultCredential};
use signer::{
    Backend, CreatedKey, KeyAdmin as _, Permit, PermitTerms, SignError, Signed, Signer as _, SignerConfig,
    Signers, SystemBootClock,
};
use url::Url;
use vault_sim::{Arrival, Running, Sim, SimConfig};
use zeroize::Zeroizing;

/// The machine's wall clock.
struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let since = UNIX_EPOCH.elapsed().expect("the clock is after 1970");
        Timestamp::from_millis(i64::try_from(since.as_millis()).expect("a time in range"))
    }
}

/// A simulator with one back end on it.
struct Vault {
    sim: Running,
    backend: Arc<KeyVaultBackend>,
    signers: Signers,
    clock: Arc<SystemBootClock>,
    attempts: AtomicU32,
}

fn static_token(token: &str) -> VaultCredential {
    VaultCredential::StaticToken(Zeroizing::new(token.to_owned()))
}

/// The settings for a simulator, with a token that it takes.
fn config(sim: &Running) -> KeyVaultConfig {
    KeyVaultConfig {
        ca_pem: Some(sim.ca_pem().as_bytes().to_vec()),
        verify_challenge_resource: false,
        protection: Protection::Software,
        ..KeyVaultConfig::new("main", Url::parse(&sim.url()).expect("an address"), static_token("signer"))
    }
}

impl Vault {
    fn start(sim: SimConfig) -> Self {
        Self::with(sim, |_config| {})
    }

    fn with(sim: SimConfig, change: impl FnOnce(&mut KeyVaultConfig)) -> Self {
        let sim = Sim::start(sim).expect("the simulator starts");
        let mut config = config(&sim);
        change(&mut config);
        let clock = Arc::new(SystemBootClock::new());
        let backend = KeyVaultBackend::open(&config, Arc::new(WallClock), clock.clone());
        let backend = Arc::new(backend.expect("the settings fit"));
        let face = Backend::from(backend.clone());
        let signers = signer::build(SignerConfig::new().backend("main", face)).expect("one back end");
        Self { sim, backend, signers, clock, attempts: AtomicU32::new(0) }
    }

    async fn key(&self, slot: &str) -> CreatedKey {
        self.backend.create_key(slot, SignatureAlgorithm::Es256).await.expect("a key")
    }

    fn permit(&self, key: &KeyRef, within: Duration) -> Permit {
        let attempt = self.attempts.fetch_add(1, Ordering::SeqCst) + 1;
        self.signers.mint.mint(PermitTerms {
            intent: "0198c0de-0000-7000-8000-000000000001".parse().expect("an id"),
            attempt,
            key: key.clone(),
            algorithm: SignatureAlgorithm::Es256,
            digest: Digest::Sha256([7; 32]),
            deadline: self.clock.now().plus(within),
        })
    }

    async fn sign(&self, key: &KeyRef) -> Result<Signed, SignError> {
        self.backend.sign(self.permit(key, Duration::from_secs(3))).await
    }

    /// The signature requests that arrived.
    fn signatures(&self) -> Vec<Arrival> {
        self.sim.arrivals().into_iter().filter(|arrival| arrival.op == "KeySign").collect()
    }
}
