//! The encodings of Credenza: compact JWS, public keys, DIDs of holders, the wallet's proof, the issuer's tokens.
//!
//! Owns how bytes look and whether outside bytes may be believed. Everything here is a function of its arguments:
//! no I/O, no async, no clock (time comes in as [`domain::Timestamp`]), no randomness and no private signing keys.
//! A token that the issuer signs leaves as [`jws::Unsigned`]; the signature comes from elsewhere.

mod base64url;
pub mod completion;
pub mod did;
pub mod entra;
pub mod hint;
pub mod jws;
pub mod key;
pub mod pin;
pub mod proof;
