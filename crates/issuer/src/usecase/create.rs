//! Create: a front end asks for an issuance. Costs the vault nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::audit::{Event, EventKind, Subject};
use domain::contract::{ClaimSource, Contract, ContractStatus, MAX_VALIDITY_SECS};
use domain::{AuthorityId, ClientId, ContractId, CustomerId, RequestId, TenantId, Timestamp, TransactionId};
use store::{NewRequest, StoreError, Write, Written};

use super::unguessable_id;
use crate::Issuer;
use crate::directory::ContractEntry;
use crate::placement::KeyUse;
use crate::sealed::{self, CallbackTarget, Kind, Payload, PinPrompt, Registration, SealError};
use crate::signing::budget::Overloaded;
use crate::urls::ManifestAddress;

/// Who asks, and for whom.
#[derive(Debug, Clone)]
pub struct Asker {
    /// The front end.
    pub client: ClientId,
    /// The tenant of its token.
    pub tenant: TenantId,
    /// The customer on whose behalf it asks.
    pub customer: Option<CustomerId>,
}

/// A PIN as a front end gives it.
#[derive(Clone)]
pub struct GivenPin {
    /// What the wallet shows.
    pub prompt: PinPrompt,
    /// What the wallet will send: base64 of SHA-256 over salt and PIN.
    pub wallet_value: String,
}

/// What a front end asks for; every field is already known to have the right type.
pub struct Wanted {
    /// The issuer's DID.
    pub authority: String,
    /// The manifest's address.
    pub manifest: String,
    /// Claim values.
    pub claims: BTreeMap<String, String>,
    /// The PIN.
    pub pin: Option<GivenPin>,
    /// The credential's end.
    pub expiration: Option<Timestamp>,
    /// Who asks, for the wallet's eyes.
    pub registration: Registration,
    /// Where the news go.
    pub callback: Option<CallbackTarget>,
}

