//! Seeded randomness for the model and the simulations: the same seed, the same history.
//!
//! Owns a generator (SplitMix64: Steele, Lea, Flood, OOPSLA 2014). Tests only.

/// A stream of random numbers.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5851_F42D_4C95_7F2D)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Between both, both included.
    pub(super) fn between(&mut self, least: i64, most: i64) -> i64 {
        let span = u64::try_from(most - least).unwrap() + 1;
        least + i64::try_from(self.next() % span).unwrap()
    }

    /// True so many times in a thousand.
    pub(super) fn chance(&mut self, thousandths: i64) -> bool {
        self.between(0, 999) < thousandths
    }

    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.between(0, i64::try_from(of.len()).unwrap() - 1)).unwrap()]
    }

    /// Between both, but in two of three cases one of both: where rules break is at the ends.
    pub(super) fn extreme(&mut self, least: i64, most: i64) -> i64 {
        match self.between(0, 2) {
            0 => least,
            1 => most,
            _ => self.between(least, most),
        }
    }

    /// Uniform in [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() >> 32).unwrap()) / 4_294_967_296.0
    }
}
