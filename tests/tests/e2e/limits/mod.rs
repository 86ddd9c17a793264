//! What callers without a login can take: time, memory, other people's demo.

use std::time::{Duration, Instant};

use credenza_tests::process::{Credenza, Options};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Everything that comes until the other side closes.
async fn answer_to(address: &str, text: String) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(text.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(Duration::from_secs(30), read).await.expect("it ends").expect("text");
    answer
}

#[tokio::test]
async fn a_body_that_does_not_come_ends_with_408() {
    let credenza = Credenza::start(Options::default()).await;
    let address = credenza.base_http().strip_prefix("http://").unwrap().to_owned();
    let tenant = credenza.ready().tenant_id.clone().unwrap();
    let began = Instant::now();
    let answer = answer_to(
        &address,
        format!(
            "POST /v1.0/tenants/{tenant}/verifiableCredentials/issue HTTP/1.1\r\nhost: {address}\r\n\
             content-length: 1000\r\n\r\nhalf"
        ),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["error"]["code"], "requestTimeout");
    assert!(body["error"]["innererror"]["code"].is_string());
    assert!(began.elapsed() >= Duration::from_secs(9), "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_demo_answers_its_own_address_only() {
    let credenza = Credenza::start(Options::default()).await;
    let address = credenza.base_http().strip_prefix("http://").unwrap().to_owned();
    let ask = |extra: &str, host: &str| {
        format!(
            "POST /demo/link HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\nconnection: close\r\n{extra}\r\n"
        )
    };
    let own = format!("origin: http://{address}\r\n");
    for good in [ask("", &address), ask(&own, &address)] {
        assert!(answer_to(&address, good).await.starts_with("HTTP/1.1 201"));
    }
    for bad in [ask("", "evil.example"), ask("origin: https://evil.example\r\n", &address)] {
        let answer = answer_to(&address, bad).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        assert!(answer.contains("innererror"), "{answer}");
    }
    let client = credenza.client();
    let through_tls = client.post(format!("{}/demo/link", credenza.base_https())).send().await.unwrap();
    assert_eq!(through_tls.status(), 404, "the wallets' listener has no demo");
}

#[tokio::test]
async fn texts_have_a_length_and_unmapped_claims_are_not_kept() {
    let credenza = Credenza::start(Options::default()).await;
    let ready = credenza.ready();
    let body = |name: &str, claims: Value| {
        json!({
            "authority": ready.authority_did,
            "registration": { "clientName": name },
            "type": "x",
            "manifest": ready.manifest_url,
            "claims": claims,
        })
    };
    let claims = json!({
        "given_name": "A", "family_name": "B", "job_title": "C", "employee_id": "D", "programme": "E",
        "student_number": "F",
    });
    let long = credenza.create(&body(&"x".repeat(4097), claims.clone())).await;
    assert_eq!(long.status, 400);
    assert_eq!(long.json()["error"]["innererror"]["target"], "registration.clientName");
    assert_eq!(credenza.create(&body(&"x".repeat(4096), claims.clone())).await.status, 201);
    let mut extra = claims;
    extra["nobody asked for this"] = json!("y".repeat(500_000));
    assert_eq!(credenza.create(&body("x", extra)).await.status, 201);
    let database = rusqlite::Connection::open(credenza.data_dir().join("credenza.db")).unwrap();
    let longest: i64 = database
        .query_row("SELECT MAX(LENGTH(value)) FROM request_part WHERE part = 'payload'", [], |row| row.get(0))
        .unwrap();
    assert!(longest < 20_000, "{longest}");
}
