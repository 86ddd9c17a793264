//! One meter's row: what all processes have to agree on before any of them asks the vault.
//!
//! Owns grant, return, shrinking and admission in one state, changed only within the transaction that locked the row.
//! Must not know whose attempt a slot is: that the attempt goes from open to answered once is the caller's `WHERE`.

use std::collections::BTreeMap;

use super::admission::{Admission, Flow, Gate, Refusal};
use super::clock::{BudgetTime, Now, Opened, Reading, Witness};
use super::meter::{Cost, Meter, UNITS, millis};
use super::ramp::{Cut, capacity, effective, level};
use super::slots::{Held, Slot, round_up};
use super::{Limit, Operations};

/// How often the growth of a limit that was cut is looked at by those who wait for it, ms.
const GROWTH_MS: i64 = 250;

/// What one kind of operations has outstanding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pool {
    pub(super) held: Held,
    pub(super) cut: Option<Cut>,
}

/// A meter's state between two transactions. Its text belongs to this module; the store keeps it unread.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    pub(super) time: BudgetTime,
    pub(super) pools: BTreeMap<Operations, Pool>,
    pub(super) gate: Gate,
}

/// What metrics and the status page show of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Snapshot {
    /// The limit in reference operations per window; with several limits, of the one that leaves least.
    pub limit: f64,
    /// What is left of it after refusals by the vault.
    pub effective: f64,
    /// Held by slots.
    pub held: f64,
    /// What may be granted now.
    pub free: f64,
    /// Signatures (in reference operations) that wait in all processes.
    pub waiting: f64,
    /// What a request costs, in reference operations.
    pub m: f64,
    /// Budget time, ms.
    pub at: i64,
    /// Budget time up to which nothing is granted because commits may have been lost; in the past if not so.
    pub paused_until: i64,
    /// By how much budget time is known to have fallen behind since the row was made, ms.
    pub lost_ms: i64,
}

impl Row {
    /// The row of a meter that was never used. Where its row may have been lost it is [`Row::after_loss`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The row of a meter that was used before and whose row is gone, with the commits that made it. What they granted may
    /// still be out, so nothing is granted before it has left every window.
    #[must_use]
    pub fn after_loss(meter: &Meter, reading: &Reading) -> (Self, Opened) {
        let mut row = Self::new();
        let mut opened = row.open(meter, reading, &Witness::default());
        row.time.paused_until = opened.now.at.saturating_add(millis(meter.lost_commit_pause()));
        opened.now.may_grant = false;
        (row, opened)
    }

    /// Sets the row's time from a reading made after the row was locked, and lets slots return whose time has come.
    /// Every other call of the transaction takes the [`Now`] that this gives.
    pub fn open(&mut self, meter: &Meter, reading: &Reading, witness: &Witness) -> Opened {
        let opened = self.time.read(&meter.timing, meter.lost_commit_pause(), reading, witness);
        let at = opened.now.at;
        for (operations, pool) in &mut self.pools {
            let window = meter.window(*operations).map_or(0, millis);
            pool.held.forget(at.saturating_sub(window));
            if pool.cut.is_some_and(|cut| cut.is_over(&meter.timing.ramp, at)) {
                pool.cut = None;
            }
        }
        self.pools.retain(|_, pool| *pool != Pool::default());
        self.gate.refresh(at, reading.wall_ms);
        opened
    }

    /// How many units may be granted now on these operations; `u64::MAX` if nothing limits them here.
    #[must_use]
    pub fn free(&self, meter: &Meter, operations: Operations, now: Now) -> u64 {
        if !now.may_grant {
            return 0;
        }
        let within = meter.limits_on(operations).map(|limit| {
            self.effective_units(meter, limit, now.at).saturating_sub(self.held_units(limit, now.at))
        });
        let within = within.min().unwrap_or(u64::MAX);
        match self.cut(operations) {
            Some(cut) => within.min(cut.paced(meter, operations, now.at)),
            None => within,
        }
    }

    /// Grants one attempt, if every limit on its operations has room: the slot is held until one window after
    /// `t + D + M`, by when its operation has reached the vault if it ever does.
    #[must_use]
    pub fn grant(&mut self, meter: &Meter, cost: Cost, now: Now) -> Option<Slot> {
        if !self.would_grant(meter, cost, now) {
            return None;
        }
        let due =
            now.at.saturating_add(millis(meter.timing.attempt)).saturating_add(millis(meter.timing.late));
        let slot =
            Slot { operations: cost.operations, units: cost.units, granted_at: now.at, due: round_up(due) };
        if meter.window(cost.operations).is_some() {
            let pool = self.pools.entry(cost.operations).or_default();
            pool.held.add(slot.due, slot.units);
            if let Some(cut) = &mut pool.cut {
                cut.pace(meter, cost.operations, cost.units, now.at);
            }
        }
        Some(slot)
    }

