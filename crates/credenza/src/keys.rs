//! Opening the key-encryption keys and the software keys under them.
//!
//! A wrong key-encryption key refuses the start; it never leads to new keys.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use domain::{Clock, TenantId};
use signer::Keyring;
use signer::software::{RowsError, SealedKey, SealedKeyRows};
use store::{SealedRow, SoftwareKeyRow, Store};

/// Reads the key-encryption keys, in `dev` also makes them, and compares them with what the database knows of them.
pub async fn open(path: &Path, store: &Store, may_create: bool) -> anyhow::Result<Keyring> {
    let missing = !path.exists();
    if missing && store.holds_sealed_rows().await? {
        anyhow::bail!(
            "the key-encryption keys in {} are missing, and the database holds rows that only they can open: put the \
             file back from its backup",
            path.display()
        );
    }
    let keyring = if missing && may_create {
        Keyring::create(path)
    } else {
        Keyring::load(path)
    }
    .with_context(|| {
        format!("opening the key-encryption keys in {} (`credenza keyring FILE` makes one)", path.display())
    })?;
    for (name, value) in store.settings().await? {
        let Some(id) = name.strip_prefix("kek:") else { continue };
        // A key that is not loaded may have been retired; rows that still need it say so themselves.
        if keyring.ids().any(|known| known == id) {
            keyring.matches(id, &value).with_context(|| {
                format!("the key-encryption key `{id}` in {} is not the one that sealed this database", path.display())
            })?;
        }
    }
    let checks: Vec<(String, String)> =
        keyring.check_values().map(|(id, value)| (format!("kek:{id}"), value.to_owned())).collect();
    for (name, value) in checks {
        store.setting_or_insert(&name, &value).await?;
    }
    Ok(keyring)
}

/// Puts everything long-lived under the primary key-encryption key, so that an older one can be retired. What lives for
/// minutes (requests, callbacks) follows by itself.
pub async fn rewrap(keyring: &Keyring, store: &Store, tenant: TenantId) -> anyhow::Result<()> {
    let mut moved = issuer::sealed::rewrap_local_keys(store, keyring, tenant).await?;
    let owner = tenant.to_string();
    for row in store.software_keys(tenant).await? {
        let sealed = sealed_key(row);
        let fresh = keyring
            .rewrap(&sealed.binding(&owner).as_binding(), &sealed.sealed)
            .with_context(|| format!("rewrapping the software key {}", sealed.name))?;
        if fresh != sealed.sealed
            && store.reseal(SealedRow::SoftwareKey, tenant, &sealed.name, &sealed.sealed, &fresh).await?
        {
            moved += 1;
        }
    }
    if moved > 0 {
        tracing::info!(rows = moved, kek = keyring.primary(), "sealed rows were put under the primary key");
    }
    Ok(())
}

fn sealed_key(row: SoftwareKeyRow) -> SealedKey {
    SealedKey {
        name: row.name,
        version: row.version,
        algorithm: row.algorithm,
        public: row.public,
        sealed: row.sealed,
        disabled: row.disabled,
    }
}

/// The software back end's rows in our database.
pub struct Rows {
    pub store: Arc<Store>,
    pub tenant: TenantId,
    pub clock: Arc<dyn Clock>,
}

fn failed(error: store::StoreError) -> RowsError {
    RowsError(Box::new(error))
}

#[async_trait]
impl SealedKeyRows for Rows {
    async fn load(&self) -> Result<Vec<SealedKey>, RowsError> {
        let rows = self.store.software_keys(self.tenant).await.map_err(failed)?;
        Ok(rows.into_iter().map(sealed_key).collect())
    }

    async fn insert(&self, row: &SealedKey) -> Result<bool, RowsError> {
        let row = SoftwareKeyRow {
            name: row.name.clone(),
            version: row.version.clone(),
            algorithm: row.algorithm,
            public: row.public,
            sealed: row.sealed.clone(),
            disabled: row.disabled,
        };
        self.store.insert_software_key(self.tenant, &row, self.clock.now()).await.map_err(failed)
    }

    async fn set_disabled(&self, name: &str, version: &str) -> Result<bool, RowsError> {
        self.store.set_software_key_disabled(self.tenant, name, version, true).await.map_err(failed)
    }
}
