//! What an operator says about a vault.
//!
//! Owns the settings, their defaults and the rules between them. It must not open anything: [`KeyVaultBackend::open`]
//! does, and refuses what [`KeyVaultConfig::check`] refuses.
//!
//! [`KeyVaultBackend::open`]: super::KeyVaultBackend::open

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::{Host, Url};
use zeroize::Zeroizing;

/// How the private halves of new keys are protected. Existing keys keep what they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protection {
    /// In a hardware security module (`EC-HSM`; needs a Premium vault or a Managed HSM).
    Hsm,
    /// By the vault's software (`EC`).
    Software,
}

/// As whom we come. There is no chain that tries one after the other: which identity signs is a decision.
#[derive(Clone)]
pub enum VaultCredential {
    /// The identity of the machine or app service; `client_id` names a user-assigned one.
    ManagedIdentity {
        /// Of a user-assigned identity; `None` for the system-assigned one.
        client_id: Option<String>,
    },
    /// A federated token in a file (Kubernetes). What is `None` comes from `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and
    /// `AZURE_FEDERATED_TOKEN_FILE`.
    WorkloadIdentity {
        /// The tenant.
        tenant_id: Option<String>,
        /// The application.
        client_id: Option<String>,
        /// The file.
        token_file: Option<PathBuf>,
    },
    /// An application's secret.
    ClientSecret {
        /// The tenant.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// The secret.
        secret: Zeroizing<String>,
    },
    /// Whoever is signed in with the command-line tools on this machine.
    DeveloperTools,
    /// A fixed bearer token, for emulators on this machine.
    StaticToken(Zeroizing<String>),
}

impl fmt::Debug for VaultCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ManagedIdentity { .. } => "ManagedIdentity",
            Self::WorkloadIdentity { .. } => "WorkloadIdentity",
            Self::ClientSecret { .. } => "ClientSecret",
            Self::DeveloperTools => "DeveloperTools",
            Self::StaticToken(_) => "StaticToken",
        })
    }
}

/// How long things may take. The wait for a signature is not among them: its permit's deadline counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VaultTimeouts {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For everything but signatures: reading, making, listing and disabling keys.
    pub admin: Duration,
    /// For a token.
    pub token: Duration,
    /// How long sent bytes may stay unacknowledged before the system gives the connection up. Below the 2 s by which a
    /// packet may be late (M in the design's section 4), so that nothing arrives after its slot has returned.
    pub unacknowledged: Duration,
}

impl Default for VaultTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            admin: Duration::from_secs(10),
            token: Duration::from_secs(10),
            unacknowledged: Duration::from_millis(1500),
        }
    }
}

/// How many operations a vault takes in 10 s, by the kind of key. The documented values are half of what they were, and
/// may change again: they belong to the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VaultLimits {
    /// Signatures and all else but creation, with HSM-protected EC keys.
    pub hsm: u32,
    /// The same with software-protected EC keys.
    pub software: u32,
    /// New HSM-protected keys.
    pub hsm_create: u32,
    /// New software-protected keys.
    pub software_create: u32,
    /// In which time.
    pub window: Duration,
}

impl Default for VaultLimits {
    /// Azure Key Vault's documented limits for EC keys, per vault and region.
    fn default() -> Self {
        Self {
            hsm: 2000,
            software: 4000,
            hsm_create: 10,
            software_create: 20,
            window: Duration::from_secs(10),
        }
    }
}

/// One vault.
#[derive(Debug, Clone)]
pub struct KeyVaultConfig {
    /// The name that stands in [`KeyRef::backend`](domain::KeyRef).
    pub name: String,
    /// `https://{vault}.vault.azure.net`, without path.
    pub vault_url: Url,
    /// As whom we come.
    pub credential: VaultCredential,
    /// Where tokens come from, if not from the public cloud's login service.
    pub authority_host: Option<Url>,
    /// For which resource tokens are, if not for the one that the vault's host name tells.
    pub resource: Option<Url>,
    /// Certificate authorities (PEM) that are trusted besides the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// For new keys.
    pub protection: Protection,
    /// What the vault takes.
    pub limits: VaultLimits,
    /// The subscription's name, if several vaults share its limits.
    pub subscription: Option<String>,
    /// The subscription's limits in per cent of a vault's.
    pub subscription_percent: u32,
    /// Whether the vault's host must belong to the resource, so that a false vault gets no token. Can only be switched
    /// off for a vault on this machine.
    pub verify_challenge_resource: bool,
    /// How long things may take.
    pub timeouts: VaultTimeouts,
    /// How many idle connections are kept.
    pub idle_connections: usize,
    /// How long a public key and its state are believed without asking again.
    pub public_key_ttl: Duration,
}

