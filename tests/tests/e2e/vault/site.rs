//! Simulators and installations on them.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use credenza_tests::process::Ready;
use credenza_tests::running::Running;
use credenza_tests::{binaries, ports};
use tempfile::TempDir;
use vault_sim::{Arrival, Role, Sim, SimConfig};

const LIMIT: Duration = Duration::from_secs(30);

/// The token of the identity that signs, in the installations here.
pub const SIGNER: &str = "signer-token";
/// The token of the identity that makes keys.
pub const ADMIN: &str = "admin-token";

/// A simulator whose certificate authority is in a file.
pub struct Simulator {
    pub sim: vault_sim::Running,
    directory: TempDir,
}

impl Simulator {
    pub fn start() -> Self {
        Self::with(SimConfig::quick())
    }

    pub fn with(config: SimConfig) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let sim = Sim::start(config).expect("the simulator starts");
        std::fs::write(directory.path().join("ca.pem"), sim.ca_pem()).expect("our own directory");
        Self { sim, directory }
    }

    pub fn ca_file(&self) -> String {
        self.directory.path().join("ca.pem").display().to_string()
    }

    /// Says what a token may do.
    pub fn allow(&self, token: &str, permissions: &[&str]) {
        let allow = permissions.iter().map(|name| (*name).to_owned()).collect();
        self.sim.set_role(Role { token: token.to_owned(), allow, keys: None });
    }

    /// The calls of one kind.
    pub fn calls(&self, operation: &str) -> Vec<Arrival> {
        self.sim.arrivals().into_iter().filter(|arrival| arrival.op == operation).collect()
    }

    /// The names of the keys that have signed.
    pub fn signers(&self) -> Vec<String> {
        let signed = self.calls("KeySign").into_iter().filter(|arrival| arrival.status == 200);
        let mut keys: Vec<String> = signed.filter_map(|arrival| arrival.key).collect();
        keys.sort();
        keys.dedup();
        keys
    }
}

/// What differs between installations.
pub struct Setting<'a> {
    /// Name and simulator of each vault.
    pub vaults: Vec<(&'a str, &'a Simulator)>,
    /// The members of `[signing]`.
    pub signing: &'a str,
    /// `database.url`; a file in the directory when absent.
    pub database: Option<String>,
    /// The identity that signs, as TOML; its secret is in the variable `SIGNER_TOKEN`.
    pub credential: &'a str,
    /// Whether the identity that makes keys is another one.
    pub key_admin: bool,
    /// More members of each vault.
    pub more: &'a str,
}

impl<'a> Setting<'a> {
    pub fn one(simulator: &'a Simulator) -> Self {
        Self {
            vaults: vec![("west", simulator)],
            signing: "backend = \"west\"",
            database: None,
            credential: "{ kind = \"static_token\", token_env = \"SIGNER_TOKEN\" }",
            key_admin: true,
            more: "",
        }
    }
}

/// An installation of `credenza serve` on this machine, with a certificate of its own authority.
pub struct Site {
    directory: TempDir,
    port: u16,
    secret_hash: String,
}

impl Site {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let keyring = directory.path().join("keyring").display().to_string();
        let made = credenza(&["keyring", &keyring]);
        assert!(made.status.success(), "{}", text(&made));
        let certificate =
            rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        std::fs::write(directory.path().join("cert.pem"), certificate.cert.pem()).expect("our own directory");
        let key = certificate.signing_key.serialize_pem();
        std::fs::write(directory.path().join("key.pem"), key).expect("our own directory");
        let secret_hash = crate::contracts::installation::hash(SECRET);
        Self { directory, port: ports::free(), secret_hash }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes the configuration; gives its path.
    pub fn config(&self, setting: &Setting<'_>) -> String {
        let path = |name: &str| self.path(name).display().to_string();
        let database = setting.database.clone().unwrap_or_else(|| format!("sqlite:{}", path("credenza.db")));
        let mut text = format!(
            "[service]\ntenant_id = \"a5f1c9d2-0000-4000-8000-00000000abcd\"\npublic_url = \"https://localhost:{port}\"\n\
             [authority]\nname = \"Contoso\"\n\
             [listen]\npublic = \"127.0.0.1:{port}\"\ncertificate = \"{}\"\nprivate_key = \"{}\"\n\
             [database]\nurl = \"{database}\"\n\
             [keyring]\nfile = \"{}\"\n\
             [[tokens.builtin.clients]]\nid = \"web\"\nsecret_hash = \"{}\"\n\
             [signing]\n{}\n",
            path("cert.pem"),
            path("key.pem"),
            path("keyring"),
            self.secret_hash,
            setting.signing,
            port = self.port,
        );
        for (name, simulator) in &setting.vaults {
            let admin = "key_admin = { kind = \"static_token\", token_env = \"ADMIN_TOKEN\" }\n";
            text += &format!(
                "[[vault]]\nname = \"{name}\"\nurl = \"{}\"\nca_file = \"{}\"\nverify_challenge_resource = false\n\
                 credential = {}\n{}{}\n",
                simulator.sim.url(),
                simulator.ca_file(),
                setting.credential,
                if setting.key_admin { admin } else { "" },
                setting.more,
            );
        }
        let file = self.path("credenza.toml");
        std::fs::write(&file, text).expect("our own directory");
        file.display().to_string()
    }

    /// Runs a command on this installation, to its end.
    pub fn run(&self, arguments: &[&str], setting: &Setting<'_>) -> Output {
        let config = self.config(setting);
        self.command(&[arguments, &["--config", &config]].concat()).output().expect("credenza starts")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binaries::target_bin("credenza"));
        command.args(arguments).env("SIGNER_TOKEN", SIGNER).env("ADMIN_TOKEN", ADMIN);
        command
    }

    /// Applies a contract, which makes authority and keys.
    pub fn apply(&self, setting: &Setting<'_>) -> Output {
        let contract = format!("{}/../config/contracts/student-card.json", env!("CARGO_MANIFEST_DIR"));
        self.run(&["contract", "apply", &contract], setting)
    }

    /// Starts `serve` and waits until it is ready.
    pub fn serve(&self, setting: &Setting<'_>) -> (Running, Ready) {
        let config = self.config(setting);
        let (ready_file, log) = (self.path("ready.json"), self.path("log"));
        std::fs::remove_file(&ready_file).ok();
        let ready_path = ready_file.display().to_string();
        let command = self.command(&["serve", "--config", &config, "--ready-file", &ready_path]);
        let mut running = Running::spawn(command, &log);
        let until = Instant::now() + LIMIT;
        loop {
            if let Some(ready) =
                std::fs::read(&ready_file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())
            {
                return (running, ready);
            }
            let ended = running.exited();
            assert!(ended.is_none() && Instant::now() < until, "not ready ({ended:?}): {}", running.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The secret of the client `web`.
pub const SECRET: &str = "a secret of our own, long enough";

/// Runs `credenza` to its end.
pub fn credenza(arguments: &[&str]) -> Output {
    Command::new(binaries::target_bin("credenza")).args(arguments).output().expect("credenza starts")
}

/// Both streams.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
