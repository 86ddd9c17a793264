//! What can go wrong with a call, as far as callers act on it.
//!
//! Owns the error and the reading of the HTTP client's errors. It must not keep URLs: they may carry secrets.

use std::error::Error;
use std::io;

use crate::refusal::Refusal;

/// A call that gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The URL, or every address behind its name, may not be called.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A header may not be sent.
    #[error(transparent)]
    Header(#[from] HeaderRefusal),
    /// The name could not be resolved.
    #[error("the name could not be resolved")]
    Dns(#[source] reqwest::Error),
    /// No TCP connection.
    #[error("no connection")]
    Connect(#[source] reqwest::Error),
    /// The TLS handshake failed: an untrusted, expired or wrong certificate, or no common parameters.
    #[error("no TLS connection")]
    Tls(#[source] reqwest::Error),
    /// The time of the policy ran out. The other side may have acted on the request.
    #[error("no complete answer in time")]
    TimedOut,
    /// The connection broke, or the answer was not HTTP. The other side may have acted on the request.
    #[error("the exchange broke off")]
    Broken(#[source] reqwest::Error),
    /// The document is larger than the policy's limit.
    #[error("the document is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The document is not JSON.
    #[error("the document is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// An answer other than 200; redirects are not followed and end here too.
    #[error("the answer has status {0}")]
    Status(u16),
    /// A certificate of `extra_roots` is not readable, or the system's trust store is not.
    #[error("the HTTP client could not be set up")]
    Setup(#[source] reqwest::Error),
}

/// Why a header may not be sent with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderRefusal {
    /// Not a header name or value (RFC 9110, sections 5.1 and 5.5).
    #[error("not a valid HTTP header")]
    Malformed,
    /// The header frames or routes the message; only the HTTP client may set it.
    #[error("this HTTP header may not be set")]
    Reserved,
}

impl EgressError {
    /// Whether the same call would fail again: nothing to gain from a retry.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Refused(_)
            | Self::Header(_)
            | Self::TooLarge { .. }
            | Self::NotJson(_)
            | Self::Setup(_) => true,
            Self::Dns(_) | Self::Connect(_) | Self::Tls(_) | Self::TimedOut | Self::Broken(_) => false,
            // Request Timeout, Too Early, Too Many Requests ask for another try (RFC 9110, 8470, 6585).
            Self::Status(status) => !matches!(status, 408 | 425 | 429 | 500..=599),
        }
    }

    /// A stable word for logs and metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Header(_) => "header",
            Self::Dns(_) => "dns",
            Self::Connect(_) => "connect",
            Self::Tls(_) => "tls",
            Self::TimedOut => "timed_out",
            Self::Broken(_) => "broken",
            Self::TooLarge { .. } => "too_large",
            Self::NotJson(_) => "not_json",
            Self::Status(_) => "status",
            Self::Setup(_) => "setup",
        }
    }

    /// Sorts an error of the HTTP client. The URL is taken out: callback URLs may carry secrets.
    pub(crate) fn from_exchange(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if let Some(refusal) = find::<Refusal>(&error) {
            return Self::Refused(*refusal);
        }
        if error.is_timeout() {
            return Self::TimedOut;
        }
        if find::<rustls::Error>(&error).is_some() {
            return Self::Tls(error);
        }
        if error.is_dns() {
            return Self::Dns(error);
        }
        if error.is_connect() { Self::Connect(error) } else { Self::Broken(error) }
    }
}

/// Looks for an error in the chain of sources. An `io::Error` hides what it wraps from that chain, so it is opened.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<E>() {
            return Some(found);
        }
        next = match current.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => current.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_inside_io_errors_is_found() {
        let hidden = io::Error::other(io::Error::other(Refusal::Scheme));
        assert_eq!(find::<Refusal>(&hidden), Some(&Refusal::Scheme));
        assert_eq!(find::<Refusal>(&io::Error::other("x")), None);
    }

    #[test]
    fn what_is_worth_a_retry() {
        for status in [408, 425, 429, 500, 503, 599] {
            assert!(!EgressError::Status(status).is_permanent(), "{status}");
        }
        for status in [204, 301, 302, 400, 404, 410] {
            assert!(EgressError::Status(status).is_permanent(), "{status}");
        }
        assert!(!EgressError::TimedOut.is_permanent());
        assert!(EgressError::Refused(Refusal::UserInfo).is_permanent());
        assert!(EgressError::TooLarge { limit: 1 }.is_permanent());
        assert!(EgressError::Header(HeaderRefusal::Reserved).is_permanent());
    }
}
