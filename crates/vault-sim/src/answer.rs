//! Owns answers on their way out: status, headers, body, and how the body travels.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Response;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use serde::Serialize;
use tokio::time::Sleep;

use crate::failure::{Failure, FailureKind};
use crate::fault::Transport;

pub const JSON: &str = "application/json; charset=utf-8";
pub const HTML: &str = "text/html";

/// A finished answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self { status: 200, headers: vec![("content-type", JSON.to_owned())], body },
            Err(error) => Self::failure(&Failure::new(FailureKind::InternalError, error.to_string())),
        }
    }

    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    pub fn text(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("content-type", content_type.to_owned())], body: body.into() }
    }

    pub fn failure(failure: &Failure) -> Self {
        let content_type = if failure.is_html() { HTML } else { JSON };
        let mut answer = Self::text(failure.status(), content_type, failure.body());
        if let Some(seconds) = failure.retry_after {
            answer.headers.push(("retry-after", seconds.to_string()));
        }
        if let Some(challenge) = &failure.challenge {
            answer.headers.push(("www-authenticate", challenge.clone()));
        }
        answer
    }

    /// As hyper sends it.
    pub fn into_response(self, transport: Transport) -> Response<AnswerBody> {
        let length = self.body.len();
        let mut response = Response::new(AnswerBody::new(self.body.into(), transport));
        if let Ok(status) = hyper::StatusCode::from_u16(self.status) {
            *response.status_mut() = status;
        }
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().append(HeaderName::from_static(name), value);
            }
        }
        if self.status != 204 {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        response
    }
}

enum Step {
    Wait(Duration),
    Data(Bytes),
    /// The connection ends here.
    Break,
}

/// A body that may trickle or break off.
pub struct AnswerBody {
    steps: VecDeque<Step>,
    wait: Option<Pin<Box<Sleep>>>,
}

/// Parts in which a slow body comes.
const PARTS: u32 = 10;
/// Lets the half that is sent leave before the connection ends.
const SETTLE: Duration = Duration::from_millis(50);

impl AnswerBody {
    pub fn new(body: Bytes, transport: Transport) -> Self {
        let mut steps = VecDeque::new();
        match transport {
            Transport::Slow(span) => {
                let size = body.len().div_ceil(10).max(1);
                for part in body.chunks(size) {
                    steps.push_back(Step::Wait(span / PARTS));
                    steps.push_back(Step::Data(Bytes::copy_from_slice(part)));
                }
            }
            Transport::Cut => {
                steps.push_back(Step::Data(body.slice(..body.len() / 2)));
                steps.push_back(Step::Wait(SETTLE));
                steps.push_back(Step::Break);
            }
            Transport::Whole | Transport::Reset => steps.push_back(Step::Data(body)),
        }
        Self { steps, wait: None }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            if let Some(wait) = self.wait.as_mut() {
                if wait.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                self.wait = None;
            }
            match self.steps.pop_front() {
                None => return Poll::Ready(None),
                Some(Step::Wait(span)) => self.wait = Some(Box::pin(tokio::time::sleep(span))),
                Some(Step::Data(data)) if data.is_empty() => {}
                Some(Step::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Some(Step::Break) => {
                    return Poll::Ready(Some(Err(io::Error::other("the answer is cut off on purpose"))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self.steps.front() {
            Some(Step::Data(data)) if self.steps.len() == 1 => {
                SizeHint::with_exact(u64::try_from(data.len()).unwrap_or(0))
            }
            None => SizeHint::with_exact(0),
            _ => SizeHint::default(),
        }
    }
}
