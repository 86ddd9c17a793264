//! `[[vault]]`: the vaults that keep keys.
//!
//! Owns these members and the rules between them. A secret is never in the file: the file names another file or a
//! variable that holds it. Must not talk to a vault.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use signer::budget::MeterId;
use url::Url;

use crate::secret_file;
use crate::wiring::SOFTWARE;

/// What a vault accepts within the window, from the vendor's page on service limits; there for EC keys.
const HSM_LIMITS: (u32, u32) = (2_000, 10);
const SOFTWARE_LIMITS: (u32, u32) = (4_000, 20);
const WINDOW_SECS: u64 = 10;

/// One vault.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultSection {
    /// What keys remember as the place where they are: it cannot change afterwards.
    pub name: String,
    /// The vault's address.
    pub url: Url,
    /// The identity that signs.
    pub credential: CredentialSection,
    /// The identity that makes keys; the one that signs when absent.
    pub key_admin: Option<CredentialSection>,
    /// Where tokens come from, if not from the public cloud's login service.
    pub authority_host: Option<Url>,
    /// How new keys are protected.
    #[serde(default)]
    pub kty: Protection,
    /// How often the vault may be asked.
    #[serde(default)]
    pub limits: LimitSection,
    /// The subscription whose limit it shares with other vaults.
    pub subscription: Option<String>,
    /// Certificate authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether the vault's challenge has to name a parent of its host.
    #[serde(default = "yes")]
    pub verify_challenge_resource: bool,
    /// How long a connection may take to stand, in milliseconds.
    #[serde(default = "connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// How long reading or making a key may take, in milliseconds. Signatures have their own deadline of 3 s.
    #[serde(default = "admin_timeout_ms")]
    pub admin_timeout_ms: u64,
}

/// How a vault protects the keys that are made in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Protection {
    /// In a hardware security module (`EC-HSM`); needs a Premium vault.
    #[default]
    Hsm,
    /// By the service (`EC`).
    Software,
}

/// How often a vault may be asked; what is absent is the documented limit of the protection.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSection {
    /// Signatures and reads within the window.
    pub sign: Option<u32>,
    /// New keys within the window.
    pub create: Option<u32>,
    /// The window in seconds.
    pub window_secs: Option<u64>,
}

/// The limits that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Signatures and reads within the window.
    pub sign: u32,
    /// New keys within the window.
    pub create: u32,
    /// The window.
    pub window: Duration,
}

/// Who we are at a vault.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "snake_case")]
pub enum CredentialSection {
    /// The machine's own identity in Azure.
    ManagedIdentity {
        /// The client id of a user-assigned identity.
        client_id: Option<String>,
    },
    /// A token of the cluster, exchanged for one of Entra. What is absent comes from the usual `AZURE_…` variables.
    WorkloadIdentity {
        /// The Entra tenant.
        tenant_id: Option<String>,
        /// The application.
        client_id: Option<String>,
        /// The file with the cluster's token.
        token_file: Option<PathBuf>,
    },
    /// An application with a secret.
    ClientSecret {
        /// The Entra tenant.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// The file with the secret.
        secret_file: Option<PathBuf>,
        /// The variable with the secret.
        secret_env: Option<String>,
    },
    /// The login of `az` or `azd` on this machine.
    DeveloperTools {},
    /// A fixed token, for simulators.
    StaticToken {
        /// The file with the token.
        token_file: Option<PathBuf>,
        /// The variable with the token.
        token_env: Option<String>,
    },
}

const fn yes() -> bool {
    true
}
const fn connect_timeout_ms() -> u64 {
    2_000
}
const fn admin_timeout_ms() -> u64 {
    10_000
}

