//! Compact JWS (RFC 7515): making the bytes to sign, attaching a signature, and taking foreign tokens apart.
//!
//! Owns the serialization only. It must not choose keys or judge claims, and never trusts a header:
//! [`Compact::verify`] checks under a key that the caller brings.

use domain::{Digest, SignatureAlgorithm};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha384};

use crate::base64url;
use crate::key::{PublicKey, SignatureError};

/// A text is not a JWS that may be read, or a payload cannot become one.
#[derive(Debug, thiserror::Error)]
pub enum JwsError {
    /// Longer than the caller allows.
    #[error("the token is too long")]
    TooLarge,
    /// Not exactly three parts.
    #[error("the token does not have exactly three parts")]
    NotCompact,
    /// A part is not base64url without padding.
    #[error("a part of the token is not unpadded base64url")]
    Encoding,
    /// The header is not a JSON object with a text `alg`.
    #[error("the token's header is not a JSON object with a text `alg`")]
    Header,
    /// The header asks for extensions (RFC 7515, section 4.1.11), of which none is known here.
    #[error("the token's header has a `crit` member")]
    Critical,
    /// The payload is not a JSON object.
    #[error("the token's payload is not a JSON object")]
    Payload,
    /// The payload cannot be written as JSON.
    #[error("the payload cannot be written as JSON")]
    Serialize(#[source] serde_json::Error),
}

/// The header members that this crate reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The signature algorithm as the sender claims it.
    pub alg: String,
    /// The key as the sender names it.
    pub kid: Option<String>,
    /// The media type.
    pub typ: Option<String>,
}

/// A token that waits for its signature: header and payload, encoded, joined by a dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    algorithm: SignatureAlgorithm,
    signing_input: String,
}

#[derive(Serialize)]
struct IssuerHeader<'a> {
    alg: &'a str,
    kid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    typ: Option<&'a str>,
}

#[derive(Deserialize)]
struct StoredHeader {
    alg: SignatureAlgorithm,
}

impl Unsigned {
    /// Encodes a token with the header `{"alg","kid","typ"}` in this order; `typ` is left out for `None`.
    ///
    /// # Errors
    /// [`JwsError::Serialize`] if the payload cannot be written as JSON, [`JwsError::Payload`] if it is no JSON object.
    pub fn new(
        alg: SignatureAlgorithm,
        kid: &str,
        typ: Option<&str>,
        payload: &impl Serialize,
    ) -> Result<Self, JwsError> {
        let header = IssuerHeader { alg: alg.jose_name(), kid, typ };
        let header = serde_json::to_vec(&header).map_err(JwsError::Serialize)?;
        let payload = serde_json::to_vec(payload).map_err(JwsError::Serialize)?;
        if payload.first() != Some(&b'{') {
            return Err(JwsError::Payload);
        }
        Ok(Self { algorithm: alg, signing_input: join(&header, &payload) })
    }

    /// Revives stored bytes, so that a retry signs the same bytes as the first attempt.
    ///
    /// # Errors
    /// [`JwsError::NotCompact`] unless the text has two parts, [`JwsError::Encoding`] unless both are base64url,
    /// [`JwsError::Header`] unless the header names an algorithm with which authorities sign.
    pub fn from_signing_input(signing_input: String) -> Result<Self, JwsError> {
        let (header, payload) = signing_input.split_once('.').ok_or(JwsError::NotCompact)?;
        if payload.contains('.') {
            return Err(JwsError::NotCompact);
        }
        let header = base64url::decode(header).filter(|bytes| !bytes.is_empty()).ok_or(JwsError::Encoding)?;
        base64url::decode(payload).ok_or(JwsError::Encoding)?;
        let StoredHeader { alg } = serde_json::from_slice(&header).map_err(|_source| JwsError::Header)?;
        Ok(Self { algorithm: alg, signing_input })
    }

    /// The text whose bytes are signed (RFC 7515, section 5.1).
    #[must_use]
    pub fn signing_input(&self) -> &str {
        &self.signing_input
    }

