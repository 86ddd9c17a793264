//! What the load needs around it: the simulated vault, PostgreSQL where asked for, the replicas of the product in their
//! production form (`credenza serve`), and a receiver of callbacks. Starts and ends them; all on loopback, all private to
//! one run.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use credenza_tests::binaries;
use credenza_tests::ports;
use credenza_tests::postgres::{Durability, Server, TestDatabase};
use credenza_tests::process::Ready;
use credenza_tests::running::Running;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::scenario::{Database, Event, Scenario, WINDOW};
use crate::sink::{self, Sink};

/// The bearer token that the product shows to the simulator, and the variable that holds it.
const VAULT_TOKEN: (&str, &str) = ("CREDENZA_LOAD_VAULT_TOKEN", "load-test");
/// The vault's name, in the simulator and in the configuration.
const VAULT: &str = "vault";
/// The tenant, the front end, and its secret: as good as any.
const TENANT: &str = "10ad7e57-0000-4000-8000-000000000001";
const CLIENT: (&str, &str) = ("load-front-end", "kY3-load-front-end-secret-9fQ");
/// The contract, from the repository's examples: one that takes its claims from the front end.
const CONTRACT: &str = "student-card.json";
/// How long a program may take to start, and to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// The simulator's ready file.
#[derive(Debug, Deserialize)]
struct SimReady {
    url: String,
    ca_file: PathBuf,
    admin_url: String,
}

