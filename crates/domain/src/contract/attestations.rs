//! Attestations: the five kinds of places that claims can come from.
//!
//! Owns the typed form and the reading of `rules.attestations`. It must not look at claim values.
//! Source: Entra Verified ID, rules and display definitions model; what wallets refuse comes from their libraries.

use std::collections::BTreeSet;

use serde_json::Value;

use super::mapping::{AttestationKind, MAX_CLAIMS, Mapping};
use super::reader::{Reader, check_https, text_of};
use super::report::{Path, Report, quoted};

/// The configuration that stands for a hint where an OpenID provider's address would stand.
pub const SELF_ISSUED: &str = "https://self-issued.me";

pub(super) const ATTESTATION_KINDS: &[&str] =
    &["idTokenHints", "idTokens", "presentations", "selfIssued", "accessTokens"];
pub(super) const HINT_MEMBERS: &[&str] = &["mapping", "required", "trustedIssuers"];
pub(super) const ID_TOKEN_MEMBERS: &[&str] =
    &["mapping", "configuration", "clientId", "redirectUri", "scope", "required", "trustedIssuers"];
pub(super) const PRESENTATION_MEMBERS: &[&str] =
    &["mapping", "credentialType", "required", "trustedIssuers", "contracts"];
pub(super) const SELF_ISSUED_MEMBERS: &[&str] = &["mapping", "required"];
pub(super) const ACCESS_TOKEN_MEMBERS: &[&str] = &["mapping", "required"];

const MAPPING_EXPECTED: &str = "an array of {inputClaim, outputClaim, indexed, required, type}";
const DISCOVERY_EXPECTED: &str =
    "the https address of the provider's discovery document (…/.well-known/openid-configuration)";

/// `rules.attestations`: at least one of them is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attestations {
    /// Claims that the front end gives; one entry at most, because a wallet sends one hint.
    pub id_token_hints: Option<IdTokenHint>,
    /// Claims of OpenID providers.
    pub id_tokens: Vec<IdToken>,
    /// Claims of other credentials.
    pub presentations: Vec<Presentation>,
    /// Claims that the person types.
    pub self_issued: Option<SelfIssued>,
    /// Directory attributes.
    pub access_tokens: Vec<AccessToken>,
}

/// An entry of `idTokenHints`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdTokenHint {
    /// The claims.
    pub mapping: Vec<Mapping>,
    /// As submitted; wallets want every attestation that is listed, whatever this says.
    pub required: bool,
    /// As submitted; the hint is always our own.
    pub trusted_issuers: Vec<String>,
}

/// An entry of `idTokens`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdToken {
    /// The claims.
    pub mapping: Vec<Mapping>,
    /// Address of the provider's discovery document.
    pub configuration: String,
    /// The wallet's client id at the provider.
    pub client_id: String,
    /// `vcclient://openid/` with or without the last slash.
    pub redirect_uri: String,
    /// OAuth scopes; wallets take `openid` when absent.
    pub scope: Option<String>,
    /// Whether the wallet has to give it.
    pub required: bool,
    /// Issuers whose tokens count.
    pub trusted_issuers: Vec<String>,
}

/// An entry of `presentations`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presentation {
    /// The claims; may be empty when only having the credential counts.
    pub mapping: Vec<Mapping>,
    /// Type of the credential that is asked for.
    pub credential_type: String,
    /// Whether the wallet has to give it.
    pub required: bool,
    /// DIDs whose credentials count; our own when empty.
    pub trusted_issuers: Vec<String>,
    /// Manifest addresses where such a credential can be had.
    pub contracts: Vec<String>,
}

/// `selfIssued`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfIssued {
    /// The claims.
    pub mapping: Vec<Mapping>,
    /// Whether the wallet has to give it.
    pub required: bool,
}

/// An entry of `accessTokens`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// The claims.
    pub mapping: Vec<Mapping>,
    /// Whether the wallet has to give it.
    pub required: bool,
}

