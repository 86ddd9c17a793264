//! The signing path: transaction 1, permit, back end, local verification, transaction 2.
//!
//! The only holder of the [`PermitMint`]: nothing is signed that is not in a committed intent, and nothing signed
//! leaves before its outcome is known to be committed. One layer retries, and it is this one. Must not know what it
//! signs: callers say what a signature changes.

mod attempt;
pub mod budget;
pub mod committer;
pub mod slots;
pub mod steps;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use credential::jws::Unsigned;
use credential::key::PublicKey;
use domain::audit::{Event, EventKind, Subject};
use domain::key::SigningKey;
use domain::{BootTime, Clock, IntentId, RequestId, Timestamp};
use signer::budget::Operations;
use signer::{Backend, PermitMint, Retry, SignError, SignErrorKind};
use store::{Effect, OpenIntent, Reattempt, RequestChange, Slot, StoreError, Write, Written, fail_point};
use uuid::Uuid;

use self::attempt::Attempt;
use self::budget::VaultBudget;
use self::committer::{Answered, Committer, Lane};
use self::slots::Slots;
use crate::sealed::SealError;

/// How long one attempt may take, counted from before its transaction began.
pub const ATTEMPT_DEADLINE: Duration = Duration::from_secs(3);

/// Attempts of one call. Each costs two transactions and, where keys are limited, a slot: a back end that is out of
/// order is not asked as often as a caller's time allows.
const TRIES: u32 = 5;

/// [`ATTEMPT_DEADLINE`] as the database counts it: from within the transaction, so that no attempt is given up for lost
/// before its process has given it up.
const PATIENCE_MS: i64 = 3_000;

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// What the intent stood on does not hold any more, or somebody else has the intent: look again.
    #[error("somebody else was faster, or the request has ended")]
    Lost,
    /// The database failed.
    #[error("the signing intent could not be recorded")]
    Store(#[source] StoreError),
    /// What was signed could not be sealed.
    #[error("the signed document could not be sealed")]
    Seal(#[source] SealError),
    /// The back end failed and the caller's time does not allow another attempt.
    #[error("the signing back end failed")]
    Backend(#[source] SignError),
    /// No back end of this name is configured.
    #[error("no signing back end is configured under this key's name")]
    NoBackend,
    /// The back end's limit is used up, and the caller's time was over before a slot was free. Nothing was stored.
    #[error("the signing back end's limit is used up, and no slot came free in time")]
    NoSlotInTime,
    /// The back end answered with a signature that does not verify under the expected key.
    #[error("the signing back end answered with a signature that does not verify")]
    WrongSignature,
}

/// An active key, ready for use.
pub struct ActiveKey {
    /// The stored key.
    pub key: SigningKey,
    /// `<did>#<fragment>`, the `kid` of everything that it signs.
    pub kid: String,
    /// Its public half, prepared for verification.
    pub public: PublicKey,
}

/// What is to be signed, and for what.
pub struct Job<'a> {
    /// Who and what, for the ledger.
    pub subject: &'a Subject,
    /// At most one intent that is not void has this name.
    pub name: String,
    /// `request_object`, `credential`, `contract` or `domain_linkage`.
    pub purpose: &'static str,
    /// Who is served first when slots are scarce.
    pub lane: Lane,
    /// The request that it belongs to.
    pub request: Option<RequestId>,
    /// When that request was made.
    pub requested_at: Option<Timestamp>,
    /// What it asks of the request.
    pub change: RequestChange,
    /// The key.
    pub key: &'a ActiveKey,
    /// The bytes.
    pub unsigned: &'a Unsigned,
    /// The bytes with what the outcome has to record, sealed.
    pub sealed_input: String,
    /// The credential's place in the status list.
    pub status: Option<(Uuid, i64)>,
    /// The intent that this one replaces, with its latest attempt.
    pub replaces: Option<(IntentId, i64)>,
}

/// An intent that a crash or a failing back end left open.
pub struct Revival<'a> {
    /// Who and what, for the ledger.
    pub subject: &'a Subject,
    /// The intent.
    pub intent: IntentId,
    /// Its latest attempt, which has ended.
    pub after: i64,
    /// Who is served first when slots are scarce.
    pub lane: Lane,
    /// The request that it belongs to.
    pub request: Option<RequestId>,
    /// Its purpose.
    pub purpose: &'static str,
    /// Its key, which is still active.
    pub key: &'a ActiveKey,
    /// The same bytes as before.
    pub unsigned: &'a Unsigned,
}

