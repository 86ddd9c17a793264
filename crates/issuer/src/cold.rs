//! What is asked of a back end besides signatures: making keys at start.
//!
//! The one place that stands between such a question and the back end's budget: vaults count reads and new keys like
//! signatures, so each takes its slots here. Must not sign.

use std::time::{Duration, Instant};

use domain::{KeyRef, SignatureAlgorithm};
use signer::budget::Operations;
use signer::{CreatedKey, Retry, SignError};

use crate::Issuer;
use crate::signing::SigningError;
use crate::signing::slots::CallError;

/// How long a question may wait for its slots: longer than a window, in which every slot comes back.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often a key is asked for when the back end is out of order. The first attempt may have made it: the next one finds
/// it by its name.
const TRIES: u32 = 3;

/// Finding a key, making it, finding which of its versions is the first, reading that one.
const TO_CREATE: [Operations; 4] =
    [Operations::Sign, Operations::CreateKey, Operations::Sign, Operations::Sign];

/// Why a back end did not answer a question.
#[derive(Debug, thiserror::Error)]
pub enum ColdError {
    /// No back end of this name.
    #[error("there is no signing back end of this name")]
    NoBackend,
    /// The budget has no slots.
    #[error("the back end was not asked: its budget has no slots")]
    Slots(#[source] SigningError),
    /// The back end refused or failed.
    #[error(transparent)]
    Backend(SignError),
}

impl From<CallError> for ColdError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Slots(error) => Self::Slots(error),
            CallError::Backend(error) => Self::Backend(error),
        }
    }
}

impl Issuer {
    /// The key of a slot, made if the slot is empty.
    pub(crate) async fn create_key(
        &self,
        backend: &str,
        slot: &str,
        algorithm: SignatureAlgorithm,
    ) -> Result<CreatedKey, ColdError> {
        let admin = &self.signing.backend(backend).ok_or(ColdError::NoBackend)?.admin;
        let key = KeyRef { backend: backend.to_owned(), name: slot.to_owned(), version: String::new() };
        let mut tries = 1;
        loop {
            let until = Instant::now() + PATIENCE;
            let asked =
                self.signing.slots().around(&key, &TO_CREATE, until, admin.create_key(slot, algorithm));
            match asked.await {
                Ok(created) => return Ok(created),
                Err(CallError::Backend(error)) if tries < TRIES => match error.retry() {
                    Retry::After(pause) => tokio::time::sleep(pause).await,
                    Retry::Never => return Err(ColdError::Backend(error)),
                },
                Err(error) => return Err(error.into()),
            }
            tries += 1;
        }
    }
}
