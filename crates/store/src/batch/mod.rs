//! Group commit: many changes of many requests in one transaction.
//!
//! A batch is run kind by kind with set-based statements. A member cannot fail a batch: what does not hold any more
//! simply changes no row, and its caller is told [`Written::Lost`]. At most one member per request may be in a batch
//! (the committer sees to it); a second one loses. Lock order: meters, keys, requests, then what hangs on requests. Must not
//! decide any rule beyond compare-and-swap.

mod callback;
mod create;
mod intent;
mod outcome;
pub(crate) mod part;
#[cfg(test)]
mod plans;
mod report;
mod types;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use domain::audit::Event;
use domain::{IntentId, RequestId, TenantId};
use serde::Serialize;

use crate::engine::{Conn, sql};
use crate::meter::{BudgetRule, Keep, Meters, Slot};
use crate::{Store, StoreError};

pub use types::{
    Answer, CallbackFinished, CallbackRow, Committed, CredentialOutcome, Effect, NewRequest, OpenIntent,
    Outcome, Reattempt, Report, RequestChange, ReturnSlots, TakeSlots, Write, Written,
};

// In one order, before anything that hangs on a request is touched: batches of two replicas that meet at several
// requests wait for each other, but never both ways round.
sql!(
    LOCK_REQUESTS,
    "SELECT request.id FROM request, @rows WHERE request.tenant = @text(tenant) AND request.id = @text(request) \
     ORDER BY request.tenant, request.id @for_update"
);

/// What a member changes; a batch holds one member for each.
#[derive(PartialEq, Eq, Hash)]
enum Target {
    Request(RequestId),
    Intent(IntentId),
    Callback(RequestId, i64),
}

fn target(write: &Write) -> Option<Target> {
    if let Some(request) = write.request() {
        return Some(Target::Request(request));
    }
    match write {
        Write::Open(member) => Some(Target::Intent(member.id)),
        Write::Reattempt(member) => Some(Target::Intent(member.intent)),
        Write::Outcome(member) => Some(Target::Intent(member.intent)),
        Write::Callback(member) => Some(Target::Callback(member.request, member.seq)),
        Write::Create(_)
        | Write::Complete(_)
        | Write::WalletFailed(_)
        | Write::PinFailed(_)
        | Write::Take(_)
        | Write::Return(_)
        | Write::Note(_) => None,
    }
}

/// What a batch has found out so far.
struct Progress {
    results: Vec<Written>,
    events: Vec<Event>,
    /// Outcomes whose attempt went from open to answered in this transaction.
    answered: Vec<usize>,
}

impl Progress {
    fn set(&mut self, index: usize, written: Written) {
        if let Some(slot) = self.results.get_mut(index) {
            *slot = written;
        }
    }

    fn is_undecided(&self, index: usize) -> bool {
        self.results.get(index) == Some(&Written::Lost)
    }
}

/// What a transaction gives back.
struct Ran {
    written: Vec<Written>,
    slots: HashMap<usize, Vec<Slot>>,
    /// What the rule does once the transaction is known to have committed.
    keep: Option<Keep>,
}

impl Store {
    /// Commits a batch; answers in the order of its members, and serves members that need slots in this order. On an
    /// error nothing of it is stored, except after a COMMIT whose answer was lost or doubtful: then it is unknown, and
    /// nothing may be signed for it.
    pub async fn commit(
        &self,
        batch: Vec<Arc<Write>>,
        rule: &Arc<dyn BudgetRule>,
    ) -> Result<Committed, StoreError> {
        let began = rule.boot().now();
        let (batch, rule) = (Arc::new(batch), Arc::clone(rule));
        let ran = self
            .engine
            .write("commit", move |conn| {
                let (batch, rule) = (Arc::clone(&batch), Arc::clone(&rule));
                Box::pin(async move { run(conn, &batch, &*rule).await })
            })
            .await?;
        if let Some(keep) = ran.keep {
            keep();
        }
        Ok(Committed { written: ran.written, slots: ran.slots, began })
    }
}

