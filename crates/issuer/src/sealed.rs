//! What is kept sealed: claims, callbacks, credentials, and the service's own keys.
//!
//! Everything is sealed before a transaction begins and bound to its tenant and row. Must not know how sealing works:
//! that is the keyring's.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credential::entra::index_hash::{index_hash, index_hash_lower_case};
use credential::entra::request_object::PinKind;
use domain::{ContractId, RequestId, TenantId, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use signer::{Binding, Keyring, KeyringError};
use store::{SealedRow, Store, StoreError};
use zeroize::Zeroizing;

/// Something cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The key-encryption key is missing or wrong, or the row was changed.
    #[error("a sealed value cannot be opened")]
    Keyring(#[from] KeyringError),
    /// What was sealed is not what this program writes.
    #[error("a sealed value has an unexpected shape")]
    Shape(#[from] serde_json::Error),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No randomness.
    #[error("the operating system gives no random bytes")]
    Random,
}

/// What a sealed value is.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// [`Payload`].
    Payload,
    /// [`CallbackTarget`].
    Callback,
    /// An issued credential.
    Credential,
    /// A signing input with what its outcome records.
    Intent,
    /// [`Message`].
    Message,
    /// A key of the service.
    LocalKey,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Payload => "request-payload",
            Self::Callback => "request-callback",
            Self::Credential => "credential",
            Self::Intent => "intent",
            Self::Message => "callback-message",
            Self::LocalKey => "local-key",
        }
    }
}

/// Seals a value to its tenant and row.
pub fn seal<T: Serialize>(
    keyring: &Keyring,
    tenant: TenantId,
    kind: Kind,
    row: &str,
    value: &T,
) -> Result<String, SealError> {
    let plain = Zeroizing::new(serde_json::to_vec(value)?);
    let tenant = tenant.to_string();
    Ok(keyring.seal(&Binding { tenant: &tenant, kind: kind.name(), row }, &plain)?)
}

/// Opens what [`seal`] made.
pub fn open<T: DeserializeOwned>(
    keyring: &Keyring,
    tenant: TenantId,
    kind: Kind,
    row: &str,
    sealed: &str,
) -> Result<T, SealError> {
    let tenant = tenant.to_string();
    let plain = keyring.open(&Binding { tenant: &tenant, kind: kind.name(), row }, sealed)?;
    Ok(serde_json::from_slice(&plain)?)
}

/// Who asks, as the wallet shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Display name of the front end.
    pub client_name: String,
    /// Its logo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo_url: Option<String>,
    /// Its terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms_of_service_url: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
}

/// What the wallet is told about the PIN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinPrompt {
    /// How many characters to ask for.
    pub length: u32,
    /// Whether to ask for letters too.
    pub alphanumeric: bool,
    /// What is hashed in front of the PIN.
    pub salt: String,
}

impl PinPrompt {
    /// Which characters to ask for.
    #[must_use]
    pub const fn kind(&self) -> PinKind {
        if self.alphanumeric { PinKind::Alphanumeric } else { PinKind::Numeric }
    }
}

/// What a request needs until it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// Claim values by the names of the front end.
    pub claims: BTreeMap<String, String>,
    /// Who asks.
    pub registration: Registration,
    /// The PIN, if one is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin: Option<PinPrompt>,
    /// The credential's end, in milliseconds since 1970, if the front end chose it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration: Option<i64>,
}

/// Where a front end wants its news.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackTarget {
    /// The address.
    pub url: String,
    /// Given back in every event.
    pub state: String,
    /// Headers to send.
    pub headers: BTreeMap<String, String>,
}

/// One callback as it leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The address.
    pub url: String,
    /// Headers to send.
    pub headers: BTreeMap<String, String>,
    /// The JSON body.
    pub body: String,
}

/// A signing input and what its outcome has to record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentInput {
    /// `base64url(header).base64url(payload)`.
    pub signing_input: String,
    /// For a credential: what the issuance row holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialRecord>,
}

/// What an issuance row holds besides the request's own facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialRecord {
    /// `jti`.
    pub credential_id: String,
    /// The version of the contract.
    pub contract_version: i64,
    /// Thumbprint of the holder's key.
    pub holder: String,
    /// Hash of the indexed claim.
    pub index_hash: Option<String>,
    /// The same over lower-case text.
    pub index_hash_lower: Option<String>,
    /// When it was issued, in milliseconds since 1970.
    pub issued_at: i64,
    /// When it ends, in milliseconds since 1970.
    pub expires_at: i64,
}

