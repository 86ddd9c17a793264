//! The path with a back end and a database that fail: what is asked, how often, and what is on record afterwards.

mod other_calls;

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicI64, AtomicU32};

use async_trait::async_trait;
use credential::jws::Unsigned;
use domain::audit::Subject;
use domain::key::KeyState;
use domain::{AuthorityId, BootClock, KeyRef, SignatureAlgorithm, TransactionId};
use signer::budget::{Budget, Cost, Limit, Meter, Operations, Scope, Unlimited};
use signer::software::MemoryRows;
use signer::{
    Capabilities, KeyAdmin as _, Keyring, Leave, Permit, Receipt, SignError, SignErrorKind, Signed, Signer,
    SignerConfig, SoftwareBackend,
};
use store::{Answer, Committed, MeterName, Need, Outcome};
use tokio_util::sync::CancellationToken;

use super::committer::Commits;
use super::*;

const TENANT: &str = "a5f1c9d2-0000-4000-8000-00000000abcd";

/// Remembers what it was asked for. It has so many slots, which return with an answer, at once.
struct Ledger {
    seen: Mutex<Vec<String>>,
    slots: AtomicI64,
    clock: Arc<TestBoot>,
    commit_takes: Mutex<Duration>,
}

impl Ledger {
    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    fn commits_take(&self, time: Duration) {
        *self.commit_takes.lock().unwrap() = time;
    }

    fn take(&self, needs: &[Need]) -> bool {
        needs.is_empty()
            || self.slots.fetch_update(SeqCst, SeqCst, |free| (free > 0).then(|| free - 1)).is_ok()
    }

    fn answer(&self, write: &Write) -> (String, Written) {
        if !self.take(write.needs()) {
            return ("no slot".to_owned(), Written::NoSlot { wait_ms: 5 });
        }
        match write {
            Write::Open(open) => {
                assert_eq!(open.requested_at, Some(Timestamp::from_millis(7)));
                ("open".to_owned(), Written::Opened { attempt: 1 })
            }
            Write::Reattempt(again) => {
                (format!("again after {}", again.after), Written::Opened { attempt: again.after + 1 })
            }
            Write::Outcome(outcome) => {
                assert_eq!(outcome.effect.is_some(), outcome.outcome == "signed");
                let Outcome { attempt, status, slots, answer, .. } = &**outcome;
                let status = status.map(|status| format!(" {status}")).unwrap_or_default();
                let returned = match answer {
                    Answer::None => String::new(),
                    answer => {
                        self.slots.fetch_add(i64::try_from(slots.len()).unwrap(), SeqCst);
                        format!(" {answer:?}")
                    }
                };
                (format!("{attempt} {}{status}{returned}", outcome.outcome), Written::Done)
            }
            Write::Take(_) => ("take".to_owned(), Written::Done),
            Write::Return(back) => {
                self.slots.fetch_add(i64::try_from(back.slots.len()).unwrap(), SeqCst);
                (format!("return {:?}", back.answer), Written::Done)
            }
            _ => panic!("the signing path writes nothing else"),
        }
    }
}

#[async_trait]
impl Commits for Ledger {
    async fn commit(&self, batch: Vec<Arc<Write>>) -> Result<Committed, StoreError> {
        let began = self.clock.now();
        let takes = *self.commit_takes.lock().unwrap();
        tokio::time::sleep(takes).await;
        let mut committed = Committed { written: Vec::new(), slots: HashMap::new(), began };
        for (index, write) in batch.iter().enumerate() {
            let (seen, written) = self.answer(write);
            self.seen.lock().unwrap().push(seen);
            if matches!(written, Written::Opened { .. } | Written::Done) && !write.needs().is_empty() {
                let slot = |need: &Need| Slot { meter: need.meter.clone(), text: "a slot".to_owned() };
                committed.slots.insert(index, write.needs().iter().map(slot).collect());
            }
            committed.written.push(written);
        }
        Ok(committed)
    }

    fn waiting(&self, _waiting: HashMap<MeterName, u64>) {}
}

/// The runtime's own time, so that a test that pauses it has both; it begins with the machine's, by which the software
/// back end looks at permits.
struct TestBoot(tokio::time::Instant, BootTime);

impl TestBoot {
    fn started() -> Self {
        Self(tokio::time::Instant::now(), signer::SystemBootClock::new().now())
    }
}

