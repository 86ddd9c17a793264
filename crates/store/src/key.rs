//! Signing keys as authorities use them, and the software back end's sealed keys.

use domain::key::{EcPoint, KeyState, SigningKey};
use domain::{AuthorityId, KeyId, KeyRef, SignatureAlgorithm, TenantId, Timestamp};

use crate::engine::{Row, sql};
use crate::{Store, StoreError};

sql!(
    INSERT,
    "INSERT INTO signing_key (tenant, authority, id, backend, key_name, key_version, algorithm, public, state, \
     prepared_at, reserved_until) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'prepared', $9, 0) ON CONFLICT DO NOTHING"
);
sql!(
    LIST,
    "SELECT authority, id, backend, key_name, key_version, algorithm, public, state, prepared_at FROM signing_key \
     WHERE tenant = $1 ORDER BY prepared_at DESC, id"
);
sql!(
    PUBLISH,
    "UPDATE signing_key SET state = 'published', published_at = $4 WHERE tenant = $1 AND authority = $2 AND id = $3 \
     AND state = 'prepared'"
);
sql!(
    ACTIVATE,
    "UPDATE signing_key SET state = 'active', activated_at = $4 WHERE tenant = $1 AND authority = $2 AND id = $3 \
     AND state = 'published'"
);
sql!(
    RETIRE,
    "UPDATE signing_key SET state = 'retired', retired_at = $4 WHERE tenant = $1 AND authority = $2 AND id = $3 \
     AND state = 'active'"
);
sql!(RESERVED, "SELECT reserved_until FROM signing_key WHERE tenant = $1 AND authority = $2 AND id = $3");
sql!(
    SOFTWARE_INSERT,
    "INSERT INTO software_key (tenant, name, version, algorithm, public, sealed, disabled, created_at) \
     VALUES ($1, $2, $3, $4, $5, $6, 0, $7) ON CONFLICT DO NOTHING"
);
sql!(
    SOFTWARE_LIST,
    "SELECT name, version, algorithm, public, sealed, disabled FROM software_key WHERE tenant = $1 ORDER BY name"
);
sql!(
    SOFTWARE_DISABLE,
    "UPDATE software_key SET disabled = $4 WHERE tenant = $1 AND name = $2 AND version = $3"
);

/// A software key as it is stored: its private half is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoftwareKeyRow {
    /// The slot.
    pub name: String,
    /// The version, 32 hex digits.
    pub version: String,
    /// The algorithm.
    pub algorithm: SignatureAlgorithm,
    /// The public half.
    pub public: EcPoint,
    /// The sealed private half.
    pub sealed: String,
    /// Whether it may not sign.
    pub disabled: bool,
}

