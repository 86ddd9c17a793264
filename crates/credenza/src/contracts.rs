//! `credenza contract …`: the same use cases as the service, from the shell.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use domain::contract::{Contract, Finding, Severity};
use issuer::usecase::contract::ApplyError;
use store::ContractRow;

use crate::cli::{ContractCommand, Installation, say};
use crate::config::Config;
use crate::installation;
use crate::logging::{self, Format};
use crate::wiring::Running;

/// Runs one of the commands.
pub async fn run(command: ContractCommand) -> anyhow::Result<ExitCode> {
    match command {
        ContractCommand::Validate { files } => {
            let mut good = true;
            for file in &files {
                good &= validate(file)?;
            }
            Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        ContractCommand::Apply { files, installation } => {
            let (running, name, algorithm) = open(&installation).await?;
            let authority = running.set_up(&name, algorithm).await?;
            for file in &files {
                let text = read(file)?;
                let applied = running
                    .issuer
                    .apply_contract(authority, &text)
                    .await
                    .map_err(explain)
                    .with_context(|| format!("applying {}", file.display()))?;
                let what = if applied.changed { "applied and signed as" } else { "unchanged, still" };
                say(&format!("{}: {what} version {} of {}", file.display(), applied.version, applied.id))?;
                say(&format!("  manifest {}", running.issuer.urls.manifest(applied.id)))?;
            }
            running.stop().await;
            Ok(ExitCode::SUCCESS)
        }
        ContractCommand::List { installation } => {
            let (running, ..) = open(&installation).await?;
            let tenant = running.issuer.settings.tenant;
            for row in running.issuer.store.contracts(tenant).await? {
                let applied = row.applied_at.to_rfc3339();
                say(&format!(
                    "{}  version {}  {}  {}  {applied}",
                    row.id, row.version, row.status, row.name
                ))?;
            }
            running.stop().await;
            Ok(ExitCode::SUCCESS)
        }
        ContractCommand::Show { contract, contract_version: version, installation } => {
            let (running, ..) = open(&installation).await?;
            let row = find(&running, &contract, version).await;
            running.stop().await;
            say(row?.document.trim_end())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn find(running: &Running, name_or_id: &str, version: Option<i64>) -> anyhow::Result<ContractRow> {
    let (store, tenant) = (&running.issuer.store, running.issuer.settings.tenant);
    let rows = store.contracts(tenant).await?;
    let id = name_or_id.parse().ok();
    let Some(row) = rows.into_iter().find(|row| row.name == name_or_id || Some(row.id) == id) else {
        bail!("there is no contract `{name_or_id}`; `credenza contract list` shows them");
    };
    match version {
        None => Ok(row),
        Some(version) => store.contract_version(tenant, row.id, version).await?.with_context(|| {
            format!("`{name_or_id}` has no version {version}; the current one is {}", row.version)
        }),
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))
}

fn validate(file: &Path) -> anyhow::Result<bool> {
    let name = file.display();
    let contract = match Contract::parse(&read(file)?) {
        Ok(contract) => contract,
        Err(findings) => {
            say(&format!("{name}: not valid"))?;
            print(&findings)?;
            return Ok(false);
        }
    };
    let issuable = contract.check_issuable();
    say(&format!(
        "{name}: {}",
        if issuable.is_ok() { "valid" } else { "valid, but it cannot be issued yet" }
    ))?;
    print(issuable.as_ref().err().map_or(&[], Vec::as_slice))?;
    print(&contract.advise())?;
    Ok(issuable.is_ok())
}

fn print(findings: &[Finding]) -> anyhow::Result<()> {
    for finding in findings {
        let kind = match finding.severity {
            Severity::Error => "error ",
            Severity::Advice => "advice",
        };
        say(&format!("  {kind} {}: {}", finding.path, finding.message))?;
    }
    Ok(())
}

/// An error of applying with everything that a person needs to mend it.
pub fn explain(error: ApplyError) -> anyhow::Error {
    match error {
        ApplyError::Invalid(findings) => {
            let lines: Vec<String> =
                findings.iter().map(|finding| format!("{}: {}", finding.path, finding.message)).collect();
            anyhow::anyhow!("the contract is not valid:\n    {}", lines.join("\n    "))
        }
        other => other.into(),
    }
}

async fn open(installation: &Installation) -> anyhow::Result<(Running, String, domain::SignatureAlgorithm)> {
    logging::start(Format::Text, "warn")?;
    let plan = installation::plan(installation)?;
    let (name, algorithm) = match &installation.config {
        Some(path) => {
            let authority = Config::load(path)?.authority;
            (authority.name, authority.algorithm)
        }
        None => ("Credenza Demo".to_owned(), domain::SignatureAlgorithm::Es256),
    };
    Ok((Running::open(plan).await?, name, algorithm))
}
