//! What a run measured.

use super::S;

#[derive(Default)]
pub(super) struct Report {
    /// When operations reached the vault and were carried out, µs.
    pub(super) accepted: Vec<i64>,
    /// When ours were refused.
    pub(super) refused: Vec<i64>,
    /// The same of the other tenant.
    pub(super) foreign_accepted: Vec<i64>,
    pub(super) foreign_refused: Vec<i64>,
    /// From asked to granted, µs, with the time of the grant.
    pub(super) waits: Vec<(i64, i64)>,
    /// From asked to answered, the longest, µs.
    pub(super) slowest: i64,
    pub(super) created: u64,
    pub(super) turned_away: u64,
    pub(super) completed: u64,
    pub(super) unfinished: usize,
    pub(super) longest_text: usize,
    pub(super) m: f64,
}

impl Report {
    /// Operations per second within a span of time, µs.
    pub(super) fn rate(times: &[i64], from: i64, to: i64) -> f64 {
        let count = times.iter().filter(|at| (from..to).contains(at)).count();
        f64::from(u32::try_from(count).unwrap()) * 1e6
            / f64::from(i32::try_from((to - from) / 1000).unwrap())
            / 1e3
    }

    /// The share of waits, in thousandths, from a time on, ms.
    pub(super) fn wait(&self, from: i64, thousandths: usize) -> f64 {
        let mut waits: Vec<i64> =
            self.waits.iter().filter(|(at, _)| *at >= from).map(|(_, wait)| *wait).collect();
        waits.sort_unstable();
        let wait = waits[(waits.len() - 1) * thousandths / 1000];
        f64::from(i32::try_from(wait).unwrap()) / 1e3
    }

    /// The most that any interval of 10 s held.
    pub(super) fn fullest(&self) -> usize {
        let mut times = self.accepted.clone();
        times.sort_unstable();
        let mut first = 0;
        let mut most = 0;
        for (index, at) in times.iter().enumerate() {
            while times[first] <= at - 10 * S {
                first += 1;
            }
            most = most.max(index + 1 - first);
        }
        most
    }
}
