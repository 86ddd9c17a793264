//! Budget time: a clock that never gains on the real one, read off a database clock that may be set at will.
//!
//! Owns the rules by which a reading of the database's clock becomes a time at which slots are granted and returned.
//! Must not know slots.
//!
//! Budget time is database time minus the row's `shift`. What has to hold is one thing: between any two readings it
//! advances by no more than real time did. Running behind is always safe, it only returns slots late. Therefore
//!
//! - it never falls below the row's `last`, and what a step back of the database's clock took goes into `shift`;
//! - a process lets it advance by no more than the process's own boot-time clock did since its earlier readings;
//! - a reading that cannot be compared with an earlier one (the process is new, the database runs anew, the reading
//!   before took too long) does not advance it, and neither does one that took too long itself;
//! - what it fell behind stays lost: whenever a process holds it back, or sees the database's clock lose time, the row
//!   takes that down, and every other process allows that much less. Otherwise one that slept meanwhile would let a later
//!   step forward of the database's clock make up for it in an instant. What nobody could measure (a reading that
//!   cannot be compared, a clock that went back) makes every process begin anew
//!   (`docs/adr/0016-lost-time-stays-lost.md`).

use std::time::Duration;

use domain::BootTime;

use super::meter::{Timing, millis};

const NANOS_PER_MS: i128 = 1_000_000;
/// How long a process may go without a reading before its boot-time clock is trusted less.
const TRUSTED: Duration = Duration::from_secs(2);
/// And then by how much less: one part in this many. Clocks are allowed to run 0.5 % wrong, so two differ by 1 %.
const DISTRUST: i128 = 100;

/// The database's clock made a step forward if it gained more ms than this between two readings.
const STEP_MS: i64 = 5;

/// One reading of the time, made after the row was locked, by a statement of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The database's clock, milliseconds, rounded down. Postgres: `clock_timestamp()`, which a locking SELECT would
    /// evaluate before its wait. SQLite: the machine's boot-time clock.
    pub database_ms: i64,
    /// Which run of the database or machine that clock belongs to. Postgres: `pg_postmaster_start_time()`. SQLite:
    /// the boot id.
    pub epoch: String,
    /// Whether commits survive a change of epoch. Postgres: false, a promoted standby may lack the last ones. SQLite:
    /// true, it commits to the disk (`synchronous=FULL`).
    pub survives_epoch: bool,
    /// This process's boot-time clock after the statement returned.
    pub boot: BootTime,
    /// How far that clock had advanced since just before the statement was sent.
    pub took: Duration,
    /// A wall clock, milliseconds since 1970, the one by which requests' creation times are kept. Only statistics of
    /// admission use it, no promise rests on it.
    pub wall_ms: i64,
}

/// What a process remembers of its last reading of one meter's row.
///
/// Keep the one that [`Row::open`](super::Row::open) returned if, and only if, the transaction is known to have
/// committed; otherwise keep the one before. A process without one (a new one) starts from `Witness::default()`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Witness(pub(super) Option<Seen>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) epoch: String,
    pub(super) newcomers: u64,
    /// Budget time then.
    pub(super) at: i64,
    /// The boot-time clock after that reading, nanoseconds.
    pub(super) boot: i128,
    /// By how much the database's clock was ahead of the boot-time clock at least, as far as `lost` does not account
    /// for its having fallen behind since, nanoseconds.
    pub(super) offset_least: i128,
    /// And at most, nanoseconds.
    pub(super) offset_most: i128,
    /// The row's `rises` then.
    pub(super) rises: i64,
    /// The most that budget time may exceed the boot-time clock, nanoseconds, plus the row's `lost` then.
    pub(super) ceiling: i128,
}

/// The present, in one row's budget time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Budget time, milliseconds. Begins at 0 with the row.
    pub at: i64,
    /// The wall clock of the reading, milliseconds since 1970.
    pub wall_ms: i64,
    /// Whether slots may be granted: not within the pause after commits may have been lost, not on a slow reading.
    pub may_grant: bool,
}

/// What opening a row gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The present, for the calls that follow in this transaction.
    pub now: Now,
    /// To be kept once this transaction is known to have committed.
    pub witness: Witness,
}

/// The row's part of budget time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct BudgetTime {
    /// The last budget time that anybody read, ms.
    pub(super) last: i64,
    /// Database time minus budget time, ms.
    pub(super) shift: i64,
    /// How much budget time is known to have fallen behind, in all, ms.
    pub(super) lost: i64,
    /// The sum of all steps forward of the database's clock that somebody noticed, ms. Without it a process that
    /// slept through a step forward and one back would take the clock for one that never lost time.
    pub(super) rises: i64,
    /// How many readings there were by which nobody could tell how much time had passed. A process that has not seen
    /// the last of them does not advance budget time with its next reading.
    pub(super) newcomers: u64,
    /// The database's run at the last reading; empty in a new row.
    pub(super) epoch: String,
    /// Nothing is granted before this budget time.
    pub(super) paused_until: i64,
}

