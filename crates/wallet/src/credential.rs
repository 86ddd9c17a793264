//! The issued credential (wallet protocol, section 4.5). Owns the rules of its members. Must not fetch anything; signatures
//! are checked in [`crate::verify`].

use serde_json::{Map, Value};

use crate::clock::LEEWAY_SECS;
use crate::jws::JwsError;
use crate::key::SignatureError;
use crate::member::{Node, Problem, ShapeError};

const CONTEXT: &str = "https://www.w3.org/2018/credentials/v1";

/// What a credential says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its id.
    pub jti: String,
    /// The issuer's DID.
    pub issuer: String,
    /// The holder's DID.
    pub holder: String,
    /// All types, `VerifiableCredential` first.
    pub types: Vec<String>,
    /// The subject's claims.
    pub claims: Map<String, Value>,
    /// Seconds since 1970.
    pub issued: i64,
    /// Seconds since 1970.
    pub expires: i64,
    /// `nbf`, seconds since 1970; Microsoft's credentials have none.
    pub not_before: Option<i64>,
    /// Type of the status entry, where there is one.
    pub status_type: Option<String>,
}

/// What a credential is held against.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The issuer's DID.
    pub issuer: &'a str,
    /// The holder's DID; `None` when only the issuer's side is judged.
    pub holder: Option<&'a str>,
    /// One of these types has to be there; no entry means that any type is good.
    pub types: &'a [String],
    /// Seconds since 1970.
    pub now: i64,
}

/// Why a credential is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// Not a JWS of this wire.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// A member is missing or of the wrong type.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The signature does not verify.
    #[error("its signature does not verify")]
    Signature(#[from] SignatureError),
    /// `iss` is not the DID that signed it, or not the expected issuer.
    #[error("its iss is not the issuer's DID")]
    Issuer,
    /// `sub` is not the holder.
    #[error("its sub is not the holder's DID")]
    Holder,
    /// `exp` has passed.
    #[error("it has expired")]
    Expired,
    /// `iat` or `nbf` lies in the future.
    #[error("it is not valid yet")]
    NotYet,
    /// None of the requested types.
    #[error("it is of another type than requested")]
    Type,
}

impl Credential {
    /// Reads the payload of a credential and holds it against `expected`.
    ///
    /// # Errors
    /// [`CredentialError`] names the first rule that is broken.
    pub fn parse(payload: &Value, expected: &Expected<'_>) -> Result<Self, CredentialError> {
        let top = Node::root("credential", payload);
        top.without_nulls()?;
        let credential = Self::read(&top)?;
        if credential.issuer != expected.issuer {
            return Err(CredentialError::Issuer);
        }
        if expected.holder.is_some_and(|holder| credential.holder != holder) {
            return Err(CredentialError::Holder);
        }
        let fits = |kind: &String| credential.types.iter().skip(1).any(|one| one == kind);
        if !expected.types.is_empty() && !expected.types.iter().any(fits) {
            return Err(CredentialError::Type);
        }
        credential.check_time(expected.now)?;
        Ok(credential)
    }

    /// Whether the credential is valid at `now`, in seconds since 1970.
    ///
    /// # Errors
    /// [`CredentialError::NotYet`] and [`CredentialError::Expired`].
    pub fn check_time(&self, now: i64) -> Result<(), CredentialError> {
        let latest = now.saturating_add(LEEWAY_SECS);
        if self.issued > latest || self.not_before.is_some_and(|time| time > latest) {
            return Err(CredentialError::NotYet);
        }
        if self.expires <= now { Err(CredentialError::Expired) } else { Ok(()) }
    }

    /// Reads the payload without judging whose it is or whether it is still valid: for looking at stored credentials.
    ///
    /// # Errors
    /// A member that is missing or of the wrong type.
    pub fn read_only(payload: &Value) -> Result<Self, ShapeError> {
        Self::read(&Node::root("credential", payload))
    }

    fn read(top: &Node<'_>) -> Result<Self, ShapeError> {
        let vc = top.member("vc")?;
        let context = vc.member("@context")?;
        if context.strings()?.first() != Some(&CONTEXT) {
            return Err(context.fault(Problem::Lacks(CONTEXT)));
        }
        let kinds = vc.member("type")?;
        let types: Vec<String> = kinds.strings()?.into_iter().map(str::to_owned).collect();
        if types.first().map(String::as_str) != Some("VerifiableCredential") {
            return Err(kinds.fault(Problem::Lacks("VerifiableCredential")));
        }
        if types.len() < 2 {
            return Err(kinds.fault(Problem::TooFew(2)));
        }
        let subject = vc.member("credentialSubject")?;
        for (_, claim) in subject.members()? {
            // The iOS library drops arrays without a word.
            if claim.value().is_array() {
                return Err(claim.fault(Problem::NotString));
            }
        }
        let status_type = match vc.optional("credentialStatus")? {
            Some(status) => {
                status.member("id")?.text()?;
                Some(status.member("type")?.text()?.to_owned())
            }
            None => None,
        };
        for name in ["revokeService", "exchangeService"] {
            if let Some(service) = vc.optional(name)? {
                service.member("id")?.text()?;
                service.member("type")?.text()?;
            }
        }
        Ok(Self {
            jti: top.member("jti")?.text()?.to_owned(),
            issuer: top.member("iss")?.string()?.to_owned(),
            holder: top.member("sub")?.string()?.to_owned(),
            types,
            claims: subject.object()?.clone(),
            issued: top.member("iat")?.integer()?,
            // Optional for the decoders, but wallets broke on credentials without it.
            expires: top.member("exp")?.integer()?,
            not_before: top.optional_integer("nbf")?,
            status_type,
        })
    }
}

#[cfg(test)]
mod tests;
