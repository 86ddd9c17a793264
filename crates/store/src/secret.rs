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
sql!(ANY_SEALED, "SELECT sealed FROM local_secret UNION ALL SELECT sealed FROM software_key LIMIT 1");

impl Store {
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
                    let params = [
                        tenant.to_string().into(),
                        name.as_str().into(),
                        sealed.into(),
                        at.millis().into(),
                    ];
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
