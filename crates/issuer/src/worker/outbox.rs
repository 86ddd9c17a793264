//! Delivers callbacks from the outbox: in order per request, again after failures, given up after a configured age.
//!
//! A claim in the database keeps replicas apart; after a crash the claim runs out and the callback is sent again
//! (at least once). An endpoint that is down, slow, redirecting or huge costs others nothing: places among the calls are
//! limited (`hosts`), and a callback that finds none is given back without counting. Must not decide what
//! callbacks say.

use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use domain::audit::{Event, EventKind};
use store::{CallbackFinished, DueCallback, Write};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::hosts::Hosts;
use crate::Issuer;
use crate::sealed::{self, Kind, Message, SealError};

/// Claims held at a time, those that wait for a place included.
const CLAIMS: usize = 1024;

/// Claims taken in one go, so that a long queue for one host is not carried to and fro in large pieces.
const PER_ROUND: usize = 128;

/// Between the beginnings of two rounds, unless one left something behind. Every round is a transaction of its own, so
/// what falls due meanwhile shares one: under load that saves a third of all commits.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(40);

/// How long a claim holds, in milliseconds: longer than waiting for a place, the call and its commit can take. After a
/// crash its callback comes again no sooner.
const CLAIM_MS: i64 = 20_000;

/// The longest sleep: callbacks of other processes and retries are found after it.
const POLL: Duration = Duration::from_secs(1);

/// First pause after a failure, in milliseconds; doubled with every further one.
const FIRST_PAUSE_MS: i64 = 1_000;

/// Longest pause, in milliseconds, before jitter.
const LAST_PAUSE_MS: i64 = 120_000;

/// How a call ended.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Delivered,
    /// Try again, at the earliest after this many milliseconds.
    Again {
        after_ms: i64,
        why: String,
    },
    /// Trying again cannot help.
    Refused {
        why: String,
    },
    /// Nothing was sent: the claim is given back and does not count.
    NotSent {
        after_ms: i64,
        why: &'static str,
    },
    /// It cannot be opened at present, with a wrong keyring for example. It is kept until it can.
    Unreadable {
        why: String,
    },
}

