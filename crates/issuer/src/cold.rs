//! What is asked of a back end besides signatures: making keys at start.
//!
//! The one place that stands between such a question and the back end's budget: vaults count reads and new keys like
//! signatures, so each takes its slots here. Must not sign.

use std::time::{Duration, Instant};

use domain::{KeyRef, SignatureAlgorithm};
use signer::budget::Operations;
use signer::{CreatedKey, Retry, SignError, SignErrorKind};

use crate::Issuer;
use crate::signing::SigningError;
use crate::signing::slots::CallError;

/// How long a question may wait for its slots: longer than a window, in which every slot comes back.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often a key is asked for when the back end is out of order. The first attempt may have made it: the next one finds
/// it by its name.
const TRIES: u32 = 3;

/// Finding a key, making it, reading its first version. Besides, a vault lists the versions, page by page.
const TO_CREATE: [Operations; 3] = [Operations::Sign, Operations::CreateKey, Operations::Sign];

/// The most pages for which slots are taken: 16 of 25 versions, after as many rotations by somebody else.
const MOST_PAGES: usize = 16;

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
        let mut pages = 1;
        loop {
            let until = Instant::now() + PATIENCE;
            let mut operations = TO_CREATE.to_vec();
            operations.resize(TO_CREATE.len() + pages, Operations::Sign);
            let asked =
                self.signing.slots().around(&key, &operations, until, admin.create_key(slot, algorithm));
            match asked.await {
                Ok(created) => return Ok(created),
                Err(CallError::Backend(error))
                    if matches!(error.kind(), SignErrorKind::PermitSpent) && pages < MOST_PAGES =>
                {
                    // The list has more pages than slots were taken for. What was asked so far changes nothing the next time.
                    pages *= 2;
                    continue;
                }
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
