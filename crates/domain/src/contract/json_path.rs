//! `inputClaim`: a plain claim name, or the part of JSONPath (RFC 9535) that names exactly one value.
//!
//! Owns the spelling of input claims. It must not know where claims come from.

/// Longest `inputClaim`, in bytes.
pub const MAX_INPUT_CLAIM_BYTES: usize = 256;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimStep {
    /// A member of an object.
    Name(String),
    /// An entry of an array, counted from 0.
    Index(u16),
}

/// Why a text is not an input claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInputClaim {
    /// Nothing but white space.
    #[error("is blank; expected a claim name such as \"given_name\" or \"$.given_name\"")]
    Blank,
    /// Longer than [`MAX_INPUT_CLAIM_BYTES`].
    #[error("is too long; expected at most 256 bytes")]
    TooLong,
    /// White space around it, or control characters in it.
    #[error("has white space around it or control characters in it; expected the bare claim name")]
    StrayCharacters,
    /// A `$` alone, or followed by something else than a step.
    #[error("does not name a claim after the $; expected \"$.name\" or \"$['name']\"")]
    NoStep,
    /// `*`, `..`, slices, filters, unions, negative indexes.
    #[error(
        "may name several values (*, .., slices, filters and negative indexes do); expected a path to one value such as \"$.given_name\""
    )]
    ManyValues,
    /// A character that the dotted form cannot hold.
    #[error("has a character that needs quotes; expected \"$['that name']\"")]
    NeedsQuotes,
    /// A bracket or a quote is not closed.
    #[error("has a bracket or quote that is not closed; expected \"$['name']\"")]
    Unterminated,
}

/// A checked `inputClaim`, with the spelling that was submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputClaim {
    text: String,
    steps: Vec<ClaimStep>,
}

impl InputClaim {
    /// Reads a plain name (anything that does not begin with `$`) or a path.
    ///
    /// # Errors
    /// What is wrong with the text and what would be right.
    pub fn parse(text: &str) -> Result<Self, InvalidInputClaim> {
        if text.trim().is_empty() {
            return Err(InvalidInputClaim::Blank);
        }
        if text.len() > MAX_INPUT_CLAIM_BYTES {
            return Err(InvalidInputClaim::TooLong);
        }
        if text.trim() != text || text.chars().any(char::is_control) {
            return Err(InvalidInputClaim::StrayCharacters);
        }
        let steps = match text.strip_prefix('$') {
            None => vec![ClaimStep::Name(text.to_owned())],
            Some(path) => parse_steps(path)?,
        };
        Ok(Self { text: text.to_owned(), steps })
    }

    /// As submitted; what the manifest says for `idTokens`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The steps from the root of the source to the value; never empty.
    #[must_use]
    pub fn steps(&self) -> &[ClaimStep] {
        &self.steps
    }

    /// The bare name, when the claim stands at the root of its source: the key in a request's `claims`.
    #[must_use]
    pub fn flat_name(&self) -> Option<&str> {
        match self.steps.as_slice() {
            [ClaimStep::Name(name)] => Some(name),
            _ => None,
        }
    }
}

fn parse_steps(path: &str) -> Result<Vec<ClaimStep>, InvalidInputClaim> {
    let mut rest = path;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, after) = if let Some(dotted) = rest.strip_prefix('.') {
            dotted_name(dotted)?
        } else if let Some(bracketed) = rest.strip_prefix('[') {
            bracket(bracketed)?
        } else {
            return Err(InvalidInputClaim::NoStep);
        };
        steps.push(step);
        rest = after;
    }
    if steps.is_empty() { Err(InvalidInputClaim::NoStep) } else { Ok(steps) }
}

/// After a dot: letters, digits, `_`, `-` and `:`; wider than RFC 9535, because directories use such claim names.
fn dotted_name(rest: &str) -> Result<(ClaimStep, &str), InvalidInputClaim> {
    let end = rest.find(['.', '[']).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    if name == "*" || (name.is_empty() && after.starts_with('.')) {
        return Err(InvalidInputClaim::ManyValues);
    }
    if name.is_empty() {
        return Err(InvalidInputClaim::NoStep);
    }
    if !name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ':')) {
        return Err(InvalidInputClaim::NeedsQuotes);
    }
    Ok((ClaimStep::Name(name.to_owned()), after))
}

