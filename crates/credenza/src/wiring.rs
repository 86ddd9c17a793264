//! Puts the parts together: database, keys, signers, egress, service.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use domain::{BootClock, Clock, SignatureAlgorithm};
use issuer::http::Service;
use issuer::signing::slots::CallError;
use issuer::urls::Urls;
use issuer::{Issuer, Parts, Settings, worker};
use signer::budget::Operations;
use signer::key_vault::KeyVaultBackend;
use signer::software::SoftwareBackend;
use signer::{SignerConfig, SystemBootClock};
use store::{DatabaseUrl, Store};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::clock::SystemClock;
use crate::config::Config;
use crate::keys::{self, KeyringSource, Rows};
use crate::vaults::{self, Vault};

/// The back end's name in key references.
pub const SOFTWARE: &str = "software";

/// How long what is in flight may take once the listeners have closed: calls of callbacks take up to 10.5 s.
const FINISH_LIMIT: Duration = Duration::from_secs(12);

/// The same with the commits that follow from it.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// How long reading a key at start may wait for its slot.
const WARM_LIMIT: Duration = Duration::from_secs(12);

/// What an installation is made of, whoever describes it.
pub struct Plan {
    pub settings: Settings,
    pub public_url: Url,
    pub database: DatabaseUrl,
    pub vaults: Vec<Vault>,
    pub keyring: KeyringSource,
    pub egress: egress::Policy,
    pub inbound: issuer::inbound::Policy,
}

/// The tasks behind a service. They end in this order: first the workers, then the committer.
pub struct Running {
    pub issuer: Arc<Issuer>,
    stop_workers: CancellationToken,
    stop_committer: CancellationToken,
    workers: Vec<JoinHandle<()>>,
    committer: JoinHandle<()>,
    vaults: Vec<Arc<KeyVaultBackend>>,
}

/// Opens the database of a configuration and brings its schema up to date.
pub async fn open_store(config: &Config) -> anyhow::Result<Store> {
    Store::open(&config.database_url()?, Arc::new(SystemClock)).await.context("opening the database")
}

/// What a configuration describes.
pub fn plan(config: &Config) -> anyhow::Result<Plan> {
    let mut extra_roots = Vec::new();
    for file in &config.callbacks.extra_ca_files {
        let pem = std::fs::read(file)
            .with_context(|| format!("reading callbacks.extra_ca_files {}", file.display()))?;
        extra_roots.push(pem);
    }
    Ok(Plan {
        settings: Settings {
            tenant: config.service.tenant_id,
            request_lifetime_secs: config.service.request_lifetime_secs,
            pin_tries: config.service.pin_tries,
            wallet_failures: 10,
            callback_max_age_secs: config.callbacks.max_age_secs,
            relative_ids: config.authority.relative_ids,
            placement: config.signing.placement(),
        },
        vaults: config.vaults.iter().map(Vault::configured).collect::<anyhow::Result<_>>()?,
        public_url: config.service.public_url.clone(),
        database: config.database_url()?,
        keyring: match (&config.keyring.text, &config.keyring.file) {
            (Some(text), _) => KeyringSource::Environment(text.clone()),
            (None, Some(file)) => KeyringSource::File { path: file.clone(), may_create: false },
            (None, None) => anyhow::bail!("keyring.file is missing"),
        },
        egress: egress::Policy {
            allowed_targets: config.callbacks.allow.clone(),
            allow_http_targets: config.callbacks.allow_http,
            extra_roots,
            ..egress::Policy::default()
        },
        inbound: config.limits.policy(config.listen.behind_proxy)?,
    })
}