/// Settings of a vault that do not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaultConfigError {
    /// The name would be ambiguous in a key reference.
    #[error("a vault's name has 1 to 63 letters, digits, dots or dashes")]
    Name,
    /// Tokens go over TLS only.
    #[error("a vault's address begins with https://")]
    NotHttps,
    /// Everything after the host belongs to the API.
    #[error("a vault's address has a host and nothing after it")]
    NotAnOrigin,
    /// The check protects the token.
    #[error("verify_challenge_resource can be switched off only for a vault on this machine")]
    ChallengeUnchecked,
    /// A fixed token never ends.
    #[error("a static token is only for an emulator on this machine")]
    StaticTokenAbroad,
    /// The resource is no https address, or the host does not belong to it.
    #[error("the vault's host does not belong to the resource for which tokens are asked")]
    Resource,
    /// A limit or window of zero.
    #[error("a vault's limits, its window and the subscription's per cent are above zero")]
    Limits,
    /// The certificate file has none.
    #[error("the certificate file is not PEM or has no certificate")]
    Certificates,
}

impl KeyVaultConfig {
    /// With the defaults for everything that is not named.
    #[must_use]
    pub fn new(name: impl Into<String>, vault_url: Url, credential: VaultCredential) -> Self {
        Self {
            name: name.into(),
            vault_url,
            credential,
            authority_host: None,
            resource: None,
            ca_pem: None,
            protection: Protection::Hsm,
            limits: VaultLimits::default(),
            subscription: None,
            subscription_percent: 500,
            verify_challenge_resource: true,
            timeouts: VaultTimeouts::default(),
            idle_connections: 32,
            public_key_ttl: Duration::from_secs(600),
        }
    }

    /// Whether the settings fit together.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), VaultConfigError> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        if !(1..=63).contains(&self.name.len()) || !self.name.bytes().all(is_name) {
            return Err(VaultConfigError::Name);
        }
        let url = &self.vault_url;
        if url.scheme() != "https" {
            return Err(VaultConfigError::NotHttps);
        }
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.username().is_empty() || url.password().is_some() || url.host().is_none() {
            return Err(VaultConfigError::NotAnOrigin);
        }
        if !self.is_on_this_machine() {
            if !self.verify_challenge_resource {
                return Err(VaultConfigError::ChallengeUnchecked);
            }
            if matches!(self.credential, VaultCredential::StaticToken(_)) {
                return Err(VaultConfigError::StaticTokenAbroad);
            }
        }
        if self.verify_challenge_resource && !self.host_belongs_to_resource() {
            return Err(VaultConfigError::Resource);
        }
        let limits = &self.limits;
        let amounts = [limits.hsm, limits.software, limits.hsm_create, limits.software_create];
        if amounts.contains(&0) || limits.window.is_zero() || self.subscription_percent == 0 {
            return Err(VaultConfigError::Limits);
        }
        Ok(())
    }

    /// The vault's identity in the budget: host in lower case, with a port if it is not 443.
    #[must_use]
    pub fn authority(&self) -> String {
        authority(&self.vault_url)
    }

    /// For which resource tokens are asked: the configured one, or the host's own cloud.
    #[must_use]
    pub fn resource(&self) -> String {
        match &self.resource {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => {
                let host = self.vault_url.host_str().unwrap_or_default().to_ascii_lowercase();
                let known = CLOUDS.iter().find(|suffix| host.ends_with(*suffix));
                let suffix = known.copied().unwrap_or(".vault.azure.net");
                format!("https://{}", suffix.trim_start_matches('.'))
            }
        }
    }

    fn host_belongs_to_resource(&self) -> bool {
        let Ok(resource) = Url::parse(&self.resource()) else { return false };
        let (Some(host), Some(resource_host)) = (self.vault_url.host_str(), resource.host_str()) else {
            return false;
        };
        resource.scheme() == "https" && host.ends_with(&format!(".{resource_host}"))
    }

    fn is_on_this_machine(&self) -> bool {
        match self.vault_url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
            Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
            None => false,
        }
    }
}

/// The parents of vault hosts, by cloud and kind.
const CLOUDS: [&str; 6] = [
    ".vault.azure.net",
    ".vault.azure.cn",
    ".vault.usgovcloudapi.net",
    ".managedhsm.azure.net",
    ".managedhsm.azure.cn",
    ".managedhsm.usgovcloudapi.net",
];

/// `v1.vault.azure.net`, or with a port where it is not TLS's own.
pub(super) fn authority(url: &Url) -> String {
    // The parser has put the host into lower case and dropped the port 443.
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
