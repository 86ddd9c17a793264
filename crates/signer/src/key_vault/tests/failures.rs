//! What failures and strange answers become, and that nothing is sent a second time.

use std::error::Error as _;

use super::server::answer_with;
use super::*;

/// Signs once against a server with this script; gives the failure and how many requests there were.
async fn failure(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> (SignError, usize) {
    let server = Server::start(script).await;
    let clock = Pushed::new();
    let vault = open(&config(&server), clock.clone());
    let error = vault.sign(ordinary(&clock)).await.unwrap_err();
    // Whatever would be repeated has time to be.
    tokio::time::sleep(Duration::from_millis(300)).await;
    (error, server.requests().len())
}

fn refusal(code: &str, inner: &str) -> String {
    json!({"error": {"code": code, "message": "m", "innererror": {"code": inner}}}).to_string()
}

#[tokio::test]
async fn refusals_are_answers_and_are_not_repeated() {
    for (status, headers, code, is_retried) in [
        (400, "", "BadParameter", false),
        (403, "", "Forbidden", false),
        (404, "", "KeyNotFound", false),
        (429, "", "Throttled", true),
        (429, "Retry-After: 2\r\n", "Throttled", true),
        (500, "", "InternalError", true),
        (503, "Retry-After: 1\r\n", "Unavailable", true),
        (302, "Location: https://localhost:1/\r\n", "Moved", true),
    ] {
        let body = refusal(code, "");
        let (error, requests) =
            failure(move |_request| Reply::Send(answer_with(status, headers, &body))).await;
        assert_eq!(requests, 1, "{status}");
        assert!(error.answered(), "{error:?}");
        assert_eq!(error.receipt().unwrap().status, Some(status));
        assert_eq!(matches!(error.retry(), Retry::After(_)), is_retried, "{error:?}");
    }
}

#[tokio::test]
async fn a_pause_that_the_vault_names_is_kept() {
    let body = refusal("Throttled", "");
    let (error, _) =
        failure(move |_request| Reply::Send(answer_with(429, "Retry-After: 7\r\n", &body))).await;
    assert_eq!(error.retry(), Retry::After(Duration::from_secs(7)));
}

#[tokio::test]
async fn a_refused_token_is_not_sent_again() {
    let challenge = "WWW-Authenticate: Bearer authorization=\"https://login.example/t\", \
                     resource=\"https://vault.azure.net\"\r\n";
    let (error, requests) =
        failure(move |_request| Reply::Send(answer_with(401, challenge, &refusal("Unauthorized", "")))).await;
    assert!(matches!(error.kind(), SignErrorKind::Unauthenticated { .. }), "{error:?}");
    assert!(error.answered());
    assert_eq!(requests, 1, "the SDK would repeat the request after a challenge");
}

#[tokio::test]
async fn a_connection_that_breaks_may_hide_a_signature() {
    let (error, requests) = failure(|_request| Reply::SendAndClose(Vec::new())).await;
    assert!(matches!(error.kind(), SignErrorKind::Unavailable { may_have_signed: true, .. }), "{error:?}");
    assert!(!error.answered());
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_answer_without_signature() {
    let (error, requests) = failure(|request| {
        let mut bytes = signed(request, 64);
        bytes.truncate(bytes.len() - 20);
        Reply::SendAndClose(bytes)
    })
    .await;
    assert!(matches!(error.kind(), SignErrorKind::Unavailable { may_have_signed: true, .. }), "{error:?}");
    assert!(error.answered(), "the head has come, so the request has arrived");
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn an_endless_body_is_cut_off() {
    let (error, _) = failure(|_request| {
        let mut bytes = b"HTTP/1.1 200 OK\r\nx-ms-request-id: a\r\n\r\n".to_vec();
        bytes.resize(2 * 1024 * 1024, b' ');
        Reply::Send(bytes)
    })
    .await;
    assert!(matches!(error.kind(), SignErrorKind::Unavailable { may_have_signed: true, .. }), "{error:?}");
}

#[tokio::test]
async fn answers_that_are_no_signature_of_this_key() {
    type Expected = fn(&SignErrorKind) -> bool;
    let good = URL_SAFE_NO_PAD.encode([1; 64]);
    let other = VERSION.replace('0', "9");
    let rows: [(String, String, Expected); 7] = [
        (VERSION.into(), URL_SAFE_NO_PAD.encode([1; 63]), |kind| {
            matches!(kind, SignErrorKind::BadResponse(InvalidResponse::SignatureLength))
        }),
        (VERSION.into(), URL_SAFE_NO_PAD.encode([1; 96]), |kind| {
            matches!(kind, SignErrorKind::BadResponse(InvalidResponse::SignatureLength))
        }),
        (VERSION.into(), String::new(), |kind| {
            matches!(kind, SignErrorKind::BadResponse(InvalidResponse::SignatureLength))
        }),
        (VERSION.into(), "not base64url!".into(), |kind| {
            matches!(kind, SignErrorKind::BadResponse(InvalidResponse::Malformed))
        }),
        (other, good.clone(), |kind| matches!(kind, SignErrorKind::WrongKey)),
        (String::new(), good.clone(), |kind| matches!(kind, SignErrorKind::WrongKey)),
        (format!("{VERSION}/../x"), good, |kind| matches!(kind, SignErrorKind::WrongKey)),
    ];
    for (version, value, is_right) in rows {
        let body = json!({"kid": "", "value": value});
        let (error, requests) = failure(move |request| {
            let mut body = body.clone();
            let host = request.header("host").unwrap();
            body["kid"] = json!(format!("https://{host}/keys/issuer/{version}"));
            Reply::Send(answer(200, &body.to_string()))
        })
        .await;
        assert!(is_right(error.kind()), "{error:?}");
        assert!(error.answered() && error.may_have_signed());
        assert_eq!(requests, 1);
    }
    for body in ["", "{}", "[]", "null", "<html>", r#"{"value":7}"#, "\u{0}"] {
        let (error, _) = failure(move |_request| Reply::Send(answer(200, body))).await;
        let is_bad = matches!(error.kind(), SignErrorKind::BadResponse(_) | SignErrorKind::WrongKey);
        assert!(is_bad, "{body}: {error:?}");
    }
}

#[tokio::test]
async fn the_versions_letter_case_does_not_matter() {
    let server = Server::start(|request| {
        let kid =
            format!("https://{}/keys/ISSUER/{}", request.header("host").unwrap(), VERSION.to_uppercase());
        let value = URL_SAFE_NO_PAD.encode([1; 64]);
        Reply::Send(answer(200, &json!({"kid": kid, "value": value}).to_string()))
    })
    .await;
    let clock = Pushed::new();
    let done = open(&config(&server), clock.clone()).sign(ordinary(&clock)).await.unwrap();
    assert_eq!(done.key, key());
}

async fn unreachable(config: &KeyVaultConfig) -> (SignError, Duration) {
    let clock = Pushed::new();
    let vault = open(config, clock.clone());
    let begun = Instant::now();
    let error =
        vault.sign(permit(&clock, SignatureAlgorithm::Es256, Duration::from_secs(9))).await.unwrap_err();
    assert!(!error.may_have_signed() && !error.answered());
    (error, begun.elapsed())
}

fn causes(error: &SignError) -> String {
    let mut text = String::new();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_named_at_once() {
    let server = Server::start(|request| Reply::Send(signed(request, 64))).await;
    let distrusting = KeyVaultConfig { ca_pem: None, ..config(&server) };
    let (error, took) = unreachable(&distrusting).await;
    let is_tls = matches!(error.kind(), SignErrorKind::Unreachable { why: crate::Unreachability::Tls, .. });
    assert!(is_tls, "{error:?}");
    assert!(causes(&error).contains("certificate"), "{}", causes(&error));
    assert_eq!(error.retry(), Retry::Never);
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_port_where_nobody_listens() {
    let server = Server::start(|request| Reply::Send(signed(request, 64))).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let vault_url = Url::parse(&format!("https://localhost:{free}")).unwrap();
    let (error, took) = unreachable(&KeyVaultConfig { vault_url, ..config(&server) }).await;
    let is_refused =
        matches!(error.kind(), SignErrorKind::Unreachable { why: crate::Unreachability::Refused, .. });
    assert!(is_refused, "{error:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn a_name_without_address() {
    let server = Server::start(|request| Reply::Send(signed(request, 64))).await;
    // No name under this one exists (RFC 6761, section 6.4).
    let vault_url = Url::parse("https://vault.invalid").unwrap();
    let config = KeyVaultConfig { vault_url, ..config(&server) };
    let clock = Pushed::new();
    let client = http::token_client(&config).unwrap();
    let tokens = Tokens::new(Arc::new(OfficialCredential::new(&config, client)), Arc::new(Now));
    // Not through `open`, which keeps the fixed token on this machine.
    let vault = KeyVaultBackend::with_tokens(&config, tokens, clock.clone()).unwrap();
    let error =
        vault.sign(permit(&clock, SignatureAlgorithm::Es256, Duration::from_secs(30))).await.unwrap_err();
    let is_dns = matches!(error.kind(), SignErrorKind::Unreachable { why: crate::Unreachability::Dns, .. });
    assert!(is_dns, "{error:?}");
    assert!(causes(&error).contains("cannot be resolved"), "{}", causes(&error));
}
