//! What a wallet reports, and wrong PINs.

use domain::RequestId;
use serde::Serialize;

use super::callback::{self, Pending};
use super::part::{self, Ended};
use super::{Progress, Report, Written};
use crate::StoreError;
use crate::engine::{Conn, Sql, sql};

// A wallet may report after the request's time ran out: the credential was issued before.
sql!(
    COMPLETED,
    "UPDATE request SET state = 'completed', ended_at = @int(at), pin_hash = NULL, keeps_callback = 0, \
     next_callback = request.next_callback + @int(callbacks) FROM @rows \
     WHERE request.tenant = @text(tenant) AND request.id = @text(request) AND request.issued_at IS NOT NULL \
     AND request.state IN ('issued', 'expired') \
     RETURNING request.id, request.next_callback, CAST(1 AS BIGINT)"
);
sql!(
    WALLET_FAILED,
    "UPDATE request SET wallet_failures = request.wallet_failures + 1, \
     next_callback = request.next_callback + @int(callbacks) FROM @rows \
     WHERE request.tenant = @text(tenant) AND request.id = @text(request) \
     AND (request.state IN ('created', 'retrieved', 'issued') \
     OR (request.state = 'expired' AND request.issued_at IS NOT NULL)) \
     AND request.wallet_failures < @int(limit) \
     RETURNING request.id, request.next_callback, request.wallet_failures"
);
sql!(
    PIN_FAILED,
    "UPDATE request SET pin_failures = request.pin_failures + 1, \
     state = CASE WHEN request.pin_failures + 1 >= @int(limit) THEN 'failed' ELSE request.state END, \
     ended_at = CASE WHEN request.pin_failures + 1 >= @int(limit) THEN @int(at) ELSE request.ended_at END, \
     pin_hash = CASE WHEN request.pin_failures + 1 >= @int(limit) THEN NULL ELSE request.pin_hash END, \
     next_callback = CASE WHEN request.pin_failures + 1 >= @int(limit) \
     THEN request.next_callback + @int(callbacks) ELSE request.next_callback END FROM @rows \
     WHERE request.tenant = @text(tenant) AND request.id = @text(request) AND request.state = 'retrieved' \
     RETURNING request.id, request.next_callback, request.pin_failures"
);

pub(super) async fn complete(
    conn: &mut Conn,
    members: &[(usize, &Report)],
    progress: &mut Progress,
) -> Result<(), StoreError> {
    let counted = reported(conn, &COMPLETED, members, progress).await?;
    part::erase(conn, &ended(&counted)).await
}

pub(super) async fn wallet_failed(
    conn: &mut Conn,
    members: &[(usize, &Report)],
    progress: &mut Progress,
) -> Result<(), StoreError> {
    reported(conn, &WALLET_FAILED, members, progress).await.map(|_counted| ())
}

async fn reported<'a>(
    conn: &mut Conn,
    statement: &Sql,
    members: &[(usize, &'a Report)],
    progress: &mut Progress,
) -> Result<Vec<Counted<'a>>, StoreError> {
    let counted = run(conn, statement, members).await?;
    let mut pending = Vec::new();
    for Counted { index, member, seq, .. } in &counted {
        progress.set(*index, Written::Done);
        progress.events.push(member.event.clone());
        pending.extend(announce(member, *seq));
    }
    callback::insert(conn, &pending).await?;
    Ok(counted)
}

fn ended(counted: &[Counted<'_>]) -> Vec<Ended> {
    counted.iter().map(|row| Ended { tenant: row.member.tenant, request: row.member.request }).collect()
}

pub(super) async fn pin_failed(
    conn: &mut Conn,
    members: &[(usize, &Report)],
    progress: &mut Progress,
) -> Result<(), StoreError> {
    let mut counted = run(conn, &PIN_FAILED, members).await?;
    for Counted { index, member, count, .. } in &counted {
        let ended = *count >= member.limit;
        progress.set(*index, Written::PinCounted { failures: *count, ended });
        progress.events.push(member.event.clone().with("failures", *count));
    }
    counted.retain(|row| row.count >= row.member.limit);
    let mut pending = Vec::new();
    for Counted { member, seq, .. } in &counted {
        progress.events.extend(member.ended_event.clone());
        pending.extend(announce(member, *seq));
    }
    callback::insert(conn, &pending).await?;
    part::erase(conn, &ended(&counted)).await
}

/// A member that changed its request's row.
struct Counted<'a> {
    index: usize,
    member: &'a Report,
    /// The callback counter.
    seq: i64,
    /// How many reports of its kind there are now.
    count: i64,
}

/// Runs one of the statements above; gives the members that changed a row.
async fn run<'a>(
    conn: &mut Conn,
    statement: &Sql,
    members: &[(usize, &'a Report)],
) -> Result<Vec<Counted<'a>>, StoreError> {
    #[derive(Serialize)]
    struct ReportRow {
        tenant: domain::TenantId,
        request: RequestId,
        at: i64,
        limit: i64,
        callbacks: i64,
    }
    let rows: Vec<ReportRow> = members
        .iter()
        .map(|(_, member)| ReportRow {
            tenant: member.tenant,
            request: member.request,
            at: member.at.millis(),
            limit: member.limit,
            callbacks: i64::from(member.callback.is_some()),
        })
        .collect();
    let mut counted = Vec::new();
    for mut row in conn.rows_of(statement, &rows).await? {
        let request: RequestId = row.parsed("request.id")?;
        let (seq, count) = (row.int()?, row.int()?);
        if let Some((index, member)) = members.iter().find(|(_, member)| member.request == request) {
            counted.push(Counted { index: *index, member, seq, count });
        }
    }
    Ok(counted)
}

fn announce(member: &Report, seq: i64) -> Option<Pending<'_>> {
    let callback = member.callback.as_ref()?;
    Some(Pending {
        tenant: member.tenant,
        request: member.request,
        transaction: member.transaction,
        seq,
        at: member.at,
        callback,
    })
}
