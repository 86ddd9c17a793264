//! Transaction 2: what came of an attempt, and what a signature changes.
//!
//! A signature counts only while its intent is open and its attempt the latest; a superseded answer records its
//! attempt's outcome and nothing else.

use std::collections::{HashMap, HashSet};

use domain::{IntentId, RequestId};
use serde::Serialize;

use super::callback::{self, Pending};
use super::part::{self, Part};
use super::{CredentialOutcome, Effect, Outcome, Progress, Written};
use crate::StoreError;
use crate::engine::{Conn, sql};

sql!(
    ANSWERED,
    "UPDATE attempt SET state = 'answered', finished_at = @int(finished_at), outcome = @text(outcome), \
     provider_request_id = @text(provider_request_id), status = @int(status), latency_us = @int(latency_us) \
     FROM @rows \
     WHERE attempt.tenant = @text(tenant) AND attempt.intent = @text(intent) AND attempt.n = @int(attempt) \
     AND attempt.state = 'open' RETURNING attempt.intent, attempt.n"
);
// An answer after the sweeper called it unknown: on record, but no slot moves for it.
sql!(
    ANSWERED_LATE,
    "UPDATE attempt SET state = 'answered', finished_at = @int(finished_at), outcome = @text(outcome), \
     provider_request_id = @text(provider_request_id), status = @int(status), latency_us = @int(latency_us) \
     FROM @rows \
     WHERE attempt.tenant = @text(tenant) AND attempt.intent = @text(intent) AND attempt.n = @int(attempt) \
     AND attempt.state = 'unknown' RETURNING attempt.intent, attempt.n"
);
sql!(
    DONE,
    "UPDATE intent SET state = 'done', input = NULL FROM @rows WHERE intent.tenant = @text(tenant) \
     AND intent.id = @text(intent) AND intent.state = 'open' AND intent.attempt = @int(attempt) \
     RETURNING intent.id, intent.attempt"
);
sql!(
    RETRIEVED,
    "UPDATE request SET state = 'retrieved', \
     next_callback = request.next_callback + @int(callbacks) FROM @rows \
     WHERE request.tenant = @text(tenant) AND request.id = @text(request) AND request.state = 'created' \
     RETURNING request.id, request.next_callback"
);
sql!(
    ISSUED,
    "UPDATE request SET state = 'issued', issued_at = @int(issued_at) FROM @rows \
     WHERE request.tenant = @text(tenant) AND request.id = @text(request) AND request.state = 'retrieved' \
     RETURNING request.id"
);
sql!(
    INSERT_ISSUANCE,
    "INSERT INTO issuance (tenant, transaction_id, ordinal, request, credential_id, authority, contract, \
     contract_version, format, key_id, holder, index_hash, index_hash_lower, status_list, status_index, issued_at, \
     expires_at) \
     SELECT @text(tenant), @text(transaction), @int(ordinal), @text(request), @text(credential_id), \
     @text(authority), @text(contract), @int(contract_version), @text(format), @text(key_id), @text(holder), \
     @text(index_hash), @text(index_hash_lower), @text(status_list), @int(status_index), @int(issued_at), \
     @int(expires_at) FROM @rows WHERE true"
);
sql!(
    INSERT_CONTRACT,
    "INSERT INTO signed_contract (tenant, contract, version, locale, key_id, token, signed_at) \
     SELECT @text(tenant), @text(contract), @int(version), @text(locale), @text(key_id), @text(token), \
     @int(signed_at) FROM @rows WHERE true ON CONFLICT DO NOTHING"
);
sql!(
    INSERT_LINKAGE,
    "INSERT INTO domain_linkage (tenant, authority, origin, key_id, token, signed_at) \
     SELECT @text(tenant), @text(authority), @text(origin), @text(key_id), @text(token), @int(signed_at) \
     FROM @rows WHERE true ON CONFLICT DO NOTHING"
);

#[derive(Serialize)]
struct AnswerRow<'a> {
    tenant: domain::TenantId,
    intent: IntentId,
    attempt: i64,
    outcome: &'a str,
    provider_request_id: Option<&'a str>,
    status: Option<i64>,
    latency_us: i64,
    finished_at: i64,
}

pub(super) async fn run(
    conn: &mut Conn,
    members: &[(usize, &Outcome)],
    progress: &mut Progress,
) -> Result<(), StoreError> {
    let rows: Vec<AnswerRow<'_>> = members
        .iter()
        .map(|(_, member)| AnswerRow {
            tenant: member.tenant,
            intent: member.intent,
            attempt: member.attempt,
            outcome: member.outcome,
            provider_request_id: member.provider_request_id.as_deref(),
            status: member.status,
            latency_us: member.latency_us,
            finished_at: member.finished_at.millis(),
        })
        .collect();
    let mut answered = HashSet::new();
    for mut row in conn.rows_of(&ANSWERED, &rows).await? {
        answered.insert((row.parsed::<IntentId>("attempt.intent")?, row.int()?));
    }
    let late: Vec<&AnswerRow<'_>> =
        rows.iter().filter(|row| !answered.contains(&(row.intent, row.attempt))).collect();
    for (index, member) in members {
        if answered.contains(&(member.intent, member.attempt)) {
            progress.answered.push(*index);
        }
    }
    if !late.is_empty() {
        for mut row in conn.rows_of(&ANSWERED_LATE, &late).await? {
            answered.insert((row.parsed::<IntentId>("attempt.intent")?, row.int()?));
        }
    }
    let signed: Vec<&AnswerRow<'_>> = members
        .iter()
        .zip(&rows)
        .filter(|((_, member), row)| member.effect.is_some() && answered.contains(&(row.intent, row.attempt)))
        .map(|(_, row)| row)
        .collect();
    let mut done = HashSet::new();
    if !signed.is_empty() {
        for mut row in conn.rows_of(&DONE, &signed).await? {
            done.insert((row.parsed::<IntentId>("intent.id")?, row.int()?));
        }
    }
    for (index, member) in members {
        if answered.contains(&(member.intent, member.attempt)) {
            progress.events.push(member.event.clone());
            if member.effect.is_none() {
                progress.set(*index, Written::Done);
            }
        }
    }
    let effective: Vec<(usize, &Outcome)> = members
        .iter()
        .filter(|(_, member)| done.contains(&(member.intent, member.attempt)))
        .copied()
        .collect();
    request_objects(conn, &effective, progress).await?;
    credentials(conn, &effective, progress).await?;
    documents(conn, &effective, progress).await
}

