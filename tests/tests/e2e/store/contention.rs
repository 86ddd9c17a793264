//! Replicas at the same rows at the same time: one wins, nobody fails, nobody waits for a deadlock to be found.

use std::sync::Arc;

use store::{Store, Write, Written};

use super::fixture::{Fixture, no_meters};
use super::on_both;
use super::rows::{Ids, tenant};

on_both!(
    one_of_many_opens_the_object,
    one_of_many_holders_has_the_request,
    one_of_many_outcomes_counts,
    batches_of_all_kinds_do_not_deadlock,
    a_callback_is_claimed_by_one,
    a_request_expires_once,
);

const TASKS: usize = 64;
const REQUESTS: usize = 10;

/// Commits the batches that `batch` makes, all at once, through two stores; gives their results.
async fn compete(f: &Fixture, batch: impl Fn(usize) -> Vec<Write>) -> Vec<Vec<Written>> {
    let stores = [Arc::clone(&f.store), Arc::new(f.open_again().await.expect("a second replica"))];
    let tasks: Vec<_> = (0..TASKS)
        .map(|n| {
            let writes: Vec<Arc<Write>> = batch(n).into_iter().map(Arc::new).collect();
            let store: Arc<Store> = Arc::clone(&stores[n % 2]);
            tokio::spawn(
                async move { store.commit(writes, &no_meters()).await.expect("nobody fails").written },
            )
        })
        .collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.expect("no panic"));
    }
    results
}

/// The same requests, in another order for each task.
fn shuffled(all: &[Ids], n: usize) -> Vec<(usize, Ids)> {
    let mut order: Vec<(usize, Ids)> = all.iter().copied().enumerate().collect();
    order.rotate_left(n % all.len());
    if n.is_multiple_of(2) {
        order.reverse();
    }
    order
}

/// How many won, per request.
fn winners(results: &[Vec<Written>], all: &[Ids], won: impl Fn(Written) -> bool) -> Vec<usize> {
    let mut count = vec![0; all.len()];
    for (n, result) in results.iter().enumerate() {
        for ((index, _), written) in shuffled(all, n).into_iter().zip(result) {
            count[index] += usize::from(won(*written));
        }
    }
    count
}

fn is_opened(written: Written) -> bool {
    written == Written::Opened { attempt: 1 }
}

async fn several(f: &Fixture, retrieved: bool) -> Vec<Ids> {
    let mut all = Vec::new();
    for _ in 0..REQUESTS {
        all.push(if retrieved { f.retrieved().await } else { f.created().await });
    }
    all
}

fn assert_no_deadlock(f: &Fixture) {
    if f.is_postgres() {
        // A session reports what it counted when it ends, or a second after.
        std::thread::sleep(std::time::Duration::from_millis(1_200));
        let found = f.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
        assert_eq!(found, "0", "batches locked each other");
    }
}

async fn one_of_many_opens_the_object(f: Fixture) {
    let all = several(&f, false).await;
    let results = compete(&f, |n| {
        shuffled(&all, n).into_iter().map(|(_, ids)| Write::Open(Box::new(f.object_intent(ids)))).collect()
    })
    .await;
    assert_eq!(winners(&results, &all, is_opened), [1; REQUESTS]);
    assert_eq!(f.sql("SELECT COUNT(*) FROM intent"), REQUESTS.to_string());
    assert_eq!(f.sql("SELECT COUNT(*) FROM attempt"), REQUESTS.to_string());
}

async fn one_of_many_holders_has_the_request(f: Fixture) {
    f.active_key().await;
    let all = several(&f, true).await;
    let results = compete(&f, |n| {
        let holder = format!("holder {n}");
        let open = |(_, ids): (usize, Ids)| {
            Write::Open(Box::new(f.credential_intent(ids, &holder, &format!("{n} {}", ids.request))))
        };
        shuffled(&all, n).into_iter().map(open).collect()
    })
    .await;
    assert_eq!(winners(&results, &all, is_opened), [1; REQUESTS]);
    for (index, ids) in all.iter().enumerate() {
        let won = results.iter().enumerate().position(|(n, result)| {
            shuffled(&all, n).iter().zip(result).any(|((at, _), written)| *at == index && is_opened(*written))
        });
        assert_eq!(f.stored(*ids).await.holder, Some(format!("holder {}", won.unwrap())));
    }
    assert_no_deadlock(&f);
}

