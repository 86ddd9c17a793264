//! Slots in the transactions that they belong to: who gets some, when they move, and what becomes of them when a commit
//! is in doubt. With a rule of the suite's own, as simple as a rule can be: the store must not care which.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use domain::{BootClock, BootTime, Timestamp};
use store::{
    Alternatives, Answer, BudgetRule, BudgetSession, Ended, FoundMeter, MeterName, MeterReading, Need,
    NoticeWatch, OpenIntent, Outcome, ReturnSlots, Slot, StoreError, TakeSlots, Write, Written,
};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::fixture::{Fixture, TestBoot};
use super::on_both;
use super::rows::Ids;

on_both!(
    a_winner_takes_a_slot_and_a_loser_none,
    who_comes_after_the_last_slot_is_left_out,
    an_answer_moves_a_slot_once,
    what_is_no_answer_moves_nothing,
    an_answer_after_the_sweep_moves_nothing,
    slots_without_an_intent_are_taken_and_returned,
    a_request_is_admitted_by_all_meters_or_by_none,
    a_refusal_of_the_back_end_is_told_before_slots_are_given,
    a_batch_without_meters_asks_for_none,
    two_replicas_never_give_more_than_there_is,
    a_further_attempt_takes_a_slot_of_its_own,
);

const SIGN: &str = "sign";

/// Milliseconds after which a slot returns, without an answer and after one.
const UNANSWERED: i64 = 15_000;
const ANSWERED: i64 = 10_100;

fn watch_notices() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| NoticeWatch::around(tracing_subscriber::registry()).init());
}

/// So many slots per meter; a row is the list of return times, and what it was told.
struct Few {
    boot: TestBoot,
    slots: usize,
    begun: AtomicUsize,
    /// Milliseconds that pass at each of the next looks at the boot-time clock.
    jumps: Mutex<VecDeque<i64>>,
    /// The last reading.
    read: Mutex<Option<MeterReading>>,
    committed: AtomicUsize,
    heard: Mutex<Vec<String>>,
}

impl Few {
    fn new(slots: usize) -> Arc<Self> {
        watch_notices();
        Arc::new(Self {
            boot: TestBoot::default(),
            slots,
            begun: AtomicUsize::new(0),
            jumps: Mutex::default(),
            read: Mutex::default(),
            committed: AtomicUsize::new(0),
            heard: Mutex::default(),
        })
    }

    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.heard.lock().unwrap())
    }
}

struct FewSession {
    rows: BTreeMap<MeterName, Vec<i64>>,
    aside: BTreeMap<MeterName, usize>,
    now: i64,
    slots: usize,
    heard: Vec<String>,
    rule: Arc<Few>,
}

/// The trait has no way to its own `Arc`; the suite keeps one.
struct Handle(Arc<Few>);

impl BootClock for Handle {
    fn now(&self) -> BootTime {
        let jump = self.0.jumps.lock().unwrap().pop_front();
        self.0.boot.pass(jump.unwrap_or(0));
        self.0.boot.now()
    }

    fn boot_id(&self) -> String {
        self.0.boot.boot_id()
    }
}

impl BudgetRule for Handle {
    fn boot(&self) -> &dyn BootClock {
        self
    }

    fn slow_reading(&self) -> Duration {
        Duration::from_millis(50)
    }

    fn begin(
        &self,
        rows: Vec<FoundMeter>,
        reading: &MeterReading,
    ) -> Result<Box<dyn BudgetSession>, StoreError> {
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        let names: Vec<&str> = rows.iter().map(|row| &*row.id).collect();
        assert!(names.is_sorted(), "{names:?}");
        assert!(!reading.epoch.is_empty());
        *self.0.read.lock().unwrap() = Some(reading.clone());
        let parse = |state: Option<String>| -> Vec<i64> {
            state.unwrap_or_default().split(' ').filter_map(|at| at.parse().ok()).collect()
        };
        let now = reading.database_ms;
        let mut found = BTreeMap::new();
        for row in rows {
            let mut returns = parse(row.state);
            returns.retain(|at| *at > now);
            found.insert(row.id, returns);
        }
        Ok(Box::new(FewSession {
            rows: found,
            aside: BTreeMap::new(),
            now,
            slots: self.0.slots,
            heard: Vec::new(),
            rule: Arc::clone(&self.0),
        }))
    }
}

impl BudgetSession for FewSession {
    fn throttled(&mut self, slots: &[Slot]) {
        self.heard.push(format!("throttled {}", slots.len()));
        self.slots = 0;
    }

