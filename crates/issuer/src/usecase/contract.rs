//! Contracts: applying a version, signing it, and giving it to wallets. A GET never signs.
//!
//! A version is stored, then signed in all its locales, then made current: wallets get the version before it until every
//! one of them can have the new one. What a crash leaves in between is finished by the next start, by the sweeper or by
//! applying the same text again.

use std::sync::Arc;

use credential::entra::manifest::{self, ManifestContext};
use credential::jws::Unsigned;
use domain::audit::{Event, EventKind, Subject};
use domain::contract::{Contract, ContractStatus, Display, Finding};
use domain::request::RequestState;
use domain::{AuthorityId, ContractId, RequestId, TransactionId};
use store::{ContractRow, Effect, StoreError, StoredRequest, Write};
use uuid::Uuid;

use super::document::{Document, DocumentError};
use super::subject_of;
use crate::Issuer;
use crate::directory::{ContractEntry, DirectoryError, Snapshot, parse_contract};
use crate::signing::ActiveKey;

/// Why a contract was not applied or not signed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// It is not valid, or needs what is not issued yet.
    #[error("the contract is not valid")]
    Invalid(Vec<Finding>),
    /// No such authority.
    #[error("the authority does not exist")]
    NoAuthority,
    /// The authority has no active key.
    #[error("the authority has no active signing key")]
    NoKey,
    /// Its name belongs to another contract, or somebody else applied a version meanwhile.
    #[error("the name belongs to another contract, or another version was applied at the same time")]
    Conflict,
    /// Signing failed.
    #[error("the contract could not be signed")]
    Document(#[from] DocumentError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The directory could not be read again.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// Why a wallet does not get a contract.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// There is none under this id, or it is disabled.
    #[error("the contract does not exist")]
    NoContract,
    /// It exists, but is not signed yet in this language: try again.
    #[error("the contract is not signed yet")]
    NotSigned,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What applying a contract did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its id.
    pub id: ContractId,
    /// The version that is current now.
    pub version: i64,
    /// Whether this version is new.
    pub changed: bool,
}

impl Issuer {
    /// The contract's version that a request was made with.
    pub(super) async fn contract_of(&self, request: &StoredRequest) -> Result<Arc<Contract>, DirectoryError> {
        let directory = self.directory.snapshot();
        if let Some(entry) = directory.contract(request.contract)
            && entry.row.version == request.contract_version
        {
            return Ok(Arc::clone(&entry.contract));
        }
        let row = self
            .store
            .contract_version(request.tenant, request.contract, request.contract_version)
            .await?
            .ok_or(StoreError::Corrupt("contract_version"))?;
        Ok(Arc::new(parse_contract(&row)?))
    }

    /// The signed contract for a wallet's language; the request only names the transaction that the ledger notes.
    pub async fn fetch_contract(
        &self,
        contract: ContractId,
        accept_language: Option<&str>,
        request: Option<RequestId>,
    ) -> Result<(String, Option<TransactionId>), FetchError> {
        let directory = self.directory.snapshot();
        let Some(entry) = directory.contract(contract) else {
            let is_pending = directory.pending().any(|entry| entry.row.id == contract);
            return Err(if is_pending { FetchError::NotSigned } else { FetchError::NoContract });
        };
        if entry.contract.status() == ContractStatus::Disabled {
            return Err(FetchError::NoContract);
        }
        let display = entry.contract.select_display(accept_language);
        let token = entry.tokens.get(display.locale.as_str()).ok_or(FetchError::NotSigned)?;
        let transaction = match request {
            Some(request) => self.note_fetch(entry, request, &display.locale).await?,
            None => None,
        };
        Ok((token.clone(), transaction))
    }

    async fn note_fetch(
        &self,
        entry: &ContractEntry,
        request: RequestId,
        locale: &domain::contract::Locale,
    ) -> Result<Option<TransactionId>, StoreError> {
        let found = self.store.request(self.settings.tenant, request).await?;
        // Only between scanning and issuing: the address is public, and the ledger must not grow by repeating it.
        let Some(request) =
            found.filter(|found| found.state == RequestState::Retrieved && found.contract == entry.row.id)
        else {
            return Ok(None);
        };
        if self.fetches.admit(request.id) {
            let event = Event::new(&subject_of(&request), EventKind::ContractFetched, self.clock.now())
                // What was served, which may be newer than what the request was made with.
                .with("contract_version", entry.row.version)
                .with("locale", locale.as_str());
            self.committer().note(Write::Note(Box::new(event)));
        }
        Ok(Some(request.transaction))
    }

