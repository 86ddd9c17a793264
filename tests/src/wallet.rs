//! The development wallet as a process: `wallet …` with a directory of its own and a time limit.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::binaries;

/// Above the 10 s after which phone wallets give up, so that a slow answer is seen as such.
const LIMIT: Duration = Duration::from_secs(30);

/// A wallet: holder keys and credentials in a directory, and the CA that it trusts.
#[derive(Debug)]
pub struct Wallet {
    directory: PathBuf,
    ca_file: Option<PathBuf>,
    limit: Duration,
    /// Removed with the wallet.
    _scratch: TempDir,
}

/// How a wallet command ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The exit status.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Wallet {
    /// A new, empty wallet that trusts the CA in `ca_file`.
    ///
    /// # Panics
    /// When no temporary directory can be made.
    #[must_use]
    pub fn new(ca_file: Option<&Path>) -> Self {
        let scratch =
            tempfile::Builder::new().prefix("wallet-").tempdir().expect("a temporary directory can be made");
        let directory = scratch.path().join("wallet");
        Self { directory, ca_file: ca_file.map(Path::to_path_buf), limit: LIMIT, _scratch: scratch }
    }

    /// The directory of its keys and credentials.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The same wallet with another time limit per command.
    #[must_use]
    pub fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// `wallet accept LINK`, without questions, with a report in JSON; `more` are further arguments such as `--pin 1234`.
    ///
    /// # Panics
    /// When the command exceeds the time limit.
    pub async fn accept(&self, link: &str, more: &[&str]) -> Outcome {
        let mut arguments = vec!["accept", link, "--yes", "--json"];
        arguments.extend(more);
        let ca_file = self.ca_file.as_ref().map(|file| file.display().to_string());
        if let Some(file) = &ca_file {
            arguments.extend(["--ca", file.as_str()]);
        }
        let directory = self.directory.display().to_string();
        arguments.extend(["--dir", directory.as_str()]);
        self.run(&arguments).await
    }

    /// `wallet` with exactly these arguments.
    ///
    /// # Panics
    /// When the command exceeds the time limit.
    pub async fn run(&self, arguments: &[&str]) -> Outcome {
        let child = Command::new(binaries::target_bin("wallet"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the wallet starts");
        let output = tokio::time::timeout(self.limit, child.wait_with_output())
            .await
            .unwrap_or_else(|_| panic!("`wallet {}` took over {:?}", arguments.join(" "), self.limit))
            .expect("the wallet can be waited for");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Outcome { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Outcome {
    /// Standard output as JSON: the whole, else its last line.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .or_else(|_| serde_json::from_str(self.stdout.lines().last().unwrap_or_default()))
            .unwrap_or_else(|error| {
                panic!("no JSON ({error}) from the wallet:\n{}\n{}", self.stdout, self.stderr)
            })
    }

    /// Itself, if the command succeeded.
    ///
    /// # Panics
    /// When it failed; the message holds its output.
    #[must_use]
    pub fn expect_success(self) -> Self {
        assert!(
            self.status.success(),
            "the wallet failed ({}):\n{}\n{}",
            self.status,
            self.stdout,
            self.stderr
        );
        self
    }

    /// Itself, if the command failed.
    ///
    /// # Panics
    /// When it succeeded; the message holds its output.
    #[must_use]
    pub fn expect_failure(self) -> Self {
        assert!(!self.status.success(), "the wallet succeeded:\n{}\n{}", self.stdout, self.stderr);
        self
    }
}
