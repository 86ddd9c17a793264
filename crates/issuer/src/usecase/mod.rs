//! What the service does, free of any protocol: create, retrieve, issue, complete; contracts and authorities.
//!
//! Each file is one use case with its errors. A use case changes state only through the committer or the signing path.
//! Must not know HTTP: the front doors translate.

pub mod complete;
pub mod contract;
pub mod create;
mod credential;
mod document;
pub mod issue;
pub mod news;
pub mod retrieve;
pub mod setup;
#[cfg(test)]
mod site;

pub use document::DocumentError;

use std::sync::Arc;
use std::time::Duration;

use domain::audit::Subject;
use domain::{KeyId, Timestamp, TransactionId};
use store::StoredRequest;
use uuid::Uuid;

use crate::Issuer;
use crate::directory::AuthorityEntry;
use crate::placement::KeyUse;
use crate::signing::ActiveKey;

/// How long a wallet's call waits before its signature is asked for: wallets give up after 10 s, and half a second is for
/// what follows. Who waits longer gives up without having taken anything.
pub const WALLET_PATIENCE: Duration = Duration::from_millis(9_500);

impl Issuer {
    /// The key for a signature. What an intent was opened for is signed with its key (`begun`) while that is active.
    fn signing_key<'a>(
        &self,
        authority: &'a AuthorityEntry,
        key_use: KeyUse,
        begun: Option<&KeyId>,
    ) -> Option<&'a Arc<ActiveKey>> {
        // While a key is missing nothing is published that could verify what the others sign.
        authority.active.as_ref()?;
        let same = authority.signing.of(key_use).iter().find(|key| Some(&key.key.id) == begun);
        same.or_else(|| authority.signing.with_room(key_use, |backend| self.signing.has_room(backend)))
    }
}

/// An error with the transaction that it belongs to, where one is known.
#[derive(Debug)]
pub struct Failed<E> {
    /// What happened.
    pub error: E,
    /// In which transaction.
    pub transaction: Option<TransactionId>,
}

/// A UUID that begins with the time, so that rows of one moment lie together in every index, and ends with 74 random
/// bits (RFC 9562, section 5.7): it stands in wallet-facing addresses and must not be guessed. `Uuid::now_v7` would
/// count up within a millisecond.
pub(crate) fn unguessable_id(now: Timestamp) -> Result<Uuid, getrandom::Error> {
    let mut random = [0_u8; 10];
    getrandom::fill(&mut random)?;
    let millis = u64::try_from(now.millis()).unwrap_or(0);
    Ok(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

/// Who and what a request's events are about.
#[must_use]
pub fn subject_of(request: &StoredRequest) -> Subject {
    Subject {
        tenant: request.tenant,
        transaction: request.transaction,
        authority: Some(request.authority),
        contract: Some(request.contract),
        client: Some(request.client.clone()),
        customer: request.customer.clone(),
    }
}
