//! `credenza dev`: everything embedded, and a few lines that say where to click.

use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use domain::TenantId;
use issuer::Settings;
use issuer::auth::builtin::{BuiltinClient, hash_secret};
use issuer::http::demo::Demo;
use issuer::placement::Placement;
use issuer::usecase::setup::SetupError;
use store::DatabaseUrl;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::cli::{self, DevArgs};
use crate::keys::KeyringSource;
use crate::logging::{self, Format};
use crate::ready::Ready;
use crate::server::{self, Listeners};
use crate::tls::Development;
use crate::vaults::{DeveloperVault, Vault};
use crate::wiring::{self, Plan, Running};

/// The tenant of development: the same everywhere, so that addresses can be written down.
const TENANT: &str = "de500000-0000-4000-8000-000000000001";

/// The front end that development knows.
const CLIENT: &str = "de500000-0000-4000-8000-0000000000c1";

/// The contracts that development starts with.
const CONTRACTS: [&str; 3] = [
    include_str!("../../../config/contracts/verified-employee.json"),
    include_str!("../../../config/contracts/student-card.json"),
    include_str!("../../../config/contracts/event-guest.json"),
];

/// The tenant of every data directory.
pub fn tenant() -> anyhow::Result<TenantId> {
    TENANT.parse().context("the development tenant")
}

/// The vault of a data directory: the one that is asked for, else that of the last start.
fn vault(args: &DevArgs) -> anyhow::Result<Option<DeveloperVault>> {
    match &args.vault {
        Some(url) => Ok(Some(DeveloperVault {
            url: url.clone(),
            ca_file: args.vault_ca.clone(),
            token: args.vault_token.clone(),
            kty: args.vault_kty,
        })),
        None => DeveloperVault::remembered(&args.data_dir),
    }
}

impl Plan {
    /// The same with all keys in a vault.
    pub fn in_vault(mut self, vault: &DeveloperVault) -> anyhow::Result<Self> {
        let vault = Vault::of_developer(vault)?;
        self.settings.placement = Placement::one(vault.name());
        self.vaults = vec![vault];
        Ok(self)
    }
}

/// What `dev` keeps in its data directory, as a plan. Also for commands that work on the same directory.
pub fn plan(data_dir: &Path, database: DatabaseUrl, public_url: Url, lifetime: i64) -> anyhow::Result<Plan> {
    let tenant = tenant()?;
    Ok(Plan {
        settings: Settings {
            tenant,
            request_lifetime_secs: lifetime,
            pin_tries: 5,
            wallet_failures: 10,
            callback_max_age_secs: 900,
            relative_ids: true,
            placement: Placement::one(wiring::SOFTWARE),
        },
        public_url,
        database,
        vaults: Vec::new(),
        keyring: KeyringSource::File { path: data_dir.join("keyring"), may_create: true },
        egress: egress::Policy { allow_http_loopback: true, ..egress::Policy::default() },
        // Nobody floods a laptop; `--limits` shows a front end what production answers.
        inbound: issuer::inbound::Policy::default(),
    })
}

/// The file that remembers under which origin a data directory was started: the authority's DID depends on it.
pub const ORIGIN_FILE: &str = "public-url";

/// The file that remembers the database of a data directory where it is not the usual one. Other commands work on the
/// same directory without being told. It may hold a password.
const DATABASE_FILE: &str = "database";

