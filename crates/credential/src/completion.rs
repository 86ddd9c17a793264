//! The wallet's completion call: how an issuance ended on its side.
//!
//! Owns the reading of its body. The call is unauthenticated; what it may change is for the service to decide.

use domain::request::WalletFailure;
use serde::Deserialize;
use serde_json::Value;

/// Longest body that is read, in bytes.
pub const LIMIT_BYTES: usize = 8192;

/// Longest `state`, in bytes; those that we make are shorter.
pub const STATE_LIMIT_BYTES: usize = 512;

/// What a wallet reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The `state` of the request object.
    pub state: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an issuance ended in the wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The wallet stored the credential (`issuance_successful`).
    Successful,
    /// It did not (`issuance_failed`). Also sent after a wrong PIN, so a success may follow.
    Failed(WalletFailure),
}

/// A body is not a completion.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum CompletionError {
    /// Longer than [`LIMIT_BYTES`].
    #[error("the completion is too long")]
    TooLarge,
    /// Not a JSON object with a text `code`.
    #[error("the completion is not a JSON object with a text `code`")]
    Malformed,
    /// `code` is neither `issuance_successful` nor `issuance_failed`.
    #[error("the completion's code is unknown")]
    UnknownCode,
    /// `state` is absent, empty or too long.
    #[error("the completion's state is absent, empty or too long")]
    BadState,
}

impl CompletionError {
    /// A stable label for the ledger.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TooLarge => "completion_too_large",
            Self::Malformed => "completion_malformed",
            Self::UnknownCode => "completion_unknown_code",
            Self::BadState => "completion_bad_state",
        }
    }
}

#[derive(Deserialize)]
struct Wire {
    code: String,
    state: Option<String>,
    #[serde(default)]
    details: Value,
}

impl Completion {
    /// Reads a body. `details` may be absent, `null` or unknown: a wallet's news must not be lost over its reason.
    ///
    /// # Errors
    /// The [`CompletionError`] that says what is wrong.
    pub fn parse(body: &[u8]) -> Result<Self, CompletionError> {
        if body.len() > LIMIT_BYTES {
            return Err(CompletionError::TooLarge);
        }
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(CompletionError::Malformed);
        }
        let wire: Wire = serde_json::from_slice(body).map_err(|_source| CompletionError::Malformed)?;
        let outcome = match wire.code.as_str() {
            "issuance_successful" => Outcome::Successful,
            "issuance_failed" => Outcome::Failed(WalletFailure::from_details(wire.details.as_str())),
            _ => return Err(CompletionError::UnknownCode),
        };
        let state = wire
            .state
            .filter(|state| !state.is_empty() && state.len() <= STATE_LIMIT_BYTES)
            .ok_or(CompletionError::BadState)?;
        Ok(Self { state, outcome })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(body: Value) -> Result<Completion, CompletionError> {
        Completion::parse(body.to_string().as_bytes())
    }

    #[test]
    fn success_with_and_without_details() {
        let right = Completion { state: "s".into(), outcome: Outcome::Successful };
        for details in [json!(null), json!(""), json!("user_canceled"), json!({"a": 1})] {
            let body = json!({"code": "issuance_successful", "state": "s", "details": details});
            assert_eq!(read(body), Ok(right.clone()));
        }
        assert_eq!(read(json!({"code": "issuance_successful", "state": "s", "more": []})), Ok(right));
    }

    #[test]
    fn failures_carry_their_reason() {
        for (details, failure) in [
            (json!("user_canceled"), WalletFailure::UserCanceled),
            (json!("fetch_contract_error"), WalletFailure::FetchContractError),
            (json!("linked_domain_error"), WalletFailure::LinkedDomainError),
            (json!("issuance_service_error"), WalletFailure::IssuanceServiceError),
            (json!("something_new"), WalletFailure::UnspecifiedError),
            (json!(null), WalletFailure::UnspecifiedError),
            (json!(7), WalletFailure::UnspecifiedError),
        ] {
            let body = json!({"code": "issuance_failed", "state": "s", "details": details});
            assert_eq!(read(body).unwrap().outcome, Outcome::Failed(failure));
        }
        let bare = read(json!({"code": "issuance_failed", "state": "s"})).unwrap();
        assert_eq!(bare.outcome, Outcome::Failed(WalletFailure::UnspecifiedError));
    }

    #[test]
    fn other_bodies_are_refused() {
        use CompletionError::{BadState, Malformed, UnknownCode};
        for (body, error) in [
            (json!([]), Malformed),
            (json!(["issuance_successful", "s", null]), Malformed),
            (json!({}), Malformed),
            (json!({"state": "s"}), Malformed),
            (json!({"code": 1, "state": "s"}), Malformed),
            (json!({"code": "issuance_failed", "state": 1}), Malformed),
            (json!({"code": "presentation_successful", "state": "s"}), UnknownCode),
            (json!({"code": "", "state": "s"}), UnknownCode),
            (json!({"code": "issuance_failed"}), BadState),
            (json!({"code": "issuance_failed", "state": null}), BadState),
            (json!({"code": "issuance_failed", "state": ""}), BadState),
            (json!({"code": "issuance_failed", "state": "s".repeat(STATE_LIMIT_BYTES + 1)}), BadState),
        ] {
            assert_eq!(read(body.clone()), Err(error), "{body}");
        }
        assert_eq!(Completion::parse(b""), Err(Malformed));
        assert_eq!(Completion::parse(b"code=issuance_failed"), Err(Malformed));
    }

    #[test]
    fn the_limit_counts_bytes() {
        let body = json!({"code": "issuance_failed", "state": "s"}).to_string();
        let padded = format!("{body}{}", " ".repeat(LIMIT_BYTES - body.len()));
        assert!(Completion::parse(padded.as_bytes()).is_ok());
        assert_eq!(Completion::parse(format!("{padded} ").as_bytes()), Err(CompletionError::TooLarge));
    }

    #[test]
    fn every_reason_is_its_own() {
        use CompletionError::{BadState, Malformed, TooLarge, UnknownCode};
        let errors = [TooLarge, Malformed, UnknownCode, BadState];
        let reasons: std::collections::BTreeSet<_> =
            errors.into_iter().map(CompletionError::reason).collect();
        assert_eq!(reasons.len(), errors.len());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(body: Vec<u8>) {
            prop_assert!(Completion::parse(&body).is_err());
        }

        #[test]
        fn any_state_survives(state in ".{1,100}") {
            let body = json!({"code": "issuance_successful", "state": &state});
            prop_assert_eq!(read(body).unwrap().state, state);
        }
    }
}
