//! Faults in which the vault answers, and the answer is a refusal or no good.

use std::collections::HashMap;
use std::time::Duration;

use credenza_tests::reconciliation::Reconciliation;
use vault_sim::{FaultKind, ForbiddenCode};

use super::bench::Bench;

/// A fault from beginning to end; afterwards the ledger calls what happened by this word.
async fn weather(fault: FaultKind, outcome: &str) -> Reconciliation {
    let bench = Bench::dev().await;
    let record = bench.weather(fault).await;
    assert!(record.ended(outcome) >= 2, "{fault:?}: {outcome}");
    assert_eq!(record.open(), 0);
    record
}

/// Both with and without `Retry-After`; at once, because their pauses are long. The vault's word is kept; without one a second
/// passes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttled() {
    let shortest_pause = async |seconds| {
        let bench = Bench::dev().await;
        let record = bench.weather(FaultKind::Throttled(seconds)).await;
        assert!(record.ended("throttled") >= 4, "nobody tried again");
        let mut last: HashMap<String, f64> = HashMap::new();
        let mut shortest = f64::INFINITY;
        for arrival in bench.asked().into_iter().filter(|arrival| arrival.status == 429) {
            let name = arrival.token.expect("a name");
            let (intent, _) = name.split_once('.').expect("an intent");
            if let Some(before) = last.insert(intent.to_owned(), arrival.ms) {
                shortest = shortest.min(arrival.ms - before);
            }
        }
        shortest
    };
    let (told, untold) = tokio::join!(shortest_pause(Some(2)), shortest_pause(None));
    assert!(told >= 2_000.0 && told.is_finite(), "{told} ms");
    assert!(untold >= 1_000.0 && untold.is_finite(), "{untold} ms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_internal_error() {
    weather(FaultKind::InternalError, "unavailable").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unavailable() {
    weather(FaultKind::Unavailable(None), "unavailable").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forbidden_for_a_while() {
    let record = weather(FaultKind::Forbidden(ForbiddenCode::ForbiddenByRbac), "forbidden").await;
    // Asking again does not help, so each call has asked once.
    assert_eq!(record.ended("forbidden"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_key() {
    let record = weather(FaultKind::DisabledKey, "key_disabled").await;
    assert_eq!(record.ended("key_disabled"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_key() {
    let record = weather(FaultKind::DeletedKey, "key_not_found").await;
    assert_eq!(record.ended("key_not_found"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_that_is_not_base64url() {
    weather(FaultKind::BadBase64, "bad_response").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_by_another_key() {
    weather(FaultKind::OtherKey, "wrong_signature").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_signature() {
    weather(FaultKind::WrongSignature, "wrong_signature").await;
}

/// What does not concern signing does not stop it: a vault may have another time than we.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_off() {
    let bench = Bench::dev().await;
    let hour = i64::try_from(Duration::from_secs(3_600).as_millis()).expect("in range");
    for skew in [hour, -hour] {
        bench.break_signing(FaultKind::ClockSkew(skew));
        bench.issue().await;
        bench.mend();
    }
    bench.issue().await;
    let record = bench.reconcile().await;
    assert_eq!(record.ended("signed"), record.seen(), "nothing had to be repeated");
}
