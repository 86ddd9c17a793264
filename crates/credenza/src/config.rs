//! The configuration of `credenza serve`: typed, checked as a whole before anything starts.
//!
//! Owns the file's members and the rules between them. A message names the key, what is wrong and what would be right.
//! Secrets are never in the file: it names files that hold them. Vaults have a file of their own, `vault`.

pub mod limits;
pub mod signing;
pub mod vault;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use domain::{SignatureAlgorithm, TenantId};
use issuer::auth::{KeySource, TenantMapping, TokenAlgorithm, TrustedIssuer};
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use crate::keys::KEYRING_VARIABLE;
use crate::logging::Format;

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub service: ServiceSection,
    pub authority: AuthoritySection,
    pub listen: ListenSection,
    pub database: DatabaseSection,
    #[serde(default)]
    pub keyring: KeyringSection,
    /// Which back ends sign.
    #[serde(default)]
    pub signing: signing::SigningSection,
    /// The vaults, `[[vault]]` each.
    #[serde(default, rename = "vault")]
    pub vaults: Vec<vault::VaultSection>,
    #[serde(default)]
    pub callbacks: CallbackSection,
    #[serde(default)]
    pub tokens: TokenSection,
    #[serde(default)]
    pub limits: limits::LimitsSection,
    #[serde(default)]
    pub log: LogSection,
}

/// Who we are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSection {
    pub tenant_id: TenantId,
    pub public_url: Url,
    #[serde(default = "request_lifetime")]
    pub request_lifetime_secs: i64,
    #[serde(default = "pin_tries")]
    pub pin_tries: i64,
}

/// The authority at our own origin.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthoritySection {
    pub name: String,
    #[serde(default = "algorithm")]
    pub algorithm: SignatureAlgorithm,
    #[serde(default = "yes")]
    pub relative_ids: bool,
}

/// Where we listen.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenSection {
    pub public: SocketAddr,
    pub certificate: Option<PathBuf>,
    pub private_key: Option<PathBuf>,
    /// A proxy in front of us ends TLS.
    #[serde(default)]
    pub behind_proxy: bool,
}

/// Where the data is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSection {
    pub url: Option<String>,
    pub url_file: Option<PathBuf>,
}

/// Where the key-encryption keys are.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyringSection {
    pub file: Option<PathBuf>,
    /// The file's text, from the environment only.
    #[serde(skip)]
    pub text: Option<SecretString>,
}

/// Callbacks and other calls to addresses that others name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallbackSection {
    pub allow: Vec<egress::Target>,
    pub allow_http: bool,
    pub max_age_secs: i64,
    pub extra_ca_files: Vec<PathBuf>,
}

impl Default for CallbackSection {
    fn default() -> Self {
        Self { allow: Vec::new(), allow_http: false, max_age_secs: 900, extra_ca_files: Vec::new() }
    }
}

/// Whose access tokens we accept.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenSection {
    pub issuers: Vec<IssuerSection>,
    pub builtin: Option<BuiltinSection>,
}

/// An OIDC issuer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSection {
    pub issuer: String,
    pub discovery: Option<Url>,
    pub jwks: Option<Url>,
    pub audiences: Option<Vec<String>>,
    pub tenant_claim: Option<String>,
    pub roles_claim: Option<String>,
    pub algorithms: Option<Vec<TokenAlgorithm>>,
    /// From the issuer's tenants to ours.
    #[serde(default)]
    pub tenants: HashMap<String, TenantId>,
    /// Every token of this issuer is for our tenant.
    #[serde(default)]
    pub single_tenant: bool,
    /// From the issuer's role names to those of the API.
    #[serde(default)]
    pub roles: HashMap<String, String>,
}

/// The built-in token issuer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuiltinSection {
    pub clients: Vec<ClientSection>,
}

/// A client of the built-in token issuer.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientSection {
    pub id: String,
    pub secret_hash: String,
    pub roles: Option<Vec<String>>,
}

impl std::fmt::Debug for ClientSection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientSection").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What is logged.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSection {
    pub format: Format,
    pub level: String,
}

impl Default for LogSection {
    fn default() -> Self {
        Self { format: Format::Json, level: "info".to_owned() }
    }
}

