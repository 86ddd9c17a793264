//! What time does to requests and attempts.

use domain::audit::{Event, EventKind, Subject};
use domain::{ClientId, CustomerId, IntentId, KeyRef, TenantId, Timestamp};

use crate::batch::part::{self, Ended};
use crate::engine::{Conn, Row, sql};
use crate::{Store, StoreError};

// The rows are chosen once, in a materialised query: a sub-select with LIMIT may be run again for every row.
// `$1` is a grace: no attempt of a request that was accepted in time is still under way then.
sql!(
    EXPIRE,
    "WITH due AS MATERIALIZED (SELECT q.tenant, q.id FROM request q \
     WHERE q.state IN ('created', 'retrieved', 'issued') AND q.expires_at <= @now - $1 \
     ORDER BY q.expires_at LIMIT $2 @skip_locked) \
     UPDATE request SET state = 'expired', ended_at = @now, pin_hash = NULL, \
     keeps_callback = CASE WHEN request.issued_at IS NULL THEN 0 ELSE 1 END \
     WHERE (tenant, id) IN (SELECT d.tenant, d.id FROM due d) \
     RETURNING tenant, transaction_id, authority, contract, client, customer, issued_at, id"
);
sql!(
    VOID_ENDED,
    "UPDATE intent SET state = 'void', input = NULL WHERE state = 'open' AND deadline <= @now - $1 \
     AND request IS NOT NULL AND EXISTS (SELECT 1 FROM request q WHERE q.tenant = intent.tenant \
     AND q.id = intent.request AND q.state IN ('expired', 'failed', 'completed'))"
);
// A wallet's last word may come after the request's end, but not for ever: then the callback's secrets go too.
sql!(
    FORGET_CALLBACK,
    "UPDATE request SET keeps_callback = 0 WHERE keeps_callback = 1 AND ended_at <= @now - $1 RETURNING tenant, id"
);
sql!(
    ORPHANS,
    "WITH due AS MATERIALIZED (SELECT a.tenant, a.intent, a.n FROM attempt a WHERE a.state = 'open' \
     AND a.deadline <= @now - $1 ORDER BY a.deadline LIMIT $2 @skip_locked) \
     UPDATE attempt SET state = 'unknown', outcome = 'unknown', finished_at = @now \
     WHERE (tenant, intent, n) IN (SELECT d.tenant, d.intent, d.n FROM due d) \
     RETURNING tenant, intent, n"
);
sql!(
    INTENT_SUBJECT,
    "SELECT i.tenant, i.transaction_id, i.authority, q.contract, q.client, q.customer, i.digest, \
     i.backend, i.key_name, i.key_version, i.purpose \
     FROM intent i LEFT JOIN request q ON q.tenant = i.tenant AND q.id = i.request \
     WHERE i.tenant = $1 AND i.id = $2"
);
sql!(FORGET_JTI, "DELETE FROM proof_jti WHERE expires_at <= @now");

/// What a sweep has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Requests whose time ran out.
    pub expired: usize,
    /// Attempts whose outcome nobody will ever know.
    pub orphaned: usize,
}

fn subject(row: &mut Row) -> Result<Subject, StoreError> {
    let tenant: TenantId = row.parsed("tenant")?;
    let transaction = row.parsed("transaction_id")?;
    let authority = row.parsed("authority")?;
    let contract = row.opt_text()?.and_then(|text| text.parse().ok());
    Ok(Subject {
        tenant,
        transaction,
        authority: Some(authority),
        contract,
        client: row.opt_text()?.map(ClientId::new),
        customer: row.opt_text()?.map(CustomerId::new),
    })
}

impl Store {
    /// Ends what is over: at most `limit` requests and attempts in one go. `grace_ms` has to be longer than any attempt
    /// to sign; `at` is the time that the ledger's rows carry.
    pub async fn sweep(
        &self,
        grace_ms: i64,
        keep_callback_ms: i64,
        limit: i64,
        at: Timestamp,
    ) -> Result<Swept, StoreError> {
        self.engine
            .write("sweep", move |conn| {
                Box::pin(async move {
                    let mut events = Vec::new();
                    let mut expired = 0;
                    // An issued one keeps its callback: its wallet may still report.
                    let (mut over, mut silent) = (Vec::new(), Vec::new());
                    for mut row in conn.rows(&EXPIRE, &[grace_ms.into(), limit.into()]).await? {
                        let subject = subject(&mut row)?;
                        let issued = row.opt_int()?.is_some();
                        let ended = Ended { tenant: subject.tenant, request: row.parsed("request.id")? };
                        if issued {
                            silent.push(ended)
                        } else {
                            over.push(ended)
                        }
                        events
                            .push(Event::new(&subject, EventKind::RequestExpired, at).with("issued", issued));
                        expired += 1;
                    }
                    let orphans = orphans(conn, grace_ms, limit, at).await?;
                    let orphaned = orphans.len();
                    events.extend(orphans);
                    conn.exec(&VOID_ENDED, &[grace_ms.into()]).await?;
                    for mut row in conn.rows(&FORGET_CALLBACK, &[keep_callback_ms.into()]).await? {
                        let tenant = row.parsed("request.tenant")?;
                        over.push(Ended { tenant, request: row.parsed("request.id")? });
                    }
                    part::erase(conn, &over).await?;
                    part::erase_but_callback(conn, &silent).await?;
                    conn.exec(&FORGET_JTI, &[]).await?;
                    crate::ledger::append(conn, &events).await?;
                    Ok(Swept { expired, orphaned })
                })
            })
            .await
    }
}

async fn orphans(
    conn: &mut Conn,
    grace_ms: i64,
    limit: i64,
    at: Timestamp,
) -> Result<Vec<Event>, StoreError> {
    let mut events = Vec::new();
    for mut row in conn.rows(&ORPHANS, &[grace_ms.into(), limit.into()]).await? {
        let (tenant, intent) = (row.text()?, row.text()?);
        let n = row.int()?;
        let params = [tenant.as_str().into(), intent.as_str().into()];
        if let Some(found) = conn.rows(&INTENT_SUBJECT, &params).await?.first_mut() {
            let subject = subject(found)?;
            let digest = found.text()?;
            let key = KeyRef { backend: found.text()?, name: found.text()?, version: found.text()? };
            let purpose = found.text()?;
            let intent: IntentId = intent.parse().map_err(|_source| StoreError::Corrupt("attempt.intent"))?;
            events.push(
                Event::new(&subject, EventKind::SigningOutcome, at)
                    .with("attempt", n)
                    .with("digest", digest)
                    .with("intent", intent.to_string())
                    .with("key", key.to_string())
                    .with("outcome", "unknown")
                    .with("purpose", purpose),
            );
        }
    }
    Ok(events)
}
