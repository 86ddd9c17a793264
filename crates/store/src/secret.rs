//! Settings and the service's own sealed keys.

use domain::{TenantId, Timestamp};

use crate::engine::sql;
use crate::{Store, StoreError};

sql!(SETTING, "SELECT value FROM setting WHERE name = $1");
sql!(SET_SETTING, "INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING");
sql!(SETTINGS, "SELECT name, value FROM setting ORDER BY name");
sql!(SECRET, "SELECT sealed FROM local_secret WHERE tenant = $1 AND name = $2");
sql!(
    SET_SECRET,
    "INSERT INTO local_secret (tenant, name, sealed, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"
);
sql!(SECRETS, "SELECT name, sealed FROM local_secret WHERE tenant = $1 ORDER BY name");
sql!(RESEAL_SECRET, "UPDATE local_secret SET sealed = $4 WHERE tenant = $1 AND name = $2 AND sealed = $3");
sql!(RESEAL_KEY, "UPDATE software_key SET sealed = $4 WHERE tenant = $1 AND name = $2 AND sealed = $3");
sql!(ANY_SEALED, "SELECT sealed FROM local_secret UNION ALL SELECT sealed FROM software_key LIMIT 1");

/// A long-lived sealed row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedRow {
    /// A key of the service.
    LocalSecret,
    /// A software key.
    SoftwareKey,
}

impl Store {
    /// All sealed keys of the service, by name.
    pub async fn local_secrets(&self, tenant: TenantId) -> Result<Vec<(String, String)>, StoreError> {
        self.engine
            .read(move |conn| {
                Box::pin(async move {
                    let mut rows = conn.rows(&SECRETS, &[tenant.to_string().into()]).await?;
                    rows.iter_mut().map(|row| Ok((row.text()?, row.text()?))).collect()
                })
            })
            .await
    }

    /// Puts a row's sealed value under another key-encryption key, if it is still the one that the caller saw.
    pub async fn reseal(
        &self,
        kind: SealedRow,
        tenant: TenantId,
        name: &str,
        old: &str,
        new: &str,
    ) -> Result<bool, StoreError> {
        let values = [name.to_owned(), old.to_owned(), new.to_owned()];
        self.engine
            .write("reseal", move |conn| {
                let values = values.clone();
                Box::pin(async move {
                    let statement = match kind {
                        SealedRow::LocalSecret => &RESEAL_SECRET,
                        SealedRow::SoftwareKey => &RESEAL_KEY,
                    };
                    let [name, old, new] = values;
                    let params = [tenant.to_string().into(), name.into(), old.into(), new.into()];
                    Ok(conn.exec(statement, &params).await? == 1)
                })
            })
            .await
    }

    /// All settings.
    pub async fn settings(&self) -> Result<Vec<(String, String)>, StoreError> {
        self.engine
            .read(|conn| {
                Box::pin(async move {
                    let mut rows = conn.rows(&SETTINGS, &[]).await?;
                    rows.iter_mut().map(|row| Ok((row.text()?, row.text()?))).collect()
                })
            })
            .await
    }

    /// Stores a setting unless it has a value; gives the value that it has then.
    pub async fn setting_or_insert(&self, name: &str, value: &str) -> Result<String, StoreError> {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.engine
            .write("setting_or_insert", move |conn| {
                let (name, value) = (name.clone(), value.clone());
                Box::pin(async move {
                    conn.exec(&SET_SETTING, &[name.as_str().into(), value.into()]).await?;
                    let mut rows = conn.rows(&SETTING, &[name.into()]).await?;
                    rows.first_mut().ok_or(StoreError::Corrupt("setting"))?.text()
                })
            })
            .await
    }

    /// A sealed key of the service.
    pub async fn local_secret(&self, tenant: TenantId, name: &str) -> Result<Option<String>, StoreError> {
        let name = name.to_owned();
        self.engine
            .read(move |conn| {
                let name = name.clone();
                Box::pin(async move {
                    let mut rows = conn.rows(&SECRET, &[tenant.to_string().into(), name.into()]).await?;
                    rows.first_mut().map(crate::engine::Row::text).transpose()
                })
            })
            .await
    }

    /// Stores a sealed key unless there is one; gives the one that is there then.
    pub async fn local_secret_or_insert(
        &self,
        tenant: TenantId,
        name: &str,
        sealed: &str,
        at: Timestamp,
    ) -> Result<String, StoreError> {
        let (name, sealed) = (name.to_owned(), sealed.to_owned());
        self.engine
            .write("local_secret_or_insert", move |conn| {
                let (name, sealed) = (name.clone(), sealed.clone());
                Box::pin(async move {
                    let params =
                        [tenant.to_string().into(), name.as_str().into(), sealed.into(), at.millis().into()];
                    conn.exec(&SET_SECRET, &params).await?;
                    let mut rows = conn.rows(&SECRET, &[tenant.to_string().into(), name.into()]).await?;
                    rows.first_mut().ok_or(StoreError::Corrupt("local_secret"))?.text()
                })
            })
            .await
    }

    /// Whether anything in the database is sealed: then a key-encryption key has to be there already.
    pub async fn holds_sealed_rows(&self) -> Result<bool, StoreError> {
        self.engine
            .read(|conn| Box::pin(async move { Ok(!conn.rows(&ANY_SEALED, &[]).await?.is_empty()) }))
            .await
    }
}
