//! Taking callbacks that are due. Selected by state, never by `id > last`; a claim keeps replicas apart.

use std::collections::HashMap;

use domain::audit::Subject;
use domain::{ClientId, CustomerId, RequestId, TenantId, Timestamp, TransactionId};
use serde::Serialize;

use crate::engine::{Conn, sql};
use crate::{Store, StoreError};

// Only the first pending row of a request is due: callbacks of one request leave in order. A claim that nobody finishes
// is due again at its end.
sql!(
    CLAIM,
    "WITH due AS MATERIALIZED (SELECT o.tenant, o.request, o.seq FROM outbox o WHERE o.state = 'pending' AND o.next_attempt_at <= @now \
     AND o.claimed_until <= @now AND NOT EXISTS (SELECT 1 \
     FROM outbox p WHERE p.tenant = o.tenant AND p.request = o.request AND p.seq < o.seq AND p.state = 'pending') \
     ORDER BY o.next_attempt_at LIMIT $2 @skip_locked) \
     UPDATE outbox SET claimed_until = @now + $1, next_attempt_at = @now + $1, attempts = outbox.attempts + 1 \
     WHERE (tenant, request, seq) IN (SELECT d.tenant, d.request, d.seq FROM due d) \
     RETURNING tenant, request, seq, transaction_id, status, payload, attempts, created_at"
);
// What the ledger says of a callback: who and what its request is about.
sql!(
    SUBJECTS,
    "SELECT request.id, request.authority, request.contract, request.client, request.customer FROM request, @rows \
     WHERE request.tenant = @text(tenant) AND request.id = @text(request)"
);
// A row that waits for an earlier one of its request is not due, however old it is.
sql!(
    NEXT_DUE,
    "SELECT o.next_attempt_at FROM outbox o WHERE o.state = 'pending' AND NOT EXISTS (SELECT 1 \
     FROM outbox p WHERE p.tenant = o.tenant AND p.request = o.request AND p.seq < o.seq AND p.state = 'pending') \
     ORDER BY o.next_attempt_at LIMIT 1"
);

/// A callback that this process has claimed.
#[derive(Debug, Clone)]
pub struct DueCallback {
    /// Who and what it is about, for the ledger.
    pub subject: Subject,
    /// The request.
    pub request: RequestId,
    /// Its place in the request's order.
    pub seq: i64,
    /// `requestStatus`.
    pub status: String,
    /// Sealed address, headers and body.
    pub payload: String,
    /// Which attempt this is, from 1.
    pub attempt: i64,
    /// Since when it waits.
    pub created_at: Timestamp,
}

const fn bare(tenant: TenantId, transaction: TransactionId) -> Subject {
    Subject { tenant, transaction, authority: None, contract: None, client: None, customer: None }
}

async fn name_subjects(conn: &mut Conn, callbacks: &mut [DueCallback]) -> Result<(), StoreError> {
    #[derive(Serialize)]
    struct RequestRow {
        tenant: TenantId,
        request: RequestId,
    }
    if callbacks.is_empty() {
        return Ok(());
    }
    let rows: Vec<RequestRow> = callbacks
        .iter()
        .map(|callback| RequestRow { tenant: callback.subject.tenant, request: callback.request })
        .collect();
    let mut found = HashMap::with_capacity(rows.len());
    for mut row in conn.rows_of(&SUBJECTS, &rows).await? {
        let request: RequestId = row.parsed("request.id")?;
        let authority = row.parsed("request.authority")?;
        let contract = row.parsed("request.contract")?;
        let client = ClientId::new(row.text()?);
        found.insert(request, (authority, contract, client, row.opt_text()?.map(CustomerId::new)));
    }
    for callback in callbacks {
        if let Some((authority, contract, client, customer)) = found.remove(&callback.request) {
            callback.subject.authority = Some(authority);
            callback.subject.contract = Some(contract);
            callback.subject.client = Some(client);
            callback.subject.customer = customer;
        }
    }
    Ok(())
}

impl Store {
    /// Claims up to `limit` callbacks that are due, for `claim_ms` milliseconds.
    pub async fn claim_callbacks(&self, claim_ms: i64, limit: i64) -> Result<Vec<DueCallback>, StoreError> {
        self.engine
            .write("claim_callbacks", move |conn| {
                Box::pin(async move {
                    let mut out = Vec::new();
                    for mut row in conn.rows(&CLAIM, &[claim_ms.into(), limit.into()]).await? {
                        let tenant = row.parsed("outbox.tenant")?;
                        let (request, seq) = (row.parsed("outbox.request")?, row.int()?);
                        out.push(DueCallback {
                            subject: bare(tenant, row.parsed("outbox.transaction_id")?),
                            request,
                            seq,
                            status: row.text()?,
                            payload: row.opt_text()?.ok_or(StoreError::Corrupt("outbox.payload"))?,
                            attempt: row.int()?,
                            created_at: Timestamp::from_millis(row.int()?),
                        });
                    }
                    name_subjects(conn, &mut out).await?;
                    Ok(out)
                })
            })
            .await
    }

    /// When the next callback is due, if one waits; one that is claimed is due when its claim ends.
    pub async fn next_callback_at(&self) -> Result<Option<Timestamp>, StoreError> {
        self.engine
            .read(|conn| {
                Box::pin(async move {
                    let mut rows = conn.rows(&NEXT_DUE, &[]).await?;
                    match rows.first_mut() {
                        Some(row) => row.int().map(|at| Some(Timestamp::from_millis(at))),
                        None => Ok(None),
                    }
                })
            })
            .await
    }
}
