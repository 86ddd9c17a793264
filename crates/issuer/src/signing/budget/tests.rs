//! The rules of the budget in the rows of a real database: what is granted, what returns, what is remembered.

use std::sync::atomic::{AtomicI64, Ordering};

use domain::Timestamp;
use signer::budget::{Cost, Limit, Scope};
use signer::software::{MemoryRows, SoftwareBackend};
use signer::{Keyring, SignerConfig};
use store::{Answer, DatabaseUrl, NewRequest, ReturnSlots, Slot, TakeSlots, Written};
use tempfile::TempDir;

use super::*;

mod several;
mod shut;

const TENANT: &str = "a5f1c9d2-0000-4000-8000-00000000abcd";

/// One time for everything: wall clock and time since the machine started.
#[derive(Default)]
struct Time(AtomicI64);

impl Time {
    fn pass(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl BootClock for Time {
    fn now(&self) -> BootTime {
        BootTime::from_nanos(u64::try_from(self.0.load(Ordering::SeqCst)).unwrap() * 1_000_000)
    }

    fn boot_id(&self) -> String {
        "a boot".to_owned()
    }
}

impl Clock for Time {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + self.0.load(Ordering::SeqCst))
    }
}

/// A vault that belongs to a subscription; a key named `cheap` costs half.
struct Vault(Vec<Meter>);

impl Budget for Vault {
    fn meters(&self) -> &[Meter] {
        &self.0
    }

    fn cost(&self, key: &KeyRef, operations: Operations) -> Cost {
        if key.name == "cheap" { Cost::of(operations, 1, 2) } else { Cost::one(operations) }
    }
}

fn limits(per_vault: u32, per_subscription: u32) -> Vec<Limit> {
    let limit =
        |operations, amount, scope| Limit { operations, amount, window: Duration::from_secs(10), scope };
    vec![
        limit(Operations::Sign, per_vault, Scope::Vault),
        limit(Operations::CreateKey, 1, Scope::Vault),
        limit(Operations::Sign, per_subscription, Scope::Subscription),
    ]
}

fn vault(name: &str, limits: &[Limit]) -> Arc<dyn Budget> {
    Arc::new(Vault(vec![Meter::vault(name, limits), Meter::subscription("s", limits)]))
}

struct Site {
    directory: TempDir,
    time: Arc<Time>,
    backends: BTreeMap<String, Backend>,
}

impl Site {
    /// Two vaults of one subscription, and software keys.
    async fn new(per_vault: u32, per_subscription: u32) -> Self {
        let limits = limits(per_vault, per_subscription);
        let (keyring, _text) = Keyring::generate().unwrap();
        let rows = Arc::new(MemoryRows::default());
        let software = SoftwareBackend::open("software", TENANT, Arc::new(keyring), rows).await.unwrap();
        let plain = Backend::from(Arc::new(software));
        let limited = |name| Backend { budget: vault(name, &limits), ..plain.clone() };
        let config = SignerConfig::new()
            .backend("east", limited("East.vault.azure.net:443"))
            .backend("west", limited("west.vault.azure.net"))
            .backend("software", plain.clone());
        let time = Arc::new(Time::default());
        time.pass(1_000);
        Self {
            directory: tempfile::tempdir().unwrap(),
            time,
            backends: signer::build(config).unwrap().backends,
        }
    }

    /// A process.
    async fn replica(&self) -> Replica {
        let url = DatabaseUrl::Sqlite(self.directory.path().join("credenza.db"));
        let store = Arc::new(Store::open(&url, self.time.clone()).await.unwrap());
        let budget = VaultBudget::new(&self.backends, self.time.clone(), self.time.clone());
        Replica { metered: Metered::new(store, budget.clone()), budget }
    }
}

struct Replica {
    budget: VaultBudget,
    metered: Metered,
}

fn key(backend: &str, name: &str) -> KeyRef {
    KeyRef { backend: backend.to_owned(), name: name.to_owned(), version: "v".to_owned() }
}

impl Replica {
    async fn commit(&self, writes: Vec<Write>) -> Committed {
        self.metered.commit(writes.into_iter().map(Arc::new).collect()).await.unwrap()
    }

    fn take(&self, backend: &str) -> Write {
        let needs = self.budget.needs(&key(backend, "k"), &[Operations::Sign]);
        Write::Take(Box::new(TakeSlots { needs }))
    }

    /// How many of `count` signatures get slots now.
    async fn granted(&self, backend: &str, count: usize) -> Vec<Vec<Slot>> {
        let mut committed = self.commit((0..count).map(|_| self.take(backend)).collect()).await;
        (0..count).filter_map(|at| committed.slots.remove(&at)).collect()
    }

