//! Budget time, reading by reading.

use proptest::prelude::*;

use super::super::{Limit, Meter, Operations, Scope};
use super::*;

fn timing() -> Timing {
    Timing::default()
}

fn pause() -> Duration {
    let limit = Limit {
        operations: Operations::Sign,
        amount: 1,
        window: Duration::from_secs(10),
        scope: Scope::Vault,
    };
    Meter::vault("v1", &[limit]).lost_commit_pause()
}

/// A reading of 1 ms at this time of the database's and of the process's boot-time clock, both in ms.
fn reading(database_ms: i64, boot_ms: u64) -> Reading {
    Reading {
        database_ms,
        epoch: "1".to_owned(),
        survives_epoch: false,
        boot: BootTime::from_nanos(boot_ms * 1_000_000),
        took: Duration::from_millis(1),
        wall_ms: 0,
    }
}

fn read(time: &mut BudgetTime, reading: &Reading, witness: &mut Witness) -> Now {
    let opened = time.read(&timing(), pause(), reading, witness);
    *witness = opened.witness;
    opened.now
}

#[test]
fn budget_time_begins_at_zero_and_follows_the_database() {
    let (mut time, mut process) = (BudgetTime::default(), Witness::default());
    assert_eq!(read(&mut time, &reading(5000, 100), &mut process).at, 0);
    assert_eq!(read(&mut time, &reading(5250, 350), &mut process).at, 250);
    assert_eq!(read(&mut time, &reading(9000, 4100), &mut process).at, 4000 - 18, "1 % of what exceeds 2 s");
}

#[test]
fn a_step_back_costs_nothing_but_the_time_between_two_readings() {
    let (mut time, mut process) = (BudgetTime::default(), Witness::default());
    read(&mut time, &reading(50_000, 100), &mut process);
    assert_eq!(read(&mut time, &reading(50_500, 600), &mut process).at, 500);
    assert_eq!(read(&mut time, &reading(20_000, 700), &mut process).at, 500);
    assert_eq!(read(&mut time, &reading(20_100, 800), &mut process).at, 600);
}

#[test]
fn a_step_forward_is_bounded_by_the_boot_time_clock() {
    let (mut time, mut process) = (BudgetTime::default(), Witness::default());
    read(&mut time, &reading(0, 100), &mut process);
    assert_eq!(read(&mut time, &reading(500, 600), &mut process).at, 500);
    assert_eq!(read(&mut time, &reading(90_600, 700), &mut process).at, 600);
    assert_eq!(read(&mut time, &reading(90_700, 800), &mut process).at, 700);
}

#[test]
fn a_first_reading_does_not_advance_it() {
    let (mut time, mut one, mut other) = (BudgetTime::default(), Witness::default(), Witness::default());
    read(&mut time, &reading(0, 100), &mut one);
    assert_eq!(read(&mut time, &reading(7000, 50), &mut other).at, 0);
    assert_eq!(read(&mut time, &reading(7010, 60), &mut other).at, 10);
}

#[test]
fn a_slow_reading_grants_nothing_and_does_not_advance_it() {
    let (mut time, mut process) = (BudgetTime::default(), Witness::default());
    read(&mut time, &reading(0, 100), &mut process);
    let slow = Reading { took: Duration::from_millis(51), ..reading(1000, 1100) };
    let now = read(&mut time, &slow, &mut process);
    assert_eq!((now.at, now.may_grant), (0, false));
    let now = read(&mut time, &reading(1010, 1110), &mut process);
    assert_eq!((now.at, now.may_grant), (0, true), "there is nothing to compare this one with");
    assert_eq!(read(&mut time, &reading(1020, 1120), &mut process).at, 10);
}

#[test]
fn a_new_server_is_not_trusted_with_the_last_commits() {
    let (mut time, mut process) = (BudgetTime::default(), Witness::default());
    assert!(read(&mut time, &reading(0, 100), &mut process).may_grant);
    let at = read(&mut time, &reading(400, 500), &mut process).at;
    let promoted = |database_ms, boot| Reading { epoch: "2".to_owned(), ..reading(database_ms, boot) };
    let now = read(&mut time, &promoted(1_000_000, 600), &mut process);
    assert_eq!((now.at, now.may_grant), (at, false));
    let mut boot = 600;
    let mut now = now;
    while !now.may_grant {
        boot += 100;
        now = read(&mut time, &promoted(1_000_000 + i64::try_from(boot).unwrap() - 600, boot), &mut process);
        assert!(boot < 20_000);
    }
    assert!((15_500..15_700).contains(&(now.at - at)), "{}", now.at - at);
}

#[test]
fn a_reboot_loses_no_commit_where_commits_are_on_the_disk() {
    let (mut time, mut process) = (BudgetTime::default(), Witness::default());
    read(&mut time, &reading(90_000, 90_000), &mut process);
    let at = read(&mut time, &reading(90_500, 90_500), &mut process).at;
    let rebooted = Reading { epoch: "2".to_owned(), survives_epoch: true, ..reading(9000, 9000) };
    let now = read(&mut time, &rebooted, &mut Witness::default());
    assert_eq!((now.at, now.may_grant), (at, true));
}

#[test]
fn a_row_that_lacks_what_this_process_committed_is_not_trusted() {
    let (mut time, mut process) = (BudgetTime::default(), Witness::default());
    read(&mut time, &reading(0, 100), &mut process);
    let old = time.clone();
    read(&mut time, &reading(300, 400), &mut process);
    time = old;
    assert!(!read(&mut time, &reading(400, 500), &mut process).may_grant);
}

/// Decision 0016: two processes, one of which sleeps.
struct Two {
    time: BudgetTime,
    awake: Witness,
    asleep: Witness,
}

