//! An installation, by its configuration or by its data directory: what it is made of, or its database alone.

use anyhow::{Context as _, ensure};
use domain::TenantId;
use store::Store;
use url::Url;

use crate::cli::Installation;
use crate::config::Config;
use crate::vaults::DeveloperVault;
use crate::wiring::Plan;
use crate::{dev, wiring};

/// Opens it; gives the tenant too.
pub async fn open_store(installation: &Installation) -> anyhow::Result<(Store, TenantId)> {
    if let Some(path) = &installation.config {
        let config = Config::load(path)?;
        return Ok((wiring::open_store(&config).await?, config.service.tenant_id));
    }
    let data_dir = &installation.data_dir;
    let database = dev::database(data_dir, None)?;
    if let store::DatabaseUrl::Sqlite(file) = &database {
        ensure!(
            file.exists(),
            "{} is no data directory of `credenza dev`: the database {} is not there. Name one with --data-dir or --config",
            data_dir.display(),
            file.display()
        );
    }
    let clock = std::sync::Arc::new(crate::clock::SystemClock);
    let store = Store::open(&database, clock).await.context("opening the database")?;
    Ok((store, dev::tenant()?))
}

/// What it is made of.
pub fn plan(installation: &Installation) -> anyhow::Result<Plan> {
    if let Some(path) = &installation.config {
        return wiring::plan(&Config::load(path)?);
    }
    let data_dir = &installation.data_dir;
    let origin = std::fs::read_to_string(data_dir.join(dev::ORIGIN_FILE)).with_context(|| {
        format!(
            "{} is no data directory of `credenza dev`; name one with --data-dir or --config",
            data_dir.display()
        )
    })?;
    let database = dev::database(data_dir, None)?;
    if let store::DatabaseUrl::Sqlite(file) = &database {
        ensure!(
            file.exists(),
            "the database {} of the data directory {} is not there: start `credenza dev` with this directory first",
            file.display(),
            data_dir.display()
        );
    }
    let plan = dev::plan(data_dir, database, Url::parse(&origin)?, 300)?;
    match DeveloperVault::remembered(data_dir)? {
        Some(vault) => plan.in_vault(&vault),
        None => Ok(plan),
    }
}
