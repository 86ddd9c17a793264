//! Hostile and broken input on every surface: the documented error, no half state, and a trace in the ledger where it
//! concerns a request.

mod access;
mod contract_files;
mod create_body;
mod hostile_texts;
mod pins;
mod proofs;
mod raw_http;
mod requests;
