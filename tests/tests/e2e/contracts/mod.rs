//! Contracts and installations from the shell: first and second starts, `credenza contract …`, what a start refuses, and
//! what wallets get while a contract changes.

mod commands;
pub mod installation;
mod pending;
mod served;
mod starts;
