//! Issue: a wallet proves its key and receives the credential. One request, one credential.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credential::hint;
use credential::proof::{Expected, Proof, SKEW_SECS, Unverified};
use domain::TransactionId;
use domain::audit::{Event, EventKind};
use domain::contract::Contract;
use domain::request::RequestState;
use store::{Report, StoreError, StoredRequest, Write, Written};

use super::news::{self, News};
use super::{Failed, WALLET_PATIENCE, subject_of};
use crate::Issuer;
use crate::directory::DirectoryError;
use crate::holder;
use crate::inbound::Refused;
use crate::sealed::SealError;
use crate::signing::SigningError;
use crate::urls::ManifestAddress;

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
    /// An operator has stopped it, or its wallet calls too often.
    #[error(transparent)]
    NotAdmitted(#[from] Refused),
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
        self.inbound.request(id)?;
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
        // What was issued stays the holder's to fetch.
        if request.issued_at.is_none() {
            self.admit_signature(&request)?;
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
    pub(super) async fn check_jti(&self, request: &StoredRequest, proof: &Proof) -> Result<(), IssueError> {
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

    pub(super) fn refuse(
        &self,
        request: &StoredRequest,
        reason: &'static str,
        message: String,
    ) -> IssueError {
        self.note_refusal(request, reason);
        IssueError::Refused(message)
    }

    /// Puts a refusal into the ledger, a limited number of times per request: the call is anonymous.
    pub(super) fn note_refusal(&self, request: &StoredRequest, reason: &'static str) {
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
