//! The path with a back end and a database that fail: what is asked, how often, and what is on record afterwards.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use credential::jws::Unsigned;
use domain::audit::Subject;
use domain::key::KeyState;
use domain::{AuthorityId, KeyRef, SignatureAlgorithm, TransactionId};
use signer::budget::{Budget, Limit, Operations, Scope, Unlimited};
use signer::software::MemoryRows;
use signer::{Capabilities, KeyAdmin as _, Keyring, Permit, Signed, Signer, SignerConfig, SoftwareBackend};
use tokio_util::sync::CancellationToken;

use super::committer::Commits;
use super::*;

const TENANT: &str = "a5f1c9d2-0000-4000-8000-00000000abcd";

/// Grants everything and remembers what it was asked for.
#[derive(Default)]
struct Ledger(Mutex<Vec<String>>);

impl Ledger {
    fn seen(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl Commits for Ledger {
    async fn commit(&self, batch: Vec<Arc<Write>>) -> Result<Vec<Written>, StoreError> {
        let answer = |write: &Arc<Write>| match &**write {
            Write::Open(_) => ("open".to_owned(), Written::Opened { attempt: 1 }),
            Write::Reattempt(again) => {
                (format!("again after {}", again.after), Written::Opened { attempt: again.after + 1 })
            }
            Write::Outcome(outcome) => {
                assert_eq!(outcome.effect.is_some(), outcome.outcome == "signed");
                (format!("{} {}", outcome.attempt, outcome.outcome), Written::Done)
            }
            _ => panic!("the signing path writes nothing else"),
        };
        let (seen, written): (Vec<_>, Vec<_>) = batch.iter().map(answer).unzip();
        self.0.lock().unwrap().extend(seen);
        Ok(written)
    }
}

/// Fails the first calls, then signs.
struct Flaky {
    failures: u32,
    asked: AtomicU32,
    signer: Arc<SoftwareBackend>,
}

#[async_trait]
impl Signer for Flaky {
    fn capabilities(&self) -> Capabilities {
        self.signer.capabilities()
    }

    async fn sign(&self, permit: Permit) -> Result<Signed, SignError> {
        if self.asked.fetch_add(1, Ordering::SeqCst) < self.failures {
            return Err(SignError::Unavailable { may_have_signed: false, source: "it is down".into() });
        }
        self.signer.sign(permit).await
    }
}

/// A vault's limit.
struct Limited([Limit; 1]);

impl Budget for Limited {
    fn limits(&self) -> &[Limit] {
        &self.0
    }
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000)
    }
}

struct Fixture {
    path: SigningPath,
    ledger: Arc<Ledger>,
    flaky: Arc<Flaky>,
    key: ActiveKey,
    subject: Subject,
    unsigned: Unsigned,
}

async fn fixture(failures: u32, budget: Arc<dyn Budget>) -> Fixture {
    let (keyring, _text) = Keyring::generate().unwrap();
    let rows = Arc::new(MemoryRows::default());
    let software = SoftwareBackend::open("flaky", TENANT, Arc::new(keyring), rows).await.unwrap();
    let software = Arc::new(software);
    let created = software.create_key("slot", SignatureAlgorithm::Es256).await.unwrap();
    let flaky = Arc::new(Flaky { failures, asked: AtomicU32::new(0), signer: Arc::clone(&software) });
    let backend = Backend { signer: flaky.clone(), admin: software, budget };
    let signers = signer::build(SignerConfig::new().backend("flaky", backend)).unwrap();
    let ledger = Arc::new(Ledger::default());
    let (committer, _task) = Committer::start(Arc::clone(&ledger), CancellationToken::new());
    let public = PublicKey::from_point(created.algorithm, &created.public).unwrap();
    let authority = AuthorityId::new(Uuid::from_u64_pair(0, 1));
    let key = SigningKey {
        authority,
        id: domain::KeyId::new("key"),
        key: created.key,
        algorithm: created.algorithm,
        public: created.public,
        state: KeyState::Active,
        prepared_at: Timestamp::from_millis(0),
    };
    Fixture {
        path: SigningPath::new(committer, signers.backends, signers.mint, Arc::new(Still)),
        ledger,
        flaky,
        key: ActiveKey { key, kid: "did:web:example#key".to_owned(), public },
        subject: Subject {
            tenant: TENANT.parse().unwrap(),
            transaction: TransactionId::new(Uuid::from_u64_pair(0, 2)),
            authority: Some(authority),
            contract: None,
            client: None,
            customer: None,
        },
        unsigned: Unsigned::new(SignatureAlgorithm::Es256, "k", None, &serde_json::json!({})).unwrap(),
    }
}

