//! Who calls the Request Service API: access tokens in, a [`Caller`] out.
//!
//! Owns the trust in token issuers, their keys, the checks on a token and the built-in token issuer. It must not know
//! routes or use cases, and never touches a vault: tokens are signed with a service-local key.
//!
//! Sources: RFC 6750 (bearer tokens), RFC 7519 (JWT) with RFC 8725 (its best practices), OpenID Connect Discovery 1.0,
//! and Microsoft's documentation of the Request Service API for audience, claims and roles.

mod accepted;
mod authenticator;
pub mod builtin;
mod error;
mod jwk;
mod keys;
mod token;
mod trusted;

pub use authenticator::Authenticator;
pub use builtin::BuiltinIssuer;
pub use error::AuthError;
pub use trusted::{KeySource, TenantMapping, TokenAlgorithm, TrustedIssuer};

use domain::{ClientId, TenantId};

/// The application id of Entra's "Verifiable Credentials Service Request", the audience that front ends ask for.
pub const DEFAULT_AUDIENCE: &str = "3db474b9-6a0c-4840-96ac-1fceb342124f";

/// The role that grants issuance and presentation requests.
pub const ROLE_CREATE_ALL: &str = "VerifiableCredential.Create.All";

/// The role that grants issuance requests only.
pub const ROLE_CREATE_ISSUE: &str = "VerifiableCredential.Create.IssueRequest";

/// The front end behind a valid access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The tenant for which it acts.
    pub tenant: TenantId,
    /// The application: `appid`, else `azp`, `client_id` or `sub`.
    pub client: ClientId,
    /// Its application roles, in our words ([`ROLE_CREATE_ALL`] and so on) where the trusted issuer maps them.
    pub roles: Vec<String>,
    /// The token's own id (`jti` or `uti`), for the audit ledger.
    pub token_id: Option<String>,
}

impl Caller {
    /// Whether it may create issuance requests.
    #[must_use]
    pub fn may_create_issuance(&self) -> bool {
        self.roles.iter().any(|role| role == ROLE_CREATE_ALL || role == ROLE_CREATE_ISSUE)
    }

    /// The same question as an error for the API.
    ///
    /// # Errors
    /// [`AuthError::MissingRole`] (403).
    pub fn require_create_issuance(&self) -> Result<(), AuthError> {
        if self.may_create_issuance() { Ok(()) } else { Err(AuthError::MissingRole) }
    }
}
