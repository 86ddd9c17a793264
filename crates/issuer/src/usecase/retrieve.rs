//! Retrieve: a wallet fetches the request object. The first fetch signs it; later and concurrent ones get its bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use credential::entra::request_object::{self, Client, Pin, RequestObject};
use credential::hint::{self, HintClaims};
use credential::jws::Unsigned;
use domain::audit::{Event, EventKind};
use domain::contract::Contract;
use domain::request::RequestState;
use domain::{RequestId, TransactionId};
use store::{Effect, RequestChange, StoreError, StoredIntent, StoredRequest};

use super::news::{self, News};
use super::{Failed, WALLET_PATIENCE, subject_of};
use crate::Issuer;
use crate::directory::DirectoryError;
use crate::inbound::Refused;
use crate::placement::KeyUse;
use crate::sealed::{self, HINT_KEY, IntentInput, Kind, Payload, SealError};
use crate::signing::committer::Lane;
use crate::signing::{ActiveKey, Job, Revival, SigningError};

/// Why there is no request object.
#[derive(Debug, thiserror::Error)]
pub enum RetrieveError {
    /// No such request, or it ended.
    #[error("the request does not exist, has expired or was completed")]
    Gone,
    /// An operator has stopped it, or its wallet calls too often.
    #[error(transparent)]
    NotAdmitted(#[from] Refused),
    /// Another call is signing it and did not finish in time, or the back end is out of order: try again.
    #[error("the request cannot be signed at present")]
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
    /// The object could not be encoded.
    #[error("the request object cannot be encoded")]
    Encode(#[from] credential::jws::JwsError),
    /// No randomness.
    #[error("the operating system gives no random bytes")]
    Random,
}

/// A signed request object.
#[derive(Debug, Clone)]
pub struct Retrieved {
    /// The compact JWS.
    pub object: String,
    /// The transaction.
    pub transaction: TransactionId,
}

/// The name of the intent that signs a request's object.
fn intent_name(request: RequestId) -> String {
    format!("request_object/{request}")
}

/// A pause that grows while somebody else signs.
pub(super) struct Pauses(Duration);

impl Pauses {
    pub(super) const fn new() -> Self {
        Self(Duration::from_millis(3))
    }

    pub(super) async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(Duration::from_millis(200));
    }
}

impl Issuer {
    /// The signed request object of a request that is still open.
    pub async fn retrieve(self: &Arc<Self>, id: RequestId) -> Result<Retrieved, Failed<RetrieveError>> {
        let mut transaction = None;
        let retrieved = self.object_of(id, &mut transaction).await;
        retrieved.map_err(|error| Failed { error, transaction })
    }

    async fn object_of(
        &self,
        id: RequestId,
        transaction: &mut Option<TransactionId>,
    ) -> Result<Retrieved, RetrieveError> {
        self.inbound.request(id)?;
        let until = Instant::now() + WALLET_PATIENCE;
        let mut pauses = Pauses::new();
        loop {
            let request = self.store.request(self.settings.tenant, id).await?.ok_or(RetrieveError::Gone)?;
            *transaction = Some(request.transaction);
            let over = request.state.is_final() || request.expires_at <= self.clock.now();
            if over {
                return Err(RetrieveError::Gone);
            }
            if let Some(object) = request.object {
                return Ok(Retrieved { object, transaction: request.transaction });
            }
            if request.state != RequestState::Created {
                return Err(RetrieveError::Gone);
            }
            self.admit_signature(&request)?;
            // A call that comes again while the one before it is being answered must not wait for a slot of its own.
            let intent = self.store.intent(self.settings.tenant, &intent_name(id)).await?;
            match self.sign_object(&request, intent.as_ref(), until).await {
                Ok(object) => return Ok(Retrieved { object, transaction: request.transaction }),
                Err(RetrieveError::Busy(Some(SigningError::Lost))) => {}
                Err(RetrieveError::Busy(Some(SigningError::NoSlotInTime))) => {
                    return self.signed_meanwhile(&request).await;
                }
                Err(error) => return Err(error),
            }
            if Instant::now() >= until {
                return Err(RetrieveError::Busy(None));
            }
            // Somebody else has the intent: wait for its outcome, or take it over when its attempt is over.
            pauses.wait().await;
        }
    }

    /// The object that another call signed while this one waited for a slot.
    async fn signed_meanwhile(&self, request: &StoredRequest) -> Result<Retrieved, RetrieveError> {
        let again = self.store.request(request.tenant, request.id).await?;
        let object = again.and_then(|again| again.object);
        let object = object.ok_or(RetrieveError::Busy(Some(SigningError::NoSlotInTime)))?;
        Ok(Retrieved { object, transaction: request.transaction })
    }

