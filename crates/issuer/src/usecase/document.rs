//! Documents that belong to no request: contracts and domain linkage. Signed once, under a name; a crash is mended by
//! asking again.

use std::time::{Duration, Instant};

use credential::jws::{JwsError, Unsigned};
use domain::audit::Subject;
use store::{Effect, RequestChange, StoreError, StoredIntent};

use crate::Issuer;
use crate::sealed::{self, IntentInput, Kind, SealError};
use crate::signing::committer::Lane;
use crate::signing::{ATTEMPT_DEADLINE, ActiveKey, Job, Revival, SigningError};

/// How long one document may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at what somebody else signs.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a document was not signed.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Signing failed.
    #[error("the document could not be signed")]
    Signing(#[from] SigningError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something sealed could not be opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The document could not be encoded.
    #[error(transparent)]
    Encode(#[from] JwsError),
}

/// What is to be signed.
pub(super) struct Document<'a> {
    /// Who and what, for the ledger.
    pub(super) subject: &'a Subject,
    /// At most one signature has this name.
    pub(super) name: String,
    /// `contract` or `domain_linkage`.
    pub(super) purpose: &'static str,
    /// The key.
    pub(super) key: &'a ActiveKey,
}

impl Issuer {
    /// Signs a document unless it was signed under its name before. `unsigned` makes its bytes; what a crash left open
    /// is finished with the bytes of then. Comes back without an error only when the signature is recorded.
    pub(super) async fn sign_document(
        &self,
        document: Document<'_>,
        unsigned: impl Fn() -> Result<Unsigned, JwsError>,
        effect: impl Fn(&str) -> Effect,
    ) -> Result<(), DocumentError> {
        self.sign_document_until(document, unsigned, effect, Instant::now() + PATIENCE).await
    }

    async fn sign_document_until(
        &self,
        document: Document<'_>,
        unsigned: impl Fn() -> Result<Unsigned, JwsError>,
        effect: impl Fn(&str) -> Effect,
        until: Instant,
    ) -> Result<(), DocumentError> {
        let effect = |token: &str| Ok(effect(token));
        // No attempt runs longer than this, whatever the clocks say.
        let mut others_end = None;
        loop {
            let signed = match self.store.intent(self.settings.tenant, &document.name).await? {
                Some(intent) if intent.done => return Ok(()),
                Some(intent) => {
                    let left = intent.deadline.millis() - self.clock.now().millis();
                    let others_end = *others_end.get_or_insert_with(|| Instant::now() + ATTEMPT_DEADLINE);
                    if intent.attempt_open && left > 0 && Instant::now() < others_end {
                        // Its last attempt may still be running in another process: wait until it cannot be.
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                    self.revive_document(&document, &intent, until, &effect).await
                }
                None => self.open_document(&document, &unsigned()?, until, &effect).await,
            };
            match signed {
                Ok(_) => return Ok(()),
                // Another replica signs the same. It may die before it has recorded it, so look again.
                Err(DocumentError::Signing(SigningError::Lost)) if Instant::now() < until => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(DocumentError::Signing(SigningError::NoSlotInTime)) => {
                    // Another replica may have signed it while this one waited for a slot.
                    let intent = self.store.intent(self.settings.tenant, &document.name).await?;
                    let is_done = intent.is_some_and(|intent| intent.done);
                    return if is_done { Ok(()) } else { Err(SigningError::NoSlotInTime.into()) };
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn open_document(
        &self,
        document: &Document<'_>,
        unsigned: &Unsigned,
        until: Instant,
        effect: &impl Fn(&str) -> Result<Effect, SealError>,
    ) -> Result<String, DocumentError> {
        let Document { subject, name, purpose, key } = document;
        let tenant = self.settings.tenant;
        let input = IntentInput { signing_input: unsigned.signing_input().to_owned(), credential: None };
        let job = Job {
            subject,
            sealed_input: sealed::seal(&self.keyring, tenant, Kind::Intent, name, &input)?,
            name: name.clone(),
            purpose,
            lane: Lane::Lifecycle,
            request: None,
            requested_at: None,
            change: RequestChange::None,
            key,
            unsigned,
            status: None,
            replaces: None,
        };
        Ok(self.signing.sign(job, until, effect).await?)
    }

    async fn revive_document(
        &self,
        document: &Document<'_>,
        intent: &StoredIntent,
        until: Instant,
        effect: &impl Fn(&str) -> Result<Effect, SealError>,
    ) -> Result<String, DocumentError> {
        let Document { subject, name, purpose, key } = document;
        let input = intent.input.as_deref().ok_or(StoreError::Corrupt("intent.input"))?;
        let input: IntentInput =
            sealed::open(&self.keyring, self.settings.tenant, Kind::Intent, name, input)?;
        let unsigned = Unsigned::from_signing_input(input.signing_input)?;
        let revival = Revival {
            subject,
            intent: intent.id,
            after: intent.attempt,
            lane: Lane::Lifecycle,
            request: None,
            purpose,
            key,
            unsigned: &unsigned,
        };
        Ok(self.signing.revive(revival, until, effect).await?)
    }
}

#[cfg(test)]
mod tests;