    fn admit(&mut self, uses: &[Alternatives], created_at: Timestamp) -> Result<(), &'static str> {
        if uses.iter().flatten().flatten().any(|meter| self.rows[meter].len() >= self.slots) {
            return Err("full");
        }
        self.heard.push(format!("admitted at {}", created_at.millis()));
        Ok(())
    }

    fn set_aside(&mut self, needs: &[Need]) -> Result<(), i64> {
        let aside = |meter| self.aside.get(meter).copied().unwrap_or(0);
        for need in needs {
            let returns = &self.rows[&need.meter];
            if returns.len() + aside(&need.meter) >= self.slots {
                return Err(returns.iter().min().map_or(1_000, |at| at - self.now));
            }
        }
        for need in needs {
            *self.aside.entry(need.meter.clone()).or_default() += 1;
        }
        Ok(())
    }

    fn grant(&mut self, needs: &[Need], requested_at: Option<Timestamp>) -> Result<Vec<Slot>, StoreError> {
        if let Some(at) = requested_at {
            self.heard.push(format!("for one of {}", at.millis()));
        }
        let returns_at = self.now + UNANSWERED;
        for need in needs {
            self.rows.get_mut(&need.meter).unwrap().push(returns_at);
        }
        let slot = |need: &Need| Slot { meter: need.meter.clone(), text: returns_at.to_string() };
        Ok(needs.iter().map(slot).collect())
    }

    fn answered(&mut self, slots: &[Slot]) {
        for slot in slots {
            self.heard.push("answered".to_owned());
            let row = self.rows.get_mut(&slot.meter).unwrap();
            if let Some(place) = row.iter_mut().find(|at| **at == returns_at(slot)) {
                *place = self.now + ANSWERED;
            }
        }
    }

    fn end(self: Box<Self>) -> Result<Ended, StoreError> {
        self.rule.heard.lock().unwrap().extend(self.heard);
        let text = |returns: Vec<i64>| returns.iter().map(i64::to_string).collect::<Vec<_>>().join(" ");
        let rows = self.rows.into_iter().map(|(id, returns)| (id, format!("{} ", text(returns)))).collect();
        let rule = self.rule;
        let keep = move || {
            rule.committed.fetch_add(1, Ordering::SeqCst);
        };
        Ok(Ended { rows, keep: Box::new(keep) })
    }
}

fn returns_at(slot: &Slot) -> i64 {
    slot.text.parse().unwrap()
}

fn need(meter: &str) -> Need {
    Need { meter: meter.into(), operations: SIGN, units: 1 }
}

/// A vault's and its subscription's meter.
fn both() -> Vec<Need> {
    vec![need("vault:a"), need("subscription:s")]
}

fn object(f: &Fixture, ids: Ids, needs: Vec<Need>) -> OpenIntent {
    OpenIntent { needs, ..f.object_intent(ids) }
}

fn returns(f: &Fixture, meter: &str) -> Vec<i64> {
    let state = f.sql(&format!("SELECT state FROM meter WHERE id = '{meter}'"));
    state.split(' ').filter_map(|at| at.parse().ok()).collect()
}

/// Commits under the rule; nobody fails.
async fn commit(f: &Fixture, few: &Arc<Few>, writes: Vec<Write>) -> (Vec<Written>, Vec<Vec<Slot>>) {
    let rule: Arc<dyn BudgetRule> = Arc::new(Handle(Arc::clone(few)));
    let mut committed = f.metered(writes, &rule).await.expect("nobody fails");
    let slots = (0..committed.written.len()).map(|at| committed.slots.remove(&at).unwrap_or_default());
    let slots = slots.collect();
    (committed.written, slots)
}

fn open(intent: OpenIntent) -> Write {
    Write::Open(Box::new(intent))
}

/// Lets time pass for the database, and for the machine.
fn pass(f: &Fixture, few: &Few, millis: i64) {
    f.pass(millis);
    few.boot.pass(millis);
}

async fn a_winner_takes_a_slot_and_a_loser_none(f: Fixture) {
    let few = Few::new(10);
    let ids = f.created().await;
    let (first, second) = (object(&f, ids, both()), object(&f, ids, both()));
    let (written, slots) = commit(&f, &few, vec![open(first)]).await;
    assert_eq!(written, [Written::Opened { attempt: 1 }]);
    assert_eq!(slots[0].iter().map(|slot| need(&slot.meter)).collect::<Vec<_>>(), both());
    let (written, slots) = commit(&f, &few, vec![open(second)]).await;
    assert_eq!((written, slots), (vec![Written::Lost], vec![vec![]]));
    assert_eq!((returns(&f, "vault:a").len(), returns(&f, "subscription:s").len()), (1, 1));
}