/// The signing path.
pub struct SigningPath {
    committer: Committer,
    backends: BTreeMap<String, Backend>,
    mint: PermitMint,
    clock: Arc<dyn Clock>,
    budget: VaultBudget,
    slots: Slots,
}

/// What opening an attempt gave.
struct Opened {
    number: i64,
    began: BootTime,
    slots: Vec<Slot>,
}

impl SigningPath {
    /// Joins the back ends with the committer and with the rules of their limits.
    #[must_use]
    pub fn new(
        committer: Committer,
        backends: BTreeMap<String, Backend>,
        mint: PermitMint,
        clock: Arc<dyn Clock>,
        budget: VaultBudget,
    ) -> Self {
        let slots = Slots::on_committer(committer.clone(), budget.clone());
        Self { committer, backends, mint, clock, budget, slots }
    }

    /// The committer, for changes without a signature.
    #[must_use]
    pub fn committer(&self) -> &Committer {
        &self.committer
    }

    /// A back end by its name.
    #[must_use]
    pub fn backend(&self, name: &str) -> Option<&Backend> {
        self.backends.get(name)
    }

    /// Whether a back end can take another signature at once, as far as this process knows.
    #[must_use]
    pub fn has_room(&self, backend: &str) -> bool {
        self.budget.has_room(backend)
    }

    /// What is known of the back ends' limits.
    #[must_use]
    pub const fn budget(&self) -> &VaultBudget {
        &self.budget
    }

    /// Slots for what is asked of a back end besides signatures.
    #[must_use]
    pub const fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Signs once for `job`; gives the compact JWS after its outcome was committed. `until` is the caller's deadline:
    /// it waits for slots no longer, and no further attempt begins that could end after it.
    pub async fn sign(
        &self,
        job: Job<'_>,
        until: Instant,
        effect: impl Fn(&str) -> Result<Effect, SealError>,
    ) -> Result<String, SigningError> {
        let backend = self.ready(job.key)?;
        let now = self.clock.now();
        let intent = IntentId::new(Uuid::now_v7());
        let digest = hex(&job.unsigned.digest());
        let event = intent_event(job.subject, now, job.purpose, intent, 1, job.key, &digest);
        let (lane, request) = (job.lane, job.request);
        let (subject, purpose, key, unsigned) = (job.subject, job.purpose, job.key, job.unsigned);
        let open = OpenIntent {
            tenant: subject.tenant,
            id: intent,
            transaction: subject.transaction,
            subject: job.name,
            purpose,
            request,
            ordinal: 0,
            change: job.change,
            authority: key.key.authority,
            key_id: key.key.id.clone(),
            key: key.key.key.clone(),
            algorithm: key.key.algorithm,
            digest: digest.clone(),
            input: job.sealed_input,
            status: job.status,
            created_at: now,
            patience_ms: PATIENCE_MS,
            needs: self.budget.needs(&key.key.key, &[Operations::Sign]),
            requested_at: job.requested_at,
            replaces: job.replaces,
            event,
        };
        let Opened { number, began, slots } =
            self.transaction_1(lane, Write::Open(Box::new(open)), until).await?;
        let attempt = Attempt {
            backend,
            subject,
            tenant: subject.tenant,
            intent,
            number,
            lane,
            request,
            purpose,
            key,
            unsigned,
            digest,
            began,
            slots,
        };
        self.attempts(attempt, until, &effect).await
    }

