//! The test harness: starts the real binaries, PostgreSQL, a browser and callback receivers for the tests in `tests/`.
//!
//! Everything it starts is private to one test process, listens on loopback only and ends with that process, even when it is
//! killed (`watchdog`). It must not contain knowledge of the product beyond its command line and its ready file: the tests
//! speak the wire. The one exception is `reconciliation`, which reads the tables of the signing path as an auditor would.

pub mod binaries;
pub mod browser;
pub mod callbacks;
pub mod database;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod reconciliation;
pub mod running;
pub mod wallet;
pub mod watchdog;
