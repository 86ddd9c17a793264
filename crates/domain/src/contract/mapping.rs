//! One line of a mapping: which claim of a source becomes which claim of the credential.
//!
//! Owns claim kinds and the names that a claim cannot have. It must not look at claim values.

use std::fmt;

use super::json_path::InputClaim;
use super::reader::Reader;
use super::report::{Path, Report, nearest, quoted};
use serde_json::Value;

/// Members of a mapping entry.
pub(super) const MAPPING_MEMBERS: &[&str] = &["inputClaim", "outputClaim", "indexed", "required", "type"];

/// Longest `outputClaim`, in bytes.
pub const MAX_OUTPUT_CLAIM_BYTES: usize = 128;

/// Most claims of one contract.
pub const MAX_CLAIMS: usize = 200;

/// Names that mean something else inside a credential: `credentialSubject` names its subject with `id` (ours has
/// none, the holder is the JWT's `sub`) and its class with `type`; the others are JWT claims (RFC 7519, section 4.1)
/// and would be mistaken for them where a format puts claims at the top level.
const RESERVED_OUTPUT: &[&str] =
    &["id", "type", "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "vc", "cnf", "nonce"];

/// Directory attributes that an `accessTokens` attestation can give.
const DIRECTORY_CLAIMS: &[&str] = &[
    "givenName",
    "displayName",
    "preferredLanguage",
    "userPrincipalName",
    "surname",
    "mail",
    "jobTitle",
    "photo",
];

/// What a claim's value is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum ClaimKind {
    /// Text.
    #[default]
    String,
    /// A date, as text.
    Date,
    /// A picture in base64url; the whole wire value, such as `image/jpg;base64url`.
    Image(String),
}

impl ClaimKind {
    /// The wire value.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::String => "String",
            Self::Date => "Date",
            Self::Image(text) => text,
        }
    }

    /// Whether the value is a picture.
    #[must_use]
    pub const fn is_image(&self) -> bool {
        matches!(self, Self::Image(_))
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "String" => Some(Self::String),
            "Date" => Some(Self::Date),
            _ => {
                let subtype = text.strip_prefix("image/")?.strip_suffix(";base64url")?;
                let is_right = (1..=32).contains(&subtype.len())
                    && subtype.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-'));
                is_right.then(|| Self::Image(text.to_owned()))
            }
        }
    }

    pub(super) fn read(text: &str, at: &Path<'_>, report: &mut Report) -> Option<Self> {
        let kind = Self::parse(text);
        if kind.is_none() {
            let meant = nearest(text, &["String", "Date", "image/jpg;base64url", "image/png;base64url"]);
            let hint = meant.map(|meant| format!(" (did you mean {}?)", quoted(meant))).unwrap_or_default();
            report.error(
                at,
                format!(
                    "is {}{hint}; expected \"String\", \"Date\" or \"image/<format>;base64url\"",
                    quoted(text)
                ),
            );
        }
        kind
    }
}

impl fmt::Display for ClaimKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The kinds of attestation: where claims can come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttestationKind {
    /// The front end gives the values when it asks.
    IdTokenHints,
    /// The person signs in at an OpenID provider.
    IdTokens,
    /// The person presents another credential.
    Presentations,
    /// The person types the values in the wallet.
    SelfIssued,
    /// The wallet fetches directory attributes with an access token.
    AccessTokens,
}

impl AttestationKind {
    /// The member of `rules.attestations`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::IdTokenHints => "idTokenHints",
            Self::IdTokens => "idTokens",
            Self::Presentations => "presentations",
            Self::SelfIssued => "selfIssued",
            Self::AccessTokens => "accessTokens",
        }
    }

    /// Whether this version issues from it.
    #[must_use]
    pub const fn is_issued(self) -> bool {
        match self {
            Self::IdTokenHints | Self::SelfIssued => true,
            Self::IdTokens | Self::Presentations | Self::AccessTokens => false,
        }
    }

    /// Whether the source is a flat map of names to values, so that a path can only name one member of it.
    const fn is_flat(self) -> bool {
        match self {
            Self::IdTokenHints | Self::SelfIssued | Self::AccessTokens => true,
            Self::IdTokens | Self::Presentations => false,
        }
    }
}