    /// With what it is to be signed.
    #[must_use]
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// The digest of the signing input by the algorithm's hash: what a vault is asked to sign.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let input = self.signing_input.as_bytes();
        match self.algorithm {
            SignatureAlgorithm::Es256 | SignatureAlgorithm::Es256k => {
                Digest::Sha256(Sha256::digest(input).into())
            }
            SignatureAlgorithm::Es384 => Digest::Sha384(Sha384::digest(input).into()),
        }
    }

    /// The finished token; `signature` is raw (r ‖ s for ECDSA).
    #[must_use]
    pub fn assemble(&self, signature: &[u8]) -> String {
        let mut token = String::with_capacity(self.signing_input.len().saturating_add(88));
        token.push_str(&self.signing_input);
        token.push('.');
        base64url::encode_into(signature, &mut token);
        token
    }
}

/// Joins header and payload into a signing input.
pub(crate) fn join(header: &[u8], payload: &[u8]) -> String {
    let bytes = header.len().saturating_add(payload.len());
    let mut text = String::with_capacity(bytes.saturating_mul(4).div_ceil(3).saturating_add(3));
    base64url::encode_into(header, &mut text);
    text.push('.');
    base64url::encode_into(payload, &mut text);
    text
}

/// A foreign token, taken apart and **not verified**.
#[derive(Debug, Clone)]
pub struct Compact<'a> {
    signing_input: &'a str,
    header: Header,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct ForeignHeader {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    #[serde(default, deserialize_with = "any_value")]
    crit: Option<IgnoredAny>,
}

/// `null` counts as present: RFC 7515 gives `crit: null` no meaning, so it is refused like any other.
fn any_value<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<IgnoredAny>, D::Error> {
    IgnoredAny::deserialize(deserializer).map(Some)
}

impl<'a> Compact<'a> {
    /// Takes a compact JWS apart; `limit` is in bytes.
    ///
    /// # Errors
    /// The [`JwsError`] that names the first rule which the text breaks.
    pub fn parse(text: &'a str, limit: usize) -> Result<Self, JwsError> {
        if text.len() > limit {
            return Err(JwsError::TooLarge);
        }
        let (signing_input, signature) = text.rsplit_once('.').ok_or(JwsError::NotCompact)?;
        let (header, payload) = signing_input.split_once('.').ok_or(JwsError::NotCompact)?;
        if payload.contains('.') {
            return Err(JwsError::NotCompact);
        }
        let header = base64url::decode(header).ok_or(JwsError::Encoding)?;
        let payload = base64url::decode(payload).ok_or(JwsError::Encoding)?;
        let signature = base64url::decode(signature).ok_or(JwsError::Encoding)?;
        if !starts_object(&header) {
            return Err(JwsError::Header);
        }
        let header: ForeignHeader = serde_json::from_slice(&header).map_err(|_source| JwsError::Header)?;
        if header.crit.is_some() {
            return Err(JwsError::Critical);
        }
        let readable = std::str::from_utf8(&payload).is_ok_and(|text| {
            starts_object(text.as_bytes()) && serde_json::from_str::<IgnoredAny>(text).is_ok()
        });
        if !readable {
            return Err(JwsError::Payload);
        }
        let header = Header { alg: header.alg, kid: header.kid, typ: header.typ };
        Ok(Self { signing_input, header, payload, signature })
    }

    /// The header's members.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The payload: the bytes of a JSON object.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The raw signature.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The text whose bytes were signed.
    #[must_use]
    pub fn signing_input(&self) -> &'a str {
        self.signing_input
    }

    /// Reads the payload as claims of type `T`.
    ///
    /// # Errors
    /// [`JwsError::Payload`] if a member that `T` knows is absent or of another type.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, JwsError> {
        serde_json::from_slice(&self.payload).map_err(|_source| JwsError::Payload)
    }

    /// Verifies the signature under the given key; the header's `alg` has to fit the key.
    ///
    /// # Errors
    /// The [`SignatureError`] of [`PublicKey::verify`].
    pub fn verify(&self, key: &PublicKey) -> Result<(), SignatureError> {
        key.verify(&self.header.alg, self.signing_input.as_bytes(), &self.signature)
    }
}

/// Whether JSON text can only be an object: serde would read an array into a struct.
fn starts_object(json: &[u8]) -> bool {
    json.trim_ascii_start().first() == Some(&b'{')
}

#[cfg(test)]
mod tests;
