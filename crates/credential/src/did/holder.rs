//! From a holder's DID to the key that its fragment names.
//!
//! Owns which methods holders may use and how their keys are found. The key is not yet proven: that the holder has its
//! private half is for [`crate::proof`].

use serde_json::Value;

use super::{DidError, DidUrl, FRAGMENT_LIMIT_BYTES, ion, web};
use crate::base64url;
use crate::key::{KeyError, KeyKind, PublicKey};

/// Longest did:key body that is decoded, in characters; base58 costs the square of its length. The longest body of an
/// understood kind has 50.
const MULTIBASE_LIMIT: usize = 128;

/// Where a holder's key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// The DID carries its key.
    Key(PublicKey),
    /// The key stands in the document at this `https` address; go on with [`key_from_document`].
    Document(String),
}

/// Resolves a DID without network: did:ion (long form), did:jwk, did:key to a key, did:web to an address.
///
/// did:jwk takes any fragment, because wallets use their own key names. did:key takes its own body as fragment.
/// did:ion without fragment is accepted if it has exactly one usable key.
///
/// # Errors
/// The [`DidError`] that says why the DID does not lead to a key.
pub fn resolve(did: &str, fragment: Option<&str>) -> Result<Resolution, DidError> {
    if did.starts_with("did:web:") {
        return web::document_url(did).map(Resolution::Document);
    }
    let url = DidUrl::parse(did)?;
    if url.fragment().is_some() {
        return Err(DidError::Malformed);
    }
    if fragment.is_some_and(|text| text.len() > FRAGMENT_LIMIT_BYTES) {
        return Err(DidError::TooLong);
    }
    let specific = url.method_specific_id();
    match url.method() {
        "ion" => ion::resolve(specific, fragment),
        "jwk" => key_of_did_jwk(specific),
        "key" => key_of_did_key(specific, fragment),
        _ => Err(DidError::UnsupportedMethod),
    }
    .map(Resolution::Key)
}

/// Finds a key in a DID document. Method ids may be relative (`#f`) or absolute (`did#f`); only the first method with
/// the fragment counts, as in wallets. Without fragment the document has to have exactly one usable key.
///
/// # Errors
/// [`DidError::DocumentMismatch`] if the document's `id` is not the DID, [`DidError::Document`] if it has no list of
/// methods, and the errors of finding a key.
pub fn key_from_document(document: &Value, did: &str, fragment: Option<&str>) -> Result<PublicKey, DidError> {
    if document.get("id").and_then(Value::as_str) != Some(did) {
        return Err(DidError::DocumentMismatch);
    }
    let methods = document.get("verificationMethod").and_then(Value::as_array).ok_or(DidError::Document)?;
    select(methods, fragment, |id, fragment| {
        id.strip_prefix(did).unwrap_or(id).strip_prefix('#') == Some(fragment)
    })
}

/// The key of the first method whose id fits the fragment; without fragment the only usable one.
pub(super) fn select(
    methods: &[Value],
    fragment: Option<&str>,
    fits: impl Fn(&str, &str) -> bool,
) -> Result<PublicKey, DidError> {
    if let Some(fragment) = fragment {
        let method = methods
            .iter()
            .find(|method| method.get("id").and_then(Value::as_str).is_some_and(|id| fits(id, fragment)))
            .ok_or(DidError::KeyNotFound)?;
        return key_of_method(method).map_err(DidError::Key);
    }
    let mut usable = methods.iter().filter_map(|method| key_of_method(method).ok());
    let key = usable.next().ok_or(DidError::KeyNotFound)?;
    if usable.next().is_some() {
        return Err(DidError::KeyAmbiguous);
    }
    Ok(key)
}

fn key_of_method(method: &Value) -> Result<PublicKey, KeyError> {
    if let Some(jwk) = method.get("publicKeyJwk") {
        return PublicKey::from_jwk(jwk);
    }
    let multibase = method.get("publicKeyMultibase").and_then(Value::as_str).ok_or(KeyError::Unsupported)?;
    key_of_multibase(multibase)
}

fn key_of_did_jwk(specific: &str) -> Result<PublicKey, DidError> {
    let jwk = base64url::decode(specific).ok_or(DidError::Malformed)?;
    let jwk: Value = serde_json::from_slice(&jwk).map_err(|_source| DidError::Malformed)?;
    PublicKey::from_jwk(&jwk).map_err(DidError::Key)
}

fn key_of_did_key(specific: &str, fragment: Option<&str>) -> Result<PublicKey, DidError> {
    if fragment.is_some_and(|fragment| fragment != specific) {
        return Err(DidError::KeyNotFound);
    }
    key_of_multibase(specific).map_err(DidError::Key)
}

/// Multibase base58btc (`z`) of a multicodec key: P-256 is 0x1200, secp256k1 0xe7, Ed25519 0xed, as unsigned varints.
fn key_of_multibase(text: &str) -> Result<PublicKey, KeyError> {
    if text.len() > MULTIBASE_LIMIT {
        return Err(KeyError::Unsupported);
    }
    let body = text.strip_prefix('z').ok_or(KeyError::Unsupported)?;
    let bytes = bs58::decode(body).into_vec().map_err(|_source| KeyError::Malformed)?;
    let (codec, key) = bytes.split_at_checked(2).ok_or(KeyError::Malformed)?;
    let kind = match codec {
        [0x80, 0x24] => KeyKind::P256,
        [0xe7, 0x01] => KeyKind::Secp256k1,
        [0xed, 0x01] => KeyKind::Ed25519,
        _ => return Err(KeyError::Unsupported),
    };
    PublicKey::from_compressed(kind, key)
}
