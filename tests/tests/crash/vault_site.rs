//! An installation of `credenza serve` on a simulated vault with a small limit: one or two replicas behind one origin, each of
//! which can be started with a place to die at.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use credenza_tests::database::Database;
use credenza_tests::process::{Answer, REQUEST_SCOPE, Ready, client_trusting};
use credenza_tests::running::Running;
use credenza_tests::{binaries, ports};
use tempfile::TempDir;
use vault_sim::{LatencyConfig, Limits, Sim, SimConfig, ThrottleConfig, Window};

use crate::vault_balancer::Balancer;
use crate::wallets::Place;

/// Operations that the vault takes in [`WINDOW`].
pub const LIMIT: u32 = 24;
/// The vault's window.
pub const WINDOW: Duration = Duration::from_secs(2);

const TENANT: &str = "c2a5f1c9-0000-4000-8000-00000000abcd";
/// `config/contracts/student-card.json`.
const CONTRACT: &str = "8d2b6e90-1c47-4f3a-b5d8-7e9a4c3f1d02";
const SECRET: &str = "a secret of the crash tests' front end";
const START_LIMIT: Duration = Duration::from_secs(30);
/// Between two redistributions of connections, longer than a start.
const REBALANCE: Duration = Duration::from_secs(1);
const STOP_LIMIT: Duration = Duration::from_secs(20);

struct Replica {
    port: u16,
    running: Option<Running>,
}

/// The whole of it. Everything ends when it is dropped.
pub struct Site {
    pub sim: vault_sim::Running,
    pub database: Database,
    replicas: Vec<Replica>,
    ready: Ready,
    directory: TempDir,
    balancer: Balancer,
}

impl Site {
    /// Starts `replicas` processes on this database; on SQLite in a file of its own when there is none.
    pub async fn start(replicas: usize, postgres: Option<credenza_tests::postgres::TestDatabase>) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let latency = LatencyConfig { median: Duration::from_millis(5), first_request: Duration::ZERO };
        let throttle = ThrottleConfig {
            window: Window::Sliding,
            length: WINDOW,
            limits: Limits::single(LIMIT.into(), 10),
            ..ThrottleConfig::default()
        };
        let sim =
            Sim::start(SimConfig { latency, throttle, ..SimConfig::quick() }).expect("the simulator starts");
        let ports: Vec<u16> = (0..replicas).map(|_| ports::free()).collect();
        let balancer = Balancer::start(ports.clone()).await;
        let (database, url) = match postgres {
            Some(own) => {
                let url = own.url.clone();
                (Database::Postgres(own), url)
            }
            None => {
                let file = directory.path().join("credenza.db");
                let url = format!("sqlite:{}", file.display());
                (Database::Sqlite(file), url)
            }
        };
        let replicas = ports.iter().map(|port| Replica { port: *port, running: None }).collect();
        let mut site = Self { sim, database, replicas, ready: Ready::default(), directory, balancer };
        site.furnish(&url);
        let contract = format!("{}/../config/contracts/student-card.json", env!("CARGO_MANIFEST_DIR"));
        let config = site.config(0).display().to_string();
        said(&site.command(&["contract", "apply", &contract, "--config", &config]).output());
        for replica in 0..site.replicas.len() {
            site.serve(replica);
        }
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn config(&self, replica: usize) -> PathBuf {
        self.path(&format!("credenza-{replica}.toml"))
    }

    /// Keyring, certificate and the configuration of each replica.
    fn furnish(&self, database: &str) {
        let path = |name: &str| self.path(name).display().to_string();
        said(&self.command(&["keyring", &path("keyring")]).output());
        let hash = said(&fed(self.command(&["hash-secret"]), SECRET));
        let certificate =
            rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let key = certificate.signing_key.serialize_pem();
        for (name, text) in [
            ("cert.pem", certificate.cert.pem()),
            ("key.pem", key),
            ("vault.pem", self.sim.ca_pem().to_owned()),
        ] {
            std::fs::write(self.path(name), text).expect("our own directory");
        }
        for (number, replica) in self.replicas.iter().enumerate() {
            let text = format!(
                "[service]\ntenant_id = \"{TENANT}\"\npublic_url = \"https://localhost:{public}\"\n\
                 [authority]\nname = \"Contoso\"\n\
                 [listen]\npublic = \"127.0.0.1:{port}\"\ncertificate = \"{cert}\"\nprivate_key = \"{key}\"\n\
                 [database]\nurl = \"{database}\"\n\
                 [keyring]\nfile = \"{keyring}\"\n\
                 [[tokens.builtin.clients]]\nid = \"web\"\nsecret_hash = \"{hash}\"\n\
                 [limits]\nenabled = false\n\
                 [log]\nformat = \"text\"\nlevel = \"warn\"\n\
                 [signing]\nbackend = \"west\"\n\
                 [[vault]]\nname = \"west\"\nurl = \"{url}\"\nca_file = \"{ca}\"\nverify_challenge_resource = false\n\
                 credential = {{ kind = \"static_token\", token_env = \"VAULT_TOKEN\" }}\n\
                 limits = {{ sign = {LIMIT}, create = 10, window_secs = {window} }}\n",
                public = self.balancer.port(),
                port = replica.port,
                cert = path("cert.pem"),
                key = path("key.pem"),
                keyring = path("keyring"),
                hash = hash.trim(),
                url = self.sim.url(),
                ca = path("vault.pem"),
                window = WINDOW.as_secs(),
            );
            std::fs::write(self.config(number), text).expect("our own directory");
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binaries::target_bin("credenza"));
        command.args(arguments).env("VAULT_TOKEN", "any");
        command
    }

