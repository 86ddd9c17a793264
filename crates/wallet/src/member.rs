//! Typed access to JSON members, for decoders that must say exactly which member is wrong. Owns the shape rules the real
//! wallets' decoders share: no floats for integers, no nulls. Must not know any particular message.

use serde_json::{Map, Value};

use crate::address::{Address, AddressError};

/// A member that is not what a real wallet's decoder needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` {problem}")]
pub struct ShapeError {
    /// Where, as a dotted path from the top of the message.
    pub path: String,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The member has to be there.
    #[error("is missing")]
    Missing,
    /// `null` breaks decoders that expect a value: such a member has to be left out.
    #[error("is null; leave it out instead")]
    Null,
    /// A JSON object is needed.
    #[error("is not an object")]
    NotObject,
    /// A JSON array is needed.
    #[error("is not an array")]
    NotArray,
    /// A JSON string is needed.
    #[error("is not a string")]
    NotString,
    /// A JSON integer is needed; floats and numeric strings are refused.
    #[error("is not an integer")]
    NotInteger,
    /// A JSON boolean is needed.
    #[error("is not a boolean")]
    NotBoolean,
    /// A blank string, or an array without entries.
    #[error("is empty")]
    Empty,
    /// The value has to be this one.
    #[error("is not `{0}`")]
    Not(&'static str),
    /// The array has to hold this entry.
    #[error("does not hold `{0}`")]
    Lacks(&'static str),
    /// Exactly one entry is allowed.
    #[error("does not hold exactly one entry")]
    NotSingle,
    /// The same key occurs twice where each may occur once.
    #[error("repeats an earlier entry")]
    Repeated,
    /// The array has fewer entries than this.
    #[error("has fewer than {0} entries")]
    TooFew(usize),
    /// The number is below what is allowed.
    #[error("is less than {0}")]
    TooSmall(i64),
    /// Not an address that every wallet can call.
    #[error("is not a usable address: {0}")]
    Address(AddressError),
}

/// One JSON value and the path that led to it.
#[derive(Debug, Clone)]
pub(crate) struct Node<'a> {
    value: &'a Value,
    path: String,
}

impl<'a> Node<'a> {
    /// The top of a message; `name` begins every path in errors.
    pub(crate) fn root(name: &str, value: &'a Value) -> Self {
        Self { value, path: name.to_owned() }
    }

    pub(crate) fn value(&self) -> &'a Value {
        self.value
    }

    pub(crate) fn fault(&self, problem: Problem) -> ShapeError {
        ShapeError { path: self.path.clone(), problem }
    }

