//! The database: rows and attempts, a clock that may be set, a log of commits of which a promoted standby may lack
//! the last.

use std::collections::BTreeMap;

use super::super::{Row, Slot};
use super::{MS, scaled};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Open,
    Answered,
    Unknown,
}

#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) row: String,
    pub(super) slot: Slot,
    pub(super) status: Status,
}

#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) rows: BTreeMap<String, Row>,
    pub(super) attempts: BTreeMap<usize, Kept>,
}

pub(super) struct Database {
    pub(super) rate: i64,
    pub(super) offset: i64,
    /// Which server this is; a transaction begun on another fails.
    pub(super) epoch: u64,
    /// The row lock is free from then on (all rows are locked together here).
    pub(super) lock_free: i64,
    log: Vec<(i64, usize, State)>,
}

impl Database {
    pub(super) fn new(rate: i64, offset: i64, state: State) -> Self {
        Self { rate, offset, epoch: 1, lock_free: 0, log: vec![(-1, usize::MAX, state)] }
    }

    /// Its clock, in whole milliseconds.
    pub(super) fn clock(&self, real: i64) -> i64 {
        (scaled(real, self.rate) + self.offset).div_euclid(MS)
    }

    pub(super) fn state(&self) -> State {
        self.log.last().unwrap().2.clone()
    }

    pub(super) fn commit(&mut self, at: i64, transaction: usize, state: State) {
        self.log.push((at, transaction, state));
        // A standby lags by seconds at most.
        if self.log.len() > 600 {
            self.log.drain(..300);
        }
    }

    /// Whether the transaction's commit is in this database.
    pub(super) fn has(&self, transaction: usize) -> bool {
        self.log.iter().rev().any(|(_, of, _)| *of == transaction)
    }

    /// Loses every commit made after a time.
    pub(super) fn lose_after(&mut self, time: i64) {
        let keep = self.log.iter().take_while(|(at, _, _)| *at <= time).count().max(1);
        self.log.truncate(keep);
    }
}
