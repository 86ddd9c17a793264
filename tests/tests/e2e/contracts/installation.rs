//! A `credenza serve` of the test's own: its configuration, its process, and commands beside it.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use credenza_tests::process::Ready;
use credenza_tests::running::Running;
use credenza_tests::{binaries, ports};
use rusqlite::Connection;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(30);

/// Runs `credenza` to its end.
pub fn credenza(arguments: &[&str]) -> Output {
    let mut command = Command::new(binaries::target_bin("credenza"));
    command.env_remove("CREDENZA_CONFIG").args(arguments).output().expect("credenza starts")
}

/// Both streams.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The file of a contract that the product comes with.
pub fn contract_file(name: &str) -> String {
    format!("{}/../config/contracts/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A directory with a configuration, a keyring and a SQLite database.
pub struct Installation {
    directory: TempDir,
    pub public_url: String,
    pub secret_hash: String,
    pub keyring: String,
    pub env: Vec<(&'static str, String)>,
}

/// How a start ended that had to fail.
pub struct Refusal {
    pub code: Option<i32>,
    pub log: String,
}

impl Installation {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let keyring = directory.path().join("keyring").display().to_string();
        let made = credenza(&["keyring", &keyring]);
        assert!(made.status.success(), "{}", text(&made));
        Self {
            directory,
            public_url: "https://issuer.example".to_owned(),
            secret_hash: hash("a secret of our own, long enough"),
            keyring: format!("file = \"{keyring}\""),
            env: Vec::new(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes the configuration as it is described now; gives its path and the listener's port.
    pub fn config(&self) -> (String, u16) {
        let port = ports::free();
        let config = format!(
            "[service]\ntenant_id = \"a5f1c9d2-0000-4000-8000-00000000abcd\"\npublic_url = \"{}\"\n\
             [authority]\nname = \"Contoso\"\n\
             [listen]\npublic = \"127.0.0.1:{port}\"\nbehind_proxy = true\n\
             [database]\nurl = \"sqlite:{}\"\n\
             [keyring]\n{}\n\
             [[tokens.builtin.clients]]\nid = \"web\"\nsecret_hash = \"{}\"\n",
            self.public_url,
            self.path("credenza.db").display(),
            self.keyring,
            self.secret_hash,
        );
        let path = self.path("credenza.toml");
        std::fs::write(&path, config).expect("the configuration can be written");
        (path.display().to_string(), port)
    }

    /// Starts `serve` and waits until it is ready.
    pub fn serve(&self) -> (Running, Ready) {
        self.try_serve().unwrap_or_else(|refusal| panic!("not ready ({:?}):\n{}", refusal.code, refusal.log))
    }

    /// Starts `serve`, which has to be refused.
    pub fn refused(&self) -> Refusal {
        match self.try_serve() {
            Ok((running, _)) => panic!("it started:\n{}", running.log()),
            Err(refusal) => refusal,
        }
    }

    fn try_serve(&self) -> Result<(Running, Ready), Refusal> {
        let (config, _) = self.config();
        let (ready_file, log) = (self.path("ready.json"), self.path("log"));
        std::fs::remove_file(&ready_file).ok();
        std::fs::remove_file(&log).ok();
        let mut command = Command::new(binaries::target_bin("credenza"));
        command.args(["serve", "--config", &config, "--ready-file"]).arg(&ready_file);
        command.envs(self.env.iter().map(|(name, value)| (*name, value)));
        let mut running = Running::spawn(command, &log);
        let until = Instant::now() + LIMIT;
        loop {
            if let Some(ready) =
                std::fs::read(&ready_file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())
            {
                return Ok((running, ready));
            }
            if let Some(status) = running.exited() {
                return Err(Refusal { code: status.code(), log: running.log() });
            }
            assert!(Instant::now() < until, "neither ready nor refused: {}", running.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// How many rows a statement counts.
    pub fn count(&self, statement: &str) -> i64 {
        let database = Connection::open(self.path("credenza.db")).expect("the database can be opened");
        database.query_row(statement, [], |row| row.get(0)).expect("the statement counts")
    }
}

/// The hash of a client secret, as an operator makes it.
pub fn hash(secret: &str) -> String {
    use std::io::Write as _;
    let mut child = Command::new(binaries::target_bin("credenza"))
        .arg("hash-secret")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("credenza starts");
    let mut input = child.stdin.take().expect("the input was asked for");
    writeln!(input, "{secret}").expect("it reads its input");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}
