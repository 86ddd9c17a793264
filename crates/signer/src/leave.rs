//! Leave to ask a back end something besides signatures: until when, which exchanges, and which of them were answered.
//!
//! Owns what whoever holds slots tells a back end. It goes with the call and not through every signature: a back end
//! that counts takes it at its exchanges with [`Leave::current`]; a call without one has no limit but its own time. Must
//! not read a clock: the back end compares the deadline with its own, at the last moment before it sends.

use std::cell::RefCell;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::BootTime;

use crate::budget::Operations;

thread_local! {
    /// That of the call that this thread polls.
    static CURRENT: RefCell<Option<Leave>> = const { RefCell::new(None) };
}

/// Leave for one call, which may be several exchanges. Clones are the same leave.
#[derive(Debug, Clone)]
pub struct Leave(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    until: BootTime,
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    left: Vec<Operations>,
    begun: u32,
    answered: u32,
}

impl Leave {
    /// Leave for one exchange per operation, to be sent before `until` on the back end's clock.
    #[must_use]
    pub fn new(until: BootTime, operations: &[Operations]) -> Self {
        let counts = Counts { left: operations.to_vec(), begun: 0, answered: 0 };
        Self(Arc::new(Inner { until, counts: Mutex::new(counts) }))
    }

    /// Runs a call under this leave.
    pub async fn within<F: Future>(&self, call: F) -> F::Output {
        let mut call = pin!(call);
        std::future::poll_fn(|context| {
            let _entered = Entered(CURRENT.replace(Some(self.clone())));
            call.as_mut().poll(context)
        })
        .await
    }

    /// The leave of the call that runs here, if it has one. Tasks that it spawns have none.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// From this time on nothing may be sent any more.
    #[must_use]
    pub fn until(&self) -> BootTime {
        self.0.until
    }

    /// Takes an exchange. False if there is none left for this operation: then nothing may be sent.
    #[must_use]
    pub fn begin(&self, operations: Operations) -> bool {
        let mut counts = self.counts();
        let Some(at) = counts.left.iter().position(|left| *left == operations) else { return false };
        counts.left.swap_remove(at);
        counts.begun = counts.begun.saturating_add(1);
        true
    }

    /// The back end itself has answered an exchange: it has arrived, and nothing of it is still under way.
    pub fn answered(&self) {
        let mut counts = self.counts();
        counts.answered = counts.answered.saturating_add(1);
    }

    /// Whether there was an exchange and each was answered by the back end, so that slots may be returned.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        let counts = self.counts();
        counts.begun > 0 && counts.answered >= counts.begun
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts back the leave of whoever polls, also when a poll panics.
struct Entered(Option<Leave>);

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNTIL: BootTime = BootTime::from_nanos(7);

    #[test]
    fn an_exchange_is_taken_once_and_for_its_own_operation() {
        let leave = Leave::new(UNTIL, &[Operations::Sign, Operations::CreateKey, Operations::Sign]);
        assert!(leave.begin(Operations::Sign) && leave.begin(Operations::Sign));
        assert!(!leave.begin(Operations::Sign), "the one for making a key is for nothing else");
        assert!(leave.begin(Operations::CreateKey));
        assert!(!leave.begin(Operations::CreateKey));
    }

    #[test]
    fn slots_return_when_everything_that_began_was_answered() {
        let leave = Leave::new(UNTIL, &[Operations::Sign, Operations::Sign]);
        assert!(!leave.is_answered(), "nothing was asked");
        assert!(leave.begin(Operations::Sign));
        assert!(!leave.is_answered());
        leave.answered();
        assert!(leave.is_answered(), "what was not begun is not waited for");
        assert!(leave.begin(Operations::Sign));
        assert!(!leave.is_answered(), "a gateway's answer is none");
    }

    #[tokio::test]
    async fn a_leave_goes_with_its_call_and_with_no_other() {
        let until = |leave: Option<Leave>| leave.map(|leave| leave.until().nanos());
        let other = Leave::new(BootTime::from_nanos(8), &[]);
        let call = async {
            let before = until(Leave::current());
            tokio::task::yield_now().await;
            let inner = other.within(async { until(Leave::current()) }).await;
            let spawned = tokio::spawn(async move { until(Leave::current()) }).await.unwrap();
            (before, inner, until(Leave::current()), spawned)
        };
        let bystander = async {
            let first = until(Leave::current());
            tokio::task::yield_now().await;
            (first, until(Leave::current()))
        };
        let leave = Leave::new(UNTIL, &[]);
        let (seen, aside) = tokio::join!(leave.within(call), bystander);
        assert_eq!(seen, (Some(7), Some(8), Some(7), None));
        assert_eq!(aside, (None, None));
        assert!(Leave::current().is_none());
    }
}
