//! A running `credenza dev` with a front end in front of it and its ledger at hand. One instance is shared by all tests that
//! do not stop it, change its contracts or look for what it left behind.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use credenza_tests::process::{Answer, Credenza, Options, Ready, client_trusting};
use credenza_tests::watchdog::Watchdog;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use wallet::session::Session;

use super::trail::Trail;

/// `config/contracts/verified-employee.json`: hint, PIN possible, two languages, no `expirationDate`.
pub const EMPLOYEE: &str = "4c1f7a52-6f0e-4b8e-9a3d-2f5d0f6b7c01";
/// `config/contracts/student-card.json`: hint with a photo, `expirationDate` allowed.
pub const STUDENT: &str = "8d2b6e90-1c47-4f3a-b5d8-7e9a4c3f1d02";
/// `config/contracts/event-guest.json`: selfIssued.
pub const GUEST: &str = "b7e35d18-92a4-4d6c-8f01-5a6c2e8d9b03";

pub const CREATE: &str = "/v1.0/verifiableCredentials/createIssuanceRequest";
pub const COMPLETE: &str = "/v1.0/verifiableCredentials/completeIssuance";
pub const TRANSACTION: &str = "x-credenza-transaction-id";

/// How long something may take that happens without being waited for.
pub const SOON: Duration = Duration::from_secs(10);

/// A running service, as a front end and a wallet see it.
#[derive(Debug, Clone)]
pub struct Service {
    pub ready: Ready,
    pub data_dir: PathBuf,
    pub client: reqwest::Client,
    pub session: Session,
    pub token: String,
}

/// An accepted request.
#[derive(Debug, Clone)]
pub struct Created {
    pub id: String,
    pub link: String,
    pub expiry: i64,
    pub transaction: String,
    pub answer: Answer,
}

struct Shared {
    ready: Ready,
    data_dir: PathBuf,
    token: String,
    /// The process ends with this one; both are kept, not used.
    _kept: (Credenza, Watchdog),
}

/// Starts the shared instance on a runtime of its own, because no test's runtime lives long enough.
fn start_shared() -> Shared {
    let starting = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let credenza = Credenza::start(Options::default()).await;
            let scratch = credenza.data_dir().parent().expect("inside the scratch directory").to_path_buf();
            // A static is never dropped; its files go when the test process has ended.
            let watchdog = Watchdog::set("sleep 1; rm -rf \"$1\"", &[scratch.as_os_str()]);
            Shared {
                ready: credenza.ready().clone(),
                data_dir: credenza.data_dir().to_path_buf(),
                token: credenza.token().await,
                _kept: (credenza, watchdog),
            }
        })
    });
    starting.join().expect("the shared service starts")
}

impl Service {
    /// The shared instance.
    pub fn shared() -> Self {
        static SHARED: OnceLock<Shared> = OnceLock::new();
        let shared = SHARED.get_or_init(start_shared);
        Self::new(&shared.ready, &shared.data_dir, shared.token.clone())
    }

    /// An instance of the test's own.
    pub async fn of(credenza: &Credenza) -> Self {
        Self::new(credenza.ready(), credenza.data_dir(), credenza.token().await)
    }

    fn new(ready: &Ready, data_dir: &Path, token: String) -> Self {
        let ca = std::fs::read(ready.ca_file.as_ref().expect("a CA file")).expect("the CA file can be read");
        Self {
            ready: ready.clone(),
            data_dir: data_dir.to_path_buf(),
            client: client_trusting(ready.ca_file.as_deref()),
            session: Session::new(wallet::http::client(Some(&ca)).expect("a wallet's client")),
            token,
        }
    }

    pub fn did(&self) -> &str {
        self.ready.authority_did.as_deref().expect("an authority")
    }

    pub fn tenant(&self) -> &str {
        self.ready.tenant_id.as_deref().expect("a tenant")
    }

    /// The origin that wallets see, without a slash at the end.
    pub fn public(&self) -> &str {
        self.ready.public_url.as_deref().expect("a public URL").trim_end_matches('/')
    }

    pub fn http(&self) -> &str {
        self.ready.http.as_deref().expect("an HTTP listener").trim_end_matches('/')
    }

    pub fn manifest(&self, contract: &str) -> String {
        let (public, tenant) = (self.public(), self.tenant());
        format!("{public}/v1.0/tenants/{tenant}/verifiableCredentials/contracts/{contract}/manifest")
    }