    /// Makes a contract's text the current version unless it already is: stores it, signs it in every locale, and only
    /// then makes it current. After an error it is stored, and becomes current as soon as it can be signed.
    pub async fn apply_contract(&self, authority: AuthorityId, text: &str) -> Result<Applied, ApplyError> {
        let contract = Contract::parse(text).map_err(ApplyError::Invalid)?;
        contract.check_issuable().map_err(ApplyError::Invalid)?;
        let tenant = self.settings.tenant;
        self.directory.snapshot().authority(authority).ok_or(ApplyError::NoAuthority)?;
        let newest = self.store.newest_contracts(tenant).await?;
        let existing = match contract.id() {
            Some(id) => newest.iter().find(|newest| newest.row.id == id),
            None => newest.iter().find(|newest| newest.row.name == contract.name()),
        };
        if existing.is_some_and(|newest| newest.row.authority != authority) {
            return Err(ApplyError::Conflict);
        }
        // Compared with the newest version and not with the current one: the last word counts, also when it is not
        // signed yet.
        let (id, version, changed) = match existing {
            Some(newest) if parse_contract(&newest.row)?.submitted() == contract.submitted() => {
                (newest.row.id, newest.row.version, newest.current != newest.row.version)
            }
            _ => {
                let id = existing
                    .map(|newest| newest.row.id)
                    .or(contract.id())
                    .unwrap_or_else(|| ContractId::new(Uuid::new_v4()));
                let version = existing.map_or(1, |newest| newest.row.version + 1);
                let row = ContractRow {
                    id,
                    authority,
                    name: contract.name().to_owned(),
                    status: contract.status().name().to_owned(),
                    version,
                    document: text.to_owned(),
                    applied_at: self.clock.now(),
                };
                if !self.store.insert_contract_version(tenant, &row).await? {
                    return Err(ApplyError::Conflict);
                }
                (id, version, true)
            }
        };
        self.reload().await?;
        let directory = self.directory.snapshot();
        let entry = directory
            .contract(id)
            .into_iter()
            .chain(directory.pending())
            .find(|entry| entry.row.id == id && entry.row.version == version)
            .ok_or(ApplyError::Conflict)?;
        if self.finish_contract(&directory, entry).await? {
            self.reload().await?;
        }
        Ok(Applied { id, version, changed })
    }

    /// Signs what is not signed yet: every locale of every contract under its authority's active key, and makes versions
    /// current that waited for it. Called when a key became active, at start and by the sweeper, so that a crash in
    /// between is mended. One contract's failure does not keep the others; the first is reported.
    pub async fn sign_contracts(&self) -> Result<(), ApplyError> {
        let directory = self.directory.snapshot();
        let (mut changed, mut failed) = (false, None);
        for entry in directory.contracts().into_iter().chain(directory.pending()) {
            match self.finish_contract(&directory, entry).await {
                Ok(finished) => changed |= finished,
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if changed {
            self.reload().await?;
        }
        failed.map_or(Ok(()), Err)
    }

    /// Signs what is missing of a version, then makes it current unless it is. Says whether there was anything to do.
    async fn finish_contract(&self, directory: &Snapshot, entry: &ContractEntry) -> Result<bool, ApplyError> {
        let (id, version) = (entry.row.id, entry.row.version);
        let is_current = directory.contract(id).is_some_and(|current| current.row.version == version);
        if is_current && entry.is_signed() {
            return Ok(false);
        }
        let Some(authority) = directory.authority(entry.row.authority) else { return Ok(false) };
        let key = authority.active.as_ref().ok_or(ApplyError::NoKey)?;
        for display in entry.contract.displays() {
            if !entry.tokens.contains_key(display.locale.as_str()) {
                self.sign_contract(entry, display, &authority.authority.did, key).await?;
            }
        }
        if !is_current {
            self.make_current(entry).await?;
        }
        Ok(true)
    }

    async fn make_current(&self, entry: &ContractEntry) -> Result<(), ApplyError> {
        let tenant = self.settings.tenant;
        let row = ContractRow {
            name: entry.contract.name().to_owned(),
            status: entry.contract.status().name().to_owned(),
            ..entry.row.clone()
        };
        let event = Event::new(&self.contract_subject(entry), EventKind::AdminChange, self.clock.now())
            .with("change", "contract_applied")
            .with("name", row.name.as_str())
            .with("version", row.version);
        if self.store.make_contract_current(tenant, &row, &event).await? {
            return Ok(());
        }
        // Another replica may have finished it too.
        let current = self.store.contracts(tenant).await?;
        let done = current.iter().any(|found| found.id == row.id && found.version == row.version);
        if done { Ok(()) } else { Err(ApplyError::Conflict) }
    }

    fn contract_subject(&self, entry: &ContractEntry) -> Subject {
        Subject {
            tenant: self.settings.tenant,
            transaction: TransactionId::new(Uuid::now_v7()),
            authority: Some(entry.row.authority),
            contract: Some(entry.row.id),
            client: None,
            customer: None,
        }
    }

    async fn sign_contract(
        &self,
        entry: &ContractEntry,
        display: &Display,
        did: &domain::Did,
        key: &ActiveKey,
    ) -> Result<(), ApplyError> {
        let subject = self.contract_subject(entry);
        let (id, version, locale) = (entry.row.id, entry.row.version, display.locale.as_str());
        let name = format!("contract/{id}/{version}/{locale}/{}", key.key.id);
        let effect = |token: &str| Effect::Contract {
            contract: id,
            version,
            locale: locale.to_owned(),
            key_id: key.key.id.clone(),
            token: token.to_owned(),
        };
        let document = Document { subject: &subject, name, purpose: "contract", key };
        let unsigned = || {
            let context = ManifestContext {
                contract_id: id,
                manifest_url: &self.urls.manifest(id),
                credential_issuer: &self.urls.issue(),
                issuer_did: did,
                issued_at_secs: self.clock.now().seconds(),
            };
            let payload = manifest::payload(&entry.contract, display, &context);
            Unsigned::new(key.key.algorithm, &key.kid, Some("JWT"), &payload)
        };
        Ok(self.sign_document(document, unsigned, effect).await?)
    }
}

#[cfg(test)]
mod tests;
