//! Displays of a contract: how a wallet shows the credential, one display for each language.
//!
//! Owns the typed form and the reading of `displays`. It must not know rules; what relates the two is advice.
//! Source: Entra Verified ID, rules and display definitions model; required members as the wallets' decoders want them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::claims::is_base64_text;
use super::locale::Locale;
use super::mapping::{ClaimKind, MAX_CLAIMS};
use super::reader::{Reader, check_https, type_name};
use super::report::{Path, Report, nearest, quoted};

/// Most displays of one contract: each is a signature when the contract is applied.
pub const MAX_DISPLAYS: usize = 50;

/// What stands in front of a claim's name in a display.
pub const CLAIM_PREFIX: &str = "vc.credentialSubject.";

pub(super) const DISPLAY_MEMBERS: &[&str] = &["locale", "card", "consent", "claims"];
pub(super) const CARD_MEMBERS: &[&str] =
    &["title", "issuedBy", "description", "backgroundColor", "textColor", "logo"];
pub(super) const LOGO_MEMBERS: &[&str] = &["uri", "description", "image"];
pub(super) const CONSENT_MEMBERS: &[&str] = &["title", "instructions"];
pub(super) const CLAIM_MEMBERS: &[&str] = &["claim", "label", "type", "description"];

/// One entry of `displays`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Display {
    /// The language of its texts.
    pub locale: Locale,
    /// The card.
    pub card: Card,
    /// What the person agrees to.
    pub consent: Consent,
    /// Labels of claims, in the order of the file.
    pub claims: Vec<DisplayClaim>,
}

/// The card as a wallet draws it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Name of the credential.
    pub title: String,
    /// Name of the issuer.
    pub issued_by: String,
    /// One or two sentences.
    pub description: String,
    /// Behind the text.
    pub background_color: Color,
    /// Of the text.
    pub text_color: Color,
    /// A picture.
    pub logo: Option<Logo>,
}

/// The card's picture; at least one of `uri` and `image` is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logo {
    /// An https address or a `data:image/…;base64,` URI.
    pub uri: Option<String>,
    /// Alternative text for those who cannot see it.
    pub description: Option<String>,
    /// The picture itself in base64.
    pub image: Option<String>,
}

/// What the person agrees to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// Heading.
    pub title: Option<String>,
    /// Text.
    pub instructions: String,
}

/// The label of one claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisplayClaim {
    /// The claim's name in `credentialSubject`, without [`CLAIM_PREFIX`].
    pub output_claim: String,
    /// What the wallet writes beside the value.
    pub label: String,
    /// How the wallet shows the value.
    pub kind: ClaimKind,
    /// More about it.
    pub description: Option<String>,
}

/// `#RRGGBB`, with the spelling that was submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Color {
    text: String,
    rgb: [u8; 3],
}

impl Color {
    /// Reads `#` and six hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?;
        if digits.len() != 6 || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
        let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
        Some(Self { text: text.to_owned(), rgb: [red, green, blue] })
    }

    /// As submitted.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Contrast with another colour, from 1 to 21 (WCAG 2.1, "contrast ratio").
    #[must_use]
    pub fn contrast(&self, other: &Self) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// Relative luminance of an sRGB colour (WCAG 2.1).
    fn luminance(&self) -> f64 {
        let [red, green, blue] = self.rgb.map(|channel| {
            let share = f64::from(channel) / 255.0;
            if share <= 0.040_45 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        });
        0.2126_f64.mul_add(red, 0.7152_f64.mul_add(green, 0.0722 * blue))
    }
}

impl Display {
    /// The label of a claim of the credential.
    #[must_use]
    pub fn label(&self, output_claim: &str) -> Option<&str> {
        self.claims.iter().find(|claim| claim.output_claim == output_claim).map(|claim| claim.label.as_str())
    }

