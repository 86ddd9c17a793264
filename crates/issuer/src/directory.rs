//! Authorities, their keys and contracts, held in memory: they are read with every request and change rarely.
//!
//! Owns the snapshot and its renewal. The database stays the truth; a snapshot is replaced as a whole.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use credential::key::{KeyError, PublicKey};
use did_web::{DocumentInput, IdForm, Origin, Rendered};
use domain::contract::Contract;
use domain::key::{KeyState, SigningKey};
use domain::{AuthorityId, ContractId, Did};
use store::{Authority, ContractRow, SignedContract, Store, StoreError};
use tokio::sync::Mutex;

use crate::placement::{ActiveKeys, KeyUse};
use crate::service::Settings;
use crate::signing::ActiveKey;
use crate::urls::Urls;

/// What the database holds cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A public key is none.
    #[error("the public key {kid} cannot be used")]
    Key {
        /// The key.
        kid: String,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// A contract that was applied does not parse any more.
    #[error("contract {name} version {version} cannot be read: {problem}")]
    Contract {
        /// Its name.
        name: String,
        /// Its version.
        version: i64,
        /// The first problem.
        problem: String,
    },
    /// The linked domain is no origin.
    #[error("the linked domain of {did} cannot be used")]
    Origin {
        /// The DID.
        did: Did,
        /// Why.
        #[source]
        source: did_web::InvalidOrigin,
    },
}

/// An authority with what it publishes.
pub struct AuthorityEntry {
    /// The stored authority.
    pub authority: Authority,
    /// The key that signs the documents, once every use has its keys.
    pub active: Option<Arc<ActiveKey>>,
    /// The keys that sign.
    pub signing: ActiveKeys,
    /// All its keys, newest first.
    pub keys: Vec<SigningKey>,
    /// `did.json`.
    pub document: Rendered,
    /// `did-configuration.json`, once it was signed.
    pub configuration: Option<Rendered>,
    /// Whether the active key signed the domain linkage.
    pub linked: bool,
}

/// A contract with its signed forms.
pub struct ContractEntry {
    /// The stored version.
    pub row: ContractRow,
    /// What it says.
    pub contract: Arc<Contract>,
    /// Compact JWS by locale, signed with the active key.
    pub tokens: BTreeMap<String, String>,
}

impl ContractEntry {
    /// Whether it can be given to every wallet: each of its displays is signed.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.contract.displays().all(|display| self.tokens.contains_key(display.locale.as_str()))
    }
}

/// One state of everything.
#[derive(Default)]
pub struct Snapshot {
    authorities: Vec<Arc<AuthorityEntry>>,
    contracts: HashMap<ContractId, Arc<ContractEntry>>,
    pending: Vec<Arc<ContractEntry>>,
}

impl Snapshot {
    /// An authority by its DID, byte for byte.
    #[must_use]
    pub fn authority_by_did(&self, did: &str) -> Option<&Arc<AuthorityEntry>> {
        self.authorities.iter().find(|entry| entry.authority.did.as_str() == did)
    }

    /// An authority by its id.
    #[must_use]
    pub fn authority(&self, id: AuthorityId) -> Option<&Arc<AuthorityEntry>> {
        self.authorities.iter().find(|entry| entry.authority.id == id)
    }

    /// All authorities, oldest first.
    pub fn authorities(&self) -> impl DoubleEndedIterator<Item = &Arc<AuthorityEntry>> {
        self.authorities.iter()
    }

    /// The current version of a contract.
    #[must_use]
    pub fn contract(&self, id: ContractId) -> Option<&Arc<ContractEntry>> {
        self.contracts.get(&id)
    }

    /// All contracts, by name.
    #[must_use]
    pub fn contracts(&self) -> Vec<&Arc<ContractEntry>> {
        let mut all: Vec<_> = self.contracts.values().collect();
        all.sort_by(|a, b| a.row.name.cmp(&b.row.name));
        all
    }

    /// Newest versions that are stored but not current, because they are not signed in all locales yet.
    pub fn pending(&self) -> impl Iterator<Item = &Arc<ContractEntry>> {
        self.pending.iter()
    }
}

/// Holds the present snapshot.
pub struct Directory {
    present: RwLock<Arc<Snapshot>>,
    /// One renewal at a time: a slow read must not replace what a later one found.
    renewal: Mutex<()>,
}

impl Directory {
    /// Reads everything.
    pub async fn load(store: &Store, urls: &Urls, settings: &Settings) -> Result<Self, DirectoryError> {
        let snapshot = read(store, urls, settings).await?;
        Ok(Self { present: RwLock::new(Arc::new(snapshot)), renewal: Mutex::new(()) })
    }

    /// Reads everything again.
    pub async fn reload(
        &self,
        store: &Store,
        urls: &Urls,
        settings: &Settings,
    ) -> Result<(), DirectoryError> {
        self.renew(read(store, urls, settings)).await
    }

    /// Reads and replaces in one turn. `read` does nothing before it is polled.
    async fn renew(
        &self,
        read: impl Future<Output = Result<Snapshot, DirectoryError>>,
    ) -> Result<(), DirectoryError> {
        let _turn = self.renewal.lock().await;
        let snapshot = Arc::new(read.await?);
        *self.present.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
        Ok(())
    }

