//! The vaults of an installation: from the configuration or the command line to signing back ends.
//!
//! Owns how a vault is opened and how a start that fails at one is explained: what happened, and what would mend it. Must
//! not decide what is signed where.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use domain::BootClock;
use issuer::cold::ColdError;
use issuer::signing::slots::CallError;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use signer::error::{Denial, SignErrorKind, TokenProblem, Unreachability};
use signer::key_vault::{KeyVaultBackend, KeyVaultConfig, VaultCredential, VaultLimits, VaultTimeouts};
use signer::{Backend, SignError};
use url::Url;
use zeroize::Zeroizing;

use crate::clock::SystemClock;
use crate::config::vault::{self, CredentialSection, Protection, VaultSection};

/// One vault, ready to be opened.
#[derive(Clone)]
pub struct Vault {
    /// With the identity that signs.
    pub config: KeyVaultConfig,
    /// The identity that makes keys; the one that signs when absent.
    pub key_admin: Option<VaultCredential>,
    /// How new keys are protected.
    pub protection: Protection,
    /// The tenant in which our identity logs in, where the configuration names it.
    pub tenant: Option<String>,
    /// Whether we come with a developer's own login, which may do more than a service.
    pub own_login: bool,
}

impl Vault {
    /// What the configuration describes. Reads the files and variables that it names.
    pub fn configured(section: &VaultSection) -> anyhow::Result<Self> {
        let of = |member: &'static str, credential| {
            vault_credential(credential).with_context(|| format!("vault `{}`: {member}", section.name))
        };
        let limits = section.limits();
        let mut config =
            KeyVaultConfig::new(&section.name, section.url.clone(), of("credential", &section.credential)?);
        config.authority_host.clone_from(&section.authority_host);
        config.ca_pem = section
            .ca_file
            .as_deref()
            .map(|file| read_ca(file).with_context(|| format!("vault `{}`: ca_file", section.name)))
            .transpose()?;
        config.limits = vault_limits(section.kty, limits);
        config.protection = vault_protection(section.kty);
        config.subscription.clone_from(&section.subscription);
        config.verify_challenge_resource = section.verify_challenge_resource;
        config.timeouts = VaultTimeouts {
            connect: Duration::from_millis(section.connect_timeout_ms),
            admin: Duration::from_millis(section.admin_timeout_ms),
            ..VaultTimeouts::default()
        };
        config.check().with_context(|| format!("vault `{}`", section.name))?;
        Ok(Self {
            key_admin: section.key_admin.as_ref().map(|admin| of("key_admin", admin)).transpose()?,
            config,
            protection: section.kty,
            tenant: section.credential.tenant(),
            own_login: matches!(section.credential, CredentialSection::DeveloperTools {}),
        })
    }

    /// What `dev --vault` describes.
    pub fn of_developer(asked: &DeveloperVault) -> anyhow::Result<Self> {
        let loopback = vault::is_loopback(&asked.url);
        let credential = match &asked.token {
            Some(token) => {
                ensure!(
                    loopback,
                    "--vault-token is for simulators on a loopback address, and {} is none: leave it away, then your own \
                     login counts (`az login`)",
                    asked.url
                );
                VaultCredential::StaticToken(Zeroizing::new(token.clone()))
            }
            None => VaultCredential::DeveloperTools,
        };
        // Keys remember it: another vault is another place.
        let name: String = vault::authority(&asked.url)
            .chars()
            .map(|letter| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' })
            .collect();
        let mut config = KeyVaultConfig::new(name, asked.url.clone(), credential);
        config.ca_pem = asked.ca_file.as_deref().map(read_ca).transpose().context("--vault-ca")?;
        // Simulators and other emulators answer on names of their own.
        config.verify_challenge_resource = !loopback;
        config.protection = vault_protection(asked.kty);
        config.check().with_context(|| format!("--vault {}", asked.url))?;
        Ok(Self { config, key_admin: None, protection: asked.kty, tenant: None, own_login: true })
    }

    /// The name that keys remember.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Opens the vault without asking it anything: the back end, and its two faces for who needs more of them.
    pub fn open(&self, clock: &Arc<dyn BootClock>) -> anyhow::Result<Opened> {
        let open = |config: &KeyVaultConfig| {
            KeyVaultBackend::open(config, Arc::new(SystemClock), Arc::clone(clock))
                .map(Arc::new)
                .with_context(|| format!("opening the vault `{}`", self.name()))
        };
        let signer = open(&self.config)?;
        let admin = match &self.key_admin {
            Some(credential) => {
                open(&KeyVaultConfig { credential: credential.clone(), ..self.config.clone() })?
            }
            None => Arc::clone(&signer),
        };
        let backend = Backend { signer: signer.clone(), admin: admin.clone(), budget: signer.clone() };
        Ok(Opened { backend, signer, admin })
    }
}

