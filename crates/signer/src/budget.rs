//! The vault budget's place in the signing path.
//!
//! Owns the words in which a back end says how often it may be asked. It must not hold state: a limited back end's
//! slots live in a row of the database and are granted and returned inside the intent's and the outcome's
//! transactions; the pure rules for that row come with the vault back ends. A back end without a limit has no row.

use std::time::Duration;

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    /// How many.
    pub amount: u32,
    /// Within which time.
    pub window: Duration,
    /// Over what.
    pub scope: Scope,
}

/// How often a back end may be asked.
pub trait Budget: Send + Sync {
    /// All limits of the back end, empty if there is none.
    fn limits(&self) -> &[Limit];

    /// Whether the signing path has to take a slot before it asks.
    fn is_limited(&self) -> bool {
        !self.limits().is_empty()
    }
}

/// The budget of a back end that only the machine limits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlimited;

impl Budget for Unlimited {
    fn limits(&self) -> &[Limit] {
        &[]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One([Limit; 1]);

    impl Budget for One {
        fn limits(&self) -> &[Limit] {
            &self.0
        }
    }

    #[test]
    fn a_back_end_is_limited_by_having_a_limit() {
        let limit = Limit {
            operations: Operations::Sign,
            amount: 2000,
            window: Duration::from_secs(10),
            scope: Scope::Vault,
        };
        assert!(One([limit]).is_limited());
        assert!(!Unlimited.is_limited());
    }
}
