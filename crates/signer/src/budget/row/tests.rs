//! Grant, return, several limits, several rows, shrinking.

use std::time::Duration;

use domain::BootTime;

use super::*;
use crate::budget::{Meter, Scope};

/// A row and the one process that uses it, with clocks that agree.
struct Bench {
    meter: Meter,
    row: Row,
    witness: Witness,
    ms: i64,
}

fn limit(operations: Operations, amount: u32, seconds: u64) -> Limit {
    Limit { operations, amount, window: Duration::from_secs(seconds), scope: Scope::Vault }
}

fn bench(limits: &[Limit]) -> Bench {
    let mut bench =
        Bench { meter: Meter::vault("v1", limits), row: Row::new(), witness: Witness::default(), ms: 1000 };
    bench.open();
    bench
}

impl Bench {
    fn open(&mut self) -> Now {
        let reading = Reading {
            database_ms: self.ms,
            epoch: "1".to_owned(),
            survives_epoch: false,
            boot: BootTime::from_nanos(self.ms.unsigned_abs() * 1_000_000),
            took: Duration::ZERO,
            wall_ms: self.ms,
        };
        let opened = self.row.open(&self.meter, &reading, &self.witness);
        self.witness = opened.witness;
        opened.now
    }

    /// So many ms later, in steps that no clock has to be distrusted for.
    fn after(&mut self, ms: i64) -> Now {
        for _ in 0..ms / 1000 {
            self.ms += 1000;
            self.open();
        }
        self.ms += ms % 1000;
        self.open()
    }

    fn grant(&mut self, now: Now) -> Option<Slot> {
        self.row.grant(&self.meter, Cost::one(Operations::Sign), now)
    }

    fn free(&self, now: Now) -> u64 {
        self.row.free(&self.meter, Operations::Sign, now) / UNITS
    }
}

#[test]
fn as_many_slots_are_granted_as_the_limit_has() {
    let mut b = bench(&[limit(Operations::Sign, 3, 10)]);
    let now = b.after(0);
    assert_eq!(b.free(now), 3);
    let slots: Vec<Slot> = std::iter::from_fn(|| b.grant(now)).collect();
    assert_eq!(slots.len(), 3);
    assert_eq!(b.free(now), 0);
    assert_eq!(slots[0].due, now.at + 5000, "t + D + M, and a window later it returns");
}

#[test]
fn a_slot_without_an_answer_returns_after_d_w_and_m() {
    let mut b = bench(&[limit(Operations::Sign, 1, 10)]);
    let now = b.after(0);
    b.grant(now).unwrap();
    assert_eq!(b.row.next_return(&b.meter, Operations::Sign, now), Some(now.at + 15_000));
    let now = b.after(14_999);
    assert_eq!(b.grant(now), None);
    let now = b.after(1);
    assert!(b.grant(now).is_some());
}

#[test]
fn an_answered_slot_returns_one_window_and_g_later() {
    let mut b = bench(&[limit(Operations::Sign, 1, 10)]);
    let now = b.after(0);
    let slot = b.grant(now).unwrap();
    let now = b.after(40);
    assert!(b.row.answered(&b.meter, &slot, now));
    assert_eq!(b.row.next_return(&b.meter, Operations::Sign, now), Some(now.at + 10_100));
    let now = b.after(10_099);
    assert_eq!(b.grant(now), None);
    let now = b.after(1);
    assert!(b.grant(now).is_some());
}

#[test]
fn times_are_rounded_up() {
    let mut b = bench(&[limit(Operations::Sign, 2, 10)]);
    let now = b.after(13);
    let slot = b.grant(now).unwrap();
    assert_eq!(slot.due, 5020);
    let now = b.after(4);
    assert!(b.row.answered(&b.meter, &slot, now));
    assert_eq!(b.row.next_return(&b.meter, Operations::Sign, now), Some(120 + 10_000));
}

#[test]
fn a_slot_is_not_moved_after_its_return() {
    let mut b = bench(&[limit(Operations::Sign, 2, 10)]);
    let now = b.after(0);
    let slot = b.grant(now).unwrap();
    let now = b.after(15_000);
    let other = b.grant(now).unwrap();
    let before = b.row.clone();
    assert!(!b.row.answered(&b.meter, &slot, now));
    assert_eq!(b.row, before);
    assert!(b.row.answered(&b.meter, &other, now));
}

