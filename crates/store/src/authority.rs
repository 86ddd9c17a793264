//! Authorities.

use domain::{AuthorityId, Did, TenantId, Timestamp};

use crate::engine::sql;
use crate::{Store, StoreError};

sql!(
    INSERT,
    "INSERT INTO authority (tenant, id, name, did, origin, created_at) VALUES ($1, $2, $3, $4, $5, $6) \
     ON CONFLICT DO NOTHING"
);
sql!(
    LIST,
    "SELECT id, name, did, origin, created_at FROM authority WHERE tenant = $1 ORDER BY created_at, id"
);

/// One DID that issues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The owner.
    pub tenant: TenantId,
    /// Its id.
    pub id: AuthorityId,
    /// What people call it.
    pub name: String,
    /// Its DID.
    pub did: Did,
    /// Its linked domain, with a slash at the end: wallets compare the text.
    pub origin: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Store {
    /// Stores an authority unless its id or DID is taken; says whether it did.
    pub async fn insert_authority(&self, authority: &Authority) -> Result<bool, StoreError> {
        let row = authority.clone();
        self.engine
            .write("insert_authority", move |conn| {
                let row = row.clone();
                Box::pin(async move {
                    let params = [
                        row.tenant.to_string().into(),
                        row.id.to_string().into(),
                        row.name.as_str().into(),
                        row.did.as_str().into(),
                        row.origin.as_str().into(),
                        row.created_at.millis().into(),
                    ];
                    Ok(conn.exec(&INSERT, &params).await? == 1)
                })
            })
            .await
    }

    /// All authorities of a tenant, oldest first.
    pub async fn authorities(&self, tenant: TenantId) -> Result<Vec<Authority>, StoreError> {
        self.engine
            .read(move |conn| {
                Box::pin(async move {
                    let mut out = Vec::new();
                    for mut row in conn.rows(&LIST, &[tenant.to_string().into()]).await? {
                        out.push(Authority {
                            tenant,
                            id: row.parsed("authority.id")?,
                            name: row.text()?,
                            did: Did::new(row.text()?),
                            origin: row.text()?,
                            created_at: Timestamp::from_millis(row.int()?),
                        });
                    }
                    Ok(out)
                })
            })
            .await
    }
}
