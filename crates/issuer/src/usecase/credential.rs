//! The credential of a request whose proof is good: built, signed once, and given again to the same holder.

use std::collections::BTreeMap;
use std::time::Instant;

use credential::entra::credential::{self as vc, CredentialInput, StatusEntry};
use credential::jws::Unsigned;
use credential::proof::{Proof, SKEW_SECS};
use domain::audit::{Event, EventKind};
use domain::contract::{ClaimSource, Contract};
use domain::request::RequestState;
use domain::{RequestId, Timestamp};
use store::{CredentialOutcome, Effect, RequestChange, StoreError, StoredIntent, StoredRequest};
use uuid::Uuid;

use super::issue::{IssueError, Issued};
use super::retrieve::Pauses;
use super::{subject_of, unguessable_id};
use crate::Issuer;
use crate::placement::KeyUse;
use crate::sealed::{self, CredentialRecord, IntentInput, Kind, Payload, SealError};
use crate::signing::committer::Lane;
use crate::signing::{ActiveKey, Job, Revival, SigningError};

const DAY_MS: i64 = 86_400_000;

/// The name of the intent that signs a request's credential.
fn intent_name(request: RequestId) -> String {
    format!("credential/{request}/0")
}

impl Issuer {
    /// The request's one credential: signed now, or the one that the same holder got before.
    pub(super) async fn credential(
        &self,
        mut request: StoredRequest,
        contract: &Contract,
        proof: &Proof,
        until: Instant,
    ) -> Result<Issued, IssueError> {
        let mut pauses = Pauses::new();
        // A call that comes again while the one before it is being answered must not wait for a slot of its own. An intent
        // binds the request to its holder.
        let mut intent = match request.holder {
            Some(_) if request.credential.is_none() => {
                self.store.intent(request.tenant, &intent_name(request.id)).await?
            }
            _ => None,
        };
        let transaction = request.transaction;
        loop {
            if let Some(sealed) = &request.credential {
                if request.holder.as_deref() != Some(proof.key_thumbprint.as_str()) {
                    self.note_refusal(&request, "other_holder");
                    return Err(IssueError::OtherHolder);
                }
                let row = request.id.to_string();
                let credential = sealed::open(&self.keyring, request.tenant, Kind::Credential, &row, sealed)?;
                return Ok(Issued { credential, transaction });
            }
            if request.state != RequestState::Retrieved {
                return Err(IssueError::Gone);
            }
            match self.sign_credential(&request, contract, proof, intent.as_ref(), until).await {
                Ok(credential) => return Ok(Issued { credential, transaction }),
                Err(IssueError::Busy(Some(SigningError::Lost))) => {}
                Err(IssueError::Busy(Some(SigningError::NoSlotInTime))) => {
                    // Another call may have signed it while this one waited.
                    let again = self.store.request(request.tenant, request.id).await?;
                    match again.filter(|again| again.credential.is_some()) {
                        Some(again) => request = again,
                        None => return Err(IssueError::Busy(Some(SigningError::NoSlotInTime))),
                    }
                    continue;
                }
                Err(error) => return Err(error),
            }
            if Instant::now() >= until {
                return Err(IssueError::Busy(None));
            }
            // Somebody else has the intent, or the request moved on: look again.
            intent = self.store.intent(request.tenant, &intent_name(request.id)).await?;
            let again = self.store.request(request.tenant, request.id).await?;
            request = again.ok_or(IssueError::Gone)?;
            if intent.is_none() {
                self.explain_loss(&request, proof).await?;
            }
            pauses.wait().await;
        }
    }

    /// There is no intent, yet none could be opened: another holder was faster, the proof's `jti` is another request's,
    /// or the request has ended.
    async fn explain_loss(&self, request: &StoredRequest, proof: &Proof) -> Result<(), IssueError> {
        if request.holder.as_ref().is_some_and(|holder| *holder != proof.key_thumbprint) {
            self.note_refusal(request, "other_holder");
            return Err(IssueError::OtherHolder);
        }
        self.check_jti(request, proof).await?;
        if request.state == RequestState::Retrieved && request.expires_at > self.clock.now() {
            // Nothing is known to be wrong: look again.
            return Ok(());
        }
        Err(IssueError::Gone)
    }

