//! `credenza doctor`: looks at everything that an issuance depends on, and says what to mend.
//!
//! Changes nothing: no table, no key, no permission. Nothing is signed.

mod database;
mod judge;
mod network;
mod published;
mod report;
mod slots;
mod vault;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use domain::key::{KeyState, SigningKey};
use domain::{BootClock, TenantId};
use signer::SystemBootClock;
use store::{Authority, Store, StoreError};

use self::database::with_causes;
use self::published::Expected;
use self::report::Report;
use self::slots::{DoctorSlots, Source};
use self::vault::Subject;
use crate::cli::{DoctorArgs, say};
use crate::installation;
use crate::keys::{self, KeyringSource};
use crate::logging::{self, Format};
use crate::vaults::Opened;
use crate::wiring::{Plan, SOFTWARE};

/// Looks at everything, prints what it found. The exit code is 1 if something failed.
pub async fn run(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    // What is found is said in the report; some libraries complain besides.
    logging::start(Format::Text, "off")?;
    let mut plan = installation::plan(&args.installation)?;
    if args.installation.config.is_none() {
        // The certificate authority of development, which nothing else trusts.
        plan.egress.extra_roots.extend(std::fs::read(args.installation.data_dir.join("ca.pem")));
    }
    let mut report = Report::default();
    examine(&mut report, plan, args.without_budget).await?;
    say(&if args.json { report.json()? } else { report.table() })?;
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the database knows of our own authority.
#[derive(Default)]
struct Known {
    authority: Option<Authority>,
    keys: Vec<SigningKey>,
    linkage: Option<String>,
}

async fn examine(report: &mut Report, plan: Plan, without_budget: bool) -> anyhow::Result<()> {
    let tenant = plan.settings.tenant;
    let store = database::check(report, &plan.database).await;
    let known = match &store {
        Ok(store) => match read(store, tenant, &plan.public_url).await {
            Ok(known) => known,
            Err(error) => {
                report.fail("database", "read", with_causes(&error), "see the database's log");
                Known::default()
            }
        },
        Err(_no_store) => Known::default(),
    };
    placement(report, &plan, &known);
    if let Ok(store) = &store {
        keyring(report, plan.keyring, store).await;
    }
    let clock: Arc<dyn BootClock> = Arc::new(SystemBootClock::new());
    let mut opened: Vec<Opened> = Vec::new();
    for vault in &plan.vaults {
        opened.push(vault.open(&clock)?);
    }
    let backends: BTreeMap<String, signer::Backend> = plan
        .vaults
        .iter()
        .zip(&opened)
        .map(|(vault, opened)| (vault.name().to_owned(), opened.backend.clone()))
        .collect();
    let source = match store {
        Ok(store) => Source::Store(store),
        Err(_no_store) if without_budget => Source::Uncounted,
        Err(why) => Source::Nowhere(why),
    };
    let slots = DoctorSlots::new(source, &backends, &clock);
    for (vault, opened) in plan.vaults.iter().zip(&opened) {
        let in_use = |key: &&SigningKey| {
            key.key.backend == vault.name()
                && matches!(key.state, KeyState::Prepared | KeyState::Published | KeyState::Active)
        };
        let keys = known.keys.iter().filter(in_use).collect();
        Subject { vault, opened, keys, slots: &slots }.check(report).await;
    }
    let egress = egress::Client::new(plan.egress)?;
    let expected = known.authority.as_ref().map(|authority| Expected {
        authority,
        keys: &known.keys,
        linkage: known.linkage.as_deref(),
    });
    published::check(report, &egress, &plan.public_url, expected.as_ref(), plan.settings.relative_ids).await;
    Ok(())
}

async fn read(store: &Store, tenant: TenantId, public_url: &url::Url) -> Result<Known, StoreError> {
    let Ok(did) = did_web::did_from_origin(public_url.as_str()) else { return Ok(Known::default()) };
    let Some(authority) = store.authorities(tenant).await?.into_iter().find(|authority| authority.did == did)
    else {
        return Ok(Known::default());
    };
    let mut keys = store.signing_keys(tenant).await?;
    keys.retain(|key| key.authority == authority.id);
    let linkage = store.domain_linkage(tenant, authority.id, &authority.origin).await?;
    let is_published = |id: &domain::KeyId| keys.iter().any(|key| key.id == *id && key.state.is_published());
    let linkage = linkage.into_iter().find(|(id, _)| is_published(id)).map(|(_, token)| token);
    Ok(Known { authority: Some(authority), keys, linkage })
}

/// Whether the key-encryption keys open what the database holds.
async fn keyring(report: &mut Report, source: KeyringSource, store: &Store) {
    // Looking makes no file.
    let source = match source {
        KeyringSource::File { path, .. } => KeyringSource::File { path, may_create: false },
        other => other,
    };
    match keys::open(&source, store).await {
        Ok(_keyring) => report.ok("keyring", "open", source.to_string()),
        Err(error) => report.fail(
            "keyring",
            "open",
            format!("{error:#}"),
            "without the key-encryption keys nothing in the database can be opened: put the file back from its backup",
        ),
    }
}

/// Whether keys are where signatures are to be made.
fn placement(report: &mut Report, plan: &Plan, known: &Known) {
    let active: Vec<&str> = known
        .keys
        .iter()
        .filter(|key| key.state == KeyState::Active)
        .map(|key| key.key.backend.as_str())
        .collect();
    let wanted = plan.settings.placement.backends();
    if known.linkage.is_none() {
        let found = format!("keys will be made in {}", wanted.join(" and "));
        report.ok("signing", "placement", found);
        return;
    }
    for name in &wanted {
        if active.contains(name) {
            report.ok("signing", "placement", format!("an active key in {name}"));
        } else {
            report.fail(
                "signing",
                "placement",
                format!("no active key in {name}; there are some in {}", active.join(" and ")),
                "a start is refused: another place is a rotation, because a key has to be published before it signs. Name \
                 the former place in [signing]",
            );
        }
    }
    if wanted.contains(&SOFTWARE) && !plan.vaults.is_empty() {
        report.warn(
            "signing",
            "placement",
            "software keys sign although there are vaults",
            "name a vault in [signing] before the first start, or remove the vaults",
        );
    }
}
