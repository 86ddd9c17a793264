//! What `doctor` asks a vault: which operations our identity may do, what the vault challenges for, how its clock goes.
//!
//! Owns questions that change nothing and sign nothing. A vault judges permissions before it looks for the object
//! (authorised answers carry the role assignment even when they are 404), so each question is asked about something that
//! is not there: "not found" or "wrong" means permitted, "forbidden" means not. Each is one operation for the budget.
//!
//! Permissions that were granted on one key alone are seen where the question names that key (get, sign, update); those
//! for creating, listing and backing up are asked of the vault as a whole.

use std::time::{Duration, Instant};

use azure_core::http::pager::PagerOptions;
use azure_core::time::parse_rfc7231;
use azure_security_keyvault_keys::models::{
    CreateKeyParameters, KeyClientBackupKeyOptions, KeyClientCreateKeyOptions,
    KeyClientListKeyPropertiesOptions, KeyClientSignOptions, KeyClientUpdateKeyPropertiesOptions, KeyType,
    UpdateKeyPropertiesParameters,
};
use domain::{Digest, KeyRef, SignatureAlgorithm, Timestamp};
use futures_util::TryStreamExt;

use super::exchange::{Allowance, Outcome};
use super::transport::while_open;
use super::{API_VERSION, KeyVaultBackend, answer, context, http, method_options, parameters};
use crate::backend::is_valid_slot;
use crate::budget::Operations;
use crate::error::{Denial, SignError, SignErrorKind};

/// Something that an identity may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Read a key's public half and state.
    Get,
    /// List keys.
    List,
    /// Sign.
    Sign,
    /// Make keys. Not for an identity that signs.
    Create,
    /// Disable keys and change their attributes. Not for an identity that signs.
    Update,
    /// Take a copy of a key out, which any vault of the same subscription and geography can restore. Not for anybody.
    Backup,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Get, Self::List, Self::Sign, Self::Create, Self::Update, Self::Backup];

    /// Its name in access policies, which is also how the tools of the vault print it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Sign => "sign",
            Self::Create => "create",
            Self::Update => "update",
            Self::Backup => "backup",
        }
    }

    /// The data action that grants it in a role (Azure RBAC).
    #[must_use]
    pub const fn data_action(self) -> &'static str {
        match self {
            Self::Get | Self::List => "Microsoft.KeyVault/vaults/keys/read",
            Self::Sign => "Microsoft.KeyVault/vaults/keys/sign/action",
            Self::Create => "Microsoft.KeyVault/vaults/keys/create/action",
            Self::Update => "Microsoft.KeyVault/vaults/keys/update/action",
            Self::Backup => "Microsoft.KeyVault/vaults/keys/backup/action",
        }
    }
}

/// What was found out about an operation.
#[derive(Debug)]
pub enum Permission {
    /// Our identity may do it.
    Permitted,
    /// It may not.
    Denied(Denial),
    /// The vault did not say, for this reason.
    Unknown(SignError),
}

/// What a vault asks of a caller without token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The HTTP status; 401 from a vault.
    pub status: u16,
    /// For which resource it wants a token.
    pub resource: Option<String>,
    /// Where it says that tokens come from.
    pub authorization: Option<String>,
    /// For which resource the configuration gets tokens.
    pub configured_resource: String,
    /// The vault's clock, in whole seconds.
    pub vault_time: Option<Timestamp>,
    /// From request to answer, connection included.
    pub latency: Duration,
}

/// Made by nobody: a vault's versions are random.
const NO_VERSION: &str = "00000000000000000000000000000000";

impl KeyVaultBackend {
    /// Whether our identity may do something. `key` is the one to ask about where the question names a key.
    pub async fn permission(&self, operation: Operation, key: &KeyRef) -> Permission {
        let answer = match operation {
            Operation::Get => self.describe(key).await.map(|_description| ()),
            Operation::List => self.try_list().await,
            Operation::Sign => self.try_sign(key).await,
            Operation::Create => self.try_create().await,
            Operation::Update => self.try_update(key).await,
            Operation::Backup => self.try_backup().await,
        };
        match answer {
            Ok(()) => Permission::Permitted,
            Err(error) => match error.kind() {
                // A key of another kind was read all the same.
                SignErrorKind::KeyNotFound
                | SignErrorKind::InvalidRequest
                | SignErrorKind::KeyDisabled
                | SignErrorKind::UnsupportedKey { .. }
                    if error.answered() =>
                {
                    Permission::Permitted
                }
                SignErrorKind::Forbidden { by: by @ (Denial::Role | Denial::Policy | Denial::Unknown) } => {
                    Permission::Denied(*by)
                }
                _ => Permission::Unknown(error),
            },
        }
    }

    async fn try_list(&self) -> Result<(), SignError> {
        let exchange = self.admin_exchange(Allowance::Once, Operations::Sign);
        let options = KeyClientListKeyPropertiesOptions {
            maxresults: Some(1),
            method_options: PagerOptions { context: context(&exchange), ..PagerOptions::default() },
        };
        // The first item needs the first page only.
        let first = match self.client.list_key_properties(Some(options)) {
            Ok(mut pager) => pager.try_next().await.map(|_item| ()),
            Err(source) => Err(source),
        };
        match (exchange.outcome(), first) {
            (Outcome::Failed(error), _) if !matches!(error.kind(), SignErrorKind::PermitSpent) => Err(error),
            // An empty first page makes the pager want the second one, which it does not get.
            (Outcome::Failed(_) | Outcome::Answered(_), _) | (Outcome::Open, Ok(())) => Ok(()),
            (Outcome::Open, Err(source)) => {
                Err(SignErrorKind::Unavailable { may_have_signed: false, source: source.into() }.into())
            }
        }
    }

