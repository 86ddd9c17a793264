//! Claims: never in clear on disk, in the ledger or in the log, and gone when the request has ended.

use std::path::Path;

use credenza_tests::callbacks::{Reply, Sink};
use credenza_tests::process::{Credenza, Options};
use serde_json::json;

use super::fixture::{SOON, Service};
use super::flow::{Flow, holder};

/// Files of the data directory that hold `text`.
fn files_with(data_dir: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(data_dir).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

/// What a request still keeps among what must be gone after its end: its parts, and the PIN's hash.
fn left_over(service: &Service, request: &str) -> Vec<String> {
    let database = service.database();
    let mut statement = database
        .prepare(
            "SELECT part FROM request_part WHERE request = ?1 \
             UNION ALL SELECT 'pin_hash' FROM request WHERE id = ?1 AND pin_hash IS NOT NULL ORDER BY 1",
        )
        .unwrap();
    let found = statement.query_map([request], |row| row.get(0)).unwrap();
    found.map(Result::unwrap).collect()
}

#[tokio::test]
async fn claims_are_never_in_clear_and_gone_after_the_completion() {
    let sink = Sink::start().await;
    let mut credenza =
        Credenza::start(Options { env: vec![("CREDENZA_LOG".into(), "debug".into())], ..Options::default() })
            .await;
    let service = Service::of(&credenza).await;
    let secrets =
        ["Zq7claim9unique1", "Zq7photo9unique2", "Zq7state9unique3", "Zq7apikey9unique4", "Zq7index9unique5"];
    let mut body = service.student();
    body["claims"]["given_name"] = json!(secrets[0]);
    body["claims"]["photo"] = json!(secrets[1]);
    body["claims"]["student_number"] = json!(secrets[4]);
    body["pin"] = json!({"value": "83520174", "length": 8});
    body["callback"] =
        json!({"url": sink.url("/cb"), "state": secrets[2], "headers": {"api-key": secrets[3]}});
    let flow = Flow::start(&service, &body).await;
    let holder = holder();
    let received = flow.accepted(&holder, flow.proof_with_pin(&holder, "83520174")).await;
    assert_eq!(
        left_over(&service, &flow.created.id),
        ["callback", "credential", "object", "payload", "pin_hash"]
    );
    let nowhere = |when: &str| {
        for secret in secrets.iter().chain(&["83520174"]) {
            assert_eq!(files_with(&service.data_dir, secret), Vec::<String>::new(), "{when}: {secret}");
        }
        let (_, payload) = received.text.split_once('.').unwrap();
        assert_eq!(
            files_with(&service.data_dir, &payload[..200]),
            Vec::<String>::new(),
            "{when}: the credential"
        );
    };
    nowhere("before the completion");
    assert_eq!(flow.complete().await.status, 202);
    let trail = service.trail_when(&flow.created.id, |trail| trail.delivered().len() == 2).await;
    assert_eq!(trail.state, "completed");
    assert_eq!(left_over(&service, &flow.created.id), Vec::<&str>::new());
    let kept = "SELECT (SELECT count(*) FROM outbox WHERE payload IS NOT NULL) + \
                (SELECT count(*) FROM intent WHERE input IS NOT NULL)";
    assert_eq!(service.count(kept), 0, "no sealed copy is left elsewhere");
    nowhere("after the completion");
    credenza.stop();
    nowhere("after the end of the process");
    let log = credenza.log();
    assert!(log.contains("Credenza is ready"), "{log}");
    for secret in secrets.iter().chain(&["83520174", &service.token, &received.text]) {
        assert!(!log.contains(secret), "in the log: {secret}");
    }
    assert!(!log.contains(service.ready.client_secret.as_deref().unwrap()));
}

#[tokio::test]
async fn after_too_many_wrong_pins_too() {
    let service = Service::shared();
    let mut body = service.employee();
    body["pin"] = json!({"value": "3539", "length": 4});
    body["callback"] = json!({"url": "http://127.0.0.1:9/nobody", "state": "s"});
    let flow = Flow::start(&service, &body).await;
    let holder = holder();
    for _ in 0..5 {
        assert_eq!(flow.send(flow.proof_with_pin(&holder, "0000")).await.status, 403);
    }
    assert_eq!(service.trail(&flow.created.id).await.state, "failed");
    assert_eq!(left_over(&service, &flow.created.id), Vec::<&str>::new());
}

#[tokio::test]
async fn an_abandoned_callback_is_erased() {
    let service = Service::shared();
    let sink = Sink::start().await;
    sink.reply_always(Reply::Status(400));
    let mut body = service.employee();
    body["callback"] = json!({"url": sink.url("/cb"), "state": "s"});
    let flow = Flow::start(&service, &body).await;
    sink.wait_for(1, SOON).await;
    service.trail_when(&flow.created.id, |trail| trail.has("callback_abandoned")).await;
    let kept =
        format!("SELECT count(*) FROM outbox WHERE request = '{}' AND payload IS NOT NULL", flow.created.id);
    assert_eq!(service.count(&kept), 0);
}

#[tokio::test]
async fn private_files_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let service = Service::shared();
    let mode =
        |name: &str| std::fs::metadata(service.data_dir.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    for name in ["keyring", "client-secret", "ca-key.pem"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
}
