//! Reading request bodies: limited in size, in time and in how much of all of them together waits in memory.
//!
//! Most callers are anonymous, so a body that comes slowly or never must cost little and end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use domain::error::InnerCode;
use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;

use super::BODY_LIMIT;
use super::error::ApiError;

/// How long a body may take. Wallets and front ends send theirs at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of unfinished bodies of all callers together.
const BUDGET: usize = 64 * 1_048_576;

static BUFFERED: AtomicUsize = AtomicUsize::new(0);

/// The largest body of a resource, where it is not [`BODY_LIMIT`].
#[derive(Debug, Clone, Copy)]
pub struct Limit(pub usize);

/// A whole body, or why there is none.
pub struct Body(pub Result<web::Bytes, ApiError>);

/// What one body holds of the budget; given back when it is dropped.
struct Share(usize);

impl Share {
    fn grow(&mut self, bytes: usize) -> bool {
        self.0 += bytes;
        BUFFERED.fetch_add(bytes, Ordering::Relaxed) + bytes <= BUDGET
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        BUFFERED.fetch_sub(self.0, Ordering::Relaxed);
    }
}

impl FromRequest for Body {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let limit = request.app_data::<Limit>().map_or(BODY_LIMIT, |limit| limit.0);
        let payload = payload.take();
        Box::pin(async move {
            let read = tokio::time::timeout(PATIENCE, read(payload, limit)).await;
            Ok(Self(read.unwrap_or_else(|_late| {
                let message = "The request body did not come in time.";
                Err(ApiError::new(408, InnerCode::TransientError, message).closing())
            })))
        })
    }
}

async fn read(mut payload: Payload, limit: usize) -> Result<web::Bytes, ApiError> {
    let mut share = Share(0);
    let mut body = web::BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_source| {
            ApiError::new(400, InnerCode::BadOrMissingField, "The request body could not be read.")
        })?;
        if body.len() + chunk.len() > limit {
            let message = format!("The request body is larger than {} MiB.", limit / 1_048_576);
            return Err(ApiError::new(413, InnerCode::BadOrMissingField, message).closing());
        }
        if !share.grow(chunk.len()) {
            return Err(ApiError::busy("Too many request bodies are on their way, try again.").closing());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
