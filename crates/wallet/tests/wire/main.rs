//! The wallet against a made-up issuer over TLS: the library's steps, and the command line.
#![cfg(test)]

mod command_line;
mod issuer;
mod server;
mod steps;
