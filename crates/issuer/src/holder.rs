//! Holders' public keys: offline where the DID method allows it, otherwise through an injected reader of documents.
//!
//! `did:jwk`, `did:key` and long-form `did:ion` carry their key; `did:web` names a document that has to be fetched.
//! Must not check a proof: that is the `credential` crate's.

use async_trait::async_trait;
use credential::did::DidError;
use credential::did::holder::{self, Resolution};
use credential::key::PublicKey;
use serde_json::Value;
use url::Url;

/// Reads DID documents that stand on the web.
#[async_trait]
pub trait DocumentReader: Send + Sync {
    /// The document at an address; the error is a sentence for the wallet.
    async fn read(&self, address: &Url) -> Result<Value, String>;
}

#[async_trait]
impl DocumentReader for egress::Client {
    async fn read(&self, address: &Url) -> Result<Value, String> {
        self.get_json(address).await.map(|fetched| fetched.value).map_err(|error| error.to_string())
    }
}

/// A holder's key cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum HolderError {
    /// The DID is none, or has no such key.
    #[error(transparent)]
    Did(#[from] DidError),
    /// Its document cannot be read; why is for the log: to the wallet it would tell which hosts and ports we reach.
    #[error("the holder's DID document cannot be read")]
    Document(String),
}

impl HolderError {
    /// A stable label for the ledger.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Did(error) => error.reason(),
            Self::Document(_) => "holder_unreachable",
        }
    }
}

/// The key that a proof's `kid` names.
pub async fn key(
    documents: &dyn DocumentReader,
    did: &str,
    fragment: Option<&str>,
) -> Result<PublicKey, HolderError> {
    match holder::resolve(did, fragment)? {
        Resolution::Key(key) => Ok(key),
        Resolution::Document(address) => {
            let address = Url::parse(&address).map_err(|error| HolderError::Document(error.to_string()))?;
            let document = documents.read(&address).await.map_err(|why| {
                tracing::info!(host = address.host_str(), why, "a holder's DID document cannot be read");
                HolderError::Document(why)
            })?;
            Ok(holder::key_from_document(&document, did, fragment)?)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const X: &str = "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY";
    const Y: &str = "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU";

    struct Web(Result<Value, String>);

    #[async_trait]
    impl DocumentReader for Web {
        async fn read(&self, address: &Url) -> Result<Value, String> {
            assert_eq!(address.as_str(), "https://holder.example/.well-known/did.json");
            self.0.clone()
        }
    }

    fn document(id: &str) -> Value {
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": X, "y": Y });
        json!({
            "id": id,
            "verificationMethod": [{ "id": "#k", "type": "JsonWebKey2020", "controller": id, "publicKeyJwk": jwk }],
            "authentication": ["#k"],
        })
    }

    #[tokio::test]
    async fn a_web_holder_is_read_from_its_document() {
        let web = Web(Ok(document("did:web:holder.example")));
        let found = key(&web, "did:web:holder.example", Some("k")).await.unwrap();
        assert_eq!(found.to_jwk()["x"], X);
        let error = key(&web, "did:web:holder.example", Some("other")).await.unwrap_err();
        assert!(matches!(error, HolderError::Did(_)), "{error}");
    }

    #[tokio::test]
    async fn a_document_of_somebody_else_is_refused() {
        let web = Web(Ok(document("did:web:other.example")));
        assert!(key(&web, "did:web:holder.example", Some("k")).await.is_err());
    }

    #[tokio::test]
    async fn an_unreadable_document_is_said_to_be_so() {
        let web = Web(Err("no answer in time".to_owned()));
        let error = key(&web, "did:web:holder.example", Some("k")).await.unwrap_err();
        assert_eq!(error.reason(), "holder_unreachable");
        assert!(!error.to_string().contains("no answer in time"), "that would tell which hosts we reach");
    }
}
