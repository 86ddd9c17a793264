//! The door: what is asked of a call before anything of it is read.
//!
//! Owns finding a caller's address in an HTTP request and telling which quota its path counts under. Must not decide:
//! `crate::inbound` does.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::dev::ServiceRequest;
use actix_web::http::header::HeaderMap;

use super::error::ApiError;
use crate::Issuer;
use crate::inbound::address::TrustedProxies;
use crate::inbound::quota::Kind;

/// Health is asked often, by few, and must answer when everybody else is refused.
const HEALTH: [&str; 2] = ["/livez", "/readyz"];

/// Asks inbound protection for a call; the application's middleware does it once the path is in its one spelling.
///
/// # Errors
/// 429 when the caller's address has used up its quota.
pub fn admit(issuer: &Issuer, request: &ServiceRequest) -> Result<(), ApiError> {
    if !issuer.inbound.is_limited() {
        return Ok(());
    }
    let Some(kind) = kind(request.path()) else { return Ok(()) };
    // Without a peer there is no network in between.
    let Some(peer) = request.peer_addr() else { return Ok(()) };
    let address = address(issuer.inbound.proxies(), peer.ip(), request.headers());
    Ok(issuer.inbound.address(kind, address)?)
}

/// The quota of a path; none for health.
fn kind(path: &str) -> Option<Kind> {
    match path {
        path if HEALTH.contains(&path) => None,
        super::request_api::CREATE_PATH => Some(Kind::FrontEndAddress),
        // Asked by the token endpoint itself, because its errors have another form.
        path if is_token_endpoint(path) => None,
        _ => Some(Kind::Address),
    }
}

/// `/{tenant}/oauth2/v2.0/token`, exactly as it is routed.
fn is_token_endpoint(path: &str) -> bool {
    path.strip_prefix('/')
        .and_then(|path| path.strip_suffix("/oauth2/v2.0/token"))
        .is_some_and(|tenant| !tenant.is_empty() && !tenant.contains('/'))
}

/// Asks inbound protection for a call of the token endpoint; gives the seconds to wait when there were too many.
pub(super) fn admit_token_call(issuer: &Issuer, request: &HttpRequest) -> Result<(), Option<u64>> {
    let Some(peer) = request.peer_addr().filter(|_| issuer.inbound.is_limited()) else { return Ok(()) };
    let address = address(issuer.inbound.proxies(), peer.ip(), request.headers());
    issuer.inbound.address(Kind::TokenAddress, address).map_err(|refused| refused.retry_after_secs())
}

fn address(proxies: &TrustedProxies, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let lines: Vec<Option<&str>> =
        headers.get_all(proxies.header.name()).map(|value| value.to_str().ok()).collect();
    proxies.caller(peer, lines.into_iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_but_health_and_token_counts_under_a_quota() {
        let create = super::super::request_api::CREATE_PATH;
        for (path, expected) in [
            ("/livez", None),
            ("/readyz", None),
            (create, Some(Kind::FrontEndAddress)),
            ("/de500000-0000-4000-8000-000000000001/oauth2/v2.0/token", None),
            ("/a/b/oauth2/v2.0/token", Some(Kind::Address)),
            ("//oauth2/v2.0/token", Some(Kind::Address)),
            ("/oauth2/v2.0/token", Some(Kind::Address)),
            ("/", Some(Kind::Address)),
            ("/livez/x", Some(Kind::Address)),
            ("/.well-known/did.json", Some(Kind::Address)),
            ("/v1.0/tenants/x/verifiableCredentials/issue", Some(Kind::Address)),
        ] {
            assert_eq!(kind(path), expected, "{path}");
        }
    }
}
