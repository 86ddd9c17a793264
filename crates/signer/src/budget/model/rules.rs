//! The rules, each of which can be left out of a history, and the broken variant that this makes of a pure step.

use std::time::Duration;

use super::super::clock::{Seen, Witness};
use super::super::{Cost, Meter, Now, Opened, Reading, Row, Slot};

/// A rule of design section 4 (and of decision 0016), named by what happens without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Without {
    /// The slot returns one window after the grant, not after the answer.
    ReturnAfterAnswer,
    /// M is zero.
    Late,
    /// G is zero.
    Guard,
    /// Times are rounded down.
    RoundingUp,
    /// Time-outs, resets and gateway errors count as answers.
    RequestIdAsProof,
    /// `t'` was read before the answers were collected.
    ReadingAfterAnswers,
    /// An outcome that is recorded again moves again.
    OneMove,
    /// An outcome recorded after the slot's return moves some slot.
    NoMoveAfterReturn,
    /// A retry goes out on the first attempt's slot.
    SlotPerAttempt,
    /// A second exchange goes out on one permit (a 401 repeats the request).
    OneExchange,
    /// The deadline is not looked at again when the body is polled.
    DeadlineAtFirstPoll,
    /// The deadline is counted from after the commit.
    DeadlineFromBefore,
    /// The deadline is counted on a clock that stands still while the machine is suspended.
    BootTimeDeadline,
    /// `V1` and `v1` have a row each.
    OneRow,
    /// The row keeps no `last`: budget time may fall, and a first reading has only the database's clock to go by.
    NeverBelowLast,
    /// Budget time advances as the database's clock does.
    BootTimeBound,
    /// A process's first reading advances budget time.
    FirstReadingStays,
    /// The time is read before the lock is waited for.
    ReadingAfterLock,
    /// A reading may take any time.
    SlowReading,
    /// A change of epoch is not noticed.
    EpochPause,
    /// A row that is missing is taken for one that never was.
    MissingRowPause,
    /// A COMMIT with a notice is a success.
    NoticeIsUnknown,
    /// A COMMIT without an answer is a success.
    UnknownIsFailure,
    /// The witness of a transaction is kept that did not commit.
    WitnessOfCommits,
    /// What budget time lost is not written down (0016).
    LostLedger,
    /// A new process's reading means nothing to the others (0016).
    Newcomers,
    /// Nobody is told of a step forward (0016).
    Rises,
    /// A boot-time clock is trusted however long nobody compared it (0016).
    Distrust,
}

/// All of them, each with a seed from which on the search finds a history that breaks the limit.
pub(super) const ALL: &[(Without, u64)] = &[
    (Without::ReturnAfterAnswer, 3),
    (Without::Late, 4),
    (Without::Guard, 25),
    (Without::RoundingUp, 367),
    (Without::RequestIdAsProof, 5),
    (Without::ReadingAfterAnswers, 11),
    (Without::OneMove, 94),
    (Without::NoMoveAfterReturn, 576),
    (Without::SlotPerAttempt, 0),
    (Without::OneExchange, 8),
    (Without::DeadlineAtFirstPoll, 18),
    (Without::DeadlineFromBefore, 225),
    (Without::BootTimeDeadline, 36),
    (Without::OneRow, 1),
    (Without::NeverBelowLast, 0),
    (Without::BootTimeBound, 5),
    (Without::FirstReadingStays, 97),
    (Without::ReadingAfterLock, 11),
    (Without::SlowReading, 21783),
    (Without::EpochPause, 177),
    (Without::MissingRowPause, 406),
    (Without::NoticeIsUnknown, 62),
    (Without::UnknownIsFailure, 9),
    (Without::WitnessOfCommits, 1544),
    (Without::LostLedger, 589),
    (Without::Newcomers, 662),
    (Without::Rises, 162_537),
    (Without::Distrust, 2118),
];

/// Which rule, if any, is left out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules(pub(super) Option<Without>);

/// A ceiling that no history reaches.
const NO_CEILING: i128 = 1_000_000_000_000_000_000_000_000;

impl Rules {
    pub(super) fn lack(self, rule: Without) -> bool {
        self.0 == Some(rule)
    }

