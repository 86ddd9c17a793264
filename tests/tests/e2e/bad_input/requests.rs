//! Requests under attack: many bad answers must not hurt the good one, and nothing is left half done.

use futures_util::future::join_all;
use serde_json::json;

use crate::issuance::fixture::{SOON, Service};
use crate::issuance::flow::{Flow, holder};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_answer_gets_through_a_hail_of_bad_ones() {
    let service = Service::shared();
    let flow = Flow::start(&service, &service.employee()).await;
    let (good, bad) = (holder(), holder());
    let hail = async {
        let proofs = (0..60).map(|number| match number % 4 {
            0 => flow.altered(&bad, json!({"aud": "https://other.example"})),
            1 => flow.altered(&bad, json!({"exp": 1})),
            2 => flow.altered(&bad, json!({"attestations": {}})),
            _ => "x".repeat(number * 1000),
        });
        join_all(proofs.map(|proof| flow.send(proof))).await
    };
    let begun = std::time::Instant::now();
    let (answers, received) = tokio::join!(hail, flow.receive(&good));
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert!(answers.iter().all(|answer| answer.status == 400), "{answers:#?}");
    assert_eq!(received.credential.holder, good.did());
    // Enough of it is in the ledger to be seen, and not so much that anonymous calls could fill it.
    let trail = service.trail_when(&flow.created.id, |trail| trail.refusals().len() >= 15).await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert!(service.trail(&flow.created.id).await.refusals().len() <= 20);
    assert_eq!((trail.intents("credential"), trail.state.as_str()), (1, "issued"));
}

#[tokio::test]
async fn no_error_leaves_a_row_that_is_half_done() {
    let service = Service::shared();
    let flow = Flow::start(&service, &service.employee()).await;
    let holder = holder();
    for change in [json!({"aud": "x"}), json!({"attestations": {}}), json!({"jti": ""})] {
        assert_eq!(flow.send(flow.altered(&holder, change)).await.status, 400);
    }
    let id = &flow.created.id;
    for (table, condition) in [
        ("intent", "purpose = 'credential'"),
        ("issuance", "1 = 1"),
        ("proof_jti", "1 = 1"),
        ("outbox", "1 = 1"),
    ] {
        let statement = format!("SELECT count(*) FROM {table} WHERE request = '{id}' AND {condition}");
        assert_eq!(service.count(&statement), 0, "{table}");
    }
    let untouched = format!(
        "SELECT count(*) FROM request WHERE id = '{id}' AND state = 'retrieved' AND holder IS NULL AND pin_failures = 0"
    );
    assert_eq!(service.count(&untouched), 1);
    flow.receive(&holder).await;
}
