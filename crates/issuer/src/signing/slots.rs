//! Slots for what is asked of a back end besides signatures: reads at start, making keys, self-checks.
//!
//! A vault counts them like signatures. Owns taking, waiting and returning; usable with a whole service and with no more
//! than a database. Must not ask back ends: callers do, within the time that their slots give them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{BootTime, KeyRef};
use signer::budget::Operations;
use signer::{Leave, SignError, SignErrorKind};
use store::{Answer, ReturnSlots, Slot, Store, StoreError, TakeSlots, Write, Written};

use super::SigningError;
use super::budget::{Metered, VaultBudget};
use super::committer::{Answered, Commits as _, Committer, Lane};

/// Between two looks at a row without a committer.
const LOOK: Duration = Duration::from_millis(250);

/// The shortest time between two.
const PAUSE: Duration = Duration::from_millis(2);

/// Takes and returns slots.
#[derive(Clone)]
pub struct Slots {
    door: Door,
    budget: VaultBudget,
}

#[derive(Clone)]
enum Door {
    Committer(Committer),
    Store(Arc<Metered>),
}

/// Slots in hand. They are returned once, so they cannot be copied.
#[must_use = "slots that nobody returns come back late"]
#[derive(Debug)]
pub struct Taken {
    slots: Vec<Slot>,
    began: BootTime,
}

/// A call that took slots did not come to a good end.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No slots.
    #[error(transparent)]
    Slots(#[from] SigningError),
    /// The back end refused or failed.
    #[error(transparent)]
    Backend(#[from] SignError),
}

impl Slots {
    /// In a running service: first in line, before all signatures.
    #[must_use]
    pub(super) const fn on_committer(committer: Committer, budget: VaultBudget) -> Self {
        Self { door: Door::Committer(committer), budget }
    }

    /// With no more than a database, for a command that runs beside the service.
    #[must_use]
    pub fn on_store(store: Arc<Store>, budget: VaultBudget) -> Self {
        Self { door: Door::Store(Arc::new(Metered::new(store, budget.clone()))), budget }
    }

    /// Takes a slot for each of these operations on `key`, waiting at most until `until`. Name and version may be empty
    /// for what is about no key. Everything has to be sent within
    /// [`ATTEMPT_DEADLINE`](super::ATTEMPT_DEADLINE) from before this.
    ///
    /// # Errors
    /// [`SigningError::NoSlotInTime`], or the database's failure.
    pub async fn take(
        &self,
        key: &KeyRef,
        operations: &[Operations],
        until: Instant,
    ) -> Result<Taken, SigningError> {
        let needs = self.budget.needs(key, operations);
        if needs.is_empty() {
            return Ok(Taken { slots: Vec::new(), began: self.budget.boot_now() });
        }
        loop {
            let write = Write::Take(Box::new(TakeSlots { needs: needs.clone() }));
            let answered = match &self.door {
                Door::Committer(committer) => committer.submit_in(Lane::Lifecycle, write, until).await,
                Door::Store(store) => alone(store, write).await,
            };
            let Answered { written, slots, began } = answered.map_err(SigningError::Store)?;
            match written {
                Written::Done => return Ok(Taken { slots, began }),
                Written::NoSlot { wait_ms } if matches!(self.door, Door::Store(_)) => {
                    let wait = Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)).clamp(PAUSE, LOOK);
                    if Instant::now() + wait >= until {
                        return Err(SigningError::NoSlotInTime);
                    }
                    tokio::time::sleep(wait).await;
                }
                Written::NoSlot { .. } => return Err(SigningError::NoSlotInTime),
                _ => return Err(SigningError::Lost),
            }
        }
    }

    /// Returns slots after an answer; without one they come back by themselves, later.
    pub async fn give_back(&self, taken: Taken, answer: Answer) {
        if taken.slots.is_empty() || answer == Answer::None {
            return;
        }
        let write = Write::Return(Box::new(ReturnSlots { slots: taken.slots, answer }));
        let done = match &self.door {
            Door::Committer(committer) => committer.submit(write).await.map(drop),
            Door::Store(store) => alone(store, write).await.map(drop),
        };
        if let Err(error) = done {
            // Never again: nobody knows whether they were returned. They come back by themselves.
            tracing::debug!(%error, "slots could not be returned");
        }
    }

    /// Asks a back end within slots: takes them, runs `call` for as long as they allow, and returns them if the back end
    /// itself has answered everything that was sent. `call` has a [`Leave`] for one exchange per operation.
    ///
    /// # Errors
    /// [`CallError`]; a call that takes longer than its slots allow is given up, and one whose slots came too late is not
    /// made ([`SigningError::NoSlotInTime`]).
    pub async fn around<T>(
        &self,
        key: &KeyRef,
        operations: &[Operations],
        until: Instant,
        call: impl Future<Output = Result<T, SignError>>,
    ) -> Result<T, CallError> {
        let taken = self.take(key, operations, until).await?;
        if taken.slots.is_empty() {
            return Ok(call.await?);
        }
        let deadline = self.budget.deadline(&key.backend, taken.began);
        let left = deadline.since(self.budget.boot_now());
        if left.is_zero() {
            // A slow commit, or the machine slept. Nothing may be sent any more; the slots come back by themselves.
            return Err(SigningError::NoSlotInTime.into());
        }
        let leave = Leave::new(deadline, operations);
        // The back end keeps to the leave; this only ends the waiting.
        let result = tokio::time::timeout(left, leave.within(call))
            .await
            .unwrap_or_else(|_late| Err(SignErrorKind::TimedOut { may_have_signed: false }.into()));
        let throttled =
            |error: &SignError| matches!(error.kind(), SignErrorKind::Throttled { .. }) && error.answered();
        let answer = match &result {
            // Also a good result may stand on an exchange that only a gateway answered.
            _ if !leave.is_answered() => Answer::None,
            Err(error) if throttled(error) => Answer::Throttled,
            _ => Answer::Given,
        };
        self.give_back(taken, answer).await;
        Ok(result?)
    }
}

/// Commits one change in a transaction of its own.
async fn alone(store: &Metered, write: Write) -> Result<Answered, StoreError> {
    let mut committed = store.commit(vec![Arc::new(write)]).await?;
    let written = committed.written.pop().ok_or(StoreError::Corrupt("a batch's results"))?;
    let slots = committed.slots.remove(&0).unwrap_or_default();
    Ok(Answered { written, slots, began: committed.began })
}
