//! `cargo xtask load`: what its command line means, and the steps before the load itself: tools, k6, release binaries.
//! The load is driven and judged by the program `vault-load` of the tests' package, which reads the same command line.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

use crate::tools::{self, Tool};
use crate::{console, install, k6, places};

/// The scenarios, in the order in which a full run plays them.
pub const SCENARIOS: [&str; 6] = ["issuance", "burst", "foreign", "overload", "replicas", "restart"];

/// What the command line asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Scenarios to play, in order; all of them when none is named.
    pub scenarios: Vec<String>,
    /// Measured minutes of the long scenarios; each scenario has its own default.
    pub minutes: Option<u32>,
    /// A vault of a tenth, one minute, no figures of speed.
    pub quick: bool,
    /// The simulator's window modes to play `overload` in; both when none is named.
    pub windows: Vec<String>,
    /// `sqlite` or `postgres` for the scenarios with one replica.
    pub database: String,
    /// Where tables and plots go.
    pub out: PathBuf,
}

impl Options {
    /// Reads the arguments after `load`.
    ///
    /// # Errors
    /// On an unknown, incomplete or senseless argument.
    pub fn parse(arguments: &[String]) -> anyhow::Result<Self> {
        let mut options = Self {
            scenarios: Vec::new(),
            minutes: None,
            quick: false,
            windows: Vec::new(),
            database: "sqlite".to_owned(),
            out: PathBuf::from("target/load"),
        };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().filter(|value| !value.is_empty() && !value.starts_with('-'));
            match word.as_str() {
                "--minutes" => {
                    let minutes =
                        value().and_then(|text| text.parse().ok()).filter(|n| (1..=240).contains(n));
                    options.minutes = Some(minutes.context("--minutes needs a number from 1 to 240")?);
                }
                "--quick" => options.quick = true,
                "--window" => {
                    let window = value().filter(|name| ["sliding", "fixed"].contains(&name.as_str()));
                    options.windows.push(window.context("--window needs `sliding` or `fixed`")?.clone());
                }
                "--database" => {
                    let name = value().filter(|name| ["sqlite", "postgres"].contains(&name.as_str()));
                    options.database = name.context("--database needs `sqlite` or `postgres`")?.clone();
                }
                "--out" => options.out = value().context("--out needs a directory")?.into(),
                name if SCENARIOS.contains(&name) => options.scenarios.push(name.to_owned()),
                other => {
                    bail!("there is no scenario and no option `{other}`; scenarios: {}", SCENARIOS.join(", "))
                }
            }
        }
        ensure!(
            !(options.quick && options.minutes.is_some()),
            "--quick has its own time: leave out --minutes"
        );
        if options.scenarios.is_empty() {
            options.scenarios = SCENARIOS.map(str::to_owned).to_vec();
        }
        if options.windows.is_empty() {
            options.windows = ["sliding", "fixed"].map(str::to_owned).to_vec();
        }
        Ok(options)
    }
}

/// Builds and runs; true when no promise was broken.
///
/// # Errors
/// When a tool is missing and cannot be installed, or something does not build or start.
pub fn run(options: &Options, arguments: &[String]) -> anyhow::Result<bool> {
    let root = places::repository_root()?;
    let target = places::target_directory()?;
    console::headline("tools");
    let wanted = [Tool::Postgres, Tool::Python];
    install::ensure(&wanted)?;
    let k6 = k6::ensure(&target)?;
    console::line(&format!("k6: {}", k6.display()));
    // Apart from the tests' package, whose features would change the product's (see `test_run::plan`).
    cargo(&["build", "--release", "--locked", "--package", "credenza", "--package", "vault-sim", "--bins"])?;
    cargo(&["build", "--release", "--locked", "--package", "credenza-tests", "--bin", "vault-load"])?;
    console::headline(&format!("load: {}", options.scenarios.join(", ")));
    let mut command = Command::new(target.join("release").join("vault-load"));
    command
        .args(arguments)
        .current_dir(&root)
        .stdin(Stdio::null())
        .env("CREDENZA_BIN_DIR", target.join("release"))
        .env(k6::VARIABLE, &k6)
        .env("CREDENZA_LOAD_SCRIPTS", root.join("load-tests"))
        .env("CREDENZA_LOAD_CONTRACTS", root.join("config").join("contracts"));
    // Everything that the load talks to is on this machine.
    for name in ["NO_PROXY", "no_proxy"] {
        command.env(name, "localhost,127.0.0.1");
    }
    for tool in wanted {
        command.env(tool.variable(), tools::find(tool).context("a tool vanished")?);
    }
    let status = command.status().context("cannot start vault-load")?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => bail!("vault-load ended with {status}"),
    }
}

fn cargo(arguments: &[&str]) -> anyhow::Result<()> {
    console::headline(&format!("cargo {}", arguments.join(" ")));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(places::repository_root()?);
    let status = command.stdin(Stdio::null()).status().context("cannot start cargo")?;
    ensure!(status.success(), "`cargo {}` failed: {status}", arguments.join(" "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> anyhow::Result<Options> {
        Options::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn nothing_named_means_everything() {
        let options = parse(&[]).unwrap();
        assert_eq!(options.scenarios, SCENARIOS);
        assert_eq!(options.windows, ["sliding", "fixed"]);
        assert_eq!((options.minutes, options.quick, options.database.as_str()), (None, false, "sqlite"));
        assert_eq!(options.out, PathBuf::from("target/load"));
    }

    #[test]
    fn everything_can_be_named() {
        let words = "burst overload --minutes 3 --window fixed --database postgres --out /tmp/here";
        let options = parse(&words.split(' ').collect::<Vec<_>>()).unwrap();
        assert_eq!(options.scenarios, ["burst", "overload"]);
        assert_eq!(options.minutes, Some(3));
        assert_eq!(options.windows, ["fixed"]);
        assert_eq!(options.database, "postgres");
        assert_eq!(options.out, PathBuf::from("/tmp/here"));
        assert!(parse(&["--quick"]).unwrap().quick);
    }

    #[test]
    fn nonsense_is_refused() {
        let wrong: [&[&str]; 12] = [
            &["storm"],
            &["--fast"],
            &["--minutes"],
            &["--minutes", "0"],
            &["--minutes", "241"],
            &["--minutes", "x"],
            &["--window", "off"],
            &["--window"],
            &["--database", "mysql"],
            &["--out"],
            &["--out", "--quick"],
            &["--quick", "--minutes", "3"],
        ];
        for words in wrong {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}
