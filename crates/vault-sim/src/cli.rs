//! Owns the flags, the banner, the ready file and the signals.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use vault_sim::{
    AccessConfig, LatencyConfig, Limits, LogConfig, Profile, Role, Running, Sim, SimConfig, Subscription,
    ThrottleConfig, VaultConfig, Window,
};

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WindowArgument {
    Sliding,
    Fixed,
    Off,
}

/// A look-alike of Azure Key Vault's keys API. Not a vault: its keys live in memory and protect nothing.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Arguments {
    /// HTTPS listener of the first vault; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8444")]
    listen: SocketAddr,
    /// Where ca.pem and the leaf certificate are kept; made where absent
    #[arg(long)]
    tls_dir: PathBuf,
    /// One more name in the leaf certificate
    #[arg(long)]
    tls_name: Vec<String>,
    /// Names of the vaults; each further one listens on the next port
    #[arg(long, value_delimiter = ',', default_value = "vault")]
    vaults: Vec<String>,
    /// What the vaults play: vault or managed-hsm; VAULT=managed-hsm for one of them
    #[arg(long, value_parser = profile)]
    profile: Vec<(Option<String>, Profile)>,
    /// How many partitions of a managed HSM work at a time; 0: no limit
    #[arg(long, default_value_t = 1)]
    hsm_partitions: u32,
    /// Operations per window on HSM-protected EC keys; software keys: twice as many
    #[arg(long, default_value_t = 2_000)]
    limit: u64,
    /// Every operation counts the same: one of --limit
    #[arg(long)]
    single_limit: bool,
    /// HSM creates per window; software creates: twice as many
    #[arg(long, default_value_t = 10)]
    create_limit: u64,
    #[arg(long, value_enum, default_value = "sliding")]
    window: WindowArgument,
    /// Length of the window
    #[arg(long, default_value_t = 10_000)]
    window_ms: u64,
    /// Refused operations count, too
    #[arg(long)]
    count_rejected: bool,
    /// HSM and software keys do not share a meter
    #[arg(long)]
    separate_pools: bool,
    /// Seconds in Retry-After of a 429; the service sends none
    #[arg(long)]
    retry_after: Option<u32>,
    /// Vaults (a,b) that also share meters
    #[arg(long)]
    subscription: Vec<String>,
    /// What a subscription takes, in per cent of one vault
    #[arg(long, default_value_t = 500)]
    subscription_percent: u64,
    /// VAULT=RATE: another tenant takes so many operations per second
    #[arg(long, value_parser = pair)]
    foreign: Vec<(String, String)>,
    /// Median latency; 0: none
    #[arg(long, default_value_t = 25)]
    latency_ms: u64,
    /// Added to the first request on a connection [default: 150, 0 with --latency-ms 0]
    #[arg(long)]
    first_request_ms: Option<u64>,
    /// Where the audit log goes
    #[arg(long)]
    log_dir: Option<PathBuf>,
    /// Rows are written up to this late, and out of order
    #[arg(long, default_value_t = 0)]
    log_delay_ms: u64,
    /// The log's correlationId is the caller's x-ms-client-request-id
    #[arg(long)]
    correlation_from_client: bool,
    /// Refusals by a limit are not in the log
    #[arg(long)]
    skip_throttled_rows: bool,
    /// The only good bearer token, besides those with a role
    #[arg(long)]
    token: Option<String>,
    /// TOKEN=get+sign: what this token (or the appid in a JWT) may do
    #[arg(long, value_parser = pair)]
    role: Vec<(String, String)>,
    /// JWTs whose exp is over are refused
    #[arg(long)]
    check_expiry: bool,
    /// JWTs for another audience or of another tenant are refused
    #[arg(long)]
    check_audience: bool,
    /// Tenant of the challenge and of issued tokens
    #[arg(long)]
    tenant: Option<String>,
    /// Where the challenge sends for tokens [default: here]
    #[arg(long)]
    login_origin: Option<String>,
    /// ID=SECRET of those who get tokens [default: everybody]
    #[arg(long, value_parser = pair)]
    client: Vec<(String, String)>,
    /// How long issued tokens are good
    #[arg(long, default_value_t = 3_600)]
    token_lifetime_s: u32,
    /// A Standard vault: no HSM-protected keys
    #[arg(long)]
    standard: bool,
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(7..=90))]
    retention_days: u32,
    #[arg(long)]
    purge_protection: bool,
    /// How long delete, recover and purge take to be seen
    #[arg(long, default_value_t = 4_000)]
    consistency_ms: u64,
    /// Granted on nbf and exp
    #[arg(long, default_value_t = 0)]
    leeway_s: i64,
    /// Of all draws but key material and ids
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Control port: plain HTTP, loopback only
    #[arg(long)]
    admin: Option<SocketAddr>,
    /// Written once it accepts connections
    #[arg(long)]
    ready_file: Option<PathBuf>,
    /// Threads that serve
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Listens elsewhere than on loopback, too
    #[arg(long)]
    allow_non_loopback: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let parts = text.rsplit_once('=').filter(|(left, right)| !left.is_empty() && !right.is_empty());
    parts
        .map(|(left, right)| (left.to_owned(), right.to_owned()))
        .ok_or_else(|| "needs LEFT=RIGHT".to_owned())
}

fn profile(text: &str) -> Result<(Option<String>, Profile), String> {
    let (vault, name) =
        text.rsplit_once('=').map_or((None, text), |(vault, name)| (Some(vault.to_owned()), name));
    let profile = Profile::by_name(name).ok_or_else(|| "needs vault or managed-hsm".to_owned())?;
    Ok((vault, profile))
}

