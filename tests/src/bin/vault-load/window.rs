//! Counting arrivals in sliding windows. Pure; the judge's one instrument, so it is compared with counting by hand.
//!
//! A window of length W that ends at `t` is `(t - W, t]`: two arrivals exactly W apart are never in the same one.

/// Time in units of 100 ns since 1970, as fine as the vault's log.
pub type Ticks = i64;

/// Ticks of a second.
pub const SECOND: Ticks = 10_000_000;

/// What one second of the plot shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Second {
    /// Arrivals in it.
    pub arrivals: usize,
    /// The largest number of arrivals in any window that ends in it.
    pub fullest: usize,
}

/// The largest number of arrivals in any interval of length `window`. `arrivals` are in order.
pub fn fullest(arrivals: &[Ticks], window: Ticks) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (at, end) in arrivals.iter().enumerate() {
        while arrivals[first] <= end - window {
            first += 1;
        }
        most = most.max(at + 1 - first);
    }
    most
}

/// Arrivals and fullest windows, second by second from `from`. `arrivals` are in order and may lie outside.
pub fn series(arrivals: &[Ticks], window: Ticks, from: Ticks, seconds: usize) -> Vec<Second> {
    let count = |after: Ticks, until: Ticks| {
        arrivals.partition_point(|t| *t <= until) - arrivals.partition_point(|t| *t <= after)
    };
    (0..seconds)
        .map(|second| {
            let begin = from + SECOND * Ticks::try_from(second).expect("a few thousand seconds");
            // (begin, begin + 1 s], as windows are open at their beginning.
            let end = begin + SECOND;
            let inside = arrivals.partition_point(|t| *t <= begin)..arrivals.partition_point(|t| *t <= end);
            // A window is fullest where an arrival has just come in, or at once at the second's beginning.
            let at_arrivals = arrivals[inside.clone()].iter().map(|t| count(t - window, *t)).max();
            let at_begin = count(begin + 1 - window, begin + 1);
            Second { arrivals: inside.len(), fullest: at_arrivals.unwrap_or(0).max(at_begin) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every window that begins just before or ends at an arrival, counted one by one.
    fn by_hand(arrivals: &[Ticks], window: Ticks) -> usize {
        let count = |end: Ticks| arrivals.iter().filter(|t| **t > end - window && **t <= end).count();
        arrivals.iter().flat_map(|t| [count(*t), count(*t + window - 1)]).max().unwrap_or(0)
    }

    #[test]
    fn the_edges_of_a_window() {
        assert_eq!(fullest(&[], 10), 0);
        assert_eq!(fullest(&[5], 10), 1);
        assert_eq!(fullest(&[0, 10], 10), 1, "exactly one window apart");
        assert_eq!(fullest(&[0, 9], 10), 2);
        assert_eq!(fullest(&[7, 7, 7], 10), 3, "the same instant");
    }

    #[test]
    fn a_burst_is_seen_for_one_window() {
        let arrivals: Vec<Ticks> = vec![SECOND / 2; 4];
        let seen = series(&arrivals, 2 * SECOND, 0, 4);
        let fullest: Vec<usize> = seen.iter().map(|second| second.fullest).collect();
        assert_eq!(fullest, [4, 4, 4, 0]);
        assert_eq!(seen.iter().map(|second| second.arrivals).sum::<usize>(), 4);
    }

    proptest! {
        #[test]
        fn fullest_is_what_counting_by_hand_gives(
            mut arrivals in prop::collection::vec(0_i64..200, 0..60),
            window in 1_i64..60,
        ) {
            arrivals.sort_unstable();
            prop_assert_eq!(fullest(&arrivals, window), by_hand(&arrivals, window));
        }

        #[test]
        fn one_more_than_the_limit_is_never_missed(
            start in 0_i64..1_000_000,
            gaps in prop::collection::vec(0_i64..5, 50),
            others in prop::collection::vec(0_i64..1_000_000, 0..50),
        ) {
            // Fifty arrivals within 250 ticks, hidden among others.
            let mut arrivals: Vec<Ticks> = gaps.iter().scan(start, |at, gap| { *at += gap; Some(*at) }).collect();
            arrivals.extend(others);
            arrivals.sort_unstable();
            prop_assert!(fullest(&arrivals, 251) >= 50);
        }

        #[test]
        fn the_series_shows_every_arrival_and_the_fullest_window(
            mut arrivals in prop::collection::vec(1_i64..20 * SECOND, 0..60),
            window in 1_i64..5 * SECOND,
        ) {
            arrivals.sort_unstable();
            let seen = series(&arrivals, window, 0, 20);
            prop_assert_eq!(seen.iter().map(|second| second.arrivals).sum::<usize>(), arrivals.len());
            prop_assert_eq!(
                seen.iter().map(|second| second.fullest).max().unwrap_or(0),
                fullest(&arrivals, window)
            );
        }
    }
}
