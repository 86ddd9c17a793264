//! What a back end can be asked.
//!
//! Owns the two traits (hot path: [`Signer`]; cold path: [`KeyAdmin`]) and their answers. Two traits because two
//! identities stand behind them at a vault: one may get and sign, the other may create, update and disable. There is
//! no delete: a key that signed something is disabled, never destroyed.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use domain::key::EcPoint;
use domain::{KeyRef, SignatureAlgorithm, SignatureBytes};

use crate::error::SignError;
use crate::permit::Permit;
use crate::receipt::Receipt;

/// Something that a back end may not be able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unsupported {
    /// Keys on P-256.
    Es256,
    /// Keys on secp256k1.
    Es256k,
    /// Keys on P-384.
    Es384,
    /// Making keys through [`KeyAdmin::create_key`].
    CreateKey,
    /// Listing keys through [`KeyAdmin::list_keys`].
    ListKeys,
    /// Disabling keys through [`KeyAdmin::disable`].
    Disable,
}

impl Unsupported {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Es256, Self::Es256k, Self::Es384, Self::CreateKey, Self::ListKeys, Self::Disable];

    /// What a back end lacks that does not sign with an algorithm.
    #[must_use]
    pub const fn algorithm(algorithm: SignatureAlgorithm) -> Self {
        match algorithm {
            SignatureAlgorithm::Es256 => Self::Es256,
            SignatureAlgorithm::Es256k => Self::Es256k,
            SignatureAlgorithm::Es384 => Self::Es384,
        }
    }
}

/// What a back end can do: static data, the same for the whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The algorithms with which it signs.
    pub algorithms: &'static [SignatureAlgorithm],
    /// Whether [`KeyAdmin::create_key`] works.
    pub create_key: bool,
    /// Whether [`KeyAdmin::list_keys`] works.
    pub list_keys: bool,
    /// Whether [`KeyAdmin::disable`] works.
    pub disable: bool,
    /// Whether private keys are outside this process and cannot be read from it.
    pub hardware: bool,
    /// Whether a signature is an exchange with another process, which has a [`Receipt`].
    pub remote: bool,
}

impl Capabilities {
    /// Whether the back end signs with this algorithm.
    #[must_use]
    pub fn signs(&self, algorithm: SignatureAlgorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// What is missing to make or use a key of this algorithm, if anything is.
    #[must_use]
    pub fn missing(&self, algorithm: SignatureAlgorithm) -> Option<Unsupported> {
        (!self.signs(algorithm)).then_some(Unsupported::algorithm(algorithm))
    }

    /// Whether one thing is missing.
    #[must_use]
    pub fn lacks(&self, what: Unsupported) -> bool {
        match what {
            Unsupported::Es256 => !self.signs(SignatureAlgorithm::Es256),
            Unsupported::Es256k => !self.signs(SignatureAlgorithm::Es256k),
            Unsupported::Es384 => !self.signs(SignatureAlgorithm::Es384),
            Unsupported::CreateKey => !self.create_key,
            Unsupported::ListKeys => !self.list_keys,
            Unsupported::Disable => !self.disable,
        }
    }
}

/// A signature as the back end gave it. The caller still verifies it under the expected public key.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed {
    /// r ‖ s, big endian, as long as the algorithm says (RFC 7518, section 3.4). On secp256k1 `s` may be high with some
    /// back ends.
    pub signature: SignatureBytes,
    /// The key version that signed, as the back end names it.
    pub key: KeyRef,
    /// What the back end says about the exchange, where there was one.
    pub receipt: Option<Receipt>,
    /// How long the back end took.
    pub latency: Duration,
}

impl Signed {
    /// The back end's own id for the exchange (`x-ms-request-id`), where it has one.
    #[must_use]
    pub fn provider_request_id(&self) -> Option<&str> {
        self.receipt.as_ref()?.provider_request_id.as_deref()
    }
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed")
            .field("key", &self.key)
            .field("receipt", &self.receipt)
            .field("latency", &self.latency)
            .finish_non_exhaustive()
    }
}

/// Makes signatures.
#[async_trait]
pub trait Signer: Send + Sync {
    /// What this back end can do.
    fn capabilities(&self) -> Capabilities;

    /// Signs the permit's digest with the permit's key version: one exchange, no retry, nothing after the deadline.
    ///
    /// # Errors
    /// Any [`SignError`]; [`SignError::may_have_signed`] says whether the back end's log may hold a signature.
    async fn sign(&self, permit: Permit) -> Result<Signed, SignError>;
}

/// A key version with its public half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedKey {
    /// Where it lives, with its version.
    pub key: KeyRef,
    /// With what it signs.
    pub algorithm: SignatureAlgorithm,
    /// Its public half.
    pub public: EcPoint,
}

/// A key version as a back end lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedKey {
    /// Where it lives, with its version.
    pub key: KeyRef,
    /// With what it signs.
    pub algorithm: SignatureAlgorithm,
    /// Its public half.
    pub public: EcPoint,
    /// Whether it is disabled.
    pub disabled: bool,
}

/// Makes, lists and disables keys.
#[async_trait]
pub trait KeyAdmin: Send + Sync {
    /// The key of a slot, made if the slot is empty. Idempotent by the slot's name: a crash between making a key and
    /// storing its reference is mended by asking again, and two askers get the same key.
    ///
    /// # Errors
    /// `InvalidSlot` for a name that vaults would refuse, `AlgorithmMismatch` if the slot
    /// holds a key with another algorithm, `Unsupported`, or what happened in the back end.
    async fn create_key(&self, slot: &str, algorithm: SignatureAlgorithm) -> Result<CreatedKey, SignError>;

    /// The public half of a key version, disabled or not.
    ///
    /// # Errors
    /// `KeyNotFound`, or what happened in the back end.
    async fn public_key(&self, key: &KeyRef) -> Result<EcPoint, SignError>;

    /// All key versions of this back end that we may see, by name and version.
    ///
    /// # Errors
    /// `Unsupported`, or what happened in the back end.
    async fn list_keys(&self) -> Result<Vec<ListedKey>, SignError>;

    /// Disables a key version for good. Idempotent.
    ///
    /// # Errors
    /// `KeyNotFound`, `Unsupported`, or what happened in the back end.
    async fn disable(&self, key: &KeyRef) -> Result<(), SignError>;
}

/// Whether a text may name a slot: 1 to 127 ASCII letters, digits and dashes, which is what Key Vault allows, so that
/// a site can move from one back end to another with the same names.
#[must_use]
pub fn is_valid_slot(slot: &str) -> bool {
    (1..=127).contains(&slot.len()) && slot.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_names_are_key_vault_names() {
        assert!(is_valid_slot("vcSigningKey-bacf5333-d68c-01c5-152b-8c9039fbd88d"));
        assert!(is_valid_slot(&"a".repeat(127)));
        for slot in ["", "with space", "under_score", "slash/", "ü", &"a".repeat(128)] {
            assert!(!is_valid_slot(slot), "{slot}");
        }
    }

    #[test]
    fn a_signature_stays_out_of_debug_output() {
        let key = KeyRef { backend: "b".into(), name: "n".into(), version: "v".into() };
        let signed = Signed { signature: [171; 64].into(), key, receipt: None, latency: Duration::ZERO };
        assert!(!format!("{signed:?}").contains("171"));
    }
}