async fn one_of_many_outcomes_counts(f: Fixture) {
    let all = several(&f, true).await;
    let mut intents = Vec::new();
    for ids in &all {
        let intent = f.credential_intent(*ids, "alice", &ids.request.to_string());
        // The same intent, once to open it and once for what it leads to.
        let mut kept = f.credential_intent(*ids, "alice", "");
        (kept.id, kept.status) = (intent.id, intent.status);
        f.open(intent).await;
        intents.push(kept);
    }
    let results = compete(&f, |n| {
        let outcome = |(at, ids): (usize, Ids)| Write::Outcome(Box::new(f.credential(ids, &intents[at], 1)));
        shuffled(&all, n).into_iter().map(outcome).collect()
    })
    .await;
    assert_eq!(winners(&results, &all, |written| written == Written::Done), [1; REQUESTS]);
    assert_eq!(f.sql("SELECT COUNT(*) FROM issuance"), REQUESTS.to_string());
    assert_eq!(f.sql("SELECT COUNT(*) FROM event WHERE kind = 'credential_issued'"), REQUESTS.to_string());
    assert_no_deadlock(&f);
}

async fn batches_of_all_kinds_do_not_deadlock(f: Fixture) {
    f.active_key().await;
    let all = several(&f, true).await;
    let mut intents = Vec::new();
    for ids in &all {
        intents.push(f.signing(*ids).await);
    }
    let results = compete(&f, |n| {
        let member = |(at, ids): (usize, Ids)| match (n + at) % 4 {
            0 => Write::Outcome(Box::new(f.failed(ids, intents[at], 1))),
            1 => Write::Open(Box::new(f.credential_intent(ids, "alice", &ids.request.to_string()))),
            2 => Write::WalletFailed(Box::new(f.report(ids, "issuance_error", 5))),
            _ => Write::Reattempt(Box::new(f.reattempt(ids, intents[at], 1))),
        };
        shuffled(&all, n).into_iter().map(member).collect()
    })
    .await;
    assert_eq!(results.len(), TASKS);
    for (ids, intent) in all.iter().zip(&intents) {
        let attempts = f.attempts(*intent);
        assert!(attempts.starts_with("1|answered|throttled"), "{attempts}");
        assert!(attempts.lines().count() <= 2, "{attempts}");
        assert_eq!(f.callbacks(*ids).lines().count(), 6, "the retrieval and five failures");
    }
    assert_no_deadlock(&f);
}

async fn a_callback_is_claimed_by_one(f: Fixture) {
    for _ in 0..20 {
        f.retrieved().await;
    }
    let stores = [Arc::clone(&f.store), Arc::new(f.open_again().await.unwrap())];
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let store = Arc::clone(&stores[n % 2]);
            tokio::spawn(async move { store.claim_callbacks(30_000, 3).await.unwrap() })
        })
        .collect();
    let mut taken = Vec::new();
    for task in tasks {
        let due = task.await.unwrap();
        assert!(due.len() <= 3);
        taken.extend(due.into_iter().map(|row| row.request));
    }
    taken.extend(f.store.claim_callbacks(30_000, 100).await.unwrap().into_iter().map(|row| row.request));
    let claims = taken.len();
    taken.sort_unstable();
    taken.dedup();
    assert_eq!((claims, taken.len()), (20, 20));
}

async fn a_request_expires_once(f: Fixture) {
    let all = several(&f, false).await;
    f.pass(super::rows::LIFE);
    let stores = [Arc::clone(&f.store), Arc::new(f.open_again().await.unwrap())];
    let now = f.now();
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let store = Arc::clone(&stores[n % 2]);
            tokio::spawn(async move { store.sweep(0, 0, 100, now).await.unwrap().expired })
        })
        .collect();
    let mut expired = 0;
    for task in tasks {
        expired += task.await.unwrap();
    }
    assert_eq!(expired, REQUESTS);
    for ids in all {
        let trail = f.store.trail(tenant(), ids.transaction).await.unwrap();
        assert_eq!(trail.iter().filter(|event| event.kind == "request_expired").count(), 1);
    }
}
