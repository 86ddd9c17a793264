//! Issuance: use cases, the signing path, background workers and HTTP.
//!
//! The only crate that joins `signer` and `store`. A request enters in [`http`], is decided in [`usecase`], is signed
//! in [`signing`] and leaves through [`http`] again; what happens later leaves through [`worker`].

pub mod auth;
pub mod cold;
pub mod directory;
pub mod holder;
pub mod http;
pub mod inbound;
mod notes;
pub mod placement;
pub mod sealed;
pub mod service;
pub mod signing;
pub mod status;
pub mod urls;
pub mod usecase;
pub mod worker;

pub use service::{Issuer, Parts, Settings};
