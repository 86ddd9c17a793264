//! Lengths of time as people write them: `8h`, `1d12h`, `90d`, `500ms`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A length of time in whole milliseconds, at most [`Span::LONGEST_YEARS`] years. Not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(u64);

/// The text is no length of time.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidSpan {
    /// It is not built as it has to be.
    #[error(
        "it has to be numbers with units, the largest first: 10s, 8h, 1d12h, 90d, 2w, 500ms (w, d, h, m, s, ms)"
    )]
    Form,
    /// It is no time at all.
    #[error("it must not be zero")]
    Zero,
    /// It is too long to mean it.
    #[error("it is longer than {} years", Span::LONGEST_YEARS)]
    TooLong,
}

/// Units, the largest first, in milliseconds. Neither months nor years: they have no fixed length.
const UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Span {
    /// The longest that is taken, in years of 365 days.
    pub const LONGEST_YEARS: u64 = 1_000;

    const LONGEST: u64 = Self::LONGEST_YEARS * 365 * 86_400_000;

    /// In milliseconds.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// As the standard library has it.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }

    /// A span of whole milliseconds.
    pub const fn from_millis(millis: u64) -> Result<Self, InvalidSpan> {
        match millis {
            0 => Err(InvalidSpan::Zero),
            millis if millis > Self::LONGEST => Err(InvalidSpan::TooLong),
            millis => Ok(Self(millis)),
        }
    }
}

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut rest = text.trim();
        let mut millis = 0_u64;
        let mut units = UNITS.iter();
        if rest.is_empty() {
            return Err(InvalidSpan::Form);
        }
        while !rest.is_empty() {
            let digits = rest.find(|letter: char| !letter.is_ascii_digit()).ok_or(InvalidSpan::Form)?;
            let (number, after) = rest.split_at(digits);
            let end = after.find(|letter: char| letter.is_ascii_digit()).unwrap_or(after.len());
            let (unit, after) = after.split_at(end);
            // Only what is smaller than the unit before may follow: each unit once, in order.
            let (_, size) = units.find(|(name, _)| *name == unit).ok_or(InvalidSpan::Form)?;
            if number.is_empty() {
                return Err(InvalidSpan::Form);
            }
            // Digits only, so it can fail for its size alone.
            let number: u64 = number.parse().map_err(|_source| InvalidSpan::TooLong)?;
            let part = number.checked_mul(*size).ok_or(InvalidSpan::TooLong)?;
            millis = millis.checked_add(part).ok_or(InvalidSpan::TooLong)?;
            rest = after;
        }
        Self::from_millis(millis)
    }
}

/// In days and below: what people compare rollouts in.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        for (unit, size) in UNITS.iter().skip(1) {
            let count = rest / size;
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
            rest %= size;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn millis(text: &str) -> Result<u64, InvalidSpan> {
        text.parse::<Span>().map(Span::millis)
    }

    #[test]
    fn what_people_write_is_read() {
        for (text, expected) in [
            ("10s", 10_000),
            ("500ms", 500),
            ("8h", 28_800_000),
            ("1d12h", 129_600_000),
            ("2w", 1_209_600_000),
            ("365d", 31_536_000_000),
            ("1m30s", 90_000),
            (" 90d ", 7_776_000_000),
            ("0d1s", 1_000),
            ("007s", 7_000),
        ] {
            assert_eq!(millis(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "", " ", "10", "s", "10 s", "1y", "1.5h", "-1d", "+1d", "10s8h", "1h1h", "1dh", "10S", "１d", "∞",
        ]
        .into_iter()
        {
            assert_eq!(millis(text), Err(InvalidSpan::Form), "{text}");
        }
        assert_eq!(millis("0s"), Err(InvalidSpan::Zero));
        for text in ["365001d", "18446744073709551615w", "99999999999999999999s", "1w18446744073709551615ms"]
        {
            assert_eq!(millis(text), Err(InvalidSpan::TooLong), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            text.parse::<Span>().ok();
        }

        #[test]
        fn almost_spans_do_not_either(text in "([0-9]{0,21}(w|d|h|m|s|ms|x)?){0,7}") {
            text.parse::<Span>().ok();
        }

        #[test]
        fn what_is_written_reads_back(length in 1_u64..=Span::LONGEST) {
            let span = Span::from_millis(length).unwrap();
            prop_assert_eq!(span.to_string().parse::<Span>(), Ok(span));
        }

        #[test]
        fn parts_add_up(w in 0_u64..50, d in 0_u64..50, h in 0_u64..50, m in 0_u64..90, s in 0_u64..90, ms in 1_u64..2_000) {
            let text = format!("{w}w{d}d{h}h{m}m{s}s{ms}ms");
            let sum = ((((w * 7 + d) * 24 + h) * 60 + m) * 60 + s) * 1_000 + ms;
            prop_assert_eq!(millis(&text), Ok(sum));
        }
    }
}
