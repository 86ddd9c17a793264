//! The signing path: transaction 1, permit, back end, local verification, transaction 2.
//!
//! The only holder of the [`PermitMint`]: nothing is signed that is not in a committed intent, and nothing signed
//! leaves before its outcome is known to be committed. One layer retries, and it is this one. Must not know what it
//! signs: callers say what a signature changes.

mod budget;
pub mod committer;
pub mod steps;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use credential::jws::Unsigned;
use credential::key::PublicKey;
use domain::audit::{Event, EventKind, Subject};
use domain::key::SigningKey;
use domain::{Clock, IntentId, RequestId, TenantId, Timestamp};
use signer::{Backend, PermitMint, PermitTerms, Retry, SignError};
use store::{Effect, OpenIntent, Outcome, Reattempt, RequestChange, StoreError, Write, Written};
use uuid::Uuid;

use self::committer::Committer;
use crate::sealed::SealError;

/// How long one attempt may take, counted from before its transaction began.
pub const ATTEMPT_DEADLINE: Duration = Duration::from_secs(3);

/// Attempts of one call. Each costs two transactions and, where keys are limited, a slot: a back end that is out of
/// order is not asked as often as a caller's time allows.
const TRIES: u32 = 5;

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
    /// The back end has a limit, and nothing keeps count of it.
    #[error("the signing back end has a limit, and no row keeps its slots")]
    NoSlots,
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
    /// The request that it belongs to.
    pub request: Option<RequestId>,
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
}

/// One attempt's coordinates.
struct Attempt<'a> {
    backend: &'a Backend,
    subject: &'a Subject,
    tenant: TenantId,
    intent: IntentId,
    number: i64,
    request: Option<RequestId>,
    purpose: &'static str,
    key: &'a ActiveKey,
    unsigned: &'a Unsigned,
    started: Instant,
}