impl CredentialRecord {
    /// Records the hashes of the indexed claim's value (Admin API, search by `indexclaimhash`).
    pub fn index(&mut self, contract: ContractId, value: &str) {
        self.index_hash = Some(index_hash(&contract.to_string(), value));
        self.index_hash_lower = Some(index_hash_lower_case(&contract.to_string(), value));
    }
}

/// Keys that never leave the service. No vault signs with them.
pub struct LocalKeys {
    hint: Zeroizing<[u8; 32]>,
    pin: Zeroizing<[u8; 32]>,
    state: Zeroizing<[u8; 32]>,
}

/// The `kid` of hints.
pub const HINT_KEY: &str = "hint-1";

impl LocalKeys {
    /// Opens the keys; makes them at the very first start.
    pub async fn load(
        store: &Store,
        keyring: &Keyring,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<Self, SealError> {
        Ok(Self {
            hint: local_key(store, keyring, tenant, "hint", now).await?,
            pin: local_key(store, keyring, tenant, "pin", now).await?,
            state: local_key(store, keyring, tenant, "state", now).await?,
        })
    }

    /// The key of a hint's `kid`.
    #[must_use]
    pub fn hint(&self, key_id: &str) -> Option<&[u8; 32]> {
        (key_id == HINT_KEY).then_some(&*self.hint)
    }

    /// The key with which hints are made now.
    #[must_use]
    pub fn current_hint(&self) -> &[u8; 32] {
        &self.hint
    }

    /// The key of PIN hashes.
    #[must_use]
    pub fn pin(&self) -> &[u8; 32] {
        &self.pin
    }

    /// The `state` of a request's object: its id and an authentication code, so that nothing has to be looked up by
    /// it and nobody who has not read the request object can make it.
    #[must_use]
    pub fn state_of(&self, request: RequestId) -> String {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &*self.state);
        let tag = aws_lc_rs::hmac::sign(&key, request.as_uuid().as_bytes());
        let mut bytes = request.as_uuid().as_bytes().to_vec();
        bytes.extend_from_slice(tag.as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The request of a `state` that we made.
    #[must_use]
    pub fn request_of(&self, state: &str) -> Option<RequestId> {
        if state.len() > 128 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(state).ok()?;
        let (id, tag) = bytes.split_at_checked(16)?;
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &*self.state);
        aws_lc_rs::hmac::verify(&key, id, tag).ok()?;
        uuid::Uuid::from_slice(id).ok().map(RequestId::new)
    }
}

async fn local_key(
    store: &Store,
    keyring: &Keyring,
    tenant: TenantId,
    name: &str,
    now: Timestamp,
) -> Result<Zeroizing<[u8; 32]>, SealError> {
    let secret = local_secret(store, keyring, tenant, name, now, || {
        let mut fresh = Zeroizing::new(vec![0_u8; 32]);
        getrandom::fill(&mut fresh).map_err(|_source| SealError::Random)?;
        Ok(fresh)
    })
    .await?;
    let mut key = Zeroizing::new([0_u8; 32]);
    if secret.len() != key.len() {
        return Err(SealError::Store(StoreError::Corrupt("local_secret")));
    }
    key.copy_from_slice(&secret);
    Ok(key)
}

/// Puts the service's keys under the primary key-encryption key; says how many were under another one.
pub async fn rewrap_local_keys(
    store: &Store,
    keyring: &Keyring,
    tenant: TenantId,
) -> Result<usize, SealError> {
    let owner = tenant.to_string();
    let mut moved = 0;
    for (name, sealed) in store.local_secrets(tenant).await? {
        let binding = Binding { tenant: &owner, kind: Kind::LocalKey.name(), row: &name };
        let fresh = keyring.rewrap(&binding, &sealed)?;
        if fresh != sealed && store.reseal(SealedRow::LocalSecret, tenant, &name, &sealed, &fresh).await? {
            moved += 1;
        }
    }
    Ok(moved)
}

/// A sealed secret of the service; made with `fresh` when there is none.
pub async fn local_secret(
    store: &Store,
    keyring: &Keyring,
    tenant: TenantId,
    name: &str,
    now: Timestamp,
    fresh: impl FnOnce() -> Result<Zeroizing<Vec<u8>>, SealError>,
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let sealed = match store.local_secret(tenant, name).await? {
        Some(sealed) => sealed,
        None => {
            let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(&*fresh()?));
            let sealed = seal(keyring, tenant, Kind::LocalKey, name, &*text)?;
            store.local_secret_or_insert(tenant, name, &sealed, now).await?
        }
    };
    let text = Zeroizing::new(open::<String>(keyring, tenant, Kind::LocalKey, name, &sealed)?);
    let bytes = URL_SAFE_NO_PAD.decode(text.as_bytes());
    Ok(Zeroizing::new(bytes.map_err(|_source| StoreError::Corrupt("local_secret"))?))
}