    pub(super) fn read(value: &Value, at: &Path<'_>, report: &mut Report) -> Option<Self> {
        let display = Reader::open(value, at, DISPLAY_MEMBERS, report)?;
        let locale = display
            .text("locale", "a language tag such as \"en-US\"", report)
            .and_then(|text| read_locale(text, &at.member("locale"), report));
        let card = display
            .required("card", "an object with title, issuedBy, description and colours", report)
            .and_then(|value| read_card(value, &at.member("card"), report));
        let consent = display
            .required("consent", "an object with instructions", report)
            .and_then(|value| read_consent(value, &at.member("consent"), report));
        let claims = read_claims(&display, &at.member("claims"), report);
        Some(Self { locale: locale?, card: card?, consent: consent?, claims: claims? })
    }
}

/// Reads all displays: the first one, which is the fallback, and the others.
pub(super) fn read_displays(
    value: &Value,
    at: &Path<'_>,
    report: &mut Report,
) -> Option<(Display, Vec<Display>)> {
    let expected = "an array with one display for each language";
    let Value::Array(items) = value else {
        report.error(at, format!("is {}; expected {expected}", type_name(value)));
        return None;
    };
    if items.is_empty() {
        report.error(at, format!("is empty; expected {expected}"));
        return None;
    }
    if items.len() > MAX_DISPLAYS {
        report.error(at, format!("has {} entries; expected at most {MAX_DISPLAYS}", items.len()));
        return None;
    }
    let mut seen = BTreeSet::new();
    let mut displays = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let at = at.index(index);
        let Some(display) = Display::read(item, &at, report) else { continue };
        if !seen.insert(display.locale.as_str().to_ascii_lowercase()) {
            report.error(
                &at.member("locale"),
                format!(
                    "is {} once more; expected one display for each language (letter case does not count)",
                    quoted(display.locale.as_str())
                ),
            );
        }
        displays.push(display);
    }
    let mut displays = displays.into_iter();
    let first = displays.next()?;
    Some((first, displays.collect()))
}

fn read_locale(text: &str, at: &Path<'_>, report: &mut Report) -> Option<Locale> {
    match Locale::parse(text) {
        Ok(locale) => Some(locale),
        Err(invalid) => {
            // `en_US` is how many other systems write it.
            let meant = text.replace('_', "-");
            let hint = match Locale::parse(&meant) {
                Ok(_) if meant != text => format!(" (did you mean {}?)", quoted(&meant)),
                _ => String::new(),
            };
            report.error(at, format!("is {}{hint}, which {invalid}", quoted(text)));
            None
        }
    }
}

fn read_card(value: &Value, at: &Path<'_>, report: &mut Report) -> Option<Card> {
    let card = Reader::open(value, at, CARD_MEMBERS, report)?;
    let title = card.text("title", "the credential's name", report);
    let issued_by = card.text("issuedBy", "the issuer's name", report);
    let description = card.text("description", "a sentence about the credential", report);
    let background_color = read_color(&card, "backgroundColor", at, report);
    let text_color = read_color(&card, "textColor", at, report);
    let logo = match card.get("logo") {
        None => None,
        Some(value) => Some(read_logo(value, &at.member("logo"), report)?),
    };
    Some(Card {
        title: title?.to_owned(),
        issued_by: issued_by?.to_owned(),
        description: description?.to_owned(),
        background_color: background_color?,
        text_color: text_color?,
        logo,
    })
}

fn read_color(card: &Reader<'_>, name: &'static str, at: &Path<'_>, report: &mut Report) -> Option<Color> {
    let expected = "a colour written #RRGGBB, such as \"#1F4E79\"";
    let text = card.text(name, expected, report)?;
    let color = Color::parse(text);
    if color.is_none() {
        report.error(&at.member(name), format!("is {}; expected {expected}", quoted(text)));
    }
    color
}

fn read_logo(value: &Value, at: &Path<'_>, report: &mut Report) -> Option<Logo> {
    let logo = Reader::open(value, at, LOGO_MEMBERS, report)?;
    let expected = "an https address or \"data:image/png;base64,…\"";
    let uri = logo.optional_text("uri", expected, report);
    if let Some(text) = uri {
        let at = at.member("uri");
        if text.starts_with("data:") {
            if !is_data_image(text) {
                report.error(&at, format!("is {}; expected {expected}", quoted(text)));
            }
        } else {
            check_https(text, &at, expected, report);
        }
    }
    let description = logo.optional_text("description", "what the picture shows, in words", report);
    let image = logo.optional_text("image", "a picture in base64", report);
    if let Some(text) = image.filter(|text| !is_base64_text(text) && !is_data_image(text)) {
        report.error(&at.member("image"), format!("is {}; expected a picture in base64", quoted(text)));
    }
    if logo.get("uri").is_none() && logo.get("image").is_none() {
        report.error(at, format!("has neither uri nor image; expected a uri: {expected}"));
        return None;
    }
    Some(Logo {
        uri: uri.map(str::to_owned),
        description: description.map(str::to_owned),
        image: image.map(str::to_owned),
    })
}

