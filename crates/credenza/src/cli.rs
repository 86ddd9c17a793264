//! The command line: what can be asked for, and how errors are said.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use crate::{contracts, dev, doctor, plan, report, serve, stop, vaults, wiring};

/// Issues verifiable credentials, and records every signature before it is made.
#[derive(Parser)]
#[command(version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything embedded, for development: database, keys, certificates, demo page.
    Dev(Box<DevArgs>),
    /// The service as the configuration says.
    Serve(ServeArgs),
    /// Brings the database's schema up to date.
    Migrate(ConfigArgs),
    /// Looks at vaults, keys, permissions, clocks, the database and the published documents, and says what to mend.
    Doctor(DoctorArgs),
    /// Contracts: what a credential holds and how wallets show it.
    #[command(subcommand)]
    Contract(ContractCommand),
    /// Prints the hash of a client secret, read from standard input, for the configuration.
    HashSecret,
    /// Makes a file with a key-encryption key.
    Keyring {
        /// Where to write it; the file must not exist.
        file: PathBuf,
    },
    /// Ends the issuances of a client, a customer or a contract, and lets them go on.
    #[command(subcommand)]
    Stop(stop::StopCommand),
    /// Who made how many requests, and who was refused, from the ledger.
    #[command(subcommand)]
    Report(report::ReportCommand),
    /// What a rollout needs: vaults, time, database, logs, cost.
    Plan(plan::PlanArgs),
    /// Prints the OpenAPI description.
    Openapi,
}

/// `credenza dev`.
#[derive(Args, Clone)]
pub struct DevArgs {
    /// Where everything is kept between starts.
    #[arg(long, default_value = ".credenza-dev")]
    pub data_dir: PathBuf,
    /// The listener for browsers on this machine.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub http: std::net::SocketAddr,
    /// The listener for wallets.
    #[arg(long, default_value = "127.0.0.1:8443")]
    pub https: std::net::SocketAddr,
    /// The origin under which wallets reach the HTTPS listener; default `https://localhost:PORT`.
    #[arg(long)]
    pub public_url: Option<url::Url>,
    /// `sqlite:PATH` or `postgres://USER@HOST/NAME`; default that of the last start, at first a SQLite file in the data
    /// directory.
    #[arg(long)]
    pub database: Option<String>,
    /// Keeps the keys in this vault: one of Azure with your own login (`az login`), or a simulator. Default that of the
    /// last start, at first none: software keys in the database.
    #[arg(long, value_name = "URL")]
    pub vault: Option<url::Url>,
    /// Certificate authorities (PEM) to trust for the vault besides the system's.
    #[arg(long, value_name = "PEM", requires = "vault")]
    pub vault_ca: Option<PathBuf>,
    /// A simulator's token; for vaults on a loopback address only.
    #[arg(long, value_name = "TOKEN", requires = "vault")]
    pub vault_token: Option<String>,
    /// How new keys are protected in the vault: in its HSM (Premium vaults) or by software.
    #[arg(long, value_enum, requires = "vault", default_value_t = crate::config::vault::Protection::Hsm)]
    pub vault_kty: crate::config::vault::Protection,
    /// The curve of a new authority's key: ES256 (P-256) or ES256K (P-256K).
    #[arg(long, default_value = "ES256")]
    pub algorithm: domain::SignatureAlgorithm,
    /// How long a request lives, in seconds.
    #[arg(long, default_value_t = 300)]
    pub request_lifetime: i64,
    /// A TOML file with the section `[limits]` of the configuration; without it nothing is limited.
    #[arg(long)]
    pub limits: Option<PathBuf>,
    /// Written as JSON once the listeners accept.
    #[arg(long)]
    pub ready_file: Option<PathBuf>,
}

/// `credenza serve`.
#[derive(Args, Clone)]
pub struct ServeArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Written as JSON once the listeners accept.
    #[arg(long)]
    pub ready_file: Option<PathBuf>,
}

