//! Checks the DID document that is really served.
//!
//! Owns what a fetched document must contain for our signatures to verify, and the words for what is wrong with it. It
//! must not fetch, and must not refuse a document for what does not matter to verifiers: other services, other
//! contexts, other spacing. It reads relative and absolute ids and methods embedded in a relationship.

#[cfg(test)]
mod tests;

use domain::KeyId;
use domain::key::SigningKey;
use serde_json::{Map, Value};

use crate::document::{DocumentInput, Jwk, MAX_DOCUMENT_BYTES};

const BOM: &[u8] = b"\xef\xbb\xbf";
/// Enough of a stranger's id to find it; it goes into logs and answers.
const SHOWN_CHARS: usize = 128;

/// One thing that is wrong with a served document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// Not a JSON object.
    #[error("the document is not a JSON object")]
    NotJson,
    /// More than 64 KiB, which some verifiers do not read.
    #[error("the document has {bytes} bytes")]
    TooLarge {
        /// How many.
        bytes: usize,
    },
    /// It begins with a byte order mark, at which some verifiers fail.
    #[error("the document begins with a byte order mark")]
    Bom,
    /// The document is another DID's, so that no verifier accepts it.
    #[error("the document's id is not our DID")]
    WrongId,
    /// A key that has to be there is not.
    #[error("the key {id} is missing")]
    MissingKey {
        /// The key's fragment.
        id: KeyId,
    },
    /// A key that we do not know can sign in our name.
    #[error("the document has the foreign key {id:?}")]
    ForeignKey {
        /// Its id as it stands there, cut to 128 characters.
        id: String,
    },
    /// A key of ours stands there with another public key, curve or controller.
    #[error("the key {id} was altered")]
    AlteredKey {
        /// The key's fragment.
        id: KeyId,
    },
    /// A key is there and may not be used for what we use it for.
    #[error("the key {id} is not listed under {relationship}")]
    RelationshipMissing {
        /// The key's fragment.
        id: KeyId,
        /// `authentication` or `assertionMethod`.
        relationship: &'static str,
    },
    /// Everything is there, in another order. Cosmetic: verifiers go by id.
    #[error("the keys are in another order")]
    OrderOnly,
}

impl Finding {
    /// The stable word in statuses and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::TooLarge { .. } => "too_large",
            Self::Bom => "bom",
            Self::WrongId => "wrong_id",
            Self::MissingKey { .. } => "missing_key",
            Self::ForeignKey { .. } => "foreign_key",
            Self::AlteredKey { .. } => "altered_key",
            Self::RelationshipMissing { .. } => "relationship_missing",
            Self::OrderOnly => "order_only",
        }
    }

    /// Whether the authority counts as out of sync because of it.
    #[must_use]
    pub fn is_out_of_sync(&self) -> bool {
        !matches!(self, Self::OrderOnly)
    }
}

/// Compares a fetched document with what has to be published.
///
/// # Errors
/// Everything that is wrong with it, in the order in which it was found; [`Finding::OrderOnly`] alone or not at all.
pub fn verify_served(bytes: &[u8], expected: &DocumentInput<'_>) -> Result<(), Vec<Finding>> {
    let mut findings = Vec::new();
    if bytes.len() > MAX_DOCUMENT_BYTES {
        return Err(vec![Finding::TooLarge { bytes: bytes.len() }]);
    }
    let json = match bytes.strip_prefix(BOM) {
        Some(rest) => {
            findings.push(Finding::Bom);
            rest
        }
        None => bytes,
    };
    match serde_json::from_slice::<Map<String, Value>>(json) {
        Ok(document) => {
            Served { document: &document, did: expected.did.as_str() }
                .compare(&expected.listed(), &mut findings);
        }
        Err(_source) => findings.push(Finding::NotJson),
    }
    if findings.is_empty() { Ok(()) } else { Err(findings) }
}

/// A parsed document and the DID that it should be for.
struct Served<'a> {
    document: &'a Map<String, Value>,
    did: &'a str,
}

const RELATIONSHIPS: [&str; 2] = ["authentication", "assertionMethod"];

impl<'a> Served<'a> {
    fn compare(&self, expected: &[&SigningKey], findings: &mut Vec<Finding>) {
        if self.document.get("id").and_then(Value::as_str) != Some(self.did) {
            findings.push(Finding::WrongId);
        }
        let methods = self.methods();
        for key in expected {
            let mut same_id = methods.iter().filter(|(id, _)| *id == Some(key.id.as_str())).peekable();
            if same_id.peek().is_none() {
                findings.push(Finding::MissingKey { id: key.id.clone() });
                continue;
            }
            // All of them: of two entries with one id, a verifier may take either.
            if !same_id.all(|(_, method)| self.is_key(method, key)) {
                findings.push(Finding::AlteredKey { id: key.id.clone() });
            }
            for relationship in RELATIONSHIPS {
                if !self.is_in(relationship, &key.id) {
                    findings.push(Finding::RelationshipMissing { id: key.id.clone(), relationship });
                }
            }
        }
        for (id, method) in &methods {
            if !expected.iter().any(|key| Some(key.id.as_str()) == *id) {
                let shown = method.get("id").and_then(Value::as_str).unwrap_or_default();
                findings.push(Finding::ForeignKey { id: shown.chars().take(SHOWN_CHARS).collect() });
            }
        }
        if findings.is_empty()
            && !methods.iter().map(|(id, _)| *id).eq(expected.iter().map(|key| Some(key.id.as_str())))
        {
            // The methods of a document without findings are the expected ones, so only their order can differ, or
            // one stands there twice.
            findings.push(Finding::OrderOnly);
        }
    }

    /// All verification methods with their fragments, also those that are embedded in a relationship.
    fn methods(&self) -> Vec<(Option<&'a str>, &'a Value)> {
        let listed = self.entries("verificationMethod");
        let embedded = self
            .document
            .keys()
            .filter(|name| is_relationship(name))
            .flat_map(|name| self.entries(name).filter(|entry| !entry.is_string()));
        listed.chain(embedded).map(|method| (self.fragment(method.get("id")), method)).collect()
    }

    fn entries(&self, member: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.document.get(member).and_then(Value::as_array).into_iter().flatten()
    }

    /// The fragment of a relative or absolute id of this DID.
    fn fragment(&self, id: Option<&'a Value>) -> Option<&'a str> {
        let id = id?.as_str()?;
        id.strip_prefix(self.did).unwrap_or(id).strip_prefix('#')
    }

    fn is_key(&self, method: &Value, key: &SigningKey) -> bool {
        let jwk = method.get("publicKeyJwk");
        let member = |name: &str| jwk.and_then(|jwk| jwk.get(name)).and_then(Value::as_str);
        let expected = Jwk::of(key);
        member("crv") == Some(expected.crv)
            && member("kty") == Some(expected.kty)
            && member("x") == Some(&expected.x)
            && member("y") == Some(&expected.y)
            && method.get("controller").and_then(Value::as_str) == Some(self.did)
    }

    fn is_in(&self, relationship: &str, key: &KeyId) -> bool {
        self.entries(relationship).any(|entry| {
            let id = if entry.is_string() { Some(entry) } else { entry.get("id") };
            self.fragment(id) == Some(key.as_str())
        })
    }
}

/// DID Core, section 5.3: the members that may embed methods.
fn is_relationship(member: &str) -> bool {
    matches!(
        member,
        "authentication"
            | "assertionMethod"
            | "keyAgreement"
            | "capabilityInvocation"
            | "capabilityDelegation"
    )
}
