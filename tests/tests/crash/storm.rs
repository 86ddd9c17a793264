//! Kills and restarts a server while wallets are being served. Owns the moments.

use std::sync::Arc;
use std::time::{Duration, Instant};

use credenza_tests::callbacks::Sink;
use credenza_tests::database::Database;
use credenza_tests::process::Credenza;
use tokio::task::JoinSet;

use crate::wallets::{Issuance, World};

/// People served at a time.
const PEOPLE: usize = 6;

/// A claim on a callback holds 60 s; what a crash left claimed is delivered after it.
const CALLBACKS_LIMIT: Duration = Duration::from_secs(100);

/// After the last kill: an attempt's deadline of 3 s, and room for a slow machine.
const FINISH_LIMIT: Duration = Duration::from_secs(40);

/// Attempts without an outcome are given up 10 s after their deadline of 3 s, in a sweep every 5 s.
const SWEEP_LIMIT: Duration = Duration::from_secs(40);

/// What a storm leaves behind.
pub struct Aftermath {
    /// Everything that was accepted.
    pub journal: Vec<Issuance>,
    /// The request ids and statuses that the front end heard, in order of arrival.
    pub callbacks: Vec<(String, String)>,
}

/// How many kills: `CREDENZA_CRASH_ROUNDS`, else `usual`.
pub fn rounds(usual: usize) -> usize {
    match std::env::var("CREDENZA_CRASH_ROUNDS") {
        Ok(text) => text.parse().expect("CREDENZA_CRASH_ROUNDS is a number"),
        Err(_) => usual,
    }
}

/// A number between `low` and `high`, both included.
pub fn between(low: u64, high: u64) -> u64 {
    low + getrandom::u64().expect("random bytes") % (high - low + 1)
}

/// Kills the server `rounds` times, then waits until everything that was accepted is finished, told and recorded, and ends the
/// server in order.
pub async fn run(credenza: Credenza, database: &Database, rounds: usize) -> Aftermath {
    let sink = Sink::start().await;
    let world = World::new(&credenza, sink.url("/callback")).await;
    let mut people = JoinSet::new();
    for _ in 0..PEOPLE {
        people.spawn(Arc::clone(&world).serve_people());
    }
    let mut credenza = credenza;
    for _ in 0..rounds {
        // Half of the kills hit a server that has hardly begun to serve what waits for it.
        let moment = if between(0, 1) == 0 { between(0, 400) } else { between(400, 3_000) };
        tokio::time::sleep(Duration::from_millis(moment)).await;
        credenza.kill();
        fail_early(&mut people);
        credenza = credenza.start_again().await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.close();
    let finished = tokio::time::timeout(FINISH_LIMIT, async {
        while let Some(person) = people.join_next().await {
            person.expect("nobody is turned away");
        }
    });
    assert!(
        finished.await.is_ok(),
        "{FINISH_LIMIT:?} after the last restart these requests are not finished: {:#?}",
        world.journal().into_iter().filter(|one| !one.finished).collect::<Vec<_>>()
    );
    let journal = world.journal();
    wait_for_callbacks(&sink, &journal).await;
    wait_for_the_sweep(database).await;
    assert!(credenza.stop().success(), "{}", credenza.log());
    Aftermath { journal, callbacks: heard(&sink) }
}

/// Shows a person's panic at once.
pub fn fail_early(people: &mut JoinSet<()>) {
    if let Some(ended) = people.try_join_next() {
        ended.expect("nobody is turned away");
        panic!("somebody went home early");
    }
}

fn heard(sink: &Sink) -> Vec<(String, String)> {
    let received = sink.received();
    let mut heard = Vec::with_capacity(received.len());
    for callback in received {
        assert_eq!(callback.header("api-key"), Some("front-end"));
        let body = callback.json();
        let text =
            |name: &str| body[name].as_str().unwrap_or_else(|| panic!("no {name} in {body}")).to_owned();
        assert_eq!(text("state"), "crash");
        heard.push((text("requestId"), text("requestStatus")));
    }
    heard
}

async fn wait_for_callbacks(sink: &Sink, journal: &[Issuance]) {
    let until = Instant::now() + CALLBACKS_LIMIT;
    loop {
        let told: std::collections::HashSet<String> = heard(sink)
            .into_iter()
            .filter(|(_, status)| status == "issuance_successful")
            .map(|(request, _)| request)
            .collect();
        let missing: Vec<&str> = journal
            .iter()
            .map(|one| one.request.as_str())
            .filter(|request| !told.contains(*request))
            .collect();
        if missing.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "the front end never heard of the success of {missing:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Waits until every attempt has its outcome and every callback its end.
pub async fn wait_for_the_sweep(database: &Database) {
    let until = Instant::now() + SWEEP_LIMIT;
    let open = "SELECT (SELECT count(*) FROM attempt WHERE state = 'open') \
                + (SELECT count(*) FROM outbox WHERE state = 'pending')";
    while database.count(open) > 0 {
        assert!(Instant::now() < until, "attempts or callbacks stay open for ever");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}
