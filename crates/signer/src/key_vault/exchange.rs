//! One exchange with a vault: leave to send once, and what came of it.
//!
//! Owns the state that a call and its transport share. The SDK sits between the two and may send as often as it likes;
//! the exchange lets one request through and refuses the rest, so that a permit is one exchange whatever the SDK does.
//! It must not speak HTTP.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{BootClock, BootTime};

use crate::budget::Operations;
use crate::error::SignError;
use crate::leave::Leave;
use crate::receipt::Receipt;

/// What came of it.
#[derive(Debug, Default)]
pub(super) enum Outcome {
    /// Nothing yet.
    #[default]
    Open,
    /// Not what was asked for: no answer, or one that refuses.
    Failed(SignError),
    /// An answer with status 200.
    Answered(Receipt),
}

/// How often a call may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowance {
    /// A signature, or one step of key administration.
    Once,
    /// A list with its pages, each of which the vault counts.
    Pages,
}

const NOT_SENT: u8 = 0;
const SENT: u8 = 1;
const EXPIRED: u8 = 2;

/// The bytes' leave to go out: until a deadline, judged at the last moment.
pub(super) struct Gate {
    clock: Arc<dyn BootClock>,
    deadline: BootTime,
    state: AtomicU8,
}

impl Gate {
    pub(super) fn new(clock: Arc<dyn BootClock>, deadline: BootTime) -> Self {
        Self { clock, deadline, state: AtomicU8::new(NOT_SENT) }
    }

    /// Whether bytes may go out now. Remembers the answer.
    pub(super) fn pass(&self) -> bool {
        let open = self.clock.now() < self.deadline;
        self.state.store(if open { SENT } else { EXPIRED }, Ordering::Release);
        open
    }

    /// Whether the deadline has come.
    pub(super) fn is_over(&self) -> bool {
        self.clock.now() >= self.deadline
    }

    /// How long is left.
    pub(super) fn left(&self) -> Duration {
        self.deadline.since(self.clock.now())
    }

    pub(super) fn is_sent(&self) -> bool {
        self.state.load(Ordering::Acquire) == SENT
    }

    pub(super) fn is_expired(&self) -> bool {
        self.state.load(Ordering::Acquire) == EXPIRED
    }
}

/// One call's leave to send, and its outcome.
pub(super) struct Exchange {
    /// `<intent>.<n>` for the User-Agent; `None` outside of the signing path.
    pub(super) attempt: Option<String>,
    pub(super) gate: Arc<Gate>,
    allowance: Allowance,
    /// Whoever holds slots for it, and what each of its requests counts as.
    leave: Option<(Leave, Operations)>,
    taken: AtomicBool,
    outcome: Mutex<Outcome>,
}

impl Exchange {
    /// One on a permit, which is all the leave it needs.
    pub(super) fn new(attempt: Option<String>, gate: Gate, allowance: Allowance) -> Arc<Self> {
        Self::under(None, attempt, gate, allowance)
    }

    /// One outside of the signing path: each request is taken from this leave.
    pub(super) fn under(
        leave: Option<(Leave, Operations)>,
        attempt: Option<String>,
        gate: Gate,
        allowance: Allowance,
    ) -> Arc<Self> {
        Arc::new(Self {
            attempt,
            gate: Arc::new(gate),
            allowance,
            leave,
            taken: AtomicBool::new(false),
            outcome: Mutex::new(Outcome::Open),
        })
    }

    /// Takes the leave to send. False the second time, unless it is for the pages of a list, and false without a slot.
    pub(super) fn take(&self) -> bool {
        let taken = self.taken.swap(true, Ordering::AcqRel);
        if taken && self.allowance == Allowance::Once {
            return false;
        }
        self.leave.as_ref().is_none_or(|(leave, operations)| leave.begin(*operations))
    }

    /// Records an outcome. The first failure stays: what happens afterwards follows from it.
    pub(super) fn record(&self, outcome: Outcome) {
        let answered = match &outcome {
            Outcome::Open => false,
            Outcome::Failed(error) => error.answered(),
            Outcome::Answered(receipt) => receipt.answered(),
        };
        if let Some((leave, _)) = self.leave.as_ref().filter(|_| answered) {
            leave.answered();
        }
        let mut held = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*held, Outcome::Failed(_)) {
            *held = outcome;
        }
    }

    pub(super) fn outcome(&self) -> Outcome {
        std::mem::take(&mut *self.outcome.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