/// An opened vault.
pub struct Opened {
    /// What signs and makes keys.
    pub backend: Backend,
    /// With the identity that signs.
    pub signer: Arc<KeyVaultBackend>,
    /// With the identity that makes keys.
    pub admin: Arc<KeyVaultBackend>,
}

fn vault_credential(section: &CredentialSection) -> anyhow::Result<VaultCredential> {
    let secret = section.secret()?.map(|secret| Zeroizing::new(secret.expose_secret().to_owned()));
    Ok(match section {
        CredentialSection::ManagedIdentity { client_id } => {
            VaultCredential::ManagedIdentity { client_id: client_id.clone() }
        }
        CredentialSection::WorkloadIdentity { tenant_id, client_id, token_file } => {
            VaultCredential::WorkloadIdentity {
                tenant_id: tenant_id.clone(),
                client_id: client_id.clone(),
                token_file: token_file.clone(),
            }
        }
        CredentialSection::ClientSecret { tenant_id, client_id, .. } => VaultCredential::ClientSecret {
            tenant_id: tenant_id.clone(),
            client_id: client_id.clone(),
            secret: secret.unwrap_or_default(),
        },
        CredentialSection::DeveloperTools {} => VaultCredential::DeveloperTools,
        CredentialSection::StaticToken { .. } => VaultCredential::StaticToken(secret.unwrap_or_default()),
    })
}

/// The configuration has the limits of one protection; the vault counts the other half or twice as fast.
fn vault_limits(kty: Protection, limits: vault::Limits) -> VaultLimits {
    let (sign, create) = (limits.sign, limits.create);
    match kty {
        Protection::Hsm => VaultLimits {
            hsm: sign,
            software: sign.saturating_mul(2),
            hsm_create: create,
            software_create: create.saturating_mul(2),
            window: limits.window,
        },
        Protection::Software => VaultLimits {
            hsm: (sign / 2).max(1),
            software: sign,
            hsm_create: (create / 2).max(1),
            software_create: create,
            window: limits.window,
        },
    }
}

const fn vault_protection(kty: Protection) -> signer::key_vault::Protection {
    match kty {
        Protection::Hsm => signer::key_vault::Protection::Hsm,
        Protection::Software => signer::key_vault::Protection::Software,
    }
}

fn read_ca(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("reading {}", file.display()))
}

/// What `dev` was told about a vault, and what its data directory remembers of it: other commands work on the same
/// directory without being told.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeveloperVault {
    /// The vault's address.
    pub url: Url,
    /// Certificate authorities to trust besides the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// A simulator's token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// How new keys are protected.
    #[serde(default)]
    pub kty: Protection,
}

/// The file in a data directory that remembers the vault. It may hold a token.
const VAULT_FILE: &str = "vault";

impl DeveloperVault {
    /// What a data directory remembers.
    pub fn remembered(data_dir: &Path) -> anyhow::Result<Option<Self>> {
        let file = data_dir.join(VAULT_FILE);
        match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is not what `credenza dev --vault` wrote", file.display()))
                .map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
        }
    }

    /// Remembers it, so that only its owner can read it.
    pub fn remember(&self, data_dir: &Path) -> anyhow::Result<()> {
        let file = data_dir.join(VAULT_FILE);
        let ca_file = self.ca_file.as_deref().map(std::path::absolute).transpose()?;
        let text = serde_json::to_vec_pretty(&Self { ca_file, ..self.clone() })?;
        crate::tls::write_private(&file, &text).with_context(|| format!("writing {}", file.display()))
    }
}

