//! What processes use: resident memory and CPU time, from `/proc`. A process that is gone counts nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The kernel's clock ticks per second; 100 on every Linux that this runs on.
const TICKS: f64 = 100.0;

/// Resident memory in MiB.
fn resident_mib(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS"))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib / 1024.0)
}

/// CPU time so far, in seconds.
fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS)
}

/// One second's memory of the product, all replicas together.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Seconds since the start.
    pub at: f64,
    pub mib: f64,
    /// Replicas that were there.
    pub replicas: usize,
}

#[derive(Default)]
struct Seen {
    product: Vec<u32>,
    memory: Vec<Memory>,
    /// The last known CPU time of each process, by group.
    cpu: BTreeMap<u32, (&'static str, f64)>,
}

/// Watches, once a second.
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
    others: Vec<(&'static str, u32)>,
    task: tokio::task::JoinHandle<()>,
}

/// The product's group.
const PRODUCT: &str = "credenza";

impl Watch {
    /// Begins: `others` are watched for their CPU time.
    pub fn start(product: Vec<u32>, others: Vec<(&'static str, u32)>) -> Self {
        let seen = Arc::new(Mutex::new(Seen { product, ..Seen::default() }));
        let (told, watched) = (Arc::clone(&seen), others.clone());
        let task = tokio::spawn(async move {
            let began = Instant::now();
            let mut tick = tokio::time::interval(Duration::from_secs(1));
            loop {
                tick.tick().await;
                look(&told, &watched, began.elapsed().as_secs_f64());
            }
        });
        Self { seen, others, task }
    }

    /// The product's processes from now on.
    pub fn product(&self, pids: Vec<u32>) {
        self.seen.lock().expect("no watcher panics").product = pids;
    }

    /// Ends: memory by second, and CPU seconds by group.
    pub fn finish(self) -> (Vec<Memory>, BTreeMap<&'static str, f64>) {
        self.task.abort();
        look(&self.seen, &self.others, f64::NAN);
        let seen = self.seen.lock().expect("no watcher panics");
        let mut groups = BTreeMap::new();
        for (group, seconds) in seen.cpu.values() {
            *groups.entry(*group).or_insert(0.0) += seconds;
        }
        (seen.memory.iter().copied().filter(|memory| memory.at.is_finite()).collect(), groups)
    }
}

fn look(seen: &Mutex<Seen>, others: &[(&'static str, u32)], at: f64) {
    let mut seen = seen.lock().expect("no watcher panics");
    let sizes: Vec<f64> = seen.product.iter().filter_map(|pid| resident_mib(*pid)).collect();
    seen.memory.push(Memory { at, mib: sizes.iter().sum(), replicas: sizes.len() });
    let product: Vec<_> = seen.product.iter().map(|pid| (PRODUCT, *pid)).collect();
    for (group, pid) in product.into_iter().chain(others.iter().copied()) {
        if let Some(seconds) = cpu_seconds(pid) {
            seen.cpu.insert(pid, (group, seconds));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something_and_none_uses_nothing() {
        let me = std::process::id();
        assert!(resident_mib(me).unwrap() > 1.0);
        assert!(cpu_seconds(me).unwrap() >= 0.0);
        assert!(resident_mib(u32::MAX).is_none() && cpu_seconds(u32::MAX).is_none());
    }
}
