//! Why a caller is not let in, and how each reason looks on the wire.
//!
//! Owns the reasons with their texts, status and inner code. It must not build responses.

use domain::error::InnerCode;

/// A refused access token. `Display` is the text of `innererror.message`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AuthError {
    /// No `Authorization` header.
    #[error("The request has no Authorization header.")]
    MissingHeader,
    /// Another scheme than `Bearer`.
    #[error("The Authorization header does not use the Bearer scheme.")]
    NotBearer,
    /// More than 16 KiB.
    #[error("The access token is too large.")]
    TooLarge,
    /// Not a signed JWT in compact form, or one with broken claims.
    #[error("The access token is malformed.")]
    Malformed,
    /// The header's `alg` is not among those configured for the issuer; `none` never is.
    #[error("The access token is signed with an algorithm that is not allowed.")]
    AlgorithmNotAllowed,
    /// `iss` is not a configured issuer.
    #[error("The issuer of the access token is not trusted.")]
    UnknownIssuer,
    /// The issuer publishes no such key.
    #[error("The access token is signed with a key that its issuer does not publish.")]
    UnknownKey,
    /// The signature does not verify.
    #[error("The signature of the access token is not valid.")]
    BadSignature,
    /// No `exp`.
    #[error("The access token has no expiry.")]
    MissingExpiry,
    /// `exp` has passed, leeway included.
    #[error("The access token has expired.")]
    Expired,
    /// `nbf` has not come yet, leeway included.
    #[error("The access token is not valid yet.")]
    NotYetValid,
    /// `aud` is none of the configured audiences.
    #[error("The access token is for another audience.")]
    WrongAudience,
    /// No tenant claim.
    #[error("The access token names no tenant.")]
    MissingTenant,
    /// The tenant claim names nobody we serve for this issuer.
    #[error("The access token is for another tenant.")]
    WrongTenant,
    /// None of the claims that name the client.
    #[error("The access token names no client.")]
    MissingClient,
    /// The issuer's keys cannot be fetched now.
    #[error("The keys of the access token's issuer are not available, try again later.")]
    KeysUnavailable,
    /// The token is good, but grants too little.
    #[error("The access token lacks the role that this request needs.")]
    MissingRole,
}

impl AuthError {
    /// `innererror.target` of all these errors.
    pub const TARGET: &'static str = "authorization";

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::MissingRole => 403,
            Self::KeysUnavailable => 503,
            Self::MissingHeader
            | Self::NotBearer
            | Self::TooLarge
            | Self::Malformed
            | Self::AlgorithmNotAllowed
            | Self::UnknownIssuer
            | Self::UnknownKey
            | Self::BadSignature
            | Self::MissingExpiry
            | Self::Expired
            | Self::NotYetValid
            | Self::WrongAudience
            | Self::MissingTenant
            | Self::WrongTenant
            | Self::MissingClient => 401,
        }
    }

    /// `innererror.code`.
    #[must_use]
    pub const fn inner_code(self) -> InnerCode {
        match self.status() {
            403 => InnerCode::MissingRole,
            503 => InnerCode::TransientError,
            _ => InnerCode::TokenError,
        }
    }

    /// The value of `WWW-Authenticate` (RFC 6750, section 3); none for 503.
    #[must_use]
    pub const fn challenge(self) -> Option<&'static str> {
        match self {
            Self::MissingHeader | Self::NotBearer => Some("Bearer"),
            Self::MissingRole => Some("Bearer error=\"insufficient_scope\""),
            Self::KeysUnavailable => None,
            _ => Some("Bearer error=\"invalid_token\""),
        }
    }

    /// A stable word for logs, metrics and the audit ledger.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::MissingHeader => "missing_header",
            Self::NotBearer => "not_bearer",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::AlgorithmNotAllowed => "algorithm_not_allowed",
            Self::UnknownIssuer => "unknown_issuer",
            Self::UnknownKey => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::MissingExpiry => "missing_expiry",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::WrongAudience => "wrong_audience",
            Self::MissingTenant => "missing_tenant",
            Self::WrongTenant => "wrong_tenant",
            Self::MissingClient => "missing_client",
            Self::KeysUnavailable => "keys_unavailable",
            Self::MissingRole => "missing_role",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_code_and_challenge_go_together() {
        assert_eq!(AuthError::Expired.status(), 401);
        assert_eq!(AuthError::Expired.inner_code().name(), "tokenError");
        assert_eq!(AuthError::Expired.challenge(), Some("Bearer error=\"invalid_token\""));
        assert_eq!(AuthError::MissingHeader.challenge(), Some("Bearer"));
        assert_eq!(AuthError::MissingRole.status(), 403);
        assert_eq!(AuthError::MissingRole.inner_code().name(), "missingRole");
        assert_eq!(AuthError::KeysUnavailable.status(), 503);
        assert_eq!(AuthError::KeysUnavailable.inner_code().name(), "transientError");
        assert_eq!(AuthError::KeysUnavailable.challenge(), None);
    }
}
