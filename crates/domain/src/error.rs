//! The error vocabulary of the REST surface: outer codes by HTTP status, inner codes, and what a refusal carries.
//!
//! Source: Entra Verified ID error codes (Microsoft documentation, "Error codes"; `innererror` as clients read it).

/// Inner codes: `error.innererror.code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InnerCode {
    /// A body field is absent, of the wrong type or not allowed.
    BadOrMissingField,
    /// A referenced resource does not exist.
    NotFound,
    /// An access or identity token is wrong.
    TokenError,
    /// Retry later.
    TransientError,
    /// The authority could not be found.
    AuthorityNotFound,
    /// The wallet sent a wrong PIN; the one code after which wallets let the person try again (HTTP 403).
    InvalidPin,
    /// The caller lacks a role.
    MissingRole,
    /// The request was completed, failed or expired.
    Gone,
    /// What was sent contradicts what is stored.
    Conflict,
    /// An operator has stopped the caller, its customer or the contract: trying again does not help.
    Stopped,
    /// Something broke on the server.
    Internal,
}

impl InnerCode {
    /// The wire value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadOrMissingField => "badOrMissingField",
            Self::NotFound => "notFound",
            Self::TokenError => "tokenError",
            Self::TransientError => "transientError",
            Self::AuthorityNotFound => "authorityNotFound",
            Self::InvalidPin => "token_validation.invalid_openid_token_hint_pin",
            Self::MissingRole => "missingRole",
            Self::Gone => "gone",
            Self::Conflict => "conflict",
            Self::Stopped => "stopped",
            Self::Internal => "internalServerError",
        }
    }
}

/// Outer code and message of an HTTP status: both are wire values fixed by the status.
#[must_use]
pub const fn outer(status: u16) -> (&'static str, &'static str) {
    match status {
        400 => ("badRequest", "The request is invalid."),
        401 => ("unauthorized", "The requested resource requires authentication"),
        403 => ("forbidden", "Missing permissions to fulfill this request."),
        404 => ("notFound", "The requested resource doesn't exist."),
        405 => ("methodNotAllowed", "The requested method isn't allowed on the requested resource."),
        406 => ("notAcceptable", "Requested response format not supported."),
        408 => ("requestTimeout", "The request timed out."),
        409 => ("conflict", "The server can't fulfill the request due to a server conflict."),
        410 => ("gone", "The requested resource is no longer available."),
        411 => ("contentLengthRequired", "The Content-Length header is missing."),
        412 => ("preconditionFailed", "A precondition for this request failed."),
        413 => ("payloadTooLarge", "The payload is too large."),
        414 => ("uriTooLong", "The URI is too long."),
        415 => ("unsupportedMediaType", "The specified media type is unsupported."),
        421 => ("misdirectedRequest", "Unable to produce a response for this request."),
        422 => ("unprocessableEntity", "The request contains semantic errors."),
        423 => ("locked", "The source or destination resource is locked."),
        429 => ("tooManyRequests", "Too many requests, try again later."),
        431 => ("requestHeaderFieldsTooLarge", "The request header field is too large."),
        501 => ("notImplemented", "The server doesn't support the requested function."),
        502 => ("badGateway", "bad response received from another gateway."),
        503 => ("serviceUnavailable", "The server is temporarily unavailable, please try again later."),
        504 => ("gatewayTimeout", "Time out received from another gateway."),
        507 => ("insufficientStorage", "Unable to save data for the request."),
        _ => ("internalServerError", "A generic error has occurred on the server."),
    }
}
