//! Dispatch of the commands, and how each ends: an exit code, and with `--json` one JSON object on standard output.

mod accept;
pub mod args;
mod failure;
mod screen;
mod show;
mod verify;

use std::io;
use std::process::ExitCode;

use args::{Arguments, Command};
use failure::Failure;
use reqwest::Client;
use screen::Screen;
use serde_json::Value;

/// How a command ended that was not refused.
struct Outcome {
    /// What `--json` prints.
    report: Value,
    /// Whether the exit code is 0.
    good: bool,
}

/// Runs a command to its exit code: 0, or 1 after a refusal or a bad verdict.
pub async fn run(arguments: Arguments) -> io::Result<ExitCode> {
    let screen = Screen::new(arguments.json);
    let ended = match arguments.command {
        Command::Accept(args) => accept::run(&args, &screen).await,
        Command::Show(args) => show::run(&args, &screen),
        Command::Verify(args) => verify::run(&args, &screen).await,
    };
    let good = match ended {
        Ok(outcome) => {
            screen.report(&outcome.report)?;
            outcome.good
        }
        Err(failure) => {
            screen.refuse(&failure)?;
            false
        }
    };
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The HTTP client, with the certificate authorities of `--ca`.
fn client(tls: &args::Tls) -> Result<Client, Failure> {
    let pem = match &tls.ca {
        Some(path) => Some(std::fs::read(path).map_err(Failure::CaFile)?),
        None => None,
    };
    Ok(wallet::http::client(pem.as_deref())?)
}
