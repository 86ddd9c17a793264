//! The vault budget: how a limited back end is asked as often as it allows and never more often.
//!
//! Owns the words in which a back end declares its limits ([`Budget`], [`Meter`], [`Limit`], [`Cost`]) and the pure
//! state machine of the row that keeps a meter's slots ([`Row`]). `docs/budget.md` states the rules and why they
//! hold; the randomised model in `budget/model` shows for each of them that the limit breaks without it.
//!
//! It must not do I/O, must not read a clock and must not be async: the caller locks the row, reads the database's
//! time afterwards ([`Reading`]), applies what it needs and writes the row back in the same transaction.
//!
//! # How a caller uses it
//!
//! Within one transaction, after the rows of all meters were locked in the order of their ids:
//!
//! 1. read the database's time with a statement of its own, and the boot-time clock before and after it: [`Reading`];
//! 2. [`Row::parse`] each text, [`Row::open`] it, which gives [`Now`] and this process's next [`Witness`];
//! 3. [`Row::grant`] a slot per attempt ([`grant_all`] where it needs slots in several rows), [`Row::answered`] per
//!    recorded answer, [`Row::throttled`] per refusal by the vault, [`Row::admit`] per created request;
//! 4. write [`Row::to_text`] and commit. Only when the commit is known to have succeeded, without any notice, keep the
//!    witness and let the attempts go.

mod admission;
mod clock;
mod meter;
#[cfg(test)]
mod model;
mod ramp;
#[cfg(test)]
mod random;
mod row;
#[cfg(test)]
mod simulation;
mod slots;
mod text;

use std::time::Duration;

use domain::KeyRef;

pub use admission::{Admission, Refusal};
pub use clock::{Now, Opened, Reading, Witness};
pub use meter::{Cost, Meter, MeterId, Ramp, Timing, UNITS};
pub use row::{Demand, Row, Snapshot, grant_all};
pub use slots::{InvalidSlot, Slot};
pub use text::RowError;

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operations {
    /// Signatures and all other transactions on keys.
    Sign,
    /// Making keys.
    CreateKey,
}

/// Over what a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One vault.
    Vault,
    /// All vaults of a subscription in a region.
    Subscription,
}

/// At most `amount` operations within any `window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What is counted.
    pub operations: Operations,
    /// How many of the reference operation, the one that costs [`UNITS`] (see [`Cost`]).
    pub amount: u32,
    /// Within which time.
    pub window: Duration,
    /// Over what.
    pub scope: Scope,
}

/// How often a back end may be asked.
pub trait Budget: Send + Sync {
    /// The meters that every operation of this back end runs through; empty if nothing limits it. An operation needs
    /// a slot in each meter that has a limit on its kind.
    fn meters(&self) -> &[Meter];

    /// What one operation with this key costs, the same in every meter. For [`Operations::CreateKey`] the key is the
    /// one to be made.
    fn cost(&self, key: &KeyRef, operations: Operations) -> Cost;

    /// Whether the signing path has to take a slot before it asks.
    fn is_limited(&self) -> bool {
        !self.meters().is_empty()
    }
}

/// The budget of a back end that only the machine limits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlimited;

impl Budget for Unlimited {
    fn meters(&self) -> &[Meter] {
        &[]
    }

    fn cost(&self, _key: &KeyRef, operations: Operations) -> Cost {
        Cost::one(operations)
    }
}

#[cfg(test)]
mod tests;