async fn who_comes_after_the_last_slot_is_left_out(f: Fixture) {
    let few = Few::new(2);
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(f.created().await);
    }
    let member = |ids: &Ids| open(object(&f, *ids, both()));
    let note = Write::Note(Box::new(f.object_intent(all[0]).event));
    let mut batch: Vec<Write> = all.iter().map(member).collect();
    batch.push(note);
    let (written, slots) = commit(&f, &few, batch).await;
    let opened = Written::Opened { attempt: 1 };
    assert_eq!(written, [opened, opened, Written::NoSlot { wait_ms: 1_000 }, Written::Done]);
    assert!(slots[2].is_empty());
    assert_eq!(f.sql("SELECT COUNT(*) FROM intent"), "2", "nothing is stored for it");
    let (written, _) = commit(&f, &few, vec![member(&all[2])]).await;
    assert_eq!(written, [Written::NoSlot { wait_ms: UNANSWERED }]);
    pass(&f, &few, UNANSWERED);
    let (written, _) = commit(&f, &few, vec![member(&all[2])]).await;
    assert_eq!(written, [opened], "its time came");
}

/// An attempt with a slot, and what an answer to it would be.
async fn signing(f: &Fixture, few: &Arc<Few>) -> (Ids, Outcome) {
    let ids = f.created().await;
    let intent = object(f, ids, vec![need("vault:a")]);
    let id = intent.id;
    let (written, mut slots) = commit(f, few, vec![open(intent)]).await;
    assert_eq!(written, [Written::Opened { attempt: 1 }]);
    (ids, Outcome { slots: slots.remove(0), ..f.failed(ids, id, 1) })
}

fn again(f: &Fixture, ids: Ids, outcome: &Outcome) -> Write {
    let (slots, answer) = (outcome.slots.clone(), outcome.answer);
    Write::Outcome(Box::new(Outcome { slots, answer, ..f.failed(ids, outcome.intent, 1) }))
}

async fn an_answer_moves_a_slot_once(f: Fixture) {
    let few = Few::new(10);
    let (ids, outcome) = signing(&f, &few).await;
    let granted = returns(&f, "vault:a")[0];
    assert_eq!(granted, returns_at(&outcome.slots[0]));
    pass(&f, &few, 100);
    let (first, second) = (again(&f, ids, &outcome), again(&f, ids, &outcome));
    let (written, _) = commit(&f, &few, vec![first]).await;
    assert_eq!(written, [Written::Done]);
    let moved = granted - UNANSWERED + 100 + ANSWERED;
    assert_eq!(returns(&f, "vault:a"), [moved]);
    assert_eq!(few.heard(), ["answered"]);
    pass(&f, &few, 100);
    let (written, _) = commit(&f, &few, vec![second]).await;
    assert_eq!(written, [Written::Lost]);
    assert_eq!(returns(&f, "vault:a"), [moved]);
    assert!(few.heard().is_empty(), "the rule is not asked again");
}

async fn what_is_no_answer_moves_nothing(f: Fixture) {
    let few = Few::new(10);
    let (ids, mut outcome) = signing(&f, &few).await;
    outcome.answer = Answer::None;
    let begun = few.begun.load(Ordering::SeqCst);
    let (written, _) = commit(&f, &few, vec![again(&f, ids, &outcome)]).await;
    assert_eq!(written, [Written::Done], "it is on record");
    assert_eq!(few.begun.load(Ordering::SeqCst), begun, "no row is locked for it");
    assert_eq!(returns(&f, "vault:a"), [returns_at(&outcome.slots[0])]);
}

async fn an_answer_after_the_sweep_moves_nothing(f: Fixture) {
    let few = Few::new(10);
    let (ids, outcome) = signing(&f, &few).await;
    pass(&f, &few, 4_000);
    assert_eq!(f.store.sweep(0, 0, 10, f.now()).await.unwrap().orphaned, 1);
    let (written, _) = commit(&f, &few, vec![again(&f, ids, &outcome)]).await;
    assert_eq!(written, [Written::Done], "it is on record");
    assert_eq!(f.attempts(outcome.intent), "1|answered|throttled");
    assert_eq!(returns(&f, "vault:a"), [returns_at(&outcome.slots[0])]);
    assert!(few.heard().is_empty());
}