/// `data:image/<format>;base64,<text>` (RFC 2397).
fn is_data_image(text: &str) -> bool {
    text.strip_prefix("data:image/")
        .and_then(|rest| rest.split_once(";base64,"))
        .is_some_and(|(format, data)| !format.is_empty() && !format.contains(',') && is_base64_text(data))
}

fn read_consent(value: &Value, at: &Path<'_>, report: &mut Report) -> Option<Consent> {
    let consent = Reader::open(value, at, CONSENT_MEMBERS, report)?;
    let title = consent.optional_text("title", "a heading", report);
    let instructions = consent.text("instructions", "what the person agrees to, in a sentence", report);
    Some(Consent { title: title.map(str::to_owned), instructions: instructions?.to_owned() })
}

fn read_claims(display: &Reader<'_>, at: &Path<'_>, report: &mut Report) -> Option<Vec<DisplayClaim>> {
    let expected = "an array of {claim, label, type}";
    let items = match display.required("claims", expected, report)? {
        Value::Array(items) => items,
        other => {
            report.error(at, format!("is {}; expected {expected}", type_name(other)));
            return None;
        }
    };
    if items.len() > MAX_CLAIMS {
        report.error(at, format!("has {} entries; expected at most {MAX_CLAIMS}", items.len()));
        return None;
    }
    let mut seen = BTreeSet::new();
    let mut claims = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let at = at.index(index);
        let Some(claim) = read_claim(item, &at, report) else { continue };
        if !seen.insert(claim.output_claim.clone()) {
            report.error(
                &at.member("claim"),
                format!("is {} once more; expected one label for each claim", quoted(&claim.output_claim)),
            );
        }
        claims.push(claim);
    }
    Some(claims)
}

fn read_claim(value: &Value, at: &Path<'_>, report: &mut Report) -> Option<DisplayClaim> {
    let claim = Reader::open(value, at, CLAIM_MEMBERS, report)?;
    let name = claim
        .text("claim", "\"vc.credentialSubject.<outputClaim>\"", report)
        .and_then(|text| read_claim_name(text, &at.member("claim"), report));
    let label = claim.text("label", "what the wallet writes beside the value", report);
    let kind = claim
        .text("type", "\"String\", \"Date\" or \"image/jpg;base64url\"", report)
        .and_then(|text| ClaimKind::read(text, &at.member("type"), report));
    let description = claim.optional_text("description", "a sentence about the claim", report);
    Some(DisplayClaim {
        output_claim: name?.to_owned(),
        label: label?.to_owned(),
        kind: kind?,
        description: description.map(str::to_owned),
    })
}

fn read_claim_name<'v>(text: &'v str, at: &Path<'_>, report: &mut Report) -> Option<&'v str> {
    let name = text.strip_prefix(CLAIM_PREFIX).filter(|name| !name.is_empty() && name.trim() == *name);
    if name.is_none() {
        // The bare name, or a misspelt prefix in front of it.
        let bare = text.rsplit('.').next().unwrap_or(text).trim();
        let is_close = text == bare
            || text.rsplit_once('.').is_some_and(|(front, _)| {
                nearest(front, &["vc.credentialSubject", "credentialSubject"]).is_some()
            });
        let hint = if is_close && !bare.is_empty() {
            format!(" (did you mean {}?)", quoted(&format!("{CLAIM_PREFIX}{bare}")))
        } else {
            String::new()
        };
        report
            .error(at, format!("is {}{hint}; expected \"{CLAIM_PREFIX}\" and the outputClaim", quoted(text)));
    }
    name
}
