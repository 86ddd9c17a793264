//! One batch's view of its meters, under their rows' locks.
//!
//! Owns the order within a batch: refusals by the vault first, then who is admitted and for whom slots are set aside, in
//! the batch's order; winners then take what was set aside. What a loser set aside was never taken: it is tried on a copy
//! of the row.

use std::collections::HashSet;
use std::sync::Arc;

use domain::{BootTime, Timestamp};
use signer::budget::{
    Admission, Cost, Meter, Now, Opened, Operations, Reading, Row, Slot as RowSlot, Witness,
};
use store::{BudgetSession, Ended, FoundMeter, MeterName, Need, Slot, StoreError};

use super::{Known, Last, Shared, label, operations};

/// When to ask again where no return time is known: the step in which return times are kept.
const STEP_MS: i64 = 20;

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
    boot: BootTime,
    /// Where somebody went without: who comes later in the batch must not be served before.
    exhausted: HashSet<(MeterName, Operations)>,
}

impl Session {
    pub(super) fn begin(
        shared: Arc<Shared>,
        rows: Vec<FoundMeter>,
        reading: &Reading,
    ) -> Result<Self, StoreError> {
        let mut entries = Vec::with_capacity(rows.len());
        for found in rows {
            let meter = shared.meters.get(&found.id).ok_or(StoreError::Corrupt("a meter's id"))?;
            let mut row = match &found.state {
                None => Row::new(),
                Some(text) => Row::parse(text).map_err(|error| {
                    tracing::error!(meter = %found.id, %error, "the row of a vault's budget cannot be read");
                    StoreError::Corrupt("meter.state")
                })?,
            };
            let witness =
                shared.known().get(&found.id).map(|known| known.witness.clone()).unwrap_or_default();
            let Opened { now, witness } = row.open(meter, reading, &witness);
            let (name, meter) = (found.id, Arc::clone(meter));
            entries.push(Entry { name, meter, row, trial: None, now, witness, left: 0 });
        }
        Ok(Self { shared, entries, boot: reading.boot, exhausted: HashSet::new() })
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
        let snapshot = self.row.snapshot(&self.meter, operations, self.now);
        if let Some(snapshot) = snapshot {
            let paused = snapshot.paused_until.saturating_sub(self.now.at);
            if paused > 0 {
                return paused;
            }
            // Grants come at a pace then, not with returns alone.
            if snapshot.effective < snapshot.limit {
                return STEP_MS;
            }
        }
        if !self.now.may_grant {
            // The reading took too long; the next one need not.
            return STEP_MS;
        }
        let trial = self.trial.as_ref().unwrap_or(&self.row);
        let returns = trial.next_return(&self.meter, operations, self.now);
        returns.map_or(STEP_MS, |at| at.saturating_sub(self.now.at))
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

    fn admit(&mut self, meters: &[MeterName], created_at: Timestamp) -> Result<(), &'static str> {
        let of_request = |entry: &&mut Entry| meters.contains(&entry.name);
        for entry in self.entries.iter_mut().filter(of_request) {
            if let Admission::Refused(refusal) = entry.row.would_admit(&entry.meter, entry.now.at) {
                return Err(label(refusal));
            }
        }
        for entry in self.entries.iter_mut().filter(of_request) {
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
            let after_another = self.exhausted.contains(&(need.meter.clone(), cost.operations));
            let Some(entry) = self.entry(&need.meter) else { return Err(STEP_MS) };
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

    fn end(self: Box<Self>) -> Ended {
        let Self { shared, mut entries, boot, .. } = *self;
        let mut rows = Vec::with_capacity(entries.len());
        for entry in &mut entries {
            let queued = shared.queued().get(&entry.name).copied().unwrap_or(0);
            entry.row.waiting(&shared.replica, queued.saturating_sub(entry.left), entry.now);
            rows.push((entry.name.clone(), entry.row.to_text()));
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
        Ended { rows, keep }
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
