//! Advice on a contract that is right but could be better: data minimisation, findability, accessibility, and what
//! wallets make of it.
//!
//! It must not refuse anything: whoever applies a contract may have reasons.

use std::collections::{BTreeMap, BTreeSet};

use super::Contract;
use super::display::{CLAIM_PREFIX, Display};
use super::mapping::{AttestationKind, Mapping};
use super::report::{Finding, MAX_FINDINGS, quoted};

/// A validity above this is advised against, in seconds: 366 days.
const LONG_VALIDITY_SECS: i64 = 31_622_400;

/// Contrast of text that people with low vision can read (WCAG 2.1, success criterion 1.4.3, level AA).
const MIN_CONTRAST: f64 = 4.5;

/// Characters that the iOS wallet leaves alone in an address; it percent-encodes all others, `&` included.
const SAFE_URL_CHARACTERS: &str = ":-._~/?%=";

/// A group of claim names that carry more than most verifiers need, and what to do instead.
struct Excess {
    /// Names that match as a whole.
    names: &'static [&'static str],
    /// Parts that match anywhere in a name.
    parts: &'static [&'static str],
    advice: &'static str,
    /// Values that can be guessed from a hash by trying all of them.
    is_guessable: bool,
}

const EXCESSES: &[Excess] = &[
    Excess {
        names: &["dob"],
        parts: &["birthdate", "dateofbirth", "birthday", "geburtsdatum"],
        advice: "carries a full birth date; where verifiers ask for an age, a claim such as \"over18\" says enough",
        is_guessable: true,
    },
    Excess {
        names: &["ssn", "nin", "nino", "pesel", "cpf", "bsn"],
        parts: &[
            "socialsecurity",
            "nationalid",
            "nationalinsurance",
            "personalnumber",
            "personnummer",
            "taxid",
            "taxnumber",
            "passportn",
            "driverlicen",
            "driverslicen",
            "identitycardn",
            "idcardn",
        ],
        advice: "carries an official number that links the person across all verifiers; an identifier of your own says enough",
        is_guessable: true,
    },
    Excess {
        names: &["race", "sex", "health"],
        parts: &[
            "religion",
            "ethnic",
            "gender",
            "orientation",
            "diagnos",
            "disabilit",
            "bloodtype",
            "political",
            "nationality",
        ],
        advice: "carries a sensitive attribute of the person; leave it out unless every verifier needs it",
        is_guessable: true,
    },
    Excess {
        names: &["address", "street", "mobile", "phone"],
        parts: &["streetaddress", "homeaddress", "postaladdress", "phonenumber", "mobilenumber"],
        advice: "carries private contact details, which change and which few verifiers need; leave it out or give the country or town only",
        is_guessable: false,
    },
];

const FULL_NAMES: &[&str] = &["name", "fullname", "displayname", "commonname", "legalname"];
const NAME_PARTS: &[&str] =
    &["givenname", "firstname", "forename", "familyname", "lastname", "surname", "middlename"];

impl Contract {
    /// What would make this contract better; empty when nothing comes to mind. At most [`MAX_FINDINGS`].
    #[must_use]
    pub fn advise(&self) -> Vec<Finding> {
        let mut advice = Vec::new();
        self.advise_on_excess(&mut advice);
        self.advise_on_names(&mut advice);
        self.advise_on_index(&mut advice);
        self.advise_on_validity(&mut advice);
        self.advise_on_wallets(&mut advice);
        for (position, display) in self.displays().enumerate() {
            let at = format!("$.displays[{position}]");
            advise_on_card(display, &at, &mut advice);
            self.advise_on_labels(display, &at, &mut advice);
        }
        advice.truncate(MAX_FINDINGS);
        advice
    }

    fn advise_on_excess(&self, advice: &mut Vec<Finding>) {
        for line in self.rules().attestations.mappings() {
            let at = || format!("{}.outputClaim", line.path);
            if let Some(excess) = excess_of(line) {
                advice
                    .push(Finding::advice(at(), format!("{} {}", quoted(&line.output_claim), excess.advice)));
            }
            if line.kind.is_image() {
                advice.push(Finding::advice(
                    at(),
                    format!(
                        "{} carries a picture, which makes the credential large and recognises the person everywhere; keep it only where verifiers look at it",
                        quoted(&line.output_claim)
                    ),
                ));
            }
        }
    }

    fn advise_on_names(&self, advice: &mut Vec<Finding>) {
        let lines: Vec<(&Mapping, String)> =
            self.rules().attestations.mappings().map(|line| (line, fold(&line.output_claim))).collect();
        let mut full = lines.iter().filter(|(_, name)| FULL_NAMES.contains(&name.as_str()));
        let Some((first, _)) = full.next() else { return };
        let other =
            full.next().or_else(|| lines.iter().find(|(_, name)| NAME_PARTS.contains(&name.as_str())));
        if let Some((other, _)) = other {
            advice.push(Finding::advice(
                format!("{}.outputClaim", first.path),
                format!(
                    "{} and {} carry the person's name in several forms; one form is enough",
                    quoted(&first.output_claim),
                    quoted(&other.output_claim)
                ),
            ));
        }
    }

