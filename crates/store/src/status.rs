//! Places in status lists, leased in blocks so that no two processes give out the same one.

use domain::{AuthorityId, TenantId, Timestamp};
use uuid::Uuid;

use crate::engine::sql;
use crate::{Store, StoreError};

// Replicas that find no room at the same time must not each make a list: an almost empty one tells people apart.
sql!(LOCK_AUTHORITY, "SELECT id FROM authority WHERE tenant = $1 AND id = $2 @for_update");
sql!(
    TAKE,
    "UPDATE status_list SET next_index = next_index + $3 WHERE tenant = $1 AND id = (SELECT l.id FROM status_list l \
     WHERE l.tenant = $1 AND l.authority = $2 AND l.next_index + $3 <= l.size ORDER BY l.created_at LIMIT 1) \
     AND next_index + $3 <= size RETURNING id, next_index"
);
sql!(
    NEW_LIST,
    "INSERT INTO status_list (tenant, id, authority, size, next_index, created_at) VALUES ($1, $2, $3, $4, 0, $5)"
);

/// A run of places that belong to this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusBlock {
    /// The list.
    pub list: Uuid,
    /// The first place.
    pub first: i64,
    /// How many.
    pub len: i64,
}

impl Store {
    /// Leases `len` places in one of the authority's lists; makes list `new_list` of `size` places when none has room.
    pub async fn lease_status_block(
        &self,
        tenant: TenantId,
        authority: AuthorityId,
        len: i64,
        new_list: Uuid,
        size: i64,
        at: Timestamp,
    ) -> Result<StatusBlock, StoreError> {
        self.engine
            .write("lease_status_block", move |conn| {
                Box::pin(async move {
                    let owner = [tenant.to_string(), authority.to_string()];
                    let [tenant_text, authority_text] = &owner;
                    if conn.is_shared() {
                        let params = [tenant_text.as_str().into(), authority_text.as_str().into()];
                        conn.rows(&LOCK_AUTHORITY, &params).await?;
                    }
                    if len < 1 || len > size {
                        return Err(StoreError::Corrupt("status_list.size"));
                    }
                    for _ in 0..2 {
                        let params =
                            [tenant_text.as_str().into(), authority_text.as_str().into(), len.into()];
                        if let Some(row) = conn.rows(&TAKE, &params).await?.first_mut() {
                            let list = row.parsed("status_list.id")?;
                            return Ok(StatusBlock { list, first: row.int()? - len, len });
                        }
                        let params = [
                            tenant_text.as_str().into(),
                            new_list.to_string().into(),
                            authority_text.as_str().into(),
                            size.into(),
                            at.millis().into(),
                        ];
                        conn.exec(&NEW_LIST, &params).await?;
                    }
                    Err(StoreError::Corrupt("status_list.size"))
                })
            })
            .await
    }
}
