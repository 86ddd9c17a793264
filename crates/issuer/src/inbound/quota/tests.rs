//! Rates, bursts, waiting times, and what is remembered of whom.

use governor::clock::FakeRelativeClock;
use proptest::prelude::*;

use super::*;

fn quota(per_minute: u32, burst: u32) -> Quota {
    Quota { per_minute: NonZeroU32::new(per_minute).unwrap(), burst: NonZeroU32::new(burst).unwrap() }
}

fn limits(per_minute: u32, burst: u32) -> (Limits<FakeRelativeClock>, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    (Limits::with_clock(&[(Kind::Client, quota(per_minute, burst))], &clock), clock)
}

#[test]
fn a_burst_then_the_rate() {
    let (limits, clock) = limits(60, 5);
    for _ in 0..5 {
        assert_eq!(limits.take(Kind::Client, "a"), Ok(()));
    }
    assert_eq!(limits.take(Kind::Client, "a"), Err(Duration::from_secs(1)));
    clock.advance(Duration::from_millis(400));
    assert_eq!(limits.take(Kind::Client, "a"), Err(Duration::from_millis(600)), "refusals take nothing");
    clock.advance(Duration::from_millis(600));
    assert_eq!(limits.take(Kind::Client, "a"), Ok(()));
    assert!(limits.take(Kind::Client, "a").is_err());
}

#[test]
fn neighbours_and_other_kinds_have_their_own() {
    let (limits, _clock) = limits(60, 1);
    assert!(limits.take(Kind::Client, "a").is_ok());
    assert!(limits.take(Kind::Client, "a").is_err());
    assert!(limits.take(Kind::Client, "b").is_ok());
    for _ in 0..100 {
        assert!(limits.take(Kind::Tenant, "a").is_ok(), "no quota, no limit");
    }
}

#[test]
fn replicas_share_a_quota() {
    assert_eq!(quota(600, 20).share(NonZeroU32::new(3).unwrap()), quota(200, 7));
    assert_eq!(quota(1, 1).share(NonZeroU32::new(100).unwrap()), quota(1, 1));
}

#[test]
fn very_high_rates_are_possible() {
    let (limits, clock) = limits(u32::MAX, 1);
    assert!(limits.take(Kind::Client, "a").is_ok());
    clock.advance(Duration::from_micros(1));
    assert!(limits.take(Kind::Client, "a").is_ok());
}

#[test]
fn a_crowd_shares_places_until_it_is_gone() {
    let (limits, clock) = limits(60, 1);
    for n in 0..=REMEMBERED {
        assert!(limits.take(Kind::Client, n).is_ok());
    }
    limits.tidy();
    let before = limits.remembered();
    for n in 0..4 * REMEMBERED {
        limits.take(Kind::Client, ("new", n)).ok();
    }
    assert!(limits.remembered() <= before + usize::try_from(SHARED).unwrap(), "{}", limits.remembered());
    clock.advance(Duration::from_secs(2));
    limits.tidy();
    assert_eq!(limits.remembered(), 0);
    assert!(limits.take(Kind::Client, "a").is_ok());
    assert!(limits.take(Kind::Client, "b").is_ok(), "each for itself again");
}

proptest! {
    /// In any interval at most burst + rate × interval calls pass, and a caller who waits as told passes.
    #[test]
    fn no_more_pass_than_the_quota_says(
        per_minute in 1_u32..100_000,
        burst in 1_u32..50,
        steps in prop::collection::vec(0_u64..200, 1..200),
    ) {
        let (limits, clock) = limits(per_minute, burst);
        let (mut passed, mut millis) = (0_u64, 0_u64);
        for step in steps {
            clock.advance(Duration::from_millis(step));
            millis += step;
            match limits.take(Kind::Client, "a") {
                Ok(()) => passed += 1,
                Err(wait) => {
                    prop_assert!(wait > Duration::ZERO);
                    prop_assert!(wait <= Duration::from_nanos(60_000_000_000 / u64::from(per_minute)));
                }
            }
            // One more than exactly: the period is a whole number of nanoseconds.
            let most = u64::from(burst) + millis * u64::from(per_minute) / 60_000 + 1;
            prop_assert!(passed <= most, "{passed} of {most}");
        }
        if let Err(wait) = limits.take(Kind::Client, "a") {
            clock.advance(wait);
            prop_assert_eq!(limits.take(Kind::Client, "a"), Ok(()));
        }
    }

    /// Whoever has not called for as long as its quota takes to fill is not remembered; whoever has, is.
    #[test]
    fn the_departed_are_forgotten(
        per_minute in 1_u32..6_000,
        burst in 1_u32..20,
        departed in 0_u32..200,
        present in 0_u32..50,
    ) {
        let (limits, clock) = limits(per_minute, burst);
        for n in 0..departed {
            limits.take(Kind::Client, ("departed", n)).ok();
        }
        let period = Duration::from_nanos(60_000_000_000 / u64::from(per_minute));
        clock.advance(period * 2);
        for n in 0..present {
            limits.take(Kind::Client, ("present", n)).ok();
        }
        limits.tidy();
        prop_assert_eq!(limits.remembered(), usize::try_from(present).unwrap());
        clock.advance(period * 2);
        limits.tidy();
        prop_assert_eq!(limits.remembered(), 0);
    }
}