/// `credenza doctor`.
#[derive(Args, Clone)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub installation: Installation,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// Asks the vaults even if there is no usable database to count the questions in. Only while nothing else uses them:
    /// a vault counts questions like signatures.
    #[arg(long)]
    pub without_budget: bool,
}

/// Where the configuration is.
#[derive(Args, Clone)]
pub struct ConfigArgs {
    /// The configuration, see config/credenza.toml.
    #[arg(long, env = "CREDENZA_CONFIG")]
    pub config: PathBuf,
}

/// Which installation a command works on.
#[derive(Args, Clone)]
pub struct Installation {
    /// The configuration of `credenza serve`.
    #[arg(long, env = "CREDENZA_CONFIG", conflicts_with = "data_dir")]
    pub config: Option<PathBuf>,
    /// The data directory of `credenza dev`.
    #[arg(long, default_value = ".credenza-dev")]
    pub data_dir: PathBuf,
}

/// `credenza contract …`.
#[derive(Subcommand)]
pub enum ContractCommand {
    /// Says what is wrong with contract files, and what could be better.
    Validate {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Makes files the current versions and signs them. A version that was applied never changes.
    Apply {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        installation: Installation,
    },
    /// Lists the current versions.
    List {
        #[command(flatten)]
        installation: Installation,
    },
    /// Shows a contract as it was submitted.
    Show {
        /// Its name or id.
        contract: String,
        /// The version; the current one when absent.
        #[arg(long)]
        contract_version: Option<i64>,
        #[command(flatten)]
        installation: Installation,
    },
}

/// Runs what was asked for.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Dev(args) => dev::run(*args).await,
        Command::Serve(args) => serve::run(args).await,
        Command::Doctor(args) => doctor::run(args).await,
        Command::Migrate(args) => {
            let config = crate::config::Config::load(&args.config)?;
            wiring::open_store(&config).await?;
            say("The schema is up to date.")?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Contract(command) => contracts::run(command).await,
        Command::HashSecret => {
            let mut secret = String::new();
            std::io::stdin().read_line(&mut secret).context("reading the secret from standard input")?;
            let secret = secret.trim_end_matches(['\r', '\n']);
            anyhow::ensure!(secret.chars().count() >= 16, "a client secret needs at least 16 characters");
            say(&issuer::auth::builtin::hash_secret(secret)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Keyring { file } => {
            signer::Keyring::create(&file)
                .with_context(|| format!("making the key-encryption key in {}", file.display()))?;
            say(&format!(
                "{} holds a new key-encryption key. Back it up apart from the database: without it nothing in the \
                 database can be opened.",
                file.display()
            ))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Stop(command) => stop::run(command).await,
        Command::Report(command) => report::run(command).await,
        Command::Plan(args) => plan::run(&args),
        Command::Openapi => {
            say(&issuer::http::openapi::document())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A line for the person at the terminal.
pub fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// An error with its causes and, where a vault is the cause, with what would mend it, for the person at the terminal.
pub fn complain(error: &anyhow::Error) {
    let mut err = std::io::stderr().lock();
    // Nothing can be said about a standard error that is closed.
    // Some causes have several lines.
    let indented = |text: String| text.replace('\n', "\n    ");
    drop(writeln!(err, "credenza: {}", indented(error.to_string())));
    for cause in error.chain().skip(1) {
        drop(writeln!(err, "  because: {}", indented(cause.to_string())));
    }
    if let Some(cure) = vaults::vault_error(error).and_then(vaults::cure) {
        drop(writeln!(err, "  cure: {cure}"));
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn no_option_collides_with_another() {
        Cli::command().debug_assert();
        let asked = ["credenza", "contract", "show", "StudentCard", "--contract-version", "2"];
        let cli = Cli::try_parse_from(asked).unwrap();
        let Command::Contract(ContractCommand::Show { contract_version, .. }) = cli.command else {
            panic!("it is `contract show`")
        };
        assert_eq!(contract_version, Some(2));
    }
}
