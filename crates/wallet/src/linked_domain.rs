//! The did-configuration document that ties a DID to an origin (wallet protocol, section 7.5). Owns its reading and the
//! verdict. Must not fetch anything.

use serde_json::Value;
use url::Url;

use crate::document::DidDocument;
use crate::jws::{CompactJws, JwsError};
use crate::key::SignatureError;
use crate::member::{Node, Problem, ShapeError};

const CONTEXT: &str = "https://identity.foundation/.well-known/contexts/did-configuration-v0.0.jsonld";
const CREDENTIALS_CONTEXT: &str = "https://www.w3.org/2018/credentials/v1";

/// What a wallet shows about the issuer's domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkedDomain {
    /// The origin vouches for the DID and the DID for the origin.
    Verified {
        /// The origin as both sides spell it.
        origin: String,
    },
    /// Not shown as the issuer's domain; issuance goes on.
    Unverified {
        /// The origin the DID document names.
        origin: String,
        /// Why it does not count.
        reason: Unverified,
    },
    /// The DID document names no origin.
    NotDeclared,
}

/// Why a linked domain does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// The origin carries a path, query or user, or is not https.
    #[error("the DID document's origin is not a plain https origin")]
    NotAnOrigin,
    /// The document could not be fetched.
    #[error("the origin's did-configuration could not be fetched")]
    NotFetched,
    /// Its credential is about another DID.
    #[error("the linkage is for another DID")]
    OtherDid,
    /// Its credential is about another origin; a missing trailing slash suffices.
    #[error("the linkage is for another origin")]
    OtherOrigin,
    /// Its credential is of another type or context.
    #[error("the linkage is not a DomainLinkageCredential")]
    OtherType,
    /// Its credential has expired or is not valid yet.
    #[error("the linkage is outside its validity")]
    Expired,
    /// Its signature is wrong.
    #[error("the linkage's signature does not verify")]
    Signature(#[source] SignatureError),
}

/// A did-configuration of the wrong shape. A 2xx answer like this ends the whole issuance in shipping wallets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkedDomainError {
    /// The DID document's origin has no scheme.
    #[error("the DID document's origin is not absolute")]
    Origin,
    /// Not JSON.
    #[error("it is not JSON")]
    Json,
    /// A member is missing or of the wrong type.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// An entry that is no compact JWS.
    #[error("one of its entries is unusable")]
    Jws(#[from] JwsError),
    /// The signer's DID document cannot be had.
    #[error("the signer of its first entry cannot be resolved")]
    Signer,
}

/// The address of the did-configuration of `origin`; `None` when the origin is not a plain https origin.
///
/// # Errors
/// [`LinkedDomainError::Origin`] for an origin without a scheme, which is fatal in shipping wallets.
pub fn configuration_url(origin: &str) -> Result<Option<Url>, LinkedDomainError> {
    let url = Url::parse(origin).map_err(|_source| LinkedDomainError::Origin)?;
    let written = format!("{}/", origin.trim_end_matches('/'));
    if url.scheme() != "https" || !url.username().is_empty() || url.as_str() != written {
        return Ok(None);
    }
    Ok(url.join("/.well-known/did-configuration.json").ok())
}

/// A did-configuration of the right shape.
#[derive(Debug, Clone)]
pub struct Configuration {
    first: Linkage,
}

#[derive(Debug, Clone)]
struct Linkage {
    jws: CompactJws,
    dids: [String; 4],
    origin: String,
    type_fits: bool,
    not_before: i64,
    expires: i64,
}

impl Configuration {
    /// Reads a did-configuration: a single-string `@context`, and compact JWSs only, of which the first counts.
    ///
    /// # Errors
    /// [`LinkedDomainError`]: everything that a shipping wallet's decoder cannot read.
    pub fn parse(bytes: &[u8]) -> Result<Self, LinkedDomainError> {
        let value: Value = serde_json::from_slice(bytes).map_err(|_source| LinkedDomainError::Json)?;
        let top = Node::root("did-configuration", &value);
        top.without_nulls()?;
        top.member("@context")?.exactly(CONTEXT)?;
        let entries = top.member("linked_dids")?;
        let linkages = entries.strings()?.into_iter().map(Linkage::parse).collect::<Result<Vec<_>, _>>()?;
        let first = linkages.into_iter().next().ok_or_else(|| entries.fault(Problem::Empty))?;
        Ok(Self { first })
    }

    /// The DID that signed the first entry.
    #[must_use]
    pub fn signer(&self) -> &str {
        &self.first.jws.kid.did
    }

    /// Judges the first entry against the issuer's document and the origin it names. `now` in seconds since 1970.
    ///
    /// # Errors
    /// [`Unverified`] names the first check that failed.
    pub fn judge(&self, document: &DidDocument, origin: &str, now: i64) -> Result<(), Unverified> {
        let linkage = &self.first;
        if linkage.jws.kid.did != document.did || linkage.dids.iter().any(|did| *did != document.did) {
            return Err(Unverified::OtherDid);
        }
        // Byte for byte: iOS compares exactly, trailing slash included.
        if linkage.origin != origin {
            return Err(Unverified::OtherOrigin);
        }
        if !linkage.type_fits {
            return Err(Unverified::OtherType);
        }
        if now < linkage.not_before.saturating_sub(crate::clock::LEEWAY_SECS) || now >= linkage.expires {
            return Err(Unverified::Expired);
        }
        document.verify(&linkage.jws).map_err(Unverified::Signature)
    }
}

impl Linkage {
    fn parse(text: &str) -> Result<Self, LinkedDomainError> {
        let jws = CompactJws::parse(text)?;
        let top = Node::root("linkage", &jws.payload);
        let vc = top.member("vc")?;
        let subject = vc.member("credentialSubject")?;
        let contexts = vc.member("@context")?.strings()?;
        let types = vc.member("type")?.strings()?;
        vc.member("issuanceDate")?.text()?;
        vc.member("expirationDate")?.text()?;
        let dids = [
            top.member("iss")?.string()?.to_owned(),
            top.member("sub")?.string()?.to_owned(),
            vc.member("issuer")?.string()?.to_owned(),
            subject.member("id")?.string()?.to_owned(),
        ];
        let origin = subject.member("origin")?.string()?.to_owned();
        let type_fits = contexts.first() == Some(&CREDENTIALS_CONTEXT)
            && contexts.contains(&CONTEXT)
            && types.contains(&"VerifiableCredential")
            && types.contains(&"DomainLinkageCredential");
        let not_before = top.member("nbf")?.integer()?;
        let expires = top.member("exp")?.integer()?;
        Ok(Self { dids, origin, type_fits, not_before, expires, jws })
    }
}

#[cfg(test)]
mod tests;
