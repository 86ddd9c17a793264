//! The claims of a wallet's response as JSON.
//!
//! Owns what is tolerated in their form: members that are absent or `null`, times with fractions, unknown members.
//! It must not judge values.

use std::collections::BTreeMap;

use domain::Timestamp;
use domain::contract::SELF_ISSUED;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};

use super::ProofError;

/// Longest texts that are kept, in bytes. Real ones are far shorter; these end up in the database.
const CONTRACT_LIMIT_BYTES: usize = 2048;
const PIN_LIMIT_BYTES: usize = 256;
const KIND_LIMIT_BYTES: usize = 64;

#[derive(Debug, Deserialize)]
struct Wire {
    iss: Option<String>,
    aud: Option<String>,
    sub: Option<String>,
    sub_jwk: Option<Value>,
    did: Option<String>,
    contract: Option<String>,
    jti: Option<String>,
    #[serde(default, deserialize_with = "numeric_date")]
    iat: Option<Timestamp>,
    #[serde(default, deserialize_with = "numeric_date")]
    exp: Option<Timestamp>,
    #[serde(default, deserialize_with = "numeric_date")]
    nbf: Option<Timestamp>,
    pin: Option<String>,
    attestations: Option<Map<String, Value>>,
}

#[derive(Debug)]
pub(super) struct Claims {
    pub(super) iss: Option<String>,
    pub(super) aud: Option<String>,
    pub(super) sub: Option<String>,
    pub(super) sub_jwk: Option<Value>,
    pub(super) did: Option<String>,
    pub(super) contract: Option<String>,
    pub(super) jti: Option<String>,
    pub(super) iat: Option<Timestamp>,
    pub(super) exp: Option<Timestamp>,
    pub(super) nbf: Option<Timestamp>,
    pub(super) pin: Option<String>,
    pub(super) attestations: Attestations,
}

#[derive(Debug, Default)]
pub(super) struct Attestations {
    pub(super) hint: Option<String>,
    pub(super) self_issued: BTreeMap<String, String>,
    pub(super) others: Vec<String>,
    /// How many id tokens there are, the hint included.
    pub(super) id_tokens: usize,
    pub(super) presentations: usize,
}

impl Claims {
    pub(super) fn read(payload: &[u8]) -> Result<Self, ProofError> {
        let wire: Wire = serde_json::from_slice(payload).map_err(|_source| ProofError::Malformed)?;
        let too_long =
            |text: &Option<String>, limit| text.as_ref().is_some_and(|text: &String| text.len() > limit);
        if too_long(&wire.contract, CONTRACT_LIMIT_BYTES) || too_long(&wire.pin, PIN_LIMIT_BYTES) {
            return Err(ProofError::Malformed);
        }
        Ok(Self {
            iss: wire.iss,
            aud: wire.aud,
            sub: wire.sub,
            sub_jwk: wire.sub_jwk,
            did: wire.did,
            contract: wire.contract,
            jti: wire.jti,
            iat: wire.iat,
            exp: wire.exp,
            nbf: wire.nbf,
            pin: wire.pin,
            attestations: Attestations::read(wire.attestations.unwrap_or_default())?,
        })
    }
}

impl Attestations {
    fn read(kinds: Map<String, Value>) -> Result<Self, ProofError> {
        let mut found = Self::default();
        for (kind, value) in kinds {
            if value.is_null() {
                continue;
            }
            match kind.as_str() {
                "idTokens" => found.read_id_tokens(value)?,
                "selfIssued" => found.self_issued = texts(value)?,
                "presentations" => {
                    found.presentations = texts(value)?.len();
                    if found.presentations > 0 {
                        found.others.push(kind);
                    }
                }
                "accessTokens" => {
                    if !texts(value)?.is_empty() {
                        found.others.push(kind);
                    }
                }
                // The caller decides what an unknown kind means; its name is kept, so it has to be short.
                _ if kind.len() <= KIND_LIMIT_BYTES => found.others.push(kind),
                _ => return Err(ProofError::Malformed),
            }
        }
        Ok(found)
    }

    fn read_id_tokens(&mut self, value: Value) -> Result<(), ProofError> {
        let mut tokens = texts(value)?;
        self.id_tokens = tokens.len();
        self.hint = tokens.remove(SELF_ISSUED);
        if !tokens.is_empty() {
            self.others.push("idTokens".to_owned());
        }
        Ok(())
    }
}

/// A map of texts; entries that are `null` count as absent.
fn texts(value: Value) -> Result<BTreeMap<String, String>, ProofError> {
    let Value::Object(entries) = value else { return Err(ProofError::Malformed) };
    let mut texts = BTreeMap::new();
    for (name, value) in entries {
        match value {
            Value::String(text) => {
                texts.insert(name, text);
            }
            Value::Null => {}
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                return Err(ProofError::Malformed);
            }
        }
    }
    Ok(texts)
}

/// Seconds since 1970, possibly with a fraction (RFC 7519, section 2), which is cut off.
fn numeric_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(number) = Option::<Number>::deserialize(deserializer)? else { return Ok(None) };
    let seconds = number.as_i64().or_else(|| {
        // Beyond the exact integers of a double no date is meant.
        let float = number.as_f64().filter(|float| float.abs() < 9e15)?;
        format!("{:.0}", float.floor()).parse().ok()
    });
    match seconds {
        Some(seconds) => Ok(Some(Timestamp::from_seconds(seconds))),
        None => Err(serde::de::Error::custom("not a date")),
    }
}
