//! The budget from end to end on a small vault: 30 signatures in 2 s. The simulator judges.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use credenza_tests::process::Answer;
use tokio::task::JoinSet;
use vault_sim::{Arrival, FaultKind, LatencyConfig, Limits, SimConfig, ThrottleConfig, Window};

use super::bench::{Bench, Scanned, assert_busy, assert_overloaded, created};
use crate::issuance::fixture::Created;

const LIMIT: u32 = 30;
const LENGTH: Duration = Duration::from_secs(2);
const SUSTAINED: Duration = Duration::from_secs(10);
/// More than the vault carries.
const PEOPLE: usize = 24;

/// The same in the configuration.
fn limits() -> String {
    format!("limits = {{ sign = {LIMIT}, create = 10, window_secs = {} }}\n", LENGTH.as_secs())
}

/// As many operations may be in a window.
fn most() -> usize {
    usize::try_from(LIMIT).expect("a small number")
}

fn small(window: Window) -> SimConfig {
    let throttle = ThrottleConfig {
        window,
        length: LENGTH,
        limits: Limits::single(LIMIT.into(), 10),
        ..ThrottleConfig::default()
    };
    let latency = LatencyConfig { median: Duration::from_millis(5), first_request: Duration::ZERO };
    SimConfig { throttle, latency, ..SimConfig::quick() }
}

/// Front ends and wallets that never pause.
struct Crowd {
    bench: Arc<Bench>,
    /// Whether wallets that are told to try again do so; otherwise that fails the test.
    patient: bool,
    closing: AtomicBool,
    refused: AtomicUsize,
    slowest_refusal_ms: AtomicUsize,
    finished: AtomicUsize,
}

impl Crowd {
    fn new(bench: &Arc<Bench>, patient: bool) -> Arc<Self> {
        Arc::new(Self {
            bench: Arc::clone(bench),
            patient,
            closing: AtomicBool::new(false),
            refused: AtomicUsize::new(0),
            slowest_refusal_ms: AtomicUsize::new(0),
            finished: AtomicUsize::new(0),
        })
    }

    fn finished(&self) -> usize {
        self.finished.load(Ordering::SeqCst)
    }

