//! The HTTP client under a vault's transport, and what its failures mean.
//!
//! Owns the client's settings, which the budget's promises rest on: HTTP/1.1, no proxy, no redirects, no retries, and
//! connections that give up soon. It must not be used for addresses that others can choose: the transport sends to its
//! own vault only.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use azure_core::http::Method;
use azure_core::http::headers::{AUTHORIZATION, CONTENT_LENGTH, HeaderName, HeaderValue, Headers};
use bytes::{Bytes, BytesMut};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Certificate, Client, ClientBuilder, Response};

use super::config::{KeyVaultConfig, VaultConfigError};
use crate::error::{Cause, SignErrorKind, Unreachability};

/// Far more than a page of 25 keys; keeps a false vault from filling the memory.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// The name of the host has no address.
#[derive(Debug, thiserror::Error)]
#[error("the name {host:?} cannot be resolved")]
struct DnsFailure {
    host: String,
    #[source]
    source: io::Error,
}

/// The system's resolver, with failures that can be told from others.
#[derive(Debug)]
struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = tokio::net::lookup_host((host.as_str(), 0)).await;
            let found: Vec<SocketAddr> =
                found.map_err(|source| DnsFailure { host: host.clone(), source })?.collect();
            if found.is_empty() {
                let source = io::Error::from(io::ErrorKind::NotFound);
                return Err(DnsFailure { host, source }.into());
            }
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error(transparent)]
    Config(#[from] VaultConfigError),
    #[error("the HTTP client cannot be set up")]
    Build(#[source] reqwest::Error),
}

/// The client for the vault itself.
pub(super) fn vault_client(config: &KeyVaultConfig) -> Result<Client, ClientError> {
    let builder = base(config)?
        .https_only(true)
        .pool_max_idle_per_host(config.idle_connections)
        .tcp_user_timeout(config.timeouts.unacknowledged);
    builder.build().map_err(ClientError::Build)
}

/// The client for tokens. The machine's own identity endpoint speaks plain HTTP.
pub(super) fn token_client(config: &KeyVaultConfig) -> Result<Client, ClientError> {
    let builder = base(config)?.pool_max_idle_per_host(1).timeout(config.timeouts.token);
    builder.build().map_err(ClientError::Build)
}

fn base(config: &KeyVaultConfig) -> Result<ClientBuilder, ClientError> {
    let mut builder = Client::builder()
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .tcp_nodelay(true)
        .tls_version_min(reqwest::tls::Version::TLS_1_2)
        .connect_timeout(config.timeouts.connect)
        .dns_resolver(SystemResolver);
    if let Some(pem) = &config.ca_pem {
        let certificates =
            Certificate::from_pem_bundle(pem).map_err(|_source| VaultConfigError::Certificates)?;
        if certificates.is_empty() {
            return Err(VaultConfigError::Certificates.into());
        }
        builder = builder.tls_certs_merge(certificates);
    }
    Ok(builder)
}

/// An SDK request's head for the HTTP client; `None` for a method that nobody here uses. The caller adds authorization
/// and body; the length follows from the body.
pub(super) fn request(client: &Client, from: &azure_core::http::Request) -> Option<reqwest::RequestBuilder> {
    let method = match from.method() {
        Method::Delete => reqwest::Method::DELETE,
        Method::Get => reqwest::Method::GET,
        Method::Patch => reqwest::Method::PATCH,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        _ => return None,
    };
    let mut builder = client.request(method, from.url().clone());
    for (name, value) in from.headers().iter() {
        if *name != AUTHORIZATION && *name != CONTENT_LENGTH {
            builder = builder.header(name.as_str(), value.as_str());
        }
    }
    Some(builder)
}

/// An answer's head for the SDK. Values that are not text are left out.
pub(super) fn headers(from: &reqwest::header::HeaderMap) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in from {
        if let Ok(value) = value.to_str() {
            headers.insert(HeaderName::from(name.as_str().to_owned()), HeaderValue::from(value.to_owned()));
        }
    }
    headers
}

/// Why an answer's body cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("the answer broke off")]
    BrokenOff(#[source] reqwest::Error),
    #[error("the answer is longer than {LONGEST_ANSWER} bytes")]
    TooLong,
}

/// The answer's body, whole.
pub(super) async fn read(mut response: Response) -> Result<Bytes, ReadError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(ReadError::BrokenOff)? {
        if body.len().saturating_add(chunk.len()) > LONGEST_ANSWER {
            return Err(ReadError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// What a failure to get an answer means. `sent`: whether bytes of the request may have gone out.
pub(super) fn failure(error: reqwest::Error, sent: bool) -> SignErrorKind {
    if error.is_connect() {
        let why = unreachability(&error);
        return SignErrorKind::Unreachable { why, source: Cause::from(error) };
    }
    if error.is_timeout() {
        return SignErrorKind::TimedOut { may_have_signed: sent };
    }
    SignErrorKind::Unavailable { may_have_signed: sent, source: Cause::from(error) }
}

/// Where on the way to a connection it went wrong.
fn unreachability(error: &reqwest::Error) -> Unreachability {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if cause.is::<DnsFailure>() {
            return Unreachability::Dns;
        }
        if cause.is::<rustls::Error>() {
            return Unreachability::Tls;
        }
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            match io.kind() {
                io::ErrorKind::ConnectionRefused => return Unreachability::Refused,
                io::ErrorKind::TimedOut => return Unreachability::TimedOut,
                _ => {}
            }
            // An I/O error that wraps another one leaves it out of its own chain.
            if let Some(inner) = io.get_ref() {
                next = Some(inner);
                continue;
            }
        }
        next = cause.source();
    }
    if error.is_timeout() { Unreachability::TimedOut } else { Unreachability::Network }
}
