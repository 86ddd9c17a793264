//! First and second starts of `credenza dev`, and a wrong keyring.

use std::process::Command;
use std::time::{Duration, Instant};

use credenza_tests::process::{Credenza, Options};
use credenza_tests::running::Running;
use credenza_tests::{binaries, ports};
use rusqlite::Connection;

use super::installation::{credenza, text};

/// The promise is 2 s for a release build; a debug build on a busy machine gets more.
const FRESH: Duration = Duration::from_secs(10);

async fn body(credenza: &Credenza, address: &str) -> String {
    let answer = credenza.client().get(address).send().await.expect("an answer");
    assert_eq!(answer.status(), 200, "{address}");
    answer.text().await.expect("a body")
}

#[tokio::test]
async fn a_second_start_finds_what_the_first_one_made() {
    let first = Credenza::start(Options::default()).await;
    println!("a fresh directory was ready after {:?}", first.started_in());
    assert!(first.started_in() < FRESH, "{:?}", first.started_in());
    let before = first.ready().clone();
    let manifest = before.manifest_url.clone().expect("a manifest");
    let did_document = format!("{}/.well-known/did.json", first.base_https());
    let (contract, document) = (body(&first, &manifest).await, body(&first, &did_document).await);
    let mut first = first;
    assert!(first.stop().success());
    let second = first.start_again().await;
    println!("a second start was ready after {:?}", second.started_in());
    let after = second.ready();
    assert_eq!(after.authority_did, before.authority_did);
    assert_eq!(after.manifest_url, before.manifest_url);
    assert_eq!((&after.client_id, &after.client_secret), (&before.client_id, &before.client_secret));
    assert_eq!(body(&second, &manifest).await, contract, "nothing was signed again");
    assert_eq!(body(&second, &did_document).await, document, "the same key");
    second.token().await;
}

#[test]
fn a_start_says_where_to_click_and_nothing_else() {
    let scratch = tempfile::tempdir().unwrap();
    let (errors, ready) = (scratch.path().join("stderr"), scratch.path().join("ready.json"));
    for _ in 0..2 {
        std::fs::remove_file(&ready).ok();
        let log = scratch.path().join("stdout");
        std::fs::remove_file(&log).ok();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "errors=$1; shift; exec \"$@\" 2>\"$errors\"", "sh"]).arg(&errors);
        command.arg(binaries::target_bin("credenza")).arg("dev");
        command.arg("--data-dir").arg(scratch.path().join("data"));
        // The origin belongs to the directory, so the ports do not.
        command.args(["--public-url", "https://localhost:8443"]);
        command.args(["--http", &format!("127.0.0.1:{}", ports::free())]);
        command.args(["--https", &format!("127.0.0.1:{}", ports::free())]);
        command.arg("--ready-file").arg(&ready);
        let mut running = Running::spawn(command, &log);
        let until = Instant::now() + Duration::from_secs(20);
        while !running.log().contains("Ctrl-C stops.") {
            assert!(Instant::now() < until && running.exited().is_none(), "{}", running.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(running.terminate(Duration::from_secs(20)).success());
        let said = running.log();
        assert!(said.starts_with("Credenza is ready.\n") && said.ends_with("Stopped.\n"), "{said}");
        assert!(said.lines().count() <= 16, "{said}");
        assert_eq!(std::fs::read_to_string(&errors).unwrap(), "", "standard error is for trouble");
    }
}

#[tokio::test]
async fn a_wrong_keyring_is_refused_and_makes_no_keys() {
    let mut process = Credenza::start(Options::default()).await;
    let data_dir = process.data_dir().to_path_buf();
    assert!(process.stop().success());
    let keys = || -> Vec<i64> {
        let database = Connection::open(data_dir.join("credenza.db")).unwrap();
        ["software_key", "local_secret", "signing_key", "authority", "setting"]
            .map(|table| {
                let statement = format!("SELECT count(*) FROM {table}");
                database.query_row(&statement, [], |row| row.get::<_, i64>(0)).unwrap()
            })
            .to_vec()
    };
    let (before, keyring) = (keys(), data_dir.join("keyring"));
    let right = std::fs::read(&keyring).unwrap();
    let again = || Options { data_dir: Some(data_dir.clone()), ..Options::default() };
    // The origin was remembered with its port, so commands are tried too, which need no port.
    let list = || credenza(&["contract", "list", "--data-dir", data_dir.to_str().unwrap()]);

    std::fs::remove_file(&keyring).unwrap();
    let output = list();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("put the file back from its backup"), "{}", text(&output));
    assert!(!keyring.exists());
    assert_eq!(keys(), before);

    let other = credenza(&["keyring", keyring.to_str().unwrap()]);
    assert!(other.status.success(), "{}", text(&other));
    for attempt in 1..=2 {
        let output = list();
        assert_eq!(output.status.code(), Some(1), "{attempt}: {}", text(&output));
        for part in ["they are not the ones that sealed it", "is not in the key file"] {
            assert!(text(&output).contains(part), "{attempt}: {}", text(&output));
        }
        assert_eq!(keys(), before, "a refused start leaves no trace");
    }
    let https = process.ready().public_url.clone().unwrap();
    let port = url::Url::parse(&https).unwrap().port().unwrap();
    let options = Options { ports: Some((ports::free(), port)), ..again() };
    let failure = Credenza::try_start(options).await.expect_err("`dev` is refused too");
    assert!(failure.log.contains("they are not the ones that sealed it"), "{}", failure.log);
    assert_eq!(keys(), before);

    std::fs::write(&keyring, right).unwrap();
    let process = process.start_again().await;
    process.token().await;
    assert_eq!(keys(), before);
}
