//! Once a minute, how much of each vault's limit is used: a line in the log for operators.
//!
//! Owns when such a line is worth writing. Must not ask the database: what the last transactions saw is enough.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::Issuer;
use crate::signing::budget::MeterStatus;

const EVERY: Duration = Duration::from_secs(60);

/// Runs until `stop`. Says nothing of a vault of which nothing is used.
pub async fn run(issuer: Arc<Issuer>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => return,
        }
        issuer.signing.budget().status().iter().filter(|status| is_in_use(status)).for_each(say);
    }
}

/// Whether slots are out or somebody waits for one: slots return by themselves, so a quiet vault soon holds none.
fn is_in_use(status: &MeterStatus) -> bool {
    status.signatures.as_ref().is_some_and(|of| of.held > 0.0 || of.waiting > 0.0)
}

fn say(status: &MeterStatus) {
    let Some(signatures) = &status.signatures else { return };
    tracing::info!(
        meter = %status.meter,
        limit = signatures.limit,
        effective = signatures.effective,
        held = signatures.held,
        waiting = signatures.waiting,
        signatures_per_request = signatures.m,
        requests_refused = status.refused,
        slow_readings = status.slow_readings,
        "the vault's limit"
    );
}

#[cfg(test)]
mod tests {
    use signer::budget::Snapshot;

    use super::*;

    fn status(held: f64, waiting: f64) -> MeterStatus {
        let signatures = Snapshot {
            limit: 2000.0,
            effective: 2000.0,
            held,
            free: 2000.0 - held,
            waiting,
            m: 2.0,
            at: 0,
            paused_until: 0,
            lost_ms: 0,
        };
        MeterStatus {
            meter: "vault:v1".to_owned(),
            signatures: Some(signatures),
            refused: 0,
            slow_readings: 0,
            unreadable: 0,
        }
    }

    #[test]
    fn only_a_vault_in_use_is_worth_a_line() {
        assert!(!is_in_use(&status(0.0, 0.0)));
        assert!(is_in_use(&status(1.0, 0.0)), "a slot is out");
        assert!(is_in_use(&status(0.0, 1.0)), "somebody waits");
        assert!(!is_in_use(&MeterStatus { signatures: None, ..status(1.0, 1.0) }), "never used");
    }
}
