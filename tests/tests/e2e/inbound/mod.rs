//! Inbound protection through the real program: quotas, stops, what a refused call is told and what the ledger says of it;
//! and the plan that needs no service.

mod addresses;
mod fixture;
mod planning;
mod quotas;
mod stops;