/// What an operator can do about an error of a vault.
pub fn cure(kind: &SignErrorKind) -> Option<&'static str> {
    Some(match kind {
        SignErrorKind::Unreachable { why: Unreachability::Dns, .. } => {
            "check the host name; a vault with a private endpoint needs the private DNS zone \
             (privatelink.vaultcore.azure.net)"
        }
        SignErrorKind::Unreachable { why: Unreachability::Tls, .. } => {
            "the vault's certificate is not trusted: name its authority (ca_file in [[vault]], `dev --vault-ca`), check \
             the host name and this machine's clock"
        }
        SignErrorKind::Unreachable { why: Unreachability::Refused, .. } => {
            "nothing listens there: check host and port; a simulator has to be started first"
        }
        SignErrorKind::Unreachable { .. } => {
            "check routes and firewalls between this machine and the vault (TCP 443)"
        }
        SignErrorKind::NoToken { why: TokenProblem::Credential, .. } => {
            "the identity cannot be used here: for your own login run `az login`; a managed or workload identity exists \
             only where Azure or the cluster gives it"
        }
        SignErrorKind::NoToken { why: TokenProblem::Refused, .. } => {
            "the login service refuses our identity: check tenant, client id and secret (has the secret expired?)"
        }
        SignErrorKind::NoToken { why: TokenProblem::Unavailable, .. } => {
            "the token endpoint cannot be reached or throttles: check the way to the login service, try again"
        }
        SignErrorKind::Unauthenticated { .. } => {
            "the vault refuses our token: check that the identity is of the vault's tenant; for a simulator check the token"
        }
        SignErrorKind::Forbidden { by: Denial::Firewall | Denial::Network } => {
            "allow this machine's address in the vault's firewall, or come through its private endpoint"
        }
        SignErrorKind::Forbidden { by: Denial::Policy } => {
            "grant the key permissions get and sign (and create to the identity that makes keys) in the access policy"
        }
        SignErrorKind::Forbidden { .. } => {
            "give the identity its role: infra/azure/signer-role.json to the one that signs, Key Vault Crypto Officer to \
             the one that makes keys. A new role counts after up to ten minutes; `credenza doctor` says what is missing"
        }
        SignErrorKind::KeyNotFound => {
            "the key is not in this vault: the address must be that of the vault in which the key was made"
        }
        SignErrorKind::KeyDisabled => "enable the key's version in the vault",
        SignErrorKind::KeyOutsideValidity => {
            "the key's activation or expiration date keeps it from signing: move it"
        }
        SignErrorKind::Conflict { .. } => {
            "a deleted key has this name: recover it (az keyvault key recover), or purge it"
        }
        SignErrorKind::InvalidRequest => {
            "a Standard vault makes no keys in an HSM: use kty = \"software\" (`dev --vault-kty software`) or a Premium vault"
        }
        _ => return None,
    })
}

/// Whether an error passes by itself, so that a start need not be refused because of it.
pub fn passes(kind: &SignErrorKind) -> bool {
    matches!(
        kind,
        SignErrorKind::Throttled { .. }
            | SignErrorKind::BudgetExhausted { .. }
            | SignErrorKind::Unavailable { .. }
            | SignErrorKind::TimedOut { .. }
            | SignErrorKind::NoToken { why: TokenProblem::Unavailable, .. }
    )
}

/// The first error of a vault in a chain of causes.
pub fn vault_error(error: &anyhow::Error) -> Option<&SignErrorKind> {
    error.chain().find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<SignError>() {
            return Some(error.kind());
        }
        // These show their cause in its place, so that the cause is not in the chain itself.
        if let Some(ColdError::Backend(error)) = cause.downcast_ref::<ColdError>() {
            return Some(error.kind());
        }
        match cause.downcast_ref::<CallError>() {
            Some(CallError::Backend(error)) => Some(error.kind()),
            Some(CallError::Slots(_)) | None => None,
        }
    })
}

#[cfg(test)]
mod tests;
