//! The service: everything that use cases, workers and HTTP share. Built once at start.

use std::sync::Arc;

use domain::{BootClock, Clock, TenantId};
use signer::{Keyring, Signers};
use store::{Store, StoreError};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::directory::{Directory, DirectoryError};
use crate::holder::DocumentReader;
use crate::inbound::{self, Inbound};
use crate::notes::Notes;
use crate::placement::Placement;
use crate::sealed::{LocalKeys, SealError};
use crate::signing::budget::{Metered, VaultBudget};
use crate::signing::{SigningPath, committer::Committer, steps::Steps};
use crate::status::StatusIndices;
use crate::urls::Urls;

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The tenant that this process serves.
    pub tenant: TenantId,
    /// How long a request lives, in seconds. Microsoft's service: 300, fixed.
    pub request_lifetime_secs: i64,
    /// Wrong PINs after which a request fails.
    pub pin_tries: i64,
    /// Failure reports of a wallet that count, per request: the call is unauthenticated.
    pub wallet_failures: i64,
    /// How long a callback is tried, in seconds.
    pub callback_max_age_secs: i64,
    /// Whether ids in the DID document are relative (`#key`), as Entra's wallets need them.
    pub relative_ids: bool,
    /// Which back ends sign what.
    pub placement: Placement,
}

/// What the service is built from.
pub struct Parts {
    /// What an operator may set.
    pub settings: Settings,
    /// Where wallets and front ends find us.
    pub urls: Urls,
    /// The database.
    pub store: Arc<Store>,
    /// The key-encryption keys.
    pub keyring: Arc<Keyring>,
    /// The back ends that sign.
    pub signers: Signers,
    /// The client for addresses that others name.
    pub egress: egress::Client,
    /// Reads the DID documents of holders.
    pub documents: Arc<dyn DocumentReader>,
    /// Who may call how often, and who may not.
    pub inbound: inbound::Policy,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The time since the machine started, on which deadlines are counted.
    pub boot: Arc<dyn BootClock>,
    /// Told when the process is to end.
    pub stop: CancellationToken,
}

/// The service cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A sealed row of the service cannot be opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The authority, its keys or its contracts cannot be read.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// The service.
pub struct Issuer {
    /// What an operator may set.
    pub settings: Settings,
    /// Where wallets and front ends find us.
    pub urls: Urls,
    /// The database.
    pub store: Arc<Store>,
    /// The key-encryption keys.
    pub keyring: Arc<Keyring>,
    /// Keys that never leave the service: hints, states, PIN hashes.
    pub local: LocalKeys,
    /// The signing path.
    pub signing: SigningPath,
    /// Authorities, keys and contracts, in memory.
    pub directory: Directory,
    /// Places in status lists.
    pub status: StatusIndices,
    /// The client for addresses that others name.
    pub egress: egress::Client,
    /// Reads the DID documents of holders.
    pub documents: Arc<dyn DocumentReader>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Wakes the outbox when a callback was stored.
    pub callbacks: Arc<Notify>,
    /// What runs to its end even when its caller goes away.
    pub steps: Steps,
    /// Who may call how often, and who may not.
    pub inbound: Inbound,
    /// Limits what anonymous calls write into the ledger.
    pub(crate) notes: Notes,
    /// The same for fetched contracts: wallets and browsers repeat that call, and it says the same each time.
    pub(crate) fetches: Notes,
}

impl Issuer {
    /// Builds the service and starts its committer; gives the committer's task to wait for at the end.
    pub async fn build(parts: Parts) -> Result<(Arc<Self>, JoinHandle<()>), BuildError> {
        let tenant = parts.settings.tenant;
        let local = LocalKeys::load(&parts.store, &parts.keyring, tenant, parts.clock.now()).await?;
        let Signers { backends, mint } = parts.signers;
        let budget = VaultBudget::new(&backends, parts.boot, Arc::clone(&parts.clock));
        let metered = Metered::new(Arc::clone(&parts.store), budget.clone());
        let (committer, task) = Committer::start(Arc::new(metered), parts.stop);
        let signing = SigningPath::new(committer, backends, mint, Arc::clone(&parts.clock), budget);
        let directory = Directory::load(&parts.store, &parts.urls, &parts.settings).await?;
        let inbound = Inbound::new(parts.inbound);
        // Before anybody can call: a restart is no gap in a stop.
        inbound.refresh(&parts.store, tenant).await?;
        let issuer = Self {
            inbound,
            status: StatusIndices::new(tenant),
            settings: parts.settings,
            urls: parts.urls,
            store: parts.store,
            keyring: parts.keyring,
            local,
            signing,
            directory,
            egress: parts.egress,
            documents: parts.documents,
            clock: parts.clock,
            callbacks: Arc::new(Notify::new()),
            steps: Steps::on(tokio::runtime::Handle::current()),
            notes: Notes::default(),
            fetches: Notes::once(),
        };
        Ok((Arc::new(issuer), task))
    }

    /// The committer.
    pub fn committer(&self) -> &Committer {
        self.signing.committer()
    }

    /// Reads authorities, keys and contracts again.
    pub async fn reload(&self) -> Result<(), DirectoryError> {
        self.directory.reload(&self.store, &self.urls, &self.settings).await
    }
}
