//! Writing to the terminal. Owns the two streams; a closed stream must not fail a test run, so write errors are dropped here.

use std::io::Write;

/// Writes one line to standard output and flushes it, so that it stays in order with what child processes write.
pub fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").is_ok() {
        out.flush().ok();
    }
}

/// Writes one line to standard error.
pub fn error_line(text: &str) {
    writeln!(std::io::stderr().lock(), "{text}").ok();
}

/// Writes a step's headline.
pub fn headline(text: &str) {
    line(&format!("\n==== {text}"));
}
