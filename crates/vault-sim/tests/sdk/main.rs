//! The simulator against the official Rust client, unmodified, over TLS.
#![cfg(test)]

mod client;
mod credentials;
mod keys;
mod life;
