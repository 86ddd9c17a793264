//! Slots, and the multiset of the times at which they fall due.
//!
//! Owns what is outstanding. Must not know a limit: a slot is kept with the time by which its operation has reached the
//! vault at the latest (`due`), and each limit holds it until one of its own windows after that.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::Operations;

/// Times are kept in steps of this many milliseconds, always rounded up, so a slot is held too long by 10 ms on
/// average: 0.1 % of a window of 10 s. At most 750 steps are then occupied at once (D + W + M), which keeps the row's
/// text below 3 KB with 2,000 slots outstanding, where their exact times would take some 12 KB in the hottest row.
pub(super) const STEP_MS: i64 = 20;

/// Leave to reach the vault once, kept with the attempt until its answer is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Which limits it counts against.
    pub operations: Operations,
    /// How much it takes of them.
    pub units: u64,
    /// When it was granted, in milliseconds of the meter's budget time.
    pub granted_at: i64,
    /// By when its operation has reached the vault if it ever does (budget time, ms): it returns one window later.
    pub due: i64,
}

/// The text is no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a slot is kept as `sign|create_key UNITS GRANTED_AT DUE`")]
pub struct InvalidSlot;

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operations = match self.operations {
            Operations::Sign => "sign",
            Operations::CreateKey => "create_key",
        };
        write!(f, "{operations} {} {} {}", self.units, self.granted_at, self.due)
    }
}

impl FromStr for Slot {
    type Err = InvalidSlot;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(' ');
        let mut next = || parts.next().ok_or(InvalidSlot);
        let operations = match next()? {
            "sign" => Operations::Sign,
            "create_key" => Operations::CreateKey,
            _ => return Err(InvalidSlot),
        };
        let units = next()?.parse().map_err(|_source| InvalidSlot)?;
        let granted_at = next()?.parse().map_err(|_source| InvalidSlot)?;
        let due = next()?.parse().map_err(|_source| InvalidSlot)?;
        if parts.next().is_some() {
            return Err(InvalidSlot);
        }
        Ok(Self { operations, units, granted_at, due })
    }
}

/// The first step that is not before this time.
pub(super) fn round_up(at: i64) -> i64 {
    let step = at.div_euclid(STEP_MS);
    let down = step.saturating_mul(STEP_MS);
    if down == at { at } else { down.saturating_add(STEP_MS) }
}

/// How many units fall due when. Times are multiples of [`STEP_MS`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Held {
    due: BTreeMap<i64, u64>,
    total: u64,
}

impl Held {
    /// Holds `units` more until a window after `due`.
    pub(super) fn add(&mut self, due: i64, units: u64) {
        let entry = self.due.entry(due).or_default();
        *entry = entry.saturating_add(units);
        self.total = self.total.saturating_add(units);
    }

    /// Takes `units` out at `due`; false, and nothing changes, if they are not held there.
    pub(super) fn remove(&mut self, due: i64, units: u64) -> bool {
        let Some(held) = self.due.get_mut(&due) else { return false };
        let Some(rest) = held.checked_sub(units) else { return false };
        *held = rest;
        if rest == 0 {
            self.due.remove(&due);
        }
        self.total = self.total.saturating_sub(units);
        true
    }

    /// Forgets all that fell due at `time` or before.
    pub(super) fn forget(&mut self, time: i64) {
        while let Some(entry) = self.due.first_entry() {
            if *entry.key() > time {
                break;
            }
            self.total = self.total.saturating_sub(entry.remove());
        }
    }

    /// Units that fall due after `time`.
    pub(super) fn after(&self, time: i64) -> u64 {
        match self.due.first_key_value() {
            Some((first, _)) if *first > time => self.total,
            Some(_) => {
                self.due.range(time.saturating_add(1)..).fold(0, |sum, (_, units)| sum.saturating_add(*units))
            }
            None => 0,
        }
    }

    /// The earliest time after `time` at which anything falls due.
    pub(super) fn first_after(&self, time: i64) -> Option<i64> {
        self.due.range(time.saturating_add(1)..).next().map(|(due, _)| *due)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, u64)> {
        self.due.iter().map(|(due, units)| (*due, *units))
    }
}
