//! Figures computed by hand, and what must hold for every rollout.

use proptest::prelude::*;

use super::*;

fn span(text: &str) -> Span {
    text.parse().unwrap()
}

fn rollout(credentials: u64, within: &str) -> Rollout {
    Rollout {
        credentials,
        within: span(within),
        signatures_per_issuance: 2,
        limit: 2_000,
        window: span("10s"),
        key_type: KeyType::Hsm,
        validity: span("365d"),
        rotation: span("365d"),
        scan_share_ppm: 700_000,
        replicas: None,
        vaults: None,
    }
}

#[test]
fn a_million_in_eight_hours() {
    let needs = rollout(1_000_000, "8h").needs();
    assert_eq!(needs.signatures, 2_000_000);
    // 1,000,000 / 0.7 = 1,428,571.4
    assert_eq!(needs.requests, 1_428_572);
    // 2,000,000 / (196/s) = 10,204.08 s, within 28,800 s.
    assert_eq!((needs.vaults_needed, needs.vaults, needs.subscriptions), (1, 1, 1));
    assert_eq!(needs.time_at_limit_millis, 10_204_082);
    // 1,000,000 / 28,800 s = 34.72/s; 196 / 2 = 98/s.
    assert_eq!(needs.average_milli_rate, 34_723);
    assert_eq!(needs.peak_milli_rate, 98_000);
    // 1,428,572 / 480 min = 2,976.2
    assert_eq!(needs.requests_per_minute, 2_977);
    assert_eq!((needs.replicas_needed, needs.replicas, needs.postgres), (1, 1, false));
    // 9 × 1,000,000 + 2 × 428,572 = 9,857,144 changes in 28,800 s = 342.26/s.
    assert_eq!(needs.most_milli_commits, 342_262);
    assert_eq!(needs.rows, 20_000_000 + 3 * 428_572);
    assert_eq!(needs.bytes, 20_000_000_000 + 2_000 * 428_572);
    // 2,000,000 × 1.9 KB = 3.8 GB; 196/s × 86,400 × 1.9 KB = 32.2 GB (the specification says 33 GB at 200/s).
    assert_eq!(needs.log_bytes, 3_800_000_000);
    assert_eq!(needs.log_bytes_per_day_at_limit, 32_175_360_000);
    // 2,000,000 × 0.15 / 10,000 = 30; one HSM key for one month: 5.
    assert_eq!(needs.signing_micro_usd, 30_000_000);
    assert_eq!(needs.keys_micro_usd, 5_000_000);
    // 1,000,000 in a year of 31,536,000 s.
    assert_eq!(needs.renewal_milli_rate, 32);
    // Three signatures: 3,000,000 / 200/s = 15,000 s; 45 dollars.
    assert_eq!(needs.entra_signatures, 3_000_000);
    assert_eq!((needs.entra_vaults, needs.entra_time_millis), (1, 15_000_000));
    assert_eq!(needs.entra_micro_usd, 45_000_000);
}

#[test]
fn ten_million_in_an_hour_need_many_vaults_and_another_subscription() {
    let needs = rollout(10_000_000, "1h").needs();
    // 20,000,000 / (196 × 3,600) = 28.3
    assert_eq!((needs.vaults, needs.subscriptions), (29, 6));
    // 20,000,000 / (196 × 29) = 3,518.65 s
    assert_eq!(needs.time_at_limit_millis, 3_518_649);
    // 10,000,000 / 3,600 = 2,777.8/s, 500 per replica.
    assert_eq!((needs.replicas, needs.postgres), (6, true));
    // 30,000,000 / (200 × 3,600) = 41.7
    assert_eq!(needs.entra_vaults, 42);
    // 29 HSM keys: 145 a month.
    assert_eq!(needs.keys_micro_usd, 145_000_000);
}

#[test]
fn software_keys_and_one_signature_need_less() {
    let mut plan = rollout(1_000_000, "1h");
    plan.limit = 4_000;
    plan.key_type = KeyType::Software;
    plan.signatures_per_issuance = 1;
    let needs = plan.needs();
    // 1,000,000 / 392/s = 2,551.02 s
    assert_eq!((needs.vaults, needs.time_at_limit_millis, needs.keys_micro_usd), (1, 2_551_021, 0));
    assert_eq!(needs.peak_milli_rate, 392_000);
}

