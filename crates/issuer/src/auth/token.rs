//! One access token: its compact form (RFC 7515, section 7.1) and the checks on its claims (RFC 7519, section 4.1).
//!
//! Owns the pure part of authentication. It must not look for keys, cache anything or read a clock.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{ClientId, Timestamp};
use serde_json::{Map, Value};

use super::Caller;
use super::error::AuthError;
use super::trusted::{TenantMapping, TokenAlgorithm, TrustedIssuer};

/// Longest `Authorization` value, in bytes.
const LONGEST: usize = 16 * 1024;

/// How far the issuer's clock may be off, in seconds.
const LEEWAY_SECS: i64 = 60;

/// The token in an `Authorization` header (RFC 6750, section 2.1; the scheme in any letter case, as RFC 9110 says).
pub(super) fn bearer(header: Option<&str>) -> Result<&str, AuthError> {
    let header = header.ok_or(AuthError::MissingHeader)?.trim();
    if header.len() > LONGEST {
        return Err(AuthError::TooLarge);
    }
    let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(AuthError::NotBearer);
    }
    match token.trim_start() {
        "" => Err(AuthError::Malformed),
        token => Ok(token),
    }
}

/// A token taken apart. Nothing in it is to be believed before the signature is verified; until then the claims only
/// serve to find the key.
pub(super) struct Compact<'a> {
    pub(super) algorithm: TokenAlgorithm,
    pub(super) kid: Option<String>,
    pub(super) claims: Map<String, Value>,
    pub(super) signing_input: &'a str,
    pub(super) signature: Vec<u8>,
}

impl<'a> Compact<'a> {
    /// Takes a token apart.
    pub(super) fn parse(token: &'a str) -> Result<Self, AuthError> {
        let (signing_input, signature) = token.rsplit_once('.').ok_or(AuthError::Malformed)?;
        let (header, claims) = signing_input.split_once('.').ok_or(AuthError::Malformed)?;
        if claims.contains('.') {
            return Err(AuthError::Malformed);
        }
        let header = object(header)?;
        // No extension is understood, so a critical one has to be refused (RFC 7515, section 4.1.11).
        if header.contains_key("crit") {
            return Err(AuthError::Malformed);
        }
        let algorithm = header.get("alg").and_then(Value::as_str).ok_or(AuthError::Malformed)?;
        let algorithm = algorithm.parse().map_err(|_source| AuthError::AlgorithmNotAllowed)?;
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return Err(AuthError::Malformed),
        };
        let claims = object(claims)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_source| AuthError::Malformed)?;
        Ok(Self { algorithm, kid, claims, signing_input, signature })
    }

    /// `iss`.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }
}

fn object(part: &str) -> Result<Map<String, Value>, AuthError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_source| AuthError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_source| AuthError::Malformed)
}

/// A claim by its name, or by a path of names with dots between.
pub(super) fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(found) = claims.get(name) {
        return Some(found);
    }
    let (first, rest) = name.split_once('.')?;
    claim(claims.get(first)?.as_object()?, rest)
}

/// Checks the claims of a token with a good signature. Gives the caller and `exp`.
pub(super) fn accept(
    claims: &Map<String, Value>,
    trusted: &TrustedIssuer,
    now: Timestamp,
) -> Result<(Caller, Timestamp), AuthError> {
    let expires = numeric_date(claims, "exp")?.ok_or(AuthError::MissingExpiry)?;
    // "on or after" exp is too late (RFC 7519, section 4.1.4).
    if now >= expires.plus_seconds(LEEWAY_SECS) {
        return Err(AuthError::Expired);
    }
    if numeric_date(claims, "nbf")?.is_some_and(|from| now.plus_seconds(LEEWAY_SECS) < from) {
        return Err(AuthError::NotYetValid);
    }
    let meant_for_us =
        strings(claims.get("aud")).any(|audience| trusted.audiences.iter().any(|own| own == audience));
    if !meant_for_us {
        return Err(AuthError::WrongAudience);
    }
    let tenant = match (&trusted.tenants, claim(claims, &trusted.tenant_claim).and_then(Value::as_str)) {
        (TenantMapping::Fixed(tenant), _) => *tenant,
        (_, None | Some("")) => return Err(AuthError::MissingTenant),
        (mapping, Some(external)) => mapping.find(external).ok_or(AuthError::WrongTenant)?,
    };
    let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let client =
        ["appid", "azp", "client_id", "sub"].into_iter().find_map(text).ok_or(AuthError::MissingClient)?;
    let roles = strings(claim(claims, &trusted.roles_claim))
        .map(|role| trusted.role_names.get(role).map_or(role, String::as_str).to_owned())
        .collect();
    let token_id = text("jti").or_else(|| text("uti")).map(str::to_owned);
    Ok((Caller { tenant, client: ClientId::new(client), roles, token_id }, expires))
}

/// One string or the strings of an array (`aud`: RFC 7519, section 4.1.3; roles likewise).
fn strings(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let many = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    value.and_then(Value::as_str).into_iter().chain(many.iter().filter_map(Value::as_str))
}

/// A `NumericDate`: seconds since 1970, whose fraction is dropped (RFC 7519, section 2).
fn numeric_date(claims: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>, AuthError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let text = value.as_number().ok_or(AuthError::Malformed)?.to_string();
    let whole = text.split_once('.').map_or(text.as_str(), |(whole, _)| whole);
    match whole.parse() {
        Ok(seconds) if !text.contains(['e', 'E']) => Ok(Some(Timestamp::from_seconds(seconds))),
        _ => Err(AuthError::Malformed),
    }
}

#[cfg(test)]
mod tests;
