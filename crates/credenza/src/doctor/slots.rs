//! Slots for the questions of `doctor`: a vault counts them like signatures.
//!
//! Where there is no usable database, nobody else counts either: then the questions, some twenty, are asked without.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{BootClock, KeyRef};
use issuer::signing::budget::VaultBudget;
use issuer::signing::slots::{CallError, Slots};
use signer::budget::Operations;
use signer::{Backend, SignError};
use store::Store;

use crate::clock::SystemClock;

/// How long a question waits for its slot: longer than a window, in which every slot comes back.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where slots come from.
pub struct DoctorSlots(Option<Slots>);

impl DoctorSlots {
    /// From the database of the installation, if there is one.
    pub fn new(
        store: Option<Arc<Store>>,
        backends: &BTreeMap<String, Backend>,
        boot: &Arc<dyn BootClock>,
    ) -> Self {
        Self(store.map(|store| {
            let budget = VaultBudget::new(backends, Arc::clone(boot), Arc::new(SystemClock));
            Slots::on_store(store, budget)
        }))
    }

    /// Asks within a slot.
    pub async fn around<T>(
        &self,
        key: &KeyRef,
        operations: Operations,
        call: impl Future<Output = Result<T, SignError>>,
    ) -> Result<T, CallError> {
        match &self.0 {
            Some(slots) => slots.around(key, &[operations], Instant::now() + PATIENCE, call).await,
            None => Ok(call.await?),
        }
    }
}
