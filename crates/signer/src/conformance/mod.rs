//! The suite that every back end passes.
//!
//! Owns what it means to be a back end, as checks that run against a live one: the software back end in unit tests, a
//! vault simulator in end-to-end tests, an operator's own HSM on request. Signatures are verified with independent
//! libraries. It must not assume an empty back end and leaves nothing behind but disabled keys in slots with random
//! names.

mod checks;
#[cfg(test)]
mod tests;
mod verify;

use std::fmt;

use domain::BootClock;

use crate::backend::{KeyAdmin, Signer, Unsupported};
use crate::permit::PermitMint;

/// One rule for back ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Check {
    /// What a back end says that it lacks is what its operator was told, and asking for it is refused as unsupported.
    CapabilitiesAgree,
    /// Asking twice for a slot gives the same key.
    CreateIsIdempotent,
    /// A slot does not give a key of another algorithm than its own.
    SlotKeepsItsAlgorithm,
    /// Names that are no slot names are refused.
    SlotNamesAreChecked,
    /// The public half is the same whenever it is asked for, and a point of its curve.
    PublicKeyIsStable,
    /// A signature verifies under the public half of the key that the permit names, and under no other.
    SignsWithTheNamedKey,
    /// Where the back end is another process, each exchange has a receipt with an id of its own, refusals too.
    ReceiptsAreComplete,
    /// A permit for one algorithm is not used with a key of another.
    AlgorithmIsBound,
    /// An unknown version, name or back end is not found; nothing else signs in its place.
    UnknownKeyIsNotFound,
    /// A permit past its deadline is refused before anything is sent.
    ExpiredPermitIsRefused,
    /// Signatures that are made at the same time belong to their own digests.
    ConcurrentSignaturesAreSeparate,
    /// The list shows every key with its public half and its state.
    ListAgrees,
    /// A disabled key does not sign, and says why; its public half can still be read.
    DisabledKeyIsRefused,
}

/// A check that a back end failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which rule.
    pub check: Check,
    /// What was seen instead.
    pub seen: String,
}

/// What the suite found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Rules that hold.
    pub passed: Vec<Check>,
    /// Rules that do not.
    pub failed: Vec<Failure>,
    /// Rules that need something that the back end declares as unsupported.
    pub skipped: Vec<Check>,
}

impl Report {
    /// Whether every rule that applies holds.
    #[must_use]
    pub fn is_conformant(&self) -> bool {
        self.failed.is_empty() && !self.passed.is_empty()
    }

    /// Whether one rule was broken.
    #[must_use]
    pub fn failed(&self, check: Check) -> bool {
        self.failed.iter().any(|failure| failure.check == check)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for failure in &self.failed {
            writeln!(f, "failed  {:?}: {}", failure.check, failure.seen)?;
        }
        for check in &self.skipped {
            writeln!(f, "skipped {check:?}")?;
        }
        for check in &self.passed {
            writeln!(f, "passed  {check:?}")?;
        }
        Ok(())
    }
}

/// What the suite runs against.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Its hot path.
    pub backend: &'a dyn Signer,
    /// Its cold path.
    pub admin: &'a dyn KeyAdmin,
    /// Makes the permits.
    pub mint: &'a PermitMint,
    /// The clock with which the back end judges them.
    pub clock: &'a dyn BootClock,
    /// What its documentation says that it cannot do.
    pub declared: &'a [Unsupported],
}

/// Runs all checks.
///
/// A limited back end has to have about 60 signatures per algorithm to spare: the suite takes no slots.
pub async fn run(subject: &Subject<'_>) -> Report {
    checks::Suite::new(subject).run().await
}
