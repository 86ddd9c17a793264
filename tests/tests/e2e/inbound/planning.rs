//! `credenza plan` as a program, and that what it says of the database is what an issuance leaves behind.

use std::time::{Duration, Instant};

use credenza_tests::callbacks::Sink;
use credenza_tests::process::{Credenza, Options};
use serde_json::{Value, json};

use super::fixture::command;
use crate::issuance::fixture::Service;
use crate::issuance::flow::{Flow, holder};

const ISSUANCES: i64 = 5;

fn figure(name: &str) -> i64 {
    let said = command(&["plan", "--credentials", "1", "--within", "1d", "--scan-share", "1", "--json"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let plan: Value = serde_json::from_str(&said.out).unwrap();
    plan["figures"][name]["value"].as_i64().unwrap()
}

#[test]
fn it_prints_a_table_and_refuses_nonsense() {
    let said = command(&["plan", "--credentials", "1000000", "--within", "8h"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    for part in
        ["1,000,000 credentials within 8h", "2h51m", "3.8 GB", "date unknown", "Keys in the DID document"]
    {
        assert!(said.out.contains(part), "{part} in\n{}", said.out);
    }
    assert!(command(&["plan", "--credentials", "5", "--within", "1y"]).err.contains("numbers with units"));
    assert_eq!(command(&["plan", "--within", "1d"]).code, Some(2));
}

/// Rows of everything that grows with issuances.
fn rows(service: &Service) -> i64 {
    ["request", "intent", "attempt", "issuance", "proof_jti", "outbox", "event"]
        .iter()
        .map(|table| service.count(&format!("SELECT count(*) FROM {table}")))
        .sum()
}

#[tokio::test]
async fn an_issuance_leaves_as_many_rows_as_the_plan_says() {
    let credenza = Credenza::start(Options::default()).await;
    let service = Service::of(&credenza).await;
    let sink = Sink::start().await;
    let before = rows(&service);
    for _ in 0..ISSUANCES {
        let mut body = service.employee();
        body["callback"] = json!({"url": sink.url("/news"), "state": "s"});
        let flow = Flow::start(&service, &body).await;
        flow.receive(&holder()).await;
        assert_eq!(flow.complete().await.status, 202);
    }
    let expected = figure("rows") * ISSUANCES;
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let found = rows(&service) - before;
        if found == expected {
            break;
        }
        assert!(
            Instant::now() < until,
            "{found} rows instead of {expected}: measure again and change the plan"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
