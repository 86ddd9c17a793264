//! Setting up an authority: its row, its first key, its domain linkage. Idempotent: every step can be repeated after a
//! crash.

use std::sync::Arc;

use credential::entra::linkage::{self, Linkage};
use credential::jws::Unsigned;
use domain::audit::{Event, EventKind, Subject};
use domain::key::{KeyState, SigningKey};
use domain::{AuthorityId, Did, SignatureAlgorithm, TransactionId};
use store::{Authority, Effect, StoreError};
use uuid::Uuid;

use super::contract::ApplyError;
use super::document::{Document, DocumentError};
use crate::Issuer;
use crate::cold::ColdError;
use crate::directory::{AuthorityEntry, DirectoryError};
use crate::signing::ActiveKey;

/// Why an authority could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The origin has no DID.
    #[error("the public address cannot be a did:web identifier")]
    Origin(#[source] did_web::InvalidOrigin),
    /// No back end of this name.
    #[error("there is no signing back end named {0:?}")]
    NoBackend(String),
    /// The key could not be made.
    #[error("the signing key {slot} could not be made or read in {backend}")]
    Key {
        /// The key's name.
        slot: String,
        /// Where.
        backend: String,
        /// Why.
        #[source]
        source: ColdError,
    },
    /// What the authority has issued names keys in other back ends.
    #[error(
        "{did} signs with keys in {present}, and what it has issued names them; it has no active key in {wanted}. Another \
         back end is a rotation: its key has to be published before it signs. Start with the former back end, or begin \
         with an empty database"
    )]
    KeyElsewhere {
        /// The authority.
        did: Did,
        /// Where its active keys are.
        present: String,
        /// Where they should be.
        wanted: String,
    },
    /// The database belongs to an authority at another origin.
    #[error(
        "the database belongs to {known} at {origin}, and everything that was issued names it; at the public address of \
         this start there would be a second authority, {asked}. Start with the former public address, or give the new one \
         a database of its own"
    )]
    OtherOrigin {
        /// The authority of the database.
        known: Did,
        /// Its origin.
        origin: String,
        /// The one that would be made.
        asked: Did,
    },
    /// The authority vanished while it was set up.
    #[error("the authority was removed while it was set up")]
    Vanished,
    /// Signing failed.
    #[error("the domain linkage could not be signed")]
    Document(#[from] DocumentError),
    /// A contract could not be signed.
    #[error("a contract could not be signed")]
    Contract(#[from] ApplyError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key's name makes no fragment.
    #[error("the signing key's name cannot stand in the DID document")]
    KeyName(#[source] did_web::InvalidKeyName),
    /// The directory could not be read again.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

impl Issuer {
    /// Makes sure that the authority of our own origin exists, has an active key in every back end where it is to sign,
    /// and a signed domain linkage.
    pub async fn ensure_authority(
        &self,
        name: &str,
        algorithm: SignatureAlgorithm,
    ) -> Result<AuthorityId, SetupError> {
        let did = did_web::did_from_origin(self.urls.base()).map_err(SetupError::Origin)?;
        let directory = self.directory.snapshot();
        if directory.authority_by_did(did.as_str()).is_none() {
            if let Some(other) = directory.authorities().next() {
                return Err(SetupError::OtherOrigin {
                    known: other.authority.did.clone(),
                    origin: other.authority.origin.clone(),
                    asked: did,
                });
            }
            let authority = Authority {
                tenant: self.settings.tenant,
                id: AuthorityId::new(Uuid::new_v4()),
                name: name.to_owned(),
                did: did.clone(),
                origin: self.urls.origin(),
                created_at: self.clock.now(),
            };
            // A replica may have been faster: then its row is the authority.
            self.store.insert_authority(&authority).await?;
            self.reload().await?;
        }
        let entry = self.entry(&did)?;
        let id = entry.authority.id;
        let missing = self.missing_keys(&entry)?;
        if !missing.is_empty() {
            for backend in missing {
                self.first_key(&entry, &backend, algorithm).await?;
            }
            self.reload().await?;
        }
        let entry = self.entry(&did)?;
        let active = entry.active.as_deref().ok_or(SetupError::Vanished)?;
        if !entry.linked {
            self.sign_linkage(&entry, active).await?;
            self.reload().await?;
        }
        Ok(id)
    }

    /// The authority at our own origin, once it is set up.
    #[must_use]
    pub fn own_authority(&self) -> Option<Arc<AuthorityEntry>> {
        let did = did_web::did_from_origin(self.urls.base()).ok()?;
        self.directory.snapshot().authority_by_did(did.as_str()).cloned()
    }

    /// Signs what a crash, a lost race or a failing back end left unsigned: domain linkages and contracts. Looks only
    /// at the directory, so it costs nothing when nothing is missing.
    pub async fn finish_documents(&self) -> Result<(), SetupError> {
        let directory = self.directory.snapshot();
        let mut changed = false;
        for entry in directory.authorities().filter(|entry| !entry.linked) {
            if let Some(active) = entry.active.as_deref() {
                self.sign_linkage(entry, active).await?;
                changed = true;
            }
        }
        if changed {
            self.reload().await?;
        }
        Ok(self.sign_contracts().await?)
    }

    fn entry(&self, did: &Did) -> Result<Arc<AuthorityEntry>, SetupError> {
        self.directory.snapshot().authority_by_did(did.as_str()).cloned().ok_or(SetupError::Vanished)
    }

    /// The back ends in which the authority has no active key yet. Only before it published its domain linkage: from
    /// then on verifiers hold its document, and a new key has to be in it before it signs.
    fn missing_keys(&self, entry: &AuthorityEntry) -> Result<Vec<String>, SetupError> {
        let wanted = self.settings.placement.backends();
        if let Some(unknown) = wanted.iter().find(|name| self.signing.backend(name).is_none()) {
            return Err(SetupError::NoBackend((*unknown).to_owned()));
        }
        let mut present: Vec<&str> = entry
            .keys
            .iter()
            .filter(|key| key.state == KeyState::Active)
            .map(|key| key.key.backend.as_str())
            .collect();
        let missing: Vec<String> =
            wanted.into_iter().filter(|name| !present.contains(name)).map(str::to_owned).collect();
        if missing.is_empty() || entry.configuration.is_none() {
            return Ok(missing);
        }
        present.sort_unstable();
        present.dedup();
        Err(SetupError::KeyElsewhere {
            did: entry.authority.did.clone(),
            present: present.join(", "),
            wanted: missing.join(", "),
        })
    }

    /// The first key of an authority has no predecessor to wait for: nobody holds an older document without it.
    async fn first_key(
        &self,
        entry: &AuthorityEntry,
        backend: &str,
        algorithm: SignatureAlgorithm,
    ) -> Result<(), SetupError> {
        let authority = &entry.authority;
        // Idempotent by the slot's name: after a crash the same key comes back. The generation tells it from the keys
        // that follow it, because vaults do not give a deleted key's name away again.
        let slot = format!("vcSigningKey-{}-1", authority.id);
        let failed = |source| SetupError::Key { slot: slot.clone(), backend: backend.to_owned(), source };
        let created = self.create_key(backend, &slot, algorithm).await.map_err(failed)?;
        let id =
            did_web::key_fragment(&created.key.version, &created.key.name).map_err(SetupError::KeyName)?;
        let now = self.clock.now();
        let key = SigningKey {
            authority: authority.id,
            id: id.clone(),
            key: created.key.clone(),
            algorithm: created.algorithm,
            public: created.public,
            state: KeyState::Prepared,
            prepared_at: now,
        };
        self.store.insert_signing_key(authority.tenant, &key).await?;
        let subject = self.admin_subject(authority.id);
        for state in [KeyState::Published, KeyState::Active] {
            let event = Event::new(&subject, EventKind::KeyTransition, self.clock.now())
                .with("key", created.key.to_string())
                .with("key_id", id.as_str())
                .with("to", state.name());
            let at = self.clock.now();
            self.store.advance_signing_key(authority.tenant, authority.id, &id, state, at, &event).await?;
        }
        Ok(())
    }

    async fn sign_linkage(&self, entry: &AuthorityEntry, key: &ActiveKey) -> Result<(), SetupError> {
        let authority = &entry.authority;
        let subject = self.admin_subject(authority.id);
        let document = Document {
            subject: &subject,
            name: format!("domain_linkage/{}/{}/{}", authority.id, authority.origin, key.key.id),
            purpose: "domain_linkage",
            key,
        };
        let unsigned = || {
            let linkage = Linkage {
                did: &authority.did,
                origin: &authority.origin,
                issued_at: self.clock.now(),
                expires_at: None,
            };
            Unsigned::new(key.key.algorithm, &key.kid, None, &linkage::payload(&linkage))
        };
        let effect = |token: &str| Effect::DomainLinkage {
            authority: authority.id,
            origin: authority.origin.clone(),
            key_id: key.key.id.clone(),
            token: token.to_owned(),
        };
        Ok(self.sign_document(document, unsigned, effect).await?)
    }

    fn admin_subject(&self, authority: AuthorityId) -> Subject {
        Subject {
            tenant: self.settings.tenant,
            transaction: TransactionId::new(Uuid::now_v7()),
            authority: Some(authority),
            contract: None,
            client: None,
            customer: None,
        }
    }
}

#[cfg(test)]
mod tests;