/// Waits until `file` holds JSON.
async fn ready<T: DeserializeOwned>(running: &mut Running, file: &Path) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        // A file seen half-written does not parse yet; it will the next time.
        if let Some(ready) = std::fs::read(file).ok().and_then(|text| serde_json::from_slice(&text).ok()) {
            return ready;
        }
        let ended = running.exited();
        assert!(ended.is_none() && Instant::now() < until, "not ready ({ended:?}): {}", running.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The simulated vault.
pub struct Vault {
    running: Running,
    ready: SimReady,
    log_dir: PathBuf,
}

impl Vault {
    async fn start(scenario: &Scenario, directory: &Path) -> Self {
        let (log_dir, ready_file) = (directory.join("vault-log"), directory.join("vault-ready.json"));
        let mut command = Command::new(binaries::target_bin("vault-sim"));
        command.args([
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--vaults",
            VAULT,
            "--single-limit",
        ]);
        command.args(["--token", VAULT_TOKEN.1, "--window", &scenario.window]);
        command.arg("--limit").arg(scenario.limit.to_string());
        command.arg("--window-ms").arg(WINDOW.as_millis().to_string());
        command.arg("--tls-dir").arg(tls_dir(directory)).arg("--log-dir").arg(&log_dir);
        command.arg("--ready-file").arg(&ready_file);
        let mut running = Running::spawn(command, &directory.join("vault-sim.log"));
        let ready = ready(&mut running, &ready_file).await;
        Self { running, ready, log_dir }
    }

    /// Another tenant takes that many operations per second.
    async fn foreign(&self, rate: u32) {
        let body = serde_json::json!({ "vault": VAULT, "rate": rate });
        let client = credenza_tests::process::client_trusting(None);
        let request =
            client.post(format!("{}/foreign", self.ready.admin_url.trim_end_matches('/'))).json(&body);
        let answer = request.send().await.expect("the simulator's admin port answers");
        assert!(answer.status().is_success(), "POST /foreign: {}", answer.status());
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Ends it in order, so that the log is whole; gives the log's directory.
    fn finish(mut self) -> PathBuf {
        let status = self.running.terminate(PATIENCE);
        assert!(status.success(), "vault-sim ended with {status}: {}", self.running.log());
        self.log_dir
    }
}

/// Where the simulator keeps its certificates. They are for localhost, so the product shows them too.
fn tls_dir(directory: &Path) -> PathBuf {
    directory.join("tls")
}

/// One process of the product.
struct Replica {
    port: u16,
    /// `None` while it is killed.
    running: Option<Running>,
}

/// Everything that runs beside k6.
pub struct Stage {
    pub vault: Vault,
    pub sink: Sink,
    directory: PathBuf,
    database: Option<TestDatabase>,
    replicas: Vec<Replica>,
    site: Ready,
    /// Ends with this.
    _server: Option<Server>,
}

impl Stage {
    /// Starts everything; its files lie in `directory`.
    pub async fn start(scenario: &Scenario, directory: &Path) -> Self {
        let vault = Vault::start(scenario, directory).await;
        let server = (scenario.database == Database::Postgres).then(|| Server::start(Durability::Full));
        let mut stage = Self {
            vault,
            sink: sink::start().await,
            directory: directory.to_path_buf(),
            database: server.as_ref().map(Server::database),
            replicas: Vec::new(),
            site: Ready::default(),
            _server: server,
        };
        let ports: Vec<u16> = (0..scenario.replicas).map(|_| ports::free()).collect();
        let hash = output(credenza(&["hash-secret"]), CLIENT.1);
        output(credenza(&["keyring"]).arg(directory.join("keyring")), "");
        for port in &ports {
            let config = stage.configuration(scenario, ports[0], *port, hash.trim());
            std::fs::write(stage.config(*port), config).expect("our own directory");
        }
        // Makes the authority, its key in the vault, and the signed contract, before anybody serves.
        let contracts =
            std::env::var_os("CREDENZA_LOAD_CONTRACTS").expect("start me with `cargo xtask load`");
        let mut apply = credenza(&["contract", "apply"]);
        output(
            apply.arg(Path::new(&contracts).join(CONTRACT)).arg("--config").arg(stage.config(ports[0])),
            "",
        );
        for port in ports {
            let (running, site) = stage.serve(port).await;
            stage.site = site;
            stage.replicas.push(Replica { port, running: Some(running) });
        }
        stage
    }

    fn config(&self, port: u16) -> PathBuf {
        self.directory.join(format!("credenza-{port}.toml"))
    }

    /// All replicas stand under the public origin of the first, as behind a load balancer.
    fn configuration(&self, scenario: &Scenario, public: u16, port: u16, secret_hash: &str) -> String {
        let (directory, tls) = (self.directory.display(), tls_dir(&self.directory));
        let database = self
            .database
            .as_ref()
            .map_or_else(|| format!("sqlite:{directory}/credenza.db"), |database| database.url.clone());
        let sink = url::Url::parse(&self.sink.url).expect("the sink's address");
        format!(
            r#"[service]
tenant_id = "{TENANT}"
public_url = "https://localhost:{public}"
[authority]
name = "Load test"
[listen]
public = "127.0.0.1:{port}"
certificate = "{tls}/leaf.pem"
private_key = "{tls}/leaf-key.pem"
[database]
url = "{database}"
[keyring]
file = "{directory}/keyring"
[signing]
backend = "{VAULT}"
[[vault]]
name = "{VAULT}"
url = "{vault}"
credential = {{ kind = "static_token", token_env = "{token}" }}
limits = {{ sign = {limit}, window_secs = {window} }}
ca_file = "{ca}"
verify_challenge_resource = false
[callbacks]
allow = ["127.0.0.1:{sink}"]
allow_http = true
[[tokens.builtin.clients]]
id = "{client}"
secret_hash = "{secret_hash}"
[limits]
enabled = false
[log]
format = "text"
level = "warn"
"#,
            tls = tls.display(),
            vault = self.vault.ready.url,
            token = VAULT_TOKEN.0,
            limit = scenario.limit,
            window = WINDOW.as_secs(),
            ca = self.vault.ready.ca_file.display(),
            sink = sink.port().expect("a port of its own"),
            client = CLIENT.0,
        )
    }

    async fn serve(&self, port: u16) -> (Running, Ready) {
        let ready_file = self.directory.join(format!("ready-{port}.json"));
        std::fs::remove_file(&ready_file).ok();
        let mut command = credenza(&["serve", "--config"]);
        command.arg(self.config(port)).arg("--ready-file").arg(&ready_file);
        let mut running = Running::spawn(command, &self.directory.join(format!("credenza-{port}.log")));
        let site = ready(&mut running, &ready_file).await;
        (running, site)
    }

    /// The processes of the product, killed ones left out.
    pub fn pids(&self) -> Vec<u32> {
        self.replicas.iter().filter_map(|replica| replica.running.as_ref()).map(Running::pid).collect()
    }

    /// The certificate authority that k6 trusts.
    pub fn ca_file(&self) -> &Path {
        &self.vault.ready.ca_file
    }

    /// What k6 has to know.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let known = |value: &Option<String>, name: &str| {
            value.clone().unwrap_or_else(|| panic!("the ready file has no `{name}`"))
        };
        let origins = self.replicas.iter().map(|replica| format!("https://localhost:{}", replica.port));
        vec![
            ("ORIGINS", origins.collect::<Vec<_>>().join(",")),
            ("TOKEN_URL", known(&self.site.token_url, "token_url")),
            ("CLIENT_ID", CLIENT.0.to_owned()),
            ("CLIENT_SECRET", CLIENT.1.to_owned()),
            ("AUTHORITY", known(&self.site.authority_did, "authority_did")),
            ("MANIFEST", known(&self.site.manifest_url, "manifest_url")),
            ("CALLBACK", self.sink.url.clone()),
        ]
    }

    /// Makes `event` happen.
    pub async fn happen(&mut self, event: Event) {
        match event {
            Event::Foreign(rate) => self.vault.foreign(rate).await,
            Event::Kill(at) => self.replicas[at].running.take().expect("it runs").kill(),
            Event::Start(at) => {
                let (running, _) = self.serve(self.replicas[at].port).await;
                self.replicas[at].running = Some(running);
            }
        }
    }

    /// Ends the product in order and gives what each intent was for; then the vault, and gives its log's directory.
    pub fn finish(mut self) -> Finished {
        let mut log = String::new();
        for running in self.replicas.iter_mut().filter_map(|replica| replica.running.as_mut()) {
            let status = running.terminate(PATIENCE);
            assert!(status.success(), "credenza ended with {status}: {}", running.log());
            log += &running.log();
        }
        std::fs::write(self.directory.join("credenza.log"), log).expect("our own directory");
        let purposes = match &self.database {
            Some(database) => crate::purposes::of_postgres(database),
            None => crate::purposes::of_sqlite(&self.directory.join("credenza.db")),
        };
        Finished { purposes, log_dir: self.vault.finish() }
    }
}

/// What is left to judge.
pub struct Finished {
    /// By intent.
    pub purposes: HashMap<String, String>,
    pub log_dir: PathBuf,
}

/// The product with `arguments` and the vault's token.
fn credenza(arguments: &[&str]) -> Command {
    let mut command = Command::new(binaries::target_bin("credenza"));
    command.args(arguments).env(VAULT_TOKEN.0, VAULT_TOKEN.1);
    command
}

/// Runs `command` to its good end and gives what it printed.
fn output(mut command: impl std::borrow::BorrowMut<Command>, input: &str) -> String {
    let command = command.borrow_mut();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("it was asked for");
    // Who does not read its input may have ended.
    writeln!(stdin, "{input}").ok();
    drop(stdin);
    let done = child.wait_with_output().expect("a child can be waited for");
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}
