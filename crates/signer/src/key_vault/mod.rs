//! The Azure Key Vault back end, on the official SDK.
//!
//! Owns the way from a permit to a signature in a vault: one exchange, nothing after the deadline, the attempt's name in
//! the vault's log, and every failure as a typed kind with the exchange's receipt. It must not retry, must not wait for
//! slots, and must not sign without a permit, not even to try out whether it may (see [`probe`]).
//!
//! | file | owns |
//! |---|---|
//! | `config` | what an operator says about a vault |
//! | `tokens`, `credentials` | access tokens: kept and renewed, and where they come from |
//! | `http`, `transport`, `exchange`, `body` | what goes over the wire, and that it goes once |
//! | `answer` | what a refusal means |
//! | `keys`, `admin` | keys as a vault describes them; making, listing and disabling them |
//! | `meters` | what the vault allows, for the budget |
//! | [`probe`] | what `doctor` asks |

mod admin;
mod answer;
mod body;
mod config;
mod credentials;
mod exchange;
mod http;
mod keys;
mod meters;
pub mod probe;
#[cfg(test)]
mod tests;
mod tokens;
mod transport;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use azure_core::http::request::options::ClientRequestId;
use azure_core::http::{ClientMethodOptions, ClientOptions, Context, DeserializeWith, Format, Response};
use azure_core::http::{RetryOptions, Transport};
use azure_security_keyvault_keys::models::{self, KeyClientSignOptions, SignParameters};
use azure_security_keyvault_keys::{KeyClient, KeyClientOptions};
use domain::key::EcPoint;
use domain::{BootClock, BootTime, Clock, Digest, KeyRef, SignatureAlgorithm, SignatureBytes};
use url::Url;

pub use config::{KeyVaultConfig, Protection, VaultConfigError, VaultCredential, VaultLimits, VaultTimeouts};
pub use keys::KeyDescription;

use crate::backend::{Capabilities, Signed, Signer, is_valid_slot};
use crate::budget::{Meter, Operations};
use crate::build::Backend;
use crate::error::{Cause, InvalidResponse, SignError, SignErrorKind};
use crate::leave::Leave;
use crate::permit::Permit;
use crate::receipt::Receipt;
use credentials::OfficialCredential;
use exchange::{Allowance, Exchange, Gate, Outcome};
use tokens::Tokens;
use transport::{NamesTheAttempt, Placeholder, VaultTransport};

/// Old enough for every cloud, with everything that is used here.
const API_VERSION: &str = "7.4";

/// A vault cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum VaultOpenError {
    /// The settings do not fit together.
    #[error(transparent)]
    Config(#[from] VaultConfigError),
    /// The HTTP client or the SDK's client cannot be set up.
    #[error("the client for the vault cannot be set up")]
    Client(#[source] Cause),
}

/// What is known of a key version: enough to verify, and to know what a signature costs.
#[derive(Debug, Clone, Copy)]
struct Known {
    algorithm: SignatureAlgorithm,
    public: EcPoint,
    protection: Protection,
    seen_at: BootTime,
}

/// One vault, or one Managed HSM.
pub struct KeyVaultBackend {
    name: String,
    url: Url,
    resource: String,
    protection: Protection,
    timeouts: VaultTimeouts,
    public_key_ttl: Duration,
    limits: VaultLimits,
    meters: Vec<Meter>,
    client: KeyClient,
    /// For the one request that carries no token, see [`probe`].
    http: reqwest::Client,
    clock: Arc<dyn BootClock>,
    known: RwLock<HashMap<KeyRef, Known>>,
}

impl fmt::Debug for KeyVaultBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyVaultBackend")
            .field("name", &self.name)
            .field("url", &self.url.as_str())
            .finish_non_exhaustive()
    }
}

impl KeyVaultBackend {
    /// Sets everything up. Nothing is sent: the first request, or [`KeyVaultBackend::warm`], connects.
    ///
    /// # Errors
    /// [`VaultOpenError`] if the settings do not fit together or a certificate cannot be read.
    pub fn open(
        config: &KeyVaultConfig,
        clock: Arc<dyn Clock>,
        boot_clock: Arc<dyn BootClock>,
    ) -> Result<Self, VaultOpenError> {
        config.check()?;
        let token_client = http::token_client(config)?;
        let source = Arc::new(OfficialCredential::new(config, token_client));
        Self::with_tokens(config, Tokens::new(source, clock), boot_clock)
    }

