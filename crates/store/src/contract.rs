//! Contracts: immutable versions, and their signed forms.

use domain::{AuthorityId, ContractId, KeyId, TenantId, Timestamp};

use crate::engine::sql;
use crate::{Store, StoreError};

sql!(
    INSERT,
    "INSERT INTO contract (tenant, id, authority, name, status, current_version, created_at) \
     VALUES ($1, $2, $3, $4, $5, 0, $6) ON CONFLICT DO NOTHING"
);
sql!(NAME_TAKEN, "SELECT id FROM contract WHERE tenant = $1 AND name = $2 AND id <> $3");
sql!(
    LATEST,
    "SELECT version FROM contract_version WHERE tenant = $1 AND contract = $2 ORDER BY version DESC LIMIT 1"
);
sql!(
    INSERT_VERSION,
    "INSERT INTO contract_version (tenant, contract, version, document, applied_at) VALUES ($1, $2, $3, $4, $5) \
     ON CONFLICT DO NOTHING"
);
// Compare-and-swap: versions only go up, and the name has to be free. Name and status are the document's: they stand
// here so that a list and the name's uniqueness need no document.
sql!(
    SET_CURRENT,
    "UPDATE contract SET current_version = $3, name = $4, status = $5 \
     WHERE tenant = $1 AND id = $2 AND current_version < $3 \
     AND EXISTS (SELECT 1 FROM contract_version v WHERE v.tenant = $1 AND v.contract = $2 AND v.version = $3) \
     AND NOT EXISTS (SELECT 1 FROM contract o WHERE o.tenant = $1 AND o.name = $4 AND o.id <> $2)"
);
sql!(
    LIST,
    "SELECT c.id, c.authority, c.name, c.status, c.current_version, v.document, v.applied_at FROM contract c \
     JOIN contract_version v ON v.tenant = c.tenant AND v.contract = c.id AND v.version = c.current_version \
     WHERE c.tenant = $1 ORDER BY c.name"
);
sql!(
    NEWEST,
    "SELECT c.id, c.authority, c.name, c.status, v.version, v.document, v.applied_at, c.current_version \
     FROM contract c JOIN contract_version v ON v.tenant = c.tenant AND v.contract = c.id \
     WHERE c.tenant = $1 AND NOT EXISTS (SELECT 1 FROM contract_version n WHERE n.tenant = v.tenant \
     AND n.contract = v.contract AND n.version > v.version) ORDER BY c.name"
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
    /// `Enabled` or `Disabled`, as the current version's document says.
    pub status: String,
    /// The version of `document`.
    pub version: i64,
    /// The contract as it was submitted.
    pub document: String,
    /// When this version was applied.
    pub applied_at: Timestamp,
}

/// The newest version of a contract: the current one, or one that is not signed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewestContract {
    /// The newest version.
    pub row: ContractRow,
    /// The version that is current; 0 before the first one is.
    pub current: i64,
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
    /// Stores version `row.version` of a contract. Wallets get it only after [`Store::make_contract_current`]. Says no
    /// when the name is another contract's, or when the version is not the one after the newest.
    pub async fn insert_contract_version(
        &self,
        tenant: TenantId,
        row: &ContractRow,
    ) -> Result<bool, StoreError> {
        let row = row.clone();
        self.engine
            .write("insert_contract_version", move |conn| {
                let row = row.clone();
                Box::pin(async move {
                    let (owner, id) = (tenant.to_string(), row.id.to_string());
                    let params = [owner.as_str().into(), row.name.as_str().into(), id.as_str().into()];
                    if !conn.rows(&NAME_TAKEN, &params).await?.is_empty() {
                        return Ok(false);
                    }
                    let mut latest = conn.rows(&LATEST, &[owner.as_str().into(), id.as_str().into()]).await?;
                    let latest = latest.first_mut().map(crate::engine::Row::int).transpose()?;
                    if row.version != latest.unwrap_or(0) + 1 {
                        return Ok(false);
                    }
                    if latest.is_none() {
                        let params = [
                            owner.as_str().into(),
                            id.as_str().into(),
                            row.authority.to_string().into(),
                            row.name.as_str().into(),
                            row.status.as_str().into(),
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
                        row.document.as_str().into(),
                        row.applied_at.millis().into(),
                    ];
                    Ok(conn.exec(&INSERT_VERSION, &params).await? == 1)
                })
            })
            .await
    }

    /// Makes a stored version the current one, with its name, its status and its event. Says no when it is current
    /// already, when a later one is, or when the name is another contract's.
    pub async fn make_contract_current(
        &self,
        tenant: TenantId,
        row: &ContractRow,
        event: &domain::audit::Event,
    ) -> Result<bool, StoreError> {
        let (row, event) = (row.clone(), event.clone());
        self.engine
            .write("make_contract_current", move |conn| {
                let (row, event) = (row.clone(), event.clone());
                Box::pin(async move {
                    let params = [
                        tenant.to_string().into(),
                        row.id.to_string().into(),
                        row.version.into(),
                        row.name.as_str().into(),
                        row.status.as_str().into(),
                    ];
                    if conn.exec(&SET_CURRENT, &params).await? == 0 {
                        return Ok(false);
                    }
                    crate::ledger::append(conn, std::slice::from_ref(&event)).await?;
                    Ok(true)
                })
            })
            .await
    }

    /// The newest version of every contract of a tenant, by name. Its `row.name` and `row.status` are those of the
    /// current version, where there is one.
    pub async fn newest_contracts(&self, tenant: TenantId) -> Result<Vec<NewestContract>, StoreError> {
        self.engine
            .read(move |conn| {
                Box::pin(async move {
                    let mut rows = conn.rows(&NEWEST, &[tenant.to_string().into()]).await?;
                    rows.iter_mut()
                        .map(|row| Ok(NewestContract { row: contract_row(row)?, current: row.int()? }))
                        .collect()
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
