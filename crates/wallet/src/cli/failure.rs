//! Why a command was refused: one stable code each for `--json`, and what the issuer is told.

use std::io;

use serde_json::{Map, Value, json};
use wallet::directory::DirectoryError;
use wallet::holder::HolderError;
use wallet::http::{ClientError, HttpFailure};
use wallet::jws::JwsError;
use wallet::link::LinkError;
use wallet::member::ShapeError;
use wallet::pin::PinError;
use wallet::printable::explain;
use wallet::session::{Details, SessionError};

/// Why a command was refused.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("the link is not usable")]
    Link(#[source] LinkError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("the issuer says that the PIN is wrong")]
    PinRejected(HttpFailure),
    #[error("you said no")]
    Declined,
    #[error("a PIN is needed: give --pin")]
    PinRequired,
    #[error("the PIN cannot be used")]
    Pin(#[source] PinError),
    #[error("the claim {0} is needed: give --claim {0}=VALUE")]
    ClaimRequired(String),
    #[error("the contract does not ask for a claim {0}")]
    ClaimUnknown(String),
    #[error("the contract demands {0}, which this wallet cannot give")]
    Unsupported(&'static str),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Holder(#[from] HolderError),
    #[error("no connection can be made")]
    Client(#[from] ClientError),
    #[error("the file of --ca could not be read")]
    CaFile(#[source] io::Error),
    #[error("the file could not be read")]
    File(#[source] io::Error),
    #[error("the file holds no credential")]
    FileContent(#[source] JwsError),
    #[error("the file's credential is not one that wallets accept")]
    FileCredential(#[source] ShapeError),
    #[error("the terminal could not be used")]
    Terminal(#[from] io::Error),
}

impl Failure {
    /// A stable word for `--json`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Link(_) => "invalid_link",
            Self::Session(SessionError::FetchRequest(_)) => "request_unavailable",
            Self::Session(SessionError::Request(_)) => "invalid_request",
            Self::Session(SessionError::Resolve(_)) => "did_unresolvable",
            Self::Session(SessionError::LinkedDomain(_)) => "invalid_linked_domain",
            Self::Session(SessionError::FetchContract(_)) => "contract_unavailable",
            Self::Session(SessionError::Contract(_)) => "invalid_contract",
            Self::Session(SessionError::Issue(_)) => "issuance_refused",
            Self::Session(SessionError::Credential(_)) => "invalid_credential",
            Self::PinRejected(_) => "pin_rejected",
            Self::Declined => "user_canceled",
            Self::PinRequired => "pin_required",
            Self::Pin(_) => "invalid_pin",
            Self::ClaimRequired(_) => "claim_required",
            Self::ClaimUnknown(_) => "claim_unknown",
            Self::Unsupported(_) => "unsupported_attestation",
            Self::Directory(_) => "storage",
            Self::Holder(_) => "holder",
            Self::Client(_) | Self::CaFile(_) => "tls",
            Self::File(_) | Self::FileContent(_) | Self::FileCredential(_) => "invalid_file",
            Self::Terminal(_) => "terminal",
        }
    }

    /// What the issuer is told, where there is a request to tell it about.
    pub fn details(&self) -> Option<Details> {
        match self {
            Self::Session(error) => error.details(),
            Self::PinRejected(_) => Some(Details::IssuanceService),
            Self::Declined | Self::PinRequired | Self::ClaimRequired(_) => Some(Details::UserCanceled),
            Self::Pin(_)
            | Self::ClaimUnknown(_)
            | Self::Unsupported(_)
            | Self::Directory(_)
            | Self::Holder(_)
            | Self::Terminal(_) => Some(Details::Unspecified),
            Self::Link(_)
            | Self::Client(_)
            | Self::CaFile(_)
            | Self::File(_)
            | Self::FileContent(_)
            | Self::FileCredential(_) => None,
        }
    }

    /// The answer behind it, where one came with a status outside 2xx.
    pub fn http_failure(&self) -> Option<&HttpFailure> {
        match self {
            Self::Session(error) => error.http_failure(),
            Self::PinRejected(failure) => Some(failure),
            _ => None,
        }
    }

    /// The object that `--json` prints; members without a value are left out.
    pub fn to_json(&self) -> Value {
        let mut error = Map::new();
        error.insert("code".into(), json!(self.code()));
        error.insert("message".into(), json!(explain(self)));
        if let Some(failure) = self.http_failure() {
            error.insert("http_status".into(), json!(failure.status));
            if let Some(code) = failure.inner_code() {
                error.insert("inner_code".into(), json!(code));
            }
            if let Some(message) = failure.message() {
                error.insert("inner_message".into(), json!(message));
            }
        }
        json!({"error": error})
    }
}
