//! Stops: one client, customer or contract ends at once and alone, and comes back as easily.

use serde_json::{Value, json};

use super::fixture::{Limited, Said, assert_limited, command, transaction};
use crate::issuance::errors::assert_error;
use crate::issuance::fixture::EMPLOYEE;

#[track_caller]
fn ok(said: &Said) -> &str {
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    &said.out
}

#[tokio::test]
async fn a_stopped_client_ends_alone_with_what_waits_for_its_wallets() {
    let limited = Limited::start("").await;
    let service = &limited.service;
    let client = limited.credenza.ready().client_id.clone().unwrap();
    let waiting = service.created(&service.employee()).await;
    let signed = service.created(&service.employee()).await;
    let object =
        |id: &str| format!("/v1.0/tenants/{}/verifiableCredentials/issuanceRequests/{id}", service.tenant());
    assert_eq!(service.get(&object(&signed.id)).await.status, 200);

    let said = limited.command(&["stop", "add", "--client", &client, "--reason", "runs away"]);
    assert!(ok(&said).contains("is stopped"), "{}", said.out);
    assert!(ok(&limited.command(&["stop", "add", "--client", &client])).contains("was stopped already"));
    let refused = limited.create_until(403).await;
    let message = assert_error(&refused, 403, "stopped", Some("authorization"));
    assert!(message.contains("this client"), "{message}");
    assert_eq!(refused.header("retry-after"), None, "waiting does not help");
    let transaction = transaction(&refused);

    assert_eq!(limited.create_as_demo().await.status, 201, "others go on");
    assert_error(&service.get(&object(&waiting.id)).await, 403, "stopped", Some("authorization"));
    assert_eq!(service.get(&object(&signed.id)).await.status, 200, "what is signed costs nothing");
    assert_eq!(service.count("SELECT count(*) FROM intent WHERE purpose = 'request_object'"), 1);

    let rows = limited.refusals("stopped", 2).await;
    assert!(rows.iter().all(|row| row["client"] == json!(client) && row["details"]["by"] == "client"));
    assert!(rows.iter().any(|row| row["transaction"] == json!(transaction)));
    let report = limited.command(&["report", "refusals"]).out;
    assert!(report.contains("stopped by client"), "{report}");

    let listed: Value = serde_json::from_str(ok(&limited.command(&["stop", "list", "--json"]))).unwrap();
    assert_eq!(
        (&listed[0]["kind"], &listed[0]["name"], &listed[0]["reason"]),
        (&json!("client"), &json!(client), &json!("runs away"))
    );
    ok(&limited.command(&["stop", "remove", "--client", &client]));
    limited.create_until(201).await;
    assert_eq!(service.get(&object(&waiting.id)).await.status, 200, "it only waited");
    assert_eq!(limited.command(&["stop", "remove", "--client", &client]).code, Some(1));
    assert!(ok(&limited.command(&["stop", "list"])).contains("Nothing is stopped"));
    let changes = service
        .count("SELECT count(*) FROM event WHERE body LIKE '%stop_added%' OR body LIKE '%stop_removed%'");
    assert_eq!(changes, 2, "each change is in the ledger");
}

#[tokio::test]
async fn a_customer_and_a_contract_are_stopped_without_the_others() {
    let limited = Limited::start("").await;
    let service = &limited.service;
    ok(&limited.command(&["stop", "add", "--customer", "Fabrikam"]));
    ok(&limited.command(&["stop", "add", "--contract", "VerifiedEmployee"]));
    let refused = limited.create_until(403).await;
    assert_error(&refused, 403, "stopped", Some("manifest"));
    assert_eq!(service.create(&service.student()).await.status, 201, "another contract");
    let mut body = service.student();
    body["customer"] = json!("Fabrikam");
    assert_error(&service.create(&body).await, 403, "stopped", Some("customer"));
    body["customer"] = json!("Contoso");
    assert_eq!(service.create(&body).await.status, 201, "another customer");
    ok(&limited.command(&["stop", "remove", "--contract", EMPLOYEE]));
    limited.create_until(201).await;
}

#[tokio::test]
async fn a_stop_holds_from_the_first_call_after_a_start() {
    let limited = Limited::start("").await;
    let client = limited.credenza.ready().client_id.clone().unwrap();
    ok(&limited.command(&["stop", "add", "--client", &client]));
    let credenza = limited.credenza.start_again().await;
    let answer = credenza.create(&limited.service.employee()).await;
    assert_error(&answer, 403, "stopped", Some("authorization"));
}

#[tokio::test]
async fn the_configuration_stops_too_and_uses_up_no_quota() {
    let lines = "client = { per_minute = 1, burst = 2 }\n[[limits.stopped]]\ncustomer = \"Fabrikam\"\n\
                 [[limits.stopped]]\ncontract = \"StudentCard\"";
    let limited = Limited::start(lines).await;
    for _ in 0..5 {
        assert_error(&limited.create_for("Fabrikam").await, 403, "stopped", Some("customer"));
        let student = limited.service.create(&limited.service.student()).await;
        assert_error(&student, 403, "stopped", Some("manifest"));
    }
    for _ in 0..2 {
        assert_eq!(limited.create_for("Contoso").await.status, 201);
    }
    assert_limited(&limited.create_for("Contoso").await, "this client");
    limited.refusals("stopped", 10).await;
}

#[tokio::test]
async fn commands_say_what_is_wrong() {
    let limited = Limited::start("").await;
    let unknown = limited.command(&["stop", "add", "--contract", "NoSuchContract"]);
    assert!(
        unknown.code == Some(1) && unknown.err.contains("there is no contract `NoSuchContract`"),
        "{}",
        unknown.err
    );
    assert_eq!(limited.command(&["stop", "add"]).code, Some(2), "something has to be named");
    assert_eq!(
        limited.command(&["stop", "add", "--client", "a", "--customer", "b"]).code,
        Some(2),
        "one at a time"
    );
    assert_eq!(limited.command(&["stop", "add", "--client", " "]).code, Some(1));
    assert_eq!(limited.command(&["report", "requests", "--since", "yesterday"]).code, Some(2));
    assert!(ok(&limited.command(&["report", "requests"])).contains("Nothing since"));
    let nowhere = command(&["stop", "list", "--data-dir", "no-such-directory"]);
    assert!(nowhere.code == Some(1) && nowhere.err.contains("no data directory"), "{}", nowhere.err);
}