impl SigningPath {
    /// Joins the back ends with the committer.
    #[must_use]
    pub fn new(
        committer: Committer,
        backends: BTreeMap<String, Backend>,
        mint: PermitMint,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { committer, backends, mint, clock }
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

    /// Signs once for `job`; gives the compact JWS after its outcome was committed. `until` is the caller's deadline:
    /// no further attempt begins after it.
    pub async fn sign(
        &self,
        job: Job<'_>,
        until: Instant,
        effect: impl Fn(&str) -> Result<Effect, SealError>,
    ) -> Result<String, SigningError> {
        let backend = self.ready(job.key)?;
        let started = Instant::now();
        let now = self.clock.now();
        let intent = IntentId::new(Uuid::now_v7());
        let digest = hex(&job.unsigned.digest());
        let event = intent_event(job.subject, now, job.purpose, intent, 1, job.key, &digest);
        let request = job.request;
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
            digest,
            input: job.sealed_input,
            status: job.status,
            created_at: now,
            deadline: deadline(now),
            replaces: job.replaces,
            event,
        };
        match self.committer.submit(Write::Open(Box::new(open))).await {
            Ok(Written::Opened { attempt }) => {
                let attempt = Attempt {
                    backend,
                    subject,
                    tenant: subject.tenant,
                    intent,
                    number: attempt,
                    request,
                    purpose,
                    key,
                    unsigned,
                    started,
                };
                self.attempts(attempt, until, &effect).await
            }
            Ok(_) => Err(SigningError::Lost),
            Err(source) => Err(SigningError::Store(source)),
        }
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
            request: revival.request,
            purpose: revival.purpose,
            key: revival.key,
            unsigned: revival.unsigned,
            started: Instant::now(),
        };
        let attempt = self.reattempt(attempt).await?;
        self.attempts(attempt, until, &effect).await
    }

    /// The back end that will sign. Asked before transaction 1: what cannot be signed at all opens no intent.
    fn ready(&self, key: &ActiveKey) -> Result<&Backend, SigningError> {
        let backend = self.backends.get(&key.key.key.backend).ok_or(SigningError::NoBackend)?;
        budget::take_slot(&*backend.budget)?;
        Ok(backend)
    }

    /// Transaction 1 of the next attempt: a new number, a new deadline and, where keys are limited, a new slot.
    async fn reattempt<'a>(&self, last: Attempt<'a>) -> Result<Attempt<'a>, SigningError> {
        budget::take_slot(&*last.backend.budget)?;
        let started = Instant::now();
        let now = self.clock.now();
        let digest = hex(&last.unsigned.digest());
        // The number in the event is set by the store: it is known only when the row was changed.
        let event =
            intent_event(last.subject, now, last.purpose, last.intent, last.number + 1, last.key, &digest);
        let reattempt = Reattempt {
            tenant: last.tenant,
            intent: last.intent,
            request: last.request,
            after: last.number,
            started_at: now,
            deadline: deadline(now),
            event,
        };
        match self.committer.submit(Write::Reattempt(Box::new(reattempt))).await {
            Ok(Written::Opened { attempt }) => Ok(Attempt { number: attempt, started, ..last }),
            Ok(_) => Err(SigningError::Lost),
            Err(source) => Err(SigningError::Store(source)),
        }
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
            let pause = pause.saturating_mul(1 << (tries - 1));
            if tries >= TRIES || Instant::now() + pause + ATTEMPT_DEADLINE > until {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            attempt = self.reattempt(attempt).await?;
            tries += 1;
        }
    }

    /// One exchange with the back end. An error's outcome is recorded here, a signature's by the caller.
    async fn once(&self, attempt: &Attempt<'_>) -> Result<(String, Answer), SigningError> {
        let key = attempt.key;
        let digest = attempt.unsigned.digest();
        let permit = self.mint.mint(PermitTerms {
            intent: attempt.intent,
            attempt: u32::try_from(attempt.number).unwrap_or(u32::MAX),
            key: key.key.key.clone(),
            algorithm: key.key.algorithm,
            digest,
            deadline: attempt.started + ATTEMPT_DEADLINE,
        });
        let asked = Instant::now();
        match attempt.backend.signer.sign(permit).await {
            Ok(signed) => {
                let answer =
                    Answer { provider_request_id: signed.provider_request_id, latency: signed.latency };
                let algorithm = key.key.algorithm.jose_name();
                let right = signed.key == key.key.key
                    && key.public.verify_digest(algorithm, &digest, &signed.signature).is_ok();
                if right {
                    return Ok((attempt.unsigned.assemble(&signed.signature), answer));
                }
                tracing::error!(
                    transaction_id = %attempt.subject.transaction,
                    key = %key.key.key,
                    "the signing back end answered with a signature that does not verify"
                );
                self.record_failure(attempt, "wrong_signature", answer).await;
                Err(SigningError::WrongSignature)
            }
            Err(error) => {
                let answer = Answer { provider_request_id: None, latency: asked.elapsed() };
                self.record_failure(attempt, error.code(), answer).await;
                Err(SigningError::Backend(error))
            }
        }
    }

    async fn record(
        &self,
        attempt: &Attempt<'_>,
        jws: String,
        answer: Answer,
        effect: &impl Fn(&str) -> Result<Effect, SealError>,
    ) -> Result<String, SigningError> {
        let effect = match effect(&jws) {
            Ok(effect) => effect,
            Err(error) => {
                // The signature is thrown away, on the record: the attempt must not look as if it still ran.
                self.record_failure(attempt, "not_sealed", answer).await;
                return Err(SigningError::Seal(error));
            }
        };
        let outcome = self.outcome(attempt, "signed", answer, Some(effect));
        match self.committer.submit(Write::Outcome(Box::new(outcome))).await {
            Ok(Written::Done) => Ok(jws),
            Ok(_) => Err(SigningError::Lost),
            Err(source) => Err(SigningError::Store(source)),
        }
    }

    async fn record_failure(&self, attempt: &Attempt<'_>, kind: &'static str, answer: Answer) {
        let outcome = self.outcome(attempt, kind, answer, None);
        if let Err(error) = self.committer.submit(Write::Outcome(Box::new(outcome))).await {
            // The sweeper will record the attempt as unknown: the ledger stays whole.
            tracing::warn!(
                transaction_id = %attempt.subject.transaction,
                %error,
                "a failed attempt to sign could not be recorded"
            );
        }
    }

    fn outcome(
        &self,
        attempt: &Attempt<'_>,
        kind: &'static str,
        answer: Answer,
        effect: Option<Effect>,
    ) -> Outcome {
        let now = self.clock.now();
        let latency_us = i64::try_from(answer.latency.as_micros()).unwrap_or(i64::MAX);
        let mut event = Event::new(attempt.subject, EventKind::SigningOutcome, now)
            .with("attempt", attempt.number)
            .with("digest", hex(&attempt.unsigned.digest()))
            .with("intent", attempt.intent.to_string())
            .with("key", attempt.key.key.key.to_string())
            .with("latency_us", latency_us)
            .with("outcome", kind)
            .with("purpose", attempt.purpose);
        if let Some(id) = &answer.provider_request_id {
            event = event.with("provider_request_id", id.as_str());
        }
        Outcome {
            tenant: attempt.tenant,
            intent: attempt.intent,
            attempt: attempt.number,
            request: attempt.request,
            outcome: kind,
            provider_request_id: answer.provider_request_id,
            latency_us,
            finished_at: now,
            effect,
            event,
        }
    }
}

struct Answer {
    provider_request_id: Option<String>,
    latency: Duration,
}

fn deadline(now: Timestamp) -> Timestamp {
    now.plus_millis(i64::try_from(ATTEMPT_DEADLINE.as_millis()).unwrap_or(i64::MAX))
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
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
