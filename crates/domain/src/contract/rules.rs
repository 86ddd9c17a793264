//! The rules of a contract: how long a credential lives, what type it has, and (in `attestations`) where its claims
//! come from.
//!
//! Owns the typed form and the reading of `rules`. It must not know displays.
//! Source: Entra Verified ID, rules and display definitions model, with the limits that `docs/contracts.md` names.

use serde_json::Value;

use super::attestations::Attestations;
use super::reader::{Reader, check_https, text_of, type_name};
use super::report::{Path, Report, quoted};

/// Shortest life of a credential, in seconds: one minute.
pub const MIN_VALIDITY_SECS: i64 = 60;

/// Longest life of a credential, in seconds: ten years of 365 days. Keys and status lists live at least as long.
pub const MAX_VALIDITY_SECS: i64 = 315_360_000;

/// Most entries of `vc.type`.
pub const MAX_TYPES: usize = 16;

/// What every credential is, put in front of the contract's own types.
pub const BASE_TYPE: &str = "VerifiableCredential";

pub(super) const RULES_MEMBERS: &[&str] = &["attestations", "validityInterval", "vc", "customStatusEndpoint"];
pub(super) const VC_MEMBERS: &[&str] = &["type"];
pub(super) const STATUS_MEMBERS: &[&str] = &["url", "type"];
/// `rules`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Where claims come from.
    pub attestations: Attestations,
    /// Life of a credential from its issuing, in seconds; between [`MIN_VALIDITY_SECS`] and [`MAX_VALIDITY_SECS`].
    pub validity_interval_secs: i64,
    /// The credential's types besides [`BASE_TYPE`]; at least one.
    pub vc_types: Vec<String>,
    /// An external status service.
    pub custom_status_endpoint: Option<CustomStatusEndpoint>,
}

/// `rules.customStatusEndpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomStatusEndpoint {
    /// An https address.
    pub url: String,
}

impl Rules {
    pub(super) fn read(value: &Value, at: &Path<'_>, report: &mut Report) -> Option<Self> {
        let rules = Reader::open(value, at, RULES_MEMBERS, report)?;
        let attestations = rules
            .required("attestations", "an object with idTokenHints or selfIssued", report)
            .and_then(|value| Attestations::read(value, &at.member("attestations"), report));
        let validity = read_validity(&rules, &at.member("validityInterval"), report);
        let vc_types = rules
            .required("vc", "{\"type\": [\"YourCredentialType\"]}", report)
            .and_then(|value| read_types(value, &at.member("vc"), report));
        let custom_status_endpoint = rules
            .get("customStatusEndpoint")
            .and_then(|value| read_status_endpoint(value, &at.member("customStatusEndpoint"), report));
        Some(Self {
            attestations: attestations?,
            validity_interval_secs: validity?,
            vc_types: vc_types?,
            custom_status_endpoint,
        })
    }
}

fn read_validity(rules: &Reader<'_>, at: &Path<'_>, report: &mut Report) -> Option<i64> {
    let expected = format!(
        "a whole number of seconds from {MIN_VALIDITY_SECS} to {MAX_VALIDITY_SECS} (ten years), such as 2592000 for 30 days"
    );
    let Some(value) = rules.get("validityInterval") else {
        report.error(
            at,
            format!(
                "is missing: without it a credential has no expiry, which wallets refuse; expected {expected}"
            ),
        );
        return None;
    };
    let Value::Number(number) = value else {
        report.error(at, format!("is {}; expected {expected}", type_name(value)));
        return None;
    };
    match number.as_i64() {
        Some(secs) if (MIN_VALIDITY_SECS..=MAX_VALIDITY_SECS).contains(&secs) => Some(secs),
        _ => {
            report.error(at, format!("is {}; expected {expected}", quoted(&number.to_string())));
            None
        }
    }
}

fn read_types(value: &Value, at: &Path<'_>, report: &mut Report) -> Option<Vec<String>> {
    let vc = Reader::open(value, at, VC_MEMBERS, report)?;
    let items = vc.list("type", "an array with your credential's type", report)?;
    let at = at.member("type");
    if items.len() > MAX_TYPES {
        report.error(&at, format!("has {} entries; expected at most {MAX_TYPES}", items.len()));
        return None;
    }
    let mut types: Vec<String> = Vec::new();
    let mut is_only_base = true;
    for (index, item) in items.iter().enumerate() {
        let at = at.index(index);
        let text = text_of(item, &at, "a type name such as \"StudentCard\"", report);
        is_only_base &= text == Some(BASE_TYPE);
        let Some(text) = text else { continue };
        if text.trim() != text || text.len() > 256 || text.chars().any(char::is_control) {
            report.error(
                &at,
                format!(
                    "is {}; expected at most 256 bytes without white space around them or line breaks",
                    quoted(text)
                ),
            );
        } else if types.iter().any(|known| known == text) {
            report.error(&at, format!("is {} once more; expected each type once", quoted(text)));
        } else if text != BASE_TYPE {
            types.push(text.to_owned());
        }
    }
    if is_only_base {
        report.error(
            &at,
            format!("has only {BASE_TYPE}, which every credential is; expected your own type beside it"),
        );
        return None;
    }
    Some(types)
}

fn read_status_endpoint(value: &Value, at: &Path<'_>, report: &mut Report) -> Option<CustomStatusEndpoint> {
    let endpoint = Reader::open(value, at, STATUS_MEMBERS, report)?;
    let url = endpoint.text("url", "the status service's https address", report);
    let url =
        url.filter(|url| check_https(url, &at.member("url"), "the status service's https address", report));
    let kind = endpoint.text("type", "\"anonymous\"", report);
    if let Some(kind) = kind.filter(|kind| *kind != "anonymous") {
        report.error(
            &at.member("type"),
            format!("is {}; \"anonymous\" is the only type there is", quoted(kind)),
        );
    }
    Some(CustomStatusEndpoint { url: url?.to_owned() })
}