    /// Where wallets send their proof.
    pub fn issue_url(&self) -> String {
        format!("{}/v1.0/tenants/{}/verifiableCredentials/issue", self.public(), self.tenant())
    }

    fn body(&self, contract: &str) -> Value {
        json!({
            "authority": self.did(),
            "registration": {"clientName": "Front end"},
            "type": "ignore-this",
            "manifest": self.manifest(contract),
        })
    }

    /// A good body for a contract with a hint.
    pub fn employee(&self) -> Value {
        let mut body = self.body(EMPLOYEE);
        body["claims"] = json!({"given_name": "Megan", "family_name": "Bowen", "employee_id": "E-1"});
        body
    }

    /// A good body for the contract with a photo and `expirationDate`.
    pub fn student(&self) -> Value {
        let mut body = self.body(STUDENT);
        body["claims"] = json!({
            "given_name": "Megan", "family_name": "Bowen", "programme": "Law", "student_number": "S-1",
        });
        body
    }

    /// A good body for the contract whose claims the person types.
    pub fn guest(&self) -> Value {
        self.body(GUEST)
    }

    pub async fn create(&self, body: &Value) -> Answer {
        self.post(CREATE, body).await
    }

    /// POSTs JSON with the front end's token, over HTTP.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.client.post(self.http().to_owned() + path).bearer_auth(&self.token).json(body)).await
    }

    /// GETs an absolute address or a path of the public origin.
    pub async fn get(&self, address: &str) -> Answer {
        send(self.client.get(self.address(address))).await
    }

    /// The absolute address of a path of the public origin.
    pub fn address(&self, address: &str) -> String {
        if address.starts_with('/') { self.public().to_owned() + address } else { address.to_owned() }
    }

    /// A request that has to be accepted.
    pub async fn created(&self, body: &Value) -> Created {
        let answer = self.create(body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let found = answer.json();
        Created {
            id: found["requestId"].as_str().expect("an id").to_owned(),
            link: found["url"].as_str().expect("a link").to_owned(),
            expiry: found["expiry"].as_i64().expect("an expiry"),
            transaction: answer.header(TRANSACTION).expect("a transaction").to_owned(),
            answer,
        }
    }

    /// What the demo front end's own API tells of a request.
    pub async fn trail(&self, request: &str) -> Trail {
        let path = format!("{}/demo/api/requests/{request}", self.http());
        let answer = send(self.client.get(path)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Trail::read(&answer.json())
    }

    /// The trail as soon as it is as wanted: the ledger's notes are not waited for by those who cause them.
    pub async fn trail_when(&self, request: &str, wanted: impl Fn(&Trail) -> bool) -> Trail {
        let until = Instant::now() + SOON;
        loop {
            let trail = self.trail(request).await;
            if wanted(&trail) {
                return trail;
            }
            assert!(Instant::now() < until, "still not as wanted after {SOON:?}: {trail:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The database, to read.
    pub fn database(&self) -> Connection {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = Connection::open_with_flags(self.data_dir.join("credenza.db"), flags).unwrap();
        connection.busy_timeout(Duration::from_secs(5)).unwrap();
        connection
    }

    /// The events of a transaction as they are stored: also of requests that were never made.
    pub async fn ledger(&self, transaction: &str, at_least: usize) -> Vec<Value> {
        let until = Instant::now() + SOON;
        loop {
            let found: Vec<Value> = {
                let database = self.database();
                let mut rows = database
                    .prepare("SELECT body FROM event WHERE transaction_id = ?1 ORDER BY seq")
                    .unwrap();
                let bodies = rows.query_map([transaction], |row| row.get::<_, String>(0)).unwrap();
                bodies.map(|body| serde_json::from_str(&body.unwrap()).unwrap()).collect()
            };
            if found.len() >= at_least {
                return found;
            }
            assert!(Instant::now() < until, "{} of {at_least} events of {transaction}", found.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How many rows a statement finds.
    pub fn count(&self, statement: &str) -> i64 {
        self.database().query_row(statement, [], |row| row.get(0)).unwrap()
    }
}

/// Sends a request and reads the answer to its end.
pub async fn send(request: reqwest::RequestBuilder) -> Answer {
    Answer::read(request.send().await.unwrap_or_else(|error| panic!("no answer: {error:?}"))).await
}
