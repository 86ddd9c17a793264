//! The tokens of the Entra wire, as an issuer writes them.
//!
//! Owns members, order and spelling of each payload; [`crate::jws::Unsigned`] makes tokens of them. It must not sign,
//! and must not look anything up: every value comes in.

pub mod credential;
pub mod index_hash;
pub mod linkage;
pub mod manifest;
pub mod request_object;

/// The first JSON-LD context of every credential (W3C Verifiable Credentials Data Model 1.1, section 4.1).
pub(crate) const CREDENTIALS_CONTEXT: &str = "https://www.w3.org/2018/credentials/v1";

/// The first type of every credential (same, section 4.3).
pub(crate) const CREDENTIAL_TYPE: &str = "VerifiableCredential";
