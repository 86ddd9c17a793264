//! The last step of the SDK's pipeline: sends a request, once.
//!
//! Owns what goes over the wire to a vault. It must not send twice on one [`Exchange`], to another host than its vault,
//! or after a permit's deadline.
//!
//! The SDK asks for authorization by sending its first request without a token and repeating it after the vault's
//! challenge. That would be a second exchange, and a logged refusal. So this transport answers the first one itself,
//! with the challenge that the configuration implies, and nothing goes out. The SDK's check that the vault's host
//! belongs to the challenged resource still runs. The token comes from [`Tokens`], which renews it early: the one that
//! the SDK holds is a placeholder.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::{Error, ErrorKind};
use azure_core::http::headers::{AUTHORIZATION, Headers, USER_AGENT, WWW_AUTHENTICATE};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{AsyncRawResponse, Body, Context, Request, StatusCode};
use azure_core::time::OffsetDateTime;
use bytes::Bytes;
use reqwest::Client;
use reqwest::header::HeaderValue;

use super::answer;
use super::body::GatedBody;
use super::config::authority;
use super::exchange::{Exchange, Gate, Outcome};
use super::http;
use super::tokens::{Token, Tokens};
use crate::error::{InvalidResponse, SignError, SignErrorKind, TokenProblem};

/// Names the attempt in the vault's log. The User-Agent is the only text of ours that is known to get there.
#[derive(Debug)]
pub(super) struct NamesTheAttempt;

#[async_trait]
impl Policy for NamesTheAttempt {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let attempt = ctx.value::<Arc<Exchange>>().and_then(|exchange| exchange.attempt.as_deref());
        let agent = attempt.map_or_else(|| PRODUCT.to_owned(), |name| format!("{PRODUCT} (a={name})"));
        request.insert_header(USER_AGENT, agent);
        let Some((first, rest)) = next.split_first() else {
            return Err(Error::with_message(ErrorKind::Other, "a pipeline without transport"));
        };
        first.send(ctx, request, rest).await
    }
}

const PRODUCT: &str = concat!("credenza/", env!("CARGO_PKG_VERSION"));

/// Sends to one vault.
pub(super) struct VaultTransport {
    client: Client,
    tokens: Arc<Tokens>,
    /// Host and port of the vault. A list's next page is an address that the answer names.
    authority: String,
    /// What the vault would challenge for.
    challenge: String,
}

impl fmt::Debug for VaultTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultTransport").field("authority", &self.authority).finish_non_exhaustive()
    }
}

impl VaultTransport {
    pub(super) fn new(client: Client, tokens: Arc<Tokens>, authority: String, resource: &str) -> Self {
        let challenge = format!("Bearer resource=\"{resource}\"");
        Self { client, tokens, authority, challenge }
    }

    /// Sends, and records what came of it. The error is for the SDK; the record is what counts.
    async fn exchange(&self, exchange: &Exchange, request: &Request) -> Result<AsyncRawResponse, Spoiled> {
        let answer = if request.url().scheme() != "https" || authority(request.url()) != self.authority {
            Err(SignErrorKind::BadResponse(InvalidResponse::Malformed).into())
        } else if !exchange.take() {
            Err(SignErrorKind::PermitSpent.into())
        } else {
            match tokio::time::timeout(exchange.gate.left(), self.send(exchange, request)).await {
                Ok(answer) => answer,
                // The connection is dropped with the future, so that no later bytes follow.
                Err(_elapsed) if exchange.gate.is_sent() => {
                    Err(SignErrorKind::TimedOut { may_have_signed: true }.into())
                }
                Err(_elapsed) => Err(SignErrorKind::PermitExpired.into()),
            }
        };
        answer.map_err(|error| {
            exchange.record(Outcome::Failed(error));
            Spoiled
        })
    }

    async fn send(&self, exchange: &Exchange, request: &Request) -> Result<AsyncRawResponse, SignError> {
        let token = self.tokens.current().await?;
        let response = self.post(exchange, request, &token).await?;
        let status = response.status().as_u16();
        let headers = http::headers(response.headers());
        let receipt = answer::receipt(status, &headers);
        if status == UNAUTHORIZED {
            self.tokens.refuse(&token);
        }
        let body = http::read(response).await.map_err(|error| {
            // The head has come, so the request has arrived; what it led to is unknown.
            let kind = SignErrorKind::Unavailable { may_have_signed: true, source: error.into() };
            SignError::answered_with(kind, receipt.clone())
        })?;
        if status != OK {
            // Not handed to the SDK, which would send again after a 401.
            return Err(answer::refusal(receipt, &headers, &body, token.is_fresh()));
        }
        exchange.record(Outcome::Answered(receipt));
        Ok(AsyncRawResponse::from_bytes(StatusCode::Ok, headers, body))
    }

