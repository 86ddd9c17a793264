//! The issuer's DID document, read as strictly as the strictest shipping wallet (wallet protocol, section 7.2). Must not
//! fetch anything.

use serde_json::Value;

use crate::jws::CompactJws;
use crate::key::{KeyError, PublicKey, SignatureError};
use crate::member::{Node, Problem, ShapeError};

/// A DID document that every wallet can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DidDocument {
    /// The DID it describes.
    pub did: String,
    /// The published keys.
    pub keys: Vec<PublishedKey>,
    /// The first origin of the first LinkedDomains service, verbatim.
    pub linked_origin: Option<String>,
}

/// One verification method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedKey {
    /// The fragment of its id, without `#`.
    pub fragment: String,
    /// The key.
    pub key: PublicKey,
}

/// Why a DID document cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not JSON.
    #[error("it is not JSON")]
    Json,
    /// A member is missing or of the wrong type.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// `id` is not the DID that was resolved.
    #[error("its id is not the DID that was resolved")]
    OtherDid,
    /// `@base` in `@context` names another DID, which would move every relative id.
    #[error("its @base is not the DID")]
    Base,
    /// An absolute or malformed id, which the iOS library answers with "invalid signature".
    #[error("the id of verification method {0} is not # and a fragment")]
    MethodId(usize),
    /// Two methods with one fragment: wallets only try the first.
    #[error("the id of verification method {0} occurs twice")]
    RepeatedMethod(usize),
    /// A key no wallet can read, which makes the whole document unreadable.
    #[error("the key of verification method {index} is unusable")]
    Key {
        /// Position in `verificationMethod`.
        index: usize,
        /// What is wrong with it.
        #[source]
        source: KeyError,
    },
    /// `authentication` or `assertionMethod` names a method that is not there.
    #[error("`{0}` names a method that the document does not have")]
    Reference(&'static str),
}

impl DidDocument {
    /// Reads the document of `did`.
    ///
    /// # Errors
    /// [`DocumentError`] for everything that the Android or the iOS library cannot read.
    pub fn parse(bytes: &[u8], did: &str) -> Result<Self, DocumentError> {
        let value: Value = serde_json::from_slice(bytes).map_err(|_source| DocumentError::Json)?;
        let top = Node::root("document", &value);
        top.without_nulls()?;
        if top.member("id")?.string()? != did {
            return Err(DocumentError::OtherDid);
        }
        check_base(&top, did)?;
        let keys = keys(&top)?;
        check_references(&top, did, &keys, "authentication")?;
        check_references(&top, did, &keys, "assertionMethod")?;
        Ok(Self { did: did.to_owned(), keys, linked_origin: linked_origin(&top)? })
    }

    /// Checks the signature of `jws` with the key its `kid` names.
    ///
    /// # Errors
    /// [`SignatureError`]; another DID than the document's is one of them.
    pub fn verify(&self, jws: &CompactJws) -> Result<(), SignatureError> {
        if jws.kid.did != self.did {
            return Err(SignatureError::OtherDid);
        }
        let published =
            self.keys.iter().find(|one| one.fragment == jws.kid.fragment).ok_or(SignatureError::NoSuchKey)?;
        published.key.verify(jws.algorithm, jws.signing_input.as_bytes(), &jws.signature)
    }
}

fn check_base(top: &Node<'_>, did: &str) -> Result<(), DocumentError> {
    let Some(context) = top.optional("@context")? else { return Ok(()) };
    let entries = if context.value().is_array() { context.array()? } else { vec![context] };
    for entry in entries.iter().filter(|entry| entry.value().is_object()) {
        if entry.optional_string("@base")?.is_some_and(|base| base != did) {
            return Err(DocumentError::Base);
        }
    }
    Ok(())
}

fn keys(top: &Node<'_>) -> Result<Vec<PublishedKey>, DocumentError> {
    let methods = top.member("verificationMethod")?;
    let mut keys: Vec<PublishedKey> = Vec::new();
    for (index, method) in methods.array()?.iter().enumerate() {
        method.member("type")?.text()?;
        method.optional_string("controller")?;
        let id = method.member("id")?.string()?;
        let fragment = id
            .strip_prefix('#')
            .filter(|fragment| !fragment.is_empty() && !fragment.contains('#'))
            .ok_or(DocumentError::MethodId(index))?;
        if keys.iter().any(|one| one.fragment == fragment) {
            return Err(DocumentError::RepeatedMethod(index));
        }
        let jwk = method.member("publicKeyJwk")?;
        jwk.object()?;
        let key = PublicKey::from_node(&jwk).map_err(|source| DocumentError::Key { index, source })?;
        keys.push(PublishedKey { fragment: fragment.to_owned(), key });
    }
    if keys.is_empty() { Err(methods.fault(Problem::Empty).into()) } else { Ok(keys) }
}

/// Both members have to be arrays of strings; an embedded method breaks the iOS decoder.
fn check_references(
    top: &Node<'_>,
    did: &str,
    keys: &[PublishedKey],
    name: &'static str,
) -> Result<(), DocumentError> {
    for reference in top.member(name)?.strings()? {
        let relative = reference.strip_prefix(did).unwrap_or(reference);
        let known = relative
            .strip_prefix('#')
            .is_some_and(|fragment| keys.iter().any(|one| one.fragment == fragment));
        if !known {
            return Err(DocumentError::Reference(name));
        }
    }
    Ok(())
}

