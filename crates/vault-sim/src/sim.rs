//! Owns the start and the end of a simulator: its configuration, its thread, its handle.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin;
use crate::audit::blob::BlobWriter;
use crate::audit::{Arrival, Feed, LogConfig};
use crate::clock::SimClock;
use crate::fault::{FaultId, FaultSpec};
use crate::identity::{AccessConfig, Role};
use crate::listener;
use crate::locked;
use crate::meter::{ThrottleConfig, Window};
use crate::profile::Profile;
use crate::service::World;
use crate::tls::{self, TlsError};
use crate::vault::VaultConfig;

/// How long answers under way may take at the end.
const FINISH: Duration = Duration::from_secs(5);

/// How long answers take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatencyConfig {
    /// Median of a log-normal distribution; zero: none.
    pub median: Duration,
    /// Added to the first request on a connection.
    pub first_request: Duration,
}

impl Default for LatencyConfig {
    fn default() -> Self {
        Self { median: Duration::from_millis(25), first_request: Duration::from_millis(150) }
    }
}

/// Everything that can be set. The default is a vault as the service has it, on a free port, with its CA in memory.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// Where the first vault listens; each further one takes the next port. Port 0 takes free ones.
    pub listen: SocketAddr,
    /// Where its control port listens; `None`: nowhere.
    pub admin: Option<SocketAddr>,
    /// Listens elsewhere than on loopback.
    pub allow_non_loopback: bool,
    /// Where `ca.pem` and the leaf are kept; `None`: in memory.
    pub tls_dir: Option<PathBuf>,
    /// More names in the leaf.
    pub tls_names: Vec<String>,
    /// Names of the vaults. Each has a listener, and answers on every one under hosts that begin with its name.
    pub vaults: Vec<String>,
    /// What the vaults play that `profiles` does not name.
    pub profile: Profile,
    /// What single vaults play.
    pub profiles: Vec<(String, Profile)>,
    /// How many partitions of a Managed HSM work at a time; 0: its hardware has no limit.
    pub hsm_partitions: u32,
    /// Vaults of which a foreign tenant takes operations per second.
    pub foreign: Vec<(String, u32)>,
    /// The limits.
    pub throttle: ThrottleConfig,
    /// How long answers take.
    pub latency: LatencyConfig,
    /// The audit log.
    pub log: LogConfig,
    /// Who may do what.
    pub access: AccessConfig,
    /// Soft delete and the like.
    pub keys: VaultConfig,
    /// Of all draws but key material and ids.
    pub seed: u64,
    /// Its time.
    pub clock: SimClock,
    /// Threads that serve.
    pub workers: usize,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin: None,
            allow_non_loopback: false,
            tls_dir: None,
            tls_names: Vec::new(),
            vaults: vec!["vault".to_owned()],
            profile: Profile::Vault,
            profiles: Vec::new(),
            hsm_partitions: 1,
            foreign: Vec::new(),
            throttle: ThrottleConfig::default(),
            latency: LatencyConfig::default(),
            log: LogConfig::default(),
            access: AccessConfig::default(),
            keys: VaultConfig::default(),
            seed: 1,
            clock: SimClock::system(),
            workers: 1,
        }
    }
}

impl SimConfig {
    /// What a vault plays, by its name in lower case.
    #[must_use]
    pub fn profile_of(&self, vault: &str) -> Profile {
        let own = self.profiles.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case(vault));
        own.map_or(self.profile, |(_, profile)| *profile)
    }

    /// For tests of something else: no latency, no limits, no waiting for deletes.
    #[must_use]
    pub fn quick() -> Self {
        let none = Duration::ZERO;
        Self {
            latency: LatencyConfig { median: none, first_request: none },
            throttle: ThrottleConfig { window: Window::Off, ..ThrottleConfig::default() },
            keys: VaultConfig { consistency: none, ..VaultConfig::default() },
            hsm_partitions: 0,
            ..Self::default()
        }
    }
}