    async fn post(
        &self,
        exchange: &Exchange,
        request: &Request,
        token: &Token,
    ) -> Result<reqwest::Response, SignErrorKind> {
        let Body::Bytes(bytes) = request.body() else { return Err(SignErrorKind::InvalidRequest) };
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.secret())).map_err(|source| {
            SignErrorKind::NoToken { why: TokenProblem::Credential, source: source.into() }
        })?;
        bearer.set_sensitive(true);
        let head = http::request(&self.client, request).ok_or(SignErrorKind::InvalidRequest)?;
        let mut builder = head.header(reqwest::header::AUTHORIZATION, bearer);
        let sent = if bytes.is_empty() {
            if !request.method().is_safe() {
                builder = builder.header(reqwest::header::CONTENT_LENGTH, 0);
            }
            // Nothing to gate in the body.
            while_open(&exchange.gate, builder.send()).await?
        } else {
            let body = GatedBody::new(bytes.clone(), exchange.gate.clone());
            builder.body(reqwest::Body::wrap(body)).send().await
        };
        sent.map_err(|error| {
            if exchange.gate.is_expired() {
                SignErrorKind::PermitExpired
            } else {
                http::failure(error, exchange.gate.is_sent())
            }
        })
    }
}

/// Sends a request without a body, which can only be judged between its steps: before a connection is sought and each
/// time that one is waited for, so that a machine which slept meanwhile sends nothing late.
pub(super) async fn while_open<T>(gate: &Gate, sending: impl Future<Output = T>) -> Result<T, SignErrorKind> {
    if !gate.pass() {
        return Err(SignErrorKind::PermitExpired);
    }
    let mut sending = pin!(sending);
    std::future::poll_fn(|context| {
        if gate.is_over() {
            return Poll::Ready(Err(SignErrorKind::TimedOut { may_have_signed: true }));
        }
        sending.as_mut().poll(context).map(Ok)
    })
    .await
}

/// For the SDK: the exchange has the reason.
struct Spoiled;

const OK: u16 = 200;
const UNAUTHORIZED: u16 = 401;

#[async_trait]
impl Policy for VaultTransport {
    async fn send(&self, ctx: &Context, request: &mut Request, _next: &[Arc<dyn Policy>]) -> PolicyResult {
        let Some(exchange) = ctx.value::<Arc<Exchange>>() else {
            return Err(Error::with_message(ErrorKind::Other, "a request without leave to be sent"));
        };
        if request.headers().get_optional_str(&AUTHORIZATION).is_none() {
            let mut headers = Headers::new();
            headers.insert(WWW_AUTHENTICATE, self.challenge.clone());
            return Ok(AsyncRawResponse::from_bytes(StatusCode::Unauthorized, headers, Bytes::new()));
        }
        let answer = self.exchange(exchange, request).await;
        answer.map_err(|Spoiled| Error::with_message(ErrorKind::Other, "the exchange has the reason"))
    }
}

/// Stands where the SDK wants a credential. The transport puts the real token in.
#[derive(Debug)]
pub(super) struct Placeholder;

#[async_trait]
impl TokenCredential for Placeholder {
    async fn get_token(
        &self,
        _scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        // The year 9999, so that the SDK never asks again.
        let never = OffsetDateTime::from_unix_timestamp(253_370_764_800).map_err(|source| {
            Error::with_error(ErrorKind::DataConversion, source, "the placeholder's end of life")
        })?;
        Ok(AccessToken::new("placeholder", never))
    }
}

/// Sends token requests. One for each token: it remembers what the endpoint said.
pub(super) struct TokenTransport {
    client: Client,
    limit: Duration,
    seen: std::sync::Mutex<Option<Seen>>,
}

/// What a token endpoint said.
#[derive(Debug)]
pub(super) enum Seen {
    /// It answered.
    Status(u16),
    /// It did not, for this reason.
    Failed(SignErrorKind),
}

impl fmt::Debug for TokenTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenTransport")
    }
}

impl TokenTransport {
    pub(super) fn new(client: Client, limit: Duration) -> Arc<Self> {
        Arc::new(Self { client, limit, seen: std::sync::Mutex::new(None) })
    }

    /// What came of the last request.
    pub(super) fn seen(&self) -> Option<Seen> {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }

    fn remember(&self, seen: Seen) {
        *self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(seen);
    }

    async fn exchange(&self, request: &Request) -> Result<AsyncRawResponse, SignErrorKind> {
        let Body::Bytes(bytes) = request.body() else { return Err(SignErrorKind::InvalidRequest) };
        let head = http::request(&self.client, request).ok_or(SignErrorKind::InvalidRequest)?;
        let builder = head.body(bytes.clone());
        let response = builder.send().await.map_err(|error| http::failure(error, true))?;
        let (status, headers) = (response.status().as_u16(), http::headers(response.headers()));
        let body = http::read(response)
            .await
            .map_err(|error| SignErrorKind::Unavailable { may_have_signed: false, source: error.into() })?;
        self.remember(Seen::Status(status));
        Ok(AsyncRawResponse::from_bytes(StatusCode::from(status), headers, body))
    }
}

#[async_trait]
impl Policy for TokenTransport {
    async fn send(&self, _ctx: &Context, request: &mut Request, _next: &[Arc<dyn Policy>]) -> PolicyResult {
        let answer = match tokio::time::timeout(self.limit, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(SignErrorKind::TimedOut { may_have_signed: false }),
        };
        // The kind is kept here; the SDK's error has no room for it.
        answer.map_err(|kind| {
            self.remember(Seen::Failed(kind));
            Error::with_message(ErrorKind::Io, "the token endpoint did not answer")
        })
    }
}
