//! `cargo xtask test`: which steps a run has, in which order, and how it is summed up.

use std::time::{Duration, Instant};

use anyhow::Context;

use crate::steps::{self, Ended, Step};
use crate::tally::Tally;
use crate::tools::{self, Tool};
use crate::{console, install, places};

/// What the command line asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Run only tests whose name contains this.
    pub filter: Option<String>,
    /// Leave out formatting, lints and documentation.
    pub skip_lint: bool,
    /// Running under continuous integration (`CI=true`).
    pub in_ci: bool,
}

impl Options {
    /// Reads the arguments after `test`.
    ///
    /// # Errors
    /// On an unknown or incomplete argument, and on `--skip-lint` in CI, where nothing may be left out.
    pub fn parse(arguments: &[String], in_ci: bool) -> anyhow::Result<Self> {
        let mut options = Self { in_ci, ..Self::default() };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--filter" => {
                    let name = words.next().filter(|name| !name.is_empty() && !name.starts_with('-'));
                    options.filter = Some(name.context("--filter needs a part of a test's name")?.clone());
                }
                "--skip-lint" => options.skip_lint = true,
                other => anyhow::bail!("unknown argument `{other}`"),
            }
        }
        anyhow::ensure!(!(options.skip_lint && in_ci), "--skip-lint cannot be used when CI=true");
        Ok(options)
    }
}

/// Runs everything; true when all of it succeeded.
///
/// # Errors
/// When a tool is missing and cannot be installed, or cargo cannot be started.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let started = Instant::now();
    let root = places::repository_root()?;
    console::headline("tools");
    install::ensure(&Tool::ALL)?;
    for tool in Tool::ALL {
        let place = tools::find(tool).context("a tool vanished")?;
        console::line(&format!("{}: {}", tool.title(), place.display()));
    }
    if options.skip_lint {
        console::line(
            "\n!!!! --skip-lint: fmt, clippy and doc are SKIPPED; this run proves nothing about them",
        );
    }
    let mut results: Vec<(String, Option<Ended>)> = Vec::new();
    let mut stopped = false;
    for step in plan(options, &harness_environment()?) {
        if stopped {
            results.push((step.title(), None));
            continue;
        }
        console::headline(&step.title());
        let ended = judge(&step, options, steps::run(&step, &root)?);
        console::line(&format!("---- {} after {}", word_for(ended.ok), seconds(ended.elapsed)));
        stopped = !ended.ok && step.is_needed_by_later_steps;
        results.push((step.title(), Some(ended)));
    }
    Ok(sum_up(&results, options, started.elapsed()))
}

/// The steps in order. Every test step gets `environment`.
///
/// The binaries are built without the tests' own package, because cargo unites the features of everything that one command
/// builds: with it, the tests would drive binaries whose `serde_json` behaves unlike that of the released ones.
#[must_use]
pub fn plan(options: &Options, environment: &[(String, String)]) -> Vec<Step> {
    const PRODUCT: [&str; 3] = ["--workspace", "--exclude", "credenza-tests"];
    let with =
        |words: &[&str], package: &[&str], rest: &[&str]| Step::cargo(&[words, package, rest].concat());
    let mut steps = Vec::new();
    if !options.skip_lint {
        steps.push(Step::cargo(&["fmt", "--all", "--check"]));
        steps.push(Step::cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]));
    }
    steps
        .push(Step { is_needed_by_later_steps: true, ..with(&["build"], &PRODUCT, &["--bins", "--locked"]) });
    for package in [PRODUCT.as_slice(), &["--package", "credenza-tests"]] {
        let mut step = with(&["test"], package, &["--locked", "--no-fail-fast"]);
        step.arguments.extend(options.filter.clone());
        steps.push(Step { runs_tests: true, ..step });
    }
    if !options.skip_lint {
        let mut doc = Step::cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
        doc.environment.push(("RUSTDOCFLAGS".to_owned(), "-D warnings".to_owned()));
        steps.push(doc);
    }
    for step in &mut steps {
        if options.in_ci {
            // Incremental files help only a second build.
            step.environment.push(("CARGO_INCREMENTAL".to_owned(), "0".to_owned()));
        }
        if step.runs_tests {
            step.environment.extend_from_slice(environment);
        }
    }
    steps
}

/// A test step that ran no test at all proves nothing, so it fails; with a filter the other step may hold the tests, and
/// [`sum_up`] looks at both.
fn judge(step: &Step, options: &Options, mut ended: Ended) -> Ended {
    if step.runs_tests && options.filter.is_none() && ended.tally.passed == 0 && ended.tally.failed == 0 {
        ended.ok = false;
    }
    ended
}

fn sum_up(results: &[(String, Option<Ended>)], options: &Options, elapsed: Duration) -> bool {
    console::headline(&format!("summary ({})", seconds(elapsed)));
    for (title, ended) in results {
        let text = ended.as_ref().map_or("not run".to_owned(), |ended| {
            format!("{:<7} {:>8}", word_for(ended.ok), seconds(ended.elapsed))
        });
        console::line(&format!("{text:<17} {title}"));
    }
    if options.skip_lint {
        console::line("!!!! fmt, clippy and doc were SKIPPED (--skip-lint)");
    }
    let total = total(results, options);
    if total.ignored > 0 {
        console::line(&format!("!!!! {} tests are marked #[ignore] and did not run", total.ignored));
    }
    console::line(&format!("{} passed, {} failed", total.passed, total.failed));
    total.failed == 0
}

/// The counts of all steps. A step that failed without a failed test (it did not compile, a test binary crashed, a lint
/// complained), a step that was not run and a filter that matched nothing each count as one failure.
fn total(results: &[(String, Option<Ended>)], options: &Options) -> Tally {
    let mut total = Tally::default();
    for (_, ended) in results {
        match ended {
            Some(ended) => {
                let is_silent_failure = !ended.ok && ended.tally.failed == 0;
                total.add(ended.tally);
                total.failed = total.failed.saturating_add(u64::from(is_silent_failure));
            }
            None => total.failed = total.failed.saturating_add(1),
        }
    }
    if options.filter.is_some() && total.passed == 0 && total.failed == 0 {
        total.failed = 1;
    }
    total
}

fn word_for(ok: bool) -> &'static str {
    if ok { "ok" } else { "FAILED" }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// What the harness needs to know: the tools' places and the directory of the binaries under test.
fn harness_environment() -> anyhow::Result<Vec<(String, String)>> {
    // Where `cargo build` puts debug binaries, whatever the target directory is.
    let binaries = places::target_directory()?.join("debug");
    let mut environment = vec![("CREDENZA_BIN_DIR".to_owned(), binaries.display().to_string())];
    // Everything that the tests talk to is on this machine.
    for name in ["NO_PROXY", "no_proxy"] {
        environment.push((name.to_owned(), "localhost,127.0.0.1".to_owned()));
    }
    for tool in Tool::ALL {
        let place = tools::find(tool).context("a tool vanished")?;
        environment.push((tool.variable().to_owned(), place.display().to_string()));
    }
    Ok(environment)
}

#[cfg(test)]
mod tests;
