//! Bodies of `createIssuanceRequest` that are refused.

use serde_json::{Value, json};

use crate::issuance::errors::{assert_code, assert_error};
use crate::issuance::fixture::{CREATE, Service, TRANSACTION, send};

/// Refused as documented, no request made, and the refusal in the ledger.
async fn refused(service: &Service, body: &Value, status: u16, inner: &str, target: Option<&str>) -> String {
    let answer = service.create(body).await;
    let message = assert_error(&answer, status, inner, target);
    let transaction = answer.header(TRANSACTION).expect("a refused request has a transaction");
    let events = service.ledger(transaction, 1).await;
    assert_eq!(events.len(), 1, "{events:#?}");
    assert_eq!(events[0]["event"], "request_refused");
    assert!(events[0]["details"]["reason"].is_string());
    assert_eq!(events[0]["client"], json!(service.ready.client_id));
    let made = format!("SELECT count(*) FROM request WHERE transaction_id = '{transaction}'");
    assert_eq!(service.count(&made), 0);
    message
}

/// A good body with the member at `path` replaced, or taken away for `null`.
fn with(mut body: Value, path: &str, value: Value) -> Value {
    let (parents, name) = path.rsplit_once('.').map_or(("", path), |(parents, name)| (parents, name));
    let mut at = &mut body;
    for parent in parents.split('.').filter(|parent| !parent.is_empty()) {
        at = &mut at[parent];
    }
    at[name] = value;
    body
}

#[tokio::test]
async fn missing_members_are_named() {
    let service = Service::shared();
    for path in ["registration", "type", "manifest", "registration.clientName"] {
        for absent in [Value::Null, json!("")] {
            if path == "registration" && !absent.is_null() {
                continue;
            }
            let body = with(service.employee(), path, absent);
            let target = if path == "manifest" && body["manifest"] == "" { None } else { Some(path) };
            match target {
                Some(path) => {
                    let message = refused(&service, &body, 400, "badOrMissingField", Some(path)).await;
                    assert!(message.contains(path), "{message}");
                }
                None => {
                    let answer = service.create(&body).await;
                    assert!(matches!(answer.status, 400 | 404), "{}", answer.text());
                }
            }
        }
    }
    let mut with_callback = service.employee();
    with_callback["callback"] = json!({"url": "http://127.0.0.1:9/cb", "state": "s"});
    for path in ["callback.url", "callback.state"] {
        let body = with(with_callback.clone(), path, Value::Null);
        refused(&service, &body, 400, "badOrMissingField", Some(path)).await;
    }
    for value in [Value::Null, json!(""), json!("issuer.example"), json!("https://issuer.example")] {
        let body = with(service.employee(), "authority", value);
        let message = refused(&service, &body, 400, "badOrMissingField", Some("authority")).await;
        assert_eq!(message, "The request does not contain a valid authority DID.");
    }
}

#[tokio::test]
async fn wrong_types_are_named() {
    let service = Service::shared();
    let mut whole = service.student();
    whole["callback"] = json!({"url": "http://127.0.0.1:9/cb", "state": "s", "headers": {"api-key": "k"}});
    whole["pin"] = json!({"value": "1234", "length": 4});
    whole["expirationDate"] = json!("2999-12-31T23:59:59Z");
    for (path, values) in [
        ("includeQRCode", vec![json!("true"), json!(1), json!([]), json!({})]),
        ("type", vec![json!(1), json!(["VerifiedEmployee"]), json!({})]),
        ("manifest", vec![json!(1), json!([]), json!({})]),
        ("authority", vec![json!(1), json!([]), json!({})]),
        ("registration", vec![json!("x"), json!([]), json!(1)]),
        ("registration.clientName", vec![json!(1), json!([]), json!({})]),
        ("registration.logoUrl", vec![json!(1), json!("not a url"), json!("javascript:alert(1)"), json!({})]),
        ("registration.termsOfServiceUrl", vec![json!(true), json!("ftp://a/b")]),
        ("registration.purpose", vec![json!(1)]),
        ("callback", vec![json!("http://127.0.0.1:9/cb"), json!([]), json!(1)]),
        ("callback.url", vec![json!(1), json!("not a url"), json!({})]),
        ("callback.state", vec![json!(1), json!({}), json!([])]),
        ("callback.headers", vec![json!("x"), json!([])]),
        ("callback.headers.api-key", vec![json!(1), json!({})]),
        ("claims", vec![json!("given_name=x"), json!([]), json!(1)]),
        ("claims.given_name", vec![json!(1), json!(true), json!([]), json!({"a": 1})]),
        ("pin", vec![json!("1234"), json!(1234), json!([])]),
        (
            "pin.value",
            vec![json!(1234), json!("123"), json!("12345"), json!("12a4"), json!("١٢٣٤"), json!([])],
        ),
        ("pin.length", vec![json!("4"), json!(3), json!(17), json!(-1), json!(4.5), json!(1e30)]),
        ("pin.type", vec![json!("letters"), json!(1)]),
        ("pin.salt", vec![json!(1)]),
        (
            "expirationDate",
            vec![
                json!(1_900_000_000),
                json!("tomorrow"),
                json!("2999-13-01T00:00:00Z"),
                json!("2999-01-01"),
                json!("2020-01-01T00:00:00Z"),
            ],
        ),
        ("customer", vec![json!(1), json!("x".repeat(257)), json!("a\u{0}b")]),
    ] {
        for value in values {
            let body = with(whole.clone(), path, value);
            let message = refused(&service, &body, 400, "badOrMissingField", Some(path)).await;
            assert!(
                message.contains(path)
                    || path.starts_with("callback.headers")
                    || path == "customer"
                    || path == "authority",
                "{path}: {message}"
            );
        }
    }
    let message = refused(
        &service,
        &with(service.employee(), "includeQRCode", json!("yes")),
        400,
        "badOrMissingField",
        Some("includeQRCode"),
    )
    .await;
    assert_eq!(message, "The request contains `includeQRCode`, but it is not boolean.");
}

