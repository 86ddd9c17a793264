//! `credenza stop …`: the stop list, from the shell. Running services read it every few seconds.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use domain::{Clock as _, TransactionId};
use serde_json::json;
use store::{Stop, StopKind, Store};
use uuid::Uuid;

use crate::cli::{Installation, say};
use crate::clock::SystemClock;
use crate::installation;

/// `credenza stop …`.
#[derive(Subcommand)]
pub enum StopCommand {
    /// Refuses further requests (403), and what waits for its wallet gets no signature.
    Add {
        #[command(flatten)]
        target: Target,
        /// Why, for people who look at the list or the ledger.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        installation: Installation,
    },
    /// Takes a stop off the list.
    Remove {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        installation: Installation,
    },
    /// Shows the list.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        installation: Installation,
    },
}

/// What is stopped.
#[derive(Args, Clone)]
#[group(required = true, multiple = false)]
pub struct Target {
    /// A front end, by its client id, exactly as the ledger and the tokens spell it.
    #[arg(long)]
    client: Option<String>,
    /// A customer of any front end, by its name.
    #[arg(long)]
    customer: Option<String>,
    /// A contract, by its name or id.
    #[arg(long)]
    contract: Option<String>,
}

impl Target {
    /// A contract is kept by its id: its name may change.
    async fn resolve(&self, store: &Store, tenant: domain::TenantId) -> anyhow::Result<(StopKind, String)> {
        if let Some(name) = &self.contract {
            let id = name.parse().ok();
            let rows = store.contracts(tenant).await?;
            return match rows.into_iter().find(|row| row.name == *name || Some(row.id) == id) {
                Some(row) => Ok((StopKind::Contract, row.id.to_string())),
                None => bail!("there is no contract `{name}`; `credenza contract list` shows them"),
            };
        }
        match (&self.client, &self.customer) {
            (Some(name), _) => Ok((StopKind::Client, name.clone())),
            (None, Some(name)) => Ok((StopKind::Customer, name.clone())),
            (None, None) => bail!("name one of --client, --customer and --contract"),
        }
    }
}

/// Runs one of the commands.
pub async fn run(command: StopCommand) -> anyhow::Result<ExitCode> {
    match command {
        StopCommand::Add { target, reason, installation } => {
            let (store, tenant) = installation::open_store(&installation).await?;
            let (kind, name) = target.resolve(&store, tenant).await?;
            anyhow::ensure!(!name.trim().is_empty(), "the name of the {kind} is empty");
            let stop = Stop { kind, name: name.clone(), reason, created_at: SystemClock.now() };
            let new = store.add_stop(tenant, &stop, change()).await.context("adding the stop")?;
            say(&if new {
                format!(
                    "The {kind} {name} is stopped. Running services refuse it within 5 s; `credenza stop remove` ends it."
                )
            } else {
                format!("The {kind} {name} was stopped already.")
            })?;
            Ok(ExitCode::SUCCESS)
        }
        StopCommand::Remove { target, installation } => {
            let (store, tenant) = installation::open_store(&installation).await?;
            let (kind, name) = target.resolve(&store, tenant).await?;
            let was = store
                .remove_stop(tenant, kind, &name, change(), SystemClock.now())
                .await
                .context("removing the stop")?;
            if was {
                say(&format!("The {kind} {name} may issue again within 5 s."))?;
                return Ok(ExitCode::SUCCESS);
            }
            say(&format!(
                "The {kind} {name} is not on the list. Stops under [[limits.stopped]] are removed in the configuration."
            ))?;
            Ok(ExitCode::FAILURE)
        }
        StopCommand::List { json, installation } => {
            let (store, tenant) = installation::open_store(&installation).await?;
            let stops = store.stops(tenant).await?;
            if json {
                let rows: Vec<_> = stops
                    .iter()
                    .map(|stop| {
                        json!({
                            "kind": stop.kind.name(),
                            "name": stop.name,
                            "reason": stop.reason,
                            "since": stop.created_at.to_rfc3339(),
                        })
                    })
                    .collect();
                say(&serde_json::to_string_pretty(&rows)?)?;
            } else if stops.is_empty() {
                say("Nothing is stopped.")?;
            } else {
                for stop in stops {
                    let why = stop.reason.unwrap_or_default();
                    say(&format!(
                        "{:8}  {}  {}  {why}",
                        stop.kind.name(),
                        stop.created_at.to_rfc3339(),
                        stop.name
                    ))?;
                }
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The transaction under which a change stands in the ledger.
fn change() -> TransactionId {
    TransactionId::new(Uuid::now_v7())
}