    async fn try_sign(&self, key: &KeyRef) -> Result<(), SignError> {
        let exchange = self.admin_exchange(Allowance::Once, Operations::Sign);
        let digest = Digest::Sha256([0; 32]);
        let body = parameters(SignatureAlgorithm::Es256, &digest).ok_or(SignErrorKind::InvalidRequest)?;
        let body = body.try_into().map_err(|_source: azure_core::Error| SignErrorKind::InvalidRequest)?;
        let options = KeyClientSignOptions {
            key_version: Some(NO_VERSION.to_owned()),
            method_options: method_options(&exchange),
        };
        let name = self.name_of(key)?;
        let answer = self.call(&exchange, self.client.sign(name, body, Some(options))).await;
        answer.map(|_answer| ())
    }

    async fn try_update(&self, key: &KeyRef) -> Result<(), SignError> {
        let exchange = self.admin_exchange(Allowance::Once, Operations::Sign);
        let body = UpdateKeyPropertiesParameters::default();
        let body = body.try_into().map_err(|_source: azure_core::Error| SignErrorKind::InvalidRequest)?;
        let options = KeyClientUpdateKeyPropertiesOptions {
            key_version: Some(NO_VERSION.to_owned()),
            method_options: method_options(&exchange),
        };
        let name = self.name_of(key)?;
        let answer = self.call(&exchange, self.client.update_key_properties(name, body, Some(options))).await;
        answer.map(|_answer| ())
    }

    async fn try_create(&self) -> Result<(), SignError> {
        let exchange = self.admin_exchange(Allowance::Once, Operations::CreateKey);
        let body = CreateKeyParameters {
            // No such type: nothing is made.
            kty: Some(KeyType::UnknownValue("none".to_owned())),
            ..CreateKeyParameters::default()
        };
        let body = body.try_into().map_err(|_source: azure_core::Error| SignErrorKind::InvalidRequest)?;
        let options = KeyClientCreateKeyOptions { method_options: method_options(&exchange) };
        let answer = self.call(&exchange, self.client.create_key(&nobody(), body, Some(options))).await;
        answer.map(|_answer| ())
    }

    async fn try_backup(&self) -> Result<(), SignError> {
        let exchange = self.admin_exchange(Allowance::Once, Operations::Sign);
        let options = KeyClientBackupKeyOptions { method_options: method_options(&exchange) };
        let answer = self.call(&exchange, self.client.backup_key(&nobody(), Some(options))).await;
        answer.map(|_answer| ())
    }

    fn name_of<'a>(&self, key: &'a KeyRef) -> Result<&'a str, SignErrorKind> {
        if key.backend == self.name && is_valid_slot(&key.name) {
            Ok(&key.name)
        } else {
            Err(SignErrorKind::KeyNotFound)
        }
    }

    /// Asks without a token, to see what the vault wants. One operation for the budget: nobody documents that a refused
    /// one is not counted.
    ///
    /// # Errors
    /// [`SignError`] if the vault cannot be reached: TLS and DNS failures with their cause.
    pub async fn challenge(&self) -> Result<Challenge, SignError> {
        let mut url = self.url.clone();
        url.set_path("/keys");
        url.set_query(Some(&format!("api-version={API_VERSION}")));
        let exchange = self.admin_exchange(Allowance::Once, Operations::Sign);
        if !exchange.take() {
            return Err(SignErrorKind::PermitSpent.into());
        }
        let started = Instant::now();
        let asked = self.http.get(url).timeout(exchange.gate.left()).send();
        let response = while_open(&exchange.gate, asked)
            .await?
            .map_err(|error| SignError::from(http::failure(error, false)))?;
        let latency = started.elapsed();
        let receipt = answer::receipt(response.status().as_u16(), &http::headers(response.headers()));
        exchange.record(Outcome::Answered(receipt));
        let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let challenge = text("www-authenticate").unwrap_or_default();
        let vault_time = text("date").and_then(|date| parse_rfc7231(date).ok());
        Ok(Challenge {
            status: response.status().as_u16(),
            resource: member(challenge, "resource")
                .or_else(|| member(challenge, "scope"))
                .map(|resource| resource.trim_end_matches("/.default").to_owned()),
            authorization: member(challenge, "authorization").map(str::to_owned),
            configured_resource: self.resource.clone(),
            vault_time: vault_time.map(|at| Timestamp::from_seconds(at.unix_timestamp())),
            latency,
        })
    }
}

/// A key's name that no one has.
fn nobody() -> String {
    format!("credenza-doctor-{}", uuid::Uuid::new_v4())
}

/// A quoted parameter of a challenge (RFC 9110, section 11.2).
fn member<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    let (_scheme, parameters) = challenge.split_once(' ')?;
    parameters.split(',').find_map(|parameter| {
        let (found, value) = parameter.trim().split_once('=')?;
        let value = value.trim().strip_prefix('"')?.strip_suffix('"')?;
        found.trim().eq_ignore_ascii_case(name).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_members_of_a_challenge() {
        let text = r#"Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net""#;
        assert_eq!(member(text, "resource"), Some("https://vault.azure.net"));
        assert_eq!(member(text, "authorization"), Some("https://login.microsoftonline.com/t"));
        assert_eq!(member(text, "scope"), None);
        assert_eq!(member("Bearer", "resource"), None);
        assert_eq!(member("Bearer resource=unquoted", "resource"), None);
    }

    proptest! {
        #[test]
        fn arbitrary_challenges_do_not_panic(text in ".{0,200}") {
            prop_assert!(member(&text, "resource").is_none_or(|found| text.contains(found)));
        }
    }
}
