//! The kinds of failure.
//!
//! Owns their list and, for each, its word, its retry meaning and whether a signature may exist. It must not depend on
//! any back end: a vault's codes are translated where they arrive.

use std::time::Duration;

use domain::SignatureAlgorithm;

use super::{Cause, Retry};
use crate::backend::Unsupported;

/// How long a caller waits before it tries again when the back end named no time.
const PAUSE: Duration = Duration::from_millis(100);
/// The same where an endpoint that is not the vault itself has to come back.
const LONG_PAUSE: Duration = Duration::from_secs(1);

/// What was wrong with a back end's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidResponse {
    /// Not in the form that the back end's protocol prescribes.
    Malformed,
    /// A signature that is not as long as its algorithm's signatures are.
    SignatureLength,
    /// A public key that is no point of its curve, or of another curve.
    PublicKey,
}

/// Why no connection was made. Nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachability {
    /// The host's name has no address, or the name service does not answer.
    Dns,
    /// The TLS handshake failed, which mostly means a certificate that is not trusted.
    Tls,
    /// Nobody listens there.
    Refused,
    /// The connection was not made in time.
    TimedOut,
    /// Anything else on the way.
    Network,
}

/// Why there is no access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenProblem {
    /// The credential cannot be used here: a missing variable, file or program.
    Credential,
    /// The token endpoint refuses our identity.
    Refused,
    /// The token endpoint cannot be reached, is out of order or throttles.
    Unavailable,
}

/// Who denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// No role that allows this (Azure RBAC).
    Role,
    /// No access policy that allows this.
    Policy,
    /// The vault's firewall does not know our address.
    Firewall,
    /// Public access is off and we do not come through an approved private link.
    Network,
    /// The key may not be used for this (`key_ops`).
    KeyOperation,
    /// It was not said, or in words that are not known here.
    Unknown,
}

/// What went wrong. The kinds are the same for all back ends.
#[derive(Debug, thiserror::Error)]
pub enum SignErrorKind {
    /// The back end refuses for now because of its own limit.
    #[error("the key's back end is throttling")]
    Throttled {
        /// When it wants to be asked again.
        after: Duration,
    },
    /// Our own budget for this back end is used up; the back end was not asked.
    #[error("the vault budget is exhausted")]
    BudgetExhausted {
        /// When a slot can be free again.
        after: Duration,
    },
    /// The back end says that it is out of order, or the connection broke.
    #[error("the key's back end is unavailable")]
    Unavailable {
        /// Whether the request may have been carried out all the same.
        may_have_signed: bool,
        /// What happened.
        #[source]
        source: Cause,
    },
    /// No connection to the back end. Nothing was sent.
    #[error("the key's back end cannot be reached ({why:?})")]
    Unreachable {
        /// Where it failed.
        why: Unreachability,
        /// What happened.
        #[source]
        source: Cause,
    },
    /// No answer in time.
    #[error("the key's back end did not answer in time")]
    TimedOut {
        /// False only if it is certain that nothing was sent.
        may_have_signed: bool,
    },
    /// There is no access token, so that the back end was not asked.
    #[error("there is no access token for the key's back end ({why:?})")]
    NoToken {
        /// What the trouble is.
        why: TokenProblem,
        /// What happened.
        #[source]
        source: Cause,
    },
    /// The back end does not accept our credentials. The token is thrown away: a new attempt comes with a new one.
    #[error("the key's back end did not accept our credentials")]
    Unauthenticated {
        /// Whether the refused token was new, so that another one will not help.
        fresh_token: bool,
    },
    /// Our identity or address lacks the permission.
    #[error("this is not permitted with the key ({by:?})")]
    Forbidden {
        /// Who denied.
        by: Denial,
    },
    /// There is no such key version.
    #[error("there is no such key version")]
    KeyNotFound,
    /// The key version exists and is disabled.
    #[error("the key version is disabled")]
    KeyDisabled,
    /// The key version is not valid yet or not any more.
    #[error("the key version is outside of its validity")]
    KeyOutsideValidity,
    /// The key is of a type or curve with which this service does not sign.
    #[error("the key is {found}, with which this service does not sign")]
    UnsupportedKey {
        /// Type and curve as the back end names them.
        found: String,
    },
    /// Something of this name is in the way, for instance a deleted key.
    #[error("the name is taken by a key that is being deleted, deleted or being recovered")]
    Conflict {
        /// Whether it goes away by itself.
        passes: bool,
    },
    /// The back end says that the request is wrong: a fault of ours.
    #[error("the key's back end does not understand the request")]
    InvalidRequest,
    /// The back end cannot do this.
    #[error("the key's back end does not support this: {0:?}")]
    Unsupported(Unsupported),
    /// The key exists, with another algorithm than the one asked for.
    #[error("the key is for {actual}")]
    AlgorithmMismatch {
        /// The key's algorithm.
        actual: SignatureAlgorithm,
    },
    /// A slot's name is not 1 to 127 letters, digits and dashes (what vaults take as a key's name).
    #[error("a key's name has 1 to 127 letters, digits or dashes")]
    InvalidSlot,
    /// The answer is not what the protocol prescribes.
    #[error("the key's back end gave an invalid answer ({0:?})")]
    BadResponse(InvalidResponse),
    /// The answer comes from another key than the one asked for.
    #[error("another key than the one asked for has signed")]
    WrongKey,
    /// The permit's deadline passed before anything was sent.
    #[error("the permit's deadline has passed")]
    PermitExpired,
    /// Something tried to send a second time on one permit. Nothing went out.
    #[error("the permit was already used")]
    PermitSpent,
    /// The local cryptographic library failed.
    #[error("the cryptographic library failed")]
    Crypto,
}

