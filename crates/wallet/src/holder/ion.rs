//! Long-form `did:ion` (Sidetree): written for the holder, and read back to check that it proves itself. Never anchored, so
//! its update and recovery keys are only there to make the commitments real.

use k256::ecdsa::SigningKey;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::jcs::canonical;
use crate::jws::{decode, encode};
use crate::key::{KeyError, PublicKey};
use crate::member::{Node, Problem, ShapeError};

/// Why a long-form DID does not prove itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IonError {
    /// Not `did:ion:<suffix>:<base64url of JSON>`.
    #[error("it is not a long-form did:ion")]
    Form,
    /// A member is missing or of the wrong type.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The suffix is not the hash of the suffix data.
    #[error("its suffix does not fit")]
    Suffix,
    /// `deltaHash` is not the hash of the delta.
    #[error("its deltaHash does not fit")]
    Delta,
    /// No key has this id.
    #[error("it has no such key")]
    NoSuchKey,
    /// The key is unusable.
    #[error("its key is unusable")]
    Key(#[from] KeyError),
}

/// The long-form DID of `public` and the id of its one key. The commitments' keys come from `secret`.
pub(super) fn long_form(public: &PublicKey, secret: &[u8; 32]) -> Option<(String, String)> {
    let thumbprint = public.thumbprint();
    let id = format!("vcSigningKey-{}", thumbprint.get(..8)?);
    let delta = json!({
        "patches": [{ "action": "replace", "document": { "publicKeys": [{
            "id": id,
            "type": "EcdsaSecp256k1VerificationKey2019",
            "publicKeyJwk": public.to_jwk(),
            "purposes": ["authentication"],
        }]}}],
        "updateCommitment": commitment(b"update", secret)?,
    });
    let suffix_data = json!({
        "deltaHash": multihash(canonical(&delta)?.as_bytes()),
        "recoveryCommitment": commitment(b"recovery", secret)?,
    });
    let suffix = multihash(canonical(&suffix_data)?.as_bytes());
    let state = canonical(&json!({"delta": delta, "suffixData": suffix_data}))?;
    Some((format!("did:ion:{suffix}:{}", encode(state.as_bytes())), id))
}

/// Reads the key `fragment` out of a long-form DID after checking that the DID's hashes fit (Sidetree, section "DID URI
/// Composition"). Commitments are not checked: the shipping wallets disagree on them.
///
/// # Errors
/// [`IonError`] names the first check that failed.
pub fn resolve(did: &str, fragment: &str) -> Result<PublicKey, IonError> {
    let (suffix, state) =
        did.strip_prefix("did:ion:").and_then(|rest| rest.split_once(':')).ok_or(IonError::Form)?;
    let bytes = decode(state).ok_or(IonError::Form)?;
    let state: Value = serde_json::from_slice(&bytes).map_err(|_source| IonError::Form)?;
    let top = Node::root("state", &state);
    let suffix_data = top.member("suffixData")?;
    let delta = top.member("delta")?;
    let hash = |value: &Value| canonical(value).map(|text| multihash(text.as_bytes()));
    if hash(suffix_data.value()).as_deref() != Some(suffix) {
        return Err(IonError::Suffix);
    }
    if hash(delta.value()).as_deref() != Some(suffix_data.member("deltaHash")?.string()?) {
        return Err(IonError::Delta);
    }
    for patch in delta.member("patches")?.array()? {
        let action = patch.member("action")?;
        if action.string()? != "replace" {
            return Err(action.fault(Problem::Not("replace")).into());
        }
        for key in patch.member("document")?.member("publicKeys")?.array()? {
            if key.member("id")?.string()? == fragment {
                return Ok(PublicKey::from_node(&key.member("publicKeyJwk")?)?);
            }
        }
    }
    Err(IonError::NoSuchKey)
}

/// SHA-256 as a multihash (code 0x12, length 0x20) in base64url.
fn multihash(bytes: &[u8]) -> String {
    let mut hash = vec![0x12, 0x20];
    hash.extend_from_slice(&Sha256::digest(bytes));
    encode(&hash)
}

/// The Sidetree commitment to a key: the multihash of the hash of its canonical JWK.
fn commitment(label: &[u8], secret: &[u8; 32]) -> Option<String> {
    let mut digest = Sha256::new();
    digest.update(label);
    digest.update(secret);
    let key = SigningKey::from_slice(&digest.finalize()).ok()?;
    let jwk = PublicKey::Secp256k1(Box::new(*key.verifying_key())).to_jwk();
    Some(multihash(&Sha256::digest(canonical(&jwk)?.as_bytes())))
}