/// An accepted request.
#[derive(Debug, Clone)]
pub struct Created {
    /// Its id.
    pub request: RequestId,
    /// Its transaction.
    pub transaction: TransactionId,
    /// The link behind the QR code.
    pub link: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Why a request was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The tenant of the token is not served here.
    #[error("the token's tenant is not served here")]
    ForeignTenant,
    /// `authority` is no DID of this tenant.
    #[error("The request does not contain a valid authority DID.")]
    Authority,
    /// `manifest` names no contract of this authority.
    #[error("{0}")]
    Contract(&'static str),
    /// A field contradicts the contract.
    #[error("{message}")]
    Field {
        /// The field.
        target: Option<String>,
        /// What is wrong.
        message: String,
    },
    /// The authority cannot sign yet, or the contract was not signed yet.
    #[error("the authority has no active signing key, or the contract is not signed yet")]
    NotReady,
    /// The vault's limit does not allow for its signatures at present.
    #[error("no more requests can be taken at present")]
    Overloaded(#[from] Overloaded),
    /// The database failed.
    #[error("the request could not be stored")]
    Store(#[source] StoreError),
    /// Sealing failed.
    #[error("the request could not be sealed")]
    Seal(#[from] SealError),
}

fn field(target: &str, message: impl Into<String>) -> CreateError {
    CreateError::Field { target: Some(target.to_owned()), message: message.into() }
}

impl Issuer {
    /// Accepts an issuance request, or says why not. Refusals of a known tenant are in the ledger.
    pub async fn create(
        self: &Arc<Self>,
        asker: &Asker,
        transaction: TransactionId,
        wanted: Wanted,
    ) -> Result<Created, CreateError> {
        let contract = ManifestAddress::parse(&wanted.manifest).map(|address| address.contract);
        let result = self.accept(asker, transaction, wanted).await;
        // A stranger's tenant must not grow our ledger.
        if let Err(error) = &result
            && asker.tenant == self.settings.tenant
        {
            self.refused(asker, transaction, contract, error.reason());
        }
        result
    }

    /// Puts a refused request into the ledger; nobody waits for it.
    pub fn refused(
        &self,
        asker: &Asker,
        transaction: TransactionId,
        contract: Option<ContractId>,
        reason: &'static str,
    ) {
        let subject = subject(asker, transaction, None, contract);
        let event = Event::new(&subject, EventKind::RequestRefused, self.clock.now()).with("reason", reason);
        self.committer().note(Write::Note(Box::new(event)));
    }

    async fn accept(
        self: &Arc<Self>,
        asker: &Asker,
        transaction: TransactionId,
        wanted: Wanted,
    ) -> Result<Created, CreateError> {
        let now = self.clock.now();
        let tenant = self.settings.tenant;
        if asker.tenant != tenant {
            return Err(CreateError::ForeignTenant);
        }
        let directory = self.directory.snapshot();
        let authority = directory.authority_by_did(&wanted.authority).ok_or(CreateError::Authority)?;
        let address = ManifestAddress::parse(&wanted.manifest)
            .filter(|address| address.tenant == tenant)
            .ok_or(CreateError::Contract("The manifest is not the address of a contract of this tenant."))?;
        let ours = |entry: &&Arc<ContractEntry>| {
            entry.row.id == address.contract && entry.row.authority == authority.authority.id
        };
        let entry = directory.contract(address.contract).filter(ours).ok_or_else(|| {
            match directory.pending().find(ours) {
                // Its first version is not signed yet.
                Some(_) => CreateError::NotReady,
                None => CreateError::Contract("The manifest's contract does not exist for this authority."),
            }
        })?;
        if entry.contract.status() == ContractStatus::Disabled {
            return Err(CreateError::Contract("The manifest's contract is disabled."));
        }
        if authority.active.is_none() || !entry.is_signed() {
            return Err(CreateError::NotReady);
        }
        check_against_contract(&entry.contract, &wanted, now)?;
        // Before anything that costs: under overload most requests end here.
        let uses = [KeyUse::Requests, KeyUse::Credentials]
            .map(|key_use| authority.signing.of(key_use).iter().map(|key| key.key.key.backend.as_str()));
        let meters = self.signing.budget().alternatives(uses);
        self.signing.budget().would_admit(&meters)?;

        let request = RequestId::new(unguessable_id(now).map_err(|_source| SealError::Random)?);
        let row = request.to_string();
        let pin_hash = wanted
            .pin
            .as_ref()
            .map(|pin| credential::pin::keyed(self.local.pin(), request, &pin.wallet_value));
        // Only what the contract maps: the rest would be kept for nothing.
        let mut claims = wanted.claims;
        claims.retain(|name, _| {
            entry.contract.mapping(ClaimSource::IdTokenHint).iter().any(|line| line.input_name() == name)
        });
        let payload = Payload {
            claims,
            registration: wanted.registration,
            pin: wanted.pin.map(|pin| pin.prompt),
            expiration: wanted.expiration.map(Timestamp::millis),
        };
        let callback = match &wanted.callback {
            Some(target) => Some(sealed::seal(&self.keyring, tenant, Kind::Callback, &row, target)?),
            None => None,
        };
        // Whole seconds, as the wire says it: nothing is good for longer than its `exp`.
        let expires_at =
            Timestamp::from_seconds(now.seconds()).plus_seconds(self.settings.request_lifetime_secs);
        let subject = subject(asker, transaction, Some(authority.authority.id), Some(address.contract));
        let event = Event::new(&subject, EventKind::RequestCreated, now)
            .with("callback", callback.is_some())
            .with("contract_version", entry.row.version)
            .with("expires_at", expires_at.millis())
            .with("pin", pin_hash.is_some())
            .with("protocol", "entra")
            .with("request", row.as_str());
        let new = NewRequest {
            tenant,
            id: request,
            transaction,
            authority: authority.authority.id,
            contract: address.contract,
            contract_version: entry.row.version,
            client: asker.client.clone(),
            customer: asker.customer.clone(),
            protocol: "entra",
            created_at: now,
            expires_at,
            payload: sealed::seal(&self.keyring, tenant, Kind::Payload, &row, &payload)?,
            callback,
            pin_hash,
            meters: meters.clone(),
            event,
        };
        match self.committer().submit(Write::Create(Box::new(new))).await {
            Ok(Written::Refused { reason }) => {
                self.signing.budget().refused(&meters);
                Err(CreateError::Overloaded(Overloaded { reason }))
            }
            Ok(Written::Done) => {
                self.signing.budget().admitted(&meters);
                Ok(Created { request, transaction, link: self.urls.link(request), expires_at })
            }
            Ok(_) => Err(CreateError::Store(StoreError::Corrupt("request.id"))),
            Err(source) => Err(CreateError::Store(source)),
        }
    }
}

impl CreateError {
    /// A stable label for the ledger.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::ForeignTenant => "foreign_tenant",
            Self::Authority => "unknown_authority",
            Self::Contract(_) => "unknown_contract",
            Self::Field { .. } => "bad_field",
            Self::NotReady => "not_ready",
            Self::Overloaded(overloaded) => overloaded.reason,
            Self::Store(_) => "store_failed",
            Self::Seal(_) => "seal_failed",
        }
    }
}

fn subject(
    asker: &Asker,
    transaction: TransactionId,
    authority: Option<AuthorityId>,
    contract: Option<ContractId>,
) -> Subject {
    Subject {
        tenant: asker.tenant,
        transaction,
        authority,
        contract,
        client: Some(asker.client.clone()),
        customer: asker.customer.clone(),
    }
}

fn check_against_contract(contract: &Contract, wanted: &Wanted, now: Timestamp) -> Result<(), CreateError> {
    if let Some(expiration) = wanted.expiration {
        if !contract.allows_expiration_date() {
            return Err(CreateError::Field {
                target: None,
                message:
                    "Expiration Date cannot be used when Validity Interval is not allowed to be overridden"
                        .to_owned(),
            });
        }
        if expiration <= now {
            return Err(field(
                "expirationDate",
                "The request contains `expirationDate`, but it is in the past.",
            ));
        }
        // The key that signs has to stay published until then.
        if expiration > now.plus_seconds(MAX_VALIDITY_SECS) {
            let message = "The request contains `expirationDate`, but it is more than ten years ahead.";
            return Err(field("expirationDate", message));
        }
    }
    if !contract.accepts_hint() {
        let given = [
            ("claims", !wanted.claims.is_empty()),
            ("pin", wanted.pin.is_some()),
            ("expirationDate", wanted.expiration.is_some()),
        ];
        if let Some((name, _)) = given.into_iter().find(|(_, given)| *given) {
            let message =
                format!("The request contains `{name}`, but the contract has no idTokenHints attestation.");
            return Err(field(name, message));
        }
        return Ok(());
    }
    if wanted.pin.is_some() && !contract.accepts_pin() {
        return Err(field(
            "pin",
            "The request contains `pin`, but the contract asks for other attestations besides idTokenHints: \
             wallets cannot combine them.",
        ));
    }
    contract.map_claims(ClaimSource::IdTokenHint, &wanted.claims).map(drop).map_err(|faults| {
        faults.first().map_or_else(
            || field("claims", "The claims do not fit the contract."),
            |fault| field(&fault.path, format!("The claim `{}` {}.", fault.input_claim, fault.reason)),
        )
    })
}