/// Why it cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Not a loopback address.
    #[error(
        "{0} is not a loopback address; a simulator with toy keys belongs on no network (see --allow-non-loopback)"
    )]
    NotLoopback(SocketAddr),
    /// The control port is for this machine only.
    #[error("the control port listens on loopback only, not on {0}")]
    OpenControlPort(SocketAddr),
    /// A listener cannot be opened.
    #[error("listening on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    /// Vault names are 3 to 24 letters, digits and hyphens in the service; at least not empty here.
    #[error("a vault needs a name of letters, digits and hyphens, not `{0}`")]
    VaultName(String),
    /// A role allows something that does not exist.
    #[error("there is no permission `{0}`")]
    Permission(String),
    /// No certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The log or a thread cannot be set up.
    #[error("starting: {0}")]
    Io(#[from] io::Error),
}

/// The simulator.
#[derive(Debug)]
pub struct Sim;

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen(address, error);
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// A listener per vault, with its name.
type Listeners = (Vec<(Arc<str>, TcpListener)>, Vec<(Arc<str>, SocketAddr)>);

fn listen_all(config: &SimConfig) -> Result<Listeners, StartError> {
    let (mut sockets, mut addresses) = (Vec::new(), Vec::new());
    let mut wanted = config.listen;
    for vault in &config.vaults {
        let vault: Arc<str> = vault.to_ascii_lowercase().into();
        let (socket, address) = listen(wanted)?;
        sockets.push((Arc::clone(&vault), socket));
        addresses.push((vault, address));
        if wanted.port() != 0 {
            wanted.set_port(wanted.port().wrapping_add(1));
        }
    }
    Ok((sockets, addresses))
}

fn check(config: &SimConfig) -> Result<(), StartError> {
    if !config.allow_non_loopback && !config.listen.ip().is_loopback() {
        return Err(StartError::NotLoopback(config.listen));
    }
    if let Some(admin) = config.admin.filter(|admin| !admin.ip().is_loopback()) {
        return Err(StartError::OpenControlPort(admin));
    }
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if config.vaults.is_empty() {
        return Err(StartError::VaultName(String::new()));
    }
    if let Some(name) = config.vaults.iter().find(|name| !is_name(name)) {
        return Err(StartError::VaultName(name.clone()));
    }
    match config.access.roles.iter().find_map(Role::unknown_permission) {
        Some(permission) => Err(StartError::Permission(permission.to_owned())),
        None => Ok(()),
    }
}

impl Sim {
    /// Starts a simulator on a thread of its own. When this returns, it accepts connections.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(config: SimConfig) -> Result<Running, StartError> {
        check(&config)?;
        let names = tls::names(&config.vaults, &config.tls_names);
        let identity = tls::open(config.tls_dir.as_deref(), &names)?;
        let (sockets, addresses) = listen_all(&config)?;
        let admin = config.admin.map(listen).transpose()?;
        let feed = Feed::new(BlobWriter::start(&config.log, config.seed)?);
        let (workers, foreign) = (config.workers, config.foreign.clone());
        let world = Arc::new(World::new(config, feed));
        for (vault, rate) in foreign {
            let now = world.clock.now();
            locked(&world.state).throttle.set_foreign(&vault.to_ascii_lowercase(), rate, now);
        }
        let runtime = if workers > 1 {
            tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?
        } else {
            tokio::runtime::Builder::new_current_thread().enable_all().build()?
        };
        let stop = CancellationToken::new();
        let ended = CancellationToken::new();
        let (admin_socket, admin_address) = admin.unzip();
        let acceptor = TlsAcceptor::from(identity.server);
        let serving = serve(Arc::clone(&world), sockets, admin_socket, acceptor, stop.clone());
        let last = ended.clone().drop_guard();
        let thread = std::thread::Builder::new().name("vault-sim".to_owned()).spawn(move || {
            let result = runtime.block_on(serving);
            runtime.shutdown_background();
            drop(last);
            result
        })?;
        Ok(Running {
            world,
            addresses,
            admin: admin_address,
            ca_pem: identity.ca_pem,
            stop,
            ended,
            thread: Some(thread),
        })
    }
}

