//! A look-alike of Azure Key Vault's keys API, with its limits, its audit log and its failures. README.md says what it does.
//!
//! It must not use any crate of ours: it judges them.

mod admin;
mod answer;
mod audit;
mod clock;
mod failure;
mod fault;
mod hardware;
mod identity;
mod listener;
mod login;
mod material;
mod members;
mod meter;
mod operation;
mod profile;
mod random;
mod route;
mod service;
mod sim;
mod tls;
mod vault;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use audit::{Arrival, LogConfig};
pub use clock::{Moment, SimClock};
pub use failure::{ConflictCode, ForbiddenCode};
pub use fault::{BadFault, FaultId, FaultKind, FaultSpec};
pub use identity::{AccessConfig, Role};
pub use meter::{Limits, Subscription, ThrottleConfig, Window};
pub use operation::PERMISSIONS;
pub use profile::Profile;
pub use sim::{LatencyConfig, Running, Sim, SimConfig, StartError};
pub use tls::TlsError;
pub use vault::VaultConfig;

/// Locks, also after somebody panicked under the lock: a simulator in a test shall say what it saw.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