async fn slots_without_an_intent_are_taken_and_returned(f: Fixture) {
    let few = Few::new(1);
    let take = || Write::Take(Box::new(TakeSlots { needs: vec![need("vault:a")] }));
    let (written, mut slots) = commit(&f, &few, vec![take(), take()]).await;
    assert_eq!(written, [Written::Done, Written::NoSlot { wait_ms: 1_000 }]);
    let granted = slots.remove(0);
    let give_back = |answer| Write::Return(Box::new(ReturnSlots { slots: granted.clone(), answer }));
    let (written, _) = commit(&f, &few, vec![give_back(Answer::None)]).await;
    assert_eq!(written, [Written::Done]);
    assert_eq!(returns(&f, "vault:a"), [returns_at(&granted[0])]);
    commit(&f, &few, vec![give_back(Answer::Given)]).await;
    assert_eq!(returns(&f, "vault:a"), [returns_at(&granted[0]) - UNANSWERED + ANSWERED]);
}

async fn a_request_is_admitted_by_all_meters_or_by_none(f: Fixture) {
    let few = Few::new(1);
    f.active_key().await;
    let create = |ids| {
        let meters = vec![vec![both().into_iter().map(|need| need.meter).collect()]];
        Write::Create(Box::new(store::NewRequest { meters, ..f.request(ids) }))
    };
    let first = Ids::fresh();
    let (written, _) = commit(&f, &few, vec![create(first)]).await;
    assert_eq!(written, [Written::Done]);
    let created_at = f.stored(first).await.created_at;
    // Its signature is counted as one of a request of that time.
    let mut intent = object(&f, first, both());
    intent.requested_at = Some(created_at);
    commit(&f, &few, vec![open(intent)]).await;
    let at = created_at.millis();
    assert_eq!(few.heard(), [format!("admitted at {at}"), format!("for one of {at}")]);
    let second = Ids::fresh();
    let (written, _) = commit(&f, &few, vec![create(second)]).await;
    assert_eq!(written, [Written::Refused { reason: "full" }]);
    assert!(f.store.request(super::rows::tenant(), second.request).await.unwrap().is_none());
    assert!(f.trail(second).await.is_empty());
}

async fn a_refusal_of_the_back_end_is_told_before_slots_are_given(f: Fixture) {
    let few = Few::new(10);
    let (ids, mut outcome) = signing(&f, &few).await;
    outcome.answer = Answer::Throttled;
    let other = f.created().await;
    // The signature stands first in the batch.
    let batch = vec![open(object(&f, other, vec![need("vault:a")])), again(&f, ids, &outcome)];
    let (written, _) = commit(&f, &few, batch).await;
    assert!(matches!(written[..], [Written::NoSlot { .. }, Written::Done]), "{written:?}");
    assert_eq!(few.heard(), ["throttled 1", "answered"]);
}

async fn a_batch_without_meters_asks_for_none(f: Fixture) {
    let few = Few::new(0);
    let ids = f.created().await;
    let (written, _) = commit(&f, &few, vec![open(f.object_intent(ids))]).await;
    assert_eq!(written, [Written::Opened { attempt: 1 }]);
    assert_eq!(few.begun.load(Ordering::SeqCst), 0);
    assert_eq!(f.sql("SELECT COUNT(*) FROM meter WHERE id <> 'database'"), "0");
}

async fn two_replicas_never_give_more_than_there_is(f: Fixture) {
    const SLOTS: usize = 40;
    let few = Few::new(SLOTS);
    let stores = [Arc::clone(&f.store), Arc::new(f.open_again().await.expect("a second replica"))];
    let rule: Arc<dyn BudgetRule> = Arc::new(Handle(Arc::clone(&few)));
    let tasks: Vec<_> = (0..30)
        .map(|n: usize| {
            let (store, rule) = (Arc::clone(&stores[n % 2]), Arc::clone(&rule));
            // The same two rows, named in both orders.
            let mut needs = both();
            if n.is_multiple_of(3) {
                needs.reverse();
            }
            let take = || Arc::new(Write::Take(Box::new(TakeSlots { needs: needs.clone() })));
            let batch = vec![take(), take(), take()];
            tokio::spawn(async move { store.commit(batch, &rule).await.expect("nobody fails") })
        })
        .collect();
    let mut granted = 0;
    for task in tasks {
        granted += task.await.unwrap().slots.len();
    }
    assert_eq!(granted, SLOTS, "90 were asked for");
    assert_eq!((returns(&f, "vault:a").len(), returns(&f, "subscription:s").len()), (SLOTS, SLOTS));
    if f.is_postgres() {
        std::thread::sleep(std::time::Duration::from_millis(1_200));
        let found = f.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
        assert_eq!(found, "0", "rows are locked in one order");
    }
}

