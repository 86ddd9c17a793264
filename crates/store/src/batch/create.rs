//! New requests.

use serde::Serialize;

use super::{NewRequest, Progress, Written};
use crate::StoreError;
use crate::engine::{Conn, sql};

sql!(
    INSERT,
    "INSERT INTO request (tenant, id, transaction_id, authority, contract, contract_version, client, customer, \
     protocol, state, created_at, expires_at, payload, callback, pin_hash, pin_failures, wallet_failures, \
     next_callback) \
     SELECT @text(tenant), @text(id), @text(transaction), @text(authority), @text(contract), \
     @int(contract_version), @text(client), @text(customer), @text(protocol), 'created', @int(created_at), \
     @int(expires_at), @text(payload), @text(callback), @text(pin_hash), 0, 0, 0 \
     FROM @rows WHERE true ON CONFLICT DO NOTHING RETURNING id"
);

pub(super) async fn run(
    conn: &mut Conn,
    members: &[(usize, &NewRequest)],
    progress: &mut Progress,
) -> Result<(), StoreError> {
    #[derive(Serialize)]
    #[serde(transparent)]
    struct Wire<'a>(&'a NewRequest);
    let rows: Vec<Wire<'_>> = members.iter().map(|(_, member)| Wire(member)).collect();
    let inserted = conn.rows_of(&INSERT, &rows).await?;
    for mut row in inserted {
        let id: domain::RequestId = row.parsed("request.id")?;
        if let Some((index, member)) = members.iter().find(|(_, member)| member.id == id) {
            progress.set(*index, Written::Done);
            progress.events.push(member.event.clone());
        }
    }
    Ok(())
}