    /// Whether [`Row::grant`] would.
    #[must_use]
    pub fn would_grant(&self, meter: &Meter, cost: Cost, now: Now) -> bool {
        let free = self.free(meter, cost.operations, now);
        // An operation that costs several reference operations must not wait for ever for a pace that never lets
        // more than one go.
        let paced = self.cut(cost.operations).is_some();
        free >= cost.units || (paced && free >= UNITS && self.has_room(meter, cost, now))
    }

    fn has_room(&self, meter: &Meter, cost: Cost, now: Now) -> bool {
        meter.limits_on(cost.operations).all(|limit| {
            let held = self.held_units(limit, now.at);
            held.saturating_add(cost.units) <= self.effective_units(meter, limit, now.at)
        })
    }

    /// The slot's attempt was answered by the vault, with `x-ms-request-id`, whatever the answer: the slot now returns
    /// one window after `now + G`. `now` has to come from a reading made after the answer had arrived.
    ///
    /// Call it at most once per attempt: in the transaction that takes the attempt from open to answered. False if
    /// the slot's time has come already; then nothing changes.
    pub fn answered(&mut self, meter: &Meter, slot: &Slot, now: Now) -> bool {
        let Some(window) = meter.window(slot.operations) else { return false };
        let Some(pool) = self.pools.get_mut(&slot.operations) else { return false };
        if slot.due.saturating_add(millis(window)) <= now.at || !pool.held.remove(slot.due, slot.units) {
            return false;
        }
        pool.held.add(round_up(now.at.saturating_add(millis(meter.timing.guard))), slot.units);
        true
    }

    /// The vault refused the slot's attempt as one too many (429): somebody else uses it too. The effective limit shrinks
    /// at once and grows back slowly. True if it did; a refusal of an attempt granted before the last cut says
    /// nothing new.
    pub fn throttled(&mut self, meter: &Meter, slot: &Slot, now: Now) -> bool {
        // Of several limits, the one that was closest to its end.
        let used = meter
            .limits_on(slot.operations)
            .map(|limit| (self.held_units(limit, now.at), capacity(limit.amount)))
            .max_by(|(used, of), (other, of_other)| {
                (u128::from(*used) * u128::from(*of_other)).cmp(&(u128::from(*other) * u128::from(*of)))
            });
        let Some((used, of)) = used else { return false };
        let pool = self.pools.entry(slot.operations).or_default();
        let cut = Cut::make(pool.cut, &meter.timing.ramp, slot.granted_at, now.at, used, of);
        if cut.is_some() {
            pool.cut = cut;
        }
        cut.is_some()
    }

    /// When whoever waits for a slot should look again (budget time, ms): when the next slot returns, the pace allows
    /// the next grant or the pause ends. `None` if nothing but this reading was in the way.
    #[must_use]
    pub fn next_return(&self, meter: &Meter, operations: Operations, now: Now) -> Option<i64> {
        let pool = self.pools.get(&operations);
        let returns = meter.limits_on(operations).filter_map(|limit| {
            let window = millis(limit.window);
            let due = pool?.held.first_after(now.at.saturating_sub(window))?;
            Some(due.saturating_add(window))
        });
        let mut next = returns.min();
        if let Some(cut) = pool.and_then(|pool| pool.cut) {
            // While it is cut the limit also grows without any return.
            let one = Cost::one(operations);
            let room = if self.has_room(meter, one, now) { now.at } else { now.at.saturating_add(GROWTH_MS) };
            next = Some(next.unwrap_or(room).min(room).max(cut.paced_at()));
        }
        let paused = Some(self.time.paused_until).filter(|until| *until > now.at);
        paused.max(next)
    }

    /// Decides about one request to be created, and takes its token if it is admitted. Where one alternative
    /// of a request's signatures needs several rows, all have to admit it; ask [`Row::would_admit`] of all before taking
    /// from any.
    pub fn admit(&mut self, meter: &Meter, now: Now) -> Admission {
        let admission = self.would_admit(meter, now.at);
        if let (Admission::Admitted, Some(flow)) = (admission, self.flow(meter, now.at)) {
            self.gate.take(flow, now.at);
        }
        admission
    }

    /// Whether a request would be admitted at a time estimated from the row last seen (its [`Now::at`] plus what the
    /// boot-time clock advanced since): what refusals are judged by, without a transaction.
    #[must_use]
    pub fn would_admit(&self, meter: &Meter, at: i64) -> Admission {
        if at < self.time.paused_until {
            return Admission::Refused(Refusal::Paused);
        }
        self.flow(meter, at).map_or(Admission::Admitted, |flow| self.gate.judge(flow, at))
    }

