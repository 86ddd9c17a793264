//! Transaction 1: intents and their attempts.
//!
//! Deadlines count on the database's time from the statement that stores them, so they come no earlier than those by
//! which a process gives up.
//! Order: the keys' `reserved_until` (before the batch locks its requests), the proofs' `jti`, the requests, then the
//! intents that are replaced, the new ones, their attempts.

use std::collections::{BTreeMap, HashSet};

use domain::audit::{Event, EventKind};
use domain::{IntentId, RequestId};
use serde::Serialize;

use super::{OpenIntent, Progress, Reattempt, RequestChange, Written};
use crate::StoreError;
use crate::engine::{Conn, sql};

sql!(
    RESERVE,
    "UPDATE signing_key SET reserved_until = @int(until) FROM @rows WHERE signing_key.tenant = @text(tenant) \
     AND signing_key.authority = @text(authority) AND signing_key.id = @text(key_id) \
     AND signing_key.reserved_until < @int(until)"
);
sql!(
    REMEMBER_JTI,
    "INSERT INTO proof_jti (tenant, jti, request, expires_at) \
     SELECT @text(tenant), @text(jti), @text(request), @int(jti_expires_at) FROM @rows WHERE true \
     ON CONFLICT DO NOTHING"
);
sql!(
    BIND_HOLDER,
    "UPDATE request SET holder = @text(holder) FROM @rows \
     WHERE request.tenant = @text(tenant) AND request.id = @text(request) AND request.state = 'retrieved' \
     AND request.expires_at > @now AND (request.holder IS NULL OR request.holder = @text(holder)) \
     AND EXISTS (SELECT 1 FROM proof_jti j WHERE j.tenant = @text(tenant) AND j.jti = @text(jti) \
     AND j.request = @text(request)) RETURNING request.id"
);
sql!(
    RETRIEVABLE,
    "SELECT request.id FROM request, @rows WHERE request.tenant = @text(tenant) AND request.id = @text(request) \
     AND request.state = 'created' AND request.expires_at > @now"
);
sql!(
    VOID,
    "UPDATE intent SET state = 'void', input = NULL FROM @rows \
     WHERE intent.tenant = @text(tenant) AND intent.id = @text(old) AND intent.state = 'open' \
     AND intent.attempt = @int(old_attempt) AND (intent.deadline <= @now OR NOT EXISTS (SELECT 1 \
     FROM attempt a WHERE a.tenant = intent.tenant AND a.intent = intent.id AND a.n = intent.attempt \
     AND a.state = 'open')) \
     AND NOT EXISTS (SELECT 1 FROM signing_key k WHERE k.tenant = intent.tenant \
     AND k.authority = intent.authority AND k.id = intent.key_id AND k.state = 'active') \
     RETURNING intent.id"
);
// Only under an active key: a process may have read its keys some seconds ago.
sql!(
    INSERT,
    "INSERT INTO intent (tenant, id, transaction_id, subject, purpose, request, ordinal, state, authority, key_id, \
     backend, key_name, key_version, algorithm, digest, input, status_list, status_index, attempt, deadline, \
     created_at) \
     SELECT @text(tenant), @text(id), @text(transaction), @text(subject), @text(purpose), @text(request), \
     @int(ordinal), 'open', @text(authority), @text(key_id), @text(backend), @text(key_name), @text(key_version), \
     @text(algorithm), @text(digest), @text(input), @text(status_list), @int(status_index), 1, @now + @int(patience), \
     @int(created_at) FROM @rows WHERE EXISTS (SELECT 1 FROM signing_key k WHERE k.tenant = @text(tenant) \
     AND k.authority = @text(authority) AND k.id = @text(key_id) AND k.state = 'active') \
     ON CONFLICT DO NOTHING RETURNING id"
);
sql!(
    INSERT_ATTEMPT,
    "INSERT INTO attempt (tenant, intent, n, state, started_at, deadline) \
     SELECT @text(tenant), @text(id), @int(n), 'open', @int(started_at), @now + @int(patience) FROM @rows WHERE true"
);
sql!(
    NEXT_ATTEMPT,
    "UPDATE intent SET attempt = intent.attempt + 1, deadline = @now + @int(patience) FROM @rows \
     WHERE intent.tenant = @text(tenant) AND intent.id = @text(id) AND intent.state = 'open' \
     AND intent.attempt = @int(after) AND (intent.deadline <= @now OR NOT EXISTS (SELECT 1 \
     FROM attempt a WHERE a.tenant = intent.tenant AND a.intent = intent.id AND a.n = intent.attempt \
     AND a.state = 'open')) \
     AND (intent.request IS NULL OR EXISTS (SELECT 1 FROM request q WHERE q.tenant = intent.tenant \
     AND q.id = intent.request AND q.state IN ('created', 'retrieved') AND q.expires_at > @now)) \
     AND EXISTS (SELECT 1 FROM signing_key k WHERE k.tenant = intent.tenant AND k.authority = intent.authority \
     AND k.id = intent.key_id AND k.state = 'active') \
     RETURNING intent.id, intent.attempt"
);

