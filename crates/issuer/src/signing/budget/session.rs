//! One batch's view of its meters, under their rows' locks.
//!
//! Owns the order within a batch: refusals by the vault first, then who is admitted and for whom slots are set aside, in
//! the batch's order; winners then take what was set aside. What a loser set aside was never taken: it is tried on a copy
//! of the row. A meter whose time or row cannot be relied on in this batch is shut: nothing is granted, admitted, moved or
//! written there, and slots out of it come back by themselves.

use std::collections::HashSet;
use std::sync::Arc;

use domain::{BootTime, Timestamp};
use signer::budget::{
    Admission, Cost, Meter, Now, Opened, Operations, Reading, Row, RowError, Slot as RowSlot, Witness,
};
use store::{Alternatives, BudgetSession, Ended, FoundMeter, MeterName, Need, Slot, StoreError};

use super::{Known, Last, Shared, choose, label, operations};

/// When to ask again where no return time is known.
const NOTHING_KNOWN_MS: i64 = 20;

/// When to ask again where the meter is shut.
const SHUT_MS: i64 = 250;

/// Why a meter is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shut {
    /// The reading took too long. One that is used all the same would hold back the time of all processes.
    ClockSlow,
    /// The row cannot be read: another version of the product wrote it, or it is damaged.
    Unreadable,
}

impl Shut {
    const fn label(self) -> &'static str {
        match self {
            Self::ClockSlow => "budget_clock_slow",
            Self::Unreadable => "budget_unreadable",
        }
    }
}

struct Entry {
    name: MeterName,
    meter: Arc<Meter>,
    row: Row,
    /// The row with everything that was set aside.
    trial: Option<Row>,
    now: Now,
    witness: Witness,
    /// Units of signatures that were set aside: they wait no longer, whatever becomes of them.
    left: u64,
}

pub(super) struct Session {
    shared: Arc<Shared>,
    entries: Vec<Entry>,
    shut: Vec<(MeterName, Shut)>,
    boot: BootTime,
    /// Where somebody went without: who comes later in the batch must not be served before.
    exhausted: HashSet<(MeterName, Operations)>,
}

impl Session {
    pub(super) fn begin(
        shared: Arc<Shared>,
        rows: Vec<FoundMeter>,
        reading: &Reading,
        is_complete: bool,
    ) -> Result<Self, StoreError> {
        let mut session = Self {
            shared,
            entries: Vec::new(),
            shut: Vec::new(),
            boot: reading.boot,
            exhausted: HashSet::new(),
        };
        let is_slow = reading.took > session.shared.slow_reading();
        for found in rows {
            let meter = session.shared.meters.get(&found.id).ok_or(StoreError::Corrupt("a meter's id"))?;
            let meter = Arc::clone(meter);
            if is_slow {
                session.shut_for_slowness(found.id, reading);
                continue;
            }
            let before = session.shared.known().get(&found.id).map(|known| known.witness.clone());
            let before = before.unwrap_or_default();
            let (row, opened) = match found.state.as_deref().map(Row::parse) {
                Some(Ok(mut row)) => {
                    let opened = row.open(&meter, reading, &before);
                    (row, opened)
                }
                Some(Err(error)) => {
                    session.shut_for_text(found.id, &error);
                    continue;
                }
                None if is_complete && before == Witness::default() => {
                    let mut row = Row::new();
                    let opened = row.open(&meter, reading, &before);
                    (row, opened)
                }
                None => {
                    tracing::warn!(
                        meter = %found.id,
                        pause = ?meter.lost_commit_pause(),
                        "the row of a vault's budget may have been lost; nothing is signed until what it held is over"
                    );
                    Row::after_loss(&meter, reading)
                }
            };
            let Opened { now, witness } = opened;
            session.entries.push(Entry { name: found.id, meter, row, trial: None, now, witness, left: 0 });
        }
        Ok(session)
    }

    fn shut_for_slowness(&mut self, name: MeterName, reading: &Reading) {
        let mut known = self.shared.known();
        let begins = known.entry(name.clone()).or_default().slow_readings.happened(reading.boot);
        drop(known);
        if begins {
            tracing::warn!(
                meter = %name, took = ?reading.took,
                "the database's time takes too long to read: nothing is signed by it"
            );
        }
        self.shut.push((name, Shut::ClockSlow));
    }

    fn shut_for_text(&mut self, name: MeterName, error: &RowError) {
        let mut known = self.shared.known();
        let begins = known.entry(name.clone()).or_default().unreadable.happened(self.boot);
        drop(known);
        if begins {
            tracing::error!(meter = %name, %error, "the row of a vault's budget cannot be read: nothing is signed by it");
        }
        self.shut.push((name, Shut::Unreadable));
    }

    fn why_shut(&self, name: &MeterName) -> Option<Shut> {
        self.shut.iter().find(|(shut, _)| shut == name).map(|(_, why)| *why)
    }

    /// Whether a meter would admit a request, or the label that says why not.
    fn judge(&self, name: &MeterName) -> Result<(), &'static str> {
        if let Some(why) = self.why_shut(name) {
            return Err(why.label());
        }
        let Some(entry) = self.entries.iter().find(|entry| entry.name == *name) else { return Ok(()) };
        match entry.row.would_admit(&entry.meter, entry.now.at) {
            Admission::Admitted => Ok(()),
            Admission::Refused(refusal) => Err(label(refusal)),
        }
    }

    fn entry(&mut self, name: &MeterName) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.name == *name)
    }
}

