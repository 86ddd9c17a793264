//! The documented error body, and where every error of the use cases becomes one.
//!
//! Shape: `requestId`, `date`, `mscv`, `error { code, message, innererror { code, message, target } }` (Entra Verified
//! ID, error codes). Clients read `innererror` without looking whether it is there, so it always is. What is internal
//! goes to the log once and never into a body.

use std::fmt;
use std::num::NonZeroU16;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use domain::TransactionId;
use domain::error::{InnerCode, outer};
use serde::Serialize;
use store::StopKind;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::auth::AuthError;
use crate::inbound::Refused;
use crate::inbound::quota::Kind;
use crate::signing::SigningError;
use crate::usecase::Failed;
use crate::usecase::complete::CompleteError;
use crate::usecase::create::CreateError;
use crate::usecase::issue::IssueError;
use crate::usecase::retrieve::RetrieveError;

/// An error as it leaves.
#[derive(Debug)]
pub struct ApiError {
    status: u16,
    code: InnerCode,
    message: String,
    target: Option<String>,
    transaction: Option<TransactionId>,
    challenge: Option<&'static str>,
    cause: Option<String>,
    /// Nothing is wrong, so the log has its cause for who looks for it only.
    expected: bool,
    closes: bool,
    /// Small, because errors travel in results.
    retry_after_secs: Option<NonZeroU16>,
}

/// The body of every error.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody {
    /// Id of this HTTP exchange, 32 hexadecimal digits.
    request_id: String,
    /// When, RFC 1123.
    date: String,
    /// Opaque correlation vector.
    mscv: String,
    /// What happened.
    error: ErrorDetail,
}

/// Outer code and message, fixed by the HTTP status, around the specific ones.
#[derive(Serialize, ToSchema)]
pub struct ErrorDetail {
    #[schema(example = "badRequest")]
    code: &'static str,
    #[schema(example = "The request is invalid.")]
    message: &'static str,
    innererror: InnerError,
}

/// The specific error.
#[derive(Serialize, ToSchema)]
pub struct InnerError {
    #[schema(example = "badOrMissingField")]
    code: &'static str,
    message: String,
    /// The field, resource or token that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

impl ApiError {
    /// An error with its specific code and message.
    pub fn new(status: u16, code: InnerCode, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            target: None,
            transaction: None,
            challenge: None,
            cause: None,
            expected: false,
            closes: false,
            retry_after_secs: None,
        }
    }

    /// 400 about a field.
    pub fn field(target: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(400, InnerCode::BadOrMissingField, message).about(target)
    }