impl Attestations {
    pub(super) fn read(value: &Value, at: &Path<'_>, report: &mut Report) -> Option<Self> {
        let kinds = Reader::open(value, at, ATTESTATION_KINDS, report)?;
        let entries = "an array of objects";
        let hints_at = at.member("idTokenHints");
        let hints = kinds.optional_list("idTokenHints", entries, report);
        let mut read_hints = read_each(hints, &hints_at, report, read_hint);
        if hints.len() > 1 {
            report.error(
                &hints_at,
                format!(
                    "has {} entries, but a wallet sends one hint; expected one entry with all mappings",
                    hints.len()
                ),
            );
        }
        let id_tokens_at = at.member("idTokens");
        let id_tokens =
            read_each(kinds.optional_list("idTokens", entries, report), &id_tokens_at, report, read_id_token);
        let presentations_at = at.member("presentations");
        let presentations = read_each(
            kinds.optional_list("presentations", entries, report),
            &presentations_at,
            report,
            read_presentation,
        );
        let self_issued = read_self_issued(&kinds, &at.member("selfIssued"), report);
        let access_tokens = read_each(
            kinds.optional_list("accessTokens", entries, report),
            &at.member("accessTokens"),
            report,
            read_access_token,
        );
        // A wallet answers with maps from configuration and from credential type.
        let configurations = id_tokens.iter().map(|(index, entry)| (*index, entry.configuration.as_str()));
        refuse_twice(configurations, &id_tokens_at, "configuration", report);
        let types = presentations.iter().map(|(index, entry)| (*index, entry.credential_type.as_str()));
        refuse_twice(types, &presentations_at, "credentialType", report);
        let read = Self {
            id_token_hints: read_hints.pop().map(|(_, hint)| hint),
            id_tokens: id_tokens.into_iter().map(|(_, entry)| entry).collect(),
            presentations: presentations.into_iter().map(|(_, entry)| entry).collect(),
            self_issued,
            access_tokens: access_tokens.into_iter().map(|(_, entry)| entry).collect(),
        };
        if ATTESTATION_KINDS.iter().all(|kind| is_nothing(kinds.get(kind))) {
            report.error(at, "names no attestation; expected idTokenHints or selfIssued with a mapping");
        }
        check_outputs(&read, at, report);
        Some(read)
    }

    /// Every line of every mapping, in the order of the kinds.
    pub fn mappings(&self) -> impl Iterator<Item = &Mapping> {
        let hints = self.id_token_hints.iter().flat_map(|entry| &entry.mapping);
        let id_tokens = self.id_tokens.iter().flat_map(|entry| &entry.mapping);
        let presentations = self.presentations.iter().flat_map(|entry| &entry.mapping);
        let self_issued = self.self_issued.iter().flat_map(|entry| &entry.mapping);
        let access_tokens = self.access_tokens.iter().flat_map(|entry| &entry.mapping);
        hints.chain(id_tokens).chain(presentations).chain(self_issued).chain(access_tokens)
    }

    /// The kinds that the contract asks for.
    #[must_use]
    pub fn kinds(&self) -> Vec<AttestationKind> {
        [
            (AttestationKind::IdTokenHints, self.id_token_hints.is_some()),
            (AttestationKind::IdTokens, !self.id_tokens.is_empty()),
            (AttestationKind::Presentations, !self.presentations.is_empty()),
            (AttestationKind::SelfIssued, self.self_issued.is_some()),
            (AttestationKind::AccessTokens, !self.access_tokens.is_empty()),
        ]
        .into_iter()
        .filter_map(|(kind, is_there)| is_there.then_some(kind))
        .collect()
    }
}

/// Absent, `null` or an empty array, as the Admin API's answers write a kind that is not used.
fn is_nothing(value: Option<&Value>) -> bool {
    value.is_none_or(|value| value.as_array().is_some_and(Vec::is_empty))
}

