//! Reads members of a JSON object and says of a wrong one what the service says of it.
//!
//! `null` counts as absent: clients send it for what they do not use. Unknown members are ignored.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::ApiError;

/// An object with its place in the body.
pub struct Fields<'a> {
    map: &'a Map<String, Value>,
    prefix: &'static str,
}

impl<'a> Fields<'a> {
    /// The body's own members.
    pub fn body(value: &'a Value) -> Result<Self, ApiError> {
        match value {
            Value::Object(map) => Ok(Self { map, prefix: "" }),
            _ => Err(ApiError::new(
                400,
                domain::error::InnerCode::BadOrMissingField,
                "The request body is not a JSON object.",
            )),
        }
    }

    /// Where a member is, as a dotted path.
    #[must_use]
    pub fn target(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    fn wrong(&self, name: &str, expected: &str) -> ApiError {
        let target = self.target(name);
        let message = format!("The request contains `{target}`, but it is not {expected}.");
        ApiError::field(target, message)
    }

    /// 400 about a member that has to be there.
    #[must_use]
    pub fn missing(&self, name: &str) -> ApiError {
        let target = self.target(name);
        let message = format!("The request does not contain `{target}`.");
        ApiError::field(target, message)
    }

    /// Text.
    pub fn text(&self, name: &str) -> Result<Option<String>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.wrong(name, "a string")),
        }
    }

    /// Text of a limited length that has to be there and not blank.
    pub fn required_text(&self, name: &str, limit: usize) -> Result<String, ApiError> {
        self.short_text(name, limit)?.filter(|text| !text.trim().is_empty()).ok_or_else(|| self.missing(name))
    }

    /// Text of a limited length, in characters.
    pub fn short_text(&self, name: &str, limit: usize) -> Result<Option<String>, ApiError> {
        let text = self.text(name)?;
        if text.as_ref().is_some_and(|text| text.chars().count() > limit) {
            return Err(self.wrong(name, &format!("at most {limit} characters long")));
        }
        Ok(text)
    }

    /// Yes or no.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.wrong(name, "boolean")),
        }
    }

    /// A whole number.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => value.as_i64().map(Some).ok_or_else(|| self.wrong(name, "an integer")),
        }
    }

    /// An object; `prefix` is its path with a dot.
    pub fn object(&self, name: &str, prefix: &'static str) -> Result<Option<Self>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Self { map, prefix })),
            Some(_) => Err(self.wrong(name, "an object")),
        }
    }

    /// An object whose members are texts.
    pub fn text_map(&self, name: &str) -> Result<BTreeMap<String, String>, ApiError> {
        let map = match self.get(name) {
            None => return Ok(BTreeMap::new()),
            Some(Value::Object(map)) => map,
            Some(_) => return Err(self.wrong(name, "an object")),
        };
        let mut out = BTreeMap::new();
        for (key, value) in map {
            match value {
                Value::String(text) => {
                    out.insert(key.clone(), text.clone());
                }
                Value::Null => {}
                _ => return Err(self.wrong(&format!("{name}.{key}"), "a string")),
            }
        }
        Ok(out)
    }
}