/// The rules for all vaults together.
pub fn check(vaults: &[VaultSection]) -> anyhow::Result<()> {
    for (index, vault) in vaults.iter().enumerate() {
        vault.check()?;
        for other in vaults.iter().take(index) {
            ensure!(
                other.name != vault.name,
                "two vaults have the name `{}`: keys remember it as the place where they are, so it has to be unique",
                vault.name
            );
            ensure!(
                other.authority() != vault.authority(),
                "vault `{}` and vault `{}` are the same vault, {}: its limit would be counted twice. Remove one of them",
                other.name,
                vault.name,
                vault.authority()
            );
            let meter = |vault: &VaultSection| vault.subscription.as_deref().map(MeterId::subscription);
            ensure!(
                meter(vault).is_none() || meter(vault) != meter(other) || vault.limits() == other.limits(),
                "vault `{}` and vault `{}` share the subscription `{}` and have different limits: a subscription has one \
                 limit, five times that of each of its vaults. Give both the same `limits` and `kty`, or name no \
                 subscription",
                other.name,
                vault.name,
                vault.subscription.as_deref().unwrap_or_default()
            );
        }
    }
    Ok(())
}

impl VaultSection {
    /// The vault's address as limits are counted by it: without scheme, in lower case, with a port if it is not 443.
    pub fn authority(&self) -> String {
        authority(&self.url)
    }

    /// The limits that count for this vault.
    pub fn limits(&self) -> Limits {
        let (sign, create) = match self.kty {
            Protection::Hsm => HSM_LIMITS,
            Protection::Software => SOFTWARE_LIMITS,
        };
        Limits {
            sign: self.limits.sign.unwrap_or(sign),
            create: self.limits.create.unwrap_or(create),
            window: Duration::from_secs(self.limits.window_secs.unwrap_or(WINDOW_SECS)),
        }
    }

    fn check(&self) -> anyhow::Result<()> {
        let name = &self.name;
        ensure!(
            is_name(name) && name != SOFTWARE,
            "vault.name is `{name}`: it has to be 1 to 32 lower-case letters, digits and dashes, begin with a letter, and \
             not be `{SOFTWARE}`"
        );
        self.check_url()?;
        if !is_loopback(&self.url) {
            ensure!(
                self.verify_challenge_resource,
                "vault `{name}`: verify_challenge_resource = false would hand our token to whoever answers at {}. It is \
                 for simulators on a loopback address; remove it",
                self.url
            );
            for (member, credential) in self.credentials() {
                ensure!(
                    !matches!(credential, CredentialSection::StaticToken { .. }),
                    "vault `{name}`: {member}.kind = \"static_token\" is for simulators on a loopback address, and {} is \
                     none. Use managed_identity, workload_identity or client_secret",
                    self.url
                );
            }
        }
        for (member, credential) in self.credentials() {
            credential.check().with_context(|| format!("vault `{name}`: {member}"))?;
        }
        ensure!(
            self.key_admin.as_ref() != Some(&self.credential),
            "vault `{name}`: key_admin is the same identity as credential. Remove it, or better give it an identity of its \
             own: the one that signs should not be able to make keys"
        );
        if let Some(host) = &self.authority_host {
            ensure!(
                host.scheme() == "https",
                "vault `{name}`: authority_host is `{host}`: it has to be https, because our secret goes there"
            );
        }
        let limits = self.limits();
        for (member, amount) in [("sign", limits.sign), ("create", limits.create)] {
            ensure!(
                (1..=1_000_000).contains(&amount),
                "vault `{name}`: limits.{member} is {amount}: it has to be between 1 and 1000000"
            );
        }
        let window = limits.window.as_secs();
        ensure!(
            (1..=3_600).contains(&window),
            "vault `{name}`: limits.window_secs is {window}: it has to be between 1 and 3600"
        );
        // An attempt has 3 s, and a connection that takes them all leaves none for the signature.
        ensure!(
            (100..=2_900).contains(&self.connect_timeout_ms),
            "vault `{name}`: connect_timeout_ms is {}: it has to be between 100 and 2900, because a signature has 3 s",
            self.connect_timeout_ms
        );
        ensure!(
            (1_000..=60_000).contains(&self.admin_timeout_ms),
            "vault `{name}`: admin_timeout_ms is {}: it has to be between 1000 and 60000",
            self.admin_timeout_ms
        );
        Ok(())
    }

