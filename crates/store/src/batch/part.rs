//! The large texts of a request: payload, callback, request object, credential.
//!
//! They stand apart from the request's row, which changes at every step, and are erased when the request ends.

use domain::{RequestId, TenantId};
use serde::Serialize;

use crate::StoreError;
use crate::engine::{Conn, sql};

sql!(
    INSERT,
    "INSERT INTO request_part (tenant, request, part, value) \
     SELECT @text(tenant), @text(request), @text(part), @text(value) FROM @rows WHERE true ON CONFLICT DO NOTHING"
);
sql!(
    ERASE,
    "DELETE FROM request_part WHERE (tenant, request) IN (SELECT @text(tenant), @text(request) FROM @rows)"
);
sql!(
    ERASE_BUT_CALLBACK,
    "DELETE FROM request_part WHERE (tenant, request) IN (SELECT @text(tenant), @text(request) FROM @rows) \
     AND part <> 'callback'"
);

/// One of them.
#[derive(Serialize)]
pub(crate) struct Part<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) request: RequestId,
    pub(crate) part: &'static str,
    pub(crate) value: &'a str,
}

/// The request whose texts are erased.
#[derive(Serialize)]
pub(crate) struct Ended {
    pub(crate) tenant: TenantId,
    pub(crate) request: RequestId,
}

pub(crate) async fn insert(conn: &mut Conn, parts: &[Part<'_>]) -> Result<(), StoreError> {
    if !parts.is_empty() {
        conn.exec_of(&INSERT, parts).await?;
    }
    Ok(())
}

pub(crate) async fn erase(conn: &mut Conn, ended: &[Ended]) -> Result<(), StoreError> {
    if !ended.is_empty() {
        conn.exec_of(&ERASE, ended).await?;
    }
    Ok(())
}

pub(crate) async fn erase_but_callback(conn: &mut Conn, ended: &[Ended]) -> Result<(), StoreError> {
    if !ended.is_empty() {
        conn.exec_of(&ERASE_BUT_CALLBACK, ended).await?;
    }
    Ok(())
}