impl Fixture {
    fn job(&self) -> Job<'_> {
        Job {
            subject: &self.subject,
            name: "domain_linkage/1".to_owned(),
            purpose: "domain_linkage",
            request: None,
            change: RequestChange::None,
            key: &self.key,
            unsigned: &self.unsigned,
            sealed_input: String::new(),
            status: None,
            replaces: None,
        }
    }

    fn revival(&self) -> Revival<'_> {
        Revival {
            subject: &self.subject,
            intent: IntentId::new(Uuid::from_u64_pair(0, 3)),
            after: 1,
            request: None,
            purpose: "domain_linkage",
            key: &self.key,
            unsigned: &self.unsigned,
        }
    }

    fn linkage(&self, token: &str) -> Effect {
        Effect::DomainLinkage {
            authority: self.key.key.authority,
            origin: "https://example".to_owned(),
            key_id: self.key.key.id.clone(),
            token: token.to_owned(),
        }
    }

    async fn sign(&self) -> Result<String, SigningError> {
        self.path.sign(self.job(), far(), |token| Ok(self.linkage(token))).await
    }
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

#[tokio::test(start_paused = true)]
async fn a_back_end_that_is_down_is_asked_five_times_with_growing_pauses() {
    let f = fixture(u32::MAX, Arc::new(Unlimited)).await;
    let begun = tokio::time::Instant::now();
    let error = f.sign().await.unwrap_err();
    assert!(matches!(error, SigningError::Backend(SignError::Unavailable { .. })), "{error:?}");
    assert_eq!(f.flaky.asked.load(Ordering::SeqCst), 5);
    assert_eq!(begun.elapsed().as_millis() / 100, 1 + 2 + 4 + 8, "each pause is twice the one before");
    let seen = f.ledger.seen();
    assert_eq!(seen.iter().filter(|line| line.ends_with("unavailable")).count(), 5, "{seen:?}");
    assert_eq!(seen.len(), 10, "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_back_end_that_recovers_signs() {
    let f = fixture(2, Arc::new(Unlimited)).await;
    f.sign().await.unwrap();
    let expected = ["open", "1 unavailable", "again after 1", "2 unavailable", "again after 2", "3 signed"];
    assert_eq!(f.ledger.seen(), expected);
}

#[tokio::test(start_paused = true)]
async fn no_attempt_begins_that_the_caller_cannot_wait_for() {
    let f = fixture(u32::MAX, Arc::new(Unlimited)).await;
    let until = Instant::now() + ATTEMPT_DEADLINE;
    f.path.sign(f.job(), until, |token| Ok(f.linkage(token))).await.unwrap_err();
    assert_eq!(f.ledger.seen(), ["open", "1 unavailable"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_without_a_back_end_opens_no_intent() {
    let mut f = fixture(0, Arc::new(Unlimited)).await;
    f.key.key.key = KeyRef { backend: "gone".into(), ..f.key.key.key };
    assert!(matches!(f.sign().await, Err(SigningError::NoBackend)));
    let revived = f.path.revive(f.revival(), far(), |token| Ok(f.linkage(token))).await;
    assert!(matches!(revived, Err(SigningError::NoBackend)));
    assert!(f.ledger.seen().is_empty(), "{:?}", f.ledger.seen());
}

#[tokio::test(start_paused = true)]
async fn a_limited_back_end_is_not_asked_without_a_slot() {
    let limit = Limit {
        operations: Operations::Sign,
        amount: 2000,
        window: Duration::from_secs(10),
        scope: Scope::Vault,
    };
    let f = fixture(0, Arc::new(Limited([limit]))).await;
    assert!(matches!(f.sign().await, Err(SigningError::NoSlots)));
    let revived = f.path.revive(f.revival(), far(), |token| Ok(f.linkage(token))).await;
    assert!(matches!(revived, Err(SigningError::NoSlots)));
    assert_eq!(f.flaky.asked.load(Ordering::SeqCst), 0);
    assert!(f.ledger.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sealed_ends_its_attempt() {
    let f = fixture(0, Arc::new(Unlimited)).await;
    let signed = f.path.sign(f.job(), far(), |_token| Err(SealError::Random)).await;
    assert!(matches!(signed, Err(SigningError::Seal(SealError::Random))), "{signed:?}");
    assert_eq!(f.ledger.seen(), ["open", "1 not_sealed"]);
}
