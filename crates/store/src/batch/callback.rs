//! The outbox: rows come in with the change that they report, and end when they were delivered or given up.

use domain::{RequestId, TenantId, Timestamp, TransactionId};
use serde::Serialize;

use super::{CallbackFinished, CallbackRow, Progress, Written};
use crate::StoreError;
use crate::engine::{Conn, sql};

sql!(
    INSERT,
    "INSERT INTO outbox (tenant, request, seq, transaction_id, status, state, payload, attempts, next_attempt_at, \
     claimed_until, created_at) \
     SELECT @text(tenant), @text(request), @int(seq), @text(transaction), @text(status), 'pending', \
     @text(payload), 0, @int(at), 0, @int(at) FROM @rows WHERE true"
);
// Only the latest claim may end or free its row: who comes after its claim's end must not touch what another process
// is sending.
sql!(
    FINISHED,
    "UPDATE outbox SET state = COALESCE(@text(ended), 'pending'), claimed_until = 0, \
     attempts = outbox.attempts - @int(uncounted), \
     payload = CASE WHEN @text(ended) IS NULL THEN outbox.payload ELSE NULL END, \
     finished_at = CASE WHEN @text(ended) IS NULL THEN NULL ELSE @int(at) END, \
     next_attempt_at = @int(retry_at), last_error = @text(error) FROM @rows \
     WHERE outbox.tenant = @text(tenant) AND outbox.request = @text(request) AND outbox.seq = @int(seq) \
     AND outbox.state = 'pending' AND outbox.attempts = @int(attempt) RETURNING outbox.request, outbox.seq"
);

/// A callback with its place in the order of its request.
pub(super) struct Pending<'a> {
    pub(super) tenant: TenantId,
    pub(super) request: RequestId,
    pub(super) transaction: TransactionId,
    pub(super) seq: i64,
    pub(super) at: Timestamp,
    pub(super) callback: &'a CallbackRow,
}

pub(super) async fn insert(conn: &mut Conn, pending: &[Pending<'_>]) -> Result<(), StoreError> {
    #[derive(Serialize)]
    struct OutboxRow<'a> {
        tenant: TenantId,
        request: RequestId,
        transaction: TransactionId,
        seq: i64,
        at: i64,
        status: &'a str,
        payload: &'a str,
    }
    if pending.is_empty() {
        return Ok(());
    }
    let rows: Vec<OutboxRow<'_>> = pending
        .iter()
        .map(|row| OutboxRow {
            tenant: row.tenant,
            request: row.request,
            transaction: row.transaction,
            seq: row.seq,
            at: row.at.millis(),
            status: row.callback.status,
            payload: &row.callback.payload,
        })
        .collect();
    conn.exec_of(&INSERT, &rows).await.map(|_inserted| ())
}

pub(super) async fn finished(
    conn: &mut Conn,
    members: &[(usize, &CallbackFinished)],
    progress: &mut Progress,
) -> Result<(), StoreError> {
    #[derive(Serialize)]
    struct FinishedRow<'a> {
        tenant: TenantId,
        request: RequestId,
        seq: i64,
        attempt: i64,
        uncounted: i64,
        at: i64,
        ended: Option<&'a str>,
        retry_at: i64,
        error: Option<&'a str>,
    }
    let rows: Vec<FinishedRow<'_>> = members
        .iter()
        .map(|(_, member)| FinishedRow {
            tenant: member.tenant,
            request: member.request,
            seq: member.seq,
            attempt: member.attempt,
            uncounted: i64::from(!member.counts),
            at: member.at.millis(),
            ended: member.ended,
            retry_at: member.retry_at.millis(),
            error: member.error.as_deref(),
        })
        .collect();
    for mut row in conn.rows_of(&FINISHED, &rows).await? {
        let (request, seq) = (row.parsed::<RequestId>("outbox.request")?, row.int()?);
        if let Some((index, member)) =
            members.iter().find(|(_, member)| member.request == request && member.seq == seq)
        {
            progress.set(*index, Written::Done);
            progress.events.extend(member.event.clone());
        }
    }
    Ok(())
}