    fn with_tokens(
        config: &KeyVaultConfig,
        tokens: Arc<Tokens>,
        clock: Arc<dyn BootClock>,
    ) -> Result<Self, VaultOpenError> {
        let http = http::vault_client(config)?;
        let transport = VaultTransport::new(http.clone(), tokens, config.authority(), &config.resource());
        let options = KeyClientOptions {
            api_version: API_VERSION.to_owned(),
            client_options: ClientOptions {
                per_try_policies: vec![Arc::new(NamesTheAttempt)],
                retry: RetryOptions::none(),
                transport: Some(Transport::with_policy(Arc::new(transport))),
                ..ClientOptions::default()
            },
            verify_challenge_resource: Some(config.verify_challenge_resource),
        };
        let client = KeyClient::new(config.vault_url.as_str(), Arc::new(Placeholder), Some(options))
            .map_err(|source| VaultOpenError::Client(source.into()))?;
        Ok(Self {
            name: config.name.clone(),
            url: config.vault_url.clone(),
            resource: config.resource(),
            protection: config.protection,
            timeouts: config.timeouts,
            public_key_ttl: config.public_key_ttl,
            limits: config.limits,
            meters: meters::of(config),
            client,
            http,
            clock,
            known: RwLock::default(),
        })
    }

    /// The name that stands in [`KeyRef::backend`].
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The vault's identity in the budget.
    #[must_use]
    pub fn authority(&self) -> String {
        config::authority(&self.url)
    }

    /// Gets a token and a connection, and reads a key that is going to sign. One operation for the budget.
    ///
    /// # Errors
    /// Any [`SignError`]. TLS and DNS failures come at once, with their cause.
    pub async fn warm(&self, key: &KeyRef) -> Result<KeyDescription, SignError> {
        self.describe(key).await
    }

    /// An exchange outside of the signing path, within the time and the slots of whoever asks for it.
    fn admin_exchange(&self, allowance: Allowance, operations: Operations) -> Arc<Exchange> {
        let leave = Leave::current();
        let own = self.clock.now().plus(self.timeouts.admin);
        let deadline = leave.as_ref().map_or(own, |leave| leave.until().min(own));
        let gate = Gate::new(self.clock.clone(), deadline);
        Exchange::under(leave.map(|leave| (leave, operations)), None, gate, allowance)
    }

    /// Waits for an SDK call, and takes the outcome from its exchange: the SDK's own errors have no kinds.
    async fn call<T, F>(
        &self,
        exchange: &Exchange,
        call: impl Future<Output = azure_core::Result<Response<T, F>>> + Send,
    ) -> Result<(T, Receipt), SignError>
    where
        T: DeserializeWith<F>,
        F: Format,
    {
        let answer = call.await;
        match (exchange.outcome(), answer) {
            (Outcome::Failed(error), _) => Err(error),
            (Outcome::Answered(receipt), Ok(response)) => match response.into_model() {
                Ok(model) => Ok((model, receipt)),
                Err(_source) => Err(malformed(receipt)),
            },
            (Outcome::Answered(receipt), Err(_source)) => Err(malformed(receipt)),
            (Outcome::Open, answer) => {
                let source =
                    answer.err().map_or_else(|| Cause::from("the SDK made up an answer"), Cause::from);
                Err(SignErrorKind::Unavailable { may_have_signed: false, source }.into())
            }
        }
    }

    /// Whether a reference can be of this vault at all. What cannot be is not sent: names go into paths.
    fn check(&self, key: &KeyRef) -> Result<(), SignErrorKind> {
        let is_ours = key.backend == self.name && is_valid_slot(&key.name) && keys::is_version(&key.version);
        if is_ours { Ok(()) } else { Err(SignErrorKind::KeyNotFound) }
    }

    fn known(&self, key: &KeyRef) -> Option<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    fn learn(&self, description: &KeyDescription) {
        let known = Known {
            algorithm: description.algorithm,
            public: description.public,
            protection: description.protection,
            seen_at: self.clock.now(),
        };
        let mut held = self.known.write().unwrap_or_else(PoisonError::into_inner);
        held.insert(description.key.clone(), known);
    }

