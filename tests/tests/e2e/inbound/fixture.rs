//! A `credenza dev` with limits, and the commands that an operator uses on it.

use std::process::Command;
use std::time::{Duration, Instant};

use credenza_tests::binaries;
use credenza_tests::process::{Answer, Credenza, Options};
use serde_json::Value;

use crate::issuance::errors::assert_error;
use crate::issuance::fixture::{SOON, Service, TRANSACTION, send};

/// A service of the test's own.
pub struct Limited {
    pub service: Service,
    pub credenza: Credenza,
    _file: tempfile::TempDir,
}

/// What a command said.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Limited {
    /// Starts with a section `[limits]` that holds these lines.
    pub async fn start(lines: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("limits.toml");
        std::fs::write(&file, format!("[limits]\n{lines}\n")).unwrap();
        let extra_args = vec!["--limits".to_owned(), file.display().to_string()];
        let credenza = Credenza::start(Options { extra_args, ..Options::default() }).await;
        let service = Service::of(&credenza).await;
        Self { service, credenza, _file: directory }
    }

    /// Creates for a customer, named in the header.
    pub async fn create_for(&self, customer: &str) -> Answer {
        let call =
            self.service.client.post(self.service.http().to_owned() + crate::issuance::fixture::CREATE);
        send(
            call.bearer_auth(&self.service.token)
                .header("x-credenza-customer", customer)
                .json(&self.service.employee()),
        )
        .await
    }

    /// The demo page asks: another client of the same service.
    pub async fn create_as_demo(&self) -> Answer {
        send(self.service.client.post(format!("{}/demo/link", self.service.http()))).await
    }

    /// Runs `credenza …` on this service's data directory.
    pub fn command(&self, words: &[&str]) -> Said {
        let mut all = words.to_vec();
        let data_dir = self.service.data_dir.display().to_string();
        all.extend(["--data-dir", &data_dir]);
        command(&all)
    }

    /// Rows of the ledger about refused calls with this reason, once they hold `calls` calls: they are written once a
    /// second.
    pub async fn refusals(&self, reason: &str, calls: i64) -> Vec<Value> {
        let until = Instant::now() + SOON;
        loop {
            let rows: Vec<Value> = {
                let database = self.service.database();
                let mut rows = database
                    .prepare("SELECT body FROM event WHERE kind = 'request_refused' ORDER BY seq")
                    .unwrap();
                let bodies = rows.query_map([], |row| row.get::<_, String>(0)).unwrap();
                bodies
                    .map(|body| serde_json::from_str::<Value>(&body.unwrap()).unwrap())
                    .filter(|body| body["details"]["reason"] == reason)
                    .collect()
            };
            let found: i64 = rows.iter().map(|row| row["details"]["count"].as_i64().unwrap()).sum();
            if found >= calls {
                assert_eq!(found, calls, "{rows:#?}");
                return rows;
            }
            assert!(Instant::now() < until, "{found} of {calls}: {rows:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a create is answered so: other processes' stops take a few seconds.
    pub async fn create_until(&self, status: u16) -> Answer {
        let until = Instant::now() + Duration::from_secs(8);
        loop {
            let answer = self.service.create(&self.service.employee()).await;
            if answer.status == status {
                return answer;
            }
            assert!(Instant::now() < until, "still {}: {}", answer.status, answer.text());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Runs `credenza …`.
pub fn command(words: &[&str]) -> Said {
    let output = Command::new(binaries::target_bin("credenza")).args(words).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// Asserts a 429 in the documented shape; gives the seconds of `Retry-After`.
#[track_caller]
pub fn assert_limited(answer: &Answer, whose: &str) -> u64 {
    let message = assert_error(answer, 429, "transientError", None);
    assert!(message.contains(whose), "{message}");
    answer.header("retry-after").expect("Retry-After").parse().expect("whole seconds")
}

/// Asserts that an answer belongs to a transaction.
#[track_caller]
pub fn transaction(answer: &Answer) -> String {
    answer.header(TRANSACTION).expect("authenticated calls name their transaction").to_owned()
}
