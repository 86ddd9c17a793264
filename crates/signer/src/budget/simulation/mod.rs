//! What the budget achieves: throughput, waits and admission, simulated at full size with injected time.
//!
//! Owns one service of one or more replicas that share a row, people who scan codes, and a vault with a throttle of its
//! own ([`vault`]), independent of the row. It must not assume anything in the row's favour: the vault refuses what is
//! one too many in its own window.

mod report;
mod service;
mod signatures;
mod tests;
mod vault;

/// Microseconds of a millisecond.
const MS: i64 = 1000;
/// Microseconds of a second.
const S: i64 = 1000 * MS;
