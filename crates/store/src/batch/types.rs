//! The members of a batch: what callers hand to [`crate::Store::commit`] and what they get back.

use std::collections::HashMap;

use domain::audit::Event;
use domain::{
    AuthorityId, BootTime, ClientId, ContractId, CustomerId, IntentId, KeyId, KeyRef, RequestId,
    SignatureAlgorithm, TenantId, Timestamp, TransactionId,
};
use serde::Serialize;
use uuid::Uuid;

use crate::meter::{Alternatives, Need, Slot};

/// One change. Boxed, because a batch moves between threads and some members carry whole credentials.
pub enum Write {
    /// A front end's request.
    Create(Box<NewRequest>),
    /// Transaction 1: an intent to sign with its first attempt.
    Open(Box<OpenIntent>),
    /// Transaction 1 of a later attempt of an intent that is open.
    Reattempt(Box<Reattempt>),
    /// Transaction 2: what came of an attempt.
    Outcome(Box<Outcome>),
    /// The wallet stored the credential.
    Complete(Box<Report>),
    /// The wallet reported a failure: never final.
    WalletFailed(Box<Report>),
    /// The wallet sent a wrong PIN.
    PinFailed(Box<Report>),
    /// What came of an attempt to deliver a callback.
    Callback(Box<CallbackFinished>),
    /// Slots for calls of a back end that sign nothing.
    Take(Box<TakeSlots>),
    /// What came of those calls.
    Return(Box<ReturnSlots>),
    /// Just an event.
    Note(Box<Event>),
}

impl Write {
    /// The request that this member changes: at most one member per request may be in a batch.
    #[must_use]
    pub fn request(&self) -> Option<RequestId> {
        match self {
            Self::Create(member) => Some(member.id),
            Self::Open(member) => member.request,
            Self::Reattempt(member) => member.request,
            Self::Outcome(member) => member.request,
            Self::Complete(member) | Self::WalletFailed(member) | Self::PinFailed(member) => {
                Some(member.request)
            }
            Self::Callback(_) | Self::Take(_) | Self::Return(_) | Self::Note(_) => None,
        }
    }

    /// What this member takes from meters; empty where no key has a limit.
    #[must_use]
    pub fn needs(&self) -> &[Need] {
        match self {
            Self::Open(member) => &member.needs,
            Self::Reattempt(member) => &member.needs,
            Self::Take(member) => &member.needs,
            Self::Create(_)
            | Self::Outcome(_)
            | Self::Complete(_)
            | Self::WalletFailed(_)
            | Self::PinFailed(_)
            | Self::Callback(_)
            | Self::Return(_)
            | Self::Note(_) => &[],
        }
    }
}

/// What became of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// Stored.
    Done,
    /// The intent is open: the attempt of this number may sign once.
    Opened {
        /// 1 for the first.
        attempt: i64,
    },
    /// A wrong PIN was counted.
    PinCounted {
        /// How many there were.
        failures: i64,
        /// Whether the request ended with this one.
        ended: bool,
    },
    /// What it stood on does not hold any more; nothing was stored for it.
    Lost,
    /// A meter that it needs has nothing free; nothing was stored for it.
    NoSlot {
        /// When to try again, in milliseconds from now: nothing returns earlier that this database knows of.
        wait_ms: i64,
    },
    /// A meter does not admit the request; nothing was stored for it.
    Refused {
        /// A stable label for the ledger.
        reason: &'static str,
    },
}

/// What a batch came to.
#[derive(Debug)]
pub struct Committed {
    /// What became of each member, in their order.
    pub written: Vec<Written>,
    /// The slots of each member that took some, by its place in the batch.
    pub slots: HashMap<usize, Vec<Slot>>,
    /// When the batch began, before its transaction: from here count the deadlines of its attempts.
    pub began: BootTime,
}

/// A callback that is to leave from the outbox.
#[derive(Debug, Clone)]
pub struct CallbackRow {
    /// `requestStatus`: shown to operators, so it stands outside of the payload.
    pub status: &'static str,
    /// Sealed address, headers and body.
    pub payload: String,
}

