//! Language tags, and which of several displays a reader of certain languages gets.
//!
//! Source: BCP 47 (RFC 5646) for the shape, RFC 9110 section 12.5.4 for `Accept-Language`, RFC 4647 section 3.4 for
//! falling back from a longer tag to a shorter one.

use std::fmt;

/// Longest tag, in bytes.
pub const MAX_LOCALE_BYTES: usize = 35;

/// Language ranges of a header that are looked at; more than browsers send, so that hostile headers cost little.
const MAX_RANGES: usize = 32;

/// The text is not a language tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a language tag; expected one such as \"en-US\" or \"de\" (BCP 47)")]
pub struct InvalidLocale;

/// A language tag of the shape that BCP 47 asks for, with the spelling that was submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locale(String);

impl Locale {
    /// Checks the shape: a primary language of 2 to 8 letters, then subtags of 1 to 8 letters or digits.
    ///
    /// # Errors
    /// [`InvalidLocale`] for everything else.
    pub fn parse(text: &str) -> Result<Self, InvalidLocale> {
        let mut subtags = text.split('-');
        let primary = subtags.next().unwrap_or_default();
        let is_right = text.len() <= MAX_LOCALE_BYTES
            && (2..=8).contains(&primary.len())
            && primary.chars().all(|c| c.is_ascii_alphabetic())
            && subtags.all(|subtag| {
                (1..=8).contains(&subtag.len()) && subtag.chars().all(|c| c.is_ascii_alphanumeric())
            })
            // A lone singleton introduces an extension that is not there.
            && text.rsplit('-').next().is_some_and(|last| last.len() > 1);
        if is_right { Ok(Self(text.to_owned())) } else { Err(InvalidLocale) }
    }

    /// As submitted.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One language range of an `Accept-Language` header with its weight in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Preference<'h> {
    range: &'h str,
    weight: u16,
}

/// The best of `locales` for the header, as its position; `None` when nothing fits or there is no header.
pub(super) fn best<'l>(header: &str, locales: impl Iterator<Item = &'l Locale> + Clone) -> Option<usize> {
    let (refused, mut wanted): (Vec<_>, Vec<_>) =
        preferences(header).into_iter().partition(|preference| preference.weight == 0);
    // Stable: among equal weights the first one named wins.
    wanted.sort_by_key(|preference| std::cmp::Reverse(preference.weight));
    let acceptable = || {
        locales
            .clone()
            .enumerate()
            .filter(|(_, locale)| !refused.iter().any(|preference| covers(preference.range, locale.as_str())))
    };
    wanted.iter().find_map(|preference| {
        if preference.range == "*" {
            return acceptable().next().map(|(position, _)| position);
        }
        let mut found: Option<(usize, usize)> = None;
        for (position, locale) in acceptable() {
            let score = closeness(preference.range, locale.as_str());
            if score > found.map_or(0, |(best, _)| best) {
                found = Some((score, position));
            }
        }
        found.map(|(_, position)| position)
    })
}

/// 0 when the primary languages differ, otherwise the number of equal leading subtags; an exact match beats all.
fn closeness(range: &str, locale: &str) -> usize {
    if range.eq_ignore_ascii_case(locale) {
        return usize::MAX;
    }
    range.split('-').zip(locale.split('-')).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count()
}

/// Whether a range names this locale or one of its prefixes (RFC 4647, section 3.3.1).
fn covers(range: &str, locale: &str) -> bool {
    let mut subtags = locale.split('-');
    range.split('-').all(|wanted| subtags.next().is_some_and(|subtag| subtag.eq_ignore_ascii_case(wanted)))
}

/// Reads the header; ranges that make no sense are skipped, because a wallet must get a display in any case.
fn preferences(header: &str) -> Vec<Preference<'_>> {
    header.split(',').take(MAX_RANGES).filter_map(preference).collect()
}

fn preference(text: &str) -> Option<Preference<'_>> {
    let mut parts = text.split(';');
    let range = parts.next()?.trim();
    let is_range = range == "*" || (!range.is_empty() && range.len() <= MAX_LOCALE_BYTES);
    if !is_range {
        return None;
    }
    let weight = match parts.next() {
        None => 1000,
        Some(parameter) => {
            let (name, value) = parameter.split_once('=')?;
            if !name.trim().eq_ignore_ascii_case("q") {
                return None;
            }
            thousandths(value.trim())?
        }
    };
    Some(Preference { range, weight })
}