/// One line of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The claim in the source.
    pub input_claim: InputClaim,
    /// The claim in `credentialSubject`.
    pub output_claim: String,
    /// Whether credentials can be found by this claim's value.
    pub indexed: bool,
    /// Whether nothing is issued without it.
    pub required: bool,
    /// What the value is.
    pub kind: ClaimKind,
    /// Where this line stands: a JSON path.
    pub path: String,
}

impl Mapping {
    /// The key under which the source gives the value. Sources whose claims are nested keep the whole path.
    #[must_use]
    pub fn input_name(&self) -> &str {
        self.input_claim.flat_name().unwrap_or_else(|| self.input_claim.as_str())
    }

    pub(super) fn read(
        value: &Value,
        at: &Path<'_>,
        source: AttestationKind,
        report: &mut Report,
    ) -> Option<Self> {
        let entry = Reader::open(value, at, MAPPING_MEMBERS, report)?;
        let input_claim = read_input(&entry, at, source, report);
        let output_claim = read_output(&entry, at, report);
        let indexed = entry.flag("indexed", report);
        let required = entry.flag("required", report);
        let kind = match entry.optional_text("type", "\"String\", which is also the default", report) {
            None => Some(ClaimKind::default()),
            Some(text) => ClaimKind::read(text, &at.member("type"), report),
        }?;
        if source == AttestationKind::SelfIssued && kind.is_image() {
            report.error(
                &at.member("type"),
                "is a picture, but the person types selfIssued claims; expected \"String\" or \"Date\"",
            );
        }
        if indexed && kind.is_image() {
            report.error(
                &at.member("indexed"),
                "is true for a picture, which nobody can search for; expected the index on a short text claim",
            );
        }
        Some(Self {
            input_claim: input_claim?,
            output_claim: output_claim?,
            indexed,
            required,
            kind,
            path: at.to_string(),
        })
    }
}

fn read_input(
    entry: &Reader<'_>,
    at: &Path<'_>,
    source: AttestationKind,
    report: &mut Report,
) -> Option<InputClaim> {
    let text = entry.text("inputClaim", "a claim name such as \"$.given_name\"", report)?;
    let at = at.member("inputClaim");
    let claim = match InputClaim::parse(text) {
        Ok(claim) => claim,
        Err(invalid) => {
            report.error(&at, format!("is {}: it {invalid}", quoted(text)));
            return None;
        }
    };
    if !source.is_flat() {
        return Some(claim);
    }
    let Some(name) = claim.flat_name() else {
        report.error(
            &at,
            format!(
                "is {}, but {} has no nested claims; expected one name such as \"$.given_name\"",
                quoted(text),
                source.name()
            ),
        );
        return None;
    };
    if source == AttestationKind::AccessTokens && !DIRECTORY_CLAIMS.contains(&name) {
        report.error(
            &at,
            format!("is {}; accessTokens can give only {}", quoted(text), DIRECTORY_CLAIMS.join(", ")),
        );
        return None;
    }
    Some(claim)
}

fn read_output(entry: &Reader<'_>, at: &Path<'_>, report: &mut Report) -> Option<String> {
    let text =
        entry.text("outputClaim", "the claim's name in the credential, such as \"firstName\"", report)?;
    let at = at.member("outputClaim");
    if text.trim() != text || text.chars().any(char::is_control) || text.len() > MAX_OUTPUT_CLAIM_BYTES {
        report.error(
            &at,
            format!(
                "is {}; expected a name of at most {MAX_OUTPUT_CLAIM_BYTES} bytes without white space around it",
                quoted(text)
            ),
        );
        return None;
    }
    if text.starts_with('@') || RESERVED_OUTPUT.contains(&text) {
        report.error(
            &at,
            format!(
                "is {}, which has a meaning of its own in credentials; expected any name but {} and those with @ in front",
                quoted(text),
                RESERVED_OUTPUT.join(", ")
            ),
        );
        return None;
    }
    Some(text.to_owned())
}