impl SignErrorKind {
    pub(super) fn retry(&self) -> Retry {
        match self {
            Self::Throttled { after } | Self::BudgetExhausted { after } => Retry::After(*after),
            Self::Unavailable { .. }
            | Self::TimedOut { .. }
            | Self::BadResponse(_)
            | Self::Unauthenticated { fresh_token: false } => Retry::After(PAUSE),
            Self::Unreachable { why, .. } => match why {
                Unreachability::Tls => Retry::Never,
                Unreachability::Dns
                | Unreachability::Refused
                | Unreachability::TimedOut
                | Unreachability::Network => Retry::After(PAUSE),
            },
            Self::NoToken { why: TokenProblem::Unavailable, .. } | Self::Conflict { passes: true } => {
                Retry::After(LONG_PAUSE)
            }
            // Nothing was sent; the next attempt brings its own deadline.
            Self::PermitExpired => Retry::After(Duration::ZERO),
            Self::NoToken { why: TokenProblem::Credential | TokenProblem::Refused, .. }
            | Self::Conflict { passes: false }
            | Self::Unauthenticated { fresh_token: true }
            | Self::Forbidden { .. }
            | Self::KeyNotFound
            | Self::KeyDisabled
            | Self::KeyOutsideValidity
            | Self::UnsupportedKey { .. }
            | Self::InvalidRequest
            | Self::Unsupported(_)
            | Self::AlgorithmMismatch { .. }
            | Self::InvalidSlot
            | Self::WrongKey
            | Self::PermitSpent
            | Self::Crypto => Retry::Never,
        }
    }

    pub(super) fn may_have_signed(&self) -> bool {
        match self {
            Self::Unavailable { may_have_signed, .. } | Self::TimedOut { may_have_signed } => {
                *may_have_signed
            }
            Self::BadResponse(_) | Self::WrongKey => true,
            Self::Throttled { .. }
            | Self::BudgetExhausted { .. }
            | Self::Unreachable { .. }
            | Self::NoToken { .. }
            | Self::Unauthenticated { .. }
            | Self::Forbidden { .. }
            | Self::KeyNotFound
            | Self::KeyDisabled
            | Self::KeyOutsideValidity
            | Self::UnsupportedKey { .. }
            | Self::Conflict { .. }
            | Self::InvalidRequest
            | Self::Unsupported(_)
            | Self::AlgorithmMismatch { .. }
            | Self::InvalidSlot
            | Self::PermitExpired
            | Self::PermitSpent
            | Self::Crypto => false,
        }
    }

    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Throttled { .. } => "throttled",
            Self::BudgetExhausted { .. } => "budget_exhausted",
            Self::Unavailable { .. } => "unavailable",
            Self::Unreachable { why: Unreachability::Dns, .. } => "unreachable_dns",
            Self::Unreachable { why: Unreachability::Tls, .. } => "unreachable_tls",
            Self::Unreachable { .. } => "unreachable",
            Self::TimedOut { .. } => "timed_out",
            Self::NoToken { .. } => "no_token",
            Self::Unauthenticated { .. } => "unauthenticated",
            Self::Forbidden { .. } => "forbidden",
            Self::KeyNotFound => "key_not_found",
            Self::KeyDisabled => "key_disabled",
            Self::KeyOutsideValidity => "key_outside_validity",
            Self::UnsupportedKey { .. } => "unsupported_key",
            Self::Conflict { .. } => "conflict",
            Self::InvalidRequest => "invalid_request",
            Self::Unsupported(_) => "unsupported",
            Self::AlgorithmMismatch { .. } => "algorithm_mismatch",
            Self::InvalidSlot => "invalid_slot",
            Self::BadResponse(_) => "bad_response",
            Self::WrongKey => "wrong_key",
            Self::PermitExpired => "permit_expired",
            Self::PermitSpent => "permit_spent",
            Self::Crypto => "crypto",
        }
    }
}