fn list(text: &str, by: char) -> Vec<String> {
    text.split(by).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

impl Arguments {
    fn throttle(&self) -> ThrottleConfig {
        let limits = if self.single_limit {
            Limits::single(self.limit, self.create_limit)
        } else {
            Limits::proportional(self.limit, self.create_limit)
        };
        let group = |names: &String| Subscription {
            vaults: list(&names.to_ascii_lowercase(), ','),
            percent: self.subscription_percent,
        };
        ThrottleConfig {
            window: match self.window {
                WindowArgument::Sliding => Window::Sliding,
                WindowArgument::Fixed => Window::Fixed,
                WindowArgument::Off => Window::Off,
            },
            length: Duration::from_millis(self.window_ms),
            limits,
            count_rejected: self.count_rejected,
            shared_pool: !self.separate_pools,
            retry_after: self.retry_after,
            subscriptions: self.subscription.iter().map(group).collect(),
        }
    }

    fn access(&self) -> AccessConfig {
        let role = |(token, allow): &(String, String)| Role {
            token: token.clone(),
            allow: list(allow, '+'),
            keys: None,
        };
        let before = AccessConfig::default();
        AccessConfig {
            token: self.token.clone(),
            roles: self.role.iter().map(role).collect(),
            check_expiry: self.check_expiry,
            check_audience: self.check_audience,
            tenant: self.tenant.clone().unwrap_or(before.tenant),
            login_origin: self.login_origin.as_ref().map(|url| url.trim_end_matches('/').to_owned()),
            clients: self.client.clone(),
            token_lifetime_seconds: self.token_lifetime_s,
        }
    }

    fn config(&self) -> anyhow::Result<SimConfig> {
        let mut foreign = Vec::new();
        for (vault, rate) in &self.foreign {
            foreign.push((vault.clone(), rate.parse().with_context(|| format!("--foreign {vault}={rate}"))?));
        }
        let first = self.first_request_ms.unwrap_or(if self.latency_ms == 0 { 0 } else { 150 });
        Ok(SimConfig {
            listen: self.listen,
            admin: self.admin,
            allow_non_loopback: self.allow_non_loopback,
            tls_dir: Some(self.tls_dir.clone()),
            tls_names: self.tls_name.clone(),
            vaults: self.vaults.clone(),
            profile: self
                .profile
                .iter()
                .rev()
                .find(|(vault, _)| vault.is_none())
                .map_or(Profile::Vault, |(_, profile)| *profile),
            profiles: self
                .profile
                .iter()
                .filter_map(|(vault, profile)| Some((vault.clone()?, *profile)))
                .collect(),
            hsm_partitions: self.hsm_partitions,
            foreign,
            throttle: self.throttle(),
            latency: LatencyConfig {
                median: Duration::from_millis(self.latency_ms),
                first_request: Duration::from_millis(first),
            },
            log: LogConfig {
                dir: self.log_dir.clone(),
                delay: Duration::from_millis(self.log_delay_ms),
                correlation_from_client: self.correlation_from_client,
                throttled_rows: !self.skip_throttled_rows,
            },
            access: self.access(),
            keys: VaultConfig {
                premium: !self.standard,
                retention_days: self.retention_days,
                purge_protection: self.purge_protection,
                consistency: Duration::from_millis(self.consistency_ms),
                leeway_seconds: self.leeway_s,
            },
            seed: self.seed,
            workers: self.workers,
            ..SimConfig::default()
        })
    }

    fn ready(&self, running: &Running) -> serde_json::Value {
        let urls: BTreeMap<&String, String> =
            self.vaults.iter().map(|name| (name, running.url_of(name))).collect();
        json!({
            "url": running.url(),
            "ca_file": absolute(&self.tls_dir.join("ca.pem")),
            "log_dir": self.log_dir.as_deref().map(absolute),
            "admin_url": running.admin_url(),
            "vaults": urls,
        })
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_unknown| path.to_owned())
}

/// The signals that end the process in order.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Written beside and moved into place, so that nobody reads half of it.
fn write_ready(path: &Path, content: &serde_json::Value) -> io::Result<()> {
    let beside = path.with_extension("part");
    std::fs::write(&beside, content.to_string())?;
    std::fs::rename(beside, path)
}

/// Serves until a signal comes.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = arguments.config()?;
    let mut signals = Signals::listen().context("listening for signals")?;
    let profiles: Vec<Profile> = arguments.vaults.iter().map(|name| config.profile_of(name)).collect();
    let running = Sim::start(config)?;
    let mut out = io::stderr().lock();
    writeln!(out, "vault-sim: a simulator, NOT a key vault. Its keys live in memory and protect nothing.")?;
    for (name, profile) in arguments.vaults.iter().zip(profiles) {
        writeln!(out, "  {} {name}: {}", profile.name(), running.url_of(name))?;
    }
    writeln!(out, "  trust: {}", arguments.tls_dir.join("ca.pem").display())?;
    if let Some(url) = running.admin_url() {
        writeln!(out, "  control port: {url}")?;
    }
    drop(out);
    if let Some(path) = &arguments.ready_file {
        write_ready(path, &arguments.ready(&running)).context("writing the ready file")?;
    }
    signals.next().await;
    tokio::select! {
        ended = running.shutdown() => ended?,
        () = signals.next() => return Ok(ExitCode::FAILURE),
    }
    Ok(ExitCode::SUCCESS)
}
