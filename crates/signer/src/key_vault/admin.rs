//! Making, reading, listing and disabling keys in a vault.
//!
//! Owns which key a slot has and how long a public key is believed. It must not delete: a key that signed something is
//! disabled, and a deleted name stays taken for weeks.

use async_trait::async_trait;
use azure_core::http::pager::PagerOptions;
use azure_security_keyvault_keys::models::{
    CreateKeyParameters, CurveName, KeyAttributes, KeyClientCreateKeyOptions, KeyClientGetKeyOptions,
    KeyClientListKeyPropertiesOptions, KeyClientListKeyPropertiesVersionsOptions,
    KeyClientUpdateKeyPropertiesOptions, KeyOperation, KeyProperties, KeyType, UpdateKeyPropertiesParameters,
};
use domain::key::EcPoint;
use domain::{KeyRef, SignatureAlgorithm, Timestamp};
use futures_util::{Stream, TryStreamExt};

use super::config::Protection;
use super::exchange::{Allowance, Exchange, Outcome};
use super::{KeyDescription, KeyVaultBackend, context, keys, malformed, method_options};
use crate::backend::{CreatedKey, KeyAdmin, ListedKey, is_valid_slot};
use crate::budget::Operations;
use crate::error::{SignError, SignErrorKind};

impl KeyVaultBackend {
    /// Reads a key version from the vault, whatever was read before. One operation for the budget.
    ///
    /// # Errors
    /// Any [`SignError`]; a key of a type or curve with which this service does not sign is named.
    pub async fn describe(&self, key: &KeyRef) -> Result<KeyDescription, SignError> {
        self.check(key)?;
        self.read(&key.name, Some(&key.version)).await
    }

    /// Reads the current version of a slot's key. One operation for the budget.
    ///
    /// # Errors
    /// As for [`KeyVaultBackend::describe`].
    pub async fn describe_current(&self, slot: &str) -> Result<KeyDescription, SignError> {
        if !is_valid_slot(slot) {
            return Err(SignErrorKind::InvalidSlot.into());
        }
        self.read(slot, None).await
    }

    async fn read(&self, name: &str, version: Option<&str>) -> Result<KeyDescription, SignError> {
        let exchange = self.admin_exchange(Allowance::Once, Operations::Sign);
        let options = KeyClientGetKeyOptions {
            key_version: version.map(str::to_owned),
            method_options: method_options(&exchange),
        };
        let (bundle, receipt) = self.call(&exchange, self.client.get_key(name, Some(options))).await?;
        let description = keys::read(bundle, &self.name, &self.url, name, version, receipt.clone())
            .map_err(|kind| SignError::answered_with(kind, receipt))?;
        self.learn(&description);
        Ok(description)
    }

    /// The version that is a slot's key: the oldest one. Others come into being when two make the slot's key at the
    /// same time, or when somebody rotates in the vault, and must not change who signs.
    async fn settle(&self, newest: KeyDescription) -> Result<KeyDescription, SignError> {
        let versions = match self.versions(&newest.key.name).await {
            Ok(versions) => versions,
            // An identity that may get and create but not list: the current version it is.
            Err(error) if matches!(error.kind(), SignErrorKind::Forbidden { .. }) => return Ok(newest),
            Err(error) => return Err(error),
        };
        let oldest =
            versions.into_iter().min_by(|a, b| (a.created, &a.version).cmp(&(b.created, &b.version)));
        match oldest {
            Some(oldest) if oldest.version != newest.key.version => {
                self.read(&newest.key.name, Some(&oldest.version)).await
            }
            Some(_) | None => Ok(newest),
        }
    }

