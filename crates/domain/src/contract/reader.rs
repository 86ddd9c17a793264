//! Reading members of JSON objects with findings instead of early returns: a file gets all its errors at once.
//!
//! Owns the messages for what is missing, of the wrong type, blank or unknown. It must not know any rule of contracts.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use url::Url;

use super::report::{Path, Report, nearest, quoted};

/// An object whose members are all known. `None` from any method means: absent, or an error was reported.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    members: &'a Map<String, Value>,
    at: &'a Path<'a>,
}

impl<'a> Reader<'a> {
    /// Opens an object; reports what is not an object, and every unknown member with the members that are known.
    pub(super) fn open(
        value: &'a Value,
        at: &'a Path<'a>,
        known: &[&str],
        report: &mut Report,
    ) -> Option<Self> {
        let Value::Object(members) = value else {
            report
                .error(at, format!("is {}; expected an object with {}", type_name(value), known.join(", ")));
            return None;
        };
        for name in members.keys().filter(|name| !known.contains(&name.as_str())) {
            report.error(&at.member(name), unknown_member(name, known));
        }
        Some(Self { members, at })
    }

    /// A member that is there and not `null`: Entra's answers write absent members as `null`.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn required(
        &self,
        name: &'static str,
        expected: &str,
        report: &mut Report,
    ) -> Option<&'a Value> {
        let value = self.get(name);
        if value.is_none() {
            report.error(&self.at.member(name), format!("is missing; expected {expected}"));
        }
        value
    }

    /// A required text that is not blank.
    pub(super) fn text(&self, name: &'static str, expected: &str, report: &mut Report) -> Option<&'a str> {
        let value = self.required(name, expected, report)?;
        text_of(value, &self.at.member(name), expected, report)
    }

    /// A text that may be absent but not blank.
    pub(super) fn optional_text(
        &self,
        name: &'static str,
        expected: &str,
        report: &mut Report,
    ) -> Option<&'a str> {
        text_of(self.get(name)?, &self.at.member(name), expected, report)
    }

    /// A yes or no; no when absent.
    pub(super) fn flag(&self, name: &'static str, report: &mut Report) -> bool {
        match self.get(name) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                let message = format!("is {}; expected true or false, without quotes", type_name(other));
                report.error(&self.at.member(name), message);
                false
            }
        }
    }

    /// An array; empty when absent.
    pub(super) fn optional_list(
        &self,
        name: &'static str,
        expected: &str,
        report: &mut Report,
    ) -> &'a [Value] {
        match self.get(name) {
            None => &[],
            Some(Value::Array(items)) => items,
            Some(other) => {
                let message = format!("is {}; expected {expected}", type_name(other));
                report.error(&self.at.member(name), message);
                &[]
            }
        }
    }

    /// A required array with at least one entry.
    pub(super) fn list(
        &self,
        name: &'static str,
        expected: &str,
        report: &mut Report,
    ) -> Option<&'a [Value]> {
        match self.required(name, expected, report)? {
            Value::Array(items) if items.is_empty() => {
                report.error(&self.at.member(name), format!("is empty; expected {expected}"));
                None
            }
            Value::Array(items) => Some(items),
            other => {
                let message = format!("is {}; expected {expected}", type_name(other));
                report.error(&self.at.member(name), message);
                None
            }
        }
    }
}

/// A text that is not blank and has no control characters besides line breaks and tabs.
pub(super) fn text_of<'v>(
    value: &'v Value,
    at: &Path<'_>,
    expected: &str,
    report: &mut Report,
) -> Option<&'v str> {
    let Value::String(text) = value else {
        report.error(at, format!("is {}; expected {expected}", type_name(value)));
        return None;
    };
    if text.trim().is_empty() {
        report.error(at, format!("is blank; expected {expected}"));
        return None;
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        report.error(at, format!("is {}, which has control characters; expected {expected}", quoted(text)));
        return None;
    }
    Some(text)
}

/// Reports unless the text is an absolute https address without user name and password.
pub(super) fn check_https(text: &str, at: &Path<'_>, expected: &str, report: &mut Report) -> bool {
    let is_right = Url::parse(text).is_ok_and(|url| {
        url.scheme() == "https" && url.has_host() && url.username().is_empty() && url.password().is_none()
    });
    if !is_right {
        report.error(at, format!("is {}; expected {expected}", quoted(text)));
    }
    is_right
}

/// What a JSON value is, in words.
pub(super) const fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn unknown_member(name: &str, known: &[&str]) -> String {
    // Words that people bring along from the Admin API's answers and from older models.
    let known_list = known.join(", ");
    match name {
        "authorityId" | "issuerId" | "manifestUrl" => {
            format!("is set by the service: leave it out of the contract; the members are {known_list}")
        }
        "verifiablePresentation" | "verifiablePresentations" if known.contains(&"presentations") => {
            format!("is not a member here: the name is \"presentations\"; the members are {known_list}")
        }
        _ => match nearest(name, known) {
            Some(meant) => {
                format!("is not a member here: did you mean {}? The members are {known_list}", quoted(meant))
            }
            None => format!("is not a member here; the members are {known_list}"),
        },
    }
}

/// Reports every member name that occurs twice in one object: readers of JSON disagree about which one counts
/// (RFC 8259, section 4), so what was reviewed might not be what is issued.
///
/// # Errors
/// What `serde_json` says when the text is not JSON.
pub(super) fn scan_duplicates(text: &str, report: &mut Report) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Scan { at: &Path::ROOT, report }.deserialize(&mut deserializer)?;
    deserializer.end()
}

struct Scan<'a> {
    at: &'a Path<'a>,
    report: &'a mut Report,
}

impl<'de> DeserializeSeed<'de> for Scan<'_> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scan<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut index = 0_usize;
        while items
            .next_element_seed(Scan { at: &self.at.index(index), report: &mut *self.report })?
            .is_some()
        {
            index = index.saturating_add(1);
        }
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(name) = members.next_key::<String>()? {
            let at = self.at.member(&name);
            if seen.contains(&name) {
                self.report.error(&at, "is there twice in the same object; expected it once");
            }
            members.next_value_seed(Scan { at: &at, report: &mut *self.report })?;
            seen.insert(name);
        }
        Ok(())
    }
}
