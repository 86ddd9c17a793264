//! Group commit: many changes of many requests in one transaction.
//!
//! A batch is run kind by kind with set-based statements. A member cannot fail a batch: what does not hold any more
//! simply changes no row, and its caller is told [`Written::Lost`]. At most one member per request may be in a batch
//! (the committer sees to it); a second one loses. Lock order: keys, requests, then what hangs on requests. Must not
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

use std::collections::HashSet;
use std::sync::Arc;

use domain::audit::Event;
use domain::{IntentId, RequestId, TenantId};
use serde::Serialize;

use crate::engine::{Conn, sql};
use crate::{Store, StoreError};

pub use types::{
    CallbackFinished, CallbackRow, CredentialOutcome, Effect, NewRequest, OpenIntent, Outcome, Reattempt,
    Report, RequestChange, Write, Written,
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
        | Write::Note(_) => None,
    }
}

/// What a batch has found out so far.
struct Progress {
    results: Vec<Written>,
    events: Vec<Event>,
}

impl Progress {
    fn set(&mut self, index: usize, written: Written) {
        if let Some(slot) = self.results.get_mut(index) {
            *slot = written;
        }
    }
}

impl Store {
    /// Commits a batch; answers in the order of its members. On an error nothing of it is stored, except after a
    /// COMMIT whose answer was lost: then it is unknown, and nothing may be signed for it.
    pub async fn commit(&self, batch: Vec<Arc<Write>>) -> Result<Vec<Written>, StoreError> {
        let batch = Arc::new(batch);
        self.engine
            .write("commit", move |conn| {
                let batch = Arc::clone(&batch);
                Box::pin(async move { run(conn, &batch).await })
            })
            .await
    }
}

async fn run(conn: &mut Conn, batch: &[Arc<Write>]) -> Result<Vec<Written>, StoreError> {
    let mut progress = Progress { results: vec![Written::Lost; batch.len()], events: Vec::new() };
    let mut targets = HashSet::new();
    let batch: Vec<(usize, &Write)> = batch
        .iter()
        .enumerate()
        .map(|(index, write)| (index, &**write))
        .filter(|(_, write)| target(write).is_none_or(|target| targets.insert(target)))
        .collect();
    macro_rules! members {
        ($kind:ident) => {{
            let mut members = Vec::new();
            for (index, write) in &batch {
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
        lock_requests(conn, &batch).await?;
    }
    let creates = members!(Create);
    if !creates.is_empty() {
        create::run(conn, &creates, &mut progress).await?;
    }
    if !intents.is_empty() {
        intent::open(conn, &intents, &mut progress).await?;
    }
    let reattempts = members!(Reattempt);
    if !reattempts.is_empty() {
        intent::reattempt(conn, &reattempts, &mut progress).await?;
    }
    let outcomes = members!(Outcome);
    if !outcomes.is_empty() {
        outcome::run(conn, &outcomes, &mut progress).await?;
    }
    let completions = members!(Complete);
    if !completions.is_empty() {
        report::complete(conn, &completions, &mut progress).await?;
    }
    let failures = members!(WalletFailed);
    if !failures.is_empty() {
        report::wallet_failed(conn, &failures, &mut progress).await?;
    }
    let pins = members!(PinFailed);
    if !pins.is_empty() {
        report::pin_failed(conn, &pins, &mut progress).await?;
    }
    let callbacks = members!(Callback);
    if !callbacks.is_empty() {
        callback::finished(conn, &callbacks, &mut progress).await?;
    }
    for (index, event) in members!(Note) {
        progress.events.push(event.clone());
        progress.set(index, Written::Done);
    }
    crate::ledger::append(conn, &progress.events).await?;
    Ok(progress.results)
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
            Write::Create(_) | Write::Callback(_) | Write::Note(_) => continue,
        };
        rows.extend(request.map(|request| LockRow { tenant, request }));
    }
    if conn.is_shared() && !rows.is_empty() {
        conn.rows_of(&LOCK_REQUESTS, &rows).await?;
    }
    Ok(())
}