    async fn make(&self, slot: &str, algorithm: SignatureAlgorithm) -> Result<KeyDescription, SignError> {
        let exchange = self.admin_exchange(Allowance::Once, Operations::CreateKey);
        let parameters = CreateKeyParameters {
            kty: Some(match self.protection {
                Protection::Hsm => KeyType::EcHsm,
                Protection::Software => KeyType::Ec,
            }),
            curve: Some(match algorithm {
                SignatureAlgorithm::Es256 => CurveName::P256,
                SignatureAlgorithm::Es256k => CurveName::P256K,
                SignatureAlgorithm::Es384 => CurveName::P384,
            }),
            key_ops: Some(vec![KeyOperation::Sign, KeyOperation::Verify]),
            ..CreateKeyParameters::default()
        };
        let parameters =
            parameters.try_into().map_err(|_source: azure_core::Error| SignErrorKind::InvalidRequest)?;
        let options = KeyClientCreateKeyOptions { method_options: method_options(&exchange) };
        let call = self.client.create_key(slot, parameters, Some(options));
        let (bundle, receipt) = self.call(&exchange, call).await?;
        let description = keys::read(bundle, &self.name, &self.url, slot, None, receipt.clone())
            .map_err(|kind| SignError::answered_with(kind, receipt))?;
        self.learn(&description);
        Ok(description)
    }

    /// All versions of a key. One operation for the budget per page of 25.
    async fn versions(&self, name: &str) -> Result<Vec<Version>, SignError> {
        let exchange = self.admin_exchange(Allowance::Pages, Operations::Sign);
        let options = KeyClientListKeyPropertiesVersionsOptions {
            method_options: PagerOptions { context: context(&exchange), ..PagerOptions::default() },
            ..KeyClientListKeyPropertiesVersionsOptions::default()
        };
        let pager = self.client.list_key_properties_versions(name, Some(options));
        let mut versions = Vec::new();
        for item in all(&exchange, pager).await? {
            let id = item.kid.as_deref().and_then(|kid| keys::locate(kid, &self.url));
            let Some((_, Some(version))) = id.filter(|(found, _)| found.eq_ignore_ascii_case(name)) else {
                continue;
            };
            if !keys::is_version(&version) {
                continue;
            }
            let attributes = item.attributes.unwrap_or_default();
            versions.push(Version {
                version,
                enabled: attributes.enabled.unwrap_or(true),
                created: attributes.created.map(|at| Timestamp::from_seconds(at.unix_timestamp())),
            });
        }
        Ok(versions)
    }

    /// The names of all keys. One operation for the budget per page of 25.
    async fn names(&self) -> Result<Vec<String>, SignError> {
        let exchange = self.admin_exchange(Allowance::Pages, Operations::Sign);
        let options = KeyClientListKeyPropertiesOptions {
            method_options: PagerOptions { context: context(&exchange), ..PagerOptions::default() },
            ..KeyClientListKeyPropertiesOptions::default()
        };
        let pager = self.client.list_key_properties(Some(options));
        let items = all(&exchange, pager).await?;
        let mut names: Vec<String> = items
            .iter()
            .filter_map(|item| keys::locate(item.kid.as_deref()?, &self.url))
            .map(|(name, _)| name)
            .filter(|name| is_valid_slot(name))
            .collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// What was read within the time for which it is believed.
    fn fresh(&self, key: &KeyRef) -> Option<super::Known> {
        self.known(key).filter(|known| self.clock.now().since(known.seen_at) < self.public_key_ttl)
    }
}

/// A version as a list shows it.
struct Version {
    version: String,
    enabled: bool,
    created: Option<Timestamp>,
}

/// All items of all pages.
async fn all<S>(exchange: &Exchange, pager: azure_core::Result<S>) -> Result<Vec<KeyProperties>, SignError>
where
    S: Stream<Item = azure_core::Result<KeyProperties>> + Send + Unpin,
{
    let items = match pager {
        Ok(pager) => pager.try_collect().await,
        Err(source) => Err(source),
    };
    match (items, exchange.outcome()) {
        (_, Outcome::Failed(error)) => Err(error),
        (Ok(items), _) => Ok(items),
        (Err(_source), Outcome::Answered(receipt)) => Err(malformed(receipt)),
        (Err(source), Outcome::Open) => {
            Err(SignErrorKind::Unavailable { may_have_signed: false, source: source.into() }.into())
        }
    }
}

fn created(description: KeyDescription, algorithm: SignatureAlgorithm) -> Result<CreatedKey, SignError> {
    if description.algorithm != algorithm {
        return Err(SignErrorKind::AlgorithmMismatch { actual: description.algorithm }.into());
    }
    Ok(CreatedKey { key: description.key, algorithm, public: description.public })
}

#[async_trait]
impl KeyAdmin for KeyVaultBackend {
    async fn create_key(&self, slot: &str, algorithm: SignatureAlgorithm) -> Result<CreatedKey, SignError> {
        let newest = match self.describe_current(slot).await {
            Err(error) if matches!(error.kind(), SignErrorKind::KeyNotFound) => {
                self.make(slot, algorithm).await?
            }
            found => found?,
        };
        created(self.settle(newest).await?, algorithm)
    }