/// The database of a data directory: the one that is asked for, else that of the last start, else a file in it.
pub fn database(data_dir: &Path, asked: Option<&str>) -> anyhow::Result<DatabaseUrl> {
    if let Some(url) = asked {
        return url.parse().context("--database");
    }
    let file = data_dir.join(DATABASE_FILE);
    match std::fs::read_to_string(&file) {
        Ok(url) => url.trim().parse().with_context(|| format!("reading {}", file.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(usual_database(data_dir)),
        Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
    }
}

fn usual_database(data_dir: &Path) -> DatabaseUrl {
    DatabaseUrl::Sqlite(data_dir.join("credenza.db"))
}

/// Remembers the database. The usual one is remembered by the absence of the file, so that the directory can be moved.
fn remember_database(data_dir: &Path, database: &DatabaseUrl) -> anyhow::Result<()> {
    let file = data_dir.join(DATABASE_FILE);
    let done = if *database == usual_database(data_dir) {
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    } else {
        let text = match database {
            DatabaseUrl::Postgres(url) => url.clone(),
            DatabaseUrl::Sqlite(path) => format!("sqlite:{}", std::path::absolute(path)?.display()),
        };
        crate::tls::write_private(&file, text.as_bytes())
    };
    done.with_context(|| format!("writing {}", file.display()))
}

/// Serves until a signal comes.
pub async fn run(args: DevArgs) -> anyhow::Result<ExitCode> {
    logging::start(Format::Text, "warn")?;
    ensure!(
        (1..=86_400).contains(&args.request_lifetime),
        "--request-lifetime has to be between 1 and 86400 seconds"
    );
    wiring::private_directory(&args.data_dir)?;
    let public_url = match &args.public_url {
        Some(url) => url.clone(),
        None => Url::parse(&format!("https://localhost:{}", args.https.port()))?,
    };
    ensure!(
        public_url.scheme() == "https" && public_url.path() == "/",
        "--public-url has to be an https origin without a path, because it becomes the DID"
    );
    remember_origin(&args.data_dir, &public_url)?;
    let database = database(&args.data_dir, args.database.as_deref())?;
    let plan = plan(&args.data_dir, database.clone(), public_url.clone(), args.request_lifetime)?;
    let inbound = match &args.limits {
        Some(file) => crate::config::limits::LimitsSection::load(file)?.policy(false)?,
        None => plan.inbound,
    };
    let mut plan = Plan { inbound, ..plan };
    let vault = vault(&args)?;
    if let Some(vault) = &vault {
        plan = plan.in_vault(vault)?;
    }
    let running = Running::open(plan).await?;
    remember_database(&args.data_dir, &database)?;
    let authority = running.set_up("Credenza Demo", args.algorithm).await.map_err(elsewhere)?;
    if let Some(vault) = &vault {
        vault.remember(&args.data_dir)?;
    }
    for text in CONTRACTS {
        running.issuer.apply_contract(authority, text).await.map_err(crate::contracts::explain)?;
    }
    let issuer = Arc::clone(&running.issuer);
    let host = public_url.host_str().unwrap_or("localhost").to_owned();
    let tls = Development::prepare(&args.data_dir, &host, issuer.clock.now())?;
    let base = Url::parse(&format!("http://{}", args.http))?;
    let secret = client_secret(&args.data_dir)?;
    let hash = hash_secret(&secret)?;
    // MSAL takes nothing but https from a discovery document.
    let tokens = wiring::token_issuer(&issuer, &public_url, vec![BuiltinClient::new(CLIENT, hash)]).await?;
    // Both listeners answer; over plain HTTP nobody has to trust our certificate authority first.
    let token_url = format!("http://{}{}", args.http, Url::parse(&tokens.token_endpoint())?.path());
    let ca_file = tls.ca_file.clone();
    let wallet = wallet_program();
    let command = (format!("{wallet} accept"), format!("--ca {}", ca_file.display()));
    let demo = Arc::new(Demo::new(base.as_str(), command));
    let ready = ready(&args, &issuer, token_url.clone(), &secret, ca_file.clone());
    let keys = vault.as_ref().map(|vault| format!("\n  Keys        {}", vault.url)).unwrap_or_default();
    let text = greeting(&args, &issuer, &demo, &token_url, &wallet, (&ca_file, &keys));
    let service = wiring::service(&running, Vec::new(), Some(tokens), Some(demo), CancellationToken::new());
    let listeners = Listeners { plain: Some(args.http), tls: Some((args.https, tls.server)) };
    server::run(listeners, service, running, || {
        if let Some(file) = &args.ready_file {
            ready.write(file)?;
        }
        cli::say(&text)
    })
    .await?;
    cli::say("Stopped.")?;
    Ok(ExitCode::SUCCESS)
}

/// A data directory's keys stay where they were made: says it in the words of this command.
fn elsewhere(error: anyhow::Error) -> anyhow::Error {
    let is_elsewhere = error
        .chain()
        .any(|cause| matches!(cause.downcast_ref::<SetupError>(), Some(SetupError::KeyElsewhere { .. })));
    if is_elsewhere {
        error.context(
            "this data directory has its keys in another place. Start it as before (without --vault for the place of the \
             last start), or choose another --data-dir",
        )
    } else {
        error
    }
}

/// A data directory belongs to one origin: its authority's DID and what it has issued name it.
fn remember_origin(data_dir: &Path, public_url: &Url) -> anyhow::Result<()> {
    let file = data_dir.join(ORIGIN_FILE);
    match std::fs::read_to_string(&file) {
        Ok(known) => ensure!(
            known.trim() == public_url.as_str(),
            "{} was started as {} before, and its authority's DID names that; now it would be {public_url}. Start it \
             as before or choose another --data-dir",
            data_dir.display(),
            known.trim()
        ),
        Err(_absent) => std::fs::write(&file, public_url.as_str())
            .with_context(|| format!("writing {}", file.display()))?,
    }
    Ok(())
}

/// The development client's secret: random, kept in the data directory.
fn client_secret(data_dir: &Path) -> anyhow::Result<String> {
    let file = data_dir.join("client-secret");
    if let Ok(secret) = std::fs::read_to_string(&file) {
        return Ok(secret);
    }
    let mut bytes = [0_u8; 24];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    let secret = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes);
    crate::tls::write_private(&file, secret.as_bytes())
        .with_context(|| format!("writing {}", file.display()))?;
    Ok(secret)
}

/// How the wallet is started from here: by cargo from a source tree, by its name where it is installed.
fn wallet_program() -> String {
    let from_source = std::path::Path::new("crates/wallet/Cargo.toml").exists();
    if from_source {
        "cargo run --release --quiet --package wallet --".to_owned()
    } else {
        "wallet".to_owned()
    }
}

fn ready(
    args: &DevArgs,
    issuer: &issuer::Issuer,
    token_url: String,
    secret: &str,
    ca_file: std::path::PathBuf,
) -> Ready {
    let directory = issuer.directory.snapshot();
    Ready {
        http: Some(format!("http://{}", args.http)),
        https: Some(format!("https://{}", local(args.https))),
        public_url: issuer.urls.base().to_owned(),
        admin_url: Some(format!("http://{}", args.http)),
        tenant_id: TENANT.to_owned(),
        authority_did: issuer.own_authority().map(|entry| entry.authority.did.to_string()),
        manifest_url: directory
            .contracts()
            .into_iter()
            .find(|entry| entry.contract.accepts_pin())
            .map(|entry| issuer.urls.manifest(entry.row.id)),
        client_id: Some(CLIENT.to_owned()),
        client_secret: Some(secret.to_owned()),
        ca_file: Some(std::path::absolute(&ca_file).unwrap_or(ca_file)),
        token_url: Some(token_url),
    }
}

/// The certificate names localhost; an address that means this machine is called that.
fn local(address: std::net::SocketAddr) -> String {
    if address.ip().is_loopback() { format!("localhost:{}", address.port()) } else { address.to_string() }
}

fn greeting(
    args: &DevArgs,
    issuer: &issuer::Issuer,
    demo: &Demo,
    token_url: &str,
    wallet: &str,
    (ca_file, keys): (&Path, &str),
) -> String {
    let did = issuer.own_authority().map(|entry| entry.authority.did.to_string()).unwrap_or_default();
    let ca = ca_file.display();
    let secret_file = args.data_dir.join("client-secret");
    let secret_file = secret_file.display();
    let link = format!("http://{}/demo/link", args.http);
    format!(
        "Credenza is ready.

  Demo page   {page}
  Authority   {did}
  Wallets     {public} (certificate authority: {ca}){keys}

Accept an issuance in a second shell:

  {wallet} accept \"$(curl -s -X POST {link})\" --yes --ca {ca}

Front ends get their token from {token_url}
with the client id {CLIENT} and the secret in {secret_file}.
Ctrl-C stops.",
        page = demo.page(),
        public = issuer.urls.base(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(url: &DatabaseUrl) -> String {
        format!("{url:?}")
    }

    #[test]
    fn a_data_directory_remembers_its_database() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path();
        let remembered = || database(dir, None).unwrap();
        assert_eq!(remembered(), usual_database(dir));
        let url = "postgres://user:secret@db.example/credenza";
        let asked = database(dir, Some(url)).unwrap();
        assert_eq!(remembered(), usual_database(dir), "asking is not remembering");
        remember_database(dir, &asked).unwrap();
        assert_eq!(remembered(), DatabaseUrl::Postgres(url.to_owned()));
        let mode = std::fs::metadata(dir.join(DATABASE_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "it holds a password");
        remember_database(dir, &DatabaseUrl::Sqlite("relative.db".into())).unwrap();
        assert!(text(&remembered()).starts_with("sqlite:/"), "also from another working directory");
        remember_database(dir, &usual_database(dir)).unwrap();
        assert_eq!(remembered(), usual_database(dir));
        assert!(database(dir, Some("mysql://x")).is_err());
        std::fs::write(dir.join(DATABASE_FILE), "nonsense").unwrap();
        assert!(database(dir, None).is_err(), "nothing else is used instead");
    }
}
