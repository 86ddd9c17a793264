//! The program: flags, files, signals.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::caller::{Reply, http, sign_body};

/// Ends with the test, also with one that fails: a process left behind keeps what it inherited.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn start(dir: &Path, more: &[&str]) -> Process {
    let child = Command::new(env!("CARGO_BIN_EXE_vault-sim"))
        .args(["--listen", "127.0.0.1:0", "--latency-ms", "0", "--admin", "127.0.0.1:0", "--tls-dir"])
        .arg(dir.join("tls"))
        .arg("--ready-file")
        .arg(dir.join("ready.json"))
        .arg("--log-dir")
        .arg(dir.join("log"))
        .args(more)
        .stderr(Stdio::piped())
        .spawn();
    Process(child.expect("it starts"))
}

fn ready(dir: &Path) -> Value {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        match std::fs::read(dir.join("ready.json")) {
            Ok(text) => return serde_json::from_slice(&text).expect("JSON"),
            Err(_) if Instant::now() < until => std::thread::sleep(Duration::from_millis(20)),
            Err(error) => panic!("not ready: {error}"),
        }
    }
}

/// Asks for an orderly end, without a crate for one signal.
fn terminate(child: &Child) {
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
}

fn logged_ids(dir: &Path) -> Vec<String> {
    let mut folders = vec![dir.join("log/insights-logs-auditevent")];
    let mut ids = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            assert!(path.ends_with("m=00/PT1H.json"), "{}", path.display());
            for line in std::fs::read_to_string(&path).expect("text").lines() {
                let row: Value = serde_json::from_str(line).expect("a line of JSON");
                ids.push(row["correlationId"].as_str().expect("an id").to_owned());
            }
        }
    }
    ids
}

#[tokio::test]
async fn it_serves_says_where_and_ends_in_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut child = start(dir.path(), &["--vaults", "one,two", "--log-delay-ms", "60000"]);
    let told = ready(dir.path());
    let ca = std::fs::read_to_string(told["ca_file"].as_str().expect("a path")).expect("a CA");
    let client = http(&ca);
    let url = told["vaults"]["two"].as_str().expect("a vault").to_owned();
    let post = |path: &str, body: Value| {
        let request = client.post(format!("{url}{path}?api-version=7.4")).bearer_auth("x").json(&body);
        async move { Reply::read(request.send().await.expect("an answer")).await }
    };
    let mut ids = Vec::new();
    for (path, body) in [("/keys/issuer/create", json!({"kty": "EC"})), ("/keys/issuer/sign", sign_body())] {
        let answer = post(path, body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        ids.push(answer.header("x-ms-request-id").expect("an id").to_owned());
    }
    terminate(&child.0);
    assert!(child.0.wait().expect("it ends").success());
    // Delayed rows are written at the end.
    let mut logged = logged_ids(dir.path());
    logged.sort();
    ids.sort();
    assert_eq!(logged, ids);
    let mut banner = String::new();
    child.0.stderr.take().expect("piped").read_to_string(&mut banner).expect("text");
    assert!(banner.contains("NOT a key vault"), "{banner}");
}

#[tokio::test]
async fn its_certificate_authority_survives_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut first_ca = None;
    for vaults in ["one", "one", "one,two"] {
        let mut child = start(dir.path(), &["--vaults", vaults]);
        let told = ready(dir.path());
        let ca = std::fs::read_to_string(dir.path().join("tls/ca.pem")).expect("a CA");
        assert_eq!(*first_ca.get_or_insert_with(|| ca.clone()), ca);
        for url in told["vaults"].as_object().expect("vaults").values() {
            let url = format!("{}/keys?api-version=7.4", url.as_str().expect("text"));
            let answer = http(&ca).get(url).bearer_auth("x").send().await.expect("an answer");
            assert_eq!(answer.status().as_u16(), 200);
        }
        terminate(&child.0);
        assert!(child.0.wait().expect("it ends").success());
        std::fs::remove_file(dir.path().join("ready.json")).expect("removed");
    }
}

#[tokio::test]
async fn a_profile_is_for_all_vaults_or_for_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let flags = ["--vaults", "one,two,three", "--profile", "managed-hsm", "--profile", "Two=vault"];
    let mut child = start(dir.path(), &flags);
    let told = ready(dir.path());
    let ca = std::fs::read_to_string(told["ca_file"].as_str().expect("a path")).expect("a CA");
    for (vault, resource) in [("one", "managedhsm"), ("two", "vault"), ("three", "managedhsm")] {
        let url = format!("{}/keys", told["vaults"][vault].as_str().expect("a vault"));
        let refused = Reply::read(http(&ca).get(url).send().await.expect("an answer")).await;
        let challenge = refused.header("www-authenticate").expect("a challenge");
        assert!(challenge.ends_with(&format!(r#"resource="https://{resource}.azure.net""#)), "{challenge}");
    }
    terminate(&child.0);
    assert!(child.0.wait().expect("it ends").success());
}

#[test]
fn bad_flags_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    for flags in [
        &["--listen", "0.0.0.0:0"][..],
        &["--vaults", "a.b"],
        &["--retention-days", "5"],
        &["--window", "round"],
        &["--role", "x=dance"],
        &["--role", "x"],
        &["--foreign", "vault=many"],
        &["--admin", "0.0.0.0:0"],
        &["--profile", "hsm"],
        &["--profile", "vault=hsm"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_vault-sim"))
            .arg("--tls-dir")
            .arg(dir.path())
            .args(if flags[0] == "--listen" { &[][..] } else { &["--listen", "127.0.0.1:0"][..] })
            .args(flags)
            .output()
            .expect("it runs");
        assert!(!output.status.success(), "{flags:?}");
        assert!(!output.stderr.is_empty(), "{flags:?}");
    }
}
