//! Private PostgreSQL servers. One is shared by all tests of a process and started by the first that asks; a test that wants
//! to crash its server starts one of its own.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use xtask::tools::Tool;

use crate::watchdog::Watchdog;
use crate::{binaries, ports};

/// The database superuser of every server; there is no password.
const USER: &str = "credenza";

/// User and group `nobody`. The server refuses to run as root, and test machines often have no other user.
const NOBODY: u32 = 65_534;

/// A database of its own for one test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestDatabase {
    /// `postgres://credenza@127.0.0.1:PORT/NAME`
    pub url: String,
}

/// A fresh, empty database on the shared server (started on the first call). It goes away with the server.
///
/// # Panics
/// When PostgreSQL is missing or does not start; the message holds its log.
#[must_use]
pub fn database() -> TestDatabase {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| Server::start(Durability::Fast)).database()
}

/// Whether commits reach the disk before they are acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// `fsync = off`: quick, and survives a crash of the server but not of the machine.
    Fast,
    /// `fsync = on`, as in production.
    Full,
}

/// A PostgreSQL server in a temporary directory, on a loopback port. Stopped and removed when dropped, or when the test
/// process ends.
#[derive(Debug)]
pub struct Server {
    programs: PathBuf,
    directory: PathBuf,
    port: u16,
    databases: AtomicU32,
    watchdog: Option<Watchdog>,
}

impl Server {
    /// Creates and starts a server.
    ///
    /// # Panics
    /// When PostgreSQL is missing or does not start; the message holds its log.
    #[must_use]
    pub fn start(durability: Durability) -> Self {
        let programs = binaries::tool(Tool::Postgres);
        let directory = tempfile::Builder::new()
            .prefix("credenza-pg-")
            .tempdir()
            .expect("a temporary directory can be made")
            .keep();
        if is_root() {
            chown(&directory, Some(NOBODY), Some(NOBODY)).expect("root can give a directory away");
        }
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).expect("our own directory");
        // Before the server runs, so that no moment is left in which it could stay behind.
        let script = "\"$@\" stop -s -m immediate -D \"$directory/data\"; rm -rf \"$directory\"";
        let stop = as_server_user(&programs.join("pg_ctl"), &directory);
        let mut arguments = vec![directory.as_os_str(), stop.get_program()];
        arguments.extend(stop.get_args());
        let watchdog = Watchdog::set(&format!("directory=$1; shift; {script}"), &arguments);

        let server = Self {
            programs,
            directory,
            port: ports::free(),
            databases: AtomicU32::new(0),
            watchdog: Some(watchdog),
        };
        server.initialise(durability);
        server.start_with_a_free_port()
    }

    fn initialise(&self, durability: Durability) {
        let mut command = self.program("initdb");
        command
            .args(["-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-U", USER, "-D"])
            .arg(self.data());
        let output = run(&mut command);
        assert!(output.status.success(), "initdb failed: {}", text_of(&output));
        let fsync = match durability {
            Durability::Fast => "off",
            Durability::Full => "on",
        };
        let settings = format!(
            "\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nfsync = {fsync}\nfull_page_writes = {fsync}\n\
             max_connections = 200\nshared_buffers = 32MB\n",
            self.directory.display()
        );
        let file = self.data().join("postgresql.conf");
        let all = fs::read_to_string(&file).expect("initdb wrote it") + settings.as_str();
        fs::write(&file, all).expect("our own file");
    }

    fn start_with_a_free_port(mut self) -> Self {
        for _ in 0..5 {
            match self.try_start() {
                Ok(()) => return self,
                Err(log) if log.contains("Address already in use") => self.port = ports::free(),
                Err(log) => panic!("PostgreSQL does not start:\n{log}"),
            }
        }
        panic!("five ports in a row were taken");
    }

    fn try_start(&self) -> Result<(), String> {
        let log = self.directory.join("log");
        let mut command = self.program("pg_ctl");
        command.args(["start", "-w", "-t", "60", "-s", "-D"]).arg(self.data());
        command.arg("-l").arg(&log).arg("-o").arg(format!("-p {}", self.port));
        let output = run(&mut command);
        if output.status.success() {
            return Ok(());
        }
        Err(format!("{}{}", text_of(&output), fs::read_to_string(log).unwrap_or_default()))
    }

    /// A fresh, empty database.
    ///
    /// # Panics
    /// When the server is down.
    #[must_use]
    pub fn database(&self) -> TestDatabase {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        TestDatabase { url: self.url(&name) }
    }

    /// Runs one statement in the database `name` and returns what `psql` prints for it: rows as lines, columns split by `|`.
    ///
    /// # Panics
    /// When the statement fails.
    pub fn sql(&self, name: &str, statement: &str) -> String {
        psql(&self.programs, &self.url(name), statement)
    }

    /// Ends the server without a checkpoint or a goodbye to its clients, as a crash would.
    ///
    /// # Panics
    /// When it was not running.
    pub fn crash(&self) {
        let mut command = self.program("pg_ctl");
        command.args(["stop", "-s", "-m", "immediate", "-D"]).arg(self.data());
        let output = run(&mut command);
        assert!(output.status.success(), "pg_ctl stop failed: {}", text_of(&output));
    }

    /// Starts it again after [`Server::crash`], on the same port.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&self) {
        if let Err(log) = self.try_start() {
            panic!("PostgreSQL does not start again:\n{log}");
        }
    }

    fn url(&self, name: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{name}", self.port)
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn program(&self, name: &str) -> Command {
        as_server_user(&self.programs.join(name), &self.directory)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(watchdog) = self.watchdog.take() {
            watchdog.fire();
        }
    }
}

impl TestDatabase {
    /// Runs one statement and returns what `psql` prints for it: rows as lines, columns split by `|`.
    ///
    /// # Panics
    /// When the statement fails.
    pub fn sql(&self, statement: &str) -> String {
        psql(&binaries::tool(Tool::Postgres), &self.url, statement)
    }
}

fn psql(programs: &Path, url: &str, statement: &str) -> String {
    let mut command = Command::new(programs.join("psql"));
    command.args(["-X", "-w", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", statement]);
    let output = run(&mut command);
    assert!(output.status.success(), "{statement}: {}", text_of(&output));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// `program`, as the user that may run a server, in a directory that this user can enter.
fn as_server_user(program: &Path, directory: &Path) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={NOBODY}"))
            .arg(format!("--regid={NOBODY}"))
            .arg("--clear-groups")
            .arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir(directory);
    command
}

/// Root owns what it starts.
fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
}

fn text_of(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_separate() {
        let (one, other) = (database(), database());
        assert_ne!(one.url, other.url);
        one.sql("CREATE TABLE only_here (value text)");
        assert_eq!(one.sql("SELECT count(*) FROM pg_tables WHERE tablename = 'only_here'"), "1");
        assert_eq!(other.sql("SELECT count(*) FROM pg_tables WHERE tablename = 'only_here'"), "0");
    }

    #[test]
    fn a_private_server_survives_a_crash_and_leaves_nothing_behind() {
        let server = Server::start(Durability::Full);
        let database = server.database();
        assert_eq!(database.sql("SHOW fsync"), "on");
        database.sql("CREATE TABLE kept AS SELECT 7 AS value");
        let before = database.sql("SELECT pg_postmaster_start_time()");
        server.crash();
        server.start_again();
        assert_eq!(database.sql("SELECT value FROM kept"), "7");
        assert_ne!(database.sql("SELECT pg_postmaster_start_time()"), before);
        let (directory, port) = (server.directory.clone(), server.port);
        drop(server);
        assert!(!directory.exists());
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    }
}