#[tokio::test]
async fn pins_that_no_wallet_can_answer() {
    let service = Service::shared();
    let hash = "iAkCPeG4ybw8aZcskYXosyl5Cd1pdua2D3OgCzF9U1M=";
    for (pin, target) in [
        (json!({}), "pin.value"),
        (json!({"value": "12345"}), "pin.value"),
        (json!({"value": "ABCDEF"}), "pin.value"),
        (json!({"value": "ABC-EF", "type": "alphanumeric"}), "pin.value"),
        (json!({"value": hash, "alg": "sha256", "length": 4}), "pin.salt"),
        (json!({"value": hash, "iterations": 1, "salt": "", "length": 4}), "pin.salt"),
        (json!({"value": hash, "salt": "s", "alg": "sha512", "length": 4}), "pin.alg"),
        (json!({"value": hash, "salt": "s", "alg": "SHA1", "length": 4}), "pin.alg"),
        (json!({"value": hash, "salt": "s", "iterations": 2, "length": 4}), "pin.iterations"),
        (json!({"value": hash, "salt": "s", "iterations": 0, "length": 4}), "pin.iterations"),
        (json!({"value": "3539", "salt": "s", "length": 4}), "pin.value"),
        (json!({"value": "%%%", "salt": "s", "length": 4}), "pin.value"),
    ] {
        let body = with(service.employee(), "pin", pin.clone());
        let message = refused(&service, &body, 400, "badOrMissingField", Some(target)).await;
        assert!(!message.contains(hash) && !message.contains("3539"), "{pin}: {message}");
    }
}

#[tokio::test]
async fn what_the_contract_does_not_take() {
    let service = Service::shared();
    let body = with(service.employee(), "expirationDate", json!("2999-12-31T23:59:59.000Z"));
    let message = refused(&service, &body, 400, "badOrMissingField", None).await;
    assert_eq!(
        message,
        "Expiration Date cannot be used when Validity Interval is not allowed to be overridden"
    );
    let body = with(service.guest(), "claims", json!({"name": "x"}));
    refused(&service, &body, 400, "badOrMissingField", Some("claims")).await;
    let body = with(service.guest(), "pin", json!({"value": "123456"}));
    refused(&service, &body, 400, "badOrMissingField", Some("pin")).await;
    let body = with(service.guest(), "expirationDate", json!("2999-12-31T23:59:59.000Z"));
    refused(&service, &body, 400, "badOrMissingField", None).await;
}

#[tokio::test]
async fn unknown_authorities_and_contracts() {
    let service = Service::shared();
    for did in ["did:web:other.example", "did:web:localhost%3A1", "did:ion:abc", "did:"] {
        let body = with(service.employee(), "authority", json!(did));
        refused(&service, &body, 400, "badOrMissingField", Some("authority")).await;
    }
    let good = service.employee()["manifest"].as_str().unwrap().to_owned();
    for manifest in [
        good.replace("4c1f7a52", "00000000"),
        good.replace(service.tenant(), "00000000-0000-4000-8000-000000000000"),
        good.replace("/manifest", ""),
        good.replace("https://", "file://"),
        "https://beta.did.msidentity.com/v1.0/nonsense".to_owned(),
        "VerifiedEmployee".to_owned(),
        format!("{good}/../../../../manifest"),
    ] {
        let body = with(service.employee(), "manifest", json!(manifest));
        refused(&service, &body, 404, "notFound", Some("manifest")).await;
    }
}

