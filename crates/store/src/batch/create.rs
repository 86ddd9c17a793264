//! New requests.

use serde::Serialize;

use super::part::{self, Part};
use super::{NewRequest, Progress, Written};
use crate::StoreError;
use crate::engine::{Conn, sql};

sql!(
    INSERT,
    "INSERT INTO request (tenant, id, transaction_id, authority, contract, contract_version, client, customer, \
     protocol, state, created_at, expires_at, pin_hash, pin_failures, wallet_failures, next_callback, \
     keeps_callback) \
     SELECT @text(tenant), @text(id), @text(transaction), @text(authority), @text(contract), \
     @int(contract_version), @text(client), @text(customer), @text(protocol), 'created', @int(created_at), \
     @int(expires_at), @text(pin_hash), 0, 0, 0, 0 \
     FROM @rows WHERE true ON CONFLICT DO NOTHING RETURNING id"
);

#[derive(Serialize)]
struct CreateRow<'a> {
    tenant: domain::TenantId,
    id: domain::RequestId,
    transaction: domain::TransactionId,
    authority: domain::AuthorityId,
    contract: domain::ContractId,
    contract_version: i64,
    client: &'a domain::ClientId,
    customer: Option<&'a domain::CustomerId>,
    protocol: &'a str,
    created_at: i64,
    expires_at: i64,
    pin_hash: Option<&'a str>,
}

pub(super) async fn run(
    conn: &mut Conn,
    members: &[(usize, &NewRequest)],
    progress: &mut Progress,
) -> Result<(), StoreError> {
    let rows: Vec<CreateRow<'_>> = members
        .iter()
        .map(|(_, member)| CreateRow {
            tenant: member.tenant,
            id: member.id,
            transaction: member.transaction,
            authority: member.authority,
            contract: member.contract,
            contract_version: member.contract_version,
            client: &member.client,
            customer: member.customer.as_ref(),
            protocol: member.protocol,
            created_at: member.created_at.millis(),
            expires_at: member.expires_at.millis(),
            pin_hash: member.pin_hash.as_deref(),
        })
        .collect();
    let mut parts = Vec::with_capacity(rows.len() * 2);
    for mut row in conn.rows_of(&INSERT, &rows).await? {
        let id: domain::RequestId = row.parsed("request.id")?;
        if let Some((index, member)) = members.iter().find(|(_, member)| member.id == id) {
            progress.set(*index, Written::Done);
            progress.events.push(member.event.clone());
            let part = |part, value| Part { tenant: member.tenant, request: id, part, value };
            parts.push(part("payload", &member.payload));
            parts.extend(member.callback.as_deref().map(|value| part("callback", value)));
        }
    }
    part::insert(conn, &parts).await
}