/// A request as a front end made it.
pub struct NewRequest {
    /// The owner.
    pub tenant: TenantId,
    /// Its id in the API and in wallet-facing addresses.
    pub id: RequestId,
    /// Its transaction.
    pub transaction: TransactionId,
    /// The issuing authority.
    pub authority: AuthorityId,
    /// The contract.
    pub contract: ContractId,
    /// The contract's version at this time: it stays with it.
    pub contract_version: i64,
    /// The front end.
    pub client: ClientId,
    /// The customer on whose behalf it asks.
    pub customer: Option<CustomerId>,
    /// Which wire: `entra`.
    pub protocol: &'static str,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends unless it was completed.
    pub expires_at: Timestamp,
    /// Sealed claims and what else the later steps need.
    pub payload: String,
    /// Sealed callback.
    pub callback: Option<String>,
    /// Keyed hash of what the wallet has to send as PIN.
    pub pin_hash: Option<String>,
    /// For each use of keys that it will come to, the meters that may admit it; empty where no key has a limit.
    pub meters: Vec<Alternatives>,
    /// What the ledger says.
    pub event: Event,
}

/// What opening an intent asks of its request.
#[derive(Debug, Clone)]
pub enum RequestChange {
    /// None: the signature belongs to no request (contracts, domain linkage).
    None,
    /// The request object is signed: the request has to be `created`.
    Retrieve,
    /// The credential is signed: the request has to be `retrieved`, free or bound to this holder key.
    Issue {
        /// Thumbprint of the holder's key (RFC 7638).
        holder: String,
        /// The proof's `jti`: seen with another request it is refused.
        jti: String,
        /// Until when the `jti` is remembered.
        jti_expires_at: Timestamp,
        /// The credential's end in whole days, rounded up: the key stays published until then.
        reserved_until: Timestamp,
    },
}

/// An intent to sign.
pub struct OpenIntent {
    /// The owner.
    pub tenant: TenantId,
    /// Its id.
    pub id: IntentId,
    /// Its transaction.
    pub transaction: TransactionId,
    /// What the signature is for; at most one intent that is not void per subject.
    pub subject: String,
    /// `request_object`, `credential`, `contract` or `domain_linkage`.
    pub purpose: &'static str,
    /// The request that it belongs to.
    pub request: Option<RequestId>,
    /// Which credential of the request.
    pub ordinal: i64,
    /// What it asks of the request.
    pub change: RequestChange,
    /// The authority that signs.
    pub authority: AuthorityId,
    /// The key's fragment.
    pub key_id: KeyId,
    /// The key.
    pub key: KeyRef,
    /// The algorithm.
    pub algorithm: SignatureAlgorithm,
    /// SHA-256 of the signing input, lower-case hex.
    pub digest: String,
    /// Sealed signing input.
    pub input: String,
    /// The credential's place in the status list.
    pub status: Option<(Uuid, i64)>,
    /// When it was made.
    pub created_at: Timestamp,
    /// How long its first attempt may take, in milliseconds from its transaction.
    pub patience_ms: i64,
    /// What its attempt takes from meters.
    pub needs: Vec<Need>,
    /// When the request was made that its meters are to count the signature for: once, not for every attempt.
    pub requested_at: Option<Timestamp>,
    /// The open intent, with its latest attempt, that this one replaces because its key is no longer active.
    pub replaces: Option<(IntentId, i64)>,
    /// What the ledger says.
    pub event: Event,
}

/// A further attempt.
pub struct Reattempt {
    /// The owner.
    pub tenant: TenantId,
    /// The intent.
    pub intent: IntentId,
    /// The request that it belongs to.
    pub request: Option<RequestId>,
    /// The attempt that the caller saw as the latest.
    pub after: i64,
    /// When it starts.
    pub started_at: Timestamp,
    /// How long it may take, in milliseconds from its transaction.
    pub patience_ms: i64,
    /// What it takes from meters.
    pub needs: Vec<Need>,
    /// What the ledger says.
    pub event: Event,
}

/// What came of an attempt.
pub struct Outcome {
    /// The owner.
    pub tenant: TenantId,
    /// The intent.
    pub intent: IntentId,
    /// The attempt.
    pub attempt: i64,
    /// The request that the intent belongs to.
    pub request: Option<RequestId>,
    /// `signed` or the kind of error.
    pub outcome: &'static str,
    /// The back end's own id of the exchange.
    pub provider_request_id: Option<String>,
    /// The HTTP status of the back end's answer.
    pub status: Option<i64>,
    /// How long the back end took, in microseconds.
    pub latency_us: i64,
    /// When the answer came.
    pub finished_at: Timestamp,
    /// What a signature changes; `None` after an error.
    pub effect: Option<Effect>,
    /// The attempt's slots.
    pub slots: Vec<Slot>,
    /// What the back end's answer says of them.
    pub answer: Answer,
    /// What the ledger says of the attempt.
    pub event: Event,
}

