//! The documents of the built-in issuer: keys, discovery, and MSAL's instance discovery.
//!
//! Owns their members. It must not issue tokens or read the clock.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use url::Url;

use super::BuiltinIssuer;
use super::error::OAuthError;

impl BuiltinIssuer {
    /// Its key set (RFC 7517, section 5).
    #[must_use]
    pub fn jwks(&self) -> Value {
        json!({"keys": [{
            "kty": "EC",
            "crv": "P-256",
            "x": URL_SAFE_NO_PAD.encode(self.point.x()),
            "y": URL_SAFE_NO_PAD.encode(self.point.y()),
            "use": "sig",
            "alg": "ES256",
            "kid": self.kid,
            "issuer": self.issuer(),
        }]})
    }

    /// Its discovery document (OpenID Connect Discovery 1.0, section 3, with the members that MSAL and front ends for
    /// Entra read). No endpoint signs people in: `authorization_endpoint` is there because MSAL insists on the member.
    #[must_use]
    pub fn discovery(&self) -> Value {
        let tenant = self.config.tenant;
        let base = &self.base;
        json!({
            "issuer": self.issuer(),
            "token_endpoint": self.token_endpoint(),
            "authorization_endpoint": format!("{base}/{tenant}/oauth2/v2.0/authorize"),
            "jwks_uri": self.keys_address,
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": ["token"],
            "response_modes_supported": ["query", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "scopes_supported": [format!("{}/.default", self.config.audience)],
            "claims_supported": ["iss", "aud", "exp", "iat", "nbf", "tid", "appid", "azp", "sub", "oid", "roles", "ver"],
            "request_uri_parameter_supported": false,
            "tenant_region_scope": self.config.region,
            "cloud_instance_name": self.authority,
        })
    }

    /// The answer to MSAL's instance discovery for an `authorization_endpoint`.
    ///
    /// # Errors
    /// [`OAuthError::UnknownInstance`]: the address is not one of ours.
    pub fn instance_discovery(&self, authorization_endpoint: Option<&str>) -> Result<Value, OAuthError> {
        let aliases = self.aliases();
        let endpoint = authorization_endpoint
            .and_then(|text| Url::parse(text).ok())
            .filter(|url| authority_of(url).is_some_and(|authority| aliases.contains(&authority)))
            .ok_or(OAuthError::UnknownInstance)?;
        let ours = endpoint
            .path_segments()
            .is_some_and(|mut segments| segments.any(|segment| segment.parse() == Ok(self.config.tenant)));
        if !ours {
            return Err(OAuthError::UnknownInstance);
        }
        Ok(json!({
            "tenant_discovery_endpoint":
                format!("{}/{}/v2.0/.well-known/openid-configuration", self.base, self.config.tenant),
            "api-version": "1.1",
            "metadata": [{
                "preferred_network": self.authority,
                "preferred_cache": self.authority,
                "aliases": aliases,
            }],
        }))
    }

    /// The names by which this host goes. On a developer's machine both spellings of loopback are in use, and MSAL for
    /// Python leaves out the port.
    fn aliases(&self) -> Vec<String> {
        let mut aliases = vec![self.authority.clone()];
        for (one, other) in [("127.0.0.1", "localhost"), ("localhost", "127.0.0.1")] {
            if let Some(port) = self.authority.strip_prefix(one)
                && (port.is_empty() || port.starts_with(':'))
            {
                aliases.push(format!("{other}{port}"));
            }
        }
        if let Some(port) = self.config.issuer_base.port() {
            let port = format!(":{port}");
            let bare: Vec<String> =
                aliases.iter().filter_map(|name| name.strip_suffix(&port)).map(str::to_owned).collect();
            aliases.extend(bare);
        }
        aliases
    }
}

/// Host and port as MSAL writes them. `None`: the address cannot be that of an issuer.
pub(super) fn authority_of(url: &Url) -> Option<String> {
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}