    /// Lets time pass for a process that reads it all the while, as one does that signs: clocks that nobody compared for
    /// some seconds are trusted less.
    async fn pass(&self, site: &Site, millis: i64) {
        let mut needs = self.budget.needs(&key("east", "k"), &[Operations::Sign]);
        needs[0].units = u64::MAX;
        for left in (0..millis).step_by(1_000).map(|passed| millis - passed) {
            site.time.pass(left.min(1_000));
            let never = Write::Take(Box::new(TakeSlots { needs: needs.clone() }));
            assert!(self.commit(vec![never]).await.slots.is_empty());
        }
    }

    async fn give_back(&self, slots: Vec<Slot>, answer: Answer) {
        self.commit(vec![Write::Return(Box::new(ReturnSlots { slots, answer }))]).await;
    }

    /// Makes the row known to this process: its first reading of a row only begins to count.
    async fn look(&self, backend: &str) {
        let slots = self.granted(backend, 1).await.remove(0);
        self.give_back(slots, Answer::Given).await;
    }

    fn create(&self, backend: &str) -> Write {
        let at = Clock::now(&*self.budget.0.clock);
        let id = Uuid::new_v4();
        let subject = domain::audit::Subject {
            tenant: TENANT.parse().unwrap(),
            transaction: domain::TransactionId::new(id),
            authority: None,
            contract: None,
            client: None,
            customer: None,
        };
        Write::Create(Box::new(NewRequest {
            tenant: TENANT.parse().unwrap(),
            id: domain::RequestId::new(id),
            transaction: domain::TransactionId::new(id),
            authority: domain::AuthorityId::new(id),
            contract: domain::ContractId::new(id),
            contract_version: 1,
            client: domain::ClientId::new("web"),
            customer: None,
            protocol: "entra",
            created_at: at,
            expires_at: at.plus_seconds(300),
            payload: String::new(),
            callback: None,
            pin_hash: None,
            meters: self.budget.alternatives([[backend]]),
            event: domain::audit::Event::new(&subject, domain::audit::EventKind::RequestCreated, at),
        }))
    }
}

#[tokio::test]
async fn what_an_operation_needs_is_what_its_meters_limit() {
    let site = Site::new(5, 50).await;
    let Replica { budget, .. } = site.replica().await;
    let needs = |name, operations: &[Operations]| {
        let needs = budget.needs(&key("east", name), operations);
        needs.into_iter().map(|n| (n.meter.to_string(), n.operations, n.units)).collect::<Vec<_>>()
    };
    let (east, s) = ("vault:east.vault.azure.net".to_owned(), "subscription:s".to_owned());
    assert_eq!(needs("k", &[Operations::Sign]), [(east.clone(), "sign", 2520), (s.clone(), "sign", 2520)]);
    assert_eq!(needs("cheap", &[Operations::Sign])[0].2, 1260);
    let create = [Operations::Sign, Operations::Sign, Operations::CreateKey];
    let expected = [(east.clone(), "sign", 5040), (east, "create_key", 2520), (s, "sign", 5040)];
    assert_eq!(needs("k", &create), expected);
    assert!(budget.needs(&key("software", "k"), &create).is_empty());
    assert!(budget.needs(&key("nowhere", "k"), &create).is_empty());
}

#[tokio::test]
async fn slots_are_granted_up_to_the_limit_and_return_a_window_after_their_answer() {
    let site = Site::new(5, 50).await;
    let replica = site.replica().await;
    let mut slots = replica.granted("east", 9).await;
    assert_eq!(slots.len(), 5);
    site.time.pass(1_000);
    replica.give_back(slots.remove(0), Answer::Given).await;
    replica.give_back(slots.remove(0), Answer::None).await;
    assert!(replica.granted("east", 1).await.is_empty());
    replica.pass(&site, 10_000).await;
    assert!(replica.granted("east", 1).await.is_empty(), "the guard is not over");
    site.time.pass(120);
    assert_eq!(replica.granted("east", 9).await.len(), 1, "the one that was answered");
    // 15 s after the first grants those come back that were never answered.
    replica.pass(&site, 15_020 - 11_120).await;
    assert_eq!(replica.granted("east", 9).await.len(), 4);
}

#[tokio::test]
async fn a_subscription_is_shared_by_its_vaults() {
    let site = Site::new(5, 7).await;
    let replica = site.replica().await;
    assert_eq!(replica.granted("east", 9).await.len(), 5);
    assert!(replica.budget.has_room("west") && !replica.budget.has_room("east"));
    assert_eq!(replica.granted("west", 9).await.len(), 2);
    assert!(!replica.budget.has_room("west"));
    assert!(replica.budget.has_room("software") && !replica.budget.has_room("nowhere"));
}

