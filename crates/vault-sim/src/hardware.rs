//! Owns the speed of a Managed HSM: it refuses nothing for being too much, but who comes too fast waits for those before him.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::{Moment, nanos};
use crate::material::Curve;
use crate::operation::Operation;

/// What stands in line together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Line {
    Crypto,
    Create,
    Delete,
}

/// The lines of all HSMs.
#[derive(Debug)]
pub struct Hardware {
    partitions: u32,
    /// When the last one in line is served.
    free: BTreeMap<(String, Line), Moment>,
}

/// Operations per second of one partition with one key, as the service's scaling guidance of December 2025 has them. What it
/// does not name counts as a read.
fn rate(operation: Operation, curve: Option<Curve>) -> (Line, u32) {
    match (operation, curve) {
        (Operation::Create | Operation::Import | Operation::Rotate | Operation::Restore, _) => {
            (Line::Create, 1)
        }
        (Operation::Delete | Operation::Purge | Operation::Recover, _) => (Line::Delete, 10),
        (Operation::Sign, Some(Curve::P384)) => (Line::Crypto, 160),
        (Operation::Sign, Some(Curve::P521)) => (Line::Crypto, 200),
        (Operation::Sign, _) => (Line::Crypto, 330),
        (Operation::Verify, Some(Curve::P384)) => (Line::Crypto, 82),
        (Operation::Verify, Some(Curve::P521)) => (Line::Crypto, 28),
        (Operation::Verify, _) => (Line::Crypto, 130),
        _ => (Line::Crypto, 1_100),
    }
}

impl Hardware {
    /// `partitions` work side by side; 0: hardware without an end.
    pub fn new(partitions: u32) -> Self {
        Self { partitions, free: BTreeMap::new() }
    }

    /// How long an operation that arrives now waits for its turn.
    pub fn arrive(&mut self, hsm: &str, operation: Operation, curve: Option<Curve>, now: Moment) -> Duration {
        let (line, rate) = rate(operation, curve);
        let rate = rate.saturating_mul(self.partitions);
        let Some(takes) = Duration::from_secs(1).checked_div(rate) else { return Duration::ZERO };
        let free = self.free.entry((hsm.to_owned(), line)).or_insert(now);
        let turn = (*free).max(now);
        *free = Moment(turn.0.saturating_add(nanos(takes)));
        Duration::from_nanos(turn.0.saturating_sub(now.0).unsigned_abs())
    }
}