impl Running {
    /// Opens everything; no worker runs yet.
    pub async fn open(plan: Plan) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let tenant = plan.settings.tenant;
        let store = Store::open(&plan.database, Arc::clone(&clock)).await.context("opening the database")?;
        let store = Arc::new(store);
        let keyring = Arc::new(keys::open(&plan.keyring, &store).await?);
        keys::rewrap(&keyring, &store, tenant).await?;
        let rows = Rows { store: Arc::clone(&store), tenant, clock: Arc::clone(&clock) };
        let software =
            SoftwareBackend::open(SOFTWARE, &tenant.to_string(), Arc::clone(&keyring), Arc::new(rows))
                .await
                .context("opening the software keys")?;
        let boot: Arc<dyn BootClock> = Arc::new(SystemBootClock::new());
        let mut backends = SignerConfig::new().software(software);
        let mut vaults = Vec::new();
        for vault in &plan.vaults {
            let opened = vault.open(&boot)?;
            backends = backends.backend(vault.name(), opened.backend);
            vaults.push(opened.signer);
        }
        let signers = signer::build(backends)?;
        let stop_committer = CancellationToken::new();
        let egress = egress::Client::new(plan.egress).context("setting up outgoing calls")?;
        let parts = Parts {
            urls: Urls::new(&plan.public_url, tenant),
            settings: plan.settings,
            store: Arc::clone(&store),
            keyring: Arc::clone(&keyring),
            signers,
            documents: Arc::new(egress.clone()),
            egress,
            inbound: plan.inbound,
            clock,
            boot,
            stop: stop_committer.clone(),
        };
        let (issuer, committer) = Issuer::build(parts).await.context("starting the service")?;
        // Only now is it known that they open everything.
        keys::remember(&keyring, &store).await?;
        Ok(Self {
            issuer,
            stop_workers: CancellationToken::new(),
            stop_committer,
            workers: Vec::new(),
            committer,
            vaults,
        })
    }

    /// Makes sure of the authority and signs what is not signed yet.
    pub async fn set_up(
        &self,
        name: &str,
        algorithm: SignatureAlgorithm,
    ) -> anyhow::Result<domain::AuthorityId> {
        let authority =
            self.issuer.ensure_authority(name, algorithm).await.context("setting up the authority")?;
        self.warm().await?;
        self.issuer.sign_contracts().await.context("signing the contracts")?;
        Ok(authority)
    }

    /// Reads each key in a vault that is going to sign: the first signature finds a token and a connection, and a vault that
    /// cannot be used refuses the start. One that is out of order for the moment does not: documents are served meanwhile.
    async fn warm(&self) -> anyhow::Result<()> {
        let slots = self.issuer.signing.slots();
        let Some(own) = self.issuer.own_authority() else { return Ok(()) };
        for key in own.signing.all() {
            let key = &key.key.key;
            let Some(vault) = self.vaults.iter().find(|vault| vault.name() == key.backend) else { continue };
            let until = Instant::now() + WARM_LIMIT;
            match slots.around(key, &[Operations::Sign], until, vault.warm(key)).await {
                Ok(description) if description.signs_at(self.issuer.clock.now()) => {}
                Ok(_) => tracing::error!(%key, "the key cannot sign at present; `credenza doctor` says why"),
                Err(CallError::Slots(error)) => {
                    tracing::warn!(vault = %key.backend, %error, "the vault was not asked: its budget has no slots");
                }
                Err(CallError::Backend(error)) if vaults::passes(error.kind()) => {
                    tracing::warn!(vault = %key.backend, %error, "the vault does not answer; signatures wait for it");
                }
                Err(error) => {
                    let vault = &key.backend;
                    return Err(error).with_context(|| format!("the vault `{vault}` cannot be used"));
                }
            }
        }
        Ok(())
    }

    /// Starts the workers.
    pub fn start_workers(&mut self) {
        let (issuer, stop) = (&self.issuer, &self.stop_workers);
        self.workers.push(tokio::spawn(worker::outbox::run(Arc::clone(issuer), stop.clone())));
        self.workers.push(tokio::spawn(worker::sweeper::run(Arc::clone(issuer), stop.clone())));
        self.workers.push(tokio::spawn(worker::meters::run(Arc::clone(issuer), stop.clone())));
        self.workers.push(tokio::spawn(issuer::inbound::run(Arc::clone(issuer), stop.clone())));
    }

    /// Finishes what is in flight, within 15 s: signing steps and callbacks under way, then changes that wait for their
    /// commit. What a database that does not answer keeps from ending is left as a crash would leave it.
    pub async fn stop(self) {
        let begun = tokio::time::Instant::now();
        self.stop_workers.cancel();
        let (issuer, workers) = (&self.issuer, self.workers);
        let in_flight = async {
            issuer.steps.ended().await;
            for worker in workers {
                if let Err(error) = worker.await {
                    tracing::warn!(%error, "a worker did not end well");
                }
            }
        };
        if tokio::time::timeout_at(begun + FINISH_LIMIT, in_flight).await.is_err() {
            tracing::warn!("what is in flight takes too long and is left behind");
        }
        self.stop_committer.cancel();
        match tokio::time::timeout_at(begun + STOP_LIMIT, self.committer).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the committer did not end well"),
            Err(_elapsed) => tracing::warn!("changes still wait for their commit and are left behind"),
        }
    }
}

/// What the HTTP applications share.
pub fn service(
    running: &Running,
    trusted: Vec<issuer::auth::TrustedIssuer>,
    tokens: Option<Arc<issuer::auth::BuiltinIssuer>>,
    demo: Option<Arc<issuer::http::demo::Demo>>,
    stopping: CancellationToken,
) -> Service {
    let issuer = &running.issuer;
    let authenticator = issuer::auth::Authenticator::new(
        trusted,
        tokens.clone(),
        issuer.egress.clone(),
        Arc::clone(&issuer.clock),
    );
    Service {
        issuer: Arc::clone(issuer),
        authenticator: Arc::new(authenticator),
        tokens: tokens.map(actix_web::web::Data::from),
        demo,
        stopping,
    }
}

/// The built-in token issuer with its sealed key.
pub async fn token_issuer(
    issuer: &Issuer,
    base: &Url,
    clients: Vec<issuer::auth::builtin::BuiltinClient>,
) -> anyhow::Result<Arc<issuer::auth::BuiltinIssuer>> {
    use issuer::auth::builtin::{BuiltinConfig, BuiltinIssuer};
    let tenant = issuer.settings.tenant;
    let key = issuer::sealed::local_secret(
        &issuer.store,
        &issuer.keyring,
        tenant,
        "access-token-key",
        issuer.clock.now(),
        || BuiltinIssuer::generate_key().map_err(|_source| issuer::sealed::SealError::Random),
    )
    .await?;
    let config = BuiltinConfig::new(base.clone(), tenant, clients);
    let tokens = BuiltinIssuer::new(config, key, Arc::clone(&issuer.clock))
        .context("starting the built-in token issuer")?;
    Ok(Arc::new(tokens))
}

/// Creates a directory that only its owner may enter.
pub fn private_directory(path: &Path) -> anyhow::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path).with_context(|| format!("making the directory {}", path.display()))
}
