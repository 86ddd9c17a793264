//! The wallet's judgement of each signed message: parse, signature under the issuer's DID, rules. Pure: the caller fetches
//! and says what time it is.

use serde_json::Value;

use crate::contract::{Contract, ContractError};
use crate::credential::{Credential, CredentialError, Expected};
use crate::document::DidDocument;
use crate::jws::CompactJws;
use crate::key::SignatureError;
use crate::linked_domain::{Configuration, LinkedDomain, LinkedDomainError, Unverified};
use crate::member::{Node, ShapeError};
use crate::request::{IssuanceRequest, RequestError};

/// Checks a signature under `document`: same DID, a key with the fragment of `kid`, the key's algorithm.
///
/// # Errors
/// [`SignatureError`].
pub fn signature(jws: &CompactJws, document: &DidDocument) -> Result<(), SignatureError> {
    document.verify(jws)
}

/// Judges the body of a request answer (wallet protocol, sections 1.2 and 2). `now` in seconds since 1970.
///
/// # Errors
/// [`RequestError`] names the first rule that is broken.
pub fn request(body: &str, document: &DidDocument, now: i64) -> Result<IssuanceRequest, RequestError> {
    let jws = CompactJws::parse(body)?;
    signature(&jws, document)?;
    IssuanceRequest::parse(&jws.payload, &jws.kid.did, now)
}

/// Judges a contract token against the request that named it (section 3). `now` in seconds since 1970.
///
/// # Errors
/// [`ContractError`] names the first rule that is broken.
pub fn contract(
    token: &str,
    document: &DidDocument,
    request: &IssuanceRequest,
    now: i64,
) -> Result<Contract, ContractError> {
    let jws = CompactJws::parse(token)?;
    if jws.kid.did != request.issuer {
        return Err(ContractError::Issuer);
    }
    signature(&jws, document)?;
    Contract::parse(&jws.payload, request, now)
}

/// Judges a credential (section 4.5), and what the Android library leaves unchecked besides: issuer, holder, expiry, type
/// and whose key signed it.
///
/// # Errors
/// [`CredentialError`] names the first rule that is broken.
pub fn credential(
    text: &str,
    document: &DidDocument,
    expected: &Expected<'_>,
) -> Result<Credential, CredentialError> {
    let jws = CompactJws::parse(text)?;
    if jws.kid.did != expected.issuer {
        return Err(CredentialError::Issuer);
    }
    signature(&jws, document)?;
    Credential::parse(&jws.payload, expected)
}

/// Judges the did-configuration of `origin` (section 7.5). `now` in seconds since 1970.
///
/// # Errors
/// [`LinkedDomainError`] for a wrong shape, which is fatal; everything else is a verdict.
pub fn linked_domain(
    body: &[u8],
    document: &DidDocument,
    origin: &str,
    now: i64,
) -> Result<LinkedDomain, LinkedDomainError> {
    let verdict = Configuration::parse(body)?.judge(document, origin, now);
    Ok(verdict_on(origin, verdict))
}

pub(crate) fn verdict_on(origin: &str, verdict: Result<(), Unverified>) -> LinkedDomain {
    match verdict {
        Ok(()) => LinkedDomain::Verified { origin: origin.to_owned() },
        Err(reason) => LinkedDomain::Unverified { origin: origin.to_owned(), reason },
    }
}

/// The string member `name` of a JSON answer, as in `{"token": …}` and `{"vc": …}`.
///
/// # Errors
/// [`ShapeError`] when the member is missing or no string.
pub fn answer_member(answer: &Value, name: &str) -> Result<String, ShapeError> {
    Ok(Node::root("answer", answer).member(name)?.string()?.to_owned())
}

#[cfg(test)]
mod tests;