    fn check_url(&self) -> anyhow::Result<()> {
        let (name, url) = (&self.name, &self.url);
        ensure!(
            url.scheme() == "https" && url.host().is_some(),
            "vault `{name}`: url is `{url}`: it has to be https, because our token goes with every call"
        );
        ensure!(
            url.path() == "/" && url.query().is_none() && url.fragment().is_none(),
            "vault `{name}`: url is `{url}`: it is the vault's address alone, without a path, such as \
             https://contoso-issuer.vault.azure.net"
        );
        ensure!(
            url.username().is_empty() && url.password().is_none(),
            "vault `{name}`: url must not contain a user or a password"
        );
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        ensure!(
            !host.split('.').any(|label| label == "managedhsm"),
            "vault `{name}`: `{host}` is a Managed HSM, whose protocol differs in many ways: it is not supported. Use a \
             Premium vault, whose keys are in an HSM too"
        );
        Ok(())
    }

    /// The identities with the members that hold them.
    fn credentials(&self) -> impl Iterator<Item = (&'static str, &CredentialSection)> {
        std::iter::once(("credential", &self.credential))
            .chain(self.key_admin.iter().map(|credential| ("key_admin", credential)))
    }
}

impl CredentialSection {
    fn check(&self) -> anyhow::Result<()> {
        match self {
            Self::ClientSecret { secret_file, secret_env, .. } => {
                one_source("secret", secret_file.as_deref(), secret_env.as_deref())
            }
            Self::StaticToken { token_file, token_env } => {
                one_source("token", token_file.as_deref(), token_env.as_deref())
            }
            Self::ManagedIdentity { .. } | Self::WorkloadIdentity { .. } | Self::DeveloperTools {} => Ok(()),
        }
    }

    /// The tenant in which this identity logs in, where the configuration or the cluster names it.
    pub fn tenant(&self) -> Option<String> {
        match self {
            Self::ClientSecret { tenant_id, .. } => Some(tenant_id.clone()),
            Self::WorkloadIdentity { tenant_id, .. } => {
                tenant_id.clone().or_else(|| std::env::var("AZURE_TENANT_ID").ok())
            }
            Self::ManagedIdentity { .. } | Self::DeveloperTools {} | Self::StaticToken { .. } => None,
        }
    }

    /// The secret of this identity, where it has one.
    pub fn secret(&self) -> anyhow::Result<Option<SecretString>> {
        match self {
            Self::ClientSecret { secret_file, secret_env, .. } => {
                read_secret("secret", secret_file.as_deref(), secret_env.as_deref()).map(Some)
            }
            Self::StaticToken { token_file, token_env } => {
                read_secret("token", token_file.as_deref(), token_env.as_deref()).map(Some)
            }
            Self::ManagedIdentity { .. } | Self::WorkloadIdentity { .. } | Self::DeveloperTools {} => {
                Ok(None)
            }
        }
    }
}

fn one_source(what: &str, file: Option<&Path>, variable: Option<&str>) -> anyhow::Result<()> {
    ensure!(
        file.is_some() != variable.is_some(),
        "it needs exactly one of {what}_file and {what}_env: the configuration itself never holds a secret"
    );
    if let Some(variable) = variable {
        let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        ensure!(
            !variable.is_empty() && variable.chars().all(is_word),
            "{what}_env has to be the name of an environment variable, not the {what} itself"
        );
    }
    Ok(())
}

fn read_secret(what: &str, file: Option<&Path>, variable: Option<&str>) -> anyhow::Result<SecretString> {
    match (file, variable) {
        (Some(file), None) => secret_file::read(file).with_context(|| format!("{what}_file")),
        (None, Some(variable)) => match std::env::var(variable) {
            Ok(text) if !text.trim().is_empty() => Ok(text.trim().into()),
            Ok(_) => bail!("{what}_env: the environment variable {variable} is empty"),
            Err(_unset) => bail!("{what}_env: the environment variable {variable} is not set"),
        },
        _ => bail!("it needs exactly one of {what}_file and {what}_env"),
    }
}

fn is_name(name: &str) -> bool {
    let is_ours = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&name.len())
        && name.bytes().all(is_ours)
        && name.bytes().next().is_some_and(|first| first.is_ascii_lowercase())
}

/// The address of a vault without scheme, in lower case, with a port if it is not 443.
pub fn authority(url: &Url) -> String {
    // With a dot at its end a name is the same name.
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    let host = host.trim_end_matches('.').to_owned();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}

/// Whether a URL means this machine whatever a name server says.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => {
            let name = name.to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests;
