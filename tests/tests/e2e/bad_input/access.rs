//! Callers without a good token, and what roles grant.

use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credenza_tests::process::{Answer, client_trusting};
use credenza_tests::running::Running;
use credenza_tests::{binaries, ports};
use serde_json::{Value, json};

use crate::issuance::errors::assert_error;
use crate::issuance::fixture::{CREATE, Service, send};

async fn with_header(service: &Service, value: Option<&str>) -> Answer {
    let mut call = service.client.post(service.http().to_owned() + CREATE).json(&service.employee());
    if let Some(value) = value {
        call = call.header("Authorization", value);
    }
    send(call).await
}

/// The token with header and claims changed and the signature kept or replaced.
fn altered(token: &str, header: Value, claims: Value, signature: Option<&str>) -> String {
    let parts: Vec<&str> = token.split('.').collect();
    let change = |part: &str, changes: Value| {
        let mut found: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        found.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        URL_SAFE_NO_PAD.encode(found.to_string())
    };
    let signature = signature.unwrap_or(parts[2]);
    format!("{}.{}.{signature}", change(parts[0], header), change(parts[1], claims))
}

#[tokio::test]
async fn bad_tokens_are_401_with_the_documented_body() {
    let service = Service::shared();
    let before = service.count("SELECT count(*) FROM request");
    let token = service.token.clone();
    let truncated = token[..token.len() - 10].to_owned();
    let (unsigned, _) = token.rsplit_once('.').unwrap();
    let cases: Vec<(Option<String>, &str)> = vec![
        (None, "Bearer"),
        (Some(String::new()), "Bearer"),
        (Some("Basic dTpw".into()), "Bearer"),
        (Some(token.clone()), "Bearer"),
        (Some("Bearer".into()), "Bearer error=\"invalid_token\""),
        (Some("Bearer ".into()), "Bearer error=\"invalid_token\""),
        (Some("Bearer x".into()), "Bearer error=\"invalid_token\""),
        (Some("Bearer a.b.c".into()), "Bearer error=\"invalid_token\""),
        (Some(format!("Bearer {truncated}")), "Bearer error=\"invalid_token\""),
        (Some(format!("Bearer {unsigned}.")), "Bearer error=\"invalid_token\""),
        (Some(format!("Bearer {unsigned}")), "Bearer error=\"invalid_token\""),
        (Some(format!("Bearer {token}.x")), "Bearer error=\"invalid_token\""),
        (Some(format!("Bearer {}", "x".repeat(20_000))), "Bearer error=\"invalid_token\""),
        (
            Some(format!("Bearer {}", altered(&token, json!({"alg": "none"}), json!({}), Some("")))),
            "Bearer error=\"invalid_token\"",
        ),
        (
            Some(format!("Bearer {}", altered(&token, json!({"alg": "HS256"}), json!({}), None))),
            "Bearer error=\"invalid_token\"",
        ),
        (
            Some(format!("Bearer {}", altered(&token, json!({"kid": "other"}), json!({}), None))),
            "Bearer error=\"invalid_token\"",
        ),
        (
            Some(format!("Bearer {}", altered(&token, json!({}), json!({"exp": 4_000_000_000_i64}), None))),
            "Bearer error=\"invalid_token\"",
        ),
        (
            Some(format!(
                "Bearer {}",
                altered(&token, json!({}), json!({"iss": "https://evil.example"}), None)
            )),
            "Bearer error=\"invalid_token\"",
        ),
    ];
    for (header, challenge) in cases {
        let answer = with_header(&service, header.as_deref()).await;
        let shown = header.as_deref().unwrap_or("none").chars().take(60).collect::<String>();
        assert_eq!(answer.status, 401, "{shown}: {}", answer.text());
        let message = assert_error(&answer, 401, "tokenError", Some("authorization"));
        assert_eq!(answer.header("www-authenticate"), Some(challenge), "{shown}");
        assert!(!message.contains("eyJ"), "{message}");
    }
    assert_eq!(service.count("SELECT count(*) FROM request WHERE client = ''"), 0);
    assert!(service.count("SELECT count(*) FROM request") >= before);
}

#[tokio::test]
async fn an_oversized_body_without_a_token_is_not_read_in_full() {
    let service = Service::shared();
    let call = service.client.post(service.http().to_owned() + CREATE).body("x".repeat(900_000));
    let answer = send(call.header("content-type", "application/json")).await;
    assert_error(&answer, 401, "tokenError", Some("authorization"));
}

/// `credenza serve` behind a proxy, with one client per role. Ends when dropped.
struct Served {
    base: String,
    directory: tempfile::TempDir,
    _running: Running,
}

const TENANT: &str = "5e21e000-0000-4000-8000-000000000001";

