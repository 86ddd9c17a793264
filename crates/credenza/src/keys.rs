//! Opening the key-encryption keys and the software keys under them.
//!
//! A wrong key-encryption key refuses the start; it never leads to new keys.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use domain::{Clock, TenantId};
use secrecy::{ExposeSecret as _, SecretString};
use signer::Keyring;
use signer::software::{RowsError, SealedKey, SealedKeyRows};
use store::{SealedRow, SoftwareKeyRow, Store};

/// Names settings that hold check values.
const CHECK_VALUE: &str = "kek:";

/// The environment variable that may hold the key file's text.
pub const KEYRING_VARIABLE: &str = "CREDENZA_KEYRING";

/// Where the key-encryption keys are.
pub enum KeyringSource {
    /// In a file.
    File {
        path: PathBuf,
        /// Whether a missing file may be made: only in development.
        may_create: bool,
    },
    /// In [`KEYRING_VARIABLE`], for places that hand out secrets that way.
    Environment(SecretString),
}

impl fmt::Display for KeyringSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, .. } => path.display().fmt(f),
            Self::Environment(_) => write!(f, "the environment variable {KEYRING_VARIABLE}"),
        }
    }
}

/// Reads the key-encryption keys, in `dev` also makes them, and compares them with what the database knows of them.
pub async fn open(source: &KeyringSource, store: &Store) -> anyhow::Result<Keyring> {
    let opened = match source {
        KeyringSource::Environment(text) => Keyring::parse(text.expose_secret()),
        KeyringSource::File { path, may_create } => {
            let missing = !path.exists();
            if missing && store.holds_sealed_rows().await? {
                anyhow::bail!(
                    "the key-encryption keys in {source} are missing, and the database holds rows that only they can \
                     open: put the file back from its backup"
                );
            }
            if missing && *may_create { Keyring::create(path) } else { Keyring::load(path) }
        }
    };
    let keyring = opened.with_context(|| {
        format!("opening the key-encryption keys in {source} (`credenza keyring FILE` makes one)")
    })?;
    for (name, value) in store.settings().await? {
        let Some(id) = name.strip_prefix(CHECK_VALUE) else { continue };
        // A key that is not loaded may have been retired; rows that still need it say so themselves.
        if keyring.ids().any(|known| known == id) {
            keyring.matches(id, &value).with_context(|| {
                format!("the key-encryption key `{id}` in {source} is not the one that sealed this database")
            })?;
        }
    }
    Ok(keyring)
}

/// Stores check values of the key-encryption keys, by which a wrong key under a right id is found. Called when they have
/// opened what the database holds: a wrong file must leave no trace.
pub async fn remember(keyring: &Keyring, store: &Store) -> anyhow::Result<()> {
    let known = store.settings().await?;
    let checks: Vec<(String, String)> =
        keyring.check_values().map(|(id, value)| (format!("{CHECK_VALUE}{id}"), value.to_owned())).collect();
    for (name, value) in checks.iter().filter(|(name, _)| !known.iter().any(|(other, _)| other == name)) {
        store.setting_or_insert(name, value).await?;
    }
    Ok(())
}

/// Puts everything long-lived under the primary key-encryption key, so that an older one can be retired. What lives for
/// minutes (requests, callbacks) follows by itself.
pub async fn rewrap(keyring: &Keyring, store: &Store, tenant: TenantId) -> anyhow::Result<()> {
    let mut moved = issuer::sealed::rewrap_local_keys(store, keyring, tenant)
        .await
        .context("the key-encryption keys do not open this database: they are not the ones that sealed it")?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    async fn store(directory: &std::path::Path) -> Store {
        let url = store::DatabaseUrl::Sqlite(directory.join("credenza.db"));
        Store::open(&url, Arc::new(SystemClock)).await.unwrap()
    }

    #[tokio::test]
    async fn keys_from_the_environment_are_the_text_of_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path()).await;
        let path = directory.path().join("keyring");
        let made = open(&KeyringSource::File { path: path.clone(), may_create: true }, &store).await.unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let source = KeyringSource::Environment(text.into());
        let read = open(&source, &store).await.unwrap();
        assert_eq!(made.check_values().collect::<Vec<_>>(), read.check_values().collect::<Vec<_>>());
        let empty = open(&KeyringSource::Environment("".into()), &store).await.unwrap_err();
        assert!(format!("{empty:#}").contains("the environment variable CREDENZA_KEYRING"), "{empty:#}");
    }

    #[tokio::test]
    async fn opening_leaves_no_trace_and_a_remembered_key_has_to_stay_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path()).await;
        let (_, text) = Keyring::generate().unwrap();
        let source = KeyringSource::Environment(text.as_str().into());
        let keyring = open(&source, &store).await.unwrap();
        assert_eq!(store.settings().await.unwrap(), []);
        remember(&keyring, &store).await.unwrap();
        remember(&keyring, &store).await.unwrap();
        assert_eq!(store.settings().await.unwrap().len(), 1);
        // Another key under the same id.
        let (_, other) = Keyring::generate().unwrap();
        let secret = other.lines().last().unwrap().split(' ').next_back().unwrap().to_owned();
        let forged = format!("{} {secret}", keyring.primary());
        let error = open(&KeyringSource::Environment(forged.into()), &store).await.unwrap_err();
        assert!(format!("{error:#}").contains("is not the one that sealed this database"), "{error:#}");
    }
}