    /// The present snapshot; it does not change in the caller's hands.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.present.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads a contract that was applied: it was valid then.
pub fn parse_contract(row: &ContractRow) -> Result<Contract, DirectoryError> {
    Contract::parse(&row.document).map_err(|findings| DirectoryError::Contract {
        name: row.name.clone(),
        version: row.version,
        problem: findings
            .first()
            .map(|finding| format!("{}: {}", finding.path, finding.message))
            .unwrap_or_default(),
    })
}

async fn read(store: &Store, urls: &Urls, settings: &Settings) -> Result<Snapshot, DirectoryError> {
    let mut snapshot = Snapshot::default();
    let tenant = settings.tenant;
    let keys = store.signing_keys(tenant).await?;
    for authority in store.authorities(tenant).await? {
        let keys = keys.iter().filter(|key| key.authority == authority.id).cloned().collect();
        let entry = authority_entry(store, urls, authority, keys, settings).await?;
        snapshot.authorities.push(Arc::new(entry));
    }
    // Before the signatures, so that a version that is current by now is not seen without those that made it so.
    let current = store.contracts(tenant).await?;
    let newest = store.newest_contracts(tenant).await?;
    let signed = store.signed_contracts(tenant).await?;
    for row in current {
        let entry = contract_entry(&snapshot, &signed, row)?;
        snapshot.contracts.insert(entry.row.id, Arc::new(entry));
    }
    for newest in newest.into_iter().filter(|newest| newest.row.version > newest.current) {
        let entry = contract_entry(&snapshot, &signed, newest.row)?;
        snapshot.pending.push(Arc::new(entry));
    }
    Ok(snapshot)
}

fn contract_entry(
    snapshot: &Snapshot,
    signed: &[SignedContract],
    row: ContractRow,
) -> Result<ContractEntry, DirectoryError> {
    let active = snapshot.authority(row.authority).and_then(|entry| entry.active.as_ref());
    let tokens = signed
        .iter()
        .filter(|token| token.contract == row.id && token.version == row.version)
        .filter(|token| active.is_some_and(|active| active.key.id == token.key_id))
        .map(|token| (token.locale.clone(), token.token.clone()))
        .collect();
    let contract = Arc::new(parse_contract(&row)?);
    Ok(ContractEntry { row, contract, tokens })
}

async fn authority_entry(
    store: &Store,
    urls: &Urls,
    authority: Authority,
    keys: Vec<SigningKey>,
    settings: &Settings,
) -> Result<AuthorityEntry, DirectoryError> {
    let mut active = Vec::new();
    for key in keys.iter().filter(|key| key.state == KeyState::Active) {
        let kid = format!("{}#{}", authority.did, key.id);
        let public = PublicKey::from_point(key.algorithm, &key.public)
            .map_err(|source| DirectoryError::Key { kid: kid.clone(), source })?;
        active.push(Arc::new(ActiveKey { key: key.clone(), kid, public }));
    }
    let signing = ActiveKeys::new(&active, &settings.placement);
    // Nothing is published while a key is missing: the document would change at once.
    let complete = signing.is_complete(&settings.placement);
    let active = signing.of(KeyUse::Credentials).first().filter(|_| complete).cloned();
    let hub = urls.hub();
    let origin = Origin::parse(&authority.origin)
        .map_err(|source| DirectoryError::Origin { did: authority.did.clone(), source })?;
    let document = did_web::document(&DocumentInput {
        did: &authority.did,
        keys: &keys,
        linked_domains: &[origin],
        hub: Some(&hub),
        ids: if settings.relative_ids { IdForm::Relative } else { IdForm::Absolute },
    });
    // The newest linkage whose key is still published; it stands alone: wallets look at the first entry only.
    let linkage = store.domain_linkage(authority.tenant, authority.id, &authority.origin).await?;
    let configuration = linkage
        .iter()
        .find(|(id, _)| keys.iter().any(|key| key.id == *id && key.state.is_published()))
        .map(|(_, token)| did_web::did_configuration(&[token]));
    let linked = active.as_ref().is_some_and(|active| linkage.iter().any(|(id, _)| *id == active.key.id));
    Ok(AuthorityEntry { authority, active, signing, keys, document, configuration, linked })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    fn entry() -> Arc<ContractEntry> {
        let document = include_str!("../../../config/contracts/event-guest.json").to_owned();
        let row = ContractRow {
            id: ContractId::new(uuid::Uuid::nil()),
            authority: AuthorityId::new(uuid::Uuid::nil()),
            name: "Guest".to_owned(),
            status: "Enabled".to_owned(),
            version: 1,
            document,
            applied_at: domain::Timestamp::from_millis(0),
        };
        let contract = Arc::new(parse_contract(&row).unwrap());
        Arc::new(ContractEntry { row, contract, tokens: BTreeMap::new() })
    }

    #[tokio::test]
    async fn a_slow_read_does_not_replace_what_a_later_one_found() {
        let directory =
            Directory { present: RwLock::new(Arc::new(Snapshot::default())), renewal: Mutex::new(()) };
        // The "database": how many contracts there are. It grows between the two reads.
        let versions = AtomicUsize::new(0);
        let read = async |millis: u64| {
            let found = versions.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(millis)).await;
            let mut snapshot = Snapshot::default();
            snapshot.pending.resize_with(found, entry);
            Ok(snapshot)
        };
        let (slow, fast) = tokio::join!(directory.renew(read(200)), directory.renew(read(0)));
        slow.unwrap();
        fast.unwrap();
        assert_eq!(directory.snapshot().pending().count(), 1, "what the second read found");
    }
}
