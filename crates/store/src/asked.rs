//! Reading the ledger by time: which requests were asked for and which were refused, the newest first.

use domain::{TenantId, Timestamp};

use crate::engine::sql;
use crate::{Store, StoreError, StoredEvent};

// Rows are committed in about the order of their times, so whoever reads from the end knows when to stop. COALESCE keeps
// the databases from going by tenant and sorting everything.
sql!(
    NEWEST,
    "SELECT seq, kind, at, body FROM event WHERE COALESCE(tenant, '') = $1 AND seq < $2 \
     AND kind IN ('request_created', 'request_refused') ORDER BY seq DESC LIMIT $3"
);

/// Rows per read.
const PAGE: i64 = 2_000;

/// How far the order of rows may differ from that of their times, in milliseconds: clocks of replicas, and changes that
/// waited for their commit.
const DISORDER_MS: i64 = 120_000;

impl Store {
    /// Shows `seen` every request that was asked for since `since`, accepted or refused, the newest first. Reads page by
    /// page, so that a large ledger is never in memory.
    pub async fn asked_since(
        &self,
        tenant: TenantId,
        since: Timestamp,
        mut seen: impl FnMut(&StoredEvent) + Send,
    ) -> Result<(), StoreError> {
        let mut before = i64::MAX;
        loop {
            let page = self
                .engine
                .read(move |conn| {
                    Box::pin(async move {
                        let params = [tenant.to_string().into(), before.into(), PAGE.into()];
                        let mut rows = conn.rows(&NEWEST, &params).await?;
                        rows.iter_mut()
                            .map(|row| {
                                let seq = row.int()?;
                                let event =
                                    StoredEvent { kind: row.text()?, at: row.int()?, body: row.text()? };
                                Ok((seq, event))
                            })
                            .collect::<Result<Vec<_>, StoreError>>()
                    })
                })
                .await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            before = *last;
            for (_, event) in page.iter().filter(|(_, event)| event.at >= since.millis()) {
                seen(event);
            }
            let over = since.millis().saturating_sub(DISORDER_MS);
            if page.iter().all(|(_, event)| event.at < over) {
                return Ok(());
            }
        }
    }
}