    fn spawn(&mut self, replica: usize, fail_point: Option<&str>) {
        let (config, ready) = (self.config(replica).display().to_string(), self.ready_file(replica));
        std::fs::remove_file(&ready).ok();
        let ready = ready.display().to_string();
        let mut command = self.command(&["serve", "--config", &config, "--ready-file", &ready]);
        if let Some(name) = fail_point {
            command.env("CREDENZA_FAIL_POINT", name);
        }
        let running = Running::spawn(command, &self.path(&format!("log-{replica}")));
        self.replicas[replica].running = Some(running);
    }

    fn ready_file(&self, replica: usize) -> PathBuf {
        self.path(&format!("ready-{replica}.json"))
    }

    fn running(&mut self, replica: usize) -> &mut Running {
        self.replicas[replica].running.as_mut().expect("it was started")
    }

    /// Starts a replica and waits until it is ready.
    pub fn serve(&mut self, replica: usize) {
        self.spawn(replica, None);
        let file = self.ready_file(replica);
        let until = Instant::now() + START_LIMIT;
        loop {
            if let Some(ready) =
                std::fs::read(&file).ok().and_then(|bytes| serde_json::from_slice::<Ready>(&bytes).ok())
            {
                self.ready = ready;
                return;
            }
            let running = self.running(replica);
            let ended = running.exited();
            assert!(ended.is_none() && Instant::now() < until, "not ready ({ended:?}): {}", running.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills a replica (SIGKILL).
    pub fn kill(&mut self, replica: usize) {
        self.running(replica).kill();
    }

    /// Kills a replica, starts it so that it dies at a place of the signing path, and waits for that.
    pub async fn die_at(&mut self, replica: usize, fail_point: &str) -> ExitStatus {
        self.kill(replica);
        self.spawn(replica, Some(fail_point));
        let begun = Instant::now();
        let mut turns = 1;
        loop {
            let running = self.running(replica);
            if let Some(status) = running.exited() {
                return status;
            }
            assert!(begun.elapsed() < START_LIMIT, "nobody came to {fail_point}: {}", running.log());
            // People stay with the replica that they have found while there was no other.
            if begun.elapsed() > REBALANCE * turns {
                self.balancer.cut();
                turns += 1;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends all replicas in order.
    pub fn stop(&mut self) {
        for replica in &mut self.replicas {
            let running = replica.running.as_mut().expect("it was started");
            let status = running.terminate(STOP_LIMIT);
            assert!(status.success(), "{}", running.log());
        }
    }

    /// Where people find it. Each place has connections of its own.
    pub async fn place(&self) -> Place {
        let cert = self.path("cert.pem");
        let origin = self.ready.public_url.as_deref().expect("an origin").trim_end_matches('/').to_owned();
        let mut ready = self.ready.clone();
        ready.manifest_url = Some(format!(
            "{origin}/v1.0/tenants/{TENANT}/verifiableCredentials/contracts/{CONTRACT}/manifest"
        ));
        ready.ca_file = Some(cert.clone());
        let client = client_trusting(Some(&cert));
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", "web"),
            ("client_secret", SECRET),
            ("scope", REQUEST_SCOPE),
        ];
        let token_url = ready.token_url.as_deref().expect("a token endpoint");
        let answer = Answer::read(client.post(token_url).form(&form).send().await.expect("an answer")).await;
        let token = answer.json()["access_token"].as_str().expect("an access token").to_owned();
        Place { ready, client, base: origin, token, callback: None, is_limited: true }
    }

    /// How many replicas there are.
    pub fn replicas(&self) -> usize {
        self.replicas.len()
    }

    /// What all replicas wrote.
    pub fn log(&self) -> String {
        self.replicas.iter().filter_map(|replica| replica.running.as_ref()).map(Running::log).collect()
    }
}

/// What a command that has to succeed says.
fn said(output: &std::io::Result<Output>) -> String {
    let output = output.as_ref().expect("credenza starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// A command with this text as its input.
fn fed(mut command: Command, input: &str) -> std::io::Result<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().expect("a pipe").write_all(input.as_bytes())?;
    child.wait_with_output()
}
