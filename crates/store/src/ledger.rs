//! The ledger: append-only rows, written in the transactions whose change they describe.

use domain::audit::{Event, SCHEMA};
use domain::{TenantId, TransactionId};
use serde::Serialize;

use crate::engine::{Conn, sql};
use crate::{Store, StoreError};

sql!(
    APPEND,
    "INSERT INTO event (tenant, transaction_id, kind, at, schema, body) \
     SELECT @text(tenant), @text(transaction), @text(kind), @int(at), @int(schema), @text(body) FROM @rows \
     WHERE true"
);
sql!(TRAIL, "SELECT kind, at, body FROM event WHERE tenant = $1 AND transaction_id = $2 ORDER BY seq");

/// A ledger row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// The kind's name.
    pub kind: String,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// The canonical bytes.
    pub body: String,
}

pub(crate) async fn append(conn: &mut Conn, events: &[Event]) -> Result<(), StoreError> {
    #[derive(Serialize)]
    struct EventRow {
        tenant: TenantId,
        transaction: TransactionId,
        kind: &'static str,
        at: i64,
        schema: i64,
        body: String,
    }
    if events.is_empty() {
        return Ok(());
    }
    let rows: Vec<EventRow> = events
        .iter()
        .map(|event| EventRow {
            tenant: event.subject.tenant,
            transaction: event.subject.transaction,
            kind: event.kind.name(),
            at: event.at.millis(),
            schema: SCHEMA,
            body: event.canonical(),
        })
        .collect();
    conn.exec_of(&APPEND, &rows).await.map(|_inserted| ())
}

impl Store {
    /// Everything that happened in a transaction, in the order in which it was recorded.
    pub async fn trail(
        &self,
        tenant: TenantId,
        transaction: TransactionId,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.engine
            .read(move |conn| {
                Box::pin(async move {
                    let params = [tenant.to_string().into(), transaction.to_string().into()];
                    let mut rows = conn.rows(&TRAIL, &params).await?;
                    rows.iter_mut()
                        .map(|row| Ok(StoredEvent { kind: row.text()?, at: row.int()?, body: row.text()? }))
                        .collect()
                })
            })
            .await
    }
}