async fn serve(roles: &[(&str, &str)]) -> Served {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let port = ports::free();
    let made = Command::new(binaries::target_bin("credenza")).args(["keyring", &path("keyring")]).output();
    assert!(made.unwrap().status.success());
    let hash = {
        use std::io::Write as _;
        let mut child = Command::new(binaries::target_bin("credenza"))
            .arg("hash-secret")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"a secret of a test only\n").unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
    };
    let mut config = format!(
        "[service]\ntenant_id = \"{TENANT}\"\npublic_url = \"https://issuer.example\"\n\
         [authority]\nname = \"Contoso\"\n[listen]\npublic = \"127.0.0.1:{port}\"\nbehind_proxy = true\n\
         [database]\nurl = \"sqlite:{}\"\n[keyring]\nfile = \"{}\"\n",
        path("credenza.db"),
        path("keyring"),
    );
    for (id, role) in roles {
        config +=
            &format!("[[tokens.builtin.clients]]\nid = \"{id}\"\nsecret_hash = \"{hash}\"\nroles = {role}\n");
    }
    std::fs::write(path("credenza.toml"), config).unwrap();
    let contract =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/contracts/event-guest.json");
    let applied = Command::new(binaries::target_bin("credenza"))
        .args(["contract", "apply", "--config", &path("credenza.toml")])
        .arg(contract)
        .output()
        .unwrap();
    assert!(applied.status.success(), "{applied:?}");
    let mut command = Command::new(binaries::target_bin("credenza"));
    command.args(["serve", "--config", &path("credenza.toml"), "--ready-file", &path("ready.json")]);
    let running = Running::spawn(command, &directory.path().join("log"));
    // Every client's secret is compared with those that everybody tries first: slow in a debug build.
    let until = Instant::now() + Duration::from_secs(120);
    while !directory.path().join("ready.json").exists() {
        assert!(Instant::now() < until, "{}", running.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Served { base: format!("http://127.0.0.1:{port}"), directory, _running: running }
}

#[tokio::test]
async fn roles_decide_and_the_production_service_works_without_the_demo() {
    let served = serve(&[
        ("all", "[\"VerifiableCredential.Create.All\"]"),
        ("issue", "[\"VerifiableCredential.Create.IssueRequest\"]"),
        ("present", "[\"VerifiableCredential.Create.PresentRequest\"]"),
        ("none", "[]"),
    ])
    .await;
    let client = client_trusting(None);
    let body = json!({
        "authority": "did:web:issuer.example", "registration": {"clientName": "x"}, "type": "x",
        "manifest": format!(
            "https://issuer.example/v1.0/tenants/{TENANT}/verifiableCredentials/contracts/{}/manifest",
            crate::issuance::fixture::GUEST
        ),
        "callback": {"url": "https://app.example/cb", "state": "s"},
    });
    for (id, status) in [("all", 201), ("issue", 201), ("present", 403), ("none", 403)] {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("client_secret", "a secret of a test only"),
        ];
        let url = format!("{}/{TENANT}/oauth2/v2.0/token", served.base);
        let token =
            send(client.post(url).form(&form)).await.json()["access_token"].as_str().unwrap().to_owned();
        let answer =
            send(client.post(format!("{}{CREATE}", served.base)).bearer_auth(token).json(&body)).await;
        assert_eq!(answer.status, status, "{id}: {}", answer.text());
        if status == 403 {
            assert_error(&answer, 403, "missingRole", Some("authorization"));
            assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"insufficient_scope\""));
        } else {
            assert!(answer.json()["url"].as_str().unwrap().contains("https://issuer.example/v1.0/tenants/"));
        }
    }
    // In production a loopback callback is not public, and there is no demo page.
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", "all"),
        ("client_secret", "a secret of a test only"),
    ];
    let url = format!("{}/{TENANT}/oauth2/v2.0/token", served.base);
    let token = send(client.post(url).form(&form)).await.json()["access_token"].as_str().unwrap().to_owned();
    let mut private = body.clone();
    for url in ["http://127.0.0.1:9/cb", "https://127.0.0.1:9/cb", "https://localhost/cb", "https://[::1]/cb"]
    {
        private["callback"]["url"] = json!(url);
        let call = client.post(format!("{}{CREATE}", served.base)).bearer_auth(&token).json(&private);
        assert_error(&send(call).await, 400, "badOrMissingField", Some("callback.url"));
    }
    for path in ["/", "/demo/", "/demo/api/config"] {
        assert_eq!(send(client.get(format!("{}{path}", served.base))).await.status, 404, "{path}");
    }
    assert_eq!(send(client.get(format!("{}/readyz", served.base))).await.status, 200);
    assert!(served.directory.path().join("credenza.db").exists());
}