    async fn keep_asking(self: Arc<Self>) {
        while !self.closing.load(Ordering::SeqCst) {
            let asked = Instant::now();
            let answer = self.bench.service.create(&self.bench.body()).await;
            if answer.status == 201 {
                self.serve(created(answer)).await;
                self.finished.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            // The only call that overload refuses.
            assert_overloaded(&answer);
            let took = usize::try_from(asked.elapsed().as_millis()).expect("in range");
            self.slowest_refusal_ms.fetch_max(took, Ordering::SeqCst);
            self.refused.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    async fn serve(&self, request: Created) {
        if self.patient {
            persist(|| self.bench.fetch(&request)).await;
        }
        let wallet = Scanned::of(&self.bench, request).await;
        if self.patient {
            persist(|| wallet.send()).await;
        }
        wallet.finish().await;
    }

    /// Serves `PEOPLE` for so long; all of them end well.
    async fn run(self: &Arc<Self>, span: Duration) {
        let mut people = JoinSet::new();
        for _ in 0..PEOPLE {
            people.spawn(Arc::clone(self).keep_asking());
        }
        tokio::time::sleep(span).await;
        self.closing.store(true, Ordering::SeqCst);
        while let Some(person) = people.join_next().await {
            person.expect("everybody who was admitted is served");
        }
        self.closing.store(false, Ordering::SeqCst);
    }
}

/// A step of a wallet, repeated while it is told to try again.
async fn persist<F: Future<Output = Answer>>(mut step: impl FnMut() -> F) {
    loop {
        let answer = step().await;
        if answer.status == 200 {
            return;
        }
        assert_busy(&answer);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The most operations of ours in any interval of one window.
fn fullest(arrivals: &[Arrival]) -> usize {
    let mut times: Vec<f64> = arrivals.iter().map(|arrival| arrival.ms).collect();
    times.sort_by(f64::total_cmp);
    let length = LENGTH.as_secs_f64() * 1_000.0;
    let counts = times.iter().enumerate().map(|(last, at)| {
        let first = times.partition_point(|earlier| *earlier <= at - length);
        last + 1 - first
    });
    counts.max().unwrap_or_default()
}

async fn overload(window: Window) {
    let bench = Arc::new(Bench::serve(small(window), &limits()).await);
    let crowd = Crowd::new(&bench, false);
    crowd.run(SUSTAINED).await;
    let arrivals = bench.simulator.sim.arrivals();
    let throttled = arrivals.iter().filter(|arrival| arrival.status == 429).count();
    assert_eq!(throttled, 0, "the vault had to refuse");
    let fullest = fullest(&arrivals);
    assert!(fullest <= most(), "{fullest} operations in {LENGTH:?}");
    let (finished, refused) = (crowd.finished(), crowd.refused.load(Ordering::SeqCst));
    let slowest = crowd.slowest_refusal_ms.load(Ordering::SeqCst);
    println!(
        "{window:?}: {finished} issuances, {fullest} operations in the fullest window, {refused} requests refused, the slowest in {slowest} ms"
    );
    assert!(refused > 0, "there was no overload");
    // Full use would be 75 issuances. How much of it is used is measured by the load tests, on a machine of their own.
    assert!(finished >= 20, "{finished} issuances");
    bench.reconcile().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vault_with_a_sliding_window_never_has_to_refuse() {
    overload(Window::Sliding).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vault_with_fixed_windows_never_has_to_refuse() {
    overload(Window::Fixed).await;
}

/// For two seconds the vault's answers get lost, so that every slot that was taken is held for the longest time. After one
/// window, an attempt's deadline and 5 s everything is as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_outage_the_full_rate_comes_back() {
    let bench = Arc::new(Bench::serve(small(Window::Sliding), &limits()).await);
    let crowd = Crowd::new(&bench, true);
    let watched = Arc::clone(&bench);
    let outage = tokio::spawn(async move {
        tokio::time::sleep(2 * LENGTH).await;
        let before = watched.asked().len();
        watched.break_signing(FaultKind::ResetAfter);
        tokio::time::sleep(LENGTH).await;
        watched.mend();
        let mended = watched.asked().len();
        tokio::time::sleep(LENGTH + Duration::from_secs(3 + 5)).await;
        (before, mended, watched.asked().len())
    });
    crowd.run(4 * LENGTH + Duration::from_secs(3 + 5)).await;
    let (before, mended, back) = outage.await.expect("the outage ends");
    let arrivals = bench.simulator.sim.arrivals();
    assert!(arrivals.iter().all(|arrival| arrival.status != 429), "the vault had to refuse");
    assert!(fullest(&arrivals) <= most());
    let asked = bench.asked();
    let (usual, again) = (fullest(&asked[..before]), fullest(&asked[mended..back]));
    println!("{usual} signatures in a full window, {again} after the outage; {} issuances", crowd.finished());
    assert!(again * 5 >= usual * 4, "{again} signatures in a window instead of {usual}");
    let record = bench.reconcile().await;
    assert!(record.ended("unavailable") > 0, "the outage met nobody");
}

/// Somebody else takes half of the vault: it refuses us now and then, and we shrink until it hardly does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_tenant_takes_half() {
    let bench = Arc::new(Bench::serve(small(Window::Sliding), &limits()).await);
    let sim = &bench.simulator.sim;
    // Where less is left than was admitted, the last ones have to come again.
    let crowd = Crowd::new(&bench, true);
    sim.set_foreign("vault", LIMIT / 4);
    crowd.run(SUSTAINED).await;
    let shared = bench.asked();
    let refused = shared.iter().filter(|arrival| arrival.status == 429).count();
    assert!(refused > 0, "the foreign tenant was not felt");
    assert!(refused * 5 < shared.len(), "{refused} of {} attempts were in vain", shared.len());
    let meanwhile = crowd.finished();
    assert!(meanwhile >= 10, "{meanwhile} issuances beside the foreign tenant");
    // He leaves. What he had comes back slowly; nothing of ours is refused from now on.
    sim.set_foreign("vault", 0);
    tokio::time::sleep(LENGTH).await;
    crowd.run(SUSTAINED / 2).await;
    let alone = bench.asked().split_off(shared.len());
    assert!(alone.iter().all(|arrival| arrival.status == 200), "the foreign tenant has gone");
    let finished = crowd.finished() - meanwhile;
    println!(
        "{refused} of {} attempts refused; {meanwhile} issuances beside the tenant, {finished} in half the time alone",
        shared.len()
    );
    assert!(finished >= 5, "{finished} issuances without the foreign tenant");
    bench.reconcile().await;
}
