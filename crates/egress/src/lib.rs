//! The only HTTP client for URLs that others can influence: callbacks, OIDC metadata and keys, DID documents of
//! holders, linked domains.
//!
//! Owns which URL may be called at all, which address a name may lead to, and how long and how large an answer may be.
//! It must not follow redirects, retry, keep cookies, use a proxy, or know what the documents mean.
//!
//! Two gates guard the network behind this process. [`Client::check`] judges the URL's text, so that a front end gets
//! a clear refusal before anything is stored. The resolver judges every address that a name leads to at the moment of
//! dialling, so that the address judged is the address called and a name that changes its answer gains nothing.

mod address;
mod client;
mod error;
mod headers;
mod policy;
mod refusal;
mod resolve;

pub use address::AddressKind;
pub use client::{Client, Delivered, Fetched};
pub use error::{EgressError, HeaderRefusal};
pub use headers::check_header;
pub use policy::{InvalidTarget, Policy, Target};
pub use refusal::{NameKind, Refusal};