/// Delivers until `stop`, then finishes the calls in flight.
pub async fn run(issuer: Arc<Issuer>, stop: CancellationToken) {
    let hosts = Hosts::new();
    let mut calls = JoinSet::new();
    while !stop.is_cancelled() {
        let began = Instant::now();
        while calls.try_join_next().is_some() {}
        let free = CLAIMS.saturating_sub(calls.len());
        let due = claim(&issuer, free.min(PER_ROUND)).await;
        let (nothing, all) = (due.is_empty(), due.len() < PER_ROUND);
        for callback in due {
            calls.spawn(deliver(Arc::clone(&issuer), Arc::clone(&hosts), callback, stop.clone()));
        }
        if nothing {
            tokio::select! {
                () = issuer.callbacks.notified() => {}
                () = tokio::time::sleep(POLL) => {}
                () = stop.cancelled() => {}
            }
        }
        if all {
            tokio::select! {
                () = tokio::time::sleep_until(began + BETWEEN_ROUNDS) => {}
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

async fn deliver(issuer: Arc<Issuer>, hosts: Arc<Hosts>, callback: DueCallback, stop: CancellationToken) {
    let verdict = match open(&issuer, &callback) {
        Ok((url, message)) => tokio::select! {
            biased;
            place = hosts.enter(&url) => match place {
                Ok(_place) => send(&issuer, &url, message).await,
                Err(turned_away) => Verdict::NotSent {
                    after_ms: millis(turned_away.pause),
                    why: "too many calls to its host are in flight",
                },
            },
            () = stop.cancelled() => Verdict::NotSent { after_ms: 0, why: "the process is stopping" },
        },
        Err(error) => Verdict::Unreadable { why: error.to_string() },
    };
    let give_up_at = callback.created_at.plus_seconds(issuer.settings.callback_max_age_secs);
    let unreadable = matches!(verdict, Verdict::Unreadable { .. });
    let finished = finish(&callback, verdict, issuer.clock.now(), give_up_at);
    tell(&callback, &finished, unreadable);
    match issuer.committer().submit(Write::Callback(Box::new(finished))).await {
        Ok(store::Written::Lost) => {
            tracing::warn!(
                transaction_id = %callback.subject.transaction,
                attempt = callback.attempt,
                "a callback took longer than its claim, another process has it now"
            );
        }
        Ok(_) => {}
        // The claim runs out and the callback is sent once more.
        Err(error) => {
            tracing::warn!(
                transaction_id = %callback.subject.transaction,
                %error,
                "a callback's outcome was not recorded"
            );
        }
    }
    // The next one of this request may be due now.
    issuer.callbacks.notify_one();
}

fn tell(callback: &DueCallback, finished: &CallbackFinished, unreadable: bool) {
    let Some(why) = &finished.error else { return };
    let transaction_id = callback.subject.transaction;
    let (status, attempt, ended) = (&callback.status, callback.attempt, finished.ended.is_some());
    if unreadable {
        tracing::error!(%transaction_id, status, attempt, why, "a callback cannot be opened, it is kept");
    } else if finished.counts {
        tracing::info!(%transaction_id, status, attempt, ended, why, "a callback was not delivered");
    } else {
        tracing::debug!(%transaction_id, status, why, "a callback waits");
    }
}

fn open(issuer: &Issuer, callback: &DueCallback) -> Result<(Url, Message), SealError> {
    let row = callback.request.to_string();
    let message: Message =
        sealed::open(&issuer.keyring, callback.subject.tenant, Kind::Message, &row, &callback.payload)?;
    let url = Url::parse(&message.url)
        .map_err(|_source| SealError::Store(store::StoreError::Corrupt("outbox.payload")))?;
    Ok((url, message))
}

fn millis(pause: Duration) -> i64 {
    i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)
}

async fn send(issuer: &Issuer, url: &Url, message: Message) -> Verdict {
    let headers: Vec<(&str, &str)> =
        message.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    match issuer.egress.post(url, &headers, message.body.into_bytes(), "application/json").await {
        Ok(answer) => {
            let after_ms = answer.retry_after.map_or(0, millis);
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

fn finish(
    callback: &DueCallback,
    verdict: Verdict,
    now: Timestamp,
    give_up_at: Timestamp,
) -> CallbackFinished {
    let pause_ms = || pause_ms(callback.attempt, getrandom::u32().unwrap_or(0));
    let counts = !matches!(verdict, Verdict::NotSent { .. });
    let (ended, retry_at, error) = match verdict {
        Verdict::Delivered => (Some("delivered"), now, None),
        Verdict::Refused { why } => (Some("abandoned"), now, Some(why)),
        Verdict::Again { after_ms, why } => {
            let retry_at = now.plus_millis(pause_ms().max(after_ms));
            if retry_at > give_up_at {
                (Some("abandoned"), now, Some(why))
            } else {
                (None, retry_at, Some(why))
            }
        }
        // Neither says anything about the endpoint, so neither ends the callback, which would erase it.
        Verdict::NotSent { after_ms, why } => (None, now.plus_millis(after_ms), Some(why.to_owned())),
        Verdict::Unreadable { why } => (None, now.plus_millis(pause_ms()), Some(why)),
    };
    let event = ended.map(|ended| {
        let kind =
            if ended == "delivered" { EventKind::CallbackDelivered } else { EventKind::CallbackAbandoned };
        let event = Event::new(&callback.subject, kind, now)
            .with("attempt", callback.attempt)
            .with("callback", callback.status.as_str());
        match &error {
            Some(why) => event.with("reason", why.as_str()),
            None => event,
        }
    });
    CallbackFinished {
        tenant: callback.subject.tenant,
        request: callback.request,
        seq: callback.seq,
        attempt: callback.attempt,
        counts,
        at: now,
        ended,
        retry_at,
        error,
        event,
    }
}

/// Exponential from one second, with jitter between the whole of it and one half more.
fn pause_ms(attempt: i64, random: u32) -> i64 {
    let doublings = u32::try_from(attempt.saturating_sub(1).clamp(0, 16)).unwrap_or(16);
    let whole = FIRST_PAUSE_MS.saturating_mul(1_i64 << doublings).min(LAST_PAUSE_MS);
    whole + i64::from(random) % (whole / 2 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_one_second_with_jitter() {
        for (attempt, whole) in [(1, 1_000), (2, 2_000), (5, 16_000), (40, LAST_PAUSE_MS)] {
            for random in [0, 1, u32::MAX / 2, u32::MAX] {
                let pause = pause_ms(attempt, random);
                assert!(pause >= whole && pause <= whole + whole / 2, "{attempt}: {pause}");
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

    fn callback(attempt: i64) -> DueCallback {
        DueCallback {
            subject: domain::audit::Subject {
                tenant: "a5f1c9d2-0000-4000-8000-00000000abcd".parse().unwrap(),
                transaction: "0198c0de-0000-7000-8000-000000000001".parse().unwrap(),
                authority: Some("0198c0de-0000-7000-8000-000000000002".parse().unwrap()),
                contract: Some("0198c0de-0000-7000-8000-000000000003".parse().unwrap()),
                client: Some(domain::ClientId::new("web")),
                customer: None,
            },
            request: "0198c0de-0000-7000-8000-000000000004".parse().unwrap(),
            seq: 1,
            status: "request_retrieved".to_owned(),
            payload: String::new(),
            attempt,
            created_at: Timestamp::from_millis(0),
        }
    }

    const GIVE_UP_AT: i64 = 900_000;

    fn finished(verdict: Verdict, now: i64) -> CallbackFinished {
        finish(&callback(3), verdict, Timestamp::from_millis(now), Timestamp::from_millis(GIVE_UP_AT))
    }

    #[test]
    fn a_failure_is_tried_again_until_its_age_and_the_ledger_says_whose_callback_it_was() {
        let again = || Verdict::Again { after_ms: 0, why: "503".to_owned() };
        let early = finished(again(), 0);
        assert_eq!((early.ended, early.attempt, early.counts), (None, 3, true));
        assert!(early.retry_at.millis() >= 4_000 && early.event.is_none());
        for verdict in [again(), Verdict::Refused { why: "410".to_owned() }, Verdict::Delivered] {
            let ended = finished(verdict, GIVE_UP_AT);
            assert!(ended.ended.is_some());
            assert_eq!(ended.event.unwrap().subject, callback(3).subject);
        }
    }

    #[test]
    fn what_was_not_sent_does_not_count_and_never_ends_a_callback() {
        for now in [0, GIVE_UP_AT, 10 * GIVE_UP_AT] {
            let waits = finished(Verdict::NotSent { after_ms: 1_000, why: "crowded" }, now);
            assert_eq!((waits.ended, waits.counts, waits.retry_at.millis()), (None, false, now + 1_000));
            let unreadable = finished(Verdict::Unreadable { why: "wrong keyring".to_owned() }, now);
            assert_eq!((unreadable.ended, unreadable.counts), (None, true));
            assert!(unreadable.retry_at.millis() > now && unreadable.event.is_none());
        }
    }

    #[test]
    fn a_claim_outlasts_waiting_calling_and_recording() {
        let call = egress::Policy::default().total_timeout + Duration::from_millis(500);
        let longest = super::super::hosts::PATIENCE + call + Duration::from_secs(5);
        assert!(Duration::from_millis(CLAIM_MS.unsigned_abs()) >= longest, "{longest:?}");
    }
}
