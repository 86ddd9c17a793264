//! The software back end: keys in rows of the database, encrypted at rest, in memory while the process runs.
//!
//! Owns the opened keys and the two ways of signing with them. It must not make a key that nobody asked for, must not
//! start with a row that it cannot open, and must not let a private key out but sealed.

mod material;
#[cfg(any(test, feature = "conformance"))]
mod memory;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use async_trait::async_trait;
use domain::key::EcPoint;
use domain::{BootClock, KeyRef, SignatureAlgorithm};

use crate::backend::{Capabilities, CreatedKey, KeyAdmin, ListedKey, Signed, Signer, is_valid_slot};
use crate::boot_clock::SystemBootClock;
use crate::error::{SignError, SignErrorKind};
use crate::keyring::{Keyring, hex};
use crate::permit::Permit;

use material::PrivateKey;
#[cfg(any(test, feature = "conformance"))]
pub use memory::MemoryRows;
pub use rows::{OpenError, RowBinding, RowsError, SealedKey, SealedKeyRows};

/// A key version in memory.
struct OpenKey {
    name: String,
    version: String,
    public: EcPoint,
    disabled: AtomicBool,
    private: PrivateKey,
}

impl OpenKey {
    fn open(keyring: &Keyring, tenant: &str, row: &SealedKey) -> Result<Self, OpenError> {
        let refused = || (row.name.clone(), row.version.clone());
        let secret = keyring.open(&row.binding(tenant).as_binding(), &row.sealed).map_err(|source| {
            let (name, version) = refused();
            OpenError::Sealed { name, version, source }
        })?;
        let private = PrivateKey::from_secret(row.algorithm, &secret, &row.public).ok_or_else(|| {
            let (name, version) = refused();
            OpenError::Mismatch { name, version }
        })?;
        Ok(Self {
            name: row.name.clone(),
            version: row.version.clone(),
            public: row.public,
            disabled: AtomicBool::new(row.disabled),
            private,
        })
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.private.algorithm()
    }
}

/// Software keys. Several processes may work on the same rows: a key that another one made is found when it is first
/// asked for, and one that another one disabled at the latest by the next [`KeyAdmin::list_keys`].
pub struct SoftwareBackend {
    name: String,
    tenant: String,
    keyring: Arc<Keyring>,
    rows: Arc<dyn SealedKeyRows>,
    clock: Arc<dyn BootClock>,
    /// By name: a slot has one version.
    keys: RwLock<BTreeMap<String, Arc<OpenKey>>>,
}

impl fmt::Debug for SoftwareBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftwareBackend")
            .field("name", &self.name)
            .field("keyring", &self.keyring)
            .finish_non_exhaustive()
    }
}

impl SoftwareBackend {
    /// Loads and opens all rows. `name` is what stands in [`KeyRef::backend`], `tenant` is whose rows they are.
    ///
    /// # Errors
    /// [`OpenError`], which names the row: a start with a missing or damaged key would fail at the first wallet instead.
    pub async fn open(
        name: &str,
        tenant: &str,
        keyring: Arc<Keyring>,
        rows: Arc<dyn SealedKeyRows>,
    ) -> Result<Self, OpenError> {
        let backend = Self {
            name: name.to_owned(),
            tenant: tenant.to_owned(),
            keyring,
            rows,
            clock: Arc::new(SystemBootClock::new()),
            keys: RwLock::new(BTreeMap::new()),
        };
        backend.refresh().await?;
        Ok(backend)
    }

    /// Takes another clock than the system's for the permits' deadlines.
    #[must_use]
    pub fn with_boot_clock(mut self, clock: Arc<dyn BootClock>) -> Self {
        self.clock = clock;
        self
    }

    /// The name that stands in [`KeyRef::backend`].
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the rows again: opens new ones, takes over what was disabled.
    ///
    /// # Errors
    /// [`OpenError`], as at start.
    pub async fn refresh(&self) -> Result<(), OpenError> {
        for row in self.rows.load().await? {
            match self.cached(&row.name) {
                Some(known) if known.version == row.version => {
                    if row.disabled {
                        known.disabled.store(true, Ordering::Release);
                    }
                }
                Some(_) | None => self.keep(OpenKey::open(&self.keyring, &self.tenant, &row)?),
            }
        }
        Ok(())
    }

    fn cached(&self, name: &str) -> Option<Arc<OpenKey>> {
        // The map is whole even if a holder of the lock panicked: every change is one insertion.
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn keep(&self, key: OpenKey) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(key.name.clone(), Arc::new(key));
    }

