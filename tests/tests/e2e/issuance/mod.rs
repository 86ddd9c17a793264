//! The issuance wire through real listeners, with the real programs and the development wallet's parts.

pub mod did_web;
pub mod errors;
pub mod fixture;
pub mod flow;
pub mod trail;

mod callbacks;
mod claims;
mod completion;
mod contracts;
mod created;
mod documents;
mod erased;
mod expiry;
mod holders;
mod issue;
mod lifecycle;
mod pins;
mod request_object;
mod tokens;
