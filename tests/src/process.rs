//! `credenza dev` as a process: starting it on free ports, reading its ready file, talking to it, ending it.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::running::Running;
use crate::{binaries, ports};

/// How long a start may take. A debug build on a busy machine needs far more than the product's own promise.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long an orderly end may take.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// The scope for which Microsoft's clients ask to use the Request Service API.
pub const REQUEST_SCOPE: &str = "3db474b9-6a0c-4840-96ac-1fceb342124f/.default";
/// The scope for which Microsoft's clients ask to use the Admin API.
pub const ADMIN_SCOPE: &str = "6a8b4b39-c021-437c-b060-5a14a3fd65f3/.default";

/// What a start differs in. The default is a fresh SQLite database on free ports.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The program; the workspace's own `credenza` when absent. Another build of it for upgrade tests.
    pub program: Option<PathBuf>,
    /// The data directory; a fresh temporary one when absent.
    pub data_dir: Option<PathBuf>,
    /// A database URL for `--database`; SQLite in the data directory when absent.
    pub database_url: Option<String>,
    /// The HTTP and HTTPS ports; free ones when absent.
    pub ports: Option<(u16, u16)>,
    /// More arguments.
    pub extra_args: Vec<String>,
    /// More environment variables.
    pub env: Vec<(String, String)>,
}

/// The ready file: written once the listeners accept. Members are absent where they do not apply.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Ready {
    /// Base URL over HTTP.
    pub http: Option<String>,
    /// Base URL over HTTPS.
    pub https: Option<String>,
    /// The origin that wallets see.
    pub public_url: Option<String>,
    /// Base URL of the Admin API.
    pub admin_url: Option<String>,
    /// The demo tenant.
    pub tenant_id: Option<String>,
    /// The demo authority's DID.
    pub authority_did: Option<String>,
    /// The manifest of a contract that takes an `idTokenHint`.
    pub manifest_url: Option<String>,
    /// Client id for the token endpoint.
    pub client_id: Option<String>,
    /// Client secret for the token endpoint.
    pub client_secret: Option<String>,
    /// The generated CA's certificate (PEM).
    pub ca_file: Option<PathBuf>,
    /// The token endpoint.
    pub token_url: Option<String>,
}

/// A start that did not get ready.
#[derive(Debug)]
pub struct StartFailure {
    /// The exit status; none when it was still running at the limit and was killed.
    pub status: Option<ExitStatus>,
    /// Its output.
    pub log: String,
}

/// An HTTP answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads `response` to its end.
    ///
    /// # Panics
    /// When the connection breaks.
    pub async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.expect("the whole body arrives").to_vec();
        Self { status, headers, body }
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in a {} answer: {}", self.status, self.text()))
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value, if there is such a header and it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A ready `credenza dev`. Killed when dropped.
#[derive(Debug)]
pub struct Credenza {
    running: Running,
    ready: Ready,
    client: reqwest::Client,
    options: Options,
    started_in: Duration,
    /// Holds the ready file, the log and, if none was named, the data directory.
    scratch: Arc<TempDir>,
}

impl Credenza {
    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// When it does not get ready in time; the message holds its output.
    pub async fn start(options: Options) -> Self {
        Self::try_start(options).await.unwrap_or_else(|failure| {
            panic!("credenza is not ready ({:?}). Its output:\n{}", failure.status, failure.log)
        })
    }

    /// Starts it; for tests of starts that must fail.
    ///
    /// # Errors
    /// When it ends, or is not ready in time.
    pub async fn try_start(options: Options) -> Result<Self, StartFailure> {
        let scratch = tempfile::Builder::new()
            .prefix("credenza-")
            .tempdir()
            .expect("a temporary directory can be made");
        Self::launch(options, Arc::new(scratch)).await
    }

    async fn launch(mut options: Options, scratch: Arc<TempDir>) -> Result<Self, StartFailure> {
        options.data_dir.get_or_insert_with(|| scratch.path().join("data"));
        let may_choose_ports = options.ports.is_none();
        for attempt in 1.. {
            let listeners = *options.ports.get_or_insert_with(|| (ports::free(), ports::free()));
            let started = Instant::now();
            let ready_file = scratch.path().join("ready.json");
            std::fs::remove_file(&ready_file).ok();
            let command = command(&options, listeners, &ready_file);
            let mut running = Running::spawn(command, &scratch.path().join("log"));
            match wait_until_ready(&mut running, &ready_file).await {
                Ok(ready) => {
                    let started_in = started.elapsed();
                    let client = client_trusting(ready.ca_file.as_deref());
                    return Ok(Self { running, ready, client, options, started_in, scratch });
                }
                // Somebody took the port between our look and the start.
                Err(failure) if may_choose_ports && attempt < 4 && failure.log.contains("in use") => {
                    options.ports = None;
                }
                Err(failure) => return Err(failure),
            }
        }
        unreachable!("the loop ends by returning")
    }

    /// What the ready file says.
    #[must_use]
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// The time from the start of the process to its ready file, at a resolution of about 10 ms.
    #[must_use]
    pub fn started_in(&self) -> Duration {
        self.started_in
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.options.data_dir.as_deref().expect("set by the start")
    }

    /// The process id, for measuring and for signals.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// The base URL over HTTP, without a slash at the end.
    #[must_use]
    pub fn base_http(&self) -> String {
        base(self.ready.http.as_deref(), "http")
    }

