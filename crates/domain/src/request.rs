//! The life of an issuance request.
//!
//! `created → retrieved → issued → completed`, side exits `failed` (PIN tries used up) and `expired`.
//! The store moves a request by compare-and-swap on these names; the rules of who may move where are here.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::InvalidId;

/// Where a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestState {
    /// The front end asked; no wallet came yet.
    Created,
    /// A wallet has fetched the signed request object.
    Retrieved,
    /// The credential was signed and handed out; the same holder key may fetch it again.
    Issued,
    /// The wallet reported that it stored the credential.
    Completed,
    /// The service gave up on it: too many wrong PINs.
    Failed,
    /// Its time ran out.
    Expired,
}

impl RequestState {
    /// The stored name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Retrieved => "retrieved",
            Self::Issued => "issued",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }

    /// Whether nothing more can be issued for it: its claims are erased when it gets here.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Expired)
    }
}

impl FromStr for RequestState {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Created, Self::Retrieved, Self::Issued, Self::Completed, Self::Failed, Self::Expired]
            .into_iter()
            .find(|state| state.name() == text)
            .ok_or(InvalidId { kind: "request state", expected: "one of the request states" })
    }
}

/// How a wallet's completion call ended on its side (`details` of an `issuance_failed`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WalletFailure {
    /// The person said no.
    UserCanceled,
    /// The contract could not be fetched, decoded or validated.
    FetchContractError,
    /// The issuing call failed; also sent after a wrong PIN, so never final.
    IssuanceServiceError,
    /// The wallet could not link the issuer's domain (iOS).
    LinkedDomainError,
    /// Anything else.
    UnspecifiedError,
}

impl WalletFailure {
    /// The wire value; what a front end's callback carries as `error.message`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UserCanceled => "user_canceled",
            Self::FetchContractError => "fetch_contract_error",
            Self::IssuanceServiceError => "issuance_service_error",
            Self::LinkedDomainError => "linked_domain_error",
            Self::UnspecifiedError => "unspecified_error",
        }
    }

    /// Reads a wallet's `details`; what is unknown counts as unspecified, because a wallet's news must not be lost.
    #[must_use]
    pub fn from_details(details: Option<&str>) -> Self {
        match details {
            Some("user_canceled") => Self::UserCanceled,
            Some("fetch_contract_error") => Self::FetchContractError,
            Some("issuance_service_error") => Self::IssuanceServiceError,
            Some("linked_domain_error") => Self::LinkedDomainError,
            _ => Self::UnspecifiedError,
        }
    }
}