#[test]
fn a_late_answer_shows_how_late_the_operation_may_have_arrived() {
    let mut b = bench(&[limit(Operations::Sign, 1, 10)]);
    let now = b.after(0);
    let slot = b.grant(now).unwrap();
    let now = b.after(9000);
    assert!(b.row.answered(&b.meter, &slot, now));
    assert_eq!(b.row.next_return(&b.meter, Operations::Sign, now), Some(19_100));
}

#[test]
fn weights_add_up() {
    let mut b = bench(&[limit(Operations::Sign, 4, 10)]);
    let now = b.after(0);
    let rsa = Cost::of(Operations::Sign, 4, 1);
    assert_eq!(rsa.units, 4 * UNITS);
    let half = Cost::of(Operations::Sign, 4, 8);
    let slot = b.row.grant(&b.meter, half, now).unwrap();
    assert_eq!(b.row.grant(&b.meter, rsa, now), None, "3.5 are left");
    for _ in 0..7 {
        assert!(b.row.grant(&b.meter, half, now).is_some());
    }
    assert_eq!(b.row.grant(&b.meter, half, now), None);
    assert_eq!(slot.units, UNITS / 2);
}

#[test]
fn kinds_of_operations_do_not_share() {
    let mut b = bench(&[limit(Operations::Sign, 1, 10), limit(Operations::CreateKey, 2, 10)]);
    let now = b.after(0);
    assert!(b.grant(now).is_some());
    assert!(b.grant(now).is_none());
    let create = Cost::one(Operations::CreateKey);
    assert!(b.row.grant(&b.meter, create, now).is_some());
    assert!(b.row.grant(&b.meter, create, now).is_some());
    assert!(b.row.grant(&b.meter, create, now).is_none());
}

#[test]
fn each_of_several_limits_holds() {
    let mut b = bench(&[limit(Operations::Sign, 3, 10), limit(Operations::Sign, 2, 1)]);
    let now = b.after(0);
    let slots: Vec<Slot> = std::iter::from_fn(|| b.grant(now)).collect();
    assert_eq!(slots.len(), 2, "two within a second");
    for slot in &slots {
        assert!(b.row.answered(&b.meter, slot, now));
    }
    assert_eq!(b.row.next_return(&b.meter, Operations::Sign, now), Some(now.at + 1100));
    let now = b.after(1100);
    assert!(b.grant(now).is_some());
    assert!(b.grant(now).is_none(), "three within ten");
}

#[test]
fn what_nothing_limits_is_always_granted_and_never_held() {
    let mut b = bench(&[limit(Operations::CreateKey, 1, 10)]);
    let now = b.after(0);
    let slot = b.grant(now).unwrap();
    assert_eq!(b.row.free(&b.meter, Operations::Sign, now), u64::MAX);
    assert!(!b.row.answered(&b.meter, &slot, now));
    assert!(!b.row.throttled(&b.meter, &slot, now));
    assert_eq!(b.row.snapshot(&b.meter, Operations::Sign, now), None);
    assert_eq!(b.row.admit(&b.meter, now), Admission::Admitted);
}

#[test]
fn several_rows_grant_all_or_nothing() {
    let mut vault = bench(&[limit(Operations::Sign, 2, 10)]);
    let mut subscription = bench(&[limit(Operations::Sign, 1, 10)]);
    let (now, then) = (vault.after(0), subscription.after(0));
    let cost = Cost::one(Operations::Sign);
    let mut both = || {
        grant_all(&mut [
            Demand { row: &mut vault.row, meter: &vault.meter, cost, now },
            Demand { row: &mut subscription.row, meter: &subscription.meter, cost, now: then },
        ])
    };
    assert_eq!(both().map(|slots| slots.len()), Some(2));
    assert_eq!(both(), None);
    assert_eq!(vault.free(now), 1, "the vault's slot was not taken alone");
}