#[tokio::test]
async fn who_goes_without_is_not_passed_by_who_needs_less() {
    let site = Site::new(3, 50).await;
    let replica = site.replica().await;
    let needs = |operations: &[Operations]| {
        let needs = replica.budget.needs(&key("east", "k"), operations);
        Write::Take(Box::new(TakeSlots { needs }))
    };
    let (two, one) = ([Operations::Sign; 2], [Operations::Sign]);
    let committed = replica.commit(vec![needs(&two), needs(&two), needs(&one)]).await;
    assert!(matches!(committed.written[..], [Written::Done, Written::NoSlot { .. }, Written::NoSlot { .. }]));
    let committed = replica.commit(vec![needs(&one)]).await;
    assert_eq!(committed.written, [Written::Done], "what was set aside for nobody is free");
}

#[tokio::test]
async fn two_replicas_share_one_row() {
    let site = Site::new(20, 50).await;
    let (one, two) = (site.replica().await, site.replica().await);
    one.look("east").await;
    two.look("east").await;
    let mut total = 0;
    for _ in 0..6 {
        total += one.granted("east", 2).await.len() + two.granted("east", 3).await.len();
    }
    assert_eq!(total, 18, "two slots were used to look");
    site.time.pass(30_000);
    // A process that slept sees time that others must not grant by before it has a reading of its own.
    assert_eq!(one.granted("east", 30).await.len() + two.granted("east", 30).await.len(), 20);
}

#[tokio::test]
async fn refusals_by_the_vault_shrink_what_is_granted() {
    let site = Site::new(20, 500).await;
    let replica = site.replica().await;
    let mut slots = replica.granted("east", 10).await;
    replica.give_back(slots.remove(0), Answer::Throttled).await;
    let status = replica.budget.status();
    let east = status.iter().find(|status| status.meter == "vault:east.vault.azure.net").unwrap();
    let signatures = east.signatures.unwrap();
    assert!(signatures.effective < 15.0, "{signatures:?}");
    let committed = replica.commit(vec![replica.take("east")]).await;
    assert!(matches!(committed.written[..], [Written::NoSlot { .. }]), "nothing for a second: {committed:?}");
}

#[tokio::test]
async fn requests_are_admitted_while_there_are_tokens() {
    let site = Site::new(200, 5_000).await;
    let replica = site.replica().await;
    let meters = replica.budget.alternatives([["east"]]);
    assert!(replica.budget.would_admit(&meters).is_ok(), "nothing is known yet");
    let mut admitted = 0;
    for _ in 0..40 {
        match replica.commit(vec![replica.create("east")]).await.written[0] {
            Written::Done => admitted += 1,
            Written::Refused { reason } => {
                assert_eq!(reason, "budget_no_tokens");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    // A second's worth: 0.98 · 200 / 10 s, two signatures each.
    assert_eq!(admitted, 9);
    let refused = replica.budget.would_admit(&meters).unwrap_err();
    assert_eq!(refused.reason, "budget_no_tokens", "no transaction is needed for it any more");
    assert!(replica.budget.would_admit(&replica.budget.alternatives([["west"]])).is_ok());
    let status = replica.budget.status();
    assert_eq!(status.iter().map(|status| status.refused).sum::<u64>(), 2, "both meters of the request");
    site.time.pass(110);
    assert!(replica.budget.would_admit(&meters).is_ok(), "one in 102 ms");
    let committed = replica.commit(vec![replica.create("east"), replica.create("east")]).await;
    assert!(matches!(committed.written[..], [Written::Done, Written::Refused { .. }]), "{committed:?}");
}

#[tokio::test]
async fn no_request_is_admitted_while_too_much_waits_anywhere() {
    let site = Site::new(200, 5_000).await;
    let (one, two) = (site.replica().await, site.replica().await);
    let meter: MeterName = "vault:east.vault.azure.net".into();
    // A second's worth is 20 signatures.
    one.metered.waiting(HashMap::from([(meter.clone(), 21 * 2520)]));
    one.look("east").await;
    let refused = one.budget.would_admit(&[vec![vec![meter]]]).unwrap_err();
    assert_eq!(refused.reason, "budget_queue_too_long");
    let committed = two.commit(vec![two.create("east")]).await;
    assert_eq!(committed.written, [Written::Refused { reason: "budget_queue_too_long" }]);
    // What was granted waits no longer: the row hears of it in the same transaction.
    assert_eq!(one.granted("east", 3).await.len(), 3);
    let committed = two.commit(vec![two.create("east")]).await;
    assert_eq!(committed.written, [Written::Done]);
}