#[derive(Serialize)]
struct OpenRow<'a> {
    tenant: domain::TenantId,
    id: IntentId,
    transaction: domain::TransactionId,
    subject: &'a str,
    purpose: &'a str,
    request: Option<RequestId>,
    ordinal: i64,
    authority: domain::AuthorityId,
    key_id: &'a domain::KeyId,
    backend: &'a str,
    key_name: &'a str,
    key_version: &'a str,
    algorithm: domain::SignatureAlgorithm,
    digest: &'a str,
    input: &'a str,
    status_list: Option<uuid::Uuid>,
    status_index: Option<i64>,
    patience: i64,
    created_at: i64,
}

#[derive(Serialize)]
struct ProofRow<'a> {
    tenant: domain::TenantId,
    request: Option<RequestId>,
    holder: &'a str,
    jti: &'a str,
    jti_expires_at: i64,
}

#[derive(Serialize)]
struct AttemptRow {
    tenant: domain::TenantId,
    id: IntentId,
    n: i64,
    started_at: i64,
    patience: i64,
}

pub(super) async fn open(
    conn: &mut Conn,
    members: &[(usize, &OpenIntent)],
    progress: &mut Progress,
) -> Result<(), StoreError> {
    let bound = bind_holders(conn, members).await?;
    let retrievable = retrievable(conn, members).await?;
    let ready: Vec<&OpenIntent> = members
        .iter()
        .filter(|(_, member)| match (&member.change, member.request) {
            (RequestChange::None, _) => true,
            (RequestChange::Retrieve, Some(request)) => retrievable.contains(&request),
            (RequestChange::Issue { .. }, Some(request)) => bound.contains(&request),
            (_, None) => false,
        })
        .map(|(_, member)| *member)
        .collect();
    // Only now: who has no right to the request must not void its intent.
    let voided = void_replaced(conn, &ready, progress).await?;
    let candidates: Vec<OpenRow<'_>> = ready
        .into_iter()
        .filter(|member| member.replaces.is_none_or(|(old, _)| voided.contains(&old)))
        .map(open_row)
        .collect();
    if candidates.is_empty() {
        return Ok(());
    }
    let mut opened = HashSet::new();
    for mut row in conn.rows_of(&INSERT, &candidates).await? {
        opened.insert(row.parsed::<IntentId>("intent.id")?);
    }
    let mut attempts = Vec::with_capacity(opened.len());
    for (index, member) in members {
        if opened.contains(&member.id) {
            attempts.push(AttemptRow {
                tenant: member.tenant,
                id: member.id,
                n: 1,
                started_at: member.created_at.millis(),
                patience: member.patience_ms,
            });
            progress.set(*index, Written::Opened { attempt: 1 });
            progress.events.push(member.event.clone());
        }
    }
    insert_attempts(conn, &attempts).await
}

fn open_row(member: &OpenIntent) -> OpenRow<'_> {
    OpenRow {
        tenant: member.tenant,
        id: member.id,
        transaction: member.transaction,
        subject: &member.subject,
        purpose: member.purpose,
        request: member.request,
        ordinal: member.ordinal,
        authority: member.authority,
        key_id: &member.key_id,
        backend: &member.key.backend,
        key_name: &member.key.name,
        key_version: &member.key.version,
        algorithm: member.algorithm,
        digest: &member.digest,
        input: &member.input,
        status_list: member.status.map(|(list, _)| list),
        status_index: member.status.map(|(_, index)| index),
        patience: member.patience_ms,
        created_at: member.created_at.millis(),
    }
}

async fn insert_attempts(conn: &mut Conn, attempts: &[AttemptRow]) -> Result<(), StoreError> {
    if !attempts.is_empty() {
        conn.exec_of(&INSERT_ATTEMPT, attempts).await?;
    }
    Ok(())
}

