//! Faults in which no whole answer comes: nobody knows then what the vault has done.

use std::time::Duration;

use vault_sim::FaultKind;

use super::bench::Bench;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_before_anything_was_done() {
    let bench = Bench::dev().await;
    let record = bench.weather(FaultKind::ResetBefore).await;
    assert!(record.ended("unavailable") >= 2);
    // They are on the record, and the vault never saw them.
    let lost = bench.asked().iter().filter(|arrival| arrival.status == 0).count();
    assert_eq!(record.ended("unavailable"), lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_after_the_signature() {
    let bench = Bench::dev().await;
    let record = bench.weather(FaultKind::ResetAfter).await;
    assert!(record.ended("unavailable") >= 2);
    // Each of them was signed, and nobody has the signature.
    let signed = bench.asked().iter().filter(|arrival| arrival.status == 200).count();
    assert_eq!(record.ended("unavailable") + record.ended("signed"), signed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_body() {
    let bench = Bench::dev().await;
    let record = bench.weather(FaultKind::TruncatedBody).await;
    assert!(record.ended("unavailable") >= 2);
}

/// Ten seconds are more than a wallet waits: it hears before that, and an attempt ends after three. Also where the head of the
/// answer comes in time and its body does not. At once, because both take long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_seconds_too_late() {
    let late = async |fault| {
        let bench = Bench::dev().await;
        bench.weather(fault).await.ended("timed_out")
    };
    let (head, body) = tokio::join!(
        late(FaultKind::Delay(Duration::from_secs(10))),
        late(FaultKind::SlowBody(Duration::from_secs(20))),
    );
    assert!(head >= 2 && body >= 2, "{head} and {body}");
}