/// Reads every entry of an array; entries with errors are left out, so the position is kept beside each.
fn read_each<T>(
    items: &[Value],
    at: &Path<'_>,
    report: &mut Report,
    read: fn(&Value, &Path<'_>, &mut Report) -> Option<T>,
) -> Vec<(usize, T)> {
    items
        .iter()
        .enumerate()
        .filter_map(|(index, item)| read(item, &at.index(index), report).map(|entry| (index, entry)))
        .collect()
}

fn refuse_twice<'t>(
    entries: impl Iterator<Item = (usize, &'t str)>,
    at: &Path<'_>,
    member: &str,
    report: &mut Report,
) {
    let mut seen = BTreeSet::new();
    for (index, value) in entries {
        if !seen.insert(value) {
            report.error(
                &at.index(index).member(member),
                format!(
                    "is {} once more; wallets can answer only one entry of each, so join the mappings",
                    quoted(value)
                ),
            );
        }
    }
}

fn read_hint(value: &Value, at: &Path<'_>, report: &mut Report) -> Option<IdTokenHint> {
    let entry = Reader::open(value, at, HINT_MEMBERS, report)?;
    let mapping = read_mapping(&entry, at, AttestationKind::IdTokenHints, report);
    let required = entry.flag("required", report);
    let trusted_issuers = read_issuers(&entry, at, AttestationKind::IdTokenHints, report);
    Some(IdTokenHint { mapping: mapping?, required, trusted_issuers })
}

fn read_id_token(value: &Value, at: &Path<'_>, report: &mut Report) -> Option<IdToken> {
    let entry = Reader::open(value, at, ID_TOKEN_MEMBERS, report)?;
    let mapping = read_mapping(&entry, at, AttestationKind::IdTokens, report);
    let configuration_at = at.member("configuration");
    let configuration = entry.text("configuration", DISCOVERY_EXPECTED, report);
    if let Some(text) = configuration {
        if text.trim_end_matches('/') == SELF_ISSUED {
            report.error(
                &configuration_at,
                format!("is {SELF_ISSUED}, which stands for a hint; expected the mapping under idTokenHints"),
            );
        } else {
            check_https(text, &configuration_at, DISCOVERY_EXPECTED, report);
        }
    }
    let client_id = entry.text("clientId", "the wallet's client id at the provider", report);
    let redirect_uri = entry.text("redirectUri", "\"vcclient://openid/\"", report);
    if let Some(text) = redirect_uri.filter(|text| text.trim_end_matches('/') != "vcclient://openid") {
        report.error(
            &at.member("redirectUri"),
            format!("is {}; wallets listen only at \"vcclient://openid/\"", quoted(text)),
        );
    }
    let scope = entry.optional_text("scope", "OAuth scopes such as \"openid profile\"", report);
    let required = entry.flag("required", report);
    let trusted_issuers = read_issuers(&entry, at, AttestationKind::IdTokens, report);
    Some(IdToken {
        mapping: mapping?,
        configuration: configuration?.to_owned(),
        client_id: client_id?.to_owned(),
        redirect_uri: redirect_uri?.to_owned(),
        scope: scope.map(str::to_owned),
        required,
        trusted_issuers,
    })
}

fn read_presentation(value: &Value, at: &Path<'_>, report: &mut Report) -> Option<Presentation> {
    let entry = Reader::open(value, at, PRESENTATION_MEMBERS, report)?;
    let mapping_at = at.member("mapping");
    let mapping = read_lines(
        entry.optional_list("mapping", MAPPING_EXPECTED, report),
        &mapping_at,
        AttestationKind::Presentations,
        report,
    );
    let credential_type = entry.text(
        "credentialType",
        "the type of the credential to present, such as \"StudentCard\"",
        report,
    );
    let required = entry.flag("required", report);
    let trusted_issuers = read_issuers(&entry, at, AttestationKind::Presentations, report);
    let contracts_at = at.member("contracts");
    let expected = "the https address of a manifest";
    let mut contracts = Vec::new();
    for (index, item) in
        entry.optional_list("contracts", "an array of manifest addresses", report).iter().enumerate()
    {
        let at = contracts_at.index(index);
        if let Some(text) = text_of(item, &at, expected, report) {
            check_https(text, &at, expected, report);
            contracts.push(text.to_owned());
        }
    }
    Some(Presentation {
        mapping,
        credential_type: credential_type?.to_owned(),
        required,
        trusted_issuers,
        contracts,
    })
}

/// An object in every contract seen; the Admin API's reference says array, so an array of one is read as well.
fn read_self_issued(kinds: &Reader<'_>, at: &Path<'_>, report: &mut Report) -> Option<SelfIssued> {
    match kinds.get("selfIssued")? {
        Value::Array(items) => match items.as_slice() {
            [] => None,
            [only] => read_self_issued_entry(only, &at.index(0), report),
            more => {
                report.error(at, format!("has {} entries; expected one object", more.len()));
                None
            }
        },
        object => read_self_issued_entry(object, at, report),
    }
}

fn read_self_issued_entry(value: &Value, at: &Path<'_>, report: &mut Report) -> Option<SelfIssued> {
    let entry = Reader::open(value, at, SELF_ISSUED_MEMBERS, report)?;
    let mapping = read_mapping(&entry, at, AttestationKind::SelfIssued, report);
    let required = entry.flag("required", report);
    Some(SelfIssued { mapping: mapping?, required })
}

fn read_access_token(value: &Value, at: &Path<'_>, report: &mut Report) -> Option<AccessToken> {
    let entry = Reader::open(value, at, ACCESS_TOKEN_MEMBERS, report)?;
    let mapping = read_mapping(&entry, at, AttestationKind::AccessTokens, report);
    let required = entry.flag("required", report);
    Some(AccessToken { mapping: mapping?, required })
}

fn read_mapping(
    entry: &Reader<'_>,
    at: &Path<'_>,
    source: AttestationKind,
    report: &mut Report,
) -> Option<Vec<Mapping>> {
    let lines = entry.list("mapping", MAPPING_EXPECTED, report)?;
    Some(read_lines(lines, &at.member("mapping"), source, report))
}

fn read_lines(items: &[Value], at: &Path<'_>, source: AttestationKind, report: &mut Report) -> Vec<Mapping> {
    let mut lines = Vec::new();
    for (index, item) in items.iter().enumerate() {
        if let Some(line) = Mapping::read(item, &at.index(index), source, report) {
            lines.push(line);
        }
    }
    lines
}

fn read_issuers(
    entry: &Reader<'_>,
    at: &Path<'_>,
    source: AttestationKind,
    report: &mut Report,
) -> Vec<String> {
    // Credentials are issued by DIDs, tokens by DIDs or by OpenID providers.
    let (expected, takes_urls) = match source {
        AttestationKind::Presentations => ("a DID such as \"did:web:issuer.example\"", false),
        _ => ("a DID or an issuer's https address", true),
    };
    let list_at = at.member("trustedIssuers");
    let mut issuers = Vec::new();
    for (index, item) in
        entry.optional_list("trustedIssuers", "an array of issuers", report).iter().enumerate()
    {
        let at = list_at.index(index);
        let Some(text) = text_of(item, &at, expected, report) else { continue };
        if is_did(text) {
            issuers.push(text.to_owned());
        } else if takes_urls {
            if check_https(text, &at, expected, report) {
                issuers.push(text.to_owned());
            }
        } else {
            report.error(&at, format!("is {}; expected {expected}", quoted(text)));
        }
    }
    issuers
}

/// `did:method:specific` (DID Core, section 3.1), without fragment or query.
fn is_did(text: &str) -> bool {
    let mut parts = text.splitn(3, ':');
    parts.next() == Some("did")
        && parts.next().is_some_and(|method| {
            !method.is_empty() && method.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        })
        && parts.next().is_some_and(|id| {
            !id.is_empty()
                && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%'))
        })
}

/// Rules over all mappings together: not too many, every output once, one index at most.
fn check_outputs(attestations: &Attestations, at: &Path<'_>, report: &mut Report) {
    let count = attestations.mappings().count();
    if count > MAX_CLAIMS {
        report.error(at, format!("maps {count} claims; expected at most {MAX_CLAIMS}"));
    }
    let mut outputs = BTreeSet::new();
    let mut index: Option<&Mapping> = None;
    for line in attestations.mappings() {
        if !outputs.insert(line.output_claim.as_str()) {
            report.error_at(
                format!("{}.outputClaim", line.path),
                format!(
                    "is {} once more; expected each claim of the credential to come from one place",
                    quoted(&line.output_claim)
                ),
            );
        }
        if line.indexed {
            match index {
                None => index = Some(line),
                Some(first) => report.error_at(
                    format!("{}.indexed", line.path),
                    format!("is true, but {} is indexed already; expected one index claim", first.path),
                ),
            }
        }
    }
}
