//! Joins the rules of the vault budget (`signer::budget`) with the rows that keep it (`store`).
//!
//! Owns what this process knows of its meters: which operation needs which, the last committed state of each row, how
//! much waits here. Everything that has to hold is decided in a `session`, under the rows' locks; what stands here is
//! for estimates: refusals before any transaction, the choice between vaults, what operators see.

mod session;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::{BootClock, BootTime, Clock, KeyRef};
use signer::Backend;
use signer::budget::{
    Admission, Budget, Meter, Now, Operations, Reading, Refusal, Row, Snapshot, Timing, Witness,
};
use store::{
    Alternatives, BudgetRule, BudgetSession, Committed, FoundMeter, MeterName, MeterReading, Need, Store,
    StoreError, Write,
};
use uuid::Uuid;

use self::session::Session;
use super::ATTEMPT_DEADLINE;
use super::committer::Commits;

/// After so long without a refusal, admission is said to have stopped refusing; the same for other trouble.
const CALM: Duration = Duration::from_secs(10);

/// The budget of all back ends of this process. Cheap to clone.
#[derive(Clone)]
pub struct VaultBudget(Arc<Shared>);

struct Shared {
    boot: Arc<dyn BootClock>,
    clock: Arc<dyn Clock>,
    /// Names this process in the rows.
    replica: String,
    backends: BTreeMap<String, Arc<dyn Budget>>,
    meters: HashMap<MeterName, Arc<Meter>>,
    /// What is remembered of each meter.
    known: Mutex<HashMap<MeterName, Known>>,
    /// Units that wait for each meter in this process.
    queued: Mutex<HashMap<MeterName, u64>>,
}

/// What a process remembers of a meter.
#[derive(Default)]
struct Known {
    witness: Witness,
    last: Option<Last>,
    /// Requests refused since the start.
    refused: u64,
    /// When the last one was, while admission refuses.
    refusing: Option<BootTime>,
    slow_readings: Trouble,
    unreadable: Trouble,
}

/// Something that keeps happening is logged once, until it has not happened for [`CALM`].
#[derive(Default)]
struct Trouble {
    count: u64,
    last: Option<BootTime>,
}

impl Trouble {
    /// It happened; whether this begins a new spell of it.
    fn happened(&mut self, now: BootTime) -> bool {
        self.count = self.count.saturating_add(1);
        self.last.replace(now).is_none_or(|last| now.since(last) >= CALM)
    }
}

/// The last committed state of a row.
struct Last {
    row: Row,
    now: Now,
    boot: BootTime,
}

/// What operators see of a meter.
#[derive(Debug, Clone, PartialEq)]
pub struct MeterStatus {
    /// Its id.
    pub meter: String,
    /// Signatures: limit, what is left of it, held, free, waiting, what a request costs. `None` before the first use.
    pub signatures: Option<Snapshot>,
    /// Requests that this process has refused since its start.
    pub refused: u64,
    /// Transactions of this process since its start that could not use the meter, because reading the database's time
    /// took too long each time it was tried.
    pub slow_readings: u64,
    /// The same because the row could not be read.
    pub unreadable: u64,
}

/// A meter does not admit a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the vault's limit is used up ({reason})")]
pub struct Overloaded {
    /// A stable label for the ledger.
    pub reason: &'static str,
}

impl VaultBudget {
    /// What these back ends declare.
    #[must_use]
    pub fn new(
        backends: &BTreeMap<String, Backend>,
        boot: Arc<dyn BootClock>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let backends: BTreeMap<String, Arc<dyn Budget>> =
            backends.iter().map(|(name, backend)| (name.clone(), Arc::clone(&backend.budget))).collect();
        let mut meters = HashMap::new();
        for meter in backends.values().flat_map(|budget| budget.meters()) {
            meters.insert(MeterName::from(meter.id.as_str()), Arc::new(meter.clone()));
        }
        Self(Arc::new(Shared {
            boot,
            clock,
            replica: Uuid::new_v4().simple().to_string(),
            backends,
            meters,
            known: Mutex::default(),
            queued: Mutex::default(),
        }))
    }

    /// What these operations on a key take from meters; empty where nothing limits them.
    #[must_use]
    pub fn needs(&self, key: &KeyRef, operations: &[Operations]) -> Vec<Need> {
        let Some(budget) = self.0.backends.get(&key.backend) else { return Vec::new() };
        let mut needs: Vec<Need> = Vec::new();
        for meter in budget.meters() {
            for operation in operations.iter().filter(|operation| meter.window(**operation).is_some()) {
                let units = budget.cost(key, *operation).units;
                let word = word(*operation);
                let known = needs
                    .iter_mut()
                    .find(|need| *need.meter == *meter.id.as_str() && need.operations == word);
                match known {
                    Some(need) => need.units = need.units.saturating_add(units),
                    None => needs.push(Need { meter: meter.id.as_str().into(), operations: word, units }),
                }
            }
        }
        needs
    }

