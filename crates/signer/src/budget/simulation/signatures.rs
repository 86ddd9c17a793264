//! Where work comes from.

use super::super::random::Random;
use super::{MS, S};

/// What the replicas are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Demand {
    /// Front ends create requests at this rate per second; 70 % are scanned after 1 to 30 s, each of which takes two
    /// signatures.
    Requests(i64),
    /// So many signatures wait at any time.
    Always(usize),
    /// So many at once, at a time in µs.
    Burst(usize, i64),
}

/// Share of codes that are scanned, thousandths.
pub(super) const SCANNED: i64 = 700;

/// From a code shown to its scan, µs.
pub(super) fn scan(random: &mut Random) -> i64 {
    random.between(S, 30 * S)
}

/// From the request object to the wallet's answer, µs.
pub(super) fn consent(random: &mut Random) -> i64 {
    random.between(300 * MS, 3 * S)
}

/// One exchange with the vault, µs: log-normal, median 25 ms, 99th percentile 120 ms.
pub(super) fn latency(random: &mut Random) -> i64 {
    // A sum of twelve uniforms is near enough to a normal deviate.
    let normal: f64 = (0..12).map(|_| random.unit()).sum::<f64>() - 6.0;
    let micros = 25_000.0 * (normal * 0.674).exp();
    // Whole microseconds, without a cast: find the integer by halving.
    let (mut low, mut high) = (1_000_i32, 2_900_000_i32);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if f64::from(middle) <= micros { low = middle } else { high = middle }
    }
    i64::from(low)
}
