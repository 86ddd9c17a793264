//! `credenza serve`: the service as the configuration says.

use std::process::ExitCode;

use anyhow::Context as _;
use issuer::auth::builtin::BuiltinClient;
use tokio_util::sync::CancellationToken;

use crate::cli::ServeArgs;
use crate::config::Config;
use crate::ready::Ready;
use crate::server::{self, Listeners};
use crate::wiring::{self, Running};
use crate::{logging, tls};

/// Serves until a signal comes.
pub async fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let config = Config::load(&args.config.config)?;
    logging::start(config.log.format, &config.log.level).context("log.level")?;
    let running = Running::open(wiring::plan(&config)?).await?;
    running.set_up(&config.authority.name, config.authority.algorithm).await?;
    let issuer = &running.issuer;
    if issuer.directory.snapshot().contracts().is_empty() {
        tracing::warn!("no contract is applied yet: `credenza contract apply FILE --config …` does it");
    }
    let trusted = config
        .tokens
        .issuers
        .iter()
        .map(|section| section.trusted(config.service.tenant_id))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let tokens = match &config.tokens.builtin {
        Some(section) => {
            let clients = section
                .clients
                .iter()
                .map(|client| {
                    let mut known = BuiltinClient::new(&client.id, &client.secret_hash);
                    if let Some(roles) = &client.roles {
                        known.roles.clone_from(roles);
                    }
                    known
                })
                .collect();
            Some(wiring::token_issuer(issuer, &config.service.public_url, clients).await?)
        }
        None => None,
    };
    let stopping = CancellationToken::new();
    let ready = ready(&config, &running, tokens.as_deref());
    let service = wiring::service(&running, trusted, tokens, None, stopping);
    let listeners = match (&config.listen.certificate, &config.listen.private_key) {
        (Some(certificate), Some(key)) => Listeners {
            plain: None,
            tls: Some((config.listen.public, tls::from_files(certificate, key)?)),
        },
        _ => Listeners { plain: Some(config.listen.public), tls: None },
    };
    server::run(listeners, service, running, || {
        tracing::info!(address = %config.listen.public, public_url = %config.service.public_url, "ready");
        match &args.ready_file {
            Some(file) => ready.write(file),
            None => Ok(()),
        }
    })
    .await?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

fn ready(config: &Config, running: &Running, tokens: Option<&issuer::auth::BuiltinIssuer>) -> Ready {
    let issuer = &running.issuer;
    let directory = issuer.directory.snapshot();
    let with_tls = config.listen.certificate.is_some();
    let here = config.listen.public;
    Ready {
        http: (!with_tls).then(|| format!("http://{here}")),
        https: with_tls.then(|| format!("https://{here}")),
        public_url: issuer.urls.base().to_owned(),
        admin_url: None,
        tenant_id: config.service.tenant_id.to_string(),
        authority_did: directory.authorities().next().map(|entry| entry.authority.did.to_string()),
        manifest_url: directory
            .contracts()
            .into_iter()
            .find(|entry| entry.contract.accepts_pin())
            .map(|entry| issuer.urls.manifest(entry.row.id)),
        client_id: None,
        client_secret: None,
        ca_file: None,
        token_url: tokens.map(issuer::auth::BuiltinIssuer::token_endpoint),
    }
}