    /// Closes the connection: what follows on it cannot be read.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// Names what it is about.
    #[must_use]
    pub fn about(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// Says when to try again, in whole seconds; without it a 429 or 503 says 2.
    #[must_use]
    pub fn retry_after(mut self, seconds: impl Into<Option<u64>>) -> Self {
        let small = |seconds| NonZeroU16::new(u16::try_from(seconds).unwrap_or(u16::MAX));
        self.retry_after_secs = seconds.into().and_then(small);
        self
    }

    /// Names the transaction that it belongs to.
    #[must_use]
    pub fn of(mut self, transaction: impl Into<Option<TransactionId>>) -> Self {
        self.transaction = transaction.into();
        self
    }

    /// 500, with the cause in the log only.
    pub fn internal(error: &dyn std::error::Error) -> Self {
        Self::new(500, InnerCode::Internal, "The server could not do it; the cause is in its log.")
            .caused_by(Some(error))
    }

    /// A database that cannot be reached may be back in a moment; one that refuses our data has met a defect.
    pub fn database(error: &store::StoreError) -> Self {
        if error.is_rejected_data() {
            return Self::internal(error);
        }
        Self::busy("The database does not answer at present, try again.").caused_by(Some(error))
    }

    /// What a wallet that waits for a signature is told. The database's failures are told as everywhere else.
    fn unsigned(message: &str, error: Option<SigningError>) -> Self {
        match error {
            None => Self::busy(message),
            Some(SigningError::Store(source)) => Self::database(&source),
            Some(SigningError::Seal(source)) => Self::internal(&source),
            Some(error @ (SigningError::NoSlotInTime | SigningError::Lost)) => {
                let mut busy = Self::busy(message).caused_by(Some(&error));
                busy.expected = true;
                busy
            }
            Some(
                error @ (SigningError::Backend(_) | SigningError::NoBackend | SigningError::WrongSignature),
            ) => Self::busy(message).caused_by(Some(&error)),
        }
    }

    /// Remembers what the log has to say of it.
    #[must_use]
    fn caused_by(mut self, error: Option<&dyn std::error::Error>) -> Self {
        let mut next = error;
        let mut causes = Vec::new();
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        self.cause = (!causes.is_empty()).then(|| causes.join(": "));
        self
    }

    /// 503: try again.
    pub fn busy(message: &str) -> Self {
        Self::new(503, InnerCode::TransientError, message)
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        // Here and only here: the transaction is known, and every error passes once.
        if let Some(cause) = &self.cause {
            let (transaction_id, status) = (self.transaction.map(|id| id.to_string()), self.status);
            if self.expected {
                // One line for each late wallet would say no more than the metrics do.
                tracing::debug!(transaction_id, status, cause, "a request was not served in time");
            } else {
                tracing::error!(transaction_id, status, cause, "a request failed");
            }
        }
        let (code, message) = outer(self.status);
        let id = Uuid::new_v4().simple().to_string();
        let vector: String = Uuid::new_v4().simple().to_string().chars().take(16).collect();
        let body = ErrorBody {
            request_id: id,
            date: now_rfc1123(),
            mscv: format!("{vector}.0"),
            error: ErrorDetail {
                code,
                message,
                innererror: InnerError {
                    code: self.code.name(),
                    message: self.message.clone(),
                    target: self.target.clone(),
                },
            },
        };
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((CACHE_CONTROL, "no-store"));
        if let Some(challenge) = self.challenge {
            response.insert_header((WWW_AUTHENTICATE, challenge));
        }
        if self.closes {
            response.force_close();
        }
        if matches!(self.status, 429 | 503) {
            response
                .insert_header((RETRY_AFTER, self.retry_after_secs.map_or(2, NonZeroU16::get).to_string()));
        }
        let response = response.json(body);
        match self.transaction {
            Some(transaction) => super::with_transaction(response, transaction),
            None => response,
        }
    }
}

/// 1 to 5 s, random: front ends that were refused together must not come back together.
fn overload_pause_secs() -> u64 {
    let mut byte = [0_u8; 1];
    // Without randomness they come back together; nothing rests on it.
    let random = getrandom::fill(&mut byte).map_or(2, |()| u64::from(u8::from_ne_bytes(byte)) % 5);
    1 + random
}

/// The date of an error body. The header `Date` of the same answer says the same, so no clock is passed in for it.
fn now_rfc1123() -> String {
    actix_web::http::header::HttpDate::from(std::time::UNIX_EPOCH + since_epoch()).to_string()
}

#[expect(
    clippy::disallowed_methods,
    reason = "decides nothing: it is the date that a person reads in an error"
)]
fn since_epoch() -> std::time::Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

impl<E> From<Failed<E>> for ApiError
where
    Self: From<E>,
{
    fn from(failed: Failed<E>) -> Self {
        Self::from(failed.error).of(failed.transaction)
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Limited { kind, .. } => {
                let whose = match kind {
                    Kind::Address | Kind::FrontEndAddress | Kind::TokenAddress => "this address",
                    Kind::Request => "this issuance request",
                    Kind::Client => "this client",
                    Kind::Customer => "this customer",
                    Kind::Tenant => "this tenant",
                };
                let message = format!("Too many calls of {whose}, try again after the time in Retry-After.");
                Self::new(429, InnerCode::TransientError, message).retry_after(refused.retry_after_secs())
            }
            Refused::Stopped(kind) => {
                let target = match kind {
                    StopKind::Client => "authorization",
                    StopKind::Customer => "customer",
                    StopKind::Contract => "manifest",
                };
                let message = format!(
                    "The operator of this service has stopped issuances of this {kind}; trying again does not help."
                );
                Self::new(403, InnerCode::Stopped, message).about(target)
            }
        }
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        let mut api =
            Self::new(error.status(), error.inner_code(), error.to_string()).about(AuthError::TARGET);
        api.challenge = error.challenge();
        api
    }
}

impl From<CreateError> for ApiError {
    fn from(error: CreateError) -> Self {
        let message = error.to_string();
        match error {
            CreateError::ForeignTenant => {
                Self::new(403, InnerCode::TokenError, "The access token's tenant is not served here.")
                    .about("tid")
            }
            CreateError::Authority => Self::field("authority", message),
            CreateError::Contract(_) => Self::new(404, InnerCode::NotFound, message).about("manifest"),
            CreateError::Field { target, message } => {
                let error = Self::new(400, InnerCode::BadOrMissingField, message);
                match target {
                    Some(target) => error.about(target),
                    None => error,
                }
            }
            CreateError::NotReady => {
                Self::busy("The authority has no active signing key, or the contract is not signed yet.")
            }
            CreateError::Overloaded(_) => Self::new(
                429,
                InnerCode::TransientError,
                "No more requests can be taken at present, try again after the time in Retry-After.",
            )
            .retry_after(overload_pause_secs()),
            CreateError::Store(source) => Self::database(&source),
            CreateError::Seal(source) => Self::internal(&source),
        }
    }
}