fn point_to_hex(point: &EcPoint) -> String {
    point.to_sec1().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn point_from_hex(text: &str) -> Result<EcPoint, StoreError> {
    let byte = |at: usize| text.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
    let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(byte).collect();
    bytes.and_then(|bytes| EcPoint::from_sec1(&bytes)).ok_or(StoreError::Corrupt("a public key"))
}

fn signing_key(row: &mut Row) -> Result<SigningKey, StoreError> {
    Ok(SigningKey {
        authority: row.parsed("signing_key.authority")?,
        id: KeyId::new(row.text()?),
        key: KeyRef { backend: row.text()?, name: row.text()?, version: row.text()? },
        algorithm: row.parsed("signing_key.algorithm")?,
        public: point_from_hex(&row.text()?)?,
        state: row.parsed::<KeyState>("signing_key.state")?,
        prepared_at: Timestamp::from_millis(row.int()?),
    })
}

impl Store {
    /// Stores a prepared key unless it is there; says whether it did.
    pub async fn insert_signing_key(&self, tenant: TenantId, key: &SigningKey) -> Result<bool, StoreError> {
        let key = key.clone();
        self.engine
            .write("insert_signing_key", move |conn| {
                let key = key.clone();
                Box::pin(async move {
                    let params = [
                        tenant.to_string().into(),
                        key.authority.to_string().into(),
                        key.id.as_str().into(),
                        key.key.backend.as_str().into(),
                        key.key.name.as_str().into(),
                        key.key.version.as_str().into(),
                        key.algorithm.jose_name().into(),
                        point_to_hex(&key.public).into(),
                        key.prepared_at.millis().into(),
                    ];
                    Ok(conn.exec(&INSERT, &params).await? == 1)
                })
            })
            .await
    }

    /// All keys of a tenant's authorities, newest first.
    pub async fn signing_keys(&self, tenant: TenantId) -> Result<Vec<SigningKey>, StoreError> {
        self.engine
            .read(move |conn| {
                Box::pin(async move {
                    let mut rows = conn.rows(&LIST, &[tenant.to_string().into()]).await?;
                    rows.iter_mut().map(signing_key).collect()
                })
            })
            .await
    }

    /// Moves a key one step on (`prepared → published → active → retired`) and records it; says whether it was there.
    pub async fn advance_signing_key(
        &self,
        tenant: TenantId,
        authority: AuthorityId,
        key: &KeyId,
        to: KeyState,
        at: Timestamp,
        event: &domain::audit::Event,
    ) -> Result<bool, StoreError> {
        let (key, event) = (key.clone(), event.clone());
        self.engine
            .write("advance_signing_key", move |conn| {
                let (key, event) = (key.clone(), event.clone());
                Box::pin(async move {
                    let statement = match to {
                        KeyState::Published => &PUBLISH,
                        KeyState::Active => &ACTIVATE,
                        KeyState::Retired => &RETIRE,
                        KeyState::Prepared | KeyState::Removed => return Ok(false),
                    };
                    let params = [
                        tenant.to_string().into(),
                        authority.to_string().into(),
                        key.as_str().into(),
                        at.millis().into(),
                    ];
                    let moved = conn.exec(statement, &params).await? == 1;
                    if moved {
                        crate::ledger::append(conn, std::slice::from_ref(&event)).await?;
                    }
                    Ok(moved)
                })
            })
            .await
    }

    /// Until when a key has to stay in the DID document for what it signed.
    pub async fn reserved_until(
        &self,
        tenant: TenantId,
        authority: AuthorityId,
        key: &KeyId,
    ) -> Result<Option<Timestamp>, StoreError> {
        let key = key.clone();
        self.engine
            .read(move |conn| {
                let key = key.clone();
                Box::pin(async move {
                    let params =
                        [tenant.to_string().into(), authority.to_string().into(), key.as_str().into()];
                    let mut rows = conn.rows(&RESERVED, &params).await?;
                    rows.first_mut().map(|row| row.int().map(Timestamp::from_millis)).transpose()
                })
            })
            .await
    }

    /// Stores a software key unless its slot is taken; says whether it did.
    pub async fn insert_software_key(
        &self,
        tenant: TenantId,
        row: &SoftwareKeyRow,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let row = row.clone();
        self.engine
            .write("insert_software_key", move |conn| {
                let row = row.clone();
                Box::pin(async move {
                    let params = [
                        tenant.to_string().into(),
                        row.name.as_str().into(),
                        row.version.as_str().into(),
                        row.algorithm.jose_name().into(),
                        point_to_hex(&row.public).into(),
                        row.sealed.as_str().into(),
                        at.millis().into(),
                    ];
                    Ok(conn.exec(&SOFTWARE_INSERT, &params).await? == 1)
                })
            })
            .await
    }

    /// All software keys of a tenant.
    pub async fn software_keys(&self, tenant: TenantId) -> Result<Vec<SoftwareKeyRow>, StoreError> {
        self.engine
            .read(move |conn| {
                Box::pin(async move {
                    let mut out = Vec::new();
                    for mut row in conn.rows(&SOFTWARE_LIST, &[tenant.to_string().into()]).await? {
                        out.push(SoftwareKeyRow {
                            name: row.text()?,
                            version: row.text()?,
                            algorithm: row.parsed("software_key.algorithm")?,
                            public: point_from_hex(&row.text()?)?,
                            sealed: row.text()?,
                            disabled: row.int()? != 0,
                        });
                    }
                    Ok(out)
                })
            })
            .await
    }

    /// Lets a software key sign or not.
    pub async fn set_software_key_disabled(
        &self,
        tenant: TenantId,
        name: &str,
        version: &str,
        disabled: bool,
    ) -> Result<bool, StoreError> {
        let (name, version) = (name.to_owned(), version.to_owned());
        self.engine
            .write("set_software_key_disabled", move |conn| {
                let (name, version) = (name.clone(), version.clone());
                Box::pin(async move {
                    let params =
                        [tenant.to_string().into(), name.into(), version.into(), i64::from(disabled).into()];
                    Ok(conn.exec(&SOFTWARE_DISABLE, &params).await? == 1)
                })
            })
            .await
    }
}
