//! Owns the error answers: statuses, codes and the shape of their body. The messages are our own words.

use serde::{Deserialize, Serialize};

/// An inner code of a 403.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForbiddenCode {
    /// No role grants it.
    ForbiddenByRbac,
    /// No access policy grants it.
    ForbiddenByPolicy,
    /// An older variant of the same.
    AccessDenied,
    /// The caller's address is not allowed.
    ForbiddenByFirewall,
    /// Public access is off.
    ForbiddenByConnection,
    /// The key is disabled.
    KeyDisabled,
    /// Not in the key's `key_ops`.
    KeyOperationForbidden,
    /// At or after `exp`.
    KeyExpired,
    /// Before `nbf`.
    KeyNotYetValid,
}

impl ForbiddenCode {
    /// Whether it is the caller who is refused, not what the key may do.
    pub(crate) fn is_about_the_caller(self) -> bool {
        match self {
            Self::ForbiddenByRbac
            | Self::ForbiddenByPolicy
            | Self::AccessDenied
            | Self::ForbiddenByFirewall
            | Self::ForbiddenByConnection => true,
            Self::KeyDisabled | Self::KeyOperationForbidden | Self::KeyExpired | Self::KeyNotYetValid => {
                false
            }
        }
    }
}

/// An inner code of a 409.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConflictCode {
    /// A delete or purge is under way.
    ObjectIsBeingDeleted,
    /// Soft-deleted: recover or purge it first.
    ObjectIsDeletedButRecoverable,
    /// A recovery is under way.
    ObjectIsBeingRecovered,
}

/// What kind of failure an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    BadParameter,
    Unauthorized,
    /// `None`: no inner code is known for it.
    Forbidden(Option<ForbiddenCode>),
    KeyNotFound,
    NotFound,
    Conflict(Option<ConflictCode>),
    Throttled,
    InternalError,
    /// Said by a proxy before the service, in HTML.
    BadGateway,
    ServiceUnavailable,
    /// Said by a proxy, too.
    GatewayTimeout,
}

impl FailureKind {
    fn status_and_code(self) -> (u16, &'static str) {
        match self {
            Self::BadParameter => (400, "BadParameter"),
            Self::Unauthorized => (401, "Unauthorized"),
            Self::Forbidden(_) => (403, "Forbidden"),
            Self::KeyNotFound => (404, "KeyNotFound"),
            Self::NotFound => (404, "NotFound"),
            Self::Conflict(_) => (409, "Conflict"),
            Self::Throttled => (429, "Throttled"),
            Self::InternalError => (500, "InternalError"),
            Self::BadGateway => (502, "Bad Gateway"),
            Self::ServiceUnavailable => (503, "ServiceUnavailable"),
            Self::GatewayTimeout => (504, "Gateway Timeout"),
        }
    }
}

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind:?}: {message}")]
pub struct Failure {
    pub kind: FailureKind,
    pub message: String,
    /// Seconds, for `Retry-After`.
    pub retry_after: Option<u32>,
    /// The `WWW-Authenticate` of a 401.
    pub challenge: Option<String>,
}

#[derive(Serialize)]
struct Body<'a> {
    error: Error<'a>,
}

#[derive(Serialize)]
struct Error<'a> {
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    innererror: Option<Inner>,
}

#[derive(Serialize)]
struct Inner {
    code: InnerCode,
}

#[derive(Serialize)]
#[serde(untagged)]
enum InnerCode {
    Forbidden(ForbiddenCode),
    Conflict(ConflictCode),
}

impl Failure {
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None, challenge: None }
    }

    pub fn bad_parameter(message: impl Into<String>) -> Self {
        Self::new(FailureKind::BadParameter, message)
    }

    pub fn forbidden(inner: ForbiddenCode, message: impl Into<String>) -> Self {
        Self::new(FailureKind::Forbidden(Some(inner)), message)
    }

    pub fn conflict(inner: Option<ConflictCode>, message: impl Into<String>) -> Self {
        Self::new(FailureKind::Conflict(inner), message)
    }

    pub fn key_not_found(id: &str) -> Self {
        Self::new(FailureKind::KeyNotFound, format!("There is no key {id} in this key vault."))
    }

    /// The refusal by a limit. The documented reason token ends the message.
    pub fn throttled(retry_after: Option<u32>) -> Self {
        let message = "The vault has had too many operations of this kind; try later. Reason: VaultRequestTypeLimitReached";
        Self { retry_after, ..Self::new(FailureKind::Throttled, message) }
    }

    pub fn status(&self) -> u16 {
        self.kind.status_and_code().0
    }

    /// Whether the body is a proxy's HTML instead of the service's JSON.
    pub fn is_html(&self) -> bool {
        matches!(self.kind, FailureKind::BadGateway | FailureKind::GatewayTimeout)
    }

    /// The body as the service sends it.
    pub fn body(&self) -> Vec<u8> {
        if self.is_html() {
            let (status, code) = self.kind.status_and_code();
            return format!("<html><body><h1>{status} {code}</h1></body></html>").into_bytes();
        }
        let inner = match self.kind {
            FailureKind::Forbidden(inner) => inner.map(InnerCode::Forbidden),
            FailureKind::Conflict(inner) => inner.map(InnerCode::Conflict),
            _ => None,
        };
        let body = Body {
            error: Error {
                code: self.kind.status_and_code().1,
                message: &self.message,
                innererror: inner.map(|code| Inner { code }),
            },
        };
        serde_json::to_vec(&body).unwrap_or_default()
    }
}
