//! Taking callbacks that are due. Selected by state, never by `id > last`; a claim keeps replicas apart.

use domain::{RequestId, TenantId, Timestamp, TransactionId};

use crate::engine::sql;
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
    /// The owner.
    pub tenant: TenantId,
    /// The request.
    pub request: RequestId,
    /// Its place in the request's order.
    pub seq: i64,
    /// The transaction.
    pub transaction: TransactionId,
    /// `requestStatus`.
    pub status: String,
    /// Sealed address, headers and body.
    pub payload: String,
    /// Which attempt this is, from 1.
    pub attempt: i64,
    /// Since when it waits.
    pub created_at: Timestamp,
}

impl Store {
    /// Claims up to `limit` callbacks that are due, for `claim_ms` milliseconds.
    pub async fn claim_callbacks(&self, claim_ms: i64, limit: i64) -> Result<Vec<DueCallback>, StoreError> {
        self.engine
            .write("claim_callbacks", move |conn| {
                Box::pin(async move {
                    let mut out = Vec::new();
                    for mut row in conn.rows(&CLAIM, &[claim_ms.into(), limit.into()]).await? {
                        out.push(DueCallback {
                            tenant: row.parsed("outbox.tenant")?,
                            request: row.parsed("outbox.request")?,
                            seq: row.int()?,
                            transaction: row.parsed("outbox.transaction_id")?,
                            status: row.text()?,
                            payload: row.opt_text()?.ok_or(StoreError::Corrupt("outbox.payload"))?,
                            attempt: row.int()?,
                            created_at: Timestamp::from_millis(row.int()?),
                        });
                    }
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
