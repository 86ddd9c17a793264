//! Where the programs are that the tests need beside Rust. Owns the places to look in; installs nothing (see `install`).
//!
//! `cargo xtask test` and the test harness both look here, so that a test run by hand finds the same programs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program, or a set that comes in one package, that some test starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// The PostgreSQL server: `initdb`, `postgres`, `pg_ctl` and `psql` in one directory.
    Postgres,
    /// The browser.
    Chromium,
    /// The browser's WebDriver server.
    Chromedriver,
    /// Names the tracked files to the tests that read the repository.
    Git,
    /// Python with what makes virtual environments, for a client library of another vendor.
    Python,
}

/// The programs of a PostgreSQL server directory that the harness starts.
const POSTGRES_PROGRAMS: [&str; 4] = ["initdb", "postgres", "pg_ctl", "psql"];

impl Tool {
    /// Every tool that a full test run needs.
    pub const ALL: [Tool; 5] = [Tool::Postgres, Tool::Chromium, Tool::Chromedriver, Tool::Git, Tool::Python];

    /// The tool's name for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Tool::Postgres => "PostgreSQL server (initdb, postgres, pg_ctl, psql)",
            Tool::Chromium => "Chromium",
            Tool::Chromedriver => "chromedriver",
            Tool::Git => "git",
            Tool::Python => "Python with venv",
        }
    }

    /// The Debian package that brings it.
    #[must_use]
    pub fn package(self) -> &'static str {
        match self {
            Tool::Postgres => "postgresql",
            Tool::Chromium => "chromium",
            Tool::Chromedriver => "chromium-driver",
            Tool::Git => "git",
            Tool::Python => "python3-venv",
        }
    }

    /// The environment variable that names the tool's place (for Postgres the directory, for the others the program) and
    /// overrides the search.
    #[must_use]
    pub fn variable(self) -> &'static str {
        match self {
            Tool::Postgres => "CREDENZA_PG_BIN",
            Tool::Chromium => "CREDENZA_CHROMIUM",
            Tool::Chromedriver => "CREDENZA_CHROMEDRIVER",
            Tool::Git => "CREDENZA_GIT",
            Tool::Python => "CREDENZA_PYTHON",
        }
    }

    fn programs(self) -> &'static [&'static str] {
        match self {
            Tool::Postgres => &POSTGRES_PROGRAMS,
            Tool::Chromium => &["chromium", "chromium-browser", "google-chrome"],
            Tool::Chromedriver => &["chromedriver"],
            Tool::Git => &["git"],
            Tool::Python => &["python3"],
        }
    }
}

/// The places to look in; a value so that tests can point it elsewhere.
#[derive(Debug, Clone)]
pub struct Places {
    /// Directories searched for programs, in order.
    pub path: Vec<PathBuf>,
    /// The directory whose `*/bin` hold PostgreSQL servers, one per major version, as Debian lays them out.
    pub postgres_versions: PathBuf,
}

impl Places {
    /// `PATH`, the usual directories for programs (which a bare environment may not name), and Debian's PostgreSQL directory.
    #[must_use]
    pub fn of_this_machine() -> Self {
        let mut path: Vec<PathBuf> =
            std::env::var_os("PATH").map(|value| std::env::split_paths(&value).collect()).unwrap_or_default();
        path.extend(["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin"].map(PathBuf::from));
        Self { path, postgres_versions: PathBuf::from("/usr/lib/postgresql") }
    }

    /// Where `tool` is: the directory of the PostgreSQL programs, or the program itself. `overridden` is the value of
    /// [`Tool::variable`]; when it is given nothing else is looked at, so that a wrong value shows.
    #[must_use]
    pub fn find(&self, tool: Tool, overridden: Option<&Path>) -> Option<PathBuf> {
        match (tool, overridden) {
            (Tool::Postgres, Some(directory)) => complete_server(directory),
            (_, Some(program)) => program.is_file().then(|| program.to_path_buf()),
            (Tool::Postgres, None) => self.find_postgres(),
            (Tool::Python, None) => self.find_python(),
            (_, None) => tool.programs().iter().find_map(|name| self.program(name)),
        }
    }

    /// The first file called `name` on the path.
    #[must_use]
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        self.path.iter().map(|directory| directory.join(name)).find(|file| file.is_file())
    }

    fn find_postgres(&self) -> Option<PathBuf> {
        // A link in PATH leads to the directory that holds the rest of the server's programs.
        self.program("initdb")
            .and_then(|initdb| initdb.canonicalize().ok())
            .and_then(|initdb| complete_server(initdb.parent()?))
            .or_else(|| complete_server(&self.bindir_of_pg_config()?))
            .or_else(|| self.newest_debian_server())
    }

    /// Debian's `python3` alone cannot make an environment: `venv` is there and fails for want of `ensurepip`.
    fn find_python(&self) -> Option<PathBuf> {
        let is_complete = |program: &PathBuf| {
            let mut command = Command::new(program);
            command.args(["-c", "import ensurepip, venv"]).stdin(Stdio::null());
            command.output().is_ok_and(|output| output.status.success())
        };
        let candidates = self.path.iter().map(|directory| directory.join("python3"));
        candidates.filter(|program| program.is_file()).find(is_complete)
    }

    fn bindir_of_pg_config(&self) -> Option<PathBuf> {
        let output =
            Command::new(self.program("pg_config")?).arg("--bindir").stdin(Stdio::null()).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| PathBuf::from(text.trim()))
    }

    fn newest_debian_server(&self) -> Option<PathBuf> {
        let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir(&self.postgres_versions)
            .ok()?
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let major = entry.file_name().to_str()?.parse().ok()?;
                Some((major, complete_server(&entry.path().join("bin"))?))
            })
            .collect();
        versions.sort();
        versions.pop().map(|(_, directory)| directory)
    }
}

/// `directory`, if every server program is in it.
fn complete_server(directory: &Path) -> Option<PathBuf> {
    POSTGRES_PROGRAMS.iter().all(|name| directory.join(name).is_file()).then(|| directory.to_path_buf())
}

/// Where `tool` is on this machine, its environment variable first.
#[must_use]
pub fn find(tool: Tool) -> Option<PathBuf> {
    let overridden = std::env::var_os(tool.variable()).map(PathBuf::from);
    Places::of_this_machine().find(tool, overridden.as_deref())
}

#[cfg(test)]
mod tests;
