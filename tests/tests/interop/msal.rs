//! Microsoft's own client library (`msal` for Python) gets a token from our token endpoint over TLS, and the Request Service API
//! takes it. The library is installed into a virtual environment in the target directory when it is not there.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use credenza_tests::binaries;
use credenza_tests::process::{Credenza, Options, REQUEST_SCOPE};
use serde_json::{Value, json};
use xtask::tools::Tool;

/// Asks for a token twice and prints what the library says. The HTTP client refuses every host but ours.
const PROGRAM: &str = r#"
import json, sys
import msal, requests

asked = json.load(sys.stdin)

class Ours(requests.Session):
    def request(self, method, url, **kwargs):
        if not url.startswith(asked["origin"]):
            raise RuntimeError("msal asks somebody else: " + url)
        return super().request(method, url, **kwargs)

def app(**more):
    return msal.ConfidentialClientApplication(
        asked["client_id"], client_credential=asked["secret"], authority=asked["authority"], http_client=Ours(), **more)

options = {
    "known": {"validate_authority": False},
    "quiet": {"instance_discovery": False},
    "asks_us": {"instance_discovery": asked["origin"] + "/common/discovery/instance"},
}[asked["mode"]]
client = app(**options)
first = client.acquire_token_for_client(scopes=[asked["scope"]])
second = client.acquire_token_for_client(scopes=[asked["scope"]]) if "access_token" in first else None
print(json.dumps({"first": first, "second": second, "endpoint": client.authority.token_endpoint}))
"#;

/// The version is fixed, so that the same test runs every time.
const PACKAGES: [&str; 1] = ["msal==1.39.0"];

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
}

fn assert_success(output: &Output, what: &str) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{what}: {}\n{}", text(&output.stdout), text(&output.stderr));
}

/// The interpreter of an environment that has the library.
fn python() -> PathBuf {
    static READY: OnceLock<Mutex<()>> = OnceLock::new();
    let lock = READY.get_or_init(|| Mutex::new(()));
    let _turn = lock.lock().unwrap_or_else(PoisonError::into_inner);
    let test = std::env::current_exe().expect("a test knows its own place");
    let target = test.ancestors().nth(3).expect("a test lies in target/<profile>/deps");
    let environment = target.join("python-msal");
    let python = environment.join("bin/python");
    if has_library(&python) {
        return python;
    }
    // Half of an environment is none.
    std::fs::remove_dir_all(&environment).ok();
    let mut make = Command::new(binaries::tool(Tool::Python));
    assert_success(&run(make.args(["-m", "venv"]).arg(&environment)), "python3 -m venv");
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES);
    assert_success(&run(&mut install), "pip install");
    assert!(has_library(&python), "msal was installed and cannot be imported");
    python
}

fn has_library(python: &Path) -> bool {
    let [package] = PACKAGES;
    let wanted = package.rsplit('=').next().expect("a version");
    let program = format!("import msal, sys; sys.exit(msal.__version__ != '{wanted}')");
    python.is_file() && run(Command::new(python).args(["-c", &program])).status.success()
}

fn ask(credenza: &Credenza, mode: &str, secret: &str) -> Result<Value, String> {
    let ready = credenza.ready();
    let origin = credenza.base_https();
    let tenant = ready.tenant_id.as_deref().expect("a tenant");
    let question = json!({
        "origin": origin, "authority": format!("{origin}/{tenant}"), "mode": mode, "scope": REQUEST_SCOPE,
        "client_id": ready.client_id, "secret": secret,
    });
    let mut command = Command::new(python());
    command.args(["-c", PROGRAM]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("REQUESTS_CA_BUNDLE", ready.ca_file.as_ref().expect("a CA")).env("NO_PROXY", "localhost");
    let mut child = command.spawn().expect("python starts");
    let mut input = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut input, question.to_string().as_bytes()).expect("python reads");
    drop(input);
    let output = child.wait_with_output().expect("python ends");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn msal_gets_a_token_that_the_api_takes() {
    let credenza = Credenza::start(Options::default()).await;
    let secret = credenza.ready().client_secret.clone().expect("a secret");
    for mode in ["known", "quiet", "asks_us"] {
        let answer = ask(&credenza, mode, &secret).unwrap_or_else(|error| panic!("{mode}: {error}"));
        let token = answer["first"]["access_token"].as_str();
        let token = token.unwrap_or_else(|| panic!("{mode}: no token: {answer}"));
        assert_eq!(answer["second"]["access_token"], token, "{mode}: the library's cache holds it");
        let ready = credenza.ready();
        let body = json!({
            "authority": ready.authority_did, "registration": {"clientName": "msal"}, "type": "VerifiedEmployee",
            "manifest": ready.manifest_url,
            "claims": {"given_name": "Ada", "family_name": "Lovelace", "employee_id": "1815"},
        });
        let created = credenza.post("/v1.0/verifiableCredentials/createIssuanceRequest", token, &body).await;
        assert_eq!(created.status, 201, "{mode}: {}", created.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn msal_understands_a_refusal() {
    let credenza = Credenza::start(Options::default()).await;
    let answer = ask(&credenza, "quiet", "not the secret").expect("an answer of the library");
    assert_eq!(answer["first"]["error"], "invalid_client", "{answer}");
    assert!(answer["first"]["error_description"].is_string(), "{answer}");
    assert!(answer["first"].get("access_token").is_none(), "{answer}");
}
