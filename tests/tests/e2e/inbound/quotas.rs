//! Quotas by client, customer and request: who is refused, who is not, and what stays on record.

use std::time::Duration;

use credenza_tests::process::{Credenza, Options};
use futures_util::StreamExt as _;
use serde_json::json;

use super::fixture::{Limited, assert_limited, transaction};
use crate::issuance::errors::assert_error;
use crate::issuance::fixture::{CREATE, Service, send};

#[tokio::test]
async fn a_client_that_floods_is_refused_and_another_is_not() {
    let limited = Limited::start("client = { per_minute = 6, burst = 5 }").await;
    let mut first_refused = None;
    for n in 0..25 {
        let answer = limited.service.create(&limited.service.employee()).await;
        if n < 5 {
            assert_eq!(answer.status, 201, "{n}: {}", answer.text());
            continue;
        }
        let wait = assert_limited(&answer, "this client");
        assert!((1..=10).contains(&wait), "{wait}");
        let transaction = transaction(&answer);
        first_refused.get_or_insert(transaction);
    }
    for _ in 0..5 {
        let answer = limited.create_as_demo().await;
        assert_eq!(answer.status, 201, "the demo page is another client: {}", answer.text());
    }
    assert_eq!(limited.service.count("SELECT count(*) FROM request"), 10);
    let rows = limited.refusals("limited", 20).await;
    assert!(rows.len() <= 5, "one a second: {rows:#?}");
    assert_eq!(rows[0]["transaction"], json!(first_refused));
    assert!(rows.iter().all(|row| row["details"]["by"] == "client" && row["client"].is_string()));
    // The report names who it was.
    let client = rows[0]["client"].as_str().unwrap().to_owned();
    let report = limited.command(&["report", "requests", "--since", "10m", "--json"]);
    assert_eq!(report.code, Some(0), "{}", report.err);
    let report: serde_json::Value = serde_json::from_str(&report.out).unwrap();
    assert_eq!(report["lines"][0]["source"], json!(client));
    assert_eq!(
        (report["lines"][0]["created"].as_i64(), report["lines"][0]["refused"].as_i64()),
        (Some(5), Some(20))
    );
    assert_eq!(report["lines"][1]["source"], "demo-page");
    let table = limited.command(&["report", "refusals"]).out;
    assert!(
        table.contains(&client) && table.contains("limited by client") && table.contains("20"),
        "{table}"
    );
    let by_contract = limited.command(&["report", "requests", "--by", "contract"]).out;
    assert!(by_contract.contains("VerifiedEmployee ("), "{by_contract}");
    let wrong = limited.command(&["report", "requests", "--by", "address"]);
    assert!(wrong.code == Some(1) && wrong.err.contains("report refusals --by address"), "{}", wrong.err);
}

#[tokio::test]
async fn whoever_waits_as_told_passes() {
    let limited = Limited::start("client = { per_minute = 30, burst = 1 }").await;
    assert_eq!(limited.service.create(&limited.service.employee()).await.status, 201);
    for _ in 0..2 {
        let refused = limited.service.create(&limited.service.employee()).await;
        let wait = assert_limited(&refused, "this client");
        assert!((1..=2).contains(&wait), "{wait}");
        tokio::time::sleep(Duration::from_secs(wait)).await;
        let answer = limited.service.create(&limited.service.employee()).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
}

#[tokio::test]
async fn a_customers_flood_leaves_the_clients_other_customers_alone() {
    let limited =
        Limited::start("customer = { per_minute = 1, burst = 3 }\nclient = { per_minute = 1, burst = 8 }")
            .await;
    for n in 0..30 {
        let answer = limited.create_for("Fabrikam").await;
        if n < 3 {
            assert_eq!(answer.status, 201, "{}", answer.text());
        } else {
            assert_limited(&answer, "this customer");
        }
    }
    for _ in 0..3 {
        assert_eq!(limited.create_for("Contoso").await.status, 201);
    }
    assert_eq!(limited.service.create(&limited.service.employee()).await.status, 201);
    let rows = limited.refusals("limited", 27).await;
    assert!(rows.iter().all(|row| row["customer"] == "Fabrikam" && row["details"]["by"] == "customer"));
    let report = limited.command(&["report", "requests", "--by", "customer"]).out;
    let loudest = report.lines().nth(2).unwrap();
    assert!(loudest.contains("/ Fabrikam") && loudest.contains("27"), "{report}");
}

#[tokio::test]
async fn broken_bodies_count_too() {
    let limited = Limited::start("client = { per_minute = 1, burst = 2 }").await;
    let bad = || async {
        let call = limited.service.client.post(limited.service.http().to_owned() + CREATE);
        send(call.bearer_auth(&limited.service.token).header("content-type", "application/json").body("{"))
            .await
    };
    for _ in 0..2 {
        assert_error(&bad().await, 400, "badOrMissingField", None);
    }
    for _ in 0..10 {
        assert_limited(&bad().await, "this client");
    }
    limited.refusals("limited", 10).await;
}

#[tokio::test]
async fn a_request_is_asked_for_only_so_often_and_its_neighbours_are_not_hurt() {
    let limited = Limited::start("request = { per_minute = 1, burst = 3 }").await;
    let service = &limited.service;
    let created = service.created(&service.employee()).await;
    let address =
        |id: &str| format!("/v1.0/tenants/{}/verifiableCredentials/issuanceRequests/{id}", service.tenant());
    for _ in 0..3 {
        assert_eq!(service.get(&address(&created.id)).await.status, 200);
    }
    for _ in 0..4 {
        assert_limited(&service.get(&address(&created.id)).await, "this issuance request");
    }
    let manifest = format!("{}?request={}", service.manifest(crate::issuance::fixture::EMPLOYEE), created.id);
    assert_limited(&service.get(&manifest).await, "this issuance request");
    let other = service.created(&service.employee()).await;
    assert_eq!(service.get(&address(&other.id)).await.status, 200);
    let rows = limited.refusals("limited", 5).await;
    assert_eq!(rows[0]["details"]["request"], json!(created.id));
}

#[tokio::test]
async fn development_has_no_limits() {
    let credenza = Credenza::start(Options::default()).await;
    let service = Service::of(&credenza).await;
    // More than any default quota allows at once from one address, and of one request.
    let address = service.address("/.well-known/did.json");
    let answers: Vec<u16> = futures_util::stream::iter(0..1_400)
        .map(|_| async { send(service.client.get(&address)).await.status })
        .buffer_unordered(16)
        .collect()
        .await;
    assert!(answers.iter().all(|status| *status == 200));
    let created = service.created(&service.employee()).await;
    let object =
        format!("/v1.0/tenants/{}/verifiableCredentials/issuanceRequests/{}", service.tenant(), created.id);
    for _ in 0..40 {
        assert_eq!(service.get(&object).await.status, 200);
    }
}
