//! One attempt: the permit, one exchange with the back end, its outcome in transaction 2.
//!
//! Owns what an answer means for the ledger and for the attempt's slots. Must not decide whether there is another attempt.

use std::time::{Duration, Instant};

use credential::jws::Unsigned;
use domain::audit::{Event, EventKind, Subject};
use domain::{BootTime, IntentId, RequestId, TenantId};
use signer::{Backend, PermitTerms, Receipt, SignError, SignErrorKind};
use store::{Answer, Effect, Outcome, Slot, StoreError, Write, Written, fail_point};

use super::committer::Lane;
use super::{ActiveKey, SigningError, SigningPath};
use crate::sealed::SealError;

/// One attempt's coordinates.
pub(super) struct Attempt<'a> {
    pub(super) backend: &'a Backend,
    pub(super) subject: &'a Subject,
    pub(super) tenant: TenantId,
    pub(super) intent: IntentId,
    pub(super) number: i64,
    pub(super) lane: Lane,
    pub(super) request: Option<RequestId>,
    pub(super) purpose: &'static str,
    pub(super) key: &'a ActiveKey,
    pub(super) unsigned: &'a Unsigned,
    /// The digest of what is signed, lower-case hex.
    pub(super) digest: String,
    /// Before its transaction 1 began.
    pub(super) began: BootTime,
    pub(super) slots: Vec<Slot>,
}

/// One exchange with a back end, as far as it is known.
pub(super) struct Exchange {
    receipt: Receipt,
    /// What it says of the attempt's slots.
    counts: Answer,
    latency: Duration,
}

impl Exchange {
    fn of(receipt: Option<&Receipt>, error: Option<&SignError>, latency: Duration) -> Self {
        let receipt = receipt.cloned().unwrap_or_default();
        let throttled = error.is_some_and(|error| matches!(error.kind(), SignErrorKind::Throttled { .. }));
        // A gateway's answer says nothing about whether the request arrived or will.
        let counts = match receipt.answered() {
            false => Answer::None,
            true if throttled => Answer::Throttled,
            true => Answer::Given,
        };
        Self { receipt, counts, latency }
    }
}

impl SigningPath {
    /// One exchange with the back end. An error's outcome is recorded here, a signature's by the caller.
    pub(super) async fn once(&self, attempt: &Attempt<'_>) -> Result<(String, Exchange), SigningError> {
        let key = attempt.key;
        let digest = attempt.unsigned.digest();
        let permit = self.mint.mint(PermitTerms {
            intent: attempt.intent,
            attempt: u32::try_from(attempt.number).unwrap_or(u32::MAX),
            key: key.key.key.clone(),
            algorithm: key.key.algorithm,
            digest,
            deadline: self.budget.deadline(&key.key.key.backend, attempt.began),
        });
        fail_point("before-send");
        let asked = Instant::now();
        let answered = attempt.backend.signer.sign(permit).await;
        fail_point("after-answer");
        match answered {
            Ok(signed) => {
                let answer = Exchange::of(signed.receipt.as_ref(), None, signed.latency);
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
                let answer = Exchange::of(error.receipt(), Some(&error), asked.elapsed());
                self.record_failure(attempt, error.code(), answer).await;
                Err(SigningError::Backend(error))
            }
        }
    }

    pub(super) async fn record(
        &self,
        attempt: &Attempt<'_>,
        jws: String,
        answer: Exchange,
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
        match self.transaction_2(outcome).await {
            Ok(Written::Done) => Ok(jws),
            Ok(_) => Err(SigningError::Lost),
            Err(source) => Err(SigningError::Store(source)),
        }
    }

    async fn record_failure(&self, attempt: &Attempt<'_>, kind: &'static str, answer: Exchange) {
        let outcome = self.outcome(attempt, kind, answer, None);
        if let Err(error) = self.transaction_2(outcome).await {
            // The sweeper will record the attempt as unknown: the ledger stays whole.
            tracing::warn!(
                transaction_id = %attempt.subject.transaction,
                %error,
                "a failed attempt to sign could not be recorded"
            );
        }
    }

    async fn transaction_2(&self, outcome: Outcome) -> Result<Written, StoreError> {
        fail_point("before-tx2");
        let written = self.committer.submit(Write::Outcome(Box::new(outcome))).await;
        fail_point("after-tx2");
        written
    }

    fn outcome(
        &self,
        attempt: &Attempt<'_>,
        kind: &'static str,
        answer: Exchange,
        effect: Option<Effect>,
    ) -> Outcome {
        let now = self.clock.now();
        let latency_us = i64::try_from(answer.latency.as_micros()).unwrap_or(i64::MAX);
        let mut event = Event::new(attempt.subject, EventKind::SigningOutcome, now)
            .with("attempt", attempt.number)
            .with("digest", attempt.digest.as_str())
            .with("intent", attempt.intent.to_string())
            .with("key", attempt.key.key.key.to_string())
            .with("latency_us", latency_us)
            .with("outcome", kind)
            .with("purpose", attempt.purpose);
        if let Some(id) = &answer.receipt.provider_request_id {
            event = event.with("provider_request_id", id.as_str());
        }
        let status = answer.receipt.status.map(i64::from);
        if let Some(status) = status {
            event = event.with("status", status);
        }
        if let Some(code) = &answer.receipt.error_code {
            event = event.with("error_code", code.as_str());
        }
        Outcome {
            tenant: attempt.tenant,
            intent: attempt.intent,
            attempt: attempt.number,
            request: attempt.request,
            outcome: kind,
            provider_request_id: answer.receipt.provider_request_id,
            status,
            latency_us,
            finished_at: now,
            effect,
            slots: attempt.slots.clone(),
            answer: answer.counts,
            event,
        }
    }
}