    /// For each use of keys the ways in which it can be met, from the names of its back ends, the preferred one first. A
    /// use that nothing limits is left out, and so is what stands behind a back end without a limit.
    #[must_use]
    pub fn alternatives<'a, B>(&self, uses: impl IntoIterator<Item = B>) -> Vec<Alternatives>
    where
        B: IntoIterator<Item = &'a str>,
    {
        let mut all = Vec::new();
        for backends in uses {
            let mut alternatives = Alternatives::new();
            for budget in backends.into_iter().filter_map(|name| self.0.backends.get(name)) {
                let limited = budget.meters().iter().filter(|meter| meter.window(Operations::Sign).is_some());
                let meters: Vec<MeterName> = limited.map(|meter| meter.id.as_str().into()).collect();
                let is_last = meters.is_empty();
                alternatives.push(meters);
                if is_last {
                    break;
                }
            }
            let is_limited = alternatives.first().is_some_and(|meters| !meters.is_empty());
            if is_limited && !all.contains(&alternatives) {
                all.push(alternatives);
            }
        }
        all
    }

    /// From `began`, until when an attempt at this back end may be sent: within what its slots are held for.
    #[must_use]
    pub fn deadline(&self, backend: &str, began: BootTime) -> BootTime {
        let meters = self.0.backends.get(backend).into_iter().flat_map(|budget| budget.meters());
        let shortest = meters.map(|meter| meter.timing.attempt).min().unwrap_or(ATTEMPT_DEADLINE);
        began.plus(shortest.min(ATTEMPT_DEADLINE))
    }

    /// The present on the clock of deadlines.
    #[must_use]
    pub fn boot_now(&self) -> BootTime {
        self.0.boot.now()
    }

    /// Whether a request with these uses would be admitted now, by the rows last seen. Counts a refusal.
    ///
    /// # Errors
    /// [`Overloaded`], without a transaction.
    pub fn would_admit(&self, uses: &[Alternatives]) -> Result<(), Overloaded> {
        let known = self.0.known();
        let chosen = choose(uses, |name| {
            let Some(meter) = self.0.meters.get(name) else { return Ok(()) };
            let Some(last) = known.get(name).and_then(|known| known.last.as_ref()) else { return Ok(()) };
            match last.row.would_admit(meter, self.0.estimate(last)) {
                Admission::Admitted => Ok(()),
                Admission::Refused(refusal) => Err(label(refusal)),
            }
        })
        .map(drop);
        drop(known);
        chosen.map_err(|reason| {
            self.refused(uses);
            Overloaded { reason }
        })
    }

    /// Takes down that a request was refused.
    pub fn refused(&self, uses: &[Alternatives]) {
        let now = self.boot_now();
        for name in named(uses) {
            let mut known = self.0.known();
            let entry = known.entry(name.clone()).or_default();
            entry.refused = entry.refused.saturating_add(1);
            let begins = entry.refusing.replace(now).is_none();
            drop(known);
            if begins {
                tracing::warn!(meter = %name, "requests are refused: the vault's limit is used up");
            }
        }
    }

    /// Takes down that a request was admitted.
    pub fn admitted(&self, uses: &[Alternatives]) {
        let now = self.boot_now();
        for name in named(uses) {
            let mut known = self.0.known();
            let Some(entry) = known.get_mut(name) else { continue };
            let calm = entry.refusing.is_some_and(|last| now.since(last) >= CALM);
            if calm {
                entry.refusing = None;
            }
            let refused = entry.refused;
            drop(known);
            if calm {
                tracing::info!(meter = %name, refused, "requests are no longer refused");
            }
        }
    }

    /// Whether a back end can take another signature at once, by the rows last seen and by what waits here.
    #[must_use]
    pub fn has_room(&self, backend: &str) -> bool {
        let Some(budget) = self.0.backends.get(backend) else { return false };
        budget.meters().iter().all(|meter| {
            let known = self.0.known();
            let Some(last) = known.get(meter.id.as_str()).and_then(|known| known.last.as_ref()) else {
                return true;
            };
            let now = Now { at: self.0.estimate(last), ..last.now };
            let free = last.row.free(meter, Operations::Sign, now);
            drop(known);
            free > self.0.queued().get(meter.id.as_str()).copied().unwrap_or(0)
        })
    }