    /// The meter as these rules have it.
    pub(super) fn meter(self, meter: &Meter) -> Meter {
        let mut meter = meter.clone();
        match self.0 {
            Some(Without::Late) => meter.timing.late = Duration::ZERO,
            Some(Without::Guard) => meter.timing.guard = Duration::ZERO,
            Some(Without::SlowReading) => meter.timing.slow_reading = Duration::from_secs(3600),
            _ => {}
        }
        meter
    }

    pub(super) fn open(self, row: &mut Row, meter: &Meter, reading: &Reading, witness: &Witness) -> Opened {
        let mut witness = witness.clone();
        if self.lack(Without::NeverBelowLast) && row.time.epoch == reading.epoch {
            // What a first reading falls back on; one that can be compared is bounded as before.
            row.time.last = match witness.0 {
                Some(_) => 0,
                None => (reading.database_ms - row.time.shift).max(0),
            };
        }
        let last = row.time.last;
        if let Some(seen) = witness.0.as_mut() {
            match self.0 {
                Some(Without::BootTimeBound) => seen.ceiling = NO_CEILING,
                Some(Without::Newcomers) => seen.newcomers = row.time.newcomers,
                Some(Without::Rises) => seen.rises = row.time.rises,
                Some(Without::Distrust) => seen.boot = i128::from(reading.boot.nanos()),
                Some(Without::NeverBelowLast) => seen.at = 0,
                _ => {}
            }
        } else if self.lack(Without::FirstReadingStays) {
            witness.0 = Some(Seen {
                epoch: row.time.epoch.clone(),
                newcomers: row.time.newcomers,
                at: last,
                boot: i128::from(reading.boot.nanos()),
                rises: row.time.rises,
                offset_least: i128::MIN / 4,
                offset_most: i128::MAX / 4,
                ceiling: NO_CEILING,
            });
        }
        let mut opened = row.open(meter, reading, &witness);
        if self.lack(Without::EpochPause) {
            row.time.paused_until = 0;
            opened.now.may_grant = reading.took <= meter.timing.slow_reading;
        }
        if self.lack(Without::LostLedger) {
            if let Some(seen) = opened.witness.0.as_mut() {
                seen.ceiling -= i128::from(row.time.lost) * 1_000_000;
            }
            row.time.lost = 0;
        }
        opened
    }

    /// A server that did not make the tables has no row.
    pub(super) fn open_missing(self, meter: &Meter, reading: &Reading) -> (Row, Opened) {
        if self.lack(Without::MissingRowPause) {
            let mut row = Row::new();
            let opened = row.open(meter, reading, &Witness::default());
            return (row, opened);
        }
        Row::after_loss(meter, reading)
    }

    pub(super) fn grant(self, row: &mut Row, meter: &Meter, cost: Cost, now: Now) -> Option<Slot> {
        let mut slot = row.grant(meter, cost, now)?;
        let timing = &meter.timing;
        let due = match self.0 {
            Some(Without::ReturnAfterAnswer) => up(now.at),
            Some(Without::RoundingUp) => down(now.at + ms(timing.attempt) + ms(timing.late)),
            _ => return Some(slot),
        };
        let held = &mut row.pools.get_mut(&cost.operations).unwrap().held;
        assert!(held.remove(slot.due, slot.units));
        held.add(due, slot.units);
        slot.due = due;
        Some(slot)
    }

    pub(super) fn answered(self, row: &mut Row, meter: &Meter, slot: &Slot, now: Now) {
        let moved = row.answered(meter, slot, now);
        let to = now.at + ms(meter.timing.guard);
        let Some(pool) = row.pools.get_mut(&slot.operations) else { return };
        if moved && self.lack(Without::RoundingUp) && pool.held.remove(up(to), slot.units) {
            pool.held.add(down(to), slot.units);
        }
        if !moved && self.lack(Without::NoMoveAfterReturn) {
            // The multiset has lost it, so the entry that is found in its place is another's.
            let other = pool.held.first_after(i64::MIN / 4);
            if other.is_some_and(|other| pool.held.remove(other, slot.units)) {
                pool.held.add(up(to), slot.units);
            }
        }
    }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap()
}

fn up(at: i64) -> i64 {
    super::super::slots::round_up(at)
}

fn down(at: i64) -> i64 {
    at.div_euclid(20) * 20
}
