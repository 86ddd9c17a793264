//! The end-to-end tests: one test binary over the real programs. Each module is a subject; add a line here for a new one.

mod architecture;
mod bad_input;
mod contracts;
mod faults;
mod inbound;
mod issuance;
mod key_vault;
mod limits;
mod outbox;
mod store;
mod vault;
