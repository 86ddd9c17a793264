//! Running one step of a test run: a cargo command with its output passed through and its test results counted.
//! Owns the child process; which steps there are is `test_run`'s business.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::console;
use crate::tally::Tally;

/// One cargo command of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The arguments after `cargo`.
    pub arguments: Vec<String>,
    /// Environment variables on top of the inherited ones.
    pub environment: Vec<(String, String)>,
    /// Whether the steps after it make no sense when it fails.
    pub is_needed_by_later_steps: bool,
    /// Whether it runs tests, so that results are expected in its output.
    pub runs_tests: bool,
}

impl Step {
    /// A step that later steps do not depend on.
    #[must_use]
    pub fn cargo(arguments: &[&str]) -> Self {
        Self {
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
            environment: Vec::new(),
            is_needed_by_later_steps: false,
            runs_tests: false,
        }
    }

    /// The command line, for headlines.
    #[must_use]
    pub fn title(&self) -> String {
        let environment = self.environment.iter().filter(|(name, _)| name == "RUSTDOCFLAGS");
        environment
            .map(|(name, value)| format!("{name}='{value}'"))
            .chain(["cargo".to_owned()])
            .chain(self.arguments.iter().cloned())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Whether cargo reported success.
    pub ok: bool,
    /// The tests that it ran.
    pub tally: Tally,
    /// Wall-clock time.
    pub elapsed: Duration,
}

/// Runs `step` in `root`. Standard output passes through line by line; standard error is inherited.
///
/// # Errors
/// When cargo cannot be started or waited for. A failing cargo is no error: see [`Ended::ok`].
pub fn run(step: &Step, root: &PathBuf) -> anyhow::Result<Ended> {
    let started = Instant::now();
    // Under `cargo xtask` this is the same cargo that runs us.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut child = Command::new(&cargo)
        .args(&step.arguments)
        .envs(step.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", cargo.display()))?;
    let mut tally = Tally::default();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line.context("cannot read cargo's output")?;
            let line = String::from_utf8_lossy(&line);
            tally.read(&line);
            console::line(&line);
        }
    }
    let status = child.wait().context("cannot wait for cargo")?;
    Ok(Ended { ok: status.success(), tally, elapsed: started.elapsed() })
}
