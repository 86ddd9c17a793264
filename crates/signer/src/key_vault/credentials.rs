//! Where a vault's tokens come from: the official credentials, one at a time.
//!
//! Owns the way from a [`VaultCredential`] to a token. It must not keep tokens: each call makes the official
//! credential anew, because they keep theirs until five minutes before the end and could not be renewed early.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::http::{ClientOptions, RetryOptions, Transport};
use azure_identity::{
    ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions,
    DeveloperToolsCredential, ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId,
    WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use domain::Timestamp;
use reqwest::Client;
use url::Url;
use zeroize::Zeroizing;

use super::config::{KeyVaultConfig, VaultCredential};
use super::tokens::{Issued, NoToken, TokenSource};
use super::transport::{Seen, TokenTransport};
use crate::error::TokenProblem;

/// The year 9999: a static token has no end.
const NEVER: Timestamp = Timestamp::from_seconds(253_370_764_800);

/// One of the official credentials, or a fixed token.
pub(super) struct OfficialCredential {
    credential: VaultCredential,
    authority_host: Option<Url>,
    scope: String,
    client: Client,
    limit: std::time::Duration,
}

impl fmt::Debug for OfficialCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OfficialCredential").field(&self.credential).finish()
    }
}

impl OfficialCredential {
    pub(super) fn new(config: &KeyVaultConfig, client: Client) -> Self {
        Self {
            credential: config.credential.clone(),
            authority_host: config.authority_host.clone(),
            // Without a slash between: a vault refuses tokens whose audience ends in one.
            scope: format!("{}/.default", config.resource()),
            client,
            limit: config.timeouts.token,
        }
    }

    fn options(&self, transport: &Arc<TokenTransport>) -> ClientOptions {
        let cloud = self.authority_host.as_ref().map(|host| {
            let mut custom = CustomConfiguration::default();
            custom.authority_host = host.as_str().to_owned();
            Arc::new(CloudConfiguration::Custom(custom))
        });
        ClientOptions {
            transport: Some(Transport::with_policy(transport.clone())),
            retry: RetryOptions::none(),
            cloud,
            ..ClientOptions::default()
        }
    }

    fn open(&self, transport: &Arc<TokenTransport>) -> azure_core::Result<Arc<dyn TokenCredential>> {
        Ok(match &self.credential {
            VaultCredential::ManagedIdentity { client_id } => {
                ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
                    user_assigned_id: client_id.clone().map(UserAssignedId::ClientId),
                    client_options: self.options(transport),
                }))?
            }
            VaultCredential::WorkloadIdentity { tenant_id, client_id, token_file } => {
                WorkloadIdentityCredential::new(Some(WorkloadIdentityCredentialOptions {
                    credential_options: ClientAssertionCredentialOptions {
                        client_options: self.options(transport),
                    },
                    client_id: client_id.clone(),
                    tenant_id: tenant_id.clone(),
                    token_file_path: token_file.clone(),
                }))?
            }
            VaultCredential::ClientSecret { tenant_id, client_id, secret } => ClientSecretCredential::new(
                tenant_id,
                client_id.clone(),
                Secret::new(secret.as_str().to_owned()),
                Some(ClientSecretCredentialOptions { client_options: self.options(transport) }),
            )?,
            VaultCredential::DeveloperTools => DeveloperToolsCredential::new(None)?,
            VaultCredential::StaticToken(_) => {
                let kind = azure_core::error::ErrorKind::Credential;
                return Err(azure_core::Error::with_message(kind, "a fixed token needs no credential"));
            }
        })
    }
}

#[async_trait]
impl TokenSource for OfficialCredential {
    async fn issue(&self) -> Result<Issued, NoToken> {
        if let VaultCredential::StaticToken(token) = &self.credential {
            return Ok(Issued { secret: token.clone(), expires_at: NEVER });
        }
        let transport = TokenTransport::new(self.client.clone(), self.limit);
        let none = |source: azure_core::Error, why| NoToken { why, source: Arc::new(source) };
        let credential = self.open(&transport).map_err(|source| none(source, TokenProblem::Credential))?;
        let asked = tokio::time::timeout(self.limit, credential.get_token(&[&self.scope], None)).await;
        let Ok(answer) = asked else {
            return Err(NoToken { why: TokenProblem::Unavailable, source: Arc::new(NoAnswer) });
        };
        let token = answer.map_err(|source| match transport.seen() {
            // What the transport saw says more than the SDK's error, which has no kinds.
            Some(Seen::Failed(kind)) => NoToken { why: TokenProblem::Unavailable, source: Arc::new(kind) },
            Some(Seen::Status(408 | 429 | 500..=599)) => none(source, TokenProblem::Unavailable),
            Some(Seen::Status(_)) => none(source, TokenProblem::Refused),
            None => none(source, TokenProblem::Credential),
        })?;
        Ok(Issued {
            secret: Zeroizing::new(token.token.secret().to_owned()),
            expires_at: Timestamp::from_seconds(token.expires_on.unix_timestamp()),
        })
    }
}

/// The endpoint, or the tool, did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("no token came in time")]
struct NoAnswer;
