//! Who waits for slots, who is served first, and who does not wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use store::{Need, TakeSlots};

use super::*;

const VAULT: &str = "vault:a";

/// Slots per meter that a test hands out, and what came to pass.
#[derive(Default)]
struct Vault {
    free: Mutex<HashMap<String, usize>>,
    /// What a member without a slot is told.
    wait_ms: Mutex<i64>,
    state: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Who got a slot, by number, and when.
    served: Vec<(u64, Instant)>,
    /// When a batch asked for slots.
    asked: Vec<Instant>,
    waiting: HashMap<MeterName, u64>,
}

impl Vault {
    fn start(free: usize, wait_ms: i64) -> (Arc<Self>, Committer, CancellationToken) {
        let vault = Arc::new(Self::default());
        vault.give(VAULT, free);
        *vault.wait_ms.lock().unwrap() = wait_ms;
        let stop = CancellationToken::new();
        let (committer, _task) = Committer::start(Arc::clone(&vault), stop.clone());
        (vault, committer, stop)
    }

    fn give(&self, meter: &str, slots: usize) {
        *self.free.lock().unwrap().entry(meter.to_owned()).or_default() += slots;
    }

    fn served(&self) -> Vec<u64> {
        self.state.lock().unwrap().served.iter().map(|(number, _)| *number).collect()
    }
}

#[async_trait]
impl Commits for Vault {
    async fn commit(&self, batch: Vec<Arc<Write>>) -> Result<Committed, StoreError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let now = Instant::now();
        let mut committed = done(batch.len());
        let mut seen = self.state.lock().unwrap();
        let mut free = self.free.lock().unwrap();
        if batch.iter().any(|write| !write.needs().is_empty()) {
            seen.asked.push(now);
        }
        for (index, write) in batch.iter().enumerate() {
            let Some(need) = write.needs().first() else { continue };
            let left = free.entry(need.meter.to_string()).or_default();
            if *left == 0 {
                committed.written[index] = Written::NoSlot { wait_ms: *self.wait_ms.lock().unwrap() };
                continue;
            }
            *left -= 1;
            seen.served.push((need.units, now));
            let slot = Slot { meter: need.meter.clone(), text: need.units.to_string() };
            committed.slots.insert(index, vec![slot]);
        }
        Ok(committed)
    }

    fn waiting(&self, waiting: HashMap<MeterName, u64>) {
        self.state.lock().unwrap().waiting = waiting;
    }
}

fn take(meter: &str, number: u64) -> Write {
    let need = Need { meter: meter.into(), operations: "sign", units: number };
    Write::Take(Box::new(TakeSlots { needs: vec![need] }))
}

fn after(duration: Duration) -> std::time::Instant {
    (Instant::now() + duration).into_std()
}

/// Hands over a member in the background.
fn wait_in(
    committer: &Committer,
    lane: Lane,
    number: u64,
    patience: Duration,
) -> tokio::task::JoinHandle<Result<Answered, StoreError>> {
    let (committer, until) = (committer.clone(), after(patience));
    tokio::spawn(async move { committer.submit_in(lane, take(VAULT, number), until).await })
}

const LONG: Duration = Duration::from_secs(9);

