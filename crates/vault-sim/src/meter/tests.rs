//! The limits, with injected times.

use super::*;

const START: Moment = Moment(1_800_000_000_000_000_000);

fn at(millis: i64) -> Moment {
    START.skewed(millis)
}

fn throttle(config: ThrottleConfig) -> Throttle {
    Throttle::new(config, &mut Random::new(7))
}

fn signs(throttle: &mut Throttle, count: u32, pool: Pool, now: Moment) -> u32 {
    (0..count).map(|_| u32::from(throttle.arrive("a", Category::Other, pool, now))).sum()
}

#[test]
fn two_thousand_pass_and_the_next_is_refused_in_both_windows() {
    for window in [Window::Sliding, Window::Fixed] {
        let mut meters = throttle(ThrottleConfig { window, ..ThrottleConfig::default() });
        assert_eq!(signs(&mut meters, 2_000, Pool::Hsm, START), 2_000, "{window:?}");
        assert_eq!(signs(&mut meters, 1, Pool::Hsm, START), 0, "{window:?}");
        assert_eq!(signs(&mut meters, 2_001, Pool::Hsm, at(10_000)), 2_000, "{window:?}");
    }
}

#[test]
fn a_sliding_window_forgets_one_by_one_and_a_fixed_one_all_at_once() {
    let mut sliding = throttle(ThrottleConfig::default());
    assert_eq!(signs(&mut sliding, 1_000, Pool::Hsm, START), 1_000);
    assert_eq!(signs(&mut sliding, 1_500, Pool::Hsm, at(9_000)), 1_000);
    assert_eq!(signs(&mut sliding, 1, Pool::Hsm, at(9_999)), 0);
    assert_eq!(signs(&mut sliding, 1_500, Pool::Hsm, at(10_000)), 1_000);
    // Anywhere in the cell the same budget; at its end, twice the limit within a moment.
    let mut fixed = throttle(ThrottleConfig { window: Window::Fixed, ..ThrottleConfig::default() });
    let full = (0..10_000).find(|millis| {
        let before = (START.0 + fixed.offset).div_euclid(fixed.length);
        (at(*millis).0 + fixed.offset).div_euclid(fixed.length) != before
    });
    let edge = full.expect("a cell ends within its length");
    assert_eq!(signs(&mut fixed, 2_500, Pool::Hsm, at(edge - 1)), 2_000);
    assert_eq!(signs(&mut fixed, 2_500, Pool::Hsm, at(edge)), 2_000);
}

#[test]
fn weights_mix_in_one_pool_or_not() {
    let mut shared = throttle(ThrottleConfig::default());
    assert_eq!(signs(&mut shared, 1_000, Pool::Hsm, START), 1_000);
    assert_eq!(signs(&mut shared, 2_001, Pool::Software, START), 2_000);
    let mut apart = throttle(ThrottleConfig { shared_pool: false, ..ThrottleConfig::default() });
    assert_eq!(signs(&mut apart, 1_000, Pool::Hsm, START), 1_000);
    assert_eq!(signs(&mut apart, 4_001, Pool::Software, START), 4_000);
    let single = ThrottleConfig { limits: Limits::single(2_000, 10), ..ThrottleConfig::default() };
    assert_eq!(signs(&mut throttle(single), 2_001, Pool::Software, START), 2_000);
    let nothing = ThrottleConfig { limits: Limits::single(0, 0), ..ThrottleConfig::default() };
    assert_eq!(signs(&mut throttle(nothing), 1, Pool::Software, START), 0);
}

#[test]
fn creates_have_their_own_meter() {
    let mut meters = throttle(ThrottleConfig::default());
    let mut created = 0;
    for _ in 0..30 {
        created += u32::from(meters.arrive("a", Category::Create, Pool::Software, START));
    }
    assert_eq!(created, 20);
    assert_eq!(signs(&mut meters, 2_001, Pool::Hsm, START), 2_000);
}

#[test]
fn what_was_refused_counts_when_asked_to() {
    let mut lenient = throttle(ThrottleConfig::default());
    let mut strict = throttle(ThrottleConfig { count_rejected: true, ..ThrottleConfig::default() });
    for meters in [&mut lenient, &mut strict] {
        assert_eq!(signs(meters, 2_000, Pool::Hsm, START), 2_000);
        assert_eq!(signs(meters, 500, Pool::Hsm, at(5_000)), 0);
    }
    assert_eq!(signs(&mut lenient, 2_000, Pool::Hsm, at(10_000)), 2_000);
    assert_eq!(signs(&mut strict, 2_000, Pool::Hsm, at(10_000)), 1_500);
}

#[test]
fn vaults_have_their_own_meters_and_a_subscription_a_common_one() {
    let group = Subscription { vaults: vec!["a".into(), "b".into()], percent: 150 };
    let mut meters = throttle(ThrottleConfig { subscriptions: vec![group], ..ThrottleConfig::default() });
    assert_eq!(signs(&mut meters, 2_001, Pool::Hsm, START), 2_000);
    let mut others = |vault: &str| -> u32 {
        (0..2_000).map(|_| u32::from(meters.arrive(vault, Category::Other, Pool::Hsm, START))).sum()
    };
    assert_eq!(others("b"), 1_000);
    assert_eq!(others("c"), 2_000);
}

#[test]
fn a_foreign_tenant_takes_his_rate_without_calls() {
    let mut meters = throttle(ThrottleConfig::default());
    meters.set_foreign("a", 100, START);
    // 1 at once and then one each 10 ms, the one at this moment included; those of the first moment have left again.
    assert_eq!(signs(&mut meters, 2_000, Pool::Hsm, at(10_000)), 1_000);
    assert_eq!(meters.fullness("a", Category::Other, at(10_000)), 1_000);
    meters.set_foreign("a", 0, at(10_000));
    assert_eq!(signs(&mut meters, 2_500, Pool::Hsm, at(30_000)), 2_000);
    // Years later he costs no more time than a window.
    meters.set_foreign("a", 1_000, at(30_000));
    assert_eq!(signs(&mut meters, 1, Pool::Hsm, at(100_000_000_000)), 0);
}

#[test]
fn switched_off_or_changed_the_meters_start_empty() {
    let mut meters = throttle(ThrottleConfig::default());
    assert_eq!(signs(&mut meters, 2_001, Pool::Hsm, START), 2_000);
    meters.change(Some(Window::Off), None);
    assert_eq!(signs(&mut meters, 9_000, Pool::Hsm, START), 9_000);
    meters.change(Some(Window::Sliding), Some(100));
    assert_eq!(signs(&mut meters, 500, Pool::Software, START), 200);
}

proptest::proptest! {
    #[test]
    fn no_interval_of_a_window_accepts_more_than_the_limit(
        steps in proptest::collection::vec((0_i64..3_000, 0_u32..40), 1..60),
    ) {
        let limits = Limits::single(50, 10);
        let mut meters = throttle(ThrottleConfig { limits, ..ThrottleConfig::default() });
        let (mut now, mut accepted) = (0_i64, Vec::new());
        for (gap, count) in steps {
            now += gap;
            for _ in 0..signs(&mut meters, count, Pool::Hsm, at(now)) {
                accepted.push(now);
            }
        }
        for (index, first) in accepted.iter().enumerate() {
            let inside = accepted.iter().skip(index).filter(|other| **other - first < 10_000).count();
            proptest::prop_assert!(inside <= 50, "{inside} within the window that begins at {first}");
        }
    }
}