/// `0`, `1`, or one of them with up to three decimals, not above 1 (RFC 9110, section 12.4.2).
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let decimals: u16 = format!("{decimals:0<3}").parse().ok()?;
    match (whole, decimals) {
        ("0", part) => Some(part),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(header: &str, locales: &[&str]) -> Option<String> {
        let locales: Vec<Locale> = locales.iter().map(|text| Locale::parse(text).unwrap()).collect();
        best(header, locales.iter()).map(|position| locales[position].to_string())
    }

    #[test]
    fn shapes_of_tags() {
        for text in ["en", "en-US", "zh-Hant-TW", "sl-rozaj-biske", "es-419", "de-CH-1996", "gsw"] {
            assert!(Locale::parse(text).is_ok(), "{text}");
        }
        for text in
            ["", "e", "en_US", "en-", "-en", "en--US", "12-US", "en-toolongsubtag", "en-x", "en US", "*", "é"]
        {
            assert_eq!(Locale::parse(text), Err(InvalidLocale), "{text}");
        }
        assert!(Locale::parse("en-aaaaaaaa-bbbbbbbb-cccccccc-dddddddd").is_err());
    }

    #[test]
    fn exact_beats_primary_beats_nothing() {
        let offered = ["en-US", "de-DE", "de-AT", "fr"];
        for (header, expected) in [
            ("de-AT", Some("de-AT")),
            ("DE-at", Some("de-AT")),
            ("de", Some("de-DE")),
            ("de-CH", Some("de-DE")),
            ("fr-CA", Some("fr")),
            ("it", None),
            ("", None),
            ("it, fr;q=0.5", Some("fr")),
            // The person's first language in another region beats the second language exactly.
            ("de-CH, en-US;q=0.9", Some("de-DE")),
        ] {
            assert_eq!(pick(header, &offered).as_deref(), expected, "{header}");
        }
    }

    #[test]
    fn the_longest_common_tag_wins() {
        assert_eq!(pick("zh-Hant-TW", &["zh-Hans", "zh-Hant"]).as_deref(), Some("zh-Hant"));
        assert_eq!(pick("de", &["de-AT", "de"]).as_deref(), Some("de"));
    }

    #[test]
    fn weights_order_the_ranges() {
        let offered = ["en", "de", "fr"];
        for (header, expected) in [
            ("en;q=0.1, de;q=0.9", Some("de")),
            ("en;q=0.5, de;q=0.5", Some("en")),
            ("fr;Q=1.000,en;q=0.999", Some("fr")),
            ("en;q=0", None),
            ("en;q=0, *", Some("de")),
            ("*", Some("en")),
            ("it, *;q=0.1", Some("en")),
            ("*;q=0", None),
            ("en-US;q=0, en", Some("en")),
        ] {
            assert_eq!(pick(header, &offered).as_deref(), expected, "{header}");
        }
        assert_eq!(pick("en, en-US;q=0", &["en-US", "en-GB"]).as_deref(), Some("en-GB"));
    }

    #[test]
    fn ranges_that_make_no_sense_are_skipped() {
        let offered = ["en", "de"];
        for header in
            ["de;q=2", "de;q=0.1234", "de;q=-1", "de;q=a", "de;q", "de;x=1", "de;q=1.1", ";q=1", ",,,"]
        {
            assert_eq!(pick(header, &offered), None, "{header}");
        }
        assert_eq!(pick("de;q=2, en", &offered).as_deref(), Some("en"));
    }

    #[test]
    fn only_the_first_ranges_count() {
        let header = format!("{}de", "it,".repeat(MAX_RANGES));
        assert_eq!(pick(&header, &["en", "de"]), None);
        let header = format!("{}de", "it,".repeat(MAX_RANGES - 1));
        assert_eq!(pick(&header, &["en", "de"]).as_deref(), Some("de"));
        assert_eq!(pick(&"x".repeat(1_000_000), &["en"]), None);
    }
}
