//! Documents that belong to no request: contracts and domain linkage. Signed once, under a name; a crash is mended by
//! asking again.

use std::time::{Duration, Instant};

use credential::jws::{JwsError, Unsigned};
use domain::audit::Subject;
use store::{Effect, RequestChange, StoreError};

use crate::Issuer;
use crate::sealed::{self, IntentInput, Kind, SealError};
use crate::signing::{ActiveKey, Job, Revival, SigningError};

/// How long one document may take.
const PATIENCE: Duration = Duration::from_secs(20);

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
    /// is finished with the bytes of then.
    pub(super) async fn sign_document(
        &self,
        document: Document<'_>,
        unsigned: impl FnOnce() -> Result<Unsigned, JwsError>,
        effect: impl Fn(&str) -> Effect,
    ) -> Result<(), DocumentError> {
        let Document { subject, name, purpose, key } = document;
        let tenant = self.settings.tenant;
        let until = Instant::now() + PATIENCE;
        let effect = |token: &str| Ok(effect(token));
        let signed = if let Some(intent) = self.store.intent(tenant, &name).await? {
            let Some(input) = intent.input.as_deref().filter(|_| !intent.done) else { return Ok(()) };
            let input: IntentInput = sealed::open(&self.keyring, tenant, Kind::Intent, &name, input)?;
            let unsigned = Unsigned::from_signing_input(input.signing_input)?;
            // Its last attempt may still be running in another process: wait until it cannot be.
            let left = intent.deadline.millis() - self.clock.now().millis();
            if intent.attempt_open && left > 0 {
                tokio::time::sleep(Duration::from_millis(u64::try_from(left).unwrap_or(0))).await;
            }
            let revival = Revival {
                subject,
                intent: intent.id,
                after: intent.attempt,
                request: None,
                purpose,
                key,
                unsigned: &unsigned,
            };
            self.signing.revive(revival, until, effect).await
        } else {
            let unsigned = unsigned()?;
            let input = IntentInput { signing_input: unsigned.signing_input().to_owned(), credential: None };
            let job = Job {
                subject,
                sealed_input: sealed::seal(&self.keyring, tenant, Kind::Intent, &name, &input)?,
                name,
                purpose,
                request: None,
                change: RequestChange::None,
                key,
                unsigned: &unsigned,
                status: None,
                replaces: None,
            };
            self.signing.sign(job, until, effect).await
        };
        match signed {
            // Another replica that signs the same is as good as we are.
            Ok(_) | Err(SigningError::Lost) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
