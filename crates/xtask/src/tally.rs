//! Counting test results from what `cargo test` prints. Owns the form of the `test result:` line and nothing else.

/// What the test binaries seen so far reported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
    /// Tests that were marked `#[ignore]` and therefore did not run.
    pub ignored: u64,
}

impl Tally {
    /// Adds what `line` reports, if it is a result line of the standard test runner (`test result: ok. 3 passed; ...`).
    pub fn read(&mut self, line: &str) {
        let Some((_, counts)) =
            line.trim_start().strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for part in counts.split(';') {
            let Some((number, label)) = part.trim().split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match label {
                "passed" => self.passed = self.passed.saturating_add(number),
                "failed" => self.failed = self.failed.saturating_add(number),
                "ignored" => self.ignored = self.ignored.saturating_add(number),
                _ => {}
            }
        }
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: Tally) {
        self.passed = self.passed.saturating_add(other.passed);
        self.failed = self.failed.saturating_add(other.failed);
        self.ignored = self.ignored.saturating_add(other.ignored);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(lines: &[&str]) -> Tally {
        let mut tally = Tally::default();
        for line in lines {
            tally.read(line);
        }
        tally
    }

    #[test]
    fn counts_add_up_over_binaries() {
        let seen = tally(&[
            "running 3 tests",
            "test a ... ok",
            "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.00s",
            "test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s",
        ]);
        assert_eq!(seen, Tally { passed: 7, failed: 2, ignored: 1 });
    }

    #[test]
    fn other_lines_count_nothing() {
        let seen = tally(&[
            "",
            "3 passed; 1 failed",
            "test result:",
            "test result: ok",
            "test result: ok. x passed; failed",
        ]);
        assert_eq!(seen, Tally::default());
    }

    #[test]
    fn two_tallies_add() {
        let mut sum = Tally { passed: 1, failed: 0, ignored: 2 };
        sum.add(Tally { passed: 4, failed: 3, ignored: 0 });
        assert_eq!(sum, Tally { passed: 5, failed: 3, ignored: 2 });
    }
}
