//! Contracts: applying a version, signing it, and giving it to wallets. A GET never signs.

use std::sync::Arc;

use credential::entra::manifest::{self, ManifestContext};
use credential::jws::Unsigned;
use domain::audit::{Event, EventKind, Subject};
use domain::contract::{Contract, Display, Finding};
use domain::request::RequestState;
use domain::{AuthorityId, ContractId, RequestId, TransactionId};
use store::{ContractRow, Effect, StoreError, StoredRequest, Write};
use uuid::Uuid;

use super::document::{Document, DocumentError};
use super::subject_of;
use crate::Issuer;
use crate::directory::{ContractEntry, DirectoryError, parse_contract};
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
    ) -> Result<Option<(String, Option<TransactionId>)>, StoreError> {
        let directory = self.directory.snapshot();
        let Some(entry) = directory.contract(contract) else { return Ok(None) };
        let display = entry.contract.select_display(accept_language);
        let Some(token) = entry.tokens.get(display.locale.as_str()) else { return Ok(None) };
        let transaction = match request {
            Some(request) => self.note_fetch(contract, request, &display.locale).await?,
            None => None,
        };
        Ok(Some((token.clone(), transaction)))
    }

    async fn note_fetch(
        &self,
        contract: ContractId,
        request: RequestId,
        locale: &domain::contract::Locale,
    ) -> Result<Option<TransactionId>, StoreError> {
        let found = self.store.request(self.settings.tenant, request).await?;
        // Only between scanning and issuing: the address is public, and the ledger must not grow by repeating it.
        let Some(request) =
            found.filter(|found| found.state == RequestState::Retrieved && found.contract == contract)
        else {
            return Ok(None);
        };
        let event = Event::new(&subject_of(&request), EventKind::ContractFetched, self.clock.now())
            .with("contract_version", request.contract_version)
            .with("locale", locale.as_str());
        self.committer().note(Write::Note(Box::new(event)));
        Ok(Some(request.transaction))
    }

    /// Makes a contract's text the current version unless it already is, and signs it in every locale.
    pub async fn apply_contract(&self, authority: AuthorityId, text: &str) -> Result<Applied, ApplyError> {
        let contract = Contract::parse(text).map_err(ApplyError::Invalid)?;
        contract.check_issuable().map_err(ApplyError::Invalid)?;
        let tenant = self.settings.tenant;
        let directory = self.directory.snapshot();
        directory.authority(authority).ok_or(ApplyError::NoAuthority)?;
        let rows = self.store.contracts(tenant).await?;
        let existing = match contract.id() {
            Some(id) => rows.iter().find(|row| row.id == id),
            None => rows.iter().find(|row| row.name == contract.name()),
        };
        if existing.is_some_and(|row| row.authority != authority) {
            return Err(ApplyError::Conflict);
        }
        if let Some(row) = existing
            && parse_contract(row)?.submitted() == contract.submitted()
        {
            let applied = Applied { id: row.id, version: row.version, changed: false };
            self.sign_contracts().await?;
            return Ok(applied);
        }
        let id = existing
            .map(|row| row.id)
            .or(contract.id())
            .unwrap_or_else(|| ContractId::new(Uuid::new_v4()));
        let version = existing.map_or(1, |row| row.version + 1);
        let now = self.clock.now();
        let subject = Subject {
            tenant,
            transaction: TransactionId::new(Uuid::now_v7()),
            authority: Some(authority),
            contract: Some(id),
            client: None,
            customer: None,
        };
        let event = Event::new(&subject, EventKind::AdminChange, now)
            .with("change", "contract_applied")
            .with("name", contract.name())
            .with("version", version);
        let row = ContractRow {
            id,
            authority,
            name: contract.name().to_owned(),
            status: contract.status().name().to_owned(),
            version,
            document: text.to_owned(),
            applied_at: now,
        };
        if !self.store.apply_contract(tenant, &row, &event).await? {
            return Err(ApplyError::Conflict);
        }
        self.reload().await?;
        self.sign_contracts().await?;
        Ok(Applied { id, version, changed: true })
    }

    /// Signs what is not signed yet: every locale of every current contract under its authority's active key. Called
    /// when a version was applied, when a key became active and at start, so that a crash in between is mended.
    pub async fn sign_contracts(&self) -> Result<(), ApplyError> {
        let directory = self.directory.snapshot();
        let mut signed = false;
        for entry in directory.contracts() {
            let Some(authority) = directory.authority(entry.row.authority) else { continue };
            let key = authority.active.as_ref().ok_or(ApplyError::NoKey)?;
            for display in entry.contract.displays() {
                if !entry.tokens.contains_key(display.locale.as_str()) {
                    self.sign_contract(entry, display, &authority.authority.did, key).await?;
                    signed = true;
                }
            }
        }
        if signed {
            self.reload().await?;
        }
        Ok(())
    }

    async fn sign_contract(
        &self,
        entry: &ContractEntry,
        display: &Display,
        did: &domain::Did,
        key: &ActiveKey,
    ) -> Result<(), ApplyError> {
        let tenant = self.settings.tenant;
        let subject = Subject {
            tenant,
            transaction: TransactionId::new(Uuid::now_v7()),
            authority: Some(entry.row.authority),
            contract: Some(entry.row.id),
            client: None,
            customer: None,
        };
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