const fn request_lifetime() -> i64 {
    300
}
const fn pin_tries() -> i64 {
    5
}
const fn yes() -> bool {
    true
}
const fn algorithm() -> SignatureAlgorithm {
    SignatureAlgorithm::Es256
}

/// Secrets that everybody tries first; the last is the one in the commented example.
const KNOWN_SECRETS: [&str; 7] =
    ["secret", "password", "changeme", "credenza", "credenza-dev", "dev-secret", "change-me-change-me"];

/// The hash in the commented example.
const EXAMPLE_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$ancqLWdi4eNh9NFvfiSgXA$KFsed6vCwt3Esw4oX5AC4MGHZ9LUsv95qHRtRbYTujg";

impl ClientSection {
    /// The secret, if it is one that everybody tries first. Slow: it is compared as at a login, once for each of them.
    pub fn known_secret(&self) -> Option<&'static str> {
        KNOWN_SECRETS
            .into_iter()
            .find(|known| issuer::auth::builtin::secret_matches(&self.secret_hash, known))
    }
}

impl Config {
    /// Reads and checks the file. `CREDENZA_DATABASE_URL` overrides `database.url`, and `CREDENZA_KEYRING`
    /// `keyring.file`.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("reading the configuration {}", path.display()))?;
        let mut config =
            Self::parse(&text).with_context(|| format!("in the configuration {}", path.display()))?;
        if let Ok(url) = std::env::var("CREDENZA_DATABASE_URL") {
            config.database = DatabaseSection { url: Some(url), url_file: None };
        }
        if let Ok(text) = std::env::var(KEYRING_VARIABLE) {
            config.keyring = KeyringSection { file: None, text: Some(text.into()) };
        }
        config.check().with_context(|| format!("in the configuration {}", path.display()))?;
        Ok(config)
    }

    /// Reads the text without the rules between members.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        Ok(toml::from_str(text)?)
    }

    /// The rules between members.
    pub fn check(&self) -> anyhow::Result<()> {
        let url = &self.service.public_url;
        ensure!(
            url.scheme() == "https" && url.path() == "/" && url.query().is_none() && url.fragment().is_none(),
            "service.public_url is `{url}`: it has to be an https origin without a path, because it becomes the DID"
        );
        ensure!(
            matches!(url.host(), Some(url::Host::Domain(_))),
            "service.public_url is `{url}`: it has to have a host name, because did:web knows no addresses"
        );
        ensure!(
            url.username().is_empty() && url.password().is_none(),
            "service.public_url must not contain a user or a password"
        );
        let lifetime = self.service.request_lifetime_secs;
        ensure!(
            (30..=86_400).contains(&lifetime),
            "service.request_lifetime_secs is {lifetime}: it has to be between 30 and 86400"
        );
        let tries = self.service.pin_tries;
        ensure!((1..=20).contains(&tries), "service.pin_tries is {tries}: it has to be between 1 and 20");
        let age = self.callbacks.max_age_secs;
        ensure!(
            (1..=604_800).contains(&age),
            "callbacks.max_age_secs is {age}: it has to be between 1 and 604800 (a week)"
        );
        ensure!(
            !self.callbacks.allow_http || !self.callbacks.allow.is_empty(),
            "callbacks.allow_http is true, but callbacks.allow names no target that it could count for: plain http never \
             goes to public addresses. Name the targets, or remove it"
        );
        ensure!(
            self.keyring.file.is_some() || self.keyring.text.is_some(),
            "keyring.file is missing: name the file with the key-encryption keys (`credenza keyring FILE` makes one), or \
             give its text in the environment variable {KEYRING_VARIABLE}"
        );
        self.check_listener()?;
        self.check_tokens()?;
        self.limits.check(self.listen.behind_proxy)?;
        vault::check(&self.vaults)?;
        self.signing.check(&self.vaults)?;
        self.database_url()?;
        Ok(())
    }

    fn check_listener(&self) -> anyhow::Result<()> {
        match (&self.listen.certificate, &self.listen.private_key) {
            (Some(_), Some(_)) => ensure!(
                !self.listen.behind_proxy,
                "listen.behind_proxy and listen.certificate exclude each other: either the proxy ends TLS or we do"
            ),
            (None, None) => ensure!(
                self.listen.behind_proxy,
                "listen.certificate and listen.private_key are missing: wallets need https. If a proxy in front ends \
                 TLS, say so with listen.behind_proxy = true"
            ),
            _ => bail!("listen.certificate and listen.private_key belong together: one of them is missing"),
        }
        Ok(())
    }

    fn check_tokens(&self) -> anyhow::Result<()> {
        ensure!(
            !self.tokens.issuers.is_empty() || self.tokens.builtin.is_some(),
            "tokens is empty: nobody could call the Request Service API. Name an OIDC issuer under [[tokens.issuers]] \
             or clients under [[tokens.builtin.clients]]"
        );
        for issuer in &self.tokens.issuers {
            ensure!(
                issuer.discovery.is_some() != issuer.jwks.is_some(),
                "tokens.issuers `{}` needs exactly one of discovery and jwks",
                issuer.issuer
            );
            ensure!(
                !issuer.single_tenant || issuer.tenants.is_empty(),
                "tokens.issuers `{}` has both single_tenant and tenants: only one of them makes sense",
                issuer.issuer
            );
            for (member, url) in [("discovery", &issuer.discovery), ("jwks", &issuer.jwks)] {
                if let Some(url) = url {
                    ensure!(
                        url.scheme() == "https",
                        "tokens.issuers `{}` has the {member} `{url}`: it has to be https, because whoever changes it on \
                         the way decides whose tokens are accepted",
                        issuer.issuer
                    );
                }
            }
            if let Some(audiences) = &issuer.audiences {
                ensure!(!audiences.is_empty(), "tokens.issuers `{}` has no audience", issuer.issuer);
            }
        }
        if let Some(builtin) = &self.tokens.builtin {
            ensure!(!builtin.clients.is_empty(), "tokens.builtin has no clients: remove it or add one");
            for client in &builtin.clients {
                ensure!(
                    client.secret_hash.starts_with("$argon2id$"),
                    "tokens.builtin client `{}`: secret_hash is no argon2id hash. Make one with `credenza hash-secret`",
                    client.id
                );
                // Other secrets that everybody knows are looked for by `serve`: that takes time.
                ensure!(
                    client.secret_hash != EXAMPLE_HASH,
                    "tokens.builtin client `{}` has the secret of the example, which everybody tries first. Make a random \
                     one and hash it with `credenza hash-secret`",
                    client.id
                );
            }
        }
        Ok(())
    }

    /// Where the data is.
    pub fn database_url(&self) -> anyhow::Result<store::DatabaseUrl> {
        let text = match (&self.database.url, &self.database.url_file) {
            (Some(url), None) => url.clone(),
            (None, Some(file)) => std::fs::read_to_string(file)
                .with_context(|| format!("reading database.url_file {}", file.display()))?
                .trim()
                .to_owned(),
            _ => bail!("database needs exactly one of url and url_file"),
        };
        text.parse().context("database.url")
    }
}

