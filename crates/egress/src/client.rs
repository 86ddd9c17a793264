//! The calls themselves: fetch a JSON document, deliver a callback.
//!
//! Owns the configured HTTP clients and the limits of time and size. It must not retry, follow redirects or interpret
//! what it fetched.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, ClientBuilder, Response, redirect};
use url::Url;

use crate::error::{EgressError, HeaderRefusal};
use crate::headers::{header, is_ours, max_age, retry_after};
use crate::policy::Policy;
use crate::refusal::{Refusal, Route, judge};
use crate::resolve::{Filtering, Vouching};

const USER_AGENT: &str = concat!("Credenza/", env!("CARGO_PKG_VERSION"));
const ACCEPTED: HeaderValue =
    HeaderValue::from_static("application/json, application/did+json, application/jwk-set+json, */*;q=0.1");

/// How much of a callback's answer is read so that the connection can serve the next callback.
const DRAINED_BYTES: usize = 4 * 1024;
/// How long that reading may take: the status is known by then, so nobody should wait for the rest.
const DRAIN_TIME: Duration = Duration::from_millis(500);

/// Idle connections kept per host. Callbacks to one busy front end run side by side on HTTP/1.1.
const IDLE_PER_HOST: usize = 64;
const IDLE_TIME: Duration = Duration::from_secs(60);

/// The client. Cheap to clone; clones share the connections. Calls have to run on a tokio runtime that outlives them,
/// because a kept connection is driven by the runtime on which it was opened.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    policy: Policy,
    public: reqwest::Client,
    /// Only built when the policy vouches for anything: reading the trust store takes some milliseconds.
    vouched: Option<reqwest::Client>,
}

/// A fetched document.
#[derive(Debug, Clone, PartialEq)]
pub struct Fetched {
    /// The document.
    pub value: serde_json::Value,
    /// How long the other side lets it be reused, at most a day; `None` when it does not say.
    pub max_age: Option<Duration>,
}

/// A delivered message; whether `status` means success is the caller's to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// The answer's status. Redirects are not followed, so it may be 3xx.
    pub status: u16,
    /// How long the other side asks to wait before the next try, at most a day.
    pub retry_after: Option<Duration>,
}

impl Client {
    /// Builds the client.
    ///
    /// # Errors
    /// [`EgressError::Setup`]: a certificate of `extra_roots` or the system's trust store is not readable.
    pub fn new(policy: Policy) -> Result<Self, EgressError> {
        let public =
            builder(&policy)?.dns_resolver(Filtering::new(&policy.allowed_targets)).build().map_err(setup)?;
        let vouched = if policy.allow_http_loopback || !policy.allowed_targets.is_empty() {
            Some(builder(&policy)?.dns_resolver(Vouching).build().map_err(setup)?)
        } else {
            None
        };
        Ok(Self { inner: Arc::new(Inner { policy, public, vouched }) })
    }

    /// Judges a URL by its text, before anything is stored or sent. Names are judged again, by their addresses, at
    /// every call.
    ///
    /// # Errors
    /// [`Refusal`]: the URL may not be called under the policy.
    pub fn check(&self, url: &Url) -> Result<(), Refusal> {
        judge(url, &self.inner.policy).map(drop)
    }

    /// Fetches a JSON document of at most `max_response_bytes`.
    ///
    /// # Errors
    /// Any [`EgressError`] but `Header`. Only the status 200 counts as an answer.
    pub async fn get_json(&self, url: &Url) -> Result<Fetched, EgressError> {
        let client = self.route(url)?;
        let limit = self.inner.policy.max_response_bytes;
        let exchange = async {
            let request = client.get(url.clone()).header(ACCEPT, ACCEPTED);
            let response = request.send().await.map_err(EgressError::from_exchange)?;
            if response.status() != reqwest::StatusCode::OK {
                return Err(EgressError::Status(response.status().as_u16()));
            }
            let max_age = max_age(response.headers());
            let body = read(response, limit).await?;
            let value = serde_json::from_slice(&body).map_err(EgressError::NotJson)?;
            Ok(Fetched { value, max_age })
        };
        self.in_time(exchange).await
    }

