//! The ledger's events: what happened in a transaction, without any claim value.
//!
//! An event is rendered once to canonical bytes (JSON, members sorted, no white space; RFC 8785 for the values that
//! occur here: strings, booleans and integers) and stored as those bytes with [`SCHEMA`]. A later sealer hashes them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::ids::{AuthorityId, ClientId, ContractId, CustomerId, TenantId, TransactionId};
use crate::time::Timestamp;

/// Number of the event layout below; stored with every row.
pub const SCHEMA: i64 = 1;

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A front end's request was accepted.
    RequestCreated,
    /// A front end's request was refused.
    RequestRefused,
    /// A wallet fetched the signed request object for the first time.
    RequestRetrieved,
    /// A wallet fetched the contract for this request.
    ContractFetched,
    /// A wallet's proof was refused; `reason` says why.
    ProofRefused,
    /// A signature is about to be asked for.
    SigningIntent,
    /// What came of one attempt to sign.
    SigningOutcome,
    /// An intent was replaced by another because its key is no longer active.
    IntentVoided,
    /// A credential was handed to a wallet.
    CredentialIssued,
    /// A wallet reported how it ended on its side.
    WalletReported,
    /// A request's time ran out.
    RequestExpired,
    /// The service gave up on a request.
    RequestFailed,
    /// A callback reached the front end.
    CallbackDelivered,
    /// A callback could not be delivered and no more tries follow.
    CallbackAbandoned,
    /// A key moved in its life.
    KeyTransition,
    /// An administrator changed something.
    AdminChange,
}

impl EventKind {
    /// The stored name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RequestCreated => "request_created",
            Self::RequestRefused => "request_refused",
            Self::RequestRetrieved => "request_retrieved",
            Self::ContractFetched => "contract_fetched",
            Self::ProofRefused => "proof_refused",
            Self::SigningIntent => "signing_intent",
            Self::SigningOutcome => "signing_outcome",
            Self::IntentVoided => "intent_voided",
            Self::CredentialIssued => "credential_issued",
            Self::WalletReported => "wallet_reported",
            Self::RequestExpired => "request_expired",
            Self::RequestFailed => "request_failed",
            Self::CallbackDelivered => "callback_delivered",
            Self::CallbackAbandoned => "callback_abandoned",
            Self::KeyTransition => "key_transition",
            Self::AdminChange => "admin_change",
        }
    }
}

/// Who and what an event is about; the same for all events of one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The owner.
    pub tenant: TenantId,
    /// The transaction.
    pub transaction: TransactionId,
    /// The issuing authority, where there is one.
    pub authority: Option<AuthorityId>,
    /// The contract, where there is one.
    pub contract: Option<ContractId>,
    /// The front end, where there is one.
    pub client: Option<ClientId>,
    /// The customer on whose behalf the front end asked.
    pub customer: Option<CustomerId>,
}

/// A detail's value. Numbers are integers: floats have no canonical spelling that everybody agrees on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Detail {
    /// Text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
}

impl From<&str> for Detail {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}
impl From<String> for Detail {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}
impl From<i64> for Detail {
    fn from(value: i64) -> Self {
        Self::Number(value)
    }
}
impl From<bool> for Detail {
    fn from(value: bool) -> Self {
        Self::Flag(value)
    }
}

/// One row of the ledger, before it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Who and what.
    pub subject: Subject,
    /// What happened.
    pub kind: EventKind,
    /// When, by the clock of the process that recorded it.
    pub at: Timestamp,
    /// More about it. Never a claim value.
    pub details: BTreeMap<&'static str, Detail>,
}

impl Event {
    /// An event without details.
    #[must_use]
    pub fn new(subject: &Subject, kind: EventKind, at: Timestamp) -> Self {
        Self { subject: subject.clone(), kind, at, details: BTreeMap::new() }
    }

    /// Adds a detail.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Detail>) -> Self {
        self.details.insert(name, value.into());
        self
    }

    /// The bytes that are stored and, later, hashed.
    #[must_use]
    pub fn canonical(&self) -> String {
        #[derive(Serialize)]
        struct Canonical<'a> {
            at: i64,
            #[serde(skip_serializing_if = "Option::is_none")]
            authority: Option<&'a AuthorityId>,
            #[serde(skip_serializing_if = "Option::is_none")]
            client: Option<&'a ClientId>,
            #[serde(skip_serializing_if = "Option::is_none")]
            contract: Option<&'a ContractId>,
            #[serde(skip_serializing_if = "Option::is_none")]
            customer: Option<&'a CustomerId>,
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            details: &'a BTreeMap<&'static str, Detail>,
            event: EventKind,
            schema: i64,
            tenant: &'a TenantId,
            transaction: &'a TransactionId,
        }
        let subject = &self.subject;
        serde_json::to_string(&Canonical {
            at: self.at.millis(),
            authority: subject.authority.as_ref(),
            client: subject.client.as_ref(),
            contract: subject.contract.as_ref(),
            customer: subject.customer.as_ref(),
            details: &self.details,
            event: self.kind,
            schema: SCHEMA,
            tenant: &subject.tenant,
            transaction: &subject.transaction,
        })
        // Strings, integers and booleans always serialize.
        .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_bytes_are_sorted_and_tight() {
        let subject = Subject {
            tenant: "00000000-0000-4000-8000-000000000001".parse().unwrap(),
            transaction: "00000000-0000-7000-8000-000000000002".parse().unwrap(),
            authority: None,
            contract: None,
            client: Some(ClientId::new("web")),
            customer: None,
        };
        let event = Event::new(&subject, EventKind::ProofRefused, Timestamp::from_millis(7))
            .with("reason", "pin \"wrong\"")
            .with("attempt", 2);
        assert_eq!(
            event.canonical(),
            "{\"at\":7,\"client\":\"web\",\"details\":{\"attempt\":2,\"reason\":\"pin \\\"wrong\\\"\"},\"event\":\"proof_refused\",\"schema\":1,\"tenant\":\"00000000-0000-4000-8000-000000000001\",\"transaction\":\"00000000-0000-7000-8000-000000000002\"}"
        );
    }
}
