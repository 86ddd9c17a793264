//! Long-form did:ion: the DID carries its own document, bound to its suffix by hashes.
//!
//! Owns the check of those hashes and the way to a key (Sidetree 1.0.0, "Long-Form DID URIs"). The commitments are
//! not checked: the two stock wallets compute them differently, and they bind later operations, not this key.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{DidError, jcs};
use crate::base64url;
use crate::key::PublicKey;

pub(super) fn resolve(specific: &str, fragment: Option<&str>) -> Result<PublicKey, DidError> {
    let (suffix, state) = specific.split_once(':').ok_or(DidError::ShortFormIon)?;
    let state = base64url::decode(state).ok_or(DidError::Malformed)?;
    let state: Value = serde_json::from_slice(&state).map_err(|_source| DidError::Malformed)?;
    let suffix_data = state.get("suffixData").ok_or(DidError::Malformed)?;
    let delta = state.get("delta").ok_or(DidError::Malformed)?;
    if multihash(suffix_data)? != suffix {
        return Err(DidError::IonSuffixMismatch);
    }
    let delta_hash = suffix_data.get("deltaHash").and_then(Value::as_str).ok_or(DidError::Malformed)?;
    if multihash(delta)? != delta_hash {
        return Err(DidError::IonDeltaMismatch);
    }
    let patches = delta.get("patches").and_then(Value::as_array).ok_or(DidError::Malformed)?;
    if patches.iter().any(|patch| patch.get("action").and_then(Value::as_str) != Some("replace")) {
        return Err(DidError::IonPatch);
    }
    // Each `replace` discards what was before it.
    let keys = patches
        .last()
        .and_then(|patch| patch.get("document")?.get("publicKeys")?.as_array())
        .ok_or(DidError::Malformed)?;
    super::holder::select(keys, fragment, |id, fragment| id == fragment)
}

/// base64url(0x12 0x20 ‖ SHA-256(JCS(value))): the hash that did:ion uses everywhere.
pub(super) fn multihash(value: &Value) -> Result<String, DidError> {
    let canonical = jcs::canonical(value).ok_or(DidError::Malformed)?;
    let mut hash = vec![0x12, 0x20];
    hash.extend(Sha256::digest(&canonical));
    Ok(base64url::encode(hash))
}
