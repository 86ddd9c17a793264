//! For tests of use cases: replicas of the service on one database, with real keys and a back end that can be held.
//!
//! Owns how they are built. Must not know what is tested.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::{AuthorityId, Clock, SignatureAlgorithm, TenantId, Timestamp};
use signer::budget::{Budget, Unlimited};
use signer::{
    Backend, Capabilities, Keyring, Permit, RowsError, SealedKey, SealedKeyRows, SignError, Signed, Signer,
    SignerConfig, SoftwareBackend,
};
use store::{DatabaseUrl, Store};
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::placement::Placement;
use crate::urls::Urls;
use crate::{Issuer, Parts, Settings};

pub const TENANT: &str = "a5f1c9d2-0000-4000-8000-00000000abcd";
pub const ORIGIN: &str = "https://issuer.example";
const BACKEND: &str = "held";
const OTHER: &str = "other";

/// More signatures than any test makes.
const MANY: usize = 1_000;

/// Starts somewhere and runs.
struct Running(Instant);

impl Clock for Running {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000)
            .plus_millis(i64::try_from(self.0.elapsed().as_millis()).unwrap())
    }
}

#[derive(Default)]
struct Rows(Mutex<Vec<SealedKey>>);

#[async_trait]
impl SealedKeyRows for Rows {
    async fn load(&self) -> Result<Vec<SealedKey>, RowsError> {
        Ok(self.0.lock().unwrap().clone())
    }

    async fn insert(&self, row: &SealedKey) -> Result<bool, RowsError> {
        let mut rows = self.0.lock().unwrap();
        let free = rows.iter().all(|known| known.name != row.name);
        if free {
            rows.push(row.clone());
        }
        Ok(free)
    }

    async fn set_disabled(&self, _name: &str, _version: &str) -> Result<bool, RowsError> {
        Ok(false)
    }
}

/// Signs as often as it was allowed, then waits for more.
pub struct Gate {
    allowed: Semaphore,
    asked: AtomicUsize,
    signer: Arc<SoftwareBackend>,
}

impl Gate {
    /// Allows just so many more signatures.
    pub fn allow(&self, signatures: usize) {
        self.allowed.forget_permits(usize::MAX >> 4);
        self.allowed.add_permits(signatures);
    }

    /// How many signatures were asked for so far.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Waits until so many were asked for.
    pub async fn until_asked(&self, signatures: usize) {
        let until = Instant::now() + Duration::from_secs(10);
        while self.asked() < signatures {
            assert!(Instant::now() < until, "{} of {signatures}", self.asked());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[async_trait]
impl Signer for Gate {
    fn capabilities(&self) -> Capabilities {
        self.signer.capabilities()
    }

    async fn sign(&self, permit: Permit) -> Result<Signed, SignError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.allowed.acquire().await.unwrap().forget();
        self.signer.sign(permit).await
    }
}

/// What replicas share.
pub struct Site {
    directory: TempDir,
    keyring: Arc<Keyring>,
    rows: Arc<Rows>,
    other: Arc<Rows>,
    clock: Arc<dyn Clock>,
}

/// One process.
pub struct Replica {
    pub issuer: Arc<Issuer>,
    pub gate: Arc<Gate>,
}

impl Site {
    pub fn new() -> Self {
        let (keyring, _text) = Keyring::generate().unwrap();
        Self {
            directory: tempfile::tempdir().unwrap(),
            keyring: Arc::new(keyring),
            rows: Arc::default(),
            other: Arc::default(),
            clock: Arc::new(Running(Instant::now())),
        }
    }

    /// A replica as it is after its start, before it set anything up.
    pub async fn replica(&self) -> Replica {
        self.replica_at(ORIGIN).await
    }

    pub async fn replica_at(&self, origin: &str) -> Replica {
        self.start(origin, Placement::one(BACKEND), Arc::new(Unlimited)).await
    }

    /// A replica that signs credentials in the first of these back ends and requests in the last. There are two back
    /// ends, `held` and `other`, with keys of their own.
    pub async fn replica_signing_in(&self, names: &[&str]) -> Replica {
        let name = |name: Option<&&str>| name.map(|name| vec![(*name).to_owned()]).unwrap_or_default();
        let placement = Placement { requests: name(names.last()), credentials: name(names.first()) };
        self.start(ORIGIN, placement, Arc::new(Unlimited)).await
    }

    /// A replica whose back end has a limit. Other replicas of the site do not know of it.
    pub async fn replica_within(&self, budget: Arc<dyn Budget>) -> Replica {
        self.start(ORIGIN, Placement::one(BACKEND), budget).await
    }

    async fn start(&self, origin: &str, placement: Placement, budget: Arc<dyn Budget>) -> Replica {
        let tenant: TenantId = TENANT.parse().unwrap();
        let url = DatabaseUrl::Sqlite(self.directory.path().join("credenza.db"));
        let store = Store::open(&url, Arc::clone(&self.clock)).await.unwrap();
        let software = SoftwareBackend::open(BACKEND, TENANT, Arc::clone(&self.keyring), self.rows.clone())
            .await
            .unwrap();
        let software = Arc::new(software);
        let gate = Arc::new(Gate {
            allowed: Semaphore::new(MANY),
            asked: AtomicUsize::new(0),
            signer: Arc::clone(&software),
        });
        let backend = Backend { signer: gate.clone(), admin: software, budget };
        let other = SoftwareBackend::open(OTHER, TENANT, Arc::clone(&self.keyring), self.other.clone())
            .await
            .unwrap();
        let signers = signer::build(SignerConfig::new().backend(BACKEND, backend).software(other)).unwrap();
        let egress = egress::Client::new(egress::Policy::default()).unwrap();
        let parts = Parts {
            settings: Settings {
                tenant,
                request_lifetime_secs: 300,
                pin_tries: 5,
                wallet_failures: 10,
                callback_max_age_secs: 900,
                relative_ids: true,
                placement,
            },
            urls: Urls::new(&Url::parse(origin).unwrap(), tenant),
            store: Arc::new(store),
            keyring: Arc::clone(&self.keyring),
            signers,
            documents: Arc::new(egress.clone()),
            egress,
            clock: Arc::clone(&self.clock),
            boot: Arc::new(signer::SystemBootClock::new()),
            inbound: crate::inbound::Policy::default(),
            stop: CancellationToken::new(),
        };
        let (issuer, _committer) = Issuer::build(parts).await.unwrap();
        Replica { issuer, gate }
    }
}

impl Replica {
    /// Sets the authority up.
    pub async fn authority(&self) -> AuthorityId {
        self.issuer.ensure_authority("Contoso", SignatureAlgorithm::Es256).await.unwrap()
    }

    /// What setting up says where it may fail.
    pub async fn set_up(&self) -> Result<AuthorityId, super::setup::SetupError> {
        self.issuer.ensure_authority("Contoso", SignatureAlgorithm::Es256).await
    }
}
