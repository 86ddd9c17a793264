//! Faults on the way to a signature: the access token and the endpoint that it comes from.

use std::time::Duration;

use vault_sim::{FaultKind, FaultSpec};

use super::bench::Bench;

/// A token that is refused at once is not replaced, because another one would not help: let it grow old enough.
const NEW: Duration = Duration::from_millis(2_200);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_token_is_replaced_unseen() {
    let bench = Bench::serve_with_tokens().await;
    bench.issue().await;
    for claims in [false, true] {
        tokio::time::sleep(NEW).await;
        let expired = FaultSpec::new(FaultKind::TokenExpired { claims }).on("KeySign").times(1);
        bench.simulator.sim.set_fault(expired);
        bench.issue().await;
    }
    let record = bench.reconcile().await;
    assert_eq!(record.ended("unauthenticated"), 2, "each was an attempt of its own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_expire_all_the_time() {
    let bench = Bench::serve_with_tokens().await;
    let record = bench.weather(FaultKind::TokenExpired { claims: false }).await;
    assert!(record.ended("unauthenticated") >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_endpoint_that_fails() {
    let bench = Bench::serve_with_tokens().await;
    bench.issue().await;
    let waiting = bench.scan().await;
    tokio::time::sleep(NEW).await;
    // The token at hand ends, and there is no other one.
    bench.simulator.sim.set_fault(FaultSpec::new(FaultKind::TokenEndpoint(503)));
    bench.break_signing(FaultKind::TokenExpired { claims: false });
    let refused = bench.assert_refused_meanwhile(&waiting).await;
    let mended = bench.mend();
    let record = bench.recover(mended, &waiting, refused).await;
    assert!(record.ended("no_token") >= 1);
}