    fn advise_on_index(&self, advice: &mut Vec<Finding>) {
        let Some(line) = self.index_claim() else {
            advice.push(Finding::advice(
                "$.rules.attestations",
                "has no index claim, so nobody can find a credential by a value, for example to revoke it; set indexed to true on the claim by which you know the person, such as an employee number",
            ));
            return;
        };
        if !line.required {
            advice.push(Finding::advice(
                format!("{}.required", line.path),
                format!(
                    "{} is the index claim but not required; credentials without it cannot be found",
                    quoted(&line.output_claim)
                ),
            ));
        }
        if excess_of(line).is_some_and(|excess| excess.is_guessable) {
            advice.push(Finding::advice(
                format!("{}.indexed", line.path),
                format!(
                    "{} is the index claim, but there are so few possible values that a hash does not hide them; index an identifier of your own",
                    quoted(&line.output_claim)
                ),
            ));
        }
    }

    fn advise_on_validity(&self, advice: &mut Vec<Finding>) {
        let secs = self.rules().validity_interval_secs;
        if secs > LONG_VALIDITY_SECS {
            advice.push(Finding::advice(
                "$.rules.validityInterval",
                format!(
                    "lets a credential live for {} days; what it says gets old and its key has to stay published as long, so prefer at most a year and issue again",
                    secs / 86_400
                ),
            ));
        }
    }

    fn advise_on_wallets(&self, advice: &mut Vec<Finding>) {
        let attestations = &self.rules().attestations;
        if self.accepts_hint() && !self.accepts_pin() {
            advice.push(Finding::advice(
                "$.rules.attestations",
                "asks for more than idTokenHints, so a request cannot use a PIN: wallets break on a PIN beside another attestation",
            ));
        }
        for line in attestations.self_issued.iter().flat_map(|entry| &entry.mapping) {
            if line.input_name() != line.output_claim {
                advice.push(Finding::advice(
                    format!("{}.inputClaim", line.path),
                    format!(
                        "is {} but the outputClaim is {}; wallets find the label of the field to fill in only when both are the same",
                        quoted(line.input_name()),
                        quoted(&line.output_claim)
                    ),
                ));
            }
        }
        let name = AttestationKind::IdTokens.name();
        for (position, entry) in attestations.id_tokens.iter().enumerate() {
            advise_on_url(
                &entry.configuration,
                || format!("$.rules.attestations.{name}[{position}].configuration"),
                advice,
            );
        }
        let name = AttestationKind::Presentations.name();
        for (position, entry) in attestations.presentations.iter().enumerate() {
            for (contract, url) in entry.contracts.iter().enumerate() {
                let at = || format!("$.rules.attestations.{name}[{position}].contracts[{contract}]");
                advise_on_url(url, at, advice);
            }
        }
    }

    fn advise_on_labels(&self, display: &Display, at: &str, advice: &mut Vec<Finding>) {
        let mapped: BTreeMap<&str, &Mapping> =
            self.rules().attestations.mappings().map(|line| (line.output_claim.as_str(), line)).collect();
        let mut labelled = BTreeSet::new();
        for (position, claim) in display.claims.iter().enumerate() {
            labelled.insert(claim.output_claim.as_str());
            match mapped.get(claim.output_claim.as_str()) {
                None => advice.push(Finding::advice(
                    format!("{at}.claims[{position}].claim"),
                    format!(
                        "labels {}, which no mapping has as outputClaim; the label is never shown",
                        quoted(&claim.output_claim)
                    ),
                )),
                Some(line) if line.kind != claim.kind => advice.push(Finding::advice(
                    format!("{at}.claims[{position}].type"),
                    format!(
                        "is \"{}\", but {}.type is \"{}\"; expected the same",
                        claim.kind, line.path, line.kind
                    ),
                )),
                Some(_) => {}
            }
        }
        for name in mapped.keys().filter(|name| !labelled.contains(*name)) {
            advice.push(Finding::advice(
                format!("{at}.claims"),
                format!(
                    "has no label for {}; wallets then show the bare name or nothing (add {{\"claim\": \"{CLAIM_PREFIX}…\"}})",
                    quoted(name)
                ),
            ));
        }
    }
}

fn advise_on_card(display: &Display, at: &str, advice: &mut Vec<Finding>) {
    let card = &display.card;
    let contrast = card.background_color.contrast(&card.text_color);
    if contrast < MIN_CONTRAST {
        advice.push(Finding::advice(
            format!("{at}.card.textColor"),
            format!(
                "has a contrast of {contrast:.1}:1 to backgroundColor; people with low vision need {MIN_CONTRAST}:1 (WCAG 2.1 AA)"
            ),
        ));
    }
    let Some(logo) = &card.logo else { return };
    if logo.description.is_none() {
        advice.push(Finding::advice(
            format!("{at}.card.logo.description"),
            "is missing; screen readers read it out in place of the picture",
        ));
    }
    if let Some(uri) = logo.uri.as_deref().filter(|uri| !uri.starts_with("data:")) {
        advise_on_url(uri, || format!("{at}.card.logo.uri"), advice);
    }
}

fn advise_on_url(url: &str, at: impl Fn() -> String, advice: &mut Vec<Finding>) {
    let odd = url.chars().find(|c| !c.is_ascii_alphanumeric() && !SAFE_URL_CHARACTERS.contains(*c));
    if let Some(odd) = odd {
        advice.push(Finding::advice(
            at(),
            format!(
                "has a {odd:?}, which the iOS wallet percent-encodes and so breaks the address; letters, digits and {SAFE_URL_CHARACTERS} are safe"
            ),
        ));
    }
}

fn excess_of(line: &Mapping) -> Option<&'static Excess> {
    let name = fold(&line.output_claim);
    EXCESSES.iter().find(|excess| {
        excess.names.contains(&name.as_str()) || excess.parts.iter().any(|part| name.contains(part))
    })
}

/// `date_of_birth`, `dateOfBirth` and `Date Of Birth` are the same name.
fn fold(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
