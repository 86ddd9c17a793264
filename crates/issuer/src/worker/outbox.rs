//! Delivers callbacks from the outbox: in order per request, again after failures, given up after a configured age.
//!
//! A claim in the database keeps replicas apart; after a crash the claim runs out and the callback is sent again
//! (at least once). An endpoint that is down, slow, redirecting or huge costs others nothing: calls in flight are
//! limited in all and per host. Must not decide what callbacks say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::audit::{Event, EventKind, Subject};
use domain::Timestamp;
use store::{CallbackFinished, DueCallback, Write};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::Issuer;
use crate::sealed::{self, Kind, Message, SealError};

/// Calls in flight.
const IN_FLIGHT: usize = 256;

/// Calls in flight to one host: a slow one must leave room for the others.
const PER_HOST: usize = 32;

/// How long a claim holds, in milliseconds: longer than a call can take.
const CLAIM_MS: i64 = 60_000;

/// The longest sleep: callbacks of other processes and retries are found after it.
const POLL: Duration = Duration::from_secs(1);

/// First pause after a failure, in milliseconds; doubled with every further one.
const FIRST_PAUSE_MS: i64 = 1_000;

/// Longest pause, in milliseconds.
const LAST_PAUSE_MS: i64 = 120_000;

/// Pause when a host has too many calls in flight already, in milliseconds.
const CROWDED_PAUSE_MS: i64 = 1_000;

/// How a call ended.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Delivered,
    /// Try again, at the earliest after this many milliseconds.
    Again { after_ms: i64, why: String },
    /// Trying again cannot help.
    Refused { why: String },
}

/// Delivers until `stop`, then finishes the calls in flight.
pub async fn run(issuer: Arc<Issuer>, stop: CancellationToken) {
    let hosts = Arc::new(Hosts::default());
    let mut calls = JoinSet::new();
    while !stop.is_cancelled() {
        while calls.try_join_next().is_some() {}
        let free = IN_FLIGHT.saturating_sub(calls.len());
        let due = claim(&issuer, free).await;
        let nothing = due.is_empty();
        for callback in due {
            calls.spawn(deliver(Arc::clone(&issuer), Arc::clone(&hosts), callback));
        }
        if nothing {
            tokio::select! {
                () = issuer.callbacks.notified() => {}
                () = tokio::time::sleep(POLL) => {}
                () = stop.cancelled() => {}
            }
        }
    }
    while calls.join_next().await.is_some() {}
}

async fn claim(issuer: &Issuer, free: usize) -> Vec<DueCallback> {
    if free == 0 {
        return Vec::new();
    }
    // A read first: it costs no commit when nothing is due.
    match issuer.store.next_callback_at().await {
        Ok(Some(at)) if at <= issuer.clock.now() => {}
        Ok(_) => return Vec::new(),
        Err(error) => {
            tracing::warn!(%error, "the outbox cannot be read");
            return Vec::new();
        }
    }
    let limit = i64::try_from(free).unwrap_or(i64::MAX);
    issuer.store.claim_callbacks(CLAIM_MS, limit).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "callbacks cannot be claimed");
        Vec::new()
    })
}

async fn deliver(issuer: Arc<Issuer>, hosts: Arc<Hosts>, callback: DueCallback) {
    let verdict = match open(&issuer, &callback) {
        Ok((url, message)) => match hosts.enter(&url) {
            Some(_place) => send(&issuer, &url, message).await,
            None => Verdict::Again {
                after_ms: CROWDED_PAUSE_MS,
                why: "too many calls to this host are in flight".to_owned(),
            },
        },
        Err(error) => Verdict::Refused { why: error.to_string() },
    };
    let now = issuer.clock.now();
    let finished = finish(&issuer, &callback, verdict, now);
    if let Some(why) = &finished.error {
        tracing::info!(
            transaction_id = %callback.transaction,
            status = callback.status,
            attempt = callback.attempt,
            ended = finished.ended.is_some(),
            why,
            "a callback was not delivered"
        );
    }
    if let Err(error) = issuer.committer().submit(Write::Callback(Box::new(finished))).await {
        // The claim runs out and the callback is sent once more.
        tracing::warn!(transaction_id = %callback.transaction, %error, "a callback's outcome was not recorded");
    }
    // The next one of this request may be due now.
    issuer.callbacks.notify_one();
}

fn open(issuer: &Issuer, callback: &DueCallback) -> Result<(Url, Message), SealError> {
    let row = callback.request.to_string();
    let message: Message =
        sealed::open(&issuer.keyring, callback.tenant, Kind::Message, &row, &callback.payload)?;
    let url = Url::parse(&message.url)
        .map_err(|_source| SealError::Store(store::StoreError::Corrupt("outbox.payload")))?;
    Ok((url, message))
}

