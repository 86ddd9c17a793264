//! The whole product with its keys in a vault: `dev --vault`, `serve` with vaults, what a start refuses, and `doctor`.

mod development;
mod doctor;
mod refusals;
mod served;
pub mod site;
