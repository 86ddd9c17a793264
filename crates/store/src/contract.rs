//! Contracts: immutable versions, and their signed forms.

use domain::{AuthorityId, ContractId, KeyId, TenantId, Timestamp};

use crate::engine::sql;
use crate::{Store, StoreError};

sql!(
    INSERT,
    "INSERT INTO contract (tenant, id, authority, name, status, current_version, created_at) \
     VALUES ($1, $2, $3, $4, 'Enabled', 0, $5) ON CONFLICT DO NOTHING"
);
sql!(
    INSERT_VERSION,
    "INSERT INTO contract_version (tenant, contract, version, document, applied_at) VALUES ($1, $2, $3, $4, $5)"
);
// Compare-and-swap: the version goes up by one, and only from the version that the caller saw. The name has to be free.
sql!(
    SET_CURRENT,
    "UPDATE contract SET current_version = $3, name = $4 WHERE tenant = $1 AND id = $2 AND current_version = $3 - 1 \
     AND NOT EXISTS (SELECT 1 FROM contract o WHERE o.tenant = $1 AND o.name = $4 AND o.id <> $2)"
);
sql!(
    LIST,
    "SELECT c.id, c.authority, c.name, c.status, c.current_version, v.document, v.applied_at FROM contract c \
     JOIN contract_version v ON v.tenant = c.tenant AND v.contract = c.id AND v.version = c.current_version \
     WHERE c.tenant = $1 ORDER BY c.name"
);
sql!(
    VERSION,
    "SELECT c.id, c.authority, c.name, c.status, v.version, v.document, v.applied_at FROM contract c \
     JOIN contract_version v ON v.tenant = c.tenant AND v.contract = c.id \
     WHERE c.tenant = $1 AND c.id = $2 AND v.version = $3"
);
sql!(
    SIGNED,
    "SELECT contract, version, locale, key_id, token FROM signed_contract WHERE tenant = $1 \
     ORDER BY contract, version, locale"
);
sql!(
    LINKAGE,
    "SELECT key_id, token FROM domain_linkage WHERE tenant = $1 AND authority = $2 AND origin = $3 \
     ORDER BY signed_at DESC"
);

/// One version of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractRow {
    /// Its id.
    pub id: ContractId,
    /// The authority that issues it.
    pub authority: AuthorityId,
    /// Its name, unique in the tenant.
    pub name: String,
    /// `Enabled` or `Disabled`.
    pub status: String,
    /// The version of `document`.
    pub version: i64,
    /// The contract as it was submitted.
    pub document: String,
    /// When this version was applied.
    pub applied_at: Timestamp,
}

/// The form of a contract that wallets fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedContract {
    /// The contract.
    pub contract: ContractId,
    /// Its version.
    pub version: i64,
    /// The locale of its display.
    pub locale: String,
    /// The key that signed it.
    pub key_id: KeyId,
    /// The compact JWS.
    pub token: String,
}

fn contract_row(row: &mut crate::engine::Row) -> Result<ContractRow, StoreError> {
    Ok(ContractRow {
        id: row.parsed("contract.id")?,
        authority: row.parsed("contract.authority")?,
        name: row.text()?,
        status: row.text()?,
        version: row.int()?,
        document: row.text()?,
        applied_at: Timestamp::from_millis(row.int()?),
    })
}

impl Store {
    /// Stores version `row.version` of a contract and makes it the current one, in one transaction with its event.
    /// Says no when the name is another contract's or somebody else applied a version meanwhile.
    pub async fn apply_contract(
        &self,
        tenant: TenantId,
        row: &ContractRow,
        event: &domain::audit::Event,
    ) -> Result<bool, StoreError> {
        let (row, event) = (row.clone(), event.clone());
        self.engine
            .write("apply_contract", move |conn| {
                let (row, event) = (row.clone(), event.clone());
                Box::pin(async move {
                    let (owner, id) = (tenant.to_string(), row.id.to_string());
                    if row.version == 1 {
                        let params = [
                            owner.as_str().into(),
                            id.as_str().into(),
                            row.authority.to_string().into(),
                            row.name.as_str().into(),
                            row.applied_at.millis().into(),
                        ];
                        if conn.exec(&INSERT, &params).await? == 0 {
                            return Ok(false);
                        }
                    }
                    let params = [
                        owner.as_str().into(),
                        id.as_str().into(),
                        row.version.into(),
                        row.name.as_str().into(),
                    ];
                    if conn.exec(&SET_CURRENT, &params).await? == 0 {
                        return Ok(false);
                    }
                    let params = [
                        owner.as_str().into(),
                        id.as_str().into(),
                        row.version.into(),
                        row.document.as_str().into(),
                        row.applied_at.millis().into(),
                    ];
                    conn.exec(&INSERT_VERSION, &params).await?;
                    crate::ledger::append(conn, std::slice::from_ref(&event)).await?;
                    Ok(true)
                })
            })
            .await
    }

    /// The current version of every contract of a tenant, by name.
    pub async fn contracts(&self, tenant: TenantId) -> Result<Vec<ContractRow>, StoreError> {
        self.engine
            .read(move |conn| {
                Box::pin(async move {
                    let mut rows = conn.rows(&LIST, &[tenant.to_string().into()]).await?;
                    rows.iter_mut().map(contract_row).collect()
                })
            })
            .await
    }

    /// One version of a contract.
    pub async fn contract_version(
        &self,
        tenant: TenantId,
        contract: ContractId,
        version: i64,
    ) -> Result<Option<ContractRow>, StoreError> {
        self.engine
            .read(move |conn| {
                Box::pin(async move {
                    let params = [tenant.to_string().into(), contract.to_string().into(), version.into()];
                    let mut rows = conn.rows(&VERSION, &params).await?;
                    rows.first_mut().map(contract_row).transpose()
                })
            })
            .await
    }

    /// All signed forms of a tenant's contracts.
    pub async fn signed_contracts(&self, tenant: TenantId) -> Result<Vec<SignedContract>, StoreError> {
        self.engine
            .read(move |conn| {
                Box::pin(async move {
                    let mut out = Vec::new();
                    for mut row in conn.rows(&SIGNED, &[tenant.to_string().into()]).await? {
                        out.push(SignedContract {
                            contract: row.parsed("signed_contract.contract")?,
                            version: row.int()?,
                            locale: row.text()?,
                            key_id: KeyId::new(row.text()?),
                            token: row.text()?,
                        });
                    }
                    Ok(out)
                })
            })
            .await
    }

    /// The domain linkage credentials of an authority's origin with the keys that signed them, newest first.
    pub async fn domain_linkage(
        &self,
        tenant: TenantId,
        authority: AuthorityId,
        origin: &str,
    ) -> Result<Vec<(KeyId, String)>, StoreError> {
        let origin = origin.to_owned();
        self.engine
            .read(move |conn| {
                let origin = origin.clone();
                Box::pin(async move {
                    let params = [tenant.to_string().into(), authority.to_string().into(), origin.into()];
                    let mut rows = conn.rows(&LINKAGE, &params).await?;
                    rows.iter_mut().map(|row| Ok((KeyId::new(row.text()?), row.text()?))).collect()
                })
            })
            .await
    }
}