    /// A request was created at this wall-clock time (ms since 1970), which is kept with the request.
    pub fn created(&mut self, created_at: i64) {
        self.gate.count_created(created_at);
    }

    /// A signature of this cost was asked on the lanes of requests and credentials, for a request created then. Once
    /// per signature that a request needs, not per attempt.
    pub fn asked(&mut self, created_at: i64, cost: Cost) {
        self.gate.count_asked(created_at, cost.units);
    }

    /// So many units of signatures wait for a slot in this process. Forgotten when not said again for 5 s.
    pub fn waiting(&mut self, replica: &str, units: u64, now: Now) {
        self.gate.report(replica, units, now.at);
    }

    /// What a request costs by the last estimate, in units.
    #[must_use]
    pub fn m(&self) -> u64 {
        self.gate.m
    }

    /// What is left of the limits on these operations, in units per window; of several limits the one that leaves
    /// the lowest rate.
    #[must_use]
    pub fn effective_limit(&self, meter: &Meter, operations: Operations, at: i64) -> u64 {
        let limits = meter.limits_on(operations);
        let tightest = limits.min_by_key(|limit| rate(self.effective_units(meter, limit, at), limit));
        tightest.map_or(u64::MAX, |limit| self.effective_units(meter, limit, at))
    }

    /// For metrics and the status page; `None` if nothing limits these operations here.
    #[must_use]
    pub fn snapshot(&self, meter: &Meter, operations: Operations, now: Now) -> Option<Snapshot> {
        let tightest = |limit: &&Limit| {
            self.effective_units(meter, limit, now.at).saturating_sub(self.held_units(limit, now.at))
        };
        let limit = meter.limits_on(operations).min_by_key(tightest)?;
        Some(Snapshot {
            limit: f64::from(limit.amount),
            effective: in_operations(self.effective_units(meter, limit, now.at)),
            held: in_operations(self.held_units(limit, now.at)),
            free: in_operations(self.free(meter, operations, now)),
            waiting: in_operations(self.gate.queued(now.at)),
            m: in_operations(self.gate.m),
            at: now.at,
            paused_until: self.time.paused_until,
            lost_ms: self.time.lost,
        })
    }

    /// The limit that admission goes by: the one on signatures that leaves the lowest rate.
    fn flow(&self, meter: &Meter, at: i64) -> Option<Flow> {
        let flows = meter.limits_on(Operations::Sign).map(|limit| Flow {
            units: self.effective_units(meter, limit, at),
            window_ms: u64::try_from(limit.window.as_millis()).unwrap_or(u64::MAX).max(1),
        });
        flows.min_by_key(|flow| flow.units.saturating_mul(1000) / flow.window_ms)
    }

    fn cut(&self, operations: Operations) -> Option<&Cut> {
        self.pools.get(&operations)?.cut.as_ref()
    }

    /// What is left of a limit, in units.
    fn effective_units(&self, meter: &Meter, limit: &Limit, at: i64) -> u64 {
        let level = level(self.cut(limit.operations), &meter.timing.ramp, at);
        effective(capacity(limit.amount), level)
    }

    /// What slots hold of a limit, in units.
    fn held_units(&self, limit: &Limit, at: i64) -> u64 {
        let since = at.saturating_sub(millis(limit.window));
        self.pools.get(&limit.operations).map_or(0, |pool| pool.held.after(since))
    }
}

/// One row's share in an attempt that needs slots in several.
#[derive(Debug)]
pub struct Demand<'a> {
    /// The row, locked and opened.
    pub row: &'a mut Row,
    /// Whose it is.
    pub meter: &'a Meter,
    /// What the attempt takes of it.
    pub cost: Cost,
    /// The row's present.
    pub now: Now,
}

/// Grants in all rows or in none. The slots are in the order of the demands.
#[must_use]
pub fn grant_all(demands: &mut [Demand<'_>]) -> Option<Vec<Slot>> {
    if !demands.iter().all(|d| d.row.would_grant(d.meter, d.cost, d.now)) {
        return None;
    }
    demands.iter_mut().map(|d| d.row.grant(d.meter, d.cost, d.now)).collect()
}

/// Units per second of a limit.
fn rate(units: u64, limit: &Limit) -> u64 {
    let window_ms = u64::try_from(limit.window.as_millis()).unwrap_or(u64::MAX).max(1);
    units.saturating_mul(1000) / window_ms
}

/// Units as a number of reference operations, for display.
fn in_operations(units: u64) -> f64 {
    let whole = f64::from(u32::try_from(units / UNITS).unwrap_or(u32::MAX));
    let part = f64::from(u32::try_from(units % UNITS).unwrap_or(0));
    whole + part / 2520.0
}

#[cfg(test)]
mod tests;
