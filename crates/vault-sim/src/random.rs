//! Owns the draws that a seed repeats: latencies, delays of the log, the offset of fixed windows. Never used for keys or ids.

use std::time::Duration;

/// A small generator (SplitMix64): the same seed draws the same numbers.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 when there is none.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// Between 0 and 1, both excluded.
    fn unit(&mut self) -> f64 {
        let draw = u32::try_from(self.next() >> 32).unwrap_or(0);
        (f64::from(draw) + 0.5) / (f64::from(u32::MAX) + 1.0)
    }

    /// From a log-normal distribution whose 99th percentile is 4.8 times the median (120 ms to 25 ms).
    pub fn latency(&mut self, median: Duration) -> Duration {
        /// ln(4.8) over 2.326, the 99th percentile of the normal distribution.
        const SIGMA: f64 = 0.674_4;
        let (first, second) = (self.unit(), self.unit());
        let normal = (-2.0 * first.ln()).sqrt() * (std::f64::consts::TAU * second).cos();
        Duration::try_from_secs_f64(median.as_secs_f64() * (SIGMA * normal).exp()).unwrap_or(median)
    }
}

/// Bytes from the system, for ids and key versions.
pub fn unpredictable<const LENGTH: usize>() -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        // The system has no randomness to give. Ids that repeat would mix up attempts, so nothing goes on.
        std::process::abort();
    }
    bytes
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// A GUID over 16 bytes, marked as a random one.
pub fn guid(mut bytes: [u8; 16]) -> String {
    let [_, _, _, _, _, _, kind, _, variant, ..] = &mut bytes;
    *kind = (*kind & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    let text = hex(&bytes);
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}
