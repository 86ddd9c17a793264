//! From the values that a source gives to the claims of a credential.
//!
//! Owns which values are taken, which are missing and which are not usable. It must not put a value into an error:
//! errors are logged.

use std::collections::BTreeMap;

use super::Contract;
use super::display::Display;
use super::mapping::{ClaimKind, Mapping};

/// Longest value of one claim, in bytes, as the text that the credential carries (1 MiB). Entra allows pictures of
/// up to 1 MB.
pub const MAX_CLAIM_BYTES: usize = 1_048_576;

/// The sources that a credential can be issued from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClaimSource {
    /// What the front end gave when it asked.
    IdTokenHint,
    /// What the person typed in the wallet.
    SelfIssued,
}

impl ClaimSource {
    /// In front of a claim's name, as the target of an error.
    const fn target(self) -> &'static str {
        match self {
            Self::IdTokenHint => "claims",
            Self::SelfIssued => "attestations.selfIssued",
        }
    }
}

/// Why a given claim cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ClaimFaultReason {
    /// Required, and absent or blank.
    #[error("is required by the contract and missing")]
    Missing,
    /// A picture that is not base64.
    #[error("has to be a picture in base64url or base64 (no data: URI, no percent-encoding, no line breaks)")]
    NotBase64,
    /// More than [`MAX_CLAIM_BYTES`].
    #[error("is too long: at most 1048576 bytes")]
    TooLong,
}

/// One claim that is missing or not usable. Carries no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} {reason}")]
pub struct ClaimFault {
    /// The claim's name in its source.
    pub input_claim: String,
    /// Where it belongs: `claims.<name>` in a request, `attestations.selfIssued.<name>` in a wallet's answer.
    pub path: String,
    /// What is wrong with it.
    pub reason: ClaimFaultReason,
}

/// A claim that a source is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedClaim<'c> {
    /// The key under which the source gives it.
    pub input: &'c str,
    /// The claim's name in the credential.
    pub output: &'c str,
    /// Whether nothing is issued without it.
    pub required: bool,
    /// What the value is.
    pub kind: &'c ClaimKind,
    /// Its label in the display that was asked for.
    pub label: Option<&'c str>,
}

impl Contract {
    /// The mapping of one source; empty when the contract does not use it.
    #[must_use]
    pub fn mapping(&self, source: ClaimSource) -> &[Mapping] {
        let attestations = &self.rules().attestations;
        match source {
            ClaimSource::IdTokenHint => {
                attestations.id_token_hints.as_ref().map_or(&[], |entry| entry.mapping.as_slice())
            }
            ClaimSource::SelfIssued => {
                attestations.self_issued.as_ref().map_or(&[], |entry| entry.mapping.as_slice())
            }
        }
    }

    /// What a source is asked for, with the labels of a display.
    #[must_use]
    pub fn wanted_claims<'c>(&'c self, source: ClaimSource, display: &'c Display) -> Vec<WantedClaim<'c>> {
        self.mapping(source)
            .iter()
            .map(|line| WantedClaim {
                input: line.input_name(),
                output: &line.output_claim,
                required: line.required,
                kind: &line.kind,
                label: display.label(&line.output_claim),
            })
            .collect()
    }

    /// What a front end gives in a request's `claims`.
    #[must_use]
    pub fn hint_claims<'c>(&'c self, display: &'c Display) -> Vec<WantedClaim<'c>> {
        self.wanted_claims(ClaimSource::IdTokenHint, display)
    }

    /// Maps given values (key: the bare input name) to claims of the credential (key: `outputClaim`).
    ///
    /// Values pass unchanged. What no mapping names is left out: the contract says what a credential holds.
    /// A blank value counts as absent.
    ///
    /// # Errors
    /// Every required claim that is missing and every value that cannot be used.
    pub fn map_claims(
        &self,
        source: ClaimSource,
        given: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, Vec<ClaimFault>> {
        let mut claims = BTreeMap::new();
        let mut faults = Vec::new();
        for line in self.mapping(source) {
            let name = line.input_name();
            let reason = match given.get(name).filter(|value| !value.trim().is_empty()) {
                None if line.required => Some(ClaimFaultReason::Missing),
                None => None,
                Some(value) => {
                    let fault = fault_of(value, &line.kind);
                    if fault.is_none() {
                        claims.insert(line.output_claim.clone(), value.clone());
                    }
                    fault
                }
            };
            if let Some(reason) = reason {
                faults.push(ClaimFault {
                    input_claim: name.to_owned(),
                    path: format!("{}.{name}", source.target()),
                    reason,
                });
            }
        }
        if faults.is_empty() { Ok(claims) } else { Err(faults) }
    }
}

fn fault_of(value: &str, kind: &ClaimKind) -> Option<ClaimFaultReason> {
    if value.len() > MAX_CLAIM_BYTES {
        return Some(ClaimFaultReason::TooLong);
    }
    match kind {
        ClaimKind::Image(_) if !is_base64_text(value) => Some(ClaimFaultReason::NotBase64),
        ClaimKind::Image(_) | ClaimKind::String | ClaimKind::Date => None,
    }
}

/// Whether a text has the shape of base64 or base64url (RFC 4648, sections 4 and 5), with or without padding:
/// front ends send both. One text uses one alphabet.
pub(super) fn is_base64_text(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let padding = text.len().saturating_sub(body.len());
    let mut is_standard = false;
    let mut is_url = false;
    for byte in body.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => {}
            b'+' | b'/' => is_standard = true,
            b'-' | b'_' => is_url = true,
            _ => return false,
        }
    }
    let has_right_length = match padding {
        0 => body.len() % 4 != 1,
        1 | 2 => text.len().is_multiple_of(4),
        _ => false,
    };
    !body.is_empty() && has_right_length && !(is_standard && is_url)
}
