//! The vault: when operations reached it, and whether any window held too many.

/// One arrival: when (real time, ns) and what it costs in units.
pub(super) type Arrival = (i64, u64);

/// The end of the first interval `(end - window, end]` that holds more than `capacity`, in units; `None` if none does.
/// An aligned window is one of these intervals, so it is checked with them.
pub(super) fn overrun(arrivals: &mut [Arrival], window: i64, capacity: u64) -> Option<i64> {
    arrivals.sort_unstable();
    let (mut first, mut within) = (0, 0);
    for (at, units) in arrivals.iter() {
        within += units;
        while arrivals[first].0 <= at - window {
            within -= arrivals[first].1;
            first += 1;
        }
        if within > capacity {
            return Some(*at);
        }
    }
    None
}

#[test]
fn the_judge_sees_one_too_many() {
    let mut arrivals = vec![(0, 1), (9, 1), (10, 1), (19, 1)];
    assert_eq!(overrun(&mut arrivals, 10, 2), None);
    arrivals.push((18, 1));
    assert_eq!(overrun(&mut arrivals, 10, 2), Some(18));
}
