//! The built-in token issuer: access tokens for front ends of sites without an identity provider, and for development.
//!
//! Owns its clients, its signing key and the tokens that it makes. It must not know HTTP, and its key signs access
//! tokens only: it is a service-local key and never one of an authority.
//!
//! Sources: RFC 6749, section 4.4 (client credentials), RFC 7517 (its key set), and Microsoft's documentation of v2.0
//! tokens and discovery documents, which clients built on MSAL expect.

mod documents;
mod error;
mod request;
mod secret;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::key::EcPoint;
use domain::{Clock, TenantId, Timestamp};
use serde::Serialize;
use serde_json::json;
use url::Url;
use uuid::Uuid;
use zeroize::Zeroizing;

pub use error::{BuiltinError, OAuthError};
pub use request::TokenRequest;
pub use secret::{hash_secret, secret_matches};

use super::jwk::PublicKey;
use super::trusted::{KeySource, TenantMapping, TokenAlgorithm, TrustedIssuer};
use super::{DEFAULT_AUDIENCE, ROLE_CREATE_ALL};
use documents::authority_of;
use secret::{ClientSecrets, Verdict};

/// What the built-in issuer needs to know.
#[derive(Debug, Clone)]
pub struct BuiltinConfig {
    /// Where its routes are reached, for example `http://127.0.0.1:8080`.
    pub issuer_base: Url,
    /// The one tenant for which it issues.
    pub tenant: TenantId,
    /// Who may ask.
    pub clients: Vec<BuiltinClient>,
    /// `aud` of the tokens; scopes are this with `/.default`.
    pub audience: String,
    /// How long tokens live, in whole seconds.
    pub token_lifetime: Duration,
    /// `tenant_region_scope` of the discovery document, which some front ends read (`EU`, `NA`).
    pub region: String,
}

impl BuiltinConfig {
    /// A configuration with the default audience and tokens of 3,599 s, Entra's usual lifetime.
    #[must_use]
    pub fn new(issuer_base: Url, tenant: TenantId, clients: Vec<BuiltinClient>) -> Self {
        Self {
            issuer_base,
            tenant,
            clients,
            audience: DEFAULT_AUDIENCE.to_owned(),
            token_lifetime: Duration::from_secs(3599),
            region: "EU".to_owned(),
        }
    }
}

/// One front end that the built-in issuer knows.
#[derive(Clone)]
pub struct BuiltinClient {
    /// Its id, public; compared exactly, GUIDs in any letter case.
    pub id: String,
    /// Its secret as an argon2id PHC string, made by [`hash_secret`].
    pub secret_hash: String,
    /// Its roles, which stand in its tokens exactly so.
    pub roles: Vec<String>,
}

impl BuiltinClient {
    /// A client with the one role `VerifiableCredential.Create.All`.
    #[must_use]
    pub fn new(id: impl Into<String>, secret_hash: impl Into<String>) -> Self {
        Self { id: id.into(), secret_hash: secret_hash.into(), roles: vec![ROLE_CREATE_ALL.to_owned()] }
    }
}

impl std::fmt::Debug for BuiltinClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BuiltinClient")
            .field("id", &self.id)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

/// A successful answer of the token endpoint (RFC 6749, section 5.1).
#[derive(Clone, Serialize)]
pub struct TokenResponse {
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// Seconds until the token expires.
    pub expires_in: u64,
    /// The same; MSAL expects it.
    pub ext_expires_in: u64,
    /// The token.
    pub access_token: String,
}

impl std::fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenResponse").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// The issuer.
pub struct BuiltinIssuer {
    /// `issuer_base` without a slash at the end.
    base: String,
    /// Host and port of `issuer_base`.
    authority: String,
    keys_address: Url,
    config: BuiltinConfig,
    lifetime_secs: u32,
    clients: HashMap<String, BuiltinClient>,
    secrets: ClientSecrets,
    key: EcdsaKeyPair,
    point: EcPoint,
    kid: String,
    random: SystemRandom,
    clock: Arc<dyn Clock>,
}

