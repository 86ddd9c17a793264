//! A development wallet for the Entra wire: a second, independent implementation that judges the service from outside, and
//! therefore imports nothing of it. As strict as the strictest shipping wallet library in every point.
//!
//! One issuance, step by step:
//!
//! 1. [`link::parse`] the deep link; [`session::Session::open`] fetches and judges the request.
//! 2. [`session::Session::linked_domain`] says what to show about the issuer.
//! 3. [`session::Session::contract`] fetches and judges the contract.
//! 4. [`proof::ProofInput::new`], [`proof::build`] and [`holder::Holder::sign_jws`] make the proof,
//!    [`session::Session::issue`] sends it, [`verify::credential`] judges what comes back.
//! 5. [`session::Session::complete`] reports the outcome.
//!
//! Times are seconds since 1970 and come from the caller; [`clock::system_now`] is the system's.

pub mod address;
pub mod clock;
pub mod contract;
pub mod credential;
pub mod did_web;
pub mod directory;
pub mod document;
pub mod holder;
pub mod http;
pub mod jcs;
pub mod jws;
pub mod key;
pub mod link;
pub mod linked_domain;
pub mod member;
pub mod pin;
pub mod printable;
pub mod proof;
pub mod request;
pub mod session;
pub mod verify;

#[cfg(test)]
extern crate self as wallet;

#[cfg(test)]
mod example;
#[cfg(test)]
#[path = "../tests/wire/issuer.rs"]
mod issuer;