    async fn public_key(&self, key: &KeyRef) -> Result<EcPoint, SignError> {
        self.check(key)?;
        match self.fresh(key) {
            Some(known) => Ok(known.public),
            None => self.describe(key).await.map(|description| description.public),
        }
    }

    async fn list_keys(&self) -> Result<Vec<ListedKey>, SignError> {
        let mut listed = Vec::new();
        for name in self.names().await? {
            let mut versions = match self.versions(&name).await {
                // Deleted since it was listed.
                Err(error) if matches!(error.kind(), SignErrorKind::KeyNotFound) => continue,
                versions => versions?,
            };
            versions.sort_unstable_by(|a, b| a.version.cmp(&b.version));
            for Version { version, enabled, .. } in versions {
                let key = KeyRef { backend: self.name.clone(), name: name.clone(), version };
                // A public key never changes; only its state does, which the list tells.
                let known = match self.known(&key) {
                    Some(known) => (known.algorithm, known.public),
                    None => match self.describe(&key).await {
                        Ok(read) => (read.algorithm, read.public),
                        Err(error) if is_not_ours(error.kind()) => continue,
                        Err(error) => return Err(error),
                    },
                };
                listed.push(ListedKey { key, algorithm: known.0, public: known.1, disabled: !enabled });
            }
        }
        Ok(listed)
    }

    async fn disable(&self, key: &KeyRef) -> Result<(), SignError> {
        self.check(key)?;
        let exchange = self.admin_exchange(Allowance::Once, Operations::Sign);
        let attributes = KeyAttributes { enabled: Some(false), ..KeyAttributes::default() };
        let parameters = UpdateKeyPropertiesParameters {
            key_attributes: Some(attributes),
            ..UpdateKeyPropertiesParameters::default()
        };
        let parameters =
            parameters.try_into().map_err(|_source: azure_core::Error| SignErrorKind::InvalidRequest)?;
        let options = KeyClientUpdateKeyPropertiesOptions {
            key_version: Some(key.version.clone()),
            method_options: method_options(&exchange),
        };
        let call = self.client.update_key_properties(&key.name, parameters, Some(options));
        let (bundle, receipt) = self.call(&exchange, call).await?;
        let read = keys::read(bundle, &self.name, &self.url, &key.name, Some(&key.version), receipt.clone())
            .map_err(|kind| SignError::answered_with(kind, receipt.clone()))?;
        self.learn(&read);
        if read.enabled { Err(malformed(receipt)) } else { Ok(()) }
    }
}

/// Whether a key of the vault is none for this service, or is gone. Other people's keys may live there too.
fn is_not_ours(kind: &SignErrorKind) -> bool {
    matches!(kind, SignErrorKind::UnsupportedKey { .. } | SignErrorKind::KeyNotFound)
}