impl BootClock for TestBoot {
    fn now(&self) -> BootTime {
        self.1.plus(self.0.elapsed())
    }

    fn boot_id(&self) -> String {
        "a test's".to_owned()
    }
}

/// What the first calls come to.
enum Failure {
    Down,
    Throttled,
    BadGateway,
}

/// Fails the first calls, then signs.
struct Flaky {
    failure: Failure,
    failures: u32,
    asked: AtomicU32,
    /// Calls under way.
    running: AtomicU32,
    most: AtomicU32,
    deadlines: Mutex<Vec<BootTime>>,
    signer: Arc<SoftwareBackend>,
}

fn receipt(status: u16, id: Option<&str>) -> Receipt {
    Receipt { provider_request_id: id.map(str::to_owned), status: Some(status), ..Receipt::default() }
}

fn throttled() -> SignError {
    let kind = SignErrorKind::Throttled { after: Duration::from_millis(700) };
    SignError::answered_with(kind, receipt(429, Some("exchange")))
}

#[async_trait]
impl Signer for Flaky {
    fn capabilities(&self) -> Capabilities {
        self.signer.capabilities()
    }

    async fn sign(&self, permit: Permit) -> Result<Signed, SignError> {
        self.deadlines.lock().unwrap().push(permit.deadline());
        if self.asked.fetch_add(1, SeqCst) < self.failures {
            let down = || SignErrorKind::Unavailable { may_have_signed: false, source: "it is down".into() };
            return Err(match self.failure {
                Failure::Down => down().into(),
                Failure::BadGateway => SignError::answered_with(down(), receipt(502, None)),
                Failure::Throttled => throttled(),
            });
        }
        self.most.fetch_max(self.running.fetch_add(1, SeqCst) + 1, SeqCst);
        tokio::time::sleep(Duration::from_millis(25)).await;
        let mut signed = self.signer.sign(permit).await?;
        self.running.fetch_sub(1, SeqCst);
        signed.receipt = Some(receipt(200, Some("exchange")));
        Ok(signed)
    }
}

/// A vault's limit.
struct Limited([Meter; 1]);

impl Limited {
    fn budget() -> Arc<dyn Budget> {
        let limit = Limit {
            operations: Operations::Sign,
            amount: 2000,
            window: Duration::from_secs(10),
            scope: Scope::Vault,
        };
        Arc::new(Self([Meter::vault("a.vault.azure.net", &[limit])]))
    }
}

impl Budget for Limited {
    fn meters(&self) -> &[Meter] {
        &self.0
    }