    /// The key of a reference; reads the rows again if it is not known.
    async fn find(&self, key: &KeyRef) -> Result<Arc<OpenKey>, SignError> {
        if key.backend != self.name {
            return Err(SignErrorKind::KeyNotFound.into());
        }
        let matching = |found: &Arc<OpenKey>| found.version == key.version;
        if let Some(found) = self.cached(&key.name).filter(matching) {
            return Ok(found);
        }
        self.refresh().await?;
        Ok(self.cached(&key.name).filter(matching).ok_or(SignErrorKind::KeyNotFound)?)
    }

    fn key_ref(&self, key: &OpenKey) -> KeyRef {
        KeyRef { backend: self.name.clone(), name: key.name.clone(), version: key.version.clone() }
    }

    /// The slot's key if there is one, provided that its algorithm is the one asked for.
    fn existing(&self, slot: &str, algorithm: SignatureAlgorithm) -> Result<Option<CreatedKey>, SignError> {
        let Some(key) = self.cached(slot) else { return Ok(None) };
        if key.algorithm() != algorithm {
            return Err(SignErrorKind::AlgorithmMismatch { actual: key.algorithm() }.into());
        }
        Ok(Some(CreatedKey { key: self.key_ref(&key), algorithm, public: key.public }))
    }

    /// A new key as a row, sealed before it is stored and opened from there like any other.
    fn new_row(&self, slot: &str, algorithm: SignatureAlgorithm) -> Result<SealedKey, SignError> {
        let (secret, public) = material::generate(algorithm).ok_or(SignErrorKind::Crypto)?;
        let mut version = [0; 16];
        aws_lc_rs::rand::fill(&mut version).map_err(|_source| SignErrorKind::Crypto)?;
        let mut row = SealedKey {
            name: slot.to_owned(),
            version: hex(&version),
            algorithm,
            public,
            sealed: String::new(),
            disabled: false,
        };
        row.sealed = self
            .keyring
            .seal(&row.binding(&self.tenant).as_binding(), secret.as_slice())
            .map_err(|_source| SignErrorKind::Crypto)?;
        Ok(row)
    }
}

#[async_trait]
impl Signer for SoftwareBackend {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            algorithms: &[SignatureAlgorithm::Es256, SignatureAlgorithm::Es256k],
            create_key: true,
            list_keys: true,
            disable: true,
            hardware: false,
            remote: false,
        }
    }

    async fn sign(&self, permit: Permit) -> Result<Signed, SignError> {
        let key = self.find(permit.key()).await?;
        if key.algorithm() != permit.algorithm() {
            return Err(SignErrorKind::AlgorithmMismatch { actual: key.algorithm() }.into());
        }
        if key.disabled.load(Ordering::Acquire) {
            return Err(SignErrorKind::KeyDisabled.into());
        }
        // Last, because finding the key may have waited for the database.
        if permit.is_expired(self.clock.now()) {
            return Err(SignErrorKind::PermitExpired.into());
        }
        let started = Instant::now();
        let signature = key.private.sign(permit.digest()).ok_or(SignErrorKind::Crypto)?;
        Ok(Signed { signature, key: self.key_ref(&key), receipt: None, latency: started.elapsed() })
    }
}

#[async_trait]
impl KeyAdmin for SoftwareBackend {
    async fn create_key(&self, slot: &str, algorithm: SignatureAlgorithm) -> Result<CreatedKey, SignError> {
        if !is_valid_slot(slot) {
            return Err(SignErrorKind::InvalidSlot.into());
        }
        if let Some(what) = self.capabilities().missing(algorithm) {
            return Err(SignErrorKind::Unsupported(what).into());
        }
        if let Some(existing) = self.existing(slot, algorithm)? {
            return Ok(existing);
        }
        let row = self.new_row(slot, algorithm)?;
        // False: another process was faster, and its key is the slot's key.
        self.rows.insert(&row).await.map_err(OpenError::from)?;
        self.refresh().await?;
        Ok(self.existing(slot, algorithm)?.ok_or(SignErrorKind::KeyNotFound)?)
    }

    async fn public_key(&self, key: &KeyRef) -> Result<EcPoint, SignError> {
        self.find(key).await.map(|found| found.public)
    }

    async fn list_keys(&self) -> Result<Vec<ListedKey>, SignError> {
        self.refresh().await?;
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        Ok(keys
            .values()
            .map(|key| ListedKey {
                key: self.key_ref(key),
                algorithm: key.algorithm(),
                public: key.public,
                disabled: key.disabled.load(Ordering::Acquire),
            })
            .collect())
    }

    async fn disable(&self, key: &KeyRef) -> Result<(), SignError> {
        let found = self.find(key).await?;
        // Here first: from now on this process does not sign with it, even if the row cannot be written.
        found.disabled.store(true, Ordering::Release);
        if self.rows.set_disabled(&found.name, &found.version).await.map_err(OpenError::from)? {
            Ok(())
        } else {
            Err(SignErrorKind::KeyNotFound.into())
        }
    }
}
