//! Issue: a wallet proves its key and receives the credential. One request, one credential.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credential::entra::credential::{self as vc, CredentialInput, StatusEntry};
use credential::hint;
use credential::jws::Unsigned;
use credential::proof::{Expected, Proof, SKEW_SECS, Unverified};
use domain::audit::{Event, EventKind};
use domain::contract::{ClaimSource, Contract};
use domain::request::RequestState;
use domain::{RequestId, Timestamp, TransactionId};
use store::{
    CredentialOutcome, Effect, Report, RequestChange, StoreError, StoredIntent, StoredRequest, Write, Written,
};
use uuid::Uuid;

use super::news::{self, News};
use super::retrieve::Pauses;
use super::{Failed, WALLET_PATIENCE, subject_of, unguessable_id};
use crate::Issuer;
use crate::directory::DirectoryError;
use crate::holder;
use crate::sealed::{self, CredentialRecord, IntentInput, Kind, Payload, SealError};
use crate::signing::{ActiveKey, Job, Revival, SigningError};
use crate::urls::ManifestAddress;

const DAY_MS: i64 = 86_400_000;

/// A credential as the wallet gets it.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The compact JWS.
    pub credential: String,
    /// The transaction.
    pub transaction: TransactionId,
}

/// Why a proof was refused, or why there is no credential.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The body is no proof, or names no request.
    #[error("{0}")]
    Malformed(&'static str),
    /// The proof was refused; the ledger holds the reason's label.
    #[error("{0}")]
    Refused(String),
    /// The PIN is wrong; the wallet lets the person try again.
    #[error("The provided pin is invalid.")]
    WrongPin,
    /// The PIN was wrong once too often.
    #[error("The pin was wrong too often; the request has ended.")]
    PinUsedUp,
    /// Another holder key has this request.
    #[error("The request is bound to another holder.")]
    OtherHolder,
    /// No such request, or it ended.
    #[error("the request does not exist, has expired or was completed")]
    Gone,
    /// Try again.
    #[error("the credential cannot be signed at present")]
    Busy(#[source] Option<SigningError>),
    /// The database failed.
    #[error("the database failed")]
    Store(#[from] StoreError),
    /// Something sealed could not be opened.
    #[error("the request cannot be read")]
    Seal(#[from] SealError),
    /// The contract's version cannot be read.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The credential could not be encoded.
    #[error("the credential cannot be encoded")]
    Encode(#[from] credential::jws::JwsError),
}

/// The name of the intent that signs a request's credential.
fn intent_name(request: RequestId) -> String {
    format!("credential/{request}/0")
}

/// How long a holder's DID document may take: most of the wallet's patience belongs to signing.
const DOCUMENT_PATIENCE: Duration = Duration::from_secs(3);

impl Issuer {
    /// Checks a wallet's answer and gives it the credential: a new one, or the one that the same key got before.
    pub async fn issue(self: &Arc<Self>, body: &str) -> Result<Issued, Failed<IssueError>> {
        let mut transaction = None;
        let issued = self.answer(body, &mut transaction).await;
        issued.map_err(|error| Failed { error, transaction })
    }

    async fn answer(
        &self,
        body: &str,
        transaction: &mut Option<TransactionId>,
    ) -> Result<Issued, IssueError> {
        let until = Instant::now() + WALLET_PATIENCE;
        let parsed = Unverified::parse(body);
        let address = match &parsed {
            Ok(unverified) => unverified.contract().map(str::to_owned),
            Err(_) => contract_of_malformed(body),
        };
        let address = address
            .as_deref()
            .and_then(ManifestAddress::parse)
            .filter(|address| address.tenant == self.settings.tenant)
            .ok_or(IssueError::Malformed("The response's contract is not a contract of this service."))?;
        let hinted = parsed
            .as_ref()
            .ok()
            .and_then(|unverified| hint::open(|key_id| self.local.hint(key_id), unverified.hint()?).ok())
            .map(|claims| claims.request_id);
        let id = address.request.or(hinted).ok_or(IssueError::Malformed(
            "The response belongs to no request: neither its contract address nor a hint names one.",
        ))?;
        let request = self.store.request(self.settings.tenant, id).await?.ok_or(IssueError::Gone)?;
        *transaction = Some(request.transaction);
        if request.state == RequestState::Created || request.state.is_final() {
            self.note_refusal(&request, "request_not_open");
            return Err(IssueError::Gone);
        }
        if request.expires_at <= self.clock.now() {
            self.note_refusal(&request, "request_expired");
            return Err(IssueError::Gone);
        }
        let unverified = parsed.map_err(|error| self.refuse(&request, error.reason(), error.to_string()))?;
        let contract = self.contract_of(&request).await?;
        // What needs no key comes first: nothing is fetched for a response that is refused anyway.
        self.check_binding(&request, &contract, address, &unverified)?;
        let proof = self.verified(unverified, &request).await?;
        if request.holder.as_ref().is_some_and(|holder| *holder != proof.key_thumbprint) {
            self.note_refusal(&request, "other_holder");
            return Err(IssueError::OtherHolder);
        }
        self.check_pin(&request, &proof).await?;
        self.check_jti(&request, &proof).await?;
        self.credential(request, &contract, &proof, until).await
    }

    async fn verified(&self, unverified: Unverified, request: &StoredRequest) -> Result<Proof, IssueError> {
        let audience = self.urls.issue();
        let expected = Expected { audience: &audience, now: self.clock.now(), skew_secs: SKEW_SECS };
        unverified
            .check(&expected)
            .map_err(|error| self.refuse(request, error.reason(), error.to_string()))?;
        let (did, fragment) = unverified.holder();
        let key =
            tokio::time::timeout(DOCUMENT_PATIENCE, holder::key(self.documents.as_ref(), did, fragment))
                .await
                .unwrap_or_else(|_late| Err(holder::HolderError::Document("no answer in time".to_owned())))
                .map_err(|error| self.refuse(request, error.reason(), error.to_string()))?;
        unverified
            .verify(&key, &expected)
            .map_err(|error| self.refuse(request, error.reason(), error.to_string()))
    }

    /// That the answer belongs to this request: its contract address, its hint and its attestations.
    fn check_binding(
        &self,
        request: &StoredRequest,
        contract: &Contract,
        address: ManifestAddress,
        answer: &Unverified,
    ) -> Result<(), IssueError> {
        if address.contract != request.contract
            || !answer.contract().is_some_and(|text| self.urls.is_ours(text))
        {
            let message = "The response's contract is not that of the request.";
            return Err(self.refuse(request, "foreign_contract", message.to_owned()));
        }
        if !answer.other_attestations().is_empty() {
            let others = answer.other_attestations().join(", ");
            let message = format!("The contract does not ask for these attestations: {others}.");
            return Err(self.refuse(request, "unexpected_attestation", message));
        }
        if !contract.accepts_hint() {
            return Ok(());
        }
        let Some(token) = answer.hint() else {
            let message = "The response does not contain the id_token_hint.";
            return Err(self.refuse(request, "hint_missing", message.to_owned()));
        };
        let claims = hint::open(|key_id| self.local.hint(key_id), token)
            .and_then(|claims| claims.check(&self.urls.issue(), self.clock.now()).map(|()| claims))
            .map_err(|error| self.refuse(request, error.reason(), format!("{error}.")))?;
        if claims.request_id != request.id {
            let message = "The id_token_hint belongs to another request.";
            return Err(self.refuse(request, "hint_of_another_request", message.to_owned()));
        }
        Ok(())
    }

    /// A `jti` that was seen with another request is refused, also where the request's own row does not ask for it.
    async fn check_jti(&self, request: &StoredRequest, proof: &Proof) -> Result<(), IssueError> {
        match self.store.request_of_jti(request.tenant, &proof.jti).await? {
            Some(owner) if owner != request.id => {
                let message = "The response's jti was used with another request.";
                Err(self.refuse(request, "jti_reused", message.to_owned()))
            }
            _ => Ok(()),
        }
    }

    async fn check_pin(&self, request: &StoredRequest, proof: &Proof) -> Result<(), IssueError> {
        let Some(expected) = &request.pin_hash else { return Ok(()) };
        if let Some(given) = &proof.pin {
            let keyed = credential::pin::keyed(self.local.pin(), request.id, given);
            if credential::pin::matches(expected, &keyed) {
                return Ok(());
            }
        }
        let subject = subject_of(request);
        let now = self.clock.now();
        let report = Report {
            tenant: request.tenant,
            request: request.id,
            transaction: request.transaction,
            at: now,
            limit: self.settings.pin_tries,
            callback: news::announce(
                &self.keyring,
                request.tenant,
                request.id,
                request.callback.as_deref(),
                News::Failed("issuance_service_error"),
            )?,
            event: Event::new(&subject, EventKind::ProofRefused, now).with("reason", "wrong_pin"),
            ended_event: Some(
                Event::new(&subject, EventKind::RequestFailed, now).with("reason", "pin_tries_used_up"),
            ),
        };
        match self.committer().submit(Write::PinFailed(Box::new(report))).await? {
            Written::PinCounted { ended: false, .. } => Err(IssueError::WrongPin),
            Written::PinCounted { ended: true, .. } => {
                self.callbacks.notify_one();
                Err(IssueError::PinUsedUp)
            }
            // It moved on meanwhile: it has ended, or it was issued to this holder, whose wrong PIN is still wrong.
            _ => match self.store.request(request.tenant, request.id).await? {
                Some(now) if !now.state.is_final() => Err(IssueError::WrongPin),
                _ => Err(IssueError::Gone),
            },
        }
    }

    async fn credential(
        &self,
        mut request: StoredRequest,
        contract: &Contract,
        proof: &Proof,
        until: Instant,
    ) -> Result<Issued, IssueError> {
        let mut pauses = Pauses::new();
        let mut intent: Option<StoredIntent> = None;
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
        let key = authority.active.as_ref().ok_or_else(|| busy(None))?;
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
            request: Some(request.id),
            change: RequestChange::Issue {
                holder: proof.key_thumbprint.clone(),
                jti: proof.jti.clone(),
                jti_expires_at: proof.expires_at.plus_seconds(SKEW_SECS),
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

    fn refuse(&self, request: &StoredRequest, reason: &'static str, message: String) -> IssueError {
        self.note_refusal(request, reason);
        IssueError::Refused(message)
    }

    /// Puts a refusal into the ledger, a limited number of times per request: the call is anonymous.
    fn note_refusal(&self, request: &StoredRequest, reason: &'static str) {
        if self.notes.admit(request.id) {
            let event = Event::new(&subject_of(request), EventKind::ProofRefused, self.clock.now())
                .with("reason", reason);
            self.committer().note(Write::Note(Box::new(event)));
        }
    }
}

/// The contract address in something that is no proof: only for naming the request in the ledger.
fn contract_of_malformed(body: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Named {
        contract: String,
    }
    let payload = body.get(..16_384).unwrap_or(body).split('.').nth(1)?;
    let bytes = URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice::<Named>(&bytes).ok().map(|named| named.contract)
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