    fn cost(&self, _key: &KeyRef, operations: Operations) -> Cost {
        Cost::one(operations)
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
    limited(Failure::Down, failures, budget, i64::MAX).await
}

async fn limited(failure: Failure, failures: u32, budget: Arc<dyn Budget>, slots: i64) -> Fixture {
    let (keyring, _text) = Keyring::generate().unwrap();
    let rows = Arc::new(MemoryRows::default());
    let software = SoftwareBackend::open("flaky", TENANT, Arc::new(keyring), rows).await.unwrap();
    let software = Arc::new(software);
    let created = software.create_key("slot", SignatureAlgorithm::Es256).await.unwrap();
    let flaky = Arc::new(Flaky {
        failure,
        failures,
        asked: AtomicU32::new(0),
        running: AtomicU32::new(0),
        most: AtomicU32::new(0),
        deadlines: Mutex::default(),
        signer: Arc::clone(&software),
    });
    let backend = Backend { signer: flaky.clone(), admin: software, budget };
    let signers = signer::build(SignerConfig::new().backend("flaky", backend)).unwrap();
    let clock = Arc::new(TestBoot::started());
    let budget = VaultBudget::new(&signers.backends, clock.clone(), Arc::new(Still));
    let ledger = Arc::new(Ledger {
        seen: Mutex::default(),
        slots: AtomicI64::new(slots),
        clock,
        commit_takes: Mutex::new(Duration::from_millis(1)),
    });
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
        path: SigningPath::new(committer, signers.backends, signers.mint, Arc::new(Still), budget),
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
            lane: Lane::Lifecycle,
            request: None,
            requested_at: Some(Timestamp::from_millis(7)),
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
            lane: Lane::Lifecycle,
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
    let is_down = |error: &SignError| matches!(error.kind(), SignErrorKind::Unavailable { .. });
    assert!(matches!(&error, SigningError::Backend(error) if is_down(error)), "{error:?}");
    assert_eq!(f.flaky.asked.load(SeqCst), 5);
    assert_eq!(begun.elapsed().as_millis() / 100, 1 + 2 + 4 + 8, "each pause is twice the one before");
    let seen = f.ledger.seen();
    assert_eq!(seen.iter().filter(|line| line.ends_with("unavailable")).count(), 5, "{seen:?}");
    assert_eq!(seen.len(), 10, "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_back_end_that_recovers_signs() {
    let f = fixture(2, Arc::new(Unlimited)).await;
    f.sign().await.unwrap();
    let expected =
        ["open", "1 unavailable", "again after 1", "2 unavailable", "again after 2", "3 signed 200 Given"];
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
async fn a_limited_back_end_is_asked_by_as_many_as_there_are_slots() {
    let f = limited(Failure::Down, 0, Limited::budget(), 2).await;
    for signed in futures_util::future::join_all((0..9).map(|_| f.sign())).await {
        signed.unwrap();
    }
    assert_eq!((f.flaky.asked.load(SeqCst), f.flaky.most.load(SeqCst)), (9, 2));
    let seen = f.ledger.seen();
    assert_eq!(seen.iter().filter(|line| *line == "1 signed 200 Given").count(), 9, "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_limited_back_end_is_not_asked_without_a_slot() {
    let f = limited(Failure::Down, 0, Limited::budget(), 0).await;
    let begun = tokio::time::Instant::now();
    let patience = Duration::from_millis(9_500);
    let until = (begun + patience).into_std();
    let signed = f.path.sign(f.job(), until, |token| Ok(f.linkage(token))).await;
    assert!(matches!(signed, Err(SigningError::NoSlotInTime)), "{signed:?}");
    assert!((9_500..9_520).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    let revived = f.path.revive(f.revival(), until, |token| Ok(f.linkage(token))).await;
    assert!(matches!(revived, Err(SigningError::NoSlotInTime)), "{revived:?}");
    assert_eq!(f.flaky.asked.load(SeqCst), 0);
    assert!(f.ledger.seen().iter().all(|line| line == "no slot"));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_the_vault_is_retried_when_it_says_with_a_slot_of_its_own() {
    let f = limited(Failure::Throttled, 2, Limited::budget(), 5).await;
    let begun = tokio::time::Instant::now();
    f.sign().await.unwrap();
    let expected = [
        "open",
        "1 throttled 429 Throttled",
        "again after 1",
        "2 throttled 429 Throttled",
        "again after 2",
        "3 signed 200 Given",
    ];
    assert_eq!(f.ledger.seen(), expected);
    assert!((1_400..1_500).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    assert_eq!(f.ledger.slots.load(SeqCst), 5);
}

#[tokio::test(start_paused = true)]
async fn what_a_gateway_says_returns_no_slot() {
    let f = limited(Failure::BadGateway, 1, Limited::budget(), 5).await;
    f.sign().await.unwrap();
    assert_eq!(f.ledger.seen(), ["open", "1 unavailable 502", "again after 1", "2 signed 200 Given"]);
    assert_eq!(f.ledger.slots.load(SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_counts_from_before_the_transaction_and_not_from_the_queue() {
    let f = limited(Failure::Down, 0, Limited::budget(), 0).await;
    let begun = f.ledger.clock.now();
    let release = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        f.ledger.slots.store(1, SeqCst);
    };
    let (signed, ()) = tokio::join!(f.sign(), release);
    signed.unwrap();
    let deadline = f.flaky.deadlines.lock().unwrap()[0];
    let granted = deadline.since(begun).checked_sub(ATTEMPT_DEADLINE).unwrap();
    assert!((5_000..5_010).contains(&granted.as_millis()), "{granted:?}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sealed_ends_its_attempt() {
    let f = fixture(0, Arc::new(Unlimited)).await;
    let signed = f.path.sign(f.job(), far(), |_token| Err(SealError::Random)).await;
    assert!(matches!(signed, Err(SigningError::Seal(SealError::Random))), "{signed:?}");
    assert_eq!(f.ledger.seen(), ["open", "1 not_sealed 200 Given"]);
}

#[test]
fn digests_are_written_in_lower_case_hex() {
    assert_eq!(hex(&[0x00, 0x0f, 0xa5, 0xff]), "000fa5ff");
    assert_eq!(hex(&[]), "");
}