/// What a signature changes.
pub enum Effect {
    /// The request object is ready: the request is `retrieved`.
    RequestObject {
        /// The compact JWS.
        object: String,
        /// The front end's news.
        callback: Option<CallbackRow>,
        /// What the ledger says.
        event: Event,
    },
    /// The credential is ready: the request is `issued`.
    Credential(Box<CredentialOutcome>),
    /// A contract's version is ready in one locale.
    Contract {
        /// The contract.
        contract: ContractId,
        /// Its version.
        version: i64,
        /// The locale.
        locale: String,
        /// The key.
        key_id: KeyId,
        /// The compact JWS.
        token: String,
    },
    /// A domain linkage credential is ready.
    DomainLinkage {
        /// The authority.
        authority: AuthorityId,
        /// The origin.
        origin: String,
        /// The key.
        key_id: KeyId,
        /// The compact JWS.
        token: String,
    },
}

/// A credential that was signed.
#[derive(Serialize)]
pub struct CredentialOutcome {
    /// The owner.
    pub tenant: TenantId,
    /// The transaction.
    pub transaction: TransactionId,
    /// Which credential of the transaction.
    pub ordinal: i64,
    /// The request.
    pub request: RequestId,
    /// `jti`: `urn:pic:` and 32 hex digits.
    pub credential_id: String,
    /// The authority.
    pub authority: AuthorityId,
    /// The contract.
    pub contract: ContractId,
    /// Its version.
    pub contract_version: i64,
    /// `jwt_vc`.
    pub format: &'static str,
    /// The key that signed.
    pub key_id: KeyId,
    /// Thumbprint of the holder's key.
    pub holder: String,
    /// Hash of the indexed claim.
    pub index_hash: Option<String>,
    /// The same over lower-case text.
    pub index_hash_lower: Option<String>,
    /// Status list.
    pub status_list: Uuid,
    /// Place in it.
    pub status_index: i64,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The sealed compact JWS, kept until the request ends.
    #[serde(skip)]
    pub credential: String,
    /// What the ledger says.
    #[serde(skip)]
    pub event: Event,
}

/// Something that a wallet reported about a request, or that was noticed about a wallet.
pub struct Report {
    /// The owner.
    pub tenant: TenantId,
    /// The request.
    pub request: RequestId,
    /// Its transaction.
    pub transaction: TransactionId,
    /// When.
    pub at: Timestamp,
    /// How many of its kind count: further failure reports change nothing, the last wrong PIN ends the request.
    pub limit: i64,
    /// The front end's news; for a wrong PIN only if it ends the request.
    pub callback: Option<CallbackRow>,
    /// What the ledger says.
    pub event: Event,
    /// What the ledger says besides if the request ends.
    pub ended_event: Option<Event>,
}

/// What came of an attempt to deliver a callback.
pub struct CallbackFinished {
    /// The owner.
    pub tenant: TenantId,
    /// The request.
    pub request: RequestId,
    /// Which callback of the request.
    pub seq: i64,
    /// The attempt that the claim named: after it ran out, the row belongs to whoever claimed it next.
    pub attempt: i64,
    /// Whether the attempt counts. Not so when the claim is given back and nothing was sent.
    pub counts: bool,
    /// When.
    pub at: Timestamp,
    /// `delivered`, `abandoned`, or `None` to try again at `retry_at`.
    pub ended: Option<&'static str>,
    /// When to try again.
    pub retry_at: Timestamp,
    /// Why it did not work.
    pub error: Option<String>,
    /// What the ledger says if it ended.
    pub event: Option<Event>,
}

/// What an answer says of the slots with which it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// None, or none that the back end itself is known to have given: a call may still arrive.
    None,
    /// The back end has taken the call and answered it.
    Given,
    /// It did, and said that its limit is used up, by somebody else too.
    Throttled,
}

/// Slots for calls that sign nothing: start-up reads, key administration, self-checks.
pub struct TakeSlots {
    /// What they take from meters.
    pub needs: Vec<Need>,
}

/// What came of such calls. A slot may be returned once; whoever does not know whether it was must not do it again.
pub struct ReturnSlots {
    /// The slots.
    pub slots: Vec<Slot>,
    /// What the answer says of them.
    pub answer: Answer,
}
