//! Why a back end did not sign or did not do what a key administrator asked.
//!
//! Owns the kinds of failure that all back ends share and what they mean for the caller (retry, audit). It must not
//! carry a vault's texts to front ends: those stay in the source chain, which goes to the log.

use std::error::Error;
use std::time::Duration;

use domain::SignatureAlgorithm;

use crate::backend::Unsupported;

/// The cause inside a back end, for the log.
pub type Cause = Box<dyn Error + Send + Sync>;

/// How long a caller waits before it tries again when the back end named no time.
const PAUSE: Duration = Duration::from_millis(100);

/// What a caller does after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Trying again cannot help: an operator has to mend something, or the request is wrong.
    Never,
    /// A new attempt (with its own slot and permit) may succeed, after this time at the earliest.
    After(Duration),
}

/// What was wrong with a back end's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidResponse {
    /// Not in the form that the back end's protocol prescribes.
    Malformed,
    /// A signature that is not 64 bytes (r ‖ s) long.
    SignatureLength,
    /// A public key that is no point of its curve, or of another curve.
    PublicKey,
}

/// A back end could not do what was asked. The kinds are the same for all back ends.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
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
    /// The back end cannot be reached or says that it is out of order.
    #[error("the key's back end is unavailable")]
    Unavailable {
        /// Whether the request may have been carried out all the same.
        may_have_signed: bool,
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
    /// The back end does not accept our credentials.
    #[error("the key's back end did not accept our credentials")]
    Unauthenticated,
    /// Our identity lacks the permission.
    #[error("our identity may not do this with the key")]
    Forbidden,
    /// There is no such key version.
    #[error("there is no such key version")]
    KeyNotFound,
    /// The key version exists and is disabled.
    #[error("the key version is disabled")]
    KeyDisabled,
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
    /// The local cryptographic library failed.
    #[error("the cryptographic library failed")]
    Crypto,
}

impl SignError {
    /// Whether a new attempt may help. It costs a slot, needs a new permit and is made by one layer only.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Throttled { after } | Self::BudgetExhausted { after } => Retry::After(*after),
            Self::Unavailable { .. } | Self::TimedOut { .. } | Self::BadResponse(_) => Retry::After(PAUSE),
            // Nothing was sent; the next attempt brings its own deadline.
            Self::PermitExpired => Retry::After(Duration::ZERO),
            Self::Unauthenticated
            | Self::Forbidden
            | Self::KeyNotFound
            | Self::KeyDisabled
            | Self::Unsupported(_)
            | Self::AlgorithmMismatch { .. }
            | Self::InvalidSlot
            | Self::WrongKey
            | Self::Crypto => Retry::Never,
        }
    }

    /// Whether the back end may have made a signature, so that its log may hold one that we never saw.
    #[must_use]
    pub fn may_have_signed(&self) -> bool {
        match self {
            Self::Unavailable { may_have_signed, .. } | Self::TimedOut { may_have_signed } => {
                *may_have_signed
            }
            Self::BadResponse(_) | Self::WrongKey => true,
            Self::Throttled { .. }
            | Self::BudgetExhausted { .. }
            | Self::Unauthenticated
            | Self::Forbidden
            | Self::KeyNotFound
            | Self::KeyDisabled
            | Self::Unsupported(_)
            | Self::AlgorithmMismatch { .. }
            | Self::InvalidSlot
            | Self::PermitExpired
            | Self::Crypto => false,
        }
    }

    /// The stable word for metrics and the ledger.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Throttled { .. } => "throttled",
            Self::BudgetExhausted { .. } => "budget_exhausted",
            Self::Unavailable { .. } => "unavailable",
            Self::TimedOut { .. } => "timed_out",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::KeyNotFound => "key_not_found",
            Self::KeyDisabled => "key_disabled",
            Self::Unsupported(_) => "unsupported",
            Self::AlgorithmMismatch { .. } => "algorithm_mismatch",
            Self::InvalidSlot => "invalid_slot",
            Self::BadResponse(_) => "bad_response",
            Self::WrongKey => "wrong_key",
            Self::PermitExpired => "permit_expired",
            Self::Crypto => "crypto",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_pause_is_kept() {
        let after = Duration::from_secs(7);
        assert_eq!(SignError::Throttled { after }.retry(), Retry::After(after));
        assert_eq!(SignError::BudgetExhausted { after }.retry(), Retry::After(after));
    }

    #[test]
    fn what_an_operator_has_to_mend_is_not_retried() {
        for error in [
            SignError::Unauthenticated,
            SignError::Forbidden,
            SignError::KeyNotFound,
            SignError::KeyDisabled,
            SignError::WrongKey,
        ] {
            assert_eq!(error.retry(), Retry::Never, "{error}");
        }
    }

    #[test]
    fn an_answer_that_cannot_be_used_may_still_be_a_signature() {
        assert!(SignError::BadResponse(InvalidResponse::SignatureLength).may_have_signed());
        assert!(SignError::WrongKey.may_have_signed());
        assert!(SignError::TimedOut { may_have_signed: true }.may_have_signed());
        assert!(!SignError::TimedOut { may_have_signed: false }.may_have_signed());
        assert!(!SignError::PermitExpired.may_have_signed());
    }
}
