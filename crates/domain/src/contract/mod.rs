//! Contracts: the rules and displays of one kind of credential.
//!
//! Owns the typed form, the reading with all errors at once, the advice, the choice of a display and the mapping of
//! claims. It must not do I/O, know versions or stores, or sign. The reference for people is `docs/contracts.md`.

mod advise;
mod attestations;
mod claims;
mod display;
mod file;
mod json_path;
mod locale;
mod mapping;
mod reader;
mod report;
mod rules;
#[cfg(test)]
mod tests;

pub use attestations::{
    AccessToken, Attestations, IdToken, IdTokenHint, Presentation, SELF_ISSUED, SelfIssued,
};
pub use claims::{ClaimFault, ClaimFaultReason, ClaimSource, MAX_CLAIM_BYTES, WantedClaim};
pub use display::{CLAIM_PREFIX, Card, Color, Consent, Display, DisplayClaim, Logo, MAX_DISPLAYS};
pub use file::{ContractFile, ContractStatus, MAX_NAME_CHARS};
pub use json_path::{ClaimStep, InputClaim, InvalidInputClaim, MAX_INPUT_CLAIM_BYTES};
pub use locale::{InvalidLocale, Locale, MAX_LOCALE_BYTES};
pub use mapping::{AttestationKind, ClaimKind, MAX_CLAIMS, MAX_OUTPUT_CLAIM_BYTES, Mapping};
pub use report::{Finding, MAX_FINDINGS, Severity};
pub use rules::{BASE_TYPE, CustomStatusEndpoint, MAX_TYPES, MAX_VALIDITY_SECS, MIN_VALIDITY_SECS, Rules};

use serde_json::Value;

use crate::ids::ContractId;
use report::{Path, Report};

/// Longest contract, in bytes (1 MiB).
pub const MAX_CONTRACT_BYTES: usize = 1_048_576;

/// A contract without errors, with what was submitted beside the typed form.
#[derive(Debug, Clone, PartialEq)]
pub struct Contract {
    submitted: Value,
    file: ContractFile,
}

impl Contract {
    /// Reads and checks a contract.
    ///
    /// # Errors
    /// Every error of the text, up to [`MAX_FINDINGS`], each with the place and what would be right.
    pub fn parse(json_text: &str) -> Result<Self, Vec<Finding>> {
        let mut report = Report::default();
        if json_text.len() > MAX_CONTRACT_BYTES {
            report.error(
                &Path::ROOT,
                format!("has {} bytes; expected at most {MAX_CONTRACT_BYTES}", json_text.len()),
            );
            return Err(report.into_findings());
        }
        // Some editors put a byte order mark in front of a file.
        let json_text = json_text.strip_prefix('\u{feff}').unwrap_or(json_text);
        let submitted = match reader::scan_duplicates(json_text, &mut report)
            .and_then(|()| serde_json::from_str::<Value>(json_text))
        {
            Ok(value) => value,
            Err(syntax) => {
                report.error(&Path::ROOT, format!("is not JSON: {syntax}; expected one JSON object"));
                return Err(report.into_findings());
            }
        };
        Self::check(submitted, report)
    }

    /// Checks a contract that was read as JSON already. Duplicate members cannot be seen here any more.
    ///
    /// # Errors
    /// As [`Contract::parse`].
    pub fn from_value(submitted: Value) -> Result<Self, Vec<Finding>> {
        Self::check(submitted, Report::default())
    }

    fn check(submitted: Value, mut report: Report) -> Result<Self, Vec<Finding>> {
        match ContractFile::read(&submitted, &mut report) {
            Some(file) if report.is_empty() => Ok(Self { submitted, file }),
            _ => Err(report.into_findings()),
        }
    }

    /// Refuses kinds of attestation that this version does not issue from. Such a contract can be read and shown, but
    /// not applied.
    ///
    /// # Errors
    /// One finding for each kind.
    pub fn check_issuable(&self) -> Result<(), Vec<Finding>> {
        let findings: Vec<Finding> = self
            .rules()
            .attestations
            .kinds()
            .into_iter()
            .filter(|kind| !kind.is_issued())
            .map(|kind| {
                let name = kind.name();
                Finding::error(
                    format!("$.rules.attestations.{name}"),
                    format!(
                        "{name} is understood, but credentials are not issued from it yet; expected only idTokenHints and selfIssued (remove {name}, or wait for the version that issues from it)"
                    ),
                )
            })
            .collect();
        if findings.is_empty() { Ok(()) } else { Err(findings) }
    }

    /// What was submitted, unchanged: the Admin API echoes it.
    #[must_use]
    pub const fn submitted(&self) -> &Value {
        &self.submitted
    }

    /// The typed members.
    #[must_use]
    pub const fn file(&self) -> &ContractFile {
        &self.file
    }

    /// The id that the file names.
    #[must_use]
    pub const fn id(&self) -> Option<ContractId> {
        self.file.id
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.file.name
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> ContractStatus {
        self.file.status
    }

    /// The rules.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.file.rules
    }

    /// The types of an issued credential: [`BASE_TYPE`], then the contract's own.
    pub fn credential_types(&self) -> impl Iterator<Item = &str> {
        std::iter::once(BASE_TYPE).chain(self.rules().vc_types.iter().map(String::as_str))
    }

    /// The contract's first own type, which wallets and verifiers match.
    #[must_use]
    pub fn primary_type(&self) -> &str {
        self.rules().vc_types.first().map_or(BASE_TYPE, String::as_str)
    }

    /// Whether a request may carry `expirationDate`.
    #[must_use]
    pub const fn allows_expiration_date(&self) -> bool {
        self.file.allow_override_validity_interval_on_issuance
    }

    /// Every display; there is at least one.
    pub fn displays(&self) -> impl Iterator<Item = &Display> + Clone {
        std::iter::once(&self.file.default_display).chain(&self.file.other_displays)
    }

    /// The display for readers of languages that no display has.
    #[must_use]
    pub const fn default_display(&self) -> &Display {
        &self.file.default_display
    }

    /// The display for an `Accept-Language` header (RFC 9110, section 12.5.4).
    ///
    /// In the order of the weights: the exact tag, else the same primary language (the more subtags in common the
    /// better), else the next range; at the end the first display. `*` takes the first display that is not refused
    /// with `q=0`. A header that makes no sense is like none.
    #[must_use]
    pub fn select_display(&self, accept_language: Option<&str>) -> &Display {
        accept_language
            .and_then(|header| locale::best(header, self.displays().map(|display| &display.locale)))
            .and_then(|position| self.displays().nth(position))
            .unwrap_or(&self.file.default_display)
    }

    /// The claim by whose value credentials can be found.
    #[must_use]
    pub fn index_claim(&self) -> Option<&Mapping> {
        self.rules().attestations.mappings().find(|line| line.indexed)
    }

    /// Whether a request gives claims: only then does it carry a hint.
    #[must_use]
    pub const fn accepts_hint(&self) -> bool {
        self.file.rules.attestations.id_token_hints.is_some()
    }

    /// Whether a request may carry a PIN: only when the hint is the only attestation, because wallets break on a PIN
    /// beside any other.
    #[must_use]
    pub fn accepts_pin(&self) -> bool {
        self.rules().attestations.kinds() == [AttestationKind::IdTokenHints]
    }

    /// Whether the person types claims in the wallet.
    #[must_use]
    pub const fn needs_self_issued(&self) -> bool {
        self.file.rules.attestations.self_issued.is_some()
    }
}