async fn serve(
    world: Arc<World>,
    sockets: Vec<(Arc<str>, TcpListener)>,
    admin: Option<TcpListener>,
    acceptor: TlsAcceptor,
    stop: CancellationToken,
) -> io::Result<()> {
    let tasks = TaskTracker::new();
    if let Some(admin) = admin {
        let admin = tokio::net::TcpListener::from_std(admin)?;
        let world = Arc::clone(&world);
        let answer = move |method: &str, path: &str, query: Option<&str>, body: hyper::body::Bytes| {
            admin::answer(&world, method, path, query, &body)
        };
        tasks.spawn(listener::run_plain(admin, answer, stop.clone(), tasks.clone()));
    }
    for (vault, socket) in sockets {
        let socket = tokio::net::TcpListener::from_std(socket)?;
        let (world, acceptor, stop) = (Arc::clone(&world), acceptor.clone(), stop.clone());
        tasks.spawn(listener::run(socket, vault, world, acceptor, stop, tasks.clone()));
    }
    stop.cancelled().await;
    tasks.close();
    // Whoever is not done by then is cut off.
    drop(tokio::time::timeout(FINISH, tasks.wait()).await);
    world.feed.flush();
    Ok(())
}

/// A simulator that serves. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Running {
    world: Arc<World>,
    /// By vault, in the order of the configuration.
    addresses: Vec<(Arc<str>, SocketAddr)>,
    admin: Option<SocketAddr>,
    ca_pem: String,
    stop: CancellationToken,
    ended: CancellationToken,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Running {
    /// Address of the first vault.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address().port())
    }

    /// Address of a vault by its name. One that was not configured answers under its name, if the system resolves it.
    #[must_use]
    pub fn url_of(&self, vault: &str) -> String {
        let vault = vault.to_ascii_lowercase();
        let own = self.addresses.iter().find(|(name, _)| **name == *vault);
        match own {
            Some((_, address)) => format!("https://localhost:{}", address.port()),
            None => format!("https://{vault}.localhost:{}", self.address().port()),
        }
    }

    /// Where the first vault listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        self.addresses.first().map_or(unknown, |(_, address)| *address)
    }

    /// Address of the control port.
    #[must_use]
    pub fn admin_url(&self) -> Option<String> {
        self.admin.map(|address| format!("http://{address}"))
    }

    /// The certificate to trust.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The simulator's clock.
    #[must_use]
    pub fn clock(&self) -> &SimClock {
        &self.world.clock
    }

    /// The audit rows in memory, oldest first.
    #[must_use]
    pub fn log(&self) -> Vec<Value> {
        let rows = self.world.feed.rows(0);
        rows.iter().map(|row| serde_json::from_slice(&row.row()).unwrap_or_default()).collect()
    }

    /// The arrivals in memory, oldest first.
    #[must_use]
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.world.feed.arrivals(0)
    }

    /// Forgets rows and arrivals in memory.
    pub fn forget(&self) {
        self.world.feed.clear();
    }

    /// The answer of `GET /status` on the control port.
    #[must_use]
    pub fn status(&self) -> Value {
        admin::status(&self.world)
    }

    /// Waits until the log's files hold everything.
    pub fn flush(&self) {
        self.world.feed.flush();
    }

    /// Sets a fault.
    pub fn set_fault(&self, fault: FaultSpec) -> FaultId {
        locked(&self.world.faults).set(fault)
    }

    /// Ends a fault; whether it was still on.
    pub fn end_fault(&self, fault: FaultId) -> bool {
        locked(&self.world.faults).end(fault)
    }

    /// Ends all faults.
    pub fn clear_faults(&self) {
        locked(&self.world.faults).clear();
    }

    /// Restricts what a token may do.
    pub fn set_role(&self, role: Role) {
        self.world.access.set_role(role);
    }

    /// Another tenant takes so many operations per second of this vault; 0 ends it.
    pub fn set_foreign(&self, vault: &str, rate: u32) {
        let now = self.world.clock.now();
        locked(&self.world.state).throttle.set_foreign(&vault.to_ascii_lowercase(), rate, now);
    }

    /// Changes the limits; the meters start empty.
    pub fn set_throttle(&self, window: Option<Window>, limit: Option<u64>) {
        locked(&self.world.state).throttle.change(window, limit);
    }

    /// Ends it in order: answers under way go out, the log is on disk.
    ///
    /// # Errors
    /// The listener could not be set up.
    pub async fn shutdown(mut self) -> io::Result<()> {
        self.stop.cancel();
        self.ended.cancelled().await;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_panic)) => Err(io::Error::other("the simulator's thread panicked")),
            None => Ok(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