async fn a_further_attempt_takes_a_slot_of_its_own(f: Fixture) {
    let few = Few::new(10);
    let (ids, outcome) = signing(&f, &few).await;
    let intent = outcome.intent;
    commit(&f, &few, vec![again(&f, ids, &outcome)]).await;
    let next = store::Reattempt { needs: vec![need("vault:a")], ..f.reattempt(ids, intent, 1) };
    let (written, slots) = commit(&f, &few, vec![Write::Reattempt(Box::new(next))]).await;
    assert_eq!(written, [Written::Opened { attempt: 2 }]);
    assert_eq!(slots[0].len(), 1);
    assert_eq!(returns(&f, "vault:a").len(), 2);
    assert_eq!(f.sql("SELECT status FROM attempt WHERE n = 1"), "429");
}

/// What a primary says that gave up waiting for its replica, from a trigger that runs at the end of a commit.
const WARNING_AT_COMMIT: &str = "CREATE FUNCTION doubt() RETURNS trigger LANGUAGE plpgsql AS \
     $$ BEGIN RAISE WARNING 'canceling wait for synchronous replication'; RETURN NULL; END $$; \
     CREATE CONSTRAINT TRIGGER doubt AFTER INSERT ON attempt DEFERRABLE INITIALLY DEFERRED FOR EACH ROW \
     EXECUTE FUNCTION doubt()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_with_a_notice_is_in_doubt() {
    let f = Fixture::postgres().await;
    let few = Few::new(10);
    let ids = f.created().await;
    f.sql(WARNING_AT_COMMIT);
    let rule: Arc<dyn BudgetRule> = Arc::new(Handle(Arc::clone(&few)));
    let doubtful = f.metered(vec![open(object(&f, ids, both()))], &rule).await;
    assert!(matches!(doubtful, Err(StoreError::CommitUnknown)), "{doubtful:?}");
    assert_eq!(returns(&f, "vault:a").len(), 1, "the slot stays, for a permit that nobody has");
    assert_eq!(few.committed.load(Ordering::SeqCst), 0, "the rule remembers nothing of it");
    // A commit without a notice on the same connection is sure again.
    let (written, _) = commit(&f, &few, vec![Write::Note(Box::new(f.object_intent(ids).event))]).await;
    assert_eq!(written, [Written::Done]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reading_is_made_again() {
    let f = Fixture::postgres().await;
    let few = Few::new(100);
    let take = || Write::Take(Box::new(TakeSlots { needs: both() }));
    // The first look is the batch's beginning; then there are two at every reading.
    for (jumps, took) in [
        (vec![0, 0, 50, 7], 50),
        (vec![0, 0, 51, 0, 8, 7], 8),
        (vec![0, 0, 51, 0, 60, 0, 3, 7], 3),
        (vec![0, 0, 51, 0, 60, 0, 70, 7], 70),
    ] {
        few.jumps.lock().unwrap().extend(&jumps);
        commit(&f, &few, vec![take()]).await;
        let read = few.read.lock().unwrap().take().expect("the time was read");
        assert_eq!(read.took(), Duration::from_millis(took), "{jumps:?}");
        assert_eq!(few.jumps.lock().unwrap().drain(..).collect::<Vec<_>>(), [7], "{jumps:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_server_that_made_the_tables_has_every_row() {
    let f = Fixture::postgres().await;
    let few = Few::new(10);
    let reading = async |meter: &str| {
        let take = Write::Take(Box::new(TakeSlots { needs: vec![need(meter)] }));
        commit(&f, &few, vec![take]).await;
        few.read.lock().unwrap().take().expect("the time was read")
    };
    let read = reading("vault:a").await;
    assert!(read.is_complete && !read.survives_epoch);
    assert_eq!(f.sql("SELECT state FROM meter WHERE id = 'database'"), read.epoch);
    // Another start of the product changes nothing, not even on another server.
    f.sql("UPDATE meter SET state = 'another server' WHERE id = 'database'");
    drop(f.open_again().await.expect("it opens again"));
    assert!(!reading("vault:b").await.is_complete);
    f.sql("UPDATE meter SET state = '' WHERE id = 'vault:a'");
    assert!(!reading("vault:a").await.is_complete, "a row without a state is none");
    f.sql("DELETE FROM meter WHERE id = 'database'");
    assert!(!reading("vault:c").await.is_complete);
}
