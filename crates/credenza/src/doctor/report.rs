//! What `doctor` found, and how it is said: a table for people, JSON for machines, a verdict at the end.
//!
//! Owns the words. Must not look at anything itself.

use serde::Serialize;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// It works, and somebody should look at it; or it cannot be checked from here.
    Warn,
    /// Something does not work or is unsafe.
    Fail,
}

impl Status {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Whose: `vault west`, `key …`, `database`, `published`.
    pub area: String,
    /// What of it.
    pub check: &'static str,
    /// How it ended.
    pub status: Status,
    /// What was seen.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
}

/// All checks, in the order in which they were made.
#[derive(Debug, Default)]
pub struct Report {
    checks: Vec<Check>,
}

#[derive(Serialize)]
struct Whole<'a> {
    verdict: &'static str,
    failures: usize,
    warnings: usize,
    checks: &'a [Check],
}

impl Report {
    /// As it should be.
    pub fn ok(&mut self, area: &str, check: &'static str, found: impl Into<String>) {
        self.push(area, check, Status::Ok, found.into(), None);
    }

    /// Somebody should look at it.
    pub fn warn(
        &mut self,
        area: &str,
        check: &'static str,
        found: impl Into<String>,
        cure: impl Into<String>,
    ) {
        self.push(area, check, Status::Warn, found.into(), Some(cure.into()));
    }

    /// Something does not work or is unsafe.
    pub fn fail(
        &mut self,
        area: &str,
        check: &'static str,
        found: impl Into<String>,
        cure: impl Into<String>,
    ) {
        self.push(area, check, Status::Fail, found.into(), Some(cure.into()));
    }

    fn push(&mut self, area: &str, check: &'static str, status: Status, found: String, cure: Option<String>) {
        self.checks.push(Check { area: area.to_owned(), check, status, found, cure });
    }

    /// How many checks ended so.
    pub fn count(&self, status: Status) -> usize {
        self.checks.iter().filter(|check| check.status == status).count()
    }

    /// Whether nothing failed.
    pub fn is_good(&self) -> bool {
        self.count(Status::Fail) == 0
    }

    fn word(&self) -> &'static str {
        if !self.is_good() {
            "failed"
        } else if self.count(Status::Warn) > 0 {
            "warnings"
        } else {
            "ok"
        }
    }

    /// For machines.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(&Whole {
            verdict: self.word(),
            failures: self.count(Status::Fail),
            warnings: self.count(Status::Warn),
            checks: &self.checks,
        })
    }

    /// For people: a heading for each area, a line for each check, one more for what to do. Ends with the verdict.
    pub fn table(&self) -> String {
        let width = self.checks.iter().map(|check| check.check.chars().count()).max().unwrap_or(0);
        let mut lines = Vec::new();
        let mut area = "";
        for check in &self.checks {
            if check.area != area {
                area = &check.area;
                lines.push(one_line(area));
            }
            let (name, status) = (check.check, check.status.word());
            lines.push(format!("  {name:width$}  {status:4}  {}", one_line(&check.found)));
            if let Some(cure) = &check.cure {
                lines.push(format!("  {:width$}        -> {}", "", one_line(cure)));
            }
        }
        lines.push(String::new());
        lines.push(self.verdict());
        lines.join("\n")
    }

    /// The last line.
    fn verdict(&self) -> String {
        let (failures, warnings, all) =
            (self.count(Status::Fail), self.count(Status::Warn), self.checks.len());
        let counted = |number: usize, what: &str| match number {
            1 => format!("1 {what}"),
            _ => format!("{number} {what}s"),
        };
        if failures > 0 {
            format!(
                "Verdict: FAILED, {} and {} in {}. What failed has to be mended before credentials are issued.",
                counted(failures, "failure"),
                counted(warnings, "warning"),
                counted(all, "check")
            )
        } else if warnings > 0 {
            format!("Verdict: OK with {} in {}.", counted(warnings, "warning"), counted(all, "check"))
        } else {
            format!("Verdict: OK, {}.", counted(all, "check"))
        }
    }
}

/// What others named may hold anything; a terminal gets one line of it.
fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::default();
        report.ok("database", "fsync", "on");
        report.warn("vault west", "clock", "3 s behind", "set the clock");
        report
    }

    #[test]
    fn a_table_has_a_line_per_check_a_line_per_cure_and_a_verdict() {
        let mut report = report();
        report.fail("vault west", "sign", "403\r\nForbidden \u{1b}[2J", "give the role");
        let table = report.table();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[..3], ["database", "  fsync  ok    on", "vault west"]);
        assert_eq!(lines[4], "               -> set the clock");
        assert_eq!(lines[5], "  sign   FAIL  403  Forbidden  [2J", "the same heading serves both");
        assert_eq!(lines.len(), 9, "{table}");
        assert!(lines[8].starts_with("Verdict: FAILED, 1 failure and 1 warning in 3 checks"), "{table}");
        assert!(!report.is_good());
    }

    #[test]
    fn warnings_are_no_failure() {
        let report = report();
        assert!(report.is_good());
        assert!(report.table().ends_with("Verdict: OK with 1 warning in 2 checks."));
        let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!(json["verdict"], "warnings");
        assert_eq!(json["checks"][1]["status"], "warn");
        assert_eq!(json["checks"][1]["cure"], "set the clock");
        assert!(json["checks"][0].get("cure").is_none());
    }

    #[test]
    fn nothing_to_say_is_ok() {
        let mut report = Report::default();
        report.ok("database", "fsync", "on");
        assert_eq!(report.table().lines().last(), Some("Verdict: OK, 1 check."));
    }
}
