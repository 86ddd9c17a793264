//! Decentralised identifiers: taking them apart, and finding the key that a holder's DID names.
//!
//! Owns the syntax (W3C DID Core 1.0, section 3) and the methods that need no network. It must not fetch:
//! did:web comes back as an address, and its document is judged by [`holder::key_from_document`].

pub mod holder;
mod ion;
mod jcs;
pub mod web;

use crate::key::KeyError;

/// Longest DID that is read, in bytes. Long-form did:ion of stock wallets has 700 to 1,200, with many keys about 2,000.
pub const DID_LIMIT_BYTES: usize = 4096;

/// Longest fragment that is read, in bytes.
pub const FRAGMENT_LIMIT_BYTES: usize = 256;

/// A DID cannot be used, or does not lead to one key.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum DidError {
    /// Longer than [`DID_LIMIT_BYTES`], or a fragment longer than [`FRAGMENT_LIMIT_BYTES`].
    #[error("the DID is too long")]
    TooLong,
    /// Not a DID, or not as its method writes it.
    #[error("the text is not a DID of its method")]
    Malformed,
    /// A method that is not understood.
    #[error("the DID's method is not one of did:ion, did:jwk, did:key, did:web")]
    UnsupportedMethod,
    /// A did:ion without its initial state, which only the ION network could resolve.
    #[error("a short-form did:ion cannot be resolved without the network; the long form is needed")]
    ShortFormIon,
    /// The suffix of a did:ion is not the hash of its suffix data.
    #[error("the did:ion's suffix does not belong to its suffix data")]
    IonSuffixMismatch,
    /// The delta hash of a did:ion is not the hash of its delta.
    #[error("the did:ion's delta hash does not belong to its delta")]
    IonDeltaMismatch,
    /// A did:ion patch other than `replace`.
    #[error("the did:ion's state has a patch other than `replace`")]
    IonPatch,
    /// A did:web host that is no public name: an address, user info, a query, stray characters.
    #[error("the did:web does not name a host")]
    HostRefused,
    /// The document's `id` is another DID.
    #[error("the document belongs to another DID")]
    DocumentMismatch,
    /// The document is not a DID document.
    #[error("the document is not a DID document")]
    Document,
    /// No key has the fragment.
    #[error("the DID has no such key")]
    KeyNotFound,
    /// No fragment was given and the DID has several usable keys.
    #[error("the DID has several keys and none was named")]
    KeyAmbiguous,
    /// The named key cannot be used.
    #[error("the DID's key cannot be used")]
    Key(#[source] KeyError),
}

impl DidError {
    /// A stable label for the ledger.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooLong => "did_too_long",
            Self::Malformed => "did_malformed",
            Self::UnsupportedMethod => "did_method_unsupported",
            Self::ShortFormIon => "did_ion_short_form",
            Self::IonSuffixMismatch => "did_ion_suffix_mismatch",
            Self::IonDeltaMismatch => "did_ion_delta_mismatch",
            Self::IonPatch => "did_ion_patch",
            Self::HostRefused => "did_web_host_refused",
            Self::DocumentMismatch => "did_document_mismatch",
            Self::Document => "did_document_malformed",
            Self::KeyNotFound => "did_key_not_found",
            Self::KeyAmbiguous => "did_key_ambiguous",
            Self::Key(_) => "did_key_unusable",
        }
    }
}

/// A DID with or without a fragment. DID URLs with path or query name no key and are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DidUrl<'a> {
    did: &'a str,
    method: &'a str,
    specific: &'a str,
    fragment: Option<&'a str>,
}

impl<'a> DidUrl<'a> {
    /// Takes `did:method:specific#fragment` apart.
    ///
    /// # Errors
    /// [`DidError::TooLong`], or [`DidError::Malformed`] for anything else that is wrong.
    pub fn parse(text: &'a str) -> Result<Self, DidError> {
        let (did, fragment) = match text.split_once('#') {
            Some((did, fragment)) => (did, Some(fragment)),
            None => (text, None),
        };
        if did.len() > DID_LIMIT_BYTES || fragment.is_some_and(|text| text.len() > FRAGMENT_LIMIT_BYTES) {
            return Err(DidError::TooLong);
        }
        let (method, specific) =
            did.strip_prefix("did:").and_then(|rest| rest.split_once(':')).ok_or(DidError::Malformed)?;
        let method_ok = !method.is_empty()
            && method.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let specific_ok = !specific.is_empty()
            && !specific.ends_with(':')
            && specific.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte));
        let fragment_ok = fragment.is_none_or(|text| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
        });
        if method_ok && specific_ok && fragment_ok {
            Ok(Self { did, method, specific, fragment })
        } else {
            Err(DidError::Malformed)
        }
    }

    /// Everything before the `#`.
    #[must_use]
    pub const fn did(&self) -> &'a str {
        self.did
    }

    /// The method's name, such as `ion`.
    #[must_use]
    pub const fn method(&self) -> &'a str {
        self.method
    }

    /// What follows the method's name.
    #[must_use]
    pub const fn method_specific_id(&self) -> &'a str {
        self.specific
    }

    /// Everything after the `#`; never empty.
    #[must_use]
    pub const fn fragment(&self) -> Option<&'a str> {
        self.fragment
    }
}

#[cfg(test)]
mod tests;
