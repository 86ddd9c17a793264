//! Findings, the JSON paths they point at, and the collector that keeps their number bounded.
//!
//! It must not know what a contract looks like: that is for the modules that read one.

use std::fmt;

/// Findings that one file can get; more are counted, not listed, so that a hostile file cannot make a large answer.
pub const MAX_FINDINGS: usize = 100;

/// Characters of a member name or value that a finding repeats.
const QUOTED_CHARS: usize = 60;

/// Whether a finding stops the contract or only suggests something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The contract cannot be used.
    Error,
    /// The contract can be used; this would make it better.
    Advice,
}

/// One thing that is wrong with a contract, or could be better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where: a JSON path such as `$.rules.attestations.idTokenHints[0].mapping[2].inputClaim`.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
    /// Error or advice.
    pub severity: Severity,
}

impl Finding {
    pub(super) fn advice(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), severity: Severity::Advice }
    }

    pub(super) fn error(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), severity: Severity::Error }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// A place in a JSON document. The steps are borrowed and put together only when a finding is made: building the
/// text on the way down would cost (length of a name × number of values) for a hostile file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Root,
    Member(&'a str),
    Index(usize),
}

impl Path<'_> {
    pub(super) const ROOT: Path<'static> = Path { parent: None, step: Step::Root };

    pub(super) const fn member<'b>(&'b self, name: &'b str) -> Path<'b> {
        Path { parent: Some(self), step: Step::Member(name) }
    }

    pub(super) const fn index(&self, index: usize) -> Path<'_> {
        Path { parent: Some(self), step: Step::Index(index) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            fmt::Display::fmt(parent, f)?;
        }
        match self.step {
            Step::Root => f.write_str("$"),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Member(name) if is_plain(name) => write!(f, ".{name}"),
            Step::Member(name) => {
                f.write_str("['")?;
                for c in name.chars().take(QUOTED_CHARS) {
                    match c {
                        '\'' => f.write_str("\\'")?,
                        other => write!(f, "{}", other.escape_debug())?,
                    }
                }
                if name.chars().nth(QUOTED_CHARS).is_some() {
                    f.write_str("…")?;
                }
                f.write_str("']")
            }
        }
    }
}

/// Whether a member name can be written after a dot.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= QUOTED_CHARS
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A text from the file as a message repeats it: quoted, escaped and cut.
pub(super) fn quoted(text: &str) -> String {
    let mut cut: String = text.chars().take(QUOTED_CHARS).collect();
    if text.chars().nth(QUOTED_CHARS).is_some() {
        cut.push('…');
    }
    format!("{cut:?}")
}

/// Collects the errors of one file.
#[derive(Debug, Default)]
pub(super) struct Report {
    findings: Vec<Finding>,
    more: usize,
}

impl Report {
    pub(super) fn error(&mut self, at: &Path<'_>, message: impl Into<String>) {
        self.error_at(at.to_string(), message);
    }

    /// For a place whose path was kept as text.
    pub(super) fn error_at(&mut self, at: String, message: impl Into<String>) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding::error(at, message));
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    pub(super) fn into_findings(mut self) -> Vec<Finding> {
        if self.more > 0 {
            self.findings.push(Finding::error("$", format!("{} more errors are not listed", self.more)));
        }
        self.findings
    }
}

/// The known name that an unknown one was probably meant to be.
pub(super) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    if name.is_empty() || name.len() > QUOTED_CHARS {
        return None;
    }
    let wanted = fold(name);
    known
        .iter()
        .map(|candidate| (distance(&wanted, &fold(candidate)), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).min(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letter case and word separators aside: `validity_interval` is `validityInterval`.
fn fold(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

/// Levenshtein distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut left = i.saturating_add(1);
        let mut next = vec![left];
        for (to, pair) in b.iter().zip(row.windows(2)) {
            let [diagonal, up] = pair else { continue };
            let replaced = diagonal.saturating_add(usize::from(from != *to));
            left = replaced.min(up.saturating_add(1)).min(left.saturating_add(1));
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_found_and_far_ones_are_not() {
        let known = ["validityInterval", "attestations", "vc", "uri"];
        assert_eq!(nearest("validty_interval", &known), Some("validityInterval"));
        assert_eq!(nearest("Attestation", &known), Some("attestations"));
        assert_eq!(nearest("url", &known), Some("uri"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest("", &known), None);
        assert_eq!(nearest(&"a".repeat(500), &known), None);
    }

    #[test]
    fn distances() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn paths_are_written_as_json_path_and_stay_short() {
        let root = Path::ROOT;
        let displays = root.member("displays");
        let first = displays.index(0);
        assert_eq!(first.member("locale").to_string(), "$.displays[0].locale");
        assert_eq!(first.member("it's").to_string(), "$.displays[0]['it\\'s']");
        assert!(root.member(&"x".repeat(10_000)).to_string().len() < 100);
        assert_eq!(root.member("a\nb").to_string(), "$['a\\nb']");
    }

    #[test]
    fn the_number_of_findings_is_bounded() {
        let mut report = Report::default();
        for _ in 0..(MAX_FINDINGS + 7) {
            report.error(&Path::ROOT, "wrong");
        }
        let findings = report.into_findings();
        assert_eq!(findings.len(), MAX_FINDINGS + 1);
        assert_eq!(findings.last().unwrap().message, "7 more errors are not listed");
    }
}