async fn pass(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

#[tokio::test(start_paused = true)]
async fn lanes_are_served_in_their_order_and_each_in_the_order_of_arrival() {
    let (vault, committer, _stop) = Vault::start(0, 20);
    let lanes = [Lane::Batch, Lane::New, Lane::Begun, Lane::Lifecycle];
    let mut tasks = Vec::new();
    for (at, lane) in (0..).zip(lanes) {
        for place in 0..2 {
            tasks.push(wait_in(&committer, lane, 10 * at + place, LONG));
            pass(1).await;
        }
    }
    assert!(vault.served().is_empty());
    for _ in 0..8 {
        vault.give(VAULT, 1);
        pass(100).await;
    }
    assert_eq!(vault.served(), [30, 31, 20, 21, 10, 11, 0, 1]);
    for task in tasks {
        let answered = task.await.unwrap().unwrap();
        assert_eq!((answered.written, answered.slots.len()), (Written::Done, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_else_waits_for_those_who_wait_for_slots() {
    let (_vault, committer, _stop) = Vault::start(0, 20);
    let crowd: Vec<_> = (0..2_000).map(|number| wait_in(&committer, Lane::Begun, number, LONG)).collect();
    pass(50).await;
    for number in 0..20 {
        let begun = Instant::now();
        assert!(matches!(committer.submit(numbered(number)).await, Ok(Written::Done)));
        assert!(begun.elapsed() <= Duration::from_millis(3), "{:?}", begun.elapsed());
        pass(7).await;
    }
    drop(crowd);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_other_changes_does_not_keep_slots_away() {
    let (vault, committer, _stop) = Vault::start(1, 20);
    let notes: Vec<_> = (0..3 * 128)
        .map(|number| {
            let committer = committer.clone();
            tokio::spawn(async move { committer.submit(numbered(number)).await })
        })
        .collect();
    let begun = Instant::now();
    wait_in(&committer, Lane::Batch, 1, LONG).await.unwrap().unwrap();
    assert!(begun.elapsed() <= Duration::from_millis(3), "{:?}", begun.elapsed());
    assert_eq!(vault.served(), [1]);
    for note in notes {
        note.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_given_up_and_takes_nothing() {
    let (vault, committer, _stop) = Vault::start(0, 20);
    let begun = Instant::now();
    let patience = Duration::from_millis(9_500);
    let waiting = wait_in(&committer, Lane::New, 1, patience);
    let other = wait_in(&committer, Lane::Begun, 2, Duration::from_secs(60));
    let answered = waiting.await.unwrap().unwrap();
    assert!(matches!(answered.written, Written::NoSlot { .. }), "{answered:?}");
    assert!(answered.slots.is_empty());
    let waited = begun.elapsed();
    assert!(waited >= patience && waited < patience + Duration::from_millis(20), "{waited:?}");
    vault.give(VAULT, 5);
    other.await.unwrap().unwrap();
    assert_eq!(vault.served(), [2]);
    pass(1_000).await;
    assert_eq!(vault.served(), [2], "nobody signs for who has gone");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_any_more_takes_no_slot() {
    let (vault, committer, _stop) = Vault::start(0, 20);
    let gone = wait_in(&committer, Lane::New, 1, LONG);
    pass(5).await;
    gone.abort();
    pass(5).await;
    vault.give(VAULT, 1);
    pass(1_000).await;
    assert!(vault.served().is_empty());
}

#[tokio::test(start_paused = true)]
async fn vaults_do_not_wait_for_each_other() {
    let (vault, committer, _stop) = Vault::start(0, 60_000);
    let waiting = wait_in(&committer, Lane::Lifecycle, 1, LONG);
    pass(20).await;
    vault.give("vault:b", 1);
    let begun = Instant::now();
    let served = committer.submit_in(Lane::Batch, take("vault:b", 2), after(LONG)).await.unwrap();
    assert_eq!(served.slots.len(), 1);
    assert!(begun.elapsed() <= Duration::from_millis(3), "{:?}", begun.elapsed());
    assert!(!waiting.is_finished());
}

#[tokio::test(start_paused = true)]
async fn it_asks_again_when_a_slot_returns_and_not_before() {
    let (vault, committer, _stop) = Vault::start(0, 40);
    let waiting = wait_in(&committer, Lane::New, 1, LONG);
    pass(10).await;
    vault.give(VAULT, 1);
    // Who comes later does not make it ask earlier either.
    let later = wait_in(&committer, Lane::New, 2, LONG);
    let begun = vault.state.lock().unwrap().asked[0];
    waiting.await.unwrap().unwrap();
    let asked = vault.state.lock().unwrap().asked.clone();
    assert_eq!(asked.len(), 2, "{asked:?}");
    let waited = asked[1].duration_since(begun);
    assert!((40..=45).contains(&waited.as_millis()), "{waited:?}");
    assert!(!later.is_finished());
}

#[tokio::test(start_paused = true)]
async fn the_row_hears_how_much_waits_four_times_a_second() {
    let (vault, committer, _stop) = Vault::start(0, 15_000);
    let crowd: Vec<_> = (1..=3).map(|number| wait_in(&committer, Lane::New, number, LONG)).collect();
    pass(2_100).await;
    let (asked, waiting) = {
        let seen = vault.state.lock().unwrap();
        (seen.asked.len(), seen.waiting.clone())
    };
    assert!((8..=11).contains(&asked), "{asked}");
    assert_eq!(waiting, HashMap::from([(VAULT.into(), 1 + 2 + 3)]), "in units");
    drop(crowd);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_nobody_is_left_waiting() {
    let (_vault, committer, stop) = Vault::start(0, 15_000);
    let waiting = wait_in(&committer, Lane::New, 1, LONG);
    pass(10).await;
    stop.cancel();
    let answered = waiting.await.unwrap().unwrap();
    assert!(matches!(answered.written, Written::NoSlot { .. }), "{answered:?}");
    assert!(!committer.is_running());
}

#[tokio::test(start_paused = true)]
async fn a_line_of_one_request_is_not_in_one_batch() {
    // Two members of one request, as the first proof and its repetition are.
    let (vault, committer, _stop) = Vault::start(2, 20);
    let request = domain::RequestId::new(Uuid::from_u64_pair(0, 9));
    let again = |number: u64| {
        Write::Reattempt(Box::new(store::Reattempt {
            tenant: "a5f1c9d2-0000-4000-8000-00000000abcd".parse().unwrap(),
            intent: domain::IntentId::new(Uuid::from_u64_pair(0, number)),
            request: Some(request),
            after: 1,
            started_at: Timestamp::from_millis(0),
            patience_ms: 3_000,
            needs: vec![Need { meter: VAULT.into(), operations: "sign", units: number }],
            event: {
                let Write::Note(event) = numbered(number) else { unreachable!() };
                *event
            },
        }))
    };
    let both = [again(1), again(2)].map(|write| committer.submit_in(Lane::Begun, write, after(LONG)));
    futures_util::future::join_all(both).await;
    let served = vault.state.lock().unwrap().served.clone();
    assert_eq!(served.len(), 2);
    assert!(served[0].1 < served[1].1, "one batch after the other");
}