#[test]
fn a_refusal_by_the_vault_shrinks_the_limit_at_once() {
    let mut b = bench(&[limit(Operations::Sign, 1000, 10)]);
    let now = b.after(0);
    let slots: Vec<Slot> = (0..500).filter_map(|_| b.grant(now)).collect();
    let now = b.after(50);
    assert!(b.row.throttled(&b.meter, &slots[0], now));
    let left = b.row.effective_limit(&b.meter, Operations::Sign, now.at) / UNITS;
    assert_eq!(left, 450, "nine tenths of what we used");
    assert!(!b.row.throttled(&b.meter, &slots[1], now), "granted before the cut: nothing new");
    for slot in &slots {
        assert!(b.row.answered(&b.meter, slot, now));
    }
    let now = b.after(10_120);
    assert!(b.free(now) > 0 && b.free(now) <= 15, "paced: {}", b.free(now));
    let again = b.grant(now).unwrap();
    assert!(b.row.throttled(&b.meter, &again, now));
    let left = b.row.effective_limit(&b.meter, Operations::Sign, now.at) / UNITS;
    assert_eq!(left, 100, "never below a tenth of the limit");
    assert_eq!(b.free(now), 0, "and nothing for a second");
    let now = b.after(1000);
    assert!(b.free(now) > 0);
}

#[test]
fn a_limit_that_was_cut_grows_back_slowly_and_whole() {
    let mut b = bench(&[limit(Operations::Sign, 1000, 10)]);
    let now = b.after(0);
    let slot = b.grant(now).unwrap();
    assert!(b.row.throttled(&b.meter, &slot, now));
    let left = |b: &Bench, now: Now| b.row.effective_limit(&b.meter, Operations::Sign, now.at) / UNITS;
    assert_eq!(left(&b, now), 100);
    let now = b.after(30_000);
    assert_eq!(left(&b, now), 130);
    let now = b.after(10_000);
    assert_eq!(left(&b, now), 180);
    let now = b.after(164_000);
    assert_eq!(left(&b, now), 1000);
    assert_eq!(b.free(now), 1000);
    assert_eq!(b.row.pools, BTreeMap::new(), "nothing of it is kept");
}

#[test]
fn an_operation_dearer_than_the_pace_still_goes() {
    let mut b = bench(&[limit(Operations::Sign, 100, 10)]);
    let now = b.after(0);
    let slot = b.grant(now).unwrap();
    assert!(b.row.throttled(&b.meter, &slot, now));
    let now = b.after(2000);
    assert!(b.row.grant(&b.meter, Cost::of(Operations::Sign, 8, 1), now).is_some());
    let now = b.after(1000);
    assert_eq!(b.free(now), 0, "and uses the pace up");
}

#[test]
fn nothing_is_granted_while_commits_may_be_lost() {
    let mut b = bench(&[limit(Operations::Sign, 5, 10)]);
    b.after(500);
    let reading = Reading {
        database_ms: 77,
        epoch: "2".to_owned(),
        survives_epoch: false,
        boot: BootTime::from_nanos(9_000_000_000),
        took: Duration::ZERO,
        wall_ms: 0,
    };
    let opened = b.row.open(&b.meter, &reading, &b.witness);
    assert_eq!(b.free(opened.now), 0);
    assert_eq!(b.grant(opened.now), None);
    assert_eq!(b.row.next_return(&b.meter, Operations::Sign, opened.now), Some(opened.now.at + 15_500));
    assert_eq!(b.row.admit(&b.meter, opened.now), Admission::Refused(Refusal::Paused));
}

#[test]
fn a_snapshot_says_what_is_held() {
    let mut b = bench(&[limit(Operations::Sign, 10, 10)]);
    let now = b.after(0);
    b.grant(now).unwrap();
    b.row.grant(&b.meter, Cost::of(Operations::Sign, 10, 20), now).unwrap();
    let seen = b.row.snapshot(&b.meter, Operations::Sign, now).unwrap();
    assert_eq!((seen.limit, seen.effective, seen.held, seen.free), (10.0, 10.0, 1.5, 8.5));
    assert_eq!((seen.m, seen.waiting, seen.lost_ms), (2.0, 0.0, 0));
}
