//! A request's body that asks for leave when its bytes are wanted.
//!
//! Owns the last check of a permit's deadline: the HTTP client polls a body after it has a connection and before any
//! byte of the request has been written, so that a request which waited too long for its connection sends nothing. It
//! tells its exact length, which a vault wants as `Content-Length`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::exchange::Gate;

/// The deadline had come when the connection was there.
#[derive(Debug, thiserror::Error)]
#[error("the deadline came before the request could be sent")]
pub(super) struct Expired;

/// Bytes behind a gate.
pub(super) struct GatedBody {
    bytes: Option<Bytes>,
    gate: Arc<Gate>,
}

impl GatedBody {
    pub(super) fn new(bytes: Bytes, gate: Arc<Gate>) -> Self {
        Self { bytes: Some(bytes), gate }
    }
}

impl Body for GatedBody {
    type Data = Bytes;
    type Error = Expired;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Expired>>> {
        let Some(bytes) = self.bytes.take() else { return Poll::Ready(None) };
        Poll::Ready(Some(if self.gate.pass() { Ok(Frame::data(bytes)) } else { Err(Expired) }))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.bytes.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
    }
}
