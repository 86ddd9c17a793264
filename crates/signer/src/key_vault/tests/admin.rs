//! Keys: which version a slot has, how long a public key is believed, lists over pages, and what settings are refused.

use super::*;
use crate::backend::KeyAdmin;
use crate::budget::Operations::{CreateKey, Sign};

const OLDER: &str = "ffffffffffffffffffffffffffffffff";

fn host(request: &Request) -> String {
    request.header("host").unwrap().to_owned()
}

fn not_found() -> Reply {
    Reply::Send(answer(404, r#"{"error":{"code":"KeyNotFound","message":"m"}}"#))
}

#[tokio::test]
async fn a_slots_key_is_its_oldest_version() {
    let server = Server::start(|request| {
        let host = host(request);
        let line = request.line().to_owned();
        let item = |version: &str, created: i64| {
            json!({"kid": format!("https://{host}/keys/issuer/{version}"),
                "attributes": {"enabled": true, "created": created}})
        };
        if line.contains("/versions") {
            let value = [item(VERSION, 2), item(OLDER, 1)];
            return Reply::Send(answer(200, &json!({"value": value, "nextLink": null}).to_string()));
        }
        let (version, created) = if line.contains(OLDER) { (OLDER, 1) } else { (VERSION, 2) };
        Reply::Send(answer(200, &bundle(&host, "issuer", version, created)))
    })
    .await;
    let vault = open(&config(&server), Pushed::new());
    let created = vault.create_key("issuer", SignatureAlgorithm::Es256).await.unwrap();
    assert_eq!(created.key.version, OLDER);
    assert!(server.requests().iter().all(|request| request.line().starts_with("GET ")), "nothing was made");
    let again = vault.create_key("issuer", SignatureAlgorithm::Es256k).await.unwrap_err();
    assert!(matches!(again.kind(), SignErrorKind::AlgorithmMismatch { actual: SignatureAlgorithm::Es256 }));
}

#[tokio::test]
async fn an_empty_slot_gets_a_key_of_the_configured_protection() {
    for (protection, kty) in [(Protection::Hsm, "EC-HSM"), (Protection::Software, "EC")] {
        let server = Server::start(move |request| {
            if request.line().starts_with("POST ") {
                let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
                assert_eq!(body, json!({"kty": kty, "crv": "P-256", "key_ops": ["sign", "verify"]}));
                return Reply::Send(answer(200, &bundle(&host(request), "issuer", VERSION, 1)));
            }
            if request.line().contains("/versions") {
                return Reply::Send(answer(403, r#"{"error":{"code":"Forbidden"}}"#));
            }
            not_found()
        })
        .await;
        let vault = open(&KeyVaultConfig { protection, ..config(&server) }, Pushed::new());
        let created = vault.create_key("issuer", SignatureAlgorithm::Es256).await.unwrap();
        assert_eq!(created.key, key());
    }
}

#[tokio::test]
async fn public_keys_are_asked_for_once_in_their_time() {
    let server =
        Server::start(|request| Reply::Send(answer(200, &bundle(&host(request), "issuer", VERSION, 1))))
            .await;
    let clock = Pushed::new();
    let vault = open(&config(&server), clock.clone());
    for _ in 0..5 {
        vault.public_key(&key()).await.unwrap();
    }
    assert_eq!(server.requests().len(), 1);
    clock.push(Duration::from_secs(601));
    vault.public_key(&key()).await.unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_list_goes_over_all_pages_and_stays_with_its_vault() {
    let server = Server::start(|request| {
        let (host, line) = (host(request), request.line().to_owned());
        let item = |name: &str| json!({"kid": format!("https://{host}/keys/{name}"), "attributes": {"enabled": true}});
        let page = |items: &[serde_json::Value], next: serde_json::Value| {
            Reply::Send(answer(200, &json!({"value": items, "nextLink": next}).to_string()))
        };
        if line.starts_with("GET /keys?") {
            return if line.contains("skiptoken=2") {
                page(&[item("b")], json!(null))
            } else if line.contains("skiptoken=1") {
                // A page may be empty and still have a next one.
                page(&[], json!(format!("https://{host}/keys?api-version=7.4&$skiptoken=2")))
            } else {
                page(&[item("a")], json!(format!("https://{host}/keys?api-version=7.4&$skiptoken=1")))
            };
        }
        let name = if line.contains("/keys/a") { "a" } else { "b" };
        if line.contains("/versions") {
            let kid = format!("https://{host}/keys/{name}/{VERSION}");
            return page(&[json!({"kid": kid, "attributes": {"enabled": name == "a"}})], json!(null));
        }
        Reply::Send(answer(200, &bundle(&host, name, VERSION, 1)))
    })
    .await;
    let vault = open(&config(&server), Pushed::new());
    let listed = vault.list_keys().await.unwrap();
    let seen: Vec<_> = listed.iter().map(|one| (one.key.name.as_str(), one.disabled)).collect();
    assert_eq!(seen, [("a", false), ("b", true)]);
}

/// A slot with so many pages of versions.
async fn with_pages(pages: usize) -> Server {
    Server::start(move |request| {
        let (host, line) = (host(request), request.line().to_owned());
        if !line.contains("/versions") {
            return Reply::Send(answer(200, &bundle(&host, "issuer", VERSION, 1)));
        }
        let page = line.split_once("skiptoken=").map_or(1, |(_, rest)| rest[..1].parse().unwrap());
        let next = format!("https://{host}/keys/issuer/versions?api-version=7.4&$skiptoken={}", page + 1);
        let next = if page < pages { json!(next) } else { json!(null) };
        let item =
            json!({"kid": format!("https://{host}/keys/issuer/{VERSION}"), "attributes": {"created": 1}});
        Reply::Send(answer(200, &json!({"value": [item], "nextLink": next}).to_string()))
    })
    .await
}

#[tokio::test]
async fn each_page_of_a_list_needs_a_slot() {
    let server = with_pages(3).await;
    let clock = Pushed::new();
    let vault = open(&config(&server), clock.clone());
    let until = clock.now().plus(PATIENCE);
    let few = Leave::new(until, &[Sign, CreateKey, Sign, Sign]);
    let error = few.within(vault.create_key("issuer", SignatureAlgorithm::Es256)).await.unwrap_err();
    assert!(matches!(error.kind(), SignErrorKind::PermitSpent), "{error:?}");
    assert_eq!(server.requests().len(), 3, "the one for making a key is for nothing else");
    assert!(few.is_answered(), "what was sent was answered");
    let enough = Leave::new(until, &[Sign, CreateKey, Sign, Sign, Sign]);
    enough.within(vault.create_key("issuer", SignatureAlgorithm::Es256)).await.unwrap();
    assert_eq!(server.requests().len(), 7);
}

#[tokio::test]
async fn no_exchange_of_a_call_begins_after_its_slots() {
    let clock = Pushed::new();
    let pushed = clock.clone();
    // The clock jumps with the first answer: no wait of ours has passed by then.
    let server = Server::start(move |request| {
        pushed.push(Duration::from_secs(3));
        Reply::Send(answer(200, &bundle(&host(request), "issuer", VERSION, 1)))
    })
    .await;
    let vault = open(&config(&server), clock.clone());
    let leave = Leave::new(clock.now().plus(PATIENCE), &[Sign, Sign, Sign]);
    leave.within(vault.create_key("issuer", SignatureAlgorithm::Es256)).await.unwrap_err();
    assert_eq!(server.requests().len(), 1);
    let error = leave.within(vault.describe(&key())).await.unwrap_err();
    assert!(matches!(error.kind(), SignErrorKind::PermitExpired), "{error:?}");
    let error = leave.within(vault.disable(&key())).await.unwrap_err();
    assert!(matches!(error.kind(), SignErrorKind::PermitExpired), "{error:?}");
    let error = leave.within(vault.challenge()).await.unwrap_err();
    assert_eq!(error.code(), "permit_spent", "three slots, three exchanges");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_call_whose_slots_end_while_it_connects_sends_no_byte() {
    for without_body in [true, false] {
        let clock = Pushed::new();
        let pushed = clock.clone();
        let before_tls = move || pushed.push(Duration::from_secs(60));
        let server = Server::start_with(|_request| not_found(), before_tls).await;
        let vault = open(&config(&server), clock.clone());
        let leave = Leave::new(clock.now().plus(PATIENCE), &[Sign]);
        let failed = if without_body {
            leave.within(vault.describe(&key())).await.map(drop)
        } else {
            leave.within(vault.disable(&key())).await
        };
        assert!(!failed.unwrap_err().answered() && !leave.is_answered());
        server.closed(1).await;
        assert_eq!((server.connections(), server.bytes()), (1, 0), "without body: {without_body}");
    }
}

#[tokio::test]
async fn an_answer_without_the_vaults_id_returns_no_slot() {
    for (status, body) in [(403, "<html>"), (200, "")] {
        let server = Server::start(move |request| {
            let body =
                if status == 200 { bundle(&host(request), "issuer", VERSION, 1) } else { body.to_owned() };
            let head = format!(
                "HTTP/1.1 {status} S\r\nContent-Type: application/json\r\nContent-Length: {}",
                body.len()
            );
            Reply::Send(format!("{head}\r\n\r\n{body}").into_bytes())
        })
        .await;
        let clock = Pushed::new();
        let vault = open(&config(&server), clock.clone());
        let leave = Leave::new(clock.now().plus(PATIENCE), &[Sign, Sign]);
        let read = leave.within(vault.describe(&key())).await;
        assert_eq!(read.is_ok(), status == 200, "{read:?}");
        assert!(!leave.is_answered(), "{status}");
    }
}

#[tokio::test]
async fn the_vaults_answer_returns_a_slot_whatever_it_says() {
    let server = Server::start(|_request| not_found()).await;
    let clock = Pushed::new();
    let vault = open(&config(&server), clock.clone());
    let leave = Leave::new(clock.now().plus(PATIENCE), &[Sign]);
    leave.within(vault.describe(&key())).await.unwrap_err();
    assert!(leave.is_answered());
    let leave = Leave::new(clock.now().plus(PATIENCE), &[Sign]);
    leave.within(vault.challenge()).await.unwrap();
    assert!(leave.is_answered());
}

#[tokio::test]
async fn a_next_page_at_another_host_gets_no_token() {
    let stranger = Server::start(|_request| Reply::Send(answer(200, "{}"))).await;
    let elsewhere = format!("https://localhost:{}/keys?api-version=7.4", stranger.port);
    let server = Server::start(move |_request| {
        Reply::Send(answer(200, &json!({"value": [], "nextLink": elsewhere}).to_string()))
    })
    .await;
    let vault = open(&config(&server), Pushed::new());
    let error = vault.list_keys().await.unwrap_err();
    assert!(matches!(error.kind(), SignErrorKind::BadResponse(InvalidResponse::Malformed)), "{error:?}");
    assert_eq!(stranger.connections(), 0);
}

#[tokio::test]
async fn other_kinds_of_keys_are_left_out_of_the_list_and_named_when_asked_for() {
    let server = Server::start(|request| {
        let (host, line) = (host(request), request.line().to_owned());
        if line.starts_with("GET /keys?") {
            let value = [json!({"kid": format!("https://{host}/keys/issuer"), "attributes": {}})];
            return Reply::Send(answer(200, &json!({"value": value}).to_string()));
        }
        let kid = format!("https://{host}/keys/issuer/{VERSION}");
        if line.contains("/versions") {
            return Reply::Send(answer(200, &json!({"value": [{"kid": kid, "attributes": {}}]}).to_string()));
        }
        let key = json!({"key": {"kid": kid, "kty": "EC", "crv": "SECP256K1", "x": "AA", "y": "AA"}});
        Reply::Send(answer(200, &key.to_string()))
    })
    .await;
    let vault = open(&config(&server), Pushed::new());
    assert!(vault.list_keys().await.unwrap().is_empty());
    let error = vault.public_key(&key()).await.unwrap_err();
    assert!(error.to_string().contains("EC SECP256K1"), "{error}");
}

#[tokio::test]
async fn permissions_are_told_from_refusals_of_things_that_are_not_there() {
    use crate::error::Denial;
    use crate::key_vault::probe::{Operation, Permission};
    let server = Server::start(|request| {
        let line = request.line().to_owned();
        let denied = r#"{"error":{"code":"Forbidden","innererror":{"code":"ForbiddenByRbac"}}}"#;
        if line.starts_with("PATCH ") || line.contains("/backup") {
            return Reply::Send(answer(403, denied));
        }
        if line.contains("/create") {
            return Reply::Send(answer(400, r#"{"error":{"code":"BadParameter"}}"#));
        }
        if line.contains("/sign") {
            assert!(!line.contains(VERSION), "no version of the key may be asked to sign");
            return not_found();
        }
        if line.starts_with("GET /keys?") {
            return Reply::Send(answer(200, r#"{"value":[],"nextLink":null}"#));
        }
        Reply::Send(answer(200, &bundle(&host(request), "issuer", VERSION, 1)))
    })
    .await;
    let vault = open(&config(&server), Pushed::new());
    for operation in Operation::ALL {
        let found = vault.permission(operation, &key()).await;
        let is_denied = matches!(operation, Operation::Update | Operation::Backup);
        match found {
            Permission::Permitted => assert!(!is_denied, "{operation:?}"),
            Permission::Denied(by) => assert!(is_denied && by == Denial::Role, "{operation:?}"),
            Permission::Unknown(error) => panic!("{operation:?}: {error:?}"),
        }
    }
}

#[tokio::test]
async fn the_challenge_is_read_without_a_token() {
    let server = Server::start(|request| {
        assert_eq!(request.header("authorization"), None);
        let headers = "WWW-Authenticate: Bearer authorization=\"https://login.example/t\", \
                       resource=\"https://vault.azure.net\"\r\nDate: Tue, 03 Feb 2026 10:21:33 GMT\r\n";
        Reply::Send(super::server::answer_with(401, headers, ""))
    })
    .await;
    let challenge = open(&config(&server), Pushed::new()).challenge().await.unwrap();
    assert_eq!(challenge.status, 401);
    assert_eq!(challenge.resource.as_deref(), Some(challenge.configured_resource.as_str()));
    assert_eq!(challenge.authorization.as_deref(), Some("https://login.example/t"));
    assert_eq!(challenge.vault_time, Some(Timestamp::from_seconds(1_770_114_093)));
}

#[test]
fn settings_that_do_not_fit_together_are_refused() {
    let token = || VaultCredential::StaticToken(Zeroizing::new("t".into()));
    let good = |address: &str| {
        KeyVaultConfig::new("main", Url::parse(address).unwrap(), VaultCredential::DeveloperTools)
    };
    assert_eq!(good("https://v1.vault.azure.net").check(), Ok(()));
    assert_eq!(good("https://h1.managedhsm.azure.net").check(), Ok(()));
    assert_eq!(good("https://h1.managedhsm.azure.net").resource(), "https://managedhsm.azure.net");
    assert_eq!(good("https://v1.vault.azure.cn").resource(), "https://vault.azure.cn");
    assert_eq!(good("https://V1.vault.azure.net:443").authority(), "v1.vault.azure.net");
    let refused = [
        (KeyVaultConfig { name: "a/b".into(), ..good("https://v1.vault.azure.net") }, VaultConfigError::Name),
        (good("http://v1.vault.azure.net"), VaultConfigError::NotHttps),
        (good("https://v1.vault.azure.net/keys"), VaultConfigError::NotAnOrigin),
        (good("https://me:pw@v1.vault.azure.net"), VaultConfigError::NotAnOrigin),
        (good("https://v1.vault.azure.net?x=1"), VaultConfigError::NotAnOrigin),
        (
            KeyVaultConfig { verify_challenge_resource: false, ..good("https://v1.vault.azure.net") },
            VaultConfigError::ChallengeUnchecked,
        ),
        (
            KeyVaultConfig { credential: token(), ..good("https://v1.vault.azure.net") },
            VaultConfigError::StaticTokenAbroad,
        ),
        (good("https://vault.example"), VaultConfigError::Resource),
        (good("https://vault.azure.net"), VaultConfigError::Resource),
        (good("https://localhost:8443"), VaultConfigError::Resource),
        (
            KeyVaultConfig {
                limits: VaultLimits { hsm: 0, ..VaultLimits::default() },
                ..good("https://v1.vault.azure.net")
            },
            VaultConfigError::Limits,
        ),
    ];
    for (config, error) in refused {
        assert_eq!(config.check(), Err(error), "{config:?}");
    }
    for address in ["https://localhost:1", "https://a.localhost:1", "https://127.0.0.1:1", "https://[::1]:1"]
    {
        let config =
            KeyVaultConfig { verify_challenge_resource: false, credential: token(), ..good(address) };
        assert_eq!(config.check(), Ok(()), "{address}");
    }
    let bad_ca = KeyVaultConfig { ca_pem: Some(b"nonsense".to_vec()), ..good("https://v1.vault.azure.net") };
    let error = KeyVaultBackend::open(&bad_ca, Arc::new(Now), Pushed::new()).unwrap_err();
    assert!(matches!(error, VaultOpenError::Config(VaultConfigError::Certificates)), "{error:?}");
}

#[test]
fn secrets_stay_out_of_debug_output() {
    let url = Url::parse("https://localhost:1").unwrap();
    let secret = VaultCredential::ClientSecret {
        tenant_id: "t".into(),
        client_id: "c".into(),
        secret: Zeroizing::new("hunter2".into()),
    };
    assert!(!format!("{:?}", KeyVaultConfig::new("main", url, secret)).contains("hunter2"));
}