/// After a `[`: a quoted name with `\` before quotes and backslashes, or an index.
fn bracket(rest: &str) -> Result<(ClaimStep, &str), InvalidInputClaim> {
    let Some(quote) = rest.chars().next().filter(|c| matches!(c, '\'' | '"')) else {
        let (inside, after) = rest.split_once(']').ok_or(InvalidInputClaim::Unterminated)?;
        if inside.is_empty() {
            return Err(InvalidInputClaim::NoStep);
        }
        if !inside.chars().all(|c| c.is_ascii_digit()) {
            return Err(InvalidInputClaim::ManyValues);
        }
        let index = inside.parse().map_err(|_source| InvalidInputClaim::ManyValues)?;
        return Ok((ClaimStep::Index(index), after));
    };
    let mut name = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == quote {
            let after = rest.get(at.saturating_add(1)..).unwrap_or_default();
            let after = after.strip_prefix(']').ok_or(InvalidInputClaim::Unterminated)?;
            if name.is_empty() {
                return Err(InvalidInputClaim::NoStep);
            }
            return Ok((ClaimStep::Name(name), after));
        }
        if c == '\\' {
            match chars.next() {
                Some((_, escaped @ ('\\' | '\'' | '"'))) => name.push(escaped),
                _ => return Err(InvalidInputClaim::Unterminated),
            }
        } else {
            name.push(c);
        }
    }
    Err(InvalidInputClaim::Unterminated)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_spellings_of_a_flat_claim() {
        for text in ["given name", "$['given name']", "$[\"given name\"]"] {
            assert_eq!(InputClaim::parse(text).unwrap().flat_name(), Some("given name"), "{text}");
        }
        for text in ["given_name", "$.given_name", "$['given_name']"] {
            let claim = InputClaim::parse(text).unwrap();
            assert_eq!(claim.flat_name(), Some("given_name"), "{text}");
            assert_eq!(claim.as_str(), text);
        }
        assert_eq!(InputClaim::parse("$['it\\'s']").unwrap().flat_name(), Some("it's"));
        assert_eq!(InputClaim::parse("a.b").unwrap().flat_name(), Some("a.b"));
    }

    #[test]
    fn a_nested_path_has_steps_and_no_flat_name() {
        let claim = InputClaim::parse("$.vc.credentialSubject['first name'].given[0]").unwrap();
        assert_eq!(claim.flat_name(), None);
        assert_eq!(claim.steps().len(), 5);
        assert_eq!(claim.steps().last(), Some(&ClaimStep::Index(0)));
    }

    #[test]
    fn what_is_not_one_value_is_refused() {
        use InvalidInputClaim::{
            Blank, ManyValues, NeedsQuotes, NoStep, StrayCharacters, TooLong, Unterminated,
        };
        for (text, expected) in [
            ("", Blank),
            ("  ", Blank),
            (" a", StrayCharacters),
            ("a\u{0}b", StrayCharacters),
            ("$", NoStep),
            ("$.", NoStep),
            ("$given", NoStep),
            ("$[]", NoStep),
            ("$['']", NoStep),
            ("$.a.", NoStep),
            ("$..a", ManyValues),
            ("$.*", ManyValues),
            ("$[*]", ManyValues),
            ("$[-1]", ManyValues),
            ("$[1:2]", ManyValues),
            ("$[99999999]", ManyValues),
            ("$[?@.a]", ManyValues),
            ("$.given name", NeedsQuotes),
            ("$['a", Unterminated),
            ("$['a'", Unterminated),
            ("$['a','b']", Unterminated),
            ("$['a\\n']", Unterminated),
            ("$[1", Unterminated),
        ] {
            assert_eq!(InputClaim::parse(text), Err(expected), "{text:?}");
        }
        assert_eq!(InputClaim::parse(&"a".repeat(257)), Err(TooLong));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".{0,300}") {
            if let Ok(claim) = InputClaim::parse(&text) {
                prop_assert_eq!(claim.as_str(), text.as_str());
                prop_assert!(!claim.steps().is_empty());
            }
        }

        #[test]
        fn path_like_text_never_panics(text in "\\$[.\\[\\]'\"\\\\*a0 ]{0,24}") {
            if let Ok(claim) = InputClaim::parse(&text) {
                prop_assert!(!claim.steps().is_empty());
            }
        }

        #[test]
        fn a_quoted_name_round_trips(name in "[^\\p{C}]{1,40}") {
            let quoted = format!("$['{}']", name.replace('\\', "\\\\").replace('\'', "\\'"));
            let claim = InputClaim::parse(&quoted).unwrap();
            prop_assert_eq!(claim.flat_name(), Some(name.as_str()));
        }
    }
}