    /// The signature in a vault's answer, if it is one of the key that the permit names.
    fn signature(
        &self,
        key: &KeyRef,
        algorithm: SignatureAlgorithm,
        answer: models::KeyOperationResult,
    ) -> Result<SignatureBytes, SignErrorKind> {
        let kid = answer.kid.as_deref().and_then(|kid| keys::locate(kid, &self.url));
        let (name, version) = kid.ok_or(SignErrorKind::WrongKey)?;
        let is_right = name.eq_ignore_ascii_case(&key.name)
            && version.is_some_and(|version| version.eq_ignore_ascii_case(&key.version));
        if !is_right {
            return Err(SignErrorKind::WrongKey);
        }
        let malformed = SignErrorKind::BadResponse(InvalidResponse::Malformed);
        let bytes = answer.result.ok_or(malformed)?;
        let length = || SignErrorKind::BadResponse(InvalidResponse::SignatureLength);
        if bytes.len() != algorithm.signature_len() {
            return Err(length());
        }
        if algorithm == SignatureAlgorithm::Es256k {
            // Vaults give either half of `s`; some verifiers take the low one only, and both are valid.
            let malformed = |_source| SignErrorKind::BadResponse(InvalidResponse::Malformed);
            let low = k256::ecdsa::Signature::from_slice(&bytes).map_err(malformed)?.normalize_s();
            return SignatureBytes::from_slice(&low.to_bytes()).ok_or_else(length);
        }
        SignatureBytes::from_slice(&bytes).ok_or_else(length)
    }
}

/// The context of a call: its exchange, and an id of ours for the vault's support.
fn context(exchange: &Arc<Exchange>) -> Context<'static> {
    Context::new()
        .with_value(exchange.clone())
        .with_value(ClientRequestId::new(uuid::Uuid::now_v7().to_string()))
}

fn method_options(exchange: &Arc<Exchange>) -> ClientMethodOptions<'static> {
    ClientMethodOptions { context: context(exchange) }
}

fn malformed(receipt: Receipt) -> SignError {
    SignError::answered_with(SignErrorKind::BadResponse(InvalidResponse::Malformed), receipt)
}

#[async_trait]
impl Signer for KeyVaultBackend {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            algorithms: &SignatureAlgorithm::ALL,
            create_key: true,
            list_keys: true,
            disable: true,
            hardware: true,
            remote: true,
        }
    }

    async fn sign(&self, permit: Permit) -> Result<Signed, SignError> {
        let (key, algorithm) = (permit.key().clone(), permit.algorithm());
        self.check(&key)?;
        if let Some(known) = self.known(&key)
            && known.algorithm != algorithm
        {
            return Err(SignErrorKind::AlgorithmMismatch { actual: known.algorithm }.into());
        }
        let parameters = parameters(algorithm, permit.digest()).ok_or(SignErrorKind::InvalidRequest)?;
        let parameters =
            parameters.try_into().map_err(|_source: azure_core::Error| SignErrorKind::InvalidRequest)?;
        let started = Instant::now();
        if permit.is_expired(self.clock.now()) {
            return Err(SignErrorKind::PermitExpired.into());
        }
        let gate = Gate::new(self.clock.clone(), permit.deadline());
        let exchange = Exchange::new(Some(permit.attempt_name().to_owned()), gate, Allowance::Once);
        let options = KeyClientSignOptions {
            key_version: Some(key.version.clone()),
            method_options: method_options(&exchange),
        };
        let call = self.client.sign(&key.name, parameters, Some(options));
        let (answer, receipt) = self.call(&exchange, call).await?;
        match self.signature(&key, algorithm, answer) {
            Ok(signature) => {
                Ok(Signed { signature, key, receipt: Some(receipt), latency: started.elapsed() })
            }
            Err(kind) => Err(SignError::answered_with(kind, receipt)),
        }
    }
}

/// The body of a signature request; `None` if the digest is not the algorithm's.
fn parameters(algorithm: SignatureAlgorithm, digest: &Digest) -> Option<SignParameters> {
    let name = match (algorithm, digest) {
        (SignatureAlgorithm::Es256, Digest::Sha256(_)) => models::SignatureAlgorithm::Es256,
        (SignatureAlgorithm::Es256k, Digest::Sha256(_)) => models::SignatureAlgorithm::Es256K,
        (SignatureAlgorithm::Es384, Digest::Sha384(_)) => models::SignatureAlgorithm::Es384,
        (SignatureAlgorithm::Es256 | SignatureAlgorithm::Es256k | SignatureAlgorithm::Es384, _) => {
            return None;
        }
    };
    Some(SignParameters { algorithm: Some(name), value: Some(digest.to_vec()) })
}

impl From<Arc<KeyVaultBackend>> for Backend {
    fn from(vault: Arc<KeyVaultBackend>) -> Self {
        Self { signer: vault.clone(), admin: vault.clone(), budget: vault }
    }
}

impl From<http::ClientError> for VaultOpenError {
    fn from(error: http::ClientError) -> Self {
        match error {
            http::ClientError::Config(error) => Self::Config(error),
            http::ClientError::Build(_) => Self::Client(error.into()),
        }
    }
}