async fn request_objects(
    conn: &mut Conn,
    members: &[(usize, &Outcome)],
    progress: &mut Progress,
) -> Result<(), StoreError> {
    #[derive(Serialize)]
    struct ObjectRow {
        tenant: domain::TenantId,
        request: Option<RequestId>,
        callbacks: i64,
    }
    let mut rows = Vec::new();
    for (_, member) in members {
        if let Some(Effect::RequestObject { callback, .. }) = &member.effect {
            rows.push(ObjectRow {
                tenant: member.tenant,
                request: member.request,
                callbacks: i64::from(callback.is_some()),
            });
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    let mut counters = HashMap::new();
    for mut row in conn.rows_of(&RETRIEVED, &rows).await? {
        counters.insert(row.parsed::<RequestId>("request.id")?, row.int()?);
    }
    let mut pending = Vec::new();
    let mut parts = Vec::new();
    for (index, member) in members {
        let (Some(Effect::RequestObject { object, callback, event }), Some(request)) =
            (&member.effect, member.request)
        else {
            continue;
        };
        if let Some(counter) = counters.get(&request) {
            progress.set(*index, Written::Done);
            progress.events.push(event.clone());
            parts.push(Part { tenant: member.tenant, request, part: "object", value: object });
            if let Some(callback) = callback {
                pending.push(Pending {
                    tenant: member.tenant,
                    request,
                    transaction: event.subject.transaction,
                    seq: *counter,
                    at: member.finished_at,
                    callback,
                });
            }
        }
    }
    part::insert(conn, &parts).await?;
    callback::insert(conn, &pending).await
}

async fn credentials(
    conn: &mut Conn,
    members: &[(usize, &Outcome)],
    progress: &mut Progress,
) -> Result<(), StoreError> {
    let mut rows: Vec<(usize, &CredentialOutcome)> = Vec::new();
    for (index, member) in members {
        if let Some(Effect::Credential(credential)) = &member.effect {
            rows.push((*index, credential));
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    let all: Vec<&CredentialOutcome> = rows.iter().map(|(_, row)| *row).collect();
    let mut issued = HashSet::new();
    for mut row in conn.rows_of(&ISSUED, &all).await? {
        issued.insert(row.parsed::<RequestId>("request.id")?);
    }
    rows.retain(|(_, row)| issued.contains(&row.request));
    if rows.is_empty() {
        return Ok(());
    }
    let winners: Vec<&CredentialOutcome> = rows.iter().map(|(_, row)| *row).collect();
    conn.exec_of(&INSERT_ISSUANCE, &winners).await?;
    let parts: Vec<Part<'_>> = winners
        .iter()
        .map(|row| Part {
            tenant: row.tenant,
            request: row.request,
            part: "credential",
            value: &row.credential,
        })
        .collect();
    part::insert(conn, &parts).await?;
    for (index, row) in rows {
        progress.set(index, Written::Done);
        progress.events.push(row.event.clone());
    }
    Ok(())
}

/// Contracts and domain linkage: cold, so one statement per row.
async fn documents(
    conn: &mut Conn,
    members: &[(usize, &Outcome)],
    progress: &mut Progress,
) -> Result<(), StoreError> {
    for (index, member) in members {
        match &member.effect {
            Some(Effect::Contract { contract, version, locale, key_id, token }) => {
                #[derive(Serialize)]
                struct Row<'a> {
                    tenant: domain::TenantId,
                    contract: &'a domain::ContractId,
                    version: i64,
                    locale: &'a str,
                    key_id: &'a domain::KeyId,
                    token: &'a str,
                    signed_at: i64,
                }
                let row = Row {
                    tenant: member.tenant,
                    contract,
                    version: *version,
                    locale,
                    key_id,
                    token,
                    signed_at: member.finished_at.millis(),
                };
                conn.exec_of(&INSERT_CONTRACT, &[row]).await?;
                progress.set(*index, Written::Done);
            }
            Some(Effect::DomainLinkage { authority, origin, key_id, token }) => {
                #[derive(Serialize)]
                struct Row<'a> {
                    tenant: domain::TenantId,
                    authority: &'a domain::AuthorityId,
                    origin: &'a str,
                    key_id: &'a domain::KeyId,
                    token: &'a str,
                    signed_at: i64,
                }
                let row = Row {
                    tenant: member.tenant,
                    authority,
                    origin,
                    key_id,
                    token,
                    signed_at: member.finished_at.millis(),
                };
                conn.exec_of(&INSERT_LINKAGE, &[row]).await?;
                progress.set(*index, Written::Done);
            }
            Some(Effect::RequestObject { .. } | Effect::Credential(_)) | None => {}
        }
    }
    Ok(())
}
