//! Ends what is over: requests whose time ran out, attempts that nobody will ever answer. Reads the directory again,
//! so that a contract applied by another process is served, and signs what a crash left unsigned.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::Issuer;

/// Between two sweeps.
const INTERVAL: Duration = Duration::from_secs(5);

/// After a request's or an attempt's end, in milliseconds. Longer than any attempt, so that what was begun in time is
/// finished in time.
const GRACE_MS: i64 = 10_000;

/// How long after a request's end its wallet may still report, in milliseconds.
const KEEP_CALLBACK_MS: i64 = 86_400_000;

/// Rows of a kind per sweep, so that no transaction holds the others up for long.
const LIMIT: u16 = 500;

/// Sweeps until `stop`.
pub async fn run(issuer: Arc<Issuer>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        while !stop.is_cancelled() && sweep(&issuer).await {}
        if let Err(error) = issuer.reload().await {
            tracing::warn!(%error, "the directory could not be read again, the old one stays in use");
        }
        // Cut off at the end of the process: what it leaves open, the next start finishes.
        tokio::select! {
            finished = issuer.finish_documents() => if let Err(error) = finished {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "documents are not signed yet, it is tried again");
            },
            () = stop.cancelled() => return,
        }
    }
}

/// Sweeps once; says whether there may be more.
async fn sweep(issuer: &Issuer) -> bool {
    match issuer.store.sweep(GRACE_MS, KEEP_CALLBACK_MS, i64::from(LIMIT), issuer.clock.now()).await {
        Ok(swept) => {
            if swept.expired + swept.orphaned > 0 {
                tracing::debug!(expired = swept.expired, orphaned = swept.orphaned, "swept");
            }
            swept.expired.max(swept.orphaned) >= usize::from(LIMIT)
        }
        Err(error) => {
            tracing::warn!(%error, "the sweep failed, it is repeated");
            false
        }
    }
}