#[test]
fn a_wish_for_too_few_vaults_takes_its_time() {
    let mut plan = rollout(10_000_000, "1h");
    plan.vaults = Some(1);
    let needs = plan.needs();
    assert_eq!((needs.vaults_needed, needs.vaults), (29, 1));
    // 20,000,000 / 196 = 102,040.8 s; the average is what the vault lets through.
    assert_eq!(needs.time_at_limit_millis, 102_040_817);
    assert_eq!(needs.average_milli_rate, 98_000);
}

#[test]
fn published_keys_follow_the_formula_of_the_key_lifecycle() {
    let keys = |validity: &str, rotation: &str| {
        let plan = Rollout { validity: span(validity), rotation: span(rotation), ..rollout(1, "1d") };
        plan.needs().published.iter().map(|row| row.keys).collect::<Vec<_>>()
    };
    // (365 + 30) / 365 = 1.08: two retired ones besides the active and the standby key.
    assert_eq!(keys("365d", "365d"), [2, 3, 4]);
    // (335 + 30) / 365 = 1 exactly.
    assert_eq!(keys("335d", "365d"), [2, 3]);
    // The specification's example: a year's validity fits into ten keys from 50 days on.
    assert_eq!(keys("365d", "50d").last(), Some(&10));
    assert_eq!(keys("365d", "49d").last(), Some(&11));
    let plan = rollout(1, "1d");
    // 395 days over 8 retired keys: 49.4 days.
    assert_eq!(plan.shortest_rotation_millis(1), Some(395 * 86_400_000 / 8));
    assert_eq!(plan.shortest_rotation_millis(3), Some(395 * 86_400_000));
    assert_eq!(plan.shortest_rotation_millis(5), None);
}

#[test]
fn hsm_keys_get_cheaper_by_number() {
    for (keys, dollars) in [(1, 5), (250, 1_250), (1_500, 4_375), (4_000, 6_625), (5_000, 7_025)] {
        assert_eq!(hsm_keys_micro_usd(keys), dollars * 1_000_000, "{keys}");
    }
    // A rollout over two rotations of 30 days and three months.
    let plan = Rollout { rotation: span("40d"), ..rollout(1_000, "90d") };
    assert_eq!(plan.needs().keys_micro_usd, 25_000_000);
}

proptest! {
    /// The vaults that are named are enough and one less is not; no argument that is taken overflows.
    #[test]
    fn vaults_are_enough_and_not_too_many(
        credentials in 1_u64..=1_000_000_000_000,
        within in 1_u64..=31_536_000_000_000,
        signatures_per_issuance in 1_u32..=100,
        limit in 1_u64..=1_000_000,
        window in 1_u64..=3_600_000,
        scan_share_ppm in 1_u64..=1_000_000,
    ) {
        let plan = Rollout {
            signatures_per_issuance, limit, scan_share_ppm,
            window: Span::from_millis(window).unwrap(),
            ..rollout(credentials, "1d")
        };
        let plan = Rollout { within: Span::from_millis(within).unwrap(), ..plan };
        let needs = plan.needs();
        prop_assert!(needs.time_at_limit_millis <= u128::from(within));
        prop_assert!(needs.requests >= u128::from(credentials));
        if needs.vaults > 1 && needs.vaults <= u128::from(u64::MAX) {
            let fewer = Rollout { vaults: u64::try_from(needs.vaults - 1).ok(), ..plan };
            prop_assert!(fewer.needs().time_at_limit_millis > u128::from(within));
        }
    }

    #[test]
    fn published_keys_never_exceed_their_steady_number(
        validity in 1_u64..=10_000, rotation in 1_u64..=10_000, vaults in 1_u64..=20,
    ) {
        let days = |days: u64| Span::from_millis(days * 86_400_000).unwrap();
        let plan = Rollout {
            validity: days(validity), rotation: days(rotation), vaults: Some(vaults), ..rollout(1, "1d")
        };
        let needs = plan.needs();
        let steady = (2 + u128::from(validity + 30).div_ceil(u128::from(rotation))) * u128::from(vaults);
        prop_assert!(needs.published.windows(2).all(|pair| pair[0].keys < pair[1].keys));
        prop_assert_eq!(needs.most_published, steady);
        prop_assert!(needs.published.iter().all(|row| row.keys <= steady));
        prop_assert!(needs.published.len() <= 25);
    }
}