impl BuiltinIssuer {
    /// Takes up the configuration and the signing key (PKCS #8, P-256).
    ///
    /// # Errors
    /// [`BuiltinError`] names what is wrong with configuration or key.
    pub fn new(
        config: BuiltinConfig,
        signing_key_pkcs8: Zeroizing<Vec<u8>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BuiltinError> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &signing_key_pkcs8)
            .map_err(|_source| BuiltinError::Key)?;
        let point = EcPoint::from_sec1(key.public_key().as_ref()).ok_or(BuiltinError::Key)?;
        let base = config.issuer_base.as_str().trim_end_matches('/').to_owned();
        let authority = authority_of(&config.issuer_base)
            .filter(|_| config.issuer_base.query().is_none() && config.issuer_base.fragment().is_none())
            .ok_or(BuiltinError::IssuerBase)?;
        let keys_address = format!("{base}/{}/discovery/v2.0/keys", config.tenant)
            .parse()
            .map_err(|_source| BuiltinError::IssuerBase)?;
        let lifetime_secs = u32::try_from(config.token_lifetime.as_secs())
            .ok()
            .filter(|seconds| *seconds > 0)
            .ok_or(BuiltinError::Lifetime)?;
        let mut clients = HashMap::new();
        for client in &config.clients {
            if client.id.is_empty() || clients.insert(client_key(&client.id), client.clone()).is_some() {
                return Err(BuiltinError::ClientId);
            }
        }
        let secrets = ClientSecrets::new(&config.clients)?;
        Ok(Self {
            base,
            authority,
            keys_address,
            kid: thumbprint(&point),
            config,
            lifetime_secs,
            clients,
            secrets,
            key,
            point,
            random: SystemRandom::new(),
            clock,
        })
    }

    /// Makes a signing key (PKCS #8). The caller keeps it sealed.
    ///
    /// # Errors
    /// [`BuiltinError::Random`]: the system gave no random numbers.
    pub fn generate_key() -> Result<Zeroizing<Vec<u8>>, BuiltinError> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map_err(|_source| BuiltinError::Random)?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// The tenant for which it issues.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        self.config.tenant
    }

    /// `iss` of its tokens.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("{}/{}/v2.0", self.base, self.config.tenant)
    }

    /// The address of its token endpoint.
    #[must_use]
    pub fn token_endpoint(&self) -> String {
        format!("{}/{}/oauth2/v2.0/token", self.base, self.config.tenant)
    }

    /// The present time, for dates in error bodies.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Answers a token request.
    ///
    /// # Errors
    /// [`OAuthError`].
    pub async fn token(&self, request: TokenRequest) -> Result<TokenResponse, OAuthError> {
        if request.grant_type != "client_credentials" {
            return Err(OAuthError::UnsupportedGrantType);
        }
        let client = self.clients.get(&client_key(&request.client_id)).ok_or(OAuthError::InvalidClient)?;
        match self.secrets.check(&client.id, request.client_secret).await {
            Verdict::Right => {}
            Verdict::Wrong => return Err(OAuthError::InvalidClient),
            Verdict::Busy => return Err(OAuthError::Busy),
        }
        // The scope is judged last, so that only known clients learn which one exists.
        self.check_scope(request.scope.as_deref())?;
        let access_token = self.mint(client)?;
        let expires_in = u64::from(self.lifetime_secs);
        Ok(TokenResponse { token_type: "Bearer", expires_in, ext_expires_in: expires_in, access_token })
    }

    fn check_scope(&self, scope: Option<&str>) -> Result<(), OAuthError> {
        let Some(scope) = scope.map(str::trim).filter(|scope| !scope.is_empty()) else { return Ok(()) };
        let right = scope
            .strip_suffix("/.default")
            .is_some_and(|audience| audience.eq_ignore_ascii_case(&self.config.audience));
        if right { Ok(()) } else { Err(OAuthError::InvalidScope) }
    }

    fn mint(&self, client: &BuiltinClient) -> Result<String, OAuthError> {
        let now = self.clock.now().seconds();
        let token_id = URL_SAFE_NO_PAD.encode(Uuid::new_v4().as_bytes());
        let header = json!({"typ": "JWT", "alg": "ES256", "kid": self.kid});
        let claims = json!({
            "iss": self.issuer(),
            "aud": self.config.audience,
            "tid": self.config.tenant,
            "appid": client.id,
            "azp": client.id,
            "azpacr": "1",
            "idtyp": "app",
            "sub": client.id,
            "oid": client.id,
            "roles": client.roles,
            "iat": now,
            "nbf": now,
            "exp": now.saturating_add(i64::from(self.lifetime_secs)),
            "ver": "2.0",
            "uti": token_id,
            "jti": token_id,
        });
        let mut token = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature =
            self.key.sign(&self.random, token.as_bytes()).map_err(|_source| OAuthError::SigningFailed)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        Ok(token)
    }

    /// How its tokens are accepted.
    pub(super) fn as_trusted(&self) -> TrustedIssuer {
        TrustedIssuer {
            audiences: vec![self.config.audience.clone()],
            algorithms: vec![TokenAlgorithm::Es256],
            tenants: TenantMapping::Map(HashMap::from([(
                self.config.tenant.to_string(),
                self.config.tenant,
            )])),
            ..TrustedIssuer::new(self.issuer(), KeySource::Jwks(self.keys_address.clone()))
        }
    }

    /// Its public key.
    pub(super) fn public_key(&self) -> PublicKey {
        PublicKey::p256(&self.kid, &self.point.to_sec1())
    }
}

/// GUIDs compare in any letter case, other ids exactly.
fn client_key(id: &str) -> String {
    if id.len() == 36 && Uuid::try_parse(id).is_ok() { id.to_ascii_lowercase() } else { id.to_owned() }
}

/// The key's id: its thumbprint (RFC 7638, section 3.2 names the members and their order).
fn thumbprint(point: &EcPoint) -> String {
    let (x, y) = (URL_SAFE_NO_PAD.encode(point.x()), URL_SAFE_NO_PAD.encode(point.y()));
    let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    URL_SAFE_NO_PAD.encode(digest(&SHA256, members.as_bytes()))
}

#[cfg(test)]
pub(crate) mod tests;