impl From<RetrieveError> for ApiError {
    fn from(error: RetrieveError) -> Self {
        match error {
            RetrieveError::Gone => Self::new(
                404,
                InnerCode::NotFound,
                "The request does not exist, has expired or was completed.",
            )
            .about("request_uri"),
            RetrieveError::NotAdmitted(refused) => Self::from(refused),
            RetrieveError::Busy(source) => {
                Self::unsigned("The request cannot be signed at present, try again.", source)
            }
            RetrieveError::Store(source) => Self::database(&source),
            RetrieveError::Seal(source) => Self::internal(&source),
            RetrieveError::Directory(source) => Self::internal(&source),
            RetrieveError::Encode(source) => Self::internal(&source),
            RetrieveError::Random => Self::internal(&error),
        }
    }
}

impl From<IssueError> for ApiError {
    fn from(error: IssueError) -> Self {
        let text = error.to_string();
        match error {
            IssueError::Malformed(message) => Self::new(400, InnerCode::BadOrMissingField, message),
            IssueError::Refused(message) => Self::new(400, InnerCode::TokenError, message),
            IssueError::WrongPin => Self::new(403, InnerCode::InvalidPin, text),
            IssueError::PinUsedUp => Self::new(403, InnerCode::Gone, text),
            IssueError::OtherHolder => Self::new(403, InnerCode::Conflict, text),
            IssueError::Gone => Self::new(
                404,
                InnerCode::NotFound,
                "The request does not exist, has expired or was completed.",
            ),
            IssueError::NotAdmitted(refused) => Self::from(refused),
            IssueError::Busy(source) => {
                Self::unsigned("The credential cannot be signed at present, try again.", source)
            }
            IssueError::Store(source) => Self::database(&source),
            IssueError::Seal(source) => Self::internal(&source),
            IssueError::Directory(source) => Self::internal(&source),
            IssueError::Encode(source) => Self::internal(&source),
        }
    }
}

impl From<CompleteError> for ApiError {
    fn from(error: CompleteError) -> Self {
        match error {
            CompleteError::UnknownState => {
                Self::new(404, InnerCode::NotFound, "No request belongs to this state.").about("state")
            }
            CompleteError::NotIssued => {
                Self::new(409, InnerCode::Conflict, "No credential was issued for this request.")
                    .about("code")
            }
            CompleteError::NotAdmitted(refused) => Self::from(refused),
            CompleteError::Store(source) => Self::database(&source),
            CompleteError::Seal(source) => Self::internal(&source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_away_is_a_503_and_a_defect_a_500() {
        assert_eq!(ApiError::database(&store::StoreError::TimedOut).status(), 503);
        assert_eq!(ApiError::database(&store::StoreError::Closed).status(), 503);
        assert_eq!(ApiError::database(&store::StoreError::Corrupt("a row")).status(), 500);
    }

    #[test]
    fn a_signature_that_is_not_there_is_told_by_its_cause() {
        use crate::sealed::SealError;
        type Cause = fn() -> Option<SigningError>;
        let cases: [(Cause, u16, bool); 8] = [
            (|| None, 503, false),
            (|| Some(SigningError::NoSlotInTime), 503, true),
            (|| Some(SigningError::Lost), 503, true),
            (|| Some(SigningError::NoBackend), 503, false),
            (|| Some(SigningError::WrongSignature), 503, false),
            (|| Some(SigningError::Store(store::StoreError::TimedOut)), 503, false),
            (|| Some(SigningError::Store(store::StoreError::Corrupt("a row"))), 500, false),
            (|| Some(SigningError::Seal(SealError::Random)), 500, false),
        ];
        for (error, status, expected) in cases {
            let retrieve = ApiError::from(RetrieveError::Busy(error()));
            let issue = ApiError::from(IssueError::Busy(error()));
            for api in [retrieve, issue] {
                assert_eq!((api.status(), api.expected), (status, expected), "{:?}", error());
                assert_eq!(api.cause.is_some(), error().is_some(), "{:?}", error());
                let code = if status == 503 { InnerCode::TransientError } else { InnerCode::Internal };
                assert_eq!(api.code, code, "{:?}", error());
            }
        }
    }

    #[test]
    fn overload_is_a_429_that_says_when_to_come_back() {
        let mut pauses = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let overloaded = crate::signing::budget::Overloaded { reason: "budget_no_tokens" };
            let error = ApiError::from(CreateError::from(overloaded));
            assert_eq!((error.status(), error.code), (429, InnerCode::TransientError));
            let response = error.error_response();
            let after = response.headers().get(RETRY_AFTER).unwrap().to_str().unwrap();
            pauses.insert(after.parse::<u64>().unwrap());
        }
        assert_eq!(pauses.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5], "each of them, at random");
    }
}
