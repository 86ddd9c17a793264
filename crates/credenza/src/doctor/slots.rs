//! Slots for the questions of `doctor`: a vault counts them like signatures.
//!
//! Where none can be taken, the questions are not asked: others may be signing, and what they count would not hold. Only
//! an operator can know that nobody else uses the vaults.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{BootClock, KeyRef};
use issuer::signing::budget::VaultBudget;
use issuer::signing::slots::{CallError, Slots};
use signer::budget::Operations;
use signer::{Backend, SignError};
use store::Store;

use super::database::NoStore;
use crate::clock::SystemClock;

/// How long a question waits for its slot: longer than a window, in which every slot comes back.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where slots come from.
pub enum Source {
    /// From the database of the installation.
    Store(Arc<Store>),
    /// From nowhere, for this reason: nothing is asked.
    Nowhere(NoStore),
    /// There is no database, and whoever runs this says that nobody else counts.
    Uncounted,
}

/// Leave to ask, or the reason why there is none.
pub struct DoctorSlots(Asking);

enum Asking {
    Within(Slots),
    Not(NoStore),
    Uncounted,
}

impl DoctorSlots {
    /// For questions to these back ends.
    pub fn new(source: Source, backends: &BTreeMap<String, Backend>, boot: &Arc<dyn BootClock>) -> Self {
        Self(match source {
            Source::Store(store) => {
                let budget = VaultBudget::new(backends, Arc::clone(boot), Arc::new(SystemClock));
                Asking::Within(Slots::on_store(store, budget))
            }
            Source::Nowhere(why) => Asking::Not(why),
            Source::Uncounted => Asking::Uncounted,
        })
    }

    /// Why nothing may be asked, if that is so.
    pub const fn refused(&self) -> Option<NoStore> {
        match &self.0 {
            Asking::Not(why) => Some(*why),
            Asking::Within(_) | Asking::Uncounted => None,
        }
    }

    /// Asks within a slot.
    pub async fn around<T>(
        &self,
        key: &KeyRef,
        operations: Operations,
        call: impl Future<Output = Result<T, SignError>>,
    ) -> Result<T, Unasked> {
        match &self.0 {
            Asking::Within(slots) => {
                Ok(slots.around(key, &[operations], Instant::now() + PATIENCE, call).await?)
            }
            Asking::Not(why) => Err(Unasked::NoStore(*why)),
            Asking::Uncounted => call.await.map_err(|error| Unasked::Call(error.into())),
        }
    }
}

/// There is no answer to a question.
#[derive(Debug, thiserror::Error)]
pub enum Unasked {
    /// There is nothing to take slots from.
    #[error(transparent)]
    NoStore(NoStore),
    /// No slot came free, or the back end refused or failed.
    #[error(transparent)]
    Call(#[from] CallError),
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(source: Source) -> (Result<u8, Unasked>, bool) {
        let boot: Arc<dyn BootClock> = Arc::new(signer::SystemBootClock::new());
        let slots = DoctorSlots::new(source, &BTreeMap::new(), &boot);
        let key = KeyRef { backend: "v".into(), name: "n".into(), version: "1".into() };
        let mut begun = false;
        let call = async {
            begun = true;
            Ok(7)
        };
        let answer = slots.around(&key, Operations::Sign, call).await;
        (answer, begun)
    }

    #[tokio::test]
    async fn without_a_store_nothing_is_asked_unless_nobody_counts() {
        let (answer, begun) = asked(Source::Nowhere(NoStore::Behind)).await;
        assert!(matches!(answer, Err(Unasked::NoStore(NoStore::Behind))), "{answer:?}");
        assert!(!begun);
        let (answer, begun) = asked(Source::Uncounted).await;
        assert_eq!((answer.unwrap(), begun), (7, true));
    }
}