/// Raises `reserved_until` of the keys that are to sign. One row per key, with the latest end: several rows for one key
/// would leave open which of them counts. A member that loses later leaves its key's time raised, which costs nothing.
pub(super) async fn reserve_keys(
    conn: &mut Conn,
    members: &[(usize, &OpenIntent)],
) -> Result<(), StoreError> {
    #[derive(Serialize)]
    struct KeyRow<'a> {
        tenant: domain::TenantId,
        authority: domain::AuthorityId,
        key_id: &'a domain::KeyId,
        until: i64,
    }
    let mut latest: BTreeMap<_, i64> = BTreeMap::new();
    for (_, member) in members {
        if let RequestChange::Issue { reserved_until, .. } = &member.change {
            let until = latest.entry((member.tenant, member.authority, &member.key_id)).or_default();
            *until = (*until).max(reserved_until.millis());
        }
    }
    if latest.is_empty() {
        return Ok(());
    }
    let rows: Vec<KeyRow<'_>> = latest
        .into_iter()
        .map(|((tenant, authority, key_id), until)| KeyRow { tenant, authority, key_id, until })
        .collect();
    conn.exec_of(&RESERVE, &rows).await.map(|_changed| ())
}

async fn bind_holders(
    conn: &mut Conn,
    members: &[(usize, &OpenIntent)],
) -> Result<HashSet<RequestId>, StoreError> {
    let mut proofs = Vec::new();
    for (_, member) in members {
        if let RequestChange::Issue { holder, jti, jti_expires_at, .. } = &member.change {
            proofs.push(ProofRow {
                tenant: member.tenant,
                request: member.request,
                holder,
                jti,
                jti_expires_at: jti_expires_at.millis(),
            });
        }
    }
    let mut bound = HashSet::new();
    if !proofs.is_empty() {
        conn.exec_of(&REMEMBER_JTI, &proofs).await?;
        for mut row in conn.rows_of(&BIND_HOLDER, &proofs).await? {
            bound.insert(row.parsed("request.id")?);
        }
    }
    Ok(bound)
}

async fn retrievable(
    conn: &mut Conn,
    members: &[(usize, &OpenIntent)],
) -> Result<HashSet<RequestId>, StoreError> {
    #[derive(Serialize)]
    struct RequestRow {
        tenant: domain::TenantId,
        request: Option<RequestId>,
    }
    let rows: Vec<RequestRow> = members
        .iter()
        .filter(|(_, member)| matches!(member.change, RequestChange::Retrieve))
        .map(|(_, member)| RequestRow { tenant: member.tenant, request: member.request })
        .collect();
    let mut found = HashSet::new();
    if !rows.is_empty() {
        for mut row in conn.rows_of(&RETRIEVABLE, &rows).await? {
            found.insert(row.parsed("request.id")?);
        }
    }
    Ok(found)
}

async fn void_replaced(
    conn: &mut Conn,
    members: &[&OpenIntent],
    progress: &mut Progress,
) -> Result<HashSet<IntentId>, StoreError> {
    #[derive(Serialize)]
    struct VoidRow {
        tenant: domain::TenantId,
        old: IntentId,
        old_attempt: i64,
    }
    let rows: Vec<VoidRow> = members
        .iter()
        .filter_map(|member| {
            let (old, old_attempt) = member.replaces?;
            Some(VoidRow { tenant: member.tenant, old, old_attempt })
        })
        .collect();
    let mut voided = HashSet::new();
    if rows.is_empty() {
        return Ok(voided);
    }
    for mut row in conn.rows_of(&VOID, &rows).await? {
        voided.insert(row.parsed("intent.id")?);
    }
    for member in members {
        if let Some((old, attempt)) = member.replaces.filter(|(old, _)| voided.contains(old)) {
            progress.events.push(
                Event::new(&member.event.subject, EventKind::IntentVoided, member.created_at)
                    .with("attempt", attempt)
                    .with("intent", old.to_string())
                    .with("replaced_by", member.id.to_string()),
            );
        }
    }
    Ok(voided)
}

pub(super) async fn reattempt(
    conn: &mut Conn,
    members: &[(usize, &Reattempt)],
    progress: &mut Progress,
) -> Result<(), StoreError> {
    #[derive(Serialize)]
    struct NextRow {
        tenant: domain::TenantId,
        id: IntentId,
        after: i64,
        patience: i64,
    }
    let rows: Vec<NextRow> = members
        .iter()
        .map(|(_, member)| NextRow {
            tenant: member.tenant,
            id: member.intent,
            after: member.after,
            patience: member.patience_ms,
        })
        .collect();
    let mut attempts = Vec::new();
    for mut row in conn.rows_of(&NEXT_ATTEMPT, &rows).await? {
        let id: IntentId = row.parsed("intent.id")?;
        let n = row.int()?;
        if let Some((index, member)) = members.iter().find(|(_, member)| member.intent == id) {
            attempts.push(AttemptRow {
                tenant: member.tenant,
                id,
                n,
                started_at: member.started_at.millis(),
                patience: member.patience_ms,
            });
            progress.set(*index, Written::Opened { attempt: n });
            progress.events.push(member.event.clone().with("attempt", n));
        }
    }
    insert_attempts(conn, &attempts).await
}
