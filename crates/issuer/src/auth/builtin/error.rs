//! What can go wrong with the built-in token issuer: at start, and per token request.
//!
//! Owns both errors and the body of an OAuth error (RFC 6749, section 5.2). It must not build HTTP responses.

use domain::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

/// The issuer cannot start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuiltinError {
    /// The signing key is not a P-256 key in PKCS #8.
    #[error("the signing key of the built-in token issuer is not readable")]
    Key,
    /// The base is not an HTTP address.
    #[error("the base address of the built-in token issuer has to be an http or https address")]
    IssuerBase,
    /// Less than a second, or more than a `u32` of seconds.
    #[error("the lifetime of access tokens has to be at least one second")]
    Lifetime,
    /// A client id is empty or stands there twice.
    #[error("every client of the built-in token issuer needs an id of its own")]
    ClientId,
    /// A secret is not an argon2id PHC string.
    #[error("the secret hash of the client {client} is not an argon2id PHC string")]
    SecretHash {
        /// The client's id.
        client: String,
    },
    /// The system gave no random numbers.
    #[error("no random numbers")]
    Random,
    /// The secret could not be hashed.
    #[error("the secret could not be hashed")]
    Hash,
}

/// A token request that is refused. `Display` is the text of `error_description`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum OAuthError {
    /// The body is larger than 16 KiB or not readable.
    #[error("The request body is not readable or too large.")]
    Body,
    /// A parameter stands there twice (RFC 6749, section 3.2).
    #[error("The request contains a parameter more than once.")]
    RepeatedParameter,
    /// No `grant_type`.
    #[error("The request must contain the parameter 'grant_type'.")]
    MissingGrantType,
    /// No `client_id`, in body or header.
    #[error("The request must contain the parameter 'client_id'.")]
    MissingClientId,
    /// The secret in header and body, or two different ids (RFC 6749, section 2.3).
    #[error("The request uses more than one way of client authentication.")]
    TwoAuthentications,
    /// Another grant than client credentials.
    #[error("The grant type is not supported, only client_credentials is.")]
    UnsupportedGrantType,
    /// Neither absent nor the audience's default scope.
    #[error("The scope has to be the audience followed by '/.default'.")]
    InvalidScope,
    /// No secret.
    #[error("The request must contain the client's secret.")]
    MissingSecret,
    /// A client assertion or an `Authorization` header that is not `Basic`.
    #[error("Clients authenticate with their secret here.")]
    UnsupportedAuthentication,
    /// Unknown client or wrong secret: the answer does not say which.
    #[error("The client is not known or its secret is wrong.")]
    InvalidClient,
    /// The address names another tenant.
    #[error("The tenant is not known here.")]
    UnknownTenant,
    /// Instance discovery for another host or tenant.
    #[error("The authority is not known here.")]
    UnknownInstance,
    /// Too many secrets are being checked.
    #[error("The service is busy, try again later.")]
    Busy,
    /// The token could not be signed.
    #[error("The token could not be signed.")]
    SigningFailed,
}

impl OAuthError {
    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Body
            | Self::RepeatedParameter
            | Self::MissingGrantType
            | Self::MissingClientId
            | Self::TwoAuthentications
            | Self::UnsupportedGrantType
            | Self::InvalidScope
            | Self::UnknownInstance => 400,
            Self::MissingSecret | Self::UnsupportedAuthentication | Self::InvalidClient => 401,
            Self::UnknownTenant => 404,
            Self::SigningFailed => 500,
            Self::Busy => 503,
        }
    }

    /// `error`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Body
            | Self::RepeatedParameter
            | Self::MissingGrantType
            | Self::MissingClientId
            | Self::TwoAuthentications => "invalid_request",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::MissingSecret | Self::UnsupportedAuthentication | Self::InvalidClient => "invalid_client",
            Self::UnknownTenant => "invalid_tenant",
            Self::UnknownInstance => "invalid_instance",
            Self::Busy => "temporarily_unavailable",
            Self::SigningFailed => "server_error",
        }
    }

    /// The number that Entra's login service gives the same situation; front ends for it look at `error_codes`.
    const fn number(self) -> u32 {
        match self {
            Self::Body | Self::RepeatedParameter | Self::TwoAuthentications => 90_014,
            Self::MissingGrantType | Self::MissingClientId => 900_144,
            Self::UnsupportedGrantType => 70_003,
            Self::InvalidScope => 70_011,
            Self::MissingSecret | Self::UnsupportedAuthentication => 7_000_216,
            Self::InvalidClient => 7_000_215,
            Self::UnknownTenant => 90_002,
            Self::UnknownInstance => 50_049,
            Self::Busy => 90_033,
            Self::SigningFailed => 90_033,
        }
    }

    /// The body, with the extra members that MSAL reads.
    #[must_use]
    pub fn body(self, now: Timestamp, correlation: Uuid) -> Value {
        // `2025-02-03 10:21:33Z`, the spelling of the login service.
        let timestamp: String = now.to_rfc3339().chars().take(19).collect();
        json!({
            "error": self.code(),
            "error_description": self.to_string(),
            "error_codes": [self.number()],
            "timestamp": format!("{}Z", timestamp.replace('T', " ")),
            "trace_id": Uuid::new_v4(),
            "correlation_id": correlation,
        })
    }
}
