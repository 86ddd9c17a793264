//! What a process costs: CPU time by thread and resident memory, from `/proc`; and the unit, one P-256 verification.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};

/// CPU times at one moment, in milliseconds.
pub struct Snapshot {
    pub total_ms: f64,
    by_thread: BTreeMap<u32, (String, f64)>,
}

/// The kernel's clock ticks per second; 100 on every Linux that this runs on.
const TICKS: f64 = 100.0;

fn times(stat: &str) -> (String, f64) {
    let (front, back) = stat.rsplit_once(')').expect("a name in brackets");
    let name = front.split_once('(').expect("a name in brackets").1.to_owned();
    let fields: Vec<&str> = back.split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().map(|at| fields[*at].parse::<f64>().expect("a number of ticks")).sum();
    (name, ticks * 1000.0 / TICKS)
}

/// CPU times now. Per-thread times come from `schedstat` (nanoseconds): ticks would be too coarse.
pub fn snapshot(pid: u32) -> Snapshot {
    let mut by_thread = BTreeMap::new();
    let mut total_ms = 0.0;
    for entry in std::fs::read_dir(format!("/proc/{pid}/task")).expect("the server's threads").flatten() {
        let Ok(id) = entry.file_name().to_string_lossy().parse() else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let (name, ticks_ms) = times(&stat);
        let ms = std::fs::read_to_string(entry.path().join("schedstat"))
            .ok()
            .and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok())
            .map_or(ticks_ms, |nanos| nanos / 1e6);
        total_ms += ms;
        by_thread.insert(id, (name, ms));
    }
    Snapshot { total_ms, by_thread }
}

/// CPU milliseconds between two snapshots, by kind of thread.
pub fn split(before: &Snapshot, after: &Snapshot) -> Vec<(String, f64)> {
    let mut kinds: BTreeMap<String, f64> = BTreeMap::new();
    for (id, (name, ms)) in &after.by_thread {
        let earlier = before.by_thread.get(id).map_or(0.0, |(_, ms)| *ms);
        let kind =
            if name.starts_with("actix") || name.starts_with("acti") { "http+crypto" } else { name.as_str() };
        *kinds.entry(kind.to_owned()).or_default() += ms - earlier;
    }
    let mut kinds: Vec<_> = kinds.into_iter().filter(|(_, ms)| *ms > 0.5).collect();
    kinds.sort_by(|a, b| b.1.total_cmp(&a.1));
    kinds
}

/// Resident memory in MiB.
pub fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the server's status");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).expect("a number of KiB") / 1024.0
}

/// Measures P-256 verifications by aws-lc-rs beside the load: the unit has to feel the same machine as the server.
pub struct Unit {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<f64>>,
}

impl Unit {
    /// Begins to measure: some verifications twenty times a second.
    pub fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let random = SystemRandom::new();
            let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
            let signature = key.sign(&random, b"message").expect("a signature");
            let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public_key().as_ref());
            let mut samples = Vec::new();
            while !told.load(Ordering::Relaxed) {
                let began = Instant::now();
                for _ in 0..5 {
                    public.verify(b"message", signature.as_ref()).expect("a good signature");
                }
                samples.push(began.elapsed().as_secs_f64() * 1e6 / 5.0);
                std::thread::sleep(Duration::from_millis(50));
            }
            samples
        });
        Self { stop, thread }
    }

    /// The median, in microseconds: a quarter of a millisecond is seldom interrupted.
    pub fn finish(self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        let mut samples = self.thread.join().expect("the measuring thread");
        samples.sort_by(f64::total_cmp);
        samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
    }
}