    async fn sign_credential(
        &self,
        request: &StoredRequest,
        contract: &Contract,
        proof: &Proof,
        left_open: Option<&StoredIntent>,
        until: Instant,
    ) -> Result<String, IssueError> {
        let busy = IssueError::Busy;
        let directory = self.directory.snapshot();
        let authority = directory.authority(request.authority).ok_or(IssueError::Gone)?;
        let begun = left_open.map(|intent| &intent.key_id);
        let key = self.signing_key(authority, KeyUse::Credentials, begun).ok_or_else(|| busy(None))?;
        let subject = subject_of(request);
        let mut replaced = None;
        if let Some(intent) = left_open {
            let running = intent.attempt_open && intent.deadline > self.clock.now();
            let open = !intent.done && !running && request.holder.as_ref() == Some(&proof.key_thumbprint);
            let Some(input) = intent.input.as_deref().filter(|_| open) else {
                return Err(busy(Some(SigningError::Lost)));
            };
            let input: IntentInput =
                sealed::open(&self.keyring, request.tenant, Kind::Intent, &intent_name(request.id), input)?;
            if intent.key_id == key.key.id {
                let (Some(record), Some(status)) = (&input.credential, intent.status) else {
                    return Err(StoreError::Corrupt("intent.input").into());
                };
                let unsigned = Unsigned::from_signing_input(input.signing_input)?;
                let revival = Revival {
                    subject: &subject,
                    intent: intent.id,
                    after: intent.attempt,
                    lane: Lane::Begun,
                    request: Some(request.id),
                    purpose: "credential",
                    key,
                    unsigned: &unsigned,
                };
                let effect = self.effect(request, key, record, status);
                let signed = self.signing.revive(revival, until, effect).await;
                return signed.map_err(|error| busy(Some(error)));
            }
            replaced = Some((intent.id, intent.attempt, intent.status));
        }
        let status = match replaced.and_then(|(_, _, status)| status) {
            Some(status) => status,
            None => self.status.take(&self.store, request.authority, self.clock.now()).await?,
        };
        let (unsigned, record) =
            self.unsigned_credential(request, contract, proof, &authority.authority.did, key, status)?;
        let input = IntentInput {
            signing_input: unsigned.signing_input().to_owned(),
            credential: Some(record.clone()),
        };
        let name = intent_name(request.id);
        let job = Job {
            subject: &subject,
            sealed_input: sealed::seal(&self.keyring, request.tenant, Kind::Intent, &name, &input)?,
            name,
            purpose: "credential",
            lane: Lane::Begun,
            request: Some(request.id),
            requested_at: Some(request.created_at),
            change: RequestChange::Issue {
                holder: proof.key_thumbprint.clone(),
                jti: proof.jti.clone(),
                // A wallet may claim any end; longer than a day no answer is good for anything.
                jti_expires_at: proof
                    .expires_at
                    .plus_seconds(SKEW_SECS)
                    .min(self.clock.now().plus_millis(DAY_MS)),
                reserved_until: whole_days(Timestamp::from_millis(record.expires_at)),
            },
            key,
            unsigned: &unsigned,
            status: Some(status),
            replaces: replaced.map(|(id, attempt, _)| (id, attempt)),
        };
        let effect = self.effect(request, key, &record, status);
        self.signing.sign(job, until, effect).await.map_err(|error| busy(Some(error)))
    }