impl IssuerSection {
    /// The checked section as the authenticator takes it.
    pub fn trusted(&self, tenant: TenantId) -> anyhow::Result<TrustedIssuer> {
        let keys = match (&self.discovery, &self.jwks) {
            (Some(url), None) => KeySource::Discovery(url.clone()),
            (None, Some(url)) => KeySource::Jwks(url.clone()),
            _ => bail!("tokens.issuers `{}` needs exactly one of discovery and jwks", self.issuer),
        };
        let mut trusted = TrustedIssuer::new(&self.issuer, keys);
        if let Some(audiences) = &self.audiences {
            trusted.audiences.clone_from(audiences);
        }
        if let Some(claim) = &self.tenant_claim {
            trusted.tenant_claim.clone_from(claim);
        }
        if let Some(claim) = &self.roles_claim {
            trusted.roles_claim.clone_from(claim);
        }
        if let Some(algorithms) = &self.algorithms {
            trusted.algorithms.clone_from(algorithms);
        }
        if self.single_tenant {
            trusted.tenants = TenantMapping::Fixed(tenant);
        } else if !self.tenants.is_empty() {
            trusted.tenants = TenantMapping::Map(self.tenants.clone());
        }
        trusted.role_names.clone_from(&self.roles);
        Ok(trusted)
    }
}

#[cfg(test)]
mod tests;
