//! Owns the reading of JSON bodies: typed members, unknown ones ignored, every fault a `BadParameter` that names the member.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::failure::Failure;

const MOST_TAGS: usize = 15;
const LONGEST_TAG: usize = 256;

/// A JSON object of a request.
#[derive(Debug, Clone, Default)]
pub struct Members(Map<String, Value>);

fn wrong_type(name: &str, wanted: &str) -> Failure {
    Failure::bad_parameter(format!("Property {name} must be {wanted}."))
}

impl Members {
    /// Reads a body; an empty one is an object without members.
    pub fn parse(body: &[u8]) -> Result<Self, Failure> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            Ok(_) => Err(Failure::bad_parameter("The body must be a JSON object.")),
            Err(error) => Err(Failure::bad_parameter(format!("The body is not JSON: {error}."))),
        }
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub fn text(&self, name: &str) -> Result<Option<&str>, Failure> {
        self.get(name).map(|value| value.as_str().ok_or_else(|| wrong_type(name, "a string"))).transpose()
    }

    /// Text that must be there.
    pub fn needed(&self, name: &str) -> Result<&str, Failure> {
        let text = self.text(name)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| Failure::bad_parameter(format!("Property {name} is required.")))
    }

    pub fn flag(&self, name: &str) -> Result<Option<bool>, Failure> {
        self.get(name)
            .map(|value| value.as_bool().ok_or_else(|| wrong_type(name, "true or false")))
            .transpose()
    }

    /// Unix seconds.
    pub fn seconds(&self, name: &str) -> Result<Option<i64>, Failure> {
        let in_range =
            |value: &Value| value.as_i64().filter(|seconds| (0..=253_402_300_799).contains(seconds));
        self.get(name)
            .map(|value| in_range(value).ok_or_else(|| wrong_type(name, "Unix seconds")))
            .transpose()
    }

    pub fn object(&self, name: &str) -> Result<Option<Self>, Failure> {
        self.get(name)
            .map(|value| match value {
                Value::Object(members) => Ok(Self(members.clone())),
                _ => Err(wrong_type(name, "an object")),
            })
            .transpose()
    }

    pub fn objects(&self, name: &str) -> Result<Vec<Self>, Failure> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let items = value.as_array().ok_or_else(|| wrong_type(name, "an array"))?;
        items
            .iter()
            .map(|item| match item {
                Value::Object(members) => Ok(Self(members.clone())),
                _ => Err(wrong_type(name, "an array of objects")),
            })
            .collect()
    }

    pub fn texts(&self, name: &str) -> Result<Option<Vec<&str>>, Failure> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let items = value.as_array().ok_or_else(|| wrong_type(name, "an array"))?;
        let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
        texts.map(Some).ok_or_else(|| wrong_type(name, "an array of strings"))
    }

    /// Bytes in base64url without padding; an absent member is a failure, too.
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>, Failure> {
        let required = format!("Property {name} is required.");
        let Some(text) = self.text(name)?.filter(|text| !text.is_empty()) else {
            return Err(Failure::bad_parameter(required));
        };
        URL_SAFE_NO_PAD.decode(text).map_err(|_source| {
            Failure::bad_parameter(format!("Property {name} is not base64url.\r\n{required}"))
        })
    }

    pub fn tags(&self) -> Result<Option<BTreeMap<String, String>>, Failure> {
        let Some(value) = self.get("tags") else { return Ok(None) };
        let pairs = value.as_object().ok_or_else(|| wrong_type("tags", "an object"))?;
        let fits = |text: &str| text.chars().count() <= LONGEST_TAG;
        let tags: Option<BTreeMap<String, String>> = pairs
            .iter()
            .map(|(name, value)| {
                let value = value.as_str().filter(|value| fits(value) && fits(name))?;
                Some((name.clone(), value.to_owned()))
            })
            .collect();
        match tags {
            Some(tags) if tags.len() <= MOST_TAGS => Ok(Some(tags)),
            _ => Err(wrong_type("tags", "at most 15 pairs of at most 256 characters each")),
        }
    }
}

/// Both values, or what is wrong with either: each fault has its line.
pub fn both<A, B>(first: Result<A, Failure>, second: Result<B, Failure>) -> Result<(A, B), Failure> {
    match (first, second) {
        (Ok(first), Ok(second)) => Ok((first, second)),
        (Err(first), Err(second)) => {
            Err(Failure::bad_parameter(format!("{}\r\n{}", first.message, second.message)))
        }
        (Err(failure), Ok(_)) | (Ok(_), Err(failure)) => Err(failure),
    }
}

/// Base64url without padding.
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Bytes of base64url without padding.
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
