//! Bringing in missing tools. Owns the decision (install, or stop and say what to do) and the apt-get calls; it never
//! installs anything that is already there, and never lets a run go on without a tool.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::console;
use crate::tools::{self, Places, Tool};

/// How root rights can be had here without asking anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// We are root.
    Root,
    /// `sudo -n` works.
    Sudo,
    /// Neither.
    None,
}

/// What to do about the missing tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Nothing is missing.
    Ready,
    /// These commands, in order, install what is missing.
    Install(Vec<Vec<String>>),
    /// It cannot be done here; the text says what a person has to do.
    Stop(String),
}

/// Decides from the facts alone.
#[must_use]
pub fn plan(missing: &[Tool], has_apt_get: bool, privilege: Privilege) -> Plan {
    if missing.is_empty() {
        return Plan::Ready;
    }
    let packages: Vec<&str> = missing.iter().map(|tool| tool.package()).collect();
    let as_root: &[&str] = match (has_apt_get, privilege) {
        (true, Privilege::Root) => &["env"],
        (true, Privilege::Sudo) => &["sudo", "-n", "env"],
        (false, _) | (_, Privilege::None) => return Plan::Stop(stop_text(missing, &packages, has_apt_get)),
    };
    let mut commands = Vec::new();
    if missing.contains(&Tool::Postgres) {
        // The tests make their own servers; without this Debian would also create one and start it on the usual port.
        let settings = "/etc/postgresql-common/createcluster.conf";
        let script = format!(
            "[ -e {settings} ] || {{ mkdir -p {directory} && echo create_main_cluster=false >{settings}; }}",
            directory = "/etc/postgresql-common"
        );
        commands.push([as_root, &["sh", "-c", &script]].concat().into_iter().map(str::to_owned).collect());
    }
    let apt_get = |arguments: &[&str]| -> Vec<String> {
        let quiet = ["DEBIAN_FRONTEND=noninteractive", "UCF_FORCE_CONFFOLD=1", "apt-get", "-q"];
        let patient = ["-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=120"];
        [as_root, &quiet, &patient, arguments].concat().into_iter().map(str::to_owned).collect()
    };
    let install = [&["install", "--yes", "--no-install-recommends"], packages.as_slice()].concat();
    commands.extend([apt_get(&["update"]), apt_get(&install)]);
    Plan::Install(commands)
}

fn stop_text(missing: &[Tool], packages: &[&str], has_apt_get: bool) -> String {
    let titles: Vec<&str> = missing.iter().map(|tool| tool.title()).collect();
    let variables: Vec<&str> = missing.iter().map(|tool| tool.variable()).collect();
    let reason = if has_apt_get {
        "apt-get is there, but this user is not root and `sudo -n` does not work"
    } else {
        "there is no apt-get on this machine"
    };
    format!(
        "the tests need what is missing here: {}.\n{reason}, so please install it. On Debian and its like:\n\n    \
         sudo apt-get update && sudo apt-get install --no-install-recommends {}\n\nIf it is installed in an unusual place, \
         name that in {}.",
        titles.join(", "),
        packages.join(" "),
        variables.join(", "),
    )
}

/// Those of `wanted` that are not on this machine.
#[must_use]
pub fn missing(wanted: &[Tool]) -> Vec<Tool> {
    wanted.iter().copied().filter(|tool| tools::find(*tool).is_none()).collect()
}

/// Makes sure that all of `wanted` are there, installing where possible.
///
/// # Errors
/// When something is missing and cannot be installed; the message names the packages and the command.
pub fn ensure(wanted: &[Tool]) -> anyhow::Result<()> {
    let missing_before = missing(wanted);
    // Installing cannot mend a variable that leads nowhere.
    for tool in &missing_before {
        if let Some(place) = std::env::var_os(tool.variable()) {
            bail!("{} is {}, where there is no {}", tool.variable(), place.display(), tool.title());
        }
    }
    let has_apt_get = Places::of_this_machine().program("apt-get").is_some();
    match plan(&missing_before, has_apt_get, privilege()) {
        Plan::Ready => Ok(()),
        Plan::Stop(text) => bail!("{text}"),
        Plan::Install(commands) => {
            for words in commands {
                console::line(&format!("installing: {}", words.join(" ")));
                run(&words)?;
            }
            let still = missing(wanted);
            if still.is_empty() {
                return Ok(());
            }
            let titles: Vec<&str> = still.iter().map(|tool| tool.title()).collect();
            let variables: Vec<&str> = still.iter().map(|tool| tool.variable()).collect();
            bail!(
                "apt-get succeeded, and yet this was not found: {}; name its place in {}",
                titles.join(", "),
                variables.join(", ")
            )
        }
    }
}

fn run(words: &[String]) -> anyhow::Result<()> {
    let (program, arguments) = words.split_first().context("an empty command")?;
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {program}"))?;
    if !status.success() {
        bail!("`{}` failed: {status}", words.join(" "));
    }
    Ok(())
}

fn privilege() -> Privilege {
    let answers = |program: &str, arguments: &[&str], wanted: Option<&str>| {
        Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().is_ok_and(
            |output| output.status.success() && wanted.is_none_or(|text| output.stdout == text.as_bytes()),
        )
    };
    if Path::new("/usr/bin/id").exists() && answers("/usr/bin/id", &["-u"], Some("0\n")) {
        Privilege::Root
    } else if answers("sudo", &["-n", "true"], None) {
        Privilege::Sudo
    } else {
        Privilege::None
    }
}

#[cfg(test)]
mod tests;
