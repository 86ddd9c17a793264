//! Owns the token endpoint: as much of the login service as client credentials need.

use serde::Serialize;
use serde_json::json;
use url::form_urlencoded;

use crate::answer::{Answer, JSON};
use crate::clock::Moment;
use crate::identity::{AccessConfig, stands_for};
use crate::members::base64url;
use crate::profile::Profile;

/// A request that the token endpoint answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginRoute<'a> {
    Token { tenant: &'a str },
    Configuration { tenant: &'a str },
    Instances,
}

impl<'a> LoginRoute<'a> {
    /// `None`: not for the token endpoint.
    pub fn parse(method: &str, path: &'a str) -> Option<Self> {
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        match (method, segments.as_slice()) {
            ("POST", [tenant, "oauth2", "v2.0", "token"]) => Some(Self::Token { tenant }),
            ("GET", [tenant, "v2.0", ".well-known", "openid-configuration"]) => {
                Some(Self::Configuration { tenant })
            }
            ("GET", ["common", "discovery", "instance"]) => Some(Self::Instances),
            _ => None,
        }
    }
}

#[derive(Serialize)]
struct TokenClaims<'a> {
    aud: &'a str,
    iss: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    appid: &'a str,
    appidacr: &'static str,
    idtyp: &'static str,
    oid: String,
    tid: &'a str,
    ver: &'static str,
}

fn refusal(status: u16, code: &str, description: &str) -> Answer {
    let body = json!({"error": code, "error_description": description}).to_string();
    Answer::text(status, JSON, body)
}

/// The answer of a failing token endpoint.
pub fn failing(status: u16) -> Answer {
    refusal(status, "temporarily_unavailable", "AADSTS90033: the token endpoint fails on purpose.")
}

/// Names of the endpoints, for clients that look them up.
pub fn configuration(origin: &str, tenant: &str) -> Answer {
    Answer::json(&json!({
        "issuer": format!("https://login.microsoftonline.com/{tenant}/v2.0"),
        "authorization_endpoint": format!("{origin}/{tenant}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{origin}/{tenant}/oauth2/v2.0/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        "jwks_uri": format!("{origin}/{tenant}/discovery/v2.0/keys"),
    }))
}

/// The login hosts that belong together: only this one.
pub fn instances(origin: &str, tenant: &str) -> Answer {
    let host = origin.strip_prefix("https://").unwrap_or(origin);
    Answer::json(&json!({
        "tenant_discovery_endpoint": format!("{origin}/{tenant}/v2.0/.well-known/openid-configuration"),
        "api-version": "1.1",
        "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
    }))
}

/// A token for client credentials.
pub fn token(config: &AccessConfig, tenant: &str, body: &[u8], now: Moment) -> Answer {
    let form: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
    let member = |name: &str| {
        let found = form.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    };
    if member("grant_type") != Some("client_credentials") {
        return refusal(400, "unsupported_grant_type", "AADSTS70003: only client_credentials.");
    }
    let (Some(client), Some(scope)) = (member("client_id"), member("scope")) else {
        return refusal(400, "invalid_request", "AADSTS900144: client_id and scope are required.");
    };
    let secret = member("client_secret");
    if secret.or(member("client_assertion")).is_none() {
        return refusal(401, "invalid_client", "AADSTS7000218: a secret or an assertion is required.");
    }
    let known = |(id, good): &(String, String)| id == client && Some(good.as_str()) == secret;
    if !config.clients.is_empty() && !config.clients.iter().any(known) {
        return refusal(401, "invalid_client", "AADSTS7000215: the client or its secret is wrong.");
    }
    let lifetime = i64::from(config.token_lifetime_seconds);
    let seconds = now.seconds();
    let resource = scope.split(' ').find_map(|scope| scope.strip_suffix("/.default"));
    let claims = TokenClaims {
        aud: resource.unwrap_or(Profile::Vault.resource()),
        iss: format!("https://sts.windows.net/{tenant}/"),
        iat: seconds,
        nbf: seconds,
        exp: seconds.saturating_add(lifetime),
        appid: client,
        appidacr: if secret.is_some() { "1" } else { "2" },
        idtyp: "app",
        oid: stands_for(&format!("oid {client}")),
        tid: tenant,
        ver: "1.0",
    };
    let part = |value: Vec<u8>| base64url(&value);
    let made = || {
        let header = part(br#"{"typ":"JWT","alg":"RS256","kid":"vault-sim"}"#.to_vec());
        let payload = part(serde_json::to_vec(&claims).unwrap_or_default());
        format!("{header}.{payload}.{}", part(b"not signed: of a simulator".to_vec()))
    };
    let access_token = config.token.clone().unwrap_or_else(made);
    Answer::json(&json!({
        "token_type": "Bearer",
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
        "access_token": access_token,
    }))
}