    /// Signs the same bytes of an intent that was left open, as its next attempt.
    pub async fn revive(
        &self,
        revival: Revival<'_>,
        until: Instant,
        effect: impl Fn(&str) -> Result<Effect, SealError>,
    ) -> Result<String, SigningError> {
        let attempt = Attempt {
            backend: self.ready(revival.key)?,
            subject: revival.subject,
            tenant: revival.subject.tenant,
            intent: revival.intent,
            number: revival.after,
            lane: revival.lane,
            request: revival.request,
            purpose: revival.purpose,
            key: revival.key,
            unsigned: revival.unsigned,
            digest: hex(&revival.unsigned.digest()),
            began: BootTime::from_nanos(0),
            slots: Vec::new(),
        };
        let attempt = self.reattempt(attempt, until).await?;
        self.attempts(attempt, until, &effect).await
    }

    /// The back end that will sign. Asked before transaction 1: what cannot be signed at all opens no intent.
    fn ready(&self, key: &ActiveKey) -> Result<&Backend, SigningError> {
        self.backends.get(&key.key.key.backend).ok_or(SigningError::NoBackend)
    }

    async fn transaction_1(&self, lane: Lane, write: Write, until: Instant) -> Result<Opened, SigningError> {
        fail_point("before-tx1");
        let answered = self.committer.submit_in(lane, write, until).await.map_err(SigningError::Store)?;
        fail_point("after-tx1");
        let Answered { written, slots, began } = answered;
        match written {
            Written::Opened { attempt } => Ok(Opened { number: attempt, began, slots }),
            Written::NoSlot { .. } => Err(SigningError::NoSlotInTime),
            _ => Err(SigningError::Lost),
        }
    }

    /// Transaction 1 of the next attempt: a new number, a new deadline and, where keys are limited, new slots.
    async fn reattempt<'a>(&self, last: Attempt<'a>, until: Instant) -> Result<Attempt<'a>, SigningError> {
        let now = self.clock.now();
        // The number in the event is set by the store: it is known only when the row was changed.
        let event = intent_event(
            last.subject,
            now,
            last.purpose,
            last.intent,
            last.number + 1,
            last.key,
            &last.digest,
        );
        let reattempt = Reattempt {
            tenant: last.tenant,
            intent: last.intent,
            request: last.request,
            after: last.number,
            started_at: now,
            patience_ms: PATIENCE_MS,
            needs: self.budget.needs(&last.key.key.key, &[Operations::Sign]),
            event,
        };
        let write = Write::Reattempt(Box::new(reattempt));
        let Opened { number, began, slots } = self.transaction_1(last.lane, write, until).await?;
        Ok(Attempt { number, began, slots, ..last })
    }

    async fn attempts(
        &self,
        mut attempt: Attempt<'_>,
        until: Instant,
        effect: &impl Fn(&str) -> Result<Effect, SealError>,
    ) -> Result<String, SigningError> {
        let mut tries = 1;
        loop {
            let error = match self.once(&attempt).await {
                Ok((jws, answer)) => return self.record(&attempt, jws, answer, effect).await,
                Err(error) => error,
            };
            let SigningError::Backend(source) = &error else { return Err(error) };
            let Retry::After(pause) = source.retry() else { return Err(error) };
            let pause = match source.kind() {
                // The back end's own word; until then its meter grants nothing anyway.
                SignErrorKind::Throttled { .. } => pause,
                _ => pause.saturating_mul(1 << (tries - 1)),
            };
            if tries >= TRIES || Instant::now() + pause + ATTEMPT_DEADLINE > until {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            attempt = self.reattempt(attempt, until).await?;
            tries += 1;
        }
    }
}

fn intent_event(
    subject: &Subject,
    now: Timestamp,
    purpose: &'static str,
    intent: IntentId,
    attempt: i64,
    key: &ActiveKey,
    digest: &str,
) -> Event {
    Event::new(subject, EventKind::SigningIntent, now)
        .with("attempt", attempt)
        .with("digest", digest)
        .with("intent", intent.to_string())
        .with("key", key.key.key.to_string())
        .with("purpose", purpose)
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests;