impl Entry {
    fn trial(&mut self) -> &mut Row {
        self.trial.get_or_insert_with(|| self.row.clone())
    }

    /// Milliseconds until it makes sense to ask again.
    fn wait_ms(&self, operations: Operations) -> i64 {
        let trial = self.trial.as_ref().unwrap_or(&self.row);
        let returns = trial.next_return(&self.meter, operations, self.now);
        returns.map_or(NOTHING_KNOWN_MS, |at| at.saturating_sub(self.now.at))
    }
}

fn cost(need: &Need) -> Cost {
    Cost { operations: operations(need.operations), units: need.units }
}

impl BudgetSession for Session {
    fn throttled(&mut self, slots: &[Slot]) {
        for slot in slots {
            let Some((entry, slot)) = self.entry(&slot.meter).zip(parsed(slot)) else { continue };
            if entry.row.throttled(&entry.meter, &slot, entry.now) {
                let snapshot = entry.row.snapshot(&entry.meter, slot.operations, entry.now);
                let effective = snapshot.map(|snapshot| snapshot.effective);
                tracing::warn!(meter = %entry.name, effective, "the vault throttles: somebody else uses it too");
            }
        }
    }

    fn admit(&mut self, uses: &[Alternatives], created_at: Timestamp) -> Result<(), &'static str> {
        let chosen = choose(uses, |name| self.judge(name))?;
        for entry in self.entries.iter_mut().filter(|entry| chosen.contains(&entry.name)) {
            if let Admission::Refused(refusal) = entry.row.admit(&entry.meter, entry.now) {
                return Err(label(refusal));
            }
            entry.row.created(created_at.millis());
        }
        Ok(())
    }

    fn set_aside(&mut self, needs: &[Need]) -> Result<(), i64> {
        let mut wait = None;
        for need in needs {
            let cost = cost(need);
            if self.why_shut(&need.meter).is_some() {
                wait = Some(wait.unwrap_or(SHUT_MS).max(SHUT_MS));
                continue;
            }
            let after_another = self.exhausted.contains(&(need.meter.clone(), cost.operations));
            let Some(entry) = self.entry(&need.meter) else { return Err(NOTHING_KNOWN_MS) };
            let (meter, now) = (Arc::clone(&entry.meter), entry.now);
            if after_another || !entry.trial().would_grant(&meter, cost, now) {
                let needed = entry.wait_ms(cost.operations);
                wait = Some(wait.unwrap_or(needed).max(needed));
                self.exhausted.insert((need.meter.clone(), cost.operations));
            }
        }
        if let Some(wait) = wait {
            return Err(wait);
        }
        for need in needs {
            let cost = cost(need);
            if let Some(entry) = self.entry(&need.meter) {
                let (meter, now) = (Arc::clone(&entry.meter), entry.now);
                // Asked a moment ago, so it grants; were it not so, the winner would be refused, too.
                let _tried = entry.trial().grant(&meter, cost, now);
                if cost.operations == Operations::Sign {
                    entry.left = entry.left.saturating_add(cost.units);
                }
            }
        }
        Ok(())
    }

    fn grant(&mut self, needs: &[Need], requested_at: Option<Timestamp>) -> Result<Vec<Slot>, StoreError> {
        let mut slots = Vec::with_capacity(needs.len());
        for need in needs {
            let cost = cost(need);
            let entry = self.entry(&need.meter).ok_or(StoreError::Corrupt("a meter's id"))?;
            let slot = entry.row.grant(&entry.meter, cost, entry.now);
            let slot = slot.ok_or(StoreError::Corrupt("what was set aside"))?;
            if let Some(at) = requested_at {
                entry.row.asked(at.millis(), cost);
            }
            slots.push(Slot { meter: need.meter.clone(), text: slot.to_string() });
        }
        Ok(slots)
    }

    fn answered(&mut self, slots: &[Slot]) {
        for slot in slots {
            if let Some((entry, slot)) = self.entry(&slot.meter).zip(parsed(slot)) {
                entry.row.answered(&entry.meter, &slot, entry.now);
            }
        }
    }

    fn end(self: Box<Self>) -> Result<Ended, StoreError> {
        let Self { shared, mut entries, boot, .. } = *self;
        let mut rows = Vec::with_capacity(entries.len());
        for entry in &mut entries {
            let queued = shared.queued().get(&entry.name).copied().unwrap_or(0);
            entry.row.waiting(&shared.replica, queued.saturating_sub(entry.left), entry.now);
            let text = entry.row.to_text().map_err(|error| {
                tracing::error!(meter = %entry.name, %error, "the row of a vault's budget cannot be written");
                StoreError::Corrupt("meter.state")
            })?;
            rows.push((entry.name.clone(), text));
        }
        let keep = Box::new(move || {
            let mut all = shared.known();
            for entry in entries {
                let known: &mut Known = all.entry(entry.name).or_default();
                // Of two transactions that end together, the one that read the time later knows more.
                if known.last.as_ref().is_none_or(|last| last.boot <= boot) {
                    known.witness = entry.witness;
                    known.last = Some(Last { row: entry.row, now: entry.now, boot });
                }
            }
        });
        Ok(Ended { rows, keep })
    }
}

/// The rule's own slot; one that cannot be read stays where it is until its time.
fn parsed(slot: &Slot) -> Option<RowSlot> {
    let parsed = slot.text.parse();
    if parsed.is_err() {
        tracing::error!(meter = %slot.meter, "a slot cannot be read");
    }
    parsed.ok()
}
