//! The documents that an authority publishes for its `did:web` DID.
//!
//! Owns their exact bytes ([`document()`], [`did_configuration`]), where they are found ([`Origin`],
//! [`document_url`]), how a key is named in them ([`key_fragment`]) and what is wrong with the one that is really
//! served ([`verify_served`]). It must not sign, must not decide which key is in which state, and does no I/O: whoever
//! fetches goes through the egress crate.

mod address;
mod document;
mod fragment;
mod served;

pub use address::{InvalidDid, InvalidOrigin, Origin, did_from_origin, document_url};
pub use document::{DocumentInput, IdForm, MAX_DOCUMENT_BYTES, Rendered, did_configuration, document};
pub use fragment::{InvalidKeyName, key_fragment};
pub use served::{Finding, verify_served};