fn two_at_100_s() -> Two {
    let (mut time, mut awake, mut asleep) = (BudgetTime::default(), Witness::default(), Witness::default());
    for at in (90_000..=100_000_u64).step_by(500) {
        let database = i64::try_from(at).unwrap();
        read(&mut time, &reading(database, at), &mut asleep);
        read(&mut time, &reading(database + 1, at + 1), &mut awake);
    }
    Two { time, awake, asleep }
}

#[test]
fn a_sleeper_cannot_make_up_for_time_that_the_database_lost() {
    let Two { mut time, mut awake, mut asleep } = two_at_100_s();
    // The database's machine stands still for 8 s; then its clock is set right.
    let at = read(&mut time, &reading(100_010, 108_010), &mut awake).at;
    let next = read(&mut time, &reading(108_020, 108_020), &mut asleep).at;
    assert!(next - at <= 10, "budget time advanced by {} ms in 10", next - at);
}

#[test]
fn a_slow_reading_may_have_lost_any_time() {
    let Two { mut time, mut awake, mut asleep } = two_at_100_s();
    // It stands still while it is read: this process cannot tell when.
    let slow = Reading { took: Duration::from_millis(8001), ..reading(100_010, 108_010) };
    let at = read(&mut time, &slow, &mut awake).at;
    let next = read(&mut time, &reading(108_020, 108_020), &mut asleep).at;
    assert!(next - at <= 10, "budget time advanced by {} ms in 10", next - at);
}

#[test]
fn a_sleeper_cannot_make_up_for_what_a_new_process_held_back() {
    let Two { mut time, mut asleep, .. } = two_at_100_s();
    let at = read(&mut time, &reading(108_000, 8000), &mut Witness::default()).at;
    let next = read(&mut time, &reading(113_010, 108_010), &mut asleep).at;
    assert!(next - at <= 10, "budget time advanced by {} ms in 10", next - at);
}

#[test]
fn a_sleeper_cannot_make_up_for_a_step_forward_and_back() {
    let Two { mut time, mut awake, mut asleep } = two_at_100_s();
    // Forward by 60 s, seen by one; back, seen by the other; forward again, seen by the first.
    read(&mut time, &reading(160_100, 100_100), &mut awake);
    let at = read(&mut time, &reading(103_100, 103_100), &mut asleep).at;
    let next = read(&mut time, &reading(163_110, 103_110), &mut awake).at;
    assert!(next - at <= 10, "budget time advanced by {} ms in 10", next - at);
}

/// Readings that differ in how long they took must not make budget time slow, however many there are.
#[test]
fn uneven_readings_do_not_slow_it_down() {
    let mut random = super::super::random::Random::new(7);
    let mut time = BudgetTime::default();
    // Clocks that run up to 50 parts in a million apart, as crystals do.
    let mut processes: Vec<(Witness, i64)> = (0..6).map(|i| (Witness::default(), 20 * (i - 3))).collect();
    let (mut real, mut last) = (0_i64, 0);
    while real < 60_000_000_000 {
        real += random.between(1_000_000, 4_000_000);
        let index = usize::try_from(random.between(0, 5)).unwrap();
        let took = random.between(200_000, 3_000_000);
        let sampled = real + random.between(0, took);
        let (witness, ppm) = &mut processes[index];
        let boot = (real + took) + (real + took) / 1_000_000 * *ppm;
        let reading = Reading {
            took: Duration::from_nanos(took.unsigned_abs()),
            boot: BootTime::from_nanos(boot.unsigned_abs()),
            ..reading(sampled.div_euclid(1_000_000), 0)
        };
        last = read(&mut time, &reading, witness).at;
        real += took;
    }
    assert!((59_700..=60_000).contains(&last), "{last} of 60,000 ms");
}

proptest! {
    /// Whatever the database's clock does, one process's budget time never gains on its boot-time clock.
    #[test]
    fn it_never_gains(steps in prop::collection::vec((-100_000_i64..100_000, 1_u64..5000, 0_u64..49), 1..60)) {
        let (mut time, mut process) = (BudgetTime::default(), Witness::default());
        let (mut database, mut boot) = (1_000_000_i64, 1000_u64);
        let mut readings = Vec::new();
        for (step, waited, took) in steps {
            boot += waited + took;
            database += i64::try_from(waited + took).unwrap() + step;
            let reading = Reading { took: Duration::from_millis(took), ..reading(database, boot) };
            let at = read(&mut time, &reading, &mut process).at;
            // An answer may have come until just before the statement, a grant is used only after it.
            readings.push((boot - took, boot, at));
        }
        for (i, (sent, _, at)) in readings.iter().enumerate() {
            for (_, returned, later) in &readings[i + 1..] {
                let real = i64::try_from(returned - sent).unwrap();
                prop_assert!(*later >= *at);
                prop_assert!(later - at <= real + 1, "{} in {real} ms", later - at);
            }
        }
    }

    /// No reading and no state makes it panic.
    #[test]
    fn nothing_makes_it_panic(
        numbers in prop::array::uniform6(any::<i64>()),
        database in any::<i64>(), boot in any::<u64>(), took in any::<u64>(), epoch in "[12]",
    ) {
        let [last, shift, lost, rises, paused_until, _] = numbers;
        let mut time = BudgetTime { last, shift, lost, rises, newcomers: 1, epoch, paused_until };
        let mut process = Witness::default();
        for _ in 0..3 {
            let reading = Reading {
                took: Duration::from_nanos(took), boot: BootTime::from_nanos(boot), ..reading(database, 0)
            };
            read(&mut time, &reading, &mut process);
        }
    }
}