    async fn sign_object(
        &self,
        request: &StoredRequest,
        left_open: Option<&StoredIntent>,
        until: Instant,
    ) -> Result<String, RetrieveError> {
        let lost = || RetrieveError::Busy(Some(SigningError::Lost));
        let directory = self.directory.snapshot();
        let authority = directory.authority(request.authority).ok_or(RetrieveError::Gone)?;
        let begun = left_open.map(|intent| &intent.key_id);
        let key = self.signing_key(authority, KeyUse::Requests, begun).ok_or(RetrieveError::Busy(None))?;
        let subject = subject_of(request);
        let callback = news::announce(
            &self.keyring,
            request.tenant,
            request.id,
            request.callback.as_deref(),
            News::Retrieved,
        )?;
        let effect = |object: &str| {
            Ok(Effect::RequestObject {
                object: object.to_owned(),
                callback: callback.clone(),
                event: Event::new(&subject, EventKind::RequestRetrieved, self.clock.now())
                    .with("request", request.id.to_string()),
            })
        };
        let mut replaces = None;
        if let Some(intent) = left_open {
            let running = intent.attempt_open && intent.deadline > self.clock.now();
            let Some(input) = intent.input.as_deref().filter(|_| !intent.done && !running) else {
                return Err(lost());
            };
            if intent.key_id == key.key.id {
                let input: IntentInput = sealed::open(
                    &self.keyring,
                    request.tenant,
                    Kind::Intent,
                    &intent_name(request.id),
                    input,
                )?;
                let unsigned = Unsigned::from_signing_input(input.signing_input)?;
                let revival = Revival {
                    subject: &subject,
                    intent: intent.id,
                    after: intent.attempt,
                    lane: Lane::New,
                    request: Some(request.id),
                    purpose: "request_object",
                    key,
                    unsigned: &unsigned,
                };
                return self.finish(self.signing.revive(revival, until, effect).await);
            }
            replaces = Some((intent.id, intent.attempt));
        }
        let contract = self.contract_of(request).await?;
        let unsigned = self.request_object(request, &contract, &authority.authority.did, key)?;
        let input = IntentInput { signing_input: unsigned.signing_input().to_owned(), credential: None };
        let name = intent_name(request.id);
        let job = Job {
            subject: &subject,
            sealed_input: sealed::seal(&self.keyring, request.tenant, Kind::Intent, &name, &input)?,
            name,
            purpose: "request_object",
            lane: Lane::New,
            request: Some(request.id),
            requested_at: Some(request.created_at),
            change: RequestChange::Retrieve,
            key,
            unsigned: &unsigned,
            status: None,
            replaces,
        };
        self.finish(self.signing.sign(job, until, effect).await)
    }

    fn finish(&self, signed: Result<String, SigningError>) -> Result<String, RetrieveError> {
        let object = signed.map_err(|error| RetrieveError::Busy(Some(error)))?;
        self.callbacks.notify_one();
        Ok(object)
    }

    fn request_object(
        &self,
        request: &StoredRequest,
        contract: &Contract,
        did: &domain::Did,
        key: &ActiveKey,
    ) -> Result<Unsigned, RetrieveError> {
        let sealed = request.payload.as_deref().ok_or(RetrieveError::Gone)?;
        let row = request.id.to_string();
        let payload: Payload = sealed::open(&self.keyring, request.tenant, Kind::Payload, &row, sealed)?;
        let nonce = random_text()?;
        let audience = self.urls.issue();
        let now = self.clock.now();
        let id_token_hint = contract.accepts_hint().then(|| {
            let claims = HintClaims {
                request_id: request.id,
                aud: audience.clone(),
                iat: now,
                exp: request.expires_at,
                nonce: nonce.clone(),
            };
            hint::seal(self.local.current_hint(), HINT_KEY, &claims)
        });
        let pin_hash = random_text()?;
        let pin = payload.pin.as_ref().map(|prompt| Pin {
            length: prompt.length,
            kind: prompt.kind(),
            salt: Some(&prompt.salt),
            hash: &pin_hash,
        });
        let object = RequestObject {
            request_id: request.id,
            issued_at: now,
            expires_at: request.expires_at,
            issuer_did: did,
            nonce: &nonce,
            state: &self.local.state_of(request.id),
            redirect_uri: &self.urls.completion(),
            client: Client {
                name: Some(&payload.registration.client_name),
                purpose: payload.registration.purpose.as_deref(),
                logo_uri: payload.registration.logo_url.as_deref(),
                terms_uri: payload.registration.terms_of_service_url.as_deref(),
            },
            credential_type: contract.primary_type(),
            manifest_url: &self.urls.manifest_of(request.contract, request.id),
            id_token_hint: id_token_hint.as_deref(),
            pin,
        };
        Ok(Unsigned::new(key.key.algorithm, &key.kid, Some("JWT"), &request_object::payload(&object))?)
    }
}

/// 128 random bits as base64url. Also the `pin.hash` that iOS wallets insist on: it is no function of the PIN.
fn random_text() -> Result<String, RetrieveError> {
    use base64::Engine as _;
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|_source| RetrieveError::Random)?;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests;
