//! Why a back end did not sign or did not do what a key administrator asked.
//!
//! Owns the kinds of failure that all back ends share and what they mean for the caller (retry, audit). It must not
//! carry a vault's texts to front ends: those stay in the source chain, which goes to the log.

mod kind;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;
use std::time::Duration;

pub use kind::{Denial, InvalidResponse, SignErrorKind, TokenProblem, Unreachability};

use crate::receipt::Receipt;

/// The cause inside a back end, for the log.
pub type Cause = Box<dyn Error + Send + Sync>;

/// What a caller does after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Trying again cannot help: an operator has to mend something, or the request is wrong.
    Never,
    /// A new attempt (with its own slot and permit) may succeed, after this time at the earliest.
    After(Duration),
}

/// A back end could not do what was asked: the kind, and what the back end's answer said about the exchange, if there
/// was an answer.
#[derive(Debug)]
pub struct SignError {
    kind: SignErrorKind,
    receipt: Option<Box<Receipt>>,
}

impl SignError {
    /// A failure that comes from an answer of the back end.
    #[must_use]
    pub fn answered_with(kind: SignErrorKind, receipt: Receipt) -> Self {
        Self { kind, receipt: Some(Box::new(receipt)) }
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> &SignErrorKind {
        &self.kind
    }

    /// What the answer said about the exchange. `None` if nothing came back.
    #[must_use]
    pub fn receipt(&self) -> Option<&Receipt> {
        self.receipt.as_deref()
    }

    /// Whether the back end itself answered, so that the request has arrived and its slot may be returned by the time
    /// of the answer.
    #[must_use]
    pub fn answered(&self) -> bool {
        self.receipt().is_some_and(Receipt::answered)
    }

    /// Whether a new attempt may help. It costs a slot, needs a new permit and is made by one layer only.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.kind.retry()
    }

    /// Whether the back end may have made a signature, so that its log may hold one that we never saw.
    #[must_use]
    pub fn may_have_signed(&self) -> bool {
        self.kind.may_have_signed()
    }

    /// The stable word for metrics and the ledger.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.kind.code()
    }
}

impl From<SignErrorKind> for SignError {
    fn from(kind: SignErrorKind) -> Self {
        Self { kind, receipt: None }
    }
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.kind, f)
    }
}

impl Error for SignError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind.source()
    }
}
