//! Joins the configured back ends and hands out their only permit mint.
//!
//! Owns nothing at run time. It must not open back ends: they come ready.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::backend::{KeyAdmin, Signer};
use crate::budget::{Budget, Unlimited};
use crate::permit::PermitMint;
use crate::software::SoftwareBackend;

/// One back end with its three faces.
#[derive(Clone)]
pub struct Backend {
    /// Makes the signatures.
    pub signer: Arc<dyn Signer>,
    /// Makes, lists and disables keys.
    pub admin: Arc<dyn KeyAdmin>,
    /// Says how often it may be asked.
    pub budget: Arc<dyn Budget>,
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("capabilities", &self.signer.capabilities())
            .field("meters", &self.budget.meters())
            .finish_non_exhaustive()
    }
}

impl From<Arc<SoftwareBackend>> for Backend {
    fn from(software: Arc<SoftwareBackend>) -> Self {
        Self { signer: software.clone(), admin: software, budget: Arc::new(Unlimited) }
    }
}

/// The back ends of a process, each under the name that stands in [`KeyRef::backend`](domain::KeyRef).
#[derive(Debug, Default)]
pub struct SignerConfig {
    backends: Vec<(String, Backend)>,
}

impl SignerConfig {
    /// Without any back end.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the software back end under its own name.
    #[must_use]
    pub fn software(self, backend: SoftwareBackend) -> Self {
        let name = backend.name().to_owned();
        self.backend(name, Backend::from(Arc::new(backend)))
    }

    /// Adds any back end.
    #[must_use]
    pub fn backend(mut self, name: impl Into<String>, backend: Backend) -> Self {
        self.backends.push((name.into(), backend));
        self
    }
}

/// Everything that signs, for the signing path.
#[derive(Debug)]
pub struct Signers {
    /// By the name that stands in a key reference.
    pub backends: BTreeMap<String, Backend>,
    /// The only mint for these back ends. It goes to the path that commits intents and to nobody else.
    pub mint: PermitMint,
}

impl Signers {
    /// The back end of a key.
    #[must_use]
    pub fn backend(&self, name: &str) -> Option<&Backend> {
        self.backends.get(name)
    }
}

/// The back ends cannot be joined.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BuildError {
    /// Nothing could sign.
    #[error("no back end is configured for signing keys")]
    NoBackend,
    /// A key reference would be ambiguous.
    #[error("two back ends have the name {name:?}")]
    DuplicateName {
        /// The name.
        name: String,
    },
}

/// Joins the back ends. This is the only source of a [`PermitMint`]: called once, at start.
///
/// # Errors
/// [`BuildError`] if there is no back end or two have the same name.
pub fn build(config: SignerConfig) -> Result<Signers, BuildError> {
    let mut backends = BTreeMap::new();
    for (name, backend) in config.backends {
        if backends.contains_key(&name) {
            return Err(BuildError::DuplicateName { name });
        }
        backends.insert(name, backend);
    }
    if backends.is_empty() {
        return Err(BuildError::NoBackend);
    }
    Ok(Signers { backends, mint: PermitMint::new() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::Keyring;
    use crate::software::MemoryRows;

    async fn software(name: &str) -> SoftwareBackend {
        let (keyring, _text) = Keyring::generate().unwrap();
        SoftwareBackend::open(name, "tenant", Arc::new(keyring), Arc::new(MemoryRows::default()))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn back_ends_are_found_by_name() {
        let signers =
            build(SignerConfig::new().software(software("a").await).software(software("b").await)).unwrap();
        assert!(signers.backend("a").is_some());
        assert!(signers.backend("c").is_none());
        assert!(!signers.backend("b").unwrap().budget.is_limited());
    }

    #[tokio::test]
    async fn two_back_ends_of_one_name_are_refused() {
        let config = SignerConfig::new().software(software("a").await).software(software("a").await);
        assert_eq!(build(config).unwrap_err(), BuildError::DuplicateName { name: "a".into() });
    }

    #[test]
    fn nothing_to_sign_with_is_refused() {
        assert_eq!(build(SignerConfig::new()).unwrap_err(), BuildError::NoBackend);
    }
}
