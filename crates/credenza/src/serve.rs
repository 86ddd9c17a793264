//! `credenza serve`: the service as the configuration says.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use issuer::auth::builtin::BuiltinClient;
use sha2::Digest as _;
use tokio_util::sync::CancellationToken;

use crate::cli::ServeArgs;
use crate::config::{ClientSection, Config};
use crate::ready::Ready;
use crate::server::{self, Listeners};
use crate::wiring::{self, Running};
use crate::{logging, tls};

/// Serves until a signal comes.
pub async fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let config = Config::load(&args.config.config)?;
    logging::start(config.log.format, &config.log.level).context("log.level")?;
    let running = Running::open(wiring::plan(&config)?).await?;
    if let Some(section) = &config.tokens.builtin {
        check_secrets(&running.issuer.store, &section.clients).await?;
    }
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
        (Some(certificate), Some(key)) => {
            Listeners { plain: None, tls: Some((config.listen.public, tls::from_files(certificate, key)?)) }
        }
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

/// Refuses clients with a secret that everybody tries first. Trying costs as much as every login, so it is done once for
/// each hash, and the database remembers which ones passed.
async fn check_secrets(store: &store::Store, clients: &[ClientSection]) -> anyhow::Result<()> {
    let passed = store.settings().await?;
    for client in clients {
        let digest = sha2::Sha256::digest(client.secret_hash.as_bytes());
        let name = format!("secret-checked:{}", URL_SAFE_NO_PAD.encode(digest));
        if passed.iter().any(|(known, _)| *known == name) {
            continue;
        }
        if let Some(known) = client.known_secret() {
            bail!(
                "tokens.builtin client `{}` has the secret `{known}`, which everybody tries first. Make a random one and \
                 hash it with `credenza hash-secret`",
                client.id
            );
        }
        store.setting_or_insert(&name, "1").await?;
    }
    Ok(())
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
        authority_did: issuer.own_authority().map(|entry| entry.authority.did.to_string()),
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use issuer::auth::builtin::hash_secret;

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn secrets_that_everybody_tries_are_refused_and_each_hash_is_tried_once() {
        let directory = tempfile::tempdir().unwrap();
        let url = store::DatabaseUrl::Sqlite(directory.path().join("credenza.db"));
        let store = store::Store::open(&url, Arc::new(SystemClock)).await.unwrap();
        let client = |secret: &str| ClientSection {
            id: "web".to_owned(),
            secret_hash: hash_secret(secret).unwrap(),
            roles: None,
        };
        let message = check_secrets(&store, &[client("changeme")]).await.unwrap_err().to_string();
        assert!(message.contains("which everybody tries first"), "{message}");
        assert_eq!(store.settings().await.unwrap(), [], "what was refused is tried again");
        let good = [client("a secret of our own, long enough")];
        check_secrets(&store, &good).await.unwrap();
        check_secrets(&store, &good).await.unwrap();
        let remembered = store.settings().await.unwrap();
        assert_eq!(remembered.len(), 1);
        assert!(!remembered[0].0.contains(&good[0].secret_hash));
        // A hash that is remembered is not tried again: with the mark, even a known secret passes.
        let known = client("password");
        let digest = sha2::Sha256::digest(known.secret_hash.as_bytes());
        let name = format!("secret-checked:{}", URL_SAFE_NO_PAD.encode(digest));
        store.setting_or_insert(&name, "1").await.unwrap();
        check_secrets(&store, &[known]).await.unwrap();
    }
}