    /// All meters as they were last seen.
    #[must_use]
    pub fn status(&self) -> Vec<MeterStatus> {
        let known = self.0.known();
        let mut all: Vec<MeterStatus> = Vec::new();
        for (name, meter) in &self.0.meters {
            let entry = known.get(name);
            let signatures = entry.and_then(|known| known.last.as_ref()).and_then(|last| {
                let now = Now { at: self.0.estimate(last), ..last.now };
                last.row.snapshot(meter, Operations::Sign, now)
            });
            let count = |of: fn(&Known) -> u64| entry.map_or(0, of);
            all.push(MeterStatus {
                meter: name.to_string(),
                signatures,
                refused: count(|known| known.refused),
                slow_readings: count(|known| known.slow_readings.count),
                unreadable: count(|known| known.unreadable.count),
            });
        }
        all.sort_by(|a, b| a.meter.cmp(&b.meter));
        all
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, HashMap<MeterName, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queued(&self) -> MutexGuard<'_, HashMap<MeterName, u64>> {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shortest of all meters', because a batch is read for all at once.
    fn slow_reading(&self) -> Duration {
        let limits = self.meters.values().map(|meter| meter.timing.slow_reading);
        limits.min().unwrap_or_else(|| Timing::default().slow_reading)
    }

    /// A row's time now, if nothing held it back since it was seen.
    fn estimate(&self, last: &Last) -> i64 {
        let since = self.boot.now().since(last.boot);
        last.now.at.saturating_add(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

impl BudgetRule for VaultBudget {
    fn boot(&self) -> &dyn BootClock {
        &*self.0.boot
    }

    fn slow_reading(&self) -> Duration {
        self.0.slow_reading()
    }

    fn begin(
        &self,
        rows: Vec<FoundMeter>,
        reading: &MeterReading,
    ) -> Result<Box<dyn BudgetSession>, StoreError> {
        // Without a boot id every start of a process is taken for a start of the machine.
        let epoch = if reading.epoch.is_empty() { &self.0.replica } else { &reading.epoch };
        let is_complete = reading.is_complete;
        let reading = Reading {
            database_ms: reading.database_ms,
            epoch: epoch.clone(),
            survives_epoch: reading.survives_epoch,
            boot: reading.after,
            took: reading.took(),
            wall_ms: self.0.clock.now().millis(),
        };
        Ok(Box::new(Session::begin(Arc::clone(&self.0), rows, &reading, is_complete)?))
    }
}

/// All meters that these uses name, each once.
fn named(uses: &[Alternatives]) -> Vec<&MeterName> {
    let mut names: Vec<&MeterName> = Vec::new();
    for name in uses.iter().flatten().flatten() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// For each use the first alternative of which every meter says yes; gives the meters chosen, each once. If a use has
/// none, why its preferred one says no.
fn choose(
    uses: &[Alternatives],
    judge: impl Fn(&MeterName) -> Result<(), &'static str>,
) -> Result<Vec<MeterName>, &'static str> {
    let mut chosen: Vec<MeterName> = Vec::new();
    for alternatives in uses {
        let mut reason = None;
        let mut found = None;
        for meters in alternatives {
            match meters.iter().try_for_each(&judge) {
                Ok(()) => {
                    found = Some(meters);
                    break;
                }
                Err(label) => reason = reason.or(Some(label)),
            }
        }
        match (found, reason) {
            (Some(meters), _) => {
                for name in meters {
                    if !chosen.contains(name) {
                        chosen.push(name.clone());
                    }
                }
            }
            (None, Some(reason)) => return Err(reason),
            // A use without any alternative needs nothing.
            (None, None) => {}
        }
    }
    Ok(chosen)
}

/// The word for operations in a [`Need`].
const fn word(operations: Operations) -> &'static str {
    match operations {
        Operations::Sign => "sign",
        Operations::CreateKey => "create_key",
    }
}

/// The operations of a need, from their word.
fn operations(word: &str) -> Operations {
    if word == self::word(Operations::CreateKey) { Operations::CreateKey } else { Operations::Sign }
}

const fn label(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NoTokens => "budget_no_tokens",
        Refusal::QueueTooLong => "budget_queue_too_long",
        Refusal::Paused => "budget_paused",
    }
}

/// A store together with the budget that its meters follow.
pub struct Metered {
    store: Arc<Store>,
    budget: VaultBudget,
    rule: Arc<dyn BudgetRule>,
}

impl Metered {
    /// Joins them.
    #[must_use]
    pub fn new(store: Arc<Store>, budget: VaultBudget) -> Self {
        Self { store, rule: Arc::new(budget.clone()), budget }
    }
}

#[async_trait]
impl Commits for Metered {
    async fn commit(&self, batch: Vec<Arc<Write>>) -> Result<Committed, StoreError> {
        self.store.commit(batch, &self.rule).await
    }

    fn waiting(&self, waiting: HashMap<MeterName, u64>) {
        *self.budget.0.queued() = waiting;
    }
}
