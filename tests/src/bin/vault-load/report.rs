//! The tables: on the terminal, as Markdown and as JSON.

use std::fmt::Write as _;
use std::path::Path;

use crate::judge::{Judgement, Verdict};
use crate::plot;

/// The word for people.
fn word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Reached => "reached".to_owned(),
        Verdict::Short(by) => format!("SHORT: {by}"),
        Verdict::Broken(by) => format!("BROKEN: {by}"),
        Verdict::Reported => String::new(),
    }
}

/// A table for the terminal.
pub fn text(judgement: &Judgement) -> String {
    let width = |of: fn(&crate::judge::Figure) -> &str| {
        judgement.figures.iter().map(|figure| of(figure).chars().count()).max().unwrap_or_default()
    };
    let (name, promise) = (width(|figure| figure.name), width(|figure| &figure.promise));
    let mut out = String::new();
    for figure in &judgement.figures {
        let line = format!(
            "{:<name$}  {:<promise$}  {:<24}  {}",
            figure.name,
            figure.promise,
            figure.measured,
            word(&figure.verdict)
        );
        writeln!(out, "{}", line.trim_end()).expect("a string takes all");
    }
    out
}

/// A section of the summary.
fn markdown(judgement: &Judgement, quick: bool) -> String {
    let mut out = format!("## {}\n\n![Arrivals at the vault]({0}.svg)\n\n", judgement.scenario);
    if quick {
        out += "Quick run: figures of speed are shown and not judged.\n\n";
    }
    out += "| figure | promise | measured | verdict |\n|---|---|---|---|\n";
    for figure in &judgement.figures {
        let cells = [figure.name, &figure.promise, &figure.measured, &word(&figure.verdict)];
        writeln!(out, "| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
            .expect("a string takes all");
    }
    out + "\n"
}

/// Writes plots and summaries of all runs so far into `out`.
pub fn write(judgements: &[Judgement], quick: bool, out: &Path) -> std::io::Result<()> {
    let mut summary = String::from("# Load tests\n\n");
    for judgement in judgements {
        summary += &markdown(judgement, quick);
        std::fs::write(out.join(format!("{}.svg", judgement.scenario)), plot::svg(judgement))?;
    }
    std::fs::write(out.join("summary.md"), summary)?;
    let json = serde_json::json!({ "quick": quick, "runs": judgements.iter().map(json).collect::<Vec<_>>() });
    std::fs::write(out.join("summary.json"), serde_json::to_vec_pretty(&json)?)
}

fn json(judgement: &Judgement) -> serde_json::Value {
    let mut value = serde_json::to_value(judgement).expect("a table is JSON");
    value["seconds"] = judgement
        .seconds
        .iter()
        .zip(&judgement.refusals)
        .map(|(second, refused)| serde_json::json!([second.arrivals, second.fullest, refused]))
        .collect();
    value["events"] = serde_json::json!(judgement.events);
    value
}

/// The last lines: every promise that was not kept.
pub fn verdicts(judgements: &[Judgement]) -> String {
    let mut out = String::new();
    for judgement in judgements {
        let judged = judgement.figures.iter().filter(|figure| figure.verdict != Verdict::Reported);
        let reached = judged.clone().filter(|figure| figure.verdict == Verdict::Reached).count();
        writeln!(out, "{}: {reached} of {} promises kept", judgement.scenario, judged.clone().count())
            .expect("a string takes all");
        for figure in judged.filter(|figure| figure.verdict != Verdict::Reached) {
            writeln!(
                out,
                "  {}: {} instead of {}: {}",
                figure.name,
                figure.measured,
                figure.promise,
                word(&figure.verdict)
            )
            .expect("a string takes all");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::Figure;
    use crate::window::Second;

    fn judgement() -> Judgement {
        let figure = |name: &'static str, verdict: Verdict| Figure {
            name,
            promise: "≤ 1|2".to_owned(),
            measured: "3".to_owned(),
            verdict,
        };
        Judgement {
            scenario: "overload-fixed".to_owned(),
            limit: 2000,
            measured_from: 1,
            figures: vec![
                figure("first", Verdict::Reached),
                figure("second", Verdict::Short("1 s over".to_owned())),
                figure("third", Verdict::Broken("7 over".to_owned())),
                figure("fourth", Verdict::Reported),
            ],
            seconds: vec![Second { arrivals: 200, fullest: 2000 }; 3],
            refusals: vec![0, 0, 1],
            events: vec![(1.0, "kill 1 & <2>".to_owned())],
        }
    }

    #[test]
    fn verdicts_name_what_was_not_kept() {
        let text = verdicts(&[judgement()]);
        assert_eq!(
            text,
            "overload-fixed: 1 of 3 promises kept\n  second: 3 instead of ≤ 1|2: SHORT: 1 s over\n  \
             third: 3 instead of ≤ 1|2: BROKEN: 7 over\n"
        );
        assert!(judgement().is_broken());
    }

    #[test]
    fn all_files_are_written() {
        let directory = tempfile::tempdir().unwrap();
        write(&[judgement()], false, directory.path()).unwrap();
        let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
        assert!(read("summary.md").contains("| second | ≤ 1\\|2 | 3 | SHORT: 1 s over |"));
        let json: serde_json::Value = serde_json::from_str(&read("summary.json")).unwrap();
        assert_eq!(json["runs"][0]["seconds"][2], serde_json::json!([200, 2000, 1]));
        assert_eq!(json["runs"][0]["figures"][1]["verdict"]["short"], "1 s over");
        assert!(read("overload-fixed.svg").contains("kill 1 &amp; &lt;2&gt;"));
        assert_eq!(text(&judgement()).lines().count(), 4);
    }
}