    /// The base URL over HTTPS, without a slash at the end.
    #[must_use]
    pub fn base_https(&self) -> String {
        base(self.ready.https.as_deref(), "https")
    }

    /// A client that trusts the generated CA, follows no redirects, uses no proxy and gives up after 30 s.
    #[must_use]
    pub fn client(&self) -> reqwest::Client {
        self.client.clone()
    }

    /// A token for the Request Service API.
    ///
    /// # Panics
    /// When none is issued.
    pub async fn token(&self) -> String {
        self.token_for(REQUEST_SCOPE).await
    }

    /// A token for the Admin API.
    ///
    /// # Panics
    /// When none is issued.
    pub async fn admin_token(&self) -> String {
        self.token_for(ADMIN_SCOPE).await
    }

    async fn token_for(&self, scope: &str) -> String {
        let member = |value: &Option<String>, name: &str| {
            value.clone().unwrap_or_else(|| panic!("the ready file has no `{name}`"))
        };
        let form = [
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", member(&self.ready.client_id, "client_id")),
            ("client_secret", member(&self.ready.client_secret, "client_secret")),
            ("scope", scope.to_owned()),
        ];
        let request = self.client.post(member(&self.ready.token_url, "token_url")).form(&form);
        let answer = Answer::read(request.send().await.expect("the token endpoint answers")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["access_token"].as_str().expect("an access token").to_owned()
    }

    /// Calls `createIssuanceRequest` with `body`, with a fresh token.
    ///
    /// # Panics
    /// When there is no answer. An answer of any status is returned.
    pub async fn create(&self, body: &Value) -> Answer {
        let token = self.token().await;
        self.post("/v1.0/verifiableCredentials/createIssuanceRequest", &token, body).await
    }

    /// POSTs JSON to `path` over HTTP with a bearer token.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        let request = self.client.post(self.base_http() + path).bearer_auth(token).json(body);
        Answer::read(request.send().await.unwrap_or_else(|error| panic!("POST {path}: {error:?}"))).await
    }

    /// GETs `path` over HTTP without a token.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn get(&self, path: &str) -> Answer {
        let request = self.client.get(self.base_http() + path);
        Answer::read(request.send().await.unwrap_or_else(|error| panic!("GET {path}: {error:?}"))).await
    }

    /// What it wrote so far, both streams, earlier starts included.
    #[must_use]
    pub fn log(&self) -> String {
        self.running.log()
    }

    /// Ends it in order (SIGTERM) and waits.
    ///
    /// # Panics
    /// When it does not end within 20 s.
    pub fn stop(&mut self) -> ExitStatus {
        self.running.terminate(STOP_LIMIT)
    }

    /// Ends it at once (SIGKILL), as a crash would.
    pub fn kill(&mut self) {
        self.running.kill();
    }

    /// Sends the signal `name`, for example `"STOP"` and `"CONT"` to suspend and resume it.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn signal(&self, name: &str) {
        self.running.signal(name);
    }

    /// Starts it again with the same data, ports and options, after [`Credenza::stop`] or [`Credenza::kill`] (or kills it
    /// first).
    ///
    /// # Panics
    /// When it does not get ready in time; the message holds its output.
    pub async fn start_again(mut self) -> Self {
        self.kill();
        Self::launch(self.options.clone(), Arc::clone(&self.scratch)).await.unwrap_or_else(|failure| {
            panic!("credenza is not ready again ({:?}). Its output:\n{}", failure.status, failure.log)
        })
    }
}

fn base(url: Option<&str>, member: &str) -> String {
    let url = url.unwrap_or_else(|| panic!("the ready file has no `{member}`"));
    url.trim_end_matches('/').to_owned()
}

fn command(options: &Options, (http, https): (u16, u16), ready_file: &Path) -> Command {
    let program = options.program.clone().unwrap_or_else(|| binaries::target_bin("credenza"));
    let mut command = Command::new(program);
    command.arg("dev").arg("--data-dir").args(&options.data_dir);
    command.arg("--http").arg(format!("127.0.0.1:{http}"));
    command.arg("--https").arg(format!("127.0.0.1:{https}"));
    command.arg("--ready-file").arg(ready_file);
    if let Some(url) = &options.database_url {
        command.arg("--database").arg(url);
    }
    command.args(&options.extra_args).envs(options.env.iter().map(|(name, value)| (name, value)));
    command
}

async fn wait_until_ready(running: &mut Running, ready_file: &Path) -> Result<Ready, StartFailure> {
    let until = Instant::now() + START_LIMIT;
    loop {
        // A file seen half-written does not parse yet; it will the next time.
        if let Some(ready) =
            std::fs::read(ready_file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())
        {
            return Ok(ready);
        }
        if let Some(status) = running.exited() {
            return Err(StartFailure { status: Some(status), log: running.log() });
        }
        if Instant::now() > until {
            running.kill();
            return Err(StartFailure { status: None, log: running.log() });
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A client that trusts the CA in `ca_file` besides the public ones.
///
/// # Panics
/// When the file cannot be read or holds no certificate.
#[must_use]
pub fn client_trusting(ca_file: Option<&Path>) -> reqwest::Client {
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(30));
    if let Some(file) = ca_file {
        let pem = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).expect("the CA file is PEM");
        assert!(!certificates.is_empty(), "{} holds no certificate", file.display());
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().expect("a client can be built")
}

#[cfg(test)]
mod tests;