fn linked_origin(top: &Node<'_>) -> Result<Option<String>, DocumentError> {
    let Some(services) = top.optional("service")? else { return Ok(None) };
    let mut found = None;
    for service in services.array()? {
        service.member("id")?.text()?;
        let kind = service.member("type")?.text()?;
        let endpoint = service.member("serviceEndpoint")?;
        endpoint.object()?;
        if kind == "LinkedDomains" {
            let origins = endpoint.member("origins")?;
            let list = origins.strings()?;
            let first = list.first().ok_or_else(|| origins.fault(Problem::Empty))?;
            if found.is_none() {
                found = Some((*first).to_owned());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const DID: &str = "did:web:localhost%3A8443";

    fn good() -> Value {
        json!({
            "@context": ["https://www.w3.org/ns/did/v1", {"@base": DID}],
            "id": DID,
            "verificationMethod": [{
                "id": "#key-1", "type": "JsonWebKey2020", "controller": DID,
                "publicKeyJwk": {"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
            }],
            "authentication": ["#key-1"],
            "assertionMethod": ["#key-1"],
            "service": [{"id": "#linkeddomains", "type": "LinkedDomains",
                "serviceEndpoint": {"origins": ["https://localhost:8443/"]}}]
        })
    }

    fn parse(value: &Value) -> Result<DidDocument, DocumentError> {
        DidDocument::parse(value.to_string().as_bytes(), DID)
    }

    fn set(pointer: &str, new: Value) -> DocumentError {
        let mut value = good();
        *value.pointer_mut(pointer).unwrap() = new;
        parse(&value).unwrap_err()
    }

    fn without(pointer: &str, name: &str) -> DocumentError {
        let mut value = good();
        value.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(name).unwrap();
        parse(&value).unwrap_err()
    }

    #[test]
    fn reads_a_good_document() {
        let document = parse(&good()).unwrap();
        assert_eq!(document.keys[0].fragment, "key-1");
        assert_eq!(document.linked_origin.as_deref(), Some("https://localhost:8443/"));
        let mut plain = good();
        plain.as_object_mut().unwrap().remove("service");
        plain.as_object_mut().unwrap().remove("@context");
        assert_eq!(parse(&plain).unwrap().linked_origin, None);
    }

    #[test]
    fn refuses_wrong_ids() {
        assert_eq!(set("/id", json!("did:web:other")), DocumentError::OtherDid);
        assert_eq!(set("/@context/1/@base", json!("did:web:other")), DocumentError::Base);
        for id in [format!("{DID}#key-1"), "key-1".into(), "#".into(), "#a#b".into()] {
            assert_eq!(set("/verificationMethod/0/id", json!(id)), DocumentError::MethodId(0), "{id}");
        }
        let mut twice = good();
        let method = twice["verificationMethod"][0].clone();
        twice["verificationMethod"].as_array_mut().unwrap().push(method);
        assert_eq!(parse(&twice).unwrap_err(), DocumentError::RepeatedMethod(1));
    }

    #[test]
    fn refuses_unreadable_keys() {
        assert!(matches!(without("/verificationMethod/0", "publicKeyJwk"), DocumentError::Shape(_)));
        assert!(matches!(without("/verificationMethod/0", "type"), DocumentError::Shape(_)));
        for (name, value) in
            [("kty", json!("XX")), ("crv", json!("P-521")), ("x", json!("AA")), ("d", json!("AA"))]
        {
            let mut document = good();
            document["verificationMethod"][0]["publicKeyJwk"][name] = value;
            assert!(matches!(parse(&document).unwrap_err(), DocumentError::Key { index: 0, .. }), "{name}");
        }
        assert!(matches!(set("/verificationMethod", json!([])), DocumentError::Shape(_)));
    }

    #[test]
    fn refuses_embedded_or_missing_relationships() {
        for name in ["authentication", "assertionMethod"] {
            let pointer = format!("/{name}");
            assert!(matches!(without("", name), DocumentError::Shape(_)));
            assert!(matches!(set(&pointer, json!([{"id": "#key-1"}])), DocumentError::Shape(_)));
            assert!(matches!(set(&pointer, json!("#key-1")), DocumentError::Shape(_)));
            assert!(matches!(set(&pointer, json!(["#other"])), DocumentError::Reference(_)));
        }
        let mut absolute = good();
        absolute["authentication"] = json!([format!("{DID}#key-1")]);
        absolute["assertionMethod"] = json!([]);
        assert!(parse(&absolute).is_ok());
    }

    #[test]
    fn refuses_services_that_break_a_wallet() {
        for endpoint in [
            json!("https://a/"),
            json!([{"origins": []}]),
            json!({"origins": "https://a/"}),
            json!({"origins": []}),
            json!({"origins": [1]}),
            json!({}),
        ] {
            assert!(
                matches!(set("/service/0/serviceEndpoint", endpoint.clone()), DocumentError::Shape(_)),
                "{endpoint}"
            );
        }
        for name in ["id", "type", "serviceEndpoint"] {
            assert!(matches!(without("/service/0", name), DocumentError::Shape(_)), "{name}");
        }
        assert!(matches!(set("/service", Value::Null), DocumentError::Shape(_)));
        assert_eq!(DidDocument::parse(b"<html>", DID).unwrap_err(), DocumentError::Json);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>()) {
            prop_assert!(DidDocument::parse(&bytes, DID).is_err());
        }

        #[test]
        fn a_changed_byte_never_panics(at in 0usize..600, byte in any::<u8>()) {
            let mut bytes = good().to_string().into_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(document) = DidDocument::parse(&bytes, DID) {
                prop_assert_eq!(document.did, DID);
            }
        }
    }
}