    pub(crate) fn object(&self) -> Result<&'a Map<String, Value>, ShapeError> {
        self.value.as_object().ok_or_else(|| self.fault(Problem::NotObject))
    }

    /// The members of an object as nodes.
    pub(crate) fn members(&self) -> Result<Vec<(&'a str, Node<'a>)>, ShapeError> {
        Ok(self.object()?.iter().map(|(name, value)| (name.as_str(), self.below(name, value))).collect())
    }

    pub(crate) fn member(&self, name: &str) -> Result<Node<'a>, ShapeError> {
        match self.object()?.get(name) {
            Some(Value::Null) => Err(ShapeError { path: self.join(name), problem: Problem::Null }),
            Some(value) => Ok(self.below(name, value)),
            None => Err(ShapeError { path: self.join(name), problem: Problem::Missing }),
        }
    }

    /// `None` when the member is absent; `null` is an error.
    pub(crate) fn optional(&self, name: &str) -> Result<Option<Node<'a>>, ShapeError> {
        if self.object()?.contains_key(name) { self.member(name).map(Some) } else { Ok(None) }
    }

    pub(crate) fn string(&self) -> Result<&'a str, ShapeError> {
        self.value.as_str().ok_or_else(|| self.fault(Problem::NotString))
    }

    /// A string with at least one character that is not white space.
    pub(crate) fn text(&self) -> Result<&'a str, ShapeError> {
        let text = self.string()?;
        if text.trim().is_empty() { Err(self.fault(Problem::Empty)) } else { Ok(text) }
    }

    pub(crate) fn integer(&self) -> Result<i64, ShapeError> {
        self.value.as_i64().ok_or_else(|| self.fault(Problem::NotInteger))
    }

    pub(crate) fn boolean(&self) -> Result<bool, ShapeError> {
        self.value.as_bool().ok_or_else(|| self.fault(Problem::NotBoolean))
    }

    pub(crate) fn array(&self) -> Result<Vec<Node<'a>>, ShapeError> {
        let entries = self.value.as_array().ok_or_else(|| self.fault(Problem::NotArray))?;
        Ok(entries
            .iter()
            .enumerate()
            .map(|(index, value)| Node { value, path: format!("{}[{index}]", self.path) })
            .collect())
    }

    /// An array of strings, possibly without entries.
    pub(crate) fn strings(&self) -> Result<Vec<&'a str>, ShapeError> {
        self.array()?.iter().map(Node::string).collect()
    }

    /// Exactly this string.
    pub(crate) fn exactly(&self, expected: &'static str) -> Result<(), ShapeError> {
        if self.string()? == expected { Ok(()) } else { Err(self.fault(Problem::Not(expected))) }
    }

    /// An address that every wallet can call.
    pub(crate) fn address(&self) -> Result<Address, ShapeError> {
        Address::parse(self.string()?).map_err(|source| self.fault(Problem::Address(source)))
    }

    /// Refuses a `null` at any depth.
    pub(crate) fn without_nulls(&self) -> Result<(), ShapeError> {
        match self.value {
            Value::Null => Err(self.fault(Problem::Null)),
            Value::Array(_) => self.array()?.iter().try_for_each(Node::without_nulls),
            Value::Object(_) => self.members()?.iter().try_for_each(|(_, node)| node.without_nulls()),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }

    /// Checks that an optional member, where present, is a string, and hands it out.
    pub(crate) fn optional_string(&self, name: &str) -> Result<Option<&'a str>, ShapeError> {
        self.optional(name)?.map(|node| node.string()).transpose()
    }

    /// As [`Self::optional_string`], for an integer.
    pub(crate) fn optional_integer(&self, name: &str) -> Result<Option<i64>, ShapeError> {
        self.optional(name)?.map(|node| node.integer()).transpose()
    }

    /// As [`Self::optional_string`], for a boolean.
    pub(crate) fn optional_boolean(&self, name: &str) -> Result<Option<bool>, ShapeError> {
        self.optional(name)?.map(|node| node.boolean()).transpose()
    }

    fn join(&self, name: &str) -> String {
        format!("{}.{name}", self.path)
    }

    fn below(&self, name: &str, value: &'a Value) -> Node<'a> {
        Node { value, path: self.join(name) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problem(error: ShapeError) -> Problem {
        error.problem
    }

    #[test]
    fn integers_are_not_floats_or_strings() {
        let value = json!({"good": 5, "float": 5.0, "text": "5"});
        let top = Node::root("x", &value);
        assert_eq!(top.member("good").unwrap().integer(), Ok(5));
        assert_eq!(problem(top.member("float").unwrap().integer().unwrap_err()), Problem::NotInteger);
        assert_eq!(problem(top.member("text").unwrap().integer().unwrap_err()), Problem::NotInteger);
    }

    #[test]
    fn a_null_is_found_at_any_depth_and_named() {
        let value = json!({"a": [{"b": null}]});
        let error = Node::root("request", &value).without_nulls().unwrap_err();
        assert_eq!(error.to_string(), "`request.a[0].b` is null; leave it out instead");
        assert_eq!(Node::root("x", &json!({"a": null})).optional("a").unwrap_err().problem, Problem::Null);
    }

    #[test]
    fn absent_and_wrong_members_are_told_apart() {
        let value = json!({"s": "", "b": 1});
        let top = Node::root("x", &value);
        assert_eq!(problem(top.member("none").unwrap_err()), Problem::Missing);
        assert!(top.optional("none").unwrap().is_none());
        assert_eq!(problem(top.member("s").unwrap().text().unwrap_err()), Problem::Empty);
        assert_eq!(problem(top.member("b").unwrap().boolean().unwrap_err()), Problem::NotBoolean);
        assert_eq!(problem(top.member("b").unwrap().member("c").unwrap_err()), Problem::NotObject);
        assert_eq!(problem(top.member("b").unwrap().array().unwrap_err()), Problem::NotArray);
        assert_eq!(problem(top.member("b").unwrap().string().unwrap_err()), Problem::NotString);
        assert_eq!(problem(top.member("s").unwrap().exactly("y").unwrap_err()), Problem::Not("y"));
    }
}