    fn unsigned_credential(
        &self,
        request: &StoredRequest,
        contract: &Contract,
        proof: &Proof,
        did: &domain::Did,
        key: &ActiveKey,
        (list, index): (Uuid, i64),
    ) -> Result<(Unsigned, CredentialRecord), IssueError> {
        let sealed = request.payload.as_deref().ok_or(IssueError::Gone)?;
        let row = request.id.to_string();
        let payload: Payload = sealed::open(&self.keyring, request.tenant, Kind::Payload, &row, sealed)?;
        let claims = self.claims(request, contract, &payload, proof)?;
        let issued_at = self.clock.now();
        let expires_at = payload.expiration.map_or_else(
            || issued_at.plus_seconds(contract.rules().validity_interval_secs),
            Timestamp::from_millis,
        );
        let credential_id = unguessable_id(issued_at).map_err(|_source| SealError::Random)?;
        let types: Vec<String> = contract.credential_types().map(str::to_owned).collect();
        let input = CredentialInput {
            credential_id,
            issuer_did: did,
            subject_did: &proof.holder_did,
            issued_at,
            expires_at,
            types: &types,
            claims: &claims,
            status: Some(StatusEntry { list_id: list, index: u32::try_from(index).unwrap_or(u32::MAX) }),
        };
        let unsigned = Unsigned::new(key.key.algorithm, &key.kid, Some("JWT"), &vc::payload(&input))?;
        let mut record = CredentialRecord {
            credential_id: vc::jti(&credential_id),
            contract_version: request.contract_version,
            holder: proof.key_thumbprint.clone(),
            index_hash: None,
            index_hash_lower: None,
            issued_at: issued_at.millis(),
            expires_at: expires_at.millis(),
        };
        if let Some(value) = contract.index_claim().and_then(|mapping| claims.get(&mapping.output_claim)) {
            record.index(request.contract, value);
        }
        Ok((unsigned, record))
    }

    fn claims(
        &self,
        request: &StoredRequest,
        contract: &Contract,
        payload: &Payload,
        proof: &Proof,
    ) -> Result<BTreeMap<String, String>, IssueError> {
        let sources =
            [(ClaimSource::IdTokenHint, &payload.claims), (ClaimSource::SelfIssued, &proof.self_issued)];
        let mut claims = BTreeMap::new();
        for (source, given) in sources {
            match contract.map_claims(source, given) {
                Ok(mapped) => claims.extend(mapped),
                Err(faults) => {
                    let message = faults.first().map(|fault| format!("{fault}.")).unwrap_or_default();
                    return Err(self.refuse(request, "claim_missing", message));
                }
            }
        }
        Ok(claims)
    }

    fn effect<'a>(
        &'a self,
        request: &'a StoredRequest,
        key: &'a ActiveKey,
        record: &'a CredentialRecord,
        (status_list, status_index): (Uuid, i64),
    ) -> impl Fn(&str) -> Result<Effect, SealError> + 'a {
        move |jws| {
            let row = request.id.to_string();
            let credential = sealed::seal(&self.keyring, request.tenant, Kind::Credential, &row, &jws)?;
            let event = Event::new(&subject_of(request), EventKind::CredentialIssued, self.clock.now())
                .with("contract_version", record.contract_version)
                .with("credential", record.credential_id.as_str())
                .with("expires_at", record.expires_at)
                .with("holder", record.holder.as_str())
                .with("key_id", key.key.id.as_str())
                .with("status_index", status_index)
                .with("status_list", status_list.to_string());
            Ok(Effect::Credential(Box::new(CredentialOutcome {
                tenant: request.tenant,
                transaction: request.transaction,
                ordinal: 0,
                request: request.id,
                credential_id: record.credential_id.clone(),
                authority: request.authority,
                contract: request.contract,
                contract_version: record.contract_version,
                format: "jwt_vc",
                key_id: key.key.id.clone(),
                holder: record.holder.clone(),
                index_hash: record.index_hash.clone(),
                index_hash_lower: record.index_hash_lower.clone(),
                status_list,
                status_index,
                issued_at: Timestamp::from_millis(record.issued_at),
                expires_at: Timestamp::from_millis(record.expires_at),
                credential,
                event,
            })))
        }
    }
}

/// The next midnight (UTC): `reserved_until` rises in whole days, so that the key's row is rarely written.
fn whole_days(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.millis().div_euclid(DAY_MS).saturating_add(1).saturating_mul(DAY_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_rounded_up() {
        assert_eq!(whole_days(Timestamp::from_millis(0)).millis(), DAY_MS);
        assert_eq!(whole_days(Timestamp::from_millis(DAY_MS - 1)).millis(), DAY_MS);
        assert_eq!(whole_days(Timestamp::from_millis(DAY_MS)).millis(), 2 * DAY_MS);
    }
}