async fn run(conn: &mut Conn, batch: &[Arc<Write>], rule: &dyn BudgetRule) -> Result<Ran, StoreError> {
    let results = vec![Written::Lost; batch.len()];
    let mut progress = Progress { results, events: Vec::new(), answered: Vec::new() };
    let mut targets = HashSet::new();
    let mut batch: Vec<(usize, &Write)> = batch
        .iter()
        .enumerate()
        .map(|(index, write)| (index, &**write))
        .filter(|(_, write)| target(write).is_none_or(|target| targets.insert(target)))
        .collect();
    let mut meters = Meters::lock(conn, &batch, rule).await?;
    if let Some(meters) = &mut meters {
        meters.decide(&batch, |index, written| progress.set(index, written));
        batch.retain(|(index, _)| progress.is_undecided(*index));
    }
    changes(conn, &batch, &mut progress).await?;
    let (mut slots, mut keep) = (HashMap::new(), None);
    if let Some(meters) = meters {
        slots = settle(conn, meters, &batch, &progress, &mut keep).await?;
    }
    crate::ledger::append(conn, &progress.events).await?;
    crate::fail_point("in-commit");
    Ok(Ran { written: progress.results, slots, keep })
}

/// All changes of a batch, kind by kind.
async fn changes(
    conn: &mut Conn,
    batch: &[(usize, &Write)],
    progress: &mut Progress,
) -> Result<(), StoreError> {
    macro_rules! members {
        ($kind:ident) => {{
            let mut members = Vec::new();
            for (index, write) in batch {
                if let Write::$kind(member) = write {
                    members.push((*index, &**member));
                }
            }
            members
        }};
    }
    let intents = members!(Open);
    intent::reserve_keys(conn, &intents).await?;
    if conn.is_shared() {
        lock_requests(conn, batch).await?;
    }
    let creates = members!(Create);
    if !creates.is_empty() {
        create::run(conn, &creates, progress).await?;
    }
    if !intents.is_empty() {
        intent::open(conn, &intents, progress).await?;
    }
    let reattempts = members!(Reattempt);
    if !reattempts.is_empty() {
        intent::reattempt(conn, &reattempts, progress).await?;
    }
    let outcomes = members!(Outcome);
    if !outcomes.is_empty() {
        outcome::run(conn, &outcomes, progress).await?;
    }
    let completions = members!(Complete);
    if !completions.is_empty() {
        report::complete(conn, &completions, progress).await?;
    }
    let failures = members!(WalletFailed);
    if !failures.is_empty() {
        report::wallet_failed(conn, &failures, progress).await?;
    }
    let pins = members!(PinFailed);
    if !pins.is_empty() {
        report::pin_failed(conn, &pins, progress).await?;
    }
    let callbacks = members!(Callback);
    if !callbacks.is_empty() {
        callback::finished(conn, &callbacks, progress).await?;
    }
    for (index, _) in members!(Take) {
        progress.set(index, Written::Done);
    }
    for (index, _) in members!(Return) {
        progress.set(index, Written::Done);
    }
    for (index, event) in members!(Note) {
        progress.events.push(event.clone());
        progress.set(index, Written::Done);
    }
    Ok(())
}

/// Winners take their slots, losers none; answers move theirs; the rows are written back.
async fn settle(
    conn: &mut Conn,
    mut meters: Meters,
    batch: &[(usize, &Write)],
    progress: &Progress,
    keep: &mut Option<Keep>,
) -> Result<HashMap<usize, Vec<Slot>>, StoreError> {
    let mut granted = HashMap::new();
    for (index, write) in batch.iter().filter(|(_, write)| !write.needs().is_empty()) {
        if matches!(progress.results.get(*index), Some(Written::Opened { .. } | Written::Done)) {
            granted.insert(*index, meters.grant(write)?);
        }
    }
    for (index, write) in batch {
        match write {
            Write::Outcome(member) if progress.answered.contains(index) => {
                meters.answered(&member.slots, member.answer);
            }
            Write::Return(member) => meters.answered(&member.slots, member.answer),
            _ => {}
        }
    }
    *keep = Some(meters.write_back(conn).await?);
    Ok(granted)
}

async fn lock_requests(conn: &mut Conn, batch: &[(usize, &Write)]) -> Result<(), StoreError> {
    #[derive(Serialize)]
    struct LockRow {
        tenant: TenantId,
        request: RequestId,
    }
    let mut rows = Vec::new();
    for (_, write) in batch {
        let (tenant, request) = match write {
            Write::Open(member) => (member.tenant, member.request),
            Write::Reattempt(member) => (member.tenant, member.request),
            Write::Outcome(member) => (member.tenant, member.request),
            Write::Complete(member) | Write::WalletFailed(member) | Write::PinFailed(member) => {
                (member.tenant, Some(member.request))
            }
            Write::Create(_) | Write::Callback(_) | Write::Take(_) | Write::Return(_) | Write::Note(_) => {
                continue;
            }
        };
        rows.extend(request.map(|request| LockRow { tenant, request }));
    }
    if conn.is_shared() && !rows.is_empty() {
        conn.rows_of(&LOCK_REQUESTS, &rows).await?;
    }
    Ok(())
}
