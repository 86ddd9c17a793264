//! What the user sees and types. With `--json`, text goes to standard error so that standard output is one JSON object.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use serde_json::Value;
use wallet::printable::{explain, printable};

use super::failure::Failure;

/// The user's side.
pub struct Screen {
    json: bool,
}

impl Screen {
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// A line of our own text. Values from outside go through [`Self::field`].
    pub fn line(&self, text: &str) -> io::Result<()> {
        if self.json {
            writeln!(io::stderr().lock(), "{text}")
        } else {
            writeln!(io::stdout().lock(), "{text}")
        }
    }

    /// A labelled value; both may come from outside.
    pub fn field(&self, label: &str, value: &str) -> io::Result<()> {
        self.line(&format!("  {:<16} {}", printable(label), printable(value)))
    }

    /// Whether somebody can be asked again.
    pub fn is_interactive(&self) -> bool {
        io::stdin().is_terminal()
    }

    /// Asks, and reads a line; `None` at the end of input.
    pub fn ask(&self, question: &str) -> io::Result<Option<String>> {
        let mut out = io::stderr().lock();
        write!(out, "{question} ")?;
        out.flush()?;
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer)?;
        Ok((read > 0).then(|| answer.trim_end_matches(['\r', '\n']).to_owned()))
    }

    /// The JSON object at the end of a command.
    pub fn report(&self, report: &Value) -> io::Result<()> {
        if self.json { writeln!(io::stdout().lock(), "{report}") } else { Ok(()) }
    }

    /// The end of a refused command.
    pub fn refuse(&self, failure: &Failure) -> io::Result<()> {
        if self.json {
            return self.report(&failure.to_json());
        }
        let mut out = io::stderr().lock();
        writeln!(out, "refused: {}", explain(failure))?;
        if let Some(message) = failure.http_failure().and_then(wallet::http::HttpFailure::message) {
            writeln!(out, "the issuer says: {}", printable(&message))?;
        }
        Ok(())
    }
}