#[tokio::test]
async fn callbacks_to_addresses_that_are_not_public() {
    let service = Service::shared();
    for (url, message) in [
        ("http://10.0.0.1/cb", "URL must be public"),
        ("https://10.0.0.1/cb", "URL must be public"),
        ("https://192.168.1.1/cb", "URL must be public"),
        ("https://172.16.0.1/cb", "URL must be public"),
        ("https://169.254.169.254/latest/meta-data", "URL must be public"),
        ("https://[fd00::1]/cb", "URL must be public"),
        ("https://[::ffff:10.0.0.1]/cb", "URL must be public"),
        ("https://0x0a000001/cb", "URL must be public"),
        ("https://167772161/cb", "URL must be public"),
        ("https://printer.local/cb", "URL must be public"),
        ("https://vault.internal/cb", "URL must be public"),
        ("https://intranet/cb", "URL must be public"),
        ("http://app.example/cb", "URL must use https"),
        ("ftp://app.example/cb", "URL must use https"),
        ("file:///etc/passwd", "URL must use https"),
        ("https://user:secret@app.example/cb", "URL must not contain user information"),
    ] {
        let body = with(service.employee(), "callback", json!({"url": url, "state": "s"}));
        let found = refused(&service, &body, 400, "badOrMissingField", Some("callback.url")).await;
        assert_eq!(found, message, "{url}");
        assert!(!found.contains("secret"));
    }
}

#[tokio::test]
async fn callback_headers_that_are_not_allowed() {
    let service = Service::shared();
    let callback = |name: &str, value: &str| json!({"url": "http://127.0.0.1:9/cb", "state": "s", "headers": {(name): value}});
    for (name, value) in [
        ("x-custom", "v"),
        ("Host", "evil.example"),
        ("Content-Length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("api-key\r\nx-injected: 1", "v"),
        ("", "v"),
        ("api-key", "v\r\nx-injected: 1"),
        ("api-key", "a\u{0}b"),
        ("Authorization", "Bearer x\ny"),
    ] {
        let body = with(service.employee(), "callback", callback(name, value));
        let target = format!("callback.headers.{name}");
        let message = refused(&service, &body, 400, "badOrMissingField", Some(&target)).await;
        assert!(message.contains("callback header"), "{message}");
    }
    for (name, value) in [("api-key", "käse"), ("API-Key", "v"), ("authorization", "Basic dTpw")] {
        let body = with(service.employee(), "callback", callback(name, value));
        let answer = service.create(&body).await;
        assert!(matches!((name, answer.status), ("api-key", 201 | 400) | (_, 201)), "{}", answer.text());
    }
}

#[tokio::test]
async fn what_is_no_json_object() {
    let service = Service::shared();
    let call = || {
        service
            .client
            .post(service.http().to_owned() + CREATE)
            .bearer_auth(&service.token)
            .header("content-type", "application/json")
    };
    let good = service.employee().to_string();
    for body in [
        String::new(),
        "{".to_owned(),
        good[..good.len() / 2].to_owned(),
        format!("{good}}}"),
        format!("{good}{good}"),
        good.replacen('"', "'", 2),
        "null".to_owned(),
        "[]".to_owned(),
        "\"text\"".to_owned(),
        "1".to_owned(),
        "NaN".to_owned(),
        "\u{feff}{}".to_owned(),
        "[".repeat(10_000),
        format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200)),
        "{\"type\":\"\\ud800\"}".to_owned(),
    ] {
        let answer = send(call().body(body.clone())).await;
        assert_code(&answer, 400, "badOrMissingField");
        assert!(answer.header(TRANSACTION).is_some());
    }
    let not_utf8 = send(call().body(vec![b'{', b'"', 0xff, 0xfe, b'"', b':', b'1', b'}'])).await;
    assert_code(&not_utf8, 400, "badOrMissingField");
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/xml", "multipart/form-data"]
    {
        let call = service.client.post(service.http().to_owned() + CREATE).bearer_auth(&service.token);
        let answer = send(call.header("content-type", kind).body(good.clone())).await;
        assert_error(&answer, 415, "badOrMissingField", Some("Content-Type"));
    }
}

#[tokio::test]
async fn a_body_of_more_than_a_mebibyte() {
    let service = Service::shared();
    let mut body = service.student();
    body["claims"]["photo"] = json!("A".repeat(1_048_576));
    let answer = service.create(&body).await;
    assert_code(&answer, 413, "badOrMissingField");
    let events = service.ledger(answer.header(TRANSACTION).unwrap(), 1).await;
    assert_eq!(events[0]["event"], "request_refused");
    // Just below the limit it is taken.
    let mut body = service.student();
    let rest = 1_048_576 - 16 - body.to_string().len() - ",\"photo\":\"\"".len();
    body["claims"]["photo"] = json!("A".repeat(rest / 4 * 4));
    service.created(&body).await;
}