    /// Posts a message and reads the answer's status. The answer's body is dropped.
    ///
    /// # Errors
    /// Any [`EgressError`] but `TooLarge`, `NotJson` and `Status`. After `TimedOut` and `Broken` the message may have
    /// arrived.
    pub async fn post(
        &self,
        url: &Url,
        headers: &[(&str, &str)],
        body: Vec<u8>,
        content_type: &str,
    ) -> Result<Delivered, EgressError> {
        let client = self.route(url)?;
        let fields = fields(headers, content_type)?;
        let exchange = async {
            let request = client.post(url.clone()).headers(fields).body(body);
            request.send().await.map_err(EgressError::from_exchange)
        };
        let response = self.in_time(exchange).await?;
        let delivered =
            Delivered { status: response.status().as_u16(), retry_after: retry_after(response.headers()) };
        if tokio::time::timeout(DRAIN_TIME, read(response, DRAINED_BYTES)).await.is_err() {
            tracing::debug!("the answer to a callback did not end; its connection is closed");
        }
        Ok(delivered)
    }

    fn route(&self, url: &Url) -> Result<&reqwest::Client, Refusal> {
        match judge(url, &self.inner.policy)? {
            Route::Public => Ok(&self.inner.public),
            Route::Vouched => Ok(self.inner.vouched.as_ref().unwrap_or(&self.inner.public)),
        }
    }

    /// One timer for resolution, connection, request and body together.
    async fn in_time<T>(
        &self,
        exchange: impl Future<Output = Result<T, EgressError>>,
    ) -> Result<T, EgressError> {
        match tokio::time::timeout(self.inner.policy.total_timeout, exchange).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(EgressError::TimedOut),
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("policy", &self.inner.policy).finish_non_exhaustive()
    }
}

fn builder(policy: &Policy) -> Result<ClientBuilder, EgressError> {
    let mut roots = Vec::new();
    for pem in &policy.extra_roots {
        roots.extend(Certificate::from_pem_bundle(pem).map_err(setup)?);
    }
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        // Decompression would let a small answer grow without limit.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        // The same protocol in every build, whatever features other crates switch on.
        .http1_only()
        .http1_max_headers(64)
        .tcp_nodelay(true)
        .connect_timeout(policy.connect_timeout)
        .pool_idle_timeout(IDLE_TIME)
        .pool_max_idle_per_host(IDLE_PER_HOST);
    if !roots.is_empty() {
        builder = builder.tls_certs_merge(roots);
    }
    Ok(builder)
}

fn setup(error: reqwest::Error) -> EgressError {
    EgressError::Setup(error)
}

fn fields(headers: &[(&str, &str)], content_type: &str) -> Result<HeaderMap, HeaderRefusal> {
    let mut fields = HeaderMap::with_capacity(headers.len() + 1);
    for (name, value) in headers {
        let (name, value): (HeaderName, HeaderValue) = header(name, value)?;
        if !is_ours(&name) {
            fields.append(name, value);
        }
    }
    let content_type = HeaderValue::from_str(content_type).map_err(|_source| HeaderRefusal::Malformed)?;
    fields.insert(CONTENT_TYPE, content_type);
    Ok(fields)
}

/// Reads a body up to a limit, whatever its announced length.
async fn read(mut response: Response, limit: usize) -> Result<Vec<u8>, EgressError> {
    let too_large = EgressError::TooLarge { limit };
    let announced = response.content_length().unwrap_or(0);
    if usize::try_from(announced).is_ok_and(|announced| announced > limit) {
        return Err(too_large);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(EgressError::from_exchange)? {
        if body.len().saturating_add(chunk.len()) > limit {
            return Err(too_large);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests;
