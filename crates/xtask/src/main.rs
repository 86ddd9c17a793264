//! `cargo xtask`: the repository's own commands. Owns the command line only; the work is in the library.

use std::process::ExitCode;

use xtask::{console, load, test_run};

const USAGE: &str = "\
usage: cargo xtask <command>

commands:
  test [--filter NAME] [--skip-lint]   run every check and every test; prints `N passed, M failed` last
  ci                                   the same as `test` (what .ci/run calls)
  load [SCENARIO...]                   load tests against a simulated vault (minutes to more than an hour; not in CI)

options of `test`:
  --filter NAME   run only the tests whose name contains NAME
  --skip-lint     leave out fmt, clippy and doc (local speed; refused when CI=true)

options of `load` (scenarios: issuance, burst, foreign, overload, replicas, restart; all when none is named):
  --quick              a vault of a tenth of the usual limit, about two minutes each; proves no figure of speed
  --minutes N          measured minutes of overload, replicas and restart (10)
  --window MODE        sliding or fixed: how the simulated vault counts in `overload` (both)
  --database KIND      sqlite or postgres, for the scenarios with one replica (sqlite)
  --out DIR            where tables and plots go (target/load)

Missing tools (PostgreSQL server, Chromium, chromedriver, git, Python with venv) are installed with apt-get where that is possible.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((command, rest)) if command == "test" || command == "ci" => run_tests(rest),
        Some((command, rest)) if command == "load" => run_load(rest),
        Some((command, _)) if command == "help" || command == "--help" || command == "-h" => {
            console::line(USAGE);
            ExitCode::SUCCESS
        }
        Some((command, _)) => {
            console::error_line(&format!("cargo xtask: there is no command `{command}`\n\n{USAGE}"));
            ExitCode::from(2)
        }
        None => {
            console::error_line(USAGE);
            ExitCode::from(2)
        }
    }
}

fn run_tests(arguments: &[String]) -> ExitCode {
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    let options = match test_run::Options::parse(arguments, in_ci) {
        Ok(options) => options,
        Err(error) => {
            console::error_line(&format!("cargo xtask test: {error}\n\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    match test_run::run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            console::error_line(&format!("cargo xtask test: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run_load(arguments: &[String]) -> ExitCode {
    let options = match load::Options::parse(arguments) {
        Ok(options) => options,
        Err(error) => {
            console::error_line(&format!("cargo xtask load: {error}\n\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    match load::run(&options, arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            console::error_line(&format!("cargo xtask load: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
