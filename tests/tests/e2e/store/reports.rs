//! What wallets report, and wrong PINs.

use domain::request::RequestState;
use store::{Write, Written};

use super::fixture::Fixture;
use super::on_both;
use super::rows::{Ids, LIFE};

on_both!(
    a_stored_credential_ends_its_request,
    nothing_is_completed_that_was_not_issued,
    a_report_may_come_after_the_end,
    failures_are_news_up_to_a_limit,
    a_failure_after_the_end_is_no_news,
    a_success_may_follow_a_failure,
    wrong_pins_are_counted_and_the_last_one_ends_the_request,
    a_wrong_pin_counts_only_while_the_request_is_retrieved,
    callbacks_are_numbered_in_their_order,
);

fn complete(f: &Fixture, ids: Ids) -> Write {
    Write::Complete(Box::new(f.report(ids, "issuance_successful", 1)))
}

async fn a_stored_credential_ends_its_request(f: Fixture) {
    let ids = f.issued().await;
    assert_eq!(f.write(complete(&f, ids)).await, Written::Done);
    let stored = f.stored(ids).await;
    assert_eq!(stored.state, RequestState::Completed);
    assert_eq!((stored.payload, stored.callback, stored.credential), (None, None, None));
    assert_eq!((stored.object, stored.pin_hash), (None, None));
    assert_eq!(f.callbacks(ids), "1|request_retrieved|pending|0\n2|issuance_successful|pending|0");
    assert_eq!(f.trail(ids).await.last().unwrap(), "wallet_reported");
    let before = f.trail(ids).await.len();
    assert_eq!(f.write(complete(&f, ids)).await, Written::Lost, "a repeated report");
    assert_eq!((f.trail(ids).await.len(), f.callbacks(ids).lines().count()), (before, 2));
}

async fn nothing_is_completed_that_was_not_issued(f: Fixture) {
    for ids in [f.created().await, f.retrieved().await, Ids::fresh()] {
        assert_eq!(f.write(complete(&f, ids)).await, Written::Lost);
    }
    let ids = f.retrieved().await;
    f.pass(LIFE);
    f.store.sweep(0, LIFE, 100, f.now()).await.unwrap();
    assert_eq!(f.stored(ids).await.state, RequestState::Expired);
    assert_eq!(f.write(complete(&f, ids)).await, Written::Lost, "it expired without a credential");
}

async fn a_report_may_come_after_the_end(f: Fixture) {
    let ids = f.issued().await;
    f.pass(LIFE);
    f.store.sweep(0, LIFE, 100, f.now()).await.unwrap();
    assert_eq!(f.stored(ids).await.state, RequestState::Expired);
    assert_eq!(f.write(complete(&f, ids)).await, Written::Done);
    let stored = f.stored(ids).await;
    assert_eq!((stored.state, stored.callback), (RequestState::Completed, None));
    assert_eq!(f.callbacks(ids).lines().last().unwrap(), "2|issuance_successful|pending|0");
}

async fn failures_are_news_up_to_a_limit(f: Fixture) {
    let ids = f.retrieved().await;
    for expected in [Written::Done, Written::Done, Written::Lost, Written::Lost] {
        let report = Write::WalletFailed(Box::new(f.report(ids, "issuance_error", 2)));
        assert_eq!(f.write(report).await, expected);
    }
    assert_eq!(f.callbacks(ids).lines().count(), 3);
    assert_eq!(f.stored(ids).await.state, RequestState::Retrieved, "a failure is never final");
    let reported = f.trail(ids).await.into_iter().filter(|kind| kind == "wallet_reported").count();
    assert_eq!(reported, 2);
}

async fn a_failure_after_the_end_is_no_news(f: Fixture) {
    let ids = f.issued().await;
    f.write(complete(&f, ids)).await;
    for ids in [ids, Ids::fresh()] {
        let report = Write::WalletFailed(Box::new(f.report(ids, "issuance_error", 2)));
        assert_eq!(f.write(report).await, Written::Lost);
    }
}

async fn a_success_may_follow_a_failure(f: Fixture) {
    let ids = f.issued().await;
    f.write(Write::WalletFailed(Box::new(f.report(ids, "issuance_error", 2)))).await;
    assert_eq!(f.write(complete(&f, ids)).await, Written::Done);
}

async fn wrong_pins_are_counted_and_the_last_one_ends_the_request(f: Fixture) {
    let ids = f.retrieved().await;
    let wrong = || Write::PinFailed(Box::new(f.report(ids, "issuance_error", 3)));
    for failures in 1..3 {
        assert_eq!(f.write(wrong()).await, Written::PinCounted { failures, ended: false });
    }
    assert_eq!(f.stored(ids).await.pin_failures, 2);
    assert_eq!(f.stored(ids).await.payload.as_deref(), Some("sealed claims"));
    assert_eq!(f.callbacks(ids).lines().count(), 1, "only the last one is news");
    assert_eq!(f.write(wrong()).await, Written::PinCounted { failures: 3, ended: true });
    let stored = f.stored(ids).await;
    assert_eq!((stored.state, stored.pin_failures), (RequestState::Failed, 3));
    assert_eq!((stored.payload, stored.object, stored.callback, stored.pin_hash), (None, None, None, None));
    assert_eq!(f.callbacks(ids).lines().last().unwrap(), "2|issuance_error|pending|0");
    assert_eq!(
        f.sql(&format!("SELECT ended_at FROM request WHERE id = '{}'", ids.request)),
        f.now().millis().to_string()
    );
    let trail = f.store.trail(super::rows::tenant(), ids.transaction).await.unwrap();
    let [.., second, third, ended] = trail.as_slice() else { panic!("{trail:?}") };
    assert!(second.body.contains("\"failures\":2"), "{}", second.body);
    assert!(third.body.contains("\"failures\":3"), "{}", third.body);
    assert_eq!(ended.kind, "request_failed");
    assert_eq!(f.write(wrong()).await, Written::Lost);
}

async fn a_wrong_pin_counts_only_while_the_request_is_retrieved(f: Fixture) {
    for ids in [f.created().await, f.issued().await, Ids::fresh()] {
        let wrong = Write::PinFailed(Box::new(f.report(ids, "issuance_error", 3)));
        assert_eq!(f.write(wrong).await, Written::Lost);
    }
}

async fn callbacks_are_numbered_in_their_order(f: Fixture) {
    let ids = f.issued().await;
    f.write(Write::WalletFailed(Box::new(f.report(ids, "issuance_error", 9)))).await;
    let mut silent = f.report(ids, "issuance_error", 9);
    silent.callback = None;
    assert_eq!(f.write(Write::WalletFailed(Box::new(silent))).await, Written::Done);
    f.write(complete(&f, ids)).await;
    let pending = |seq: i64, status: &str| format!("{seq}|{status}|pending|0");
    let expected =
        [pending(1, "request_retrieved"), pending(2, "issuance_error"), pending(3, "issuance_successful")];
    assert_eq!(f.callbacks(ids), expected.join("\n"));
}