impl BudgetTime {
    /// Applies a reading and says what time it is.
    pub(super) fn read(
        &mut self,
        timing: &Timing,
        pause: Duration,
        reading: &Reading,
        witness: &Witness,
    ) -> Opened {
        let slow = reading.took > timing.slow_reading;
        let same_epoch = self.epoch == reading.epoch;
        let seen = witness.0.as_ref().filter(|seen| same_epoch && seen.epoch == self.epoch);
        // A row older than what this process has committed has lost commits, whatever the epoch says.
        let reverted = seen.is_some_and(|seen| seen.at > self.last);
        let replaced = !same_epoch && !self.epoch.is_empty() && !reading.survives_epoch;
        let seen = seen.filter(|_| !reverted && !slow);

        let boot = i128::from(reading.boot.nanos());
        let before = boot - nanos(reading.took);
        let database = i128::from(reading.database_ms) * NANOS_PER_MS;
        let raw = reading.database_ms.saturating_sub(self.shift);

        // What this process can vouch for, and from there what the time is.
        let comparable = seen.filter(|seen| seen.newcomers == self.newcomers);
        let allowed = comparable.map(|seen| seen.allows(self.lost, boot));
        let at = allowed.map_or(self.last, |allowed| raw.min(allowed).max(self.last));
        let (least, most) = (database - boot, database + NANOS_PER_MS - before);
        let moved = match seen {
            Some(seen) => seen.moved(self.rises, least, most, boot),
            None => Moved { fell: 0, rose: 0, least, most },
        };
        // What fell behind with this reading: by holding back, and by the database's clock itself.
        let shift = reading.database_ms.saturating_sub(at);
        // In a new row the shift is not a correction but the beginning of the count.
        let held_back = if self.epoch.is_empty() { 0 } else { shift.saturating_sub(self.shift).max(0) };
        let loses = held_back.saturating_add(moved.fell);

        self.lost = self.lost.saturating_add(loses);
        self.shift = shift;
        self.last = at;
        if seen.is_none() || (raw < at && same_epoch) {
            self.newcomers = self.newcomers.saturating_add(1);
        }
        if moved.rose > STEP_MS {
            self.rises = self.rises.saturating_add(moved.rose);
        }
        if !same_epoch {
            self.epoch.clone_from(&reading.epoch);
        }
        if replaced || reverted {
            self.paused_until = self.paused_until.max(at.saturating_add(millis(pause)));
        }

        let lost = i128::from(self.lost) * NANOS_PER_MS;
        let at_nanos = i128::from(at) * NANOS_PER_MS;
        let ceiling = match (seen, allowed) {
            // Within what this process vouches for: the ceiling can only come down. `at` was rounded down by less than
            // a millisecond, and the database's clock was read no earlier than `before`.
            (Some(seen), Some(allowed)) if allowed >= at => {
                let unchanged = seen.ceiling + i128::from(loses) * NANOS_PER_MS;
                unchanged.min(at_nanos + NANOS_PER_MS - before + lost)
            }
            // Budget time did not advance: this reading is a new beginning.
            _ => at_nanos - boot + lost,
        };
        // A slow reading says too little about the database's clock to compare the next one with it.
        let witness = Witness((!slow).then(|| Seen {
            epoch: reading.epoch.clone(),
            newcomers: self.newcomers,
            at,
            boot,
            rises: self.rises,
            offset_least: moved.least,
            offset_most: moved.most,
            ceiling,
        }));
        let may_grant = !slow && at >= self.paused_until;
        Opened { now: Now { at, wall_ms: reading.wall_ms, may_grant }, witness }
    }
}

impl Seen {
    /// The latest budget time that this process's boot-time clock allows, ms.
    fn allows(&self, lost: i64, boot: i128) -> i64 {
        let nanos = self.ceiling - i128::from(lost) * NANOS_PER_MS + boot - distrust(boot - self.boot);
        i64::try_from(nanos.div_euclid(NANOS_PER_MS)).unwrap_or(i64::MIN)
    }

    /// How the database's clock moved since, apart from the steps forward that others have written down, if it is now
    /// ahead by between `least` and `most`.
    fn moved(&self, rises: i64, least: i128, most: i128, boot: i128) -> Moved {
        let rises = i128::from(rises.saturating_sub(self.rises)) * NANOS_PER_MS;
        let then = self.offset_least + rises;
        // This process's clock may have run slow meanwhile, and so hide a fall.
        let doubt = distrust(boot - self.boot);
        let fell = (then + doubt - most).max(0) / NANOS_PER_MS;
        let rose = (least - self.offset_most - rises).max(0) / NANOS_PER_MS;
        let accounted = if fell > 0 { then + doubt - fell * NANOS_PER_MS } else { then - doubt };
        Moved {
            fell: i64::try_from(fell).unwrap_or(i64::MAX),
            rose: i64::try_from(rose).unwrap_or(i64::MAX),
            least: accounted.max(least),
            most,
        }
    }
}

/// How the database's clock moved against a process's boot-time clock.
struct Moved {
    /// Back, by so many ms as far as can be told: rather too many.
    fell: i64,
    /// Forward, by so many ms at least.
    rose: i64,
    /// By how much it is ahead now, at least as far as `fell` does not account for it, and at most: nanoseconds.
    least: i128,
    most: i128,
}

/// By how much a boot-time clock may be wrong that nobody compared for so long.
fn distrust(since: i128) -> i128 {
    (since - nanos(TRUSTED)).max(0) / DISTRUST
}

fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests;
