//! The way to a vault, step by step: name, connection, and why TLS failed.
//!
//! Owns the steps before the first byte, each with its own cause. Sends nothing.

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustls::CertificateError;
use tokio::net::TcpStream;
use url::Url;

use super::database::with_causes;

/// How long a name server may take.
const RESOLVE_LIMIT: Duration = Duration::from_secs(5);

/// A step of the way that was not passed.
#[derive(Debug)]
pub struct Blocked {
    /// What was seen.
    pub found: String,
    /// What to do about it.
    pub cure: String,
}

fn blocked(found: impl Into<String>, cure: impl Into<String>) -> Blocked {
    Blocked { found: found.into(), cure: cure.into() }
}

/// The vault's addresses.
pub async fn resolve(url: &Url) -> Result<Vec<SocketAddr>, Blocked> {
    let host = bare_host(url);
    let port = url.port_or_known_default().unwrap_or(443);
    let cure = || {
        format!(
            "check vault.url for a typing error. For a vault with a private endpoint this machine has to use the private \
             DNS zone (privatelink.vaultcore.azure.net for Azure); try: getent hosts {host}"
        )
    };
    let looked_up = tokio::time::timeout(RESOLVE_LIMIT, tokio::net::lookup_host((host.as_str(), port))).await;
    match looked_up {
        Ok(Ok(found)) => {
            let found: Vec<SocketAddr> = found.collect();
            if found.is_empty() { Err(blocked(format!("{host} has no address"), cure())) } else { Ok(found) }
        }
        Ok(Err(error)) => Err(blocked(format!("{host} cannot be resolved: {error}"), cure())),
        Err(_elapsed) => {
            Err(blocked(format!("no name server answered within {} s", RESOLVE_LIMIT.as_secs()), cure()))
        }
    }
}

/// A host as resolvers and TLS take it: without the brackets of an IPv6 address.
fn bare_host(url: &Url) -> String {
    url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned()
}

/// Whether an address is one of a private network, as private endpoints have them.
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

/// Connects to the first address that takes the connection; gives that address.
pub async fn connect(addresses: &[SocketAddr], limit: Duration) -> Result<SocketAddr, Blocked> {
    let mut last = None;
    for address in addresses {
        match tokio::time::timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(_stream)) => return Ok(*address),
            Ok(Err(error)) => {
                let cure = if error.kind() == io::ErrorKind::ConnectionRefused {
                    "nothing listens there: check host and port of vault.url; a simulator has to be started first"
                } else {
                    "check routes and firewalls between this machine and the vault (outgoing TCP 443)"
                };
                last = Some(blocked(format!("{address}: {error}"), cure));
            }
            Err(_elapsed) => {
                last = Some(blocked(
                    format!("{address}: no connection within {} ms", limit.as_millis()),
                    "a firewall drops the packets, or the address is of another network: allow outgoing TCP 443 to the \
                     vault, or reach it through its private endpoint",
                ));
            }
        }
    }
    Err(last.unwrap_or_else(|| blocked("there is no address to connect to", "check vault.url")))
}

/// Why a vault to which a connection stands was not reached all the same: the cause of a TLS handshake that failed.
pub fn explain_tls(host: &str, error: &(dyn Error + 'static)) -> Blocked {
    let Some(problem) = certificate_problem(error) else {
        return blocked(
            format!("the TLS handshake failed: {}", with_causes(error)),
            "what listens there does not speak TLS 1.2 or 1.3 as a vault does; check host and port, and whether a proxy is \
             in between",
        );
    };
    match problem {
        // The second: one of the same name with another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => blocked(
            "the certificate is signed by an authority that this machine does not trust",
            "name the authority's certificate: vault.ca_file, in `dev` --vault-ca. If this should be a vault of Azure, \
             something in between opens the connection (a proxy that inspects TLS): do not trust it lightly",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => blocked(
            "the certificate has expired",
            "compare this machine's clock with the right time; if it is right, the vault's certificate has to be renewed",
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => blocked(
            "the certificate is not valid yet",
            "compare this machine's clock with the right time: it is probably behind",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => blocked(
            format!("the certificate is for another name than {host}"),
            "use the name that stands in the certificate in vault.url; if it should be right, the name leads to another \
             machine",
        ),
        CertificateError::Revoked => blocked(
            "the certificate was revoked",
            "somebody else may answer in the vault's name: do not go on",
        ),
        other => blocked(
            format!("the certificate is not valid: {other:?}"),
            "have the certificate of what listens there looked at",
        ),
    }
}

/// What was wrong with a certificate, if that is what is at the bottom of an error.
fn certificate_problem<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a CertificateError> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(rustls::Error::InvalidCertificate(problem)) = cause.downcast_ref::<rustls::Error>() {
            return Some(problem);
        }
        // An I/O error that wraps another one leaves it out of its own chain.
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(problem: CertificateError) -> Blocked {
        let error = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::InvalidCertificate(problem));
        explain_tls("v.example", &error)
    }

    #[test]
    fn each_cause_of_a_failed_handshake_has_its_words() {
        for (problem, found, cure) in [
            (CertificateError::UnknownIssuer, "does not trust", "ca_file"),
            (CertificateError::Expired, "has expired", "clock"),
            (CertificateError::NotValidYet, "not valid yet", "clock"),
            (CertificateError::NotValidForName, "another name than v.example", "vault.url"),
            (CertificateError::Revoked, "revoked", "do not go on"),
            (CertificateError::BadSignature, "does not trust", "ca_file"),
            (CertificateError::BadEncoding, "BadEncoding", "looked at"),
        ] {
            let said = tls(problem);
            assert!(said.found.contains(found) && said.cure.contains(cure), "{said:?}");
        }
        let said = explain_tls("v.example", &io::Error::from(io::ErrorKind::UnexpectedEof));
        assert!(said.found.contains("handshake failed"), "{said:?}");
    }

    #[tokio::test]
    async fn a_name_that_is_not_there_and_a_port_where_nobody_listens() {
        let said = resolve(&Url::parse("https://no-such-vault.invalid").unwrap()).await.unwrap_err();
        assert!(
            said.found.contains("no-such-vault.invalid") || said.found.contains("name server"),
            "{said:?}"
        );
        let closed = {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap()
        };
        let said = connect(&[closed], Duration::from_secs(1)).await.unwrap_err();
        assert!(said.cure.contains("nothing listens"), "{said:?}");
        let addresses = resolve(&Url::parse("https://[::1]:8444").unwrap()).await.unwrap();
        assert!(addresses.iter().all(|address| address.port() == 8444 && is_private(address.ip())));
        assert!(!is_private("20.50.1.1".parse().unwrap()));
    }
}