async fn send(issuer: &Issuer, url: &Url, message: Message) -> Verdict {
    let headers: Vec<(&str, &str)> =
        message.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    match issuer.egress.post(url, &headers, message.body.into_bytes(), "application/json").await {
        Ok(answer) => {
            let after_ms = answer.retry_after.map_or(0, |after| i64::try_from(after.as_millis()).unwrap_or(0));
            judge(answer.status, after_ms)
        }
        Err(error) if error.is_permanent() => Verdict::Refused { why: error.to_string() },
        Err(error) => Verdict::Again { after_ms: 0, why: error.to_string() },
    }
}

/// Success is 2xx; 429 and 5xx are tried again; anything else will not change by itself.
fn judge(status: u16, after_ms: i64) -> Verdict {
    let why = format!("the endpoint answered {status}");
    match status {
        200..=299 => Verdict::Delivered,
        408 | 425 | 429 | 500..=599 => Verdict::Again { after_ms, why },
        _ => Verdict::Refused { why },
    }
}

fn finish(issuer: &Issuer, callback: &DueCallback, verdict: Verdict, now: Timestamp) -> CallbackFinished {
    let give_up_at = callback.created_at.plus_seconds(issuer.settings.callback_max_age_secs);
    let (ended, retry_at, error) = match verdict {
        Verdict::Delivered => (Some("delivered"), now, None),
        Verdict::Refused { why } => (Some("abandoned"), now, Some(why)),
        Verdict::Again { after_ms, why } => {
            let retry_at = now.plus_millis(pause_ms(callback.attempt, getrandom::u32().unwrap_or(0)).max(after_ms));
            if retry_at > give_up_at {
                (Some("abandoned"), now, Some(why))
            } else {
                (None, retry_at, Some(why))
            }
        }
    };
    let event = ended.map(|ended| {
        let kind = if ended == "delivered" { EventKind::CallbackDelivered } else { EventKind::CallbackAbandoned };
        let subject = Subject {
            tenant: callback.tenant,
            transaction: callback.transaction,
            authority: None,
            contract: None,
            client: None,
            customer: None,
        };
        let event = Event::new(&subject, kind, now)
            .with("attempt", callback.attempt)
            .with("callback", callback.status.as_str());
        match &error {
            Some(why) => event.with("reason", why.as_str()),
            None => event,
        }
    });
    CallbackFinished {
        tenant: callback.tenant,
        request: callback.request,
        seq: callback.seq,
        at: now,
        ended,
        retry_at,
        error,
        event,
    }
}

/// Exponential from one second, with jitter between a half and the whole of it.
fn pause_ms(attempt: i64, random: u32) -> i64 {
    let doublings = u32::try_from(attempt.saturating_sub(1).clamp(0, 16)).unwrap_or(16);
    let whole = FIRST_PAUSE_MS.saturating_mul(1_i64 << doublings).min(LAST_PAUSE_MS);
    let half = whole / 2;
    half + i64::from(random) % (half + 1)
}

/// Calls in flight by host.
#[derive(Default)]
struct Hosts(Mutex<HashMap<String, usize>>);

/// A place among the calls to a host; given back when it is dropped.
struct Place {
    hosts: Arc<Hosts>,
    host: String,
}

impl Hosts {
    fn enter(self: &Arc<Self>, url: &Url) -> Option<Place> {
        let host = format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(0));
        let mut in_flight = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = in_flight.entry(host.clone()).or_default();
        if *count >= PER_HOST {
            return None;
        }
        *count += 1;
        Some(Place { hosts: Arc::clone(self), host })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut in_flight = self.hosts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = in_flight.get_mut(&self.host) {
            *count -= 1;
            if *count == 0 {
                in_flight.remove(&self.host);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_one_second_with_jitter() {
        for (attempt, whole) in [(1, 1_000), (2, 2_000), (5, 16_000), (40, LAST_PAUSE_MS)] {
            for random in [0, 1, u32::MAX / 2, u32::MAX] {
                let pause = pause_ms(attempt, random);
                assert!(pause >= whole / 2 && pause <= whole, "{attempt}: {pause}");
            }
        }
    }

    #[test]
    fn only_what_may_change_is_tried_again() {
        assert_eq!(judge(204, 0), Verdict::Delivered);
        for status in [429, 500, 503] {
            assert!(matches!(judge(status, 7), Verdict::Again { after_ms: 7, .. }), "{status}");
        }
        for status in [301, 307, 400, 401, 404, 410] {
            assert!(matches!(judge(status, 0), Verdict::Refused { .. }), "{status}");
        }
    }

    #[test]
    fn a_host_has_a_limited_number_of_places() {
        let hosts = Arc::new(Hosts::default());
        let url = Url::parse("https://slow.example/cb").unwrap();
        let mut places: Vec<_> = (0..PER_HOST).map(|_| hosts.enter(&url).unwrap()).collect();
        assert!(hosts.enter(&url).is_none());
        assert!(hosts.enter(&Url::parse("https://other.example/cb").unwrap()).is_some());
        places.pop();
        assert!(hosts.enter(&url).is_some());
    }
}
