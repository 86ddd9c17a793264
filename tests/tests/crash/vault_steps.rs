//! A server whose keys are in a vault dies between any two steps of the signing path, again and again, while wallets are being
//! served. Owns the steps and the comparison of the three records: the vault's, the ledger's, the wallets'.

use std::sync::Arc;
use std::time::Duration;

use credenza_tests::postgres;
use credenza_tests::reconciliation::Reconciliation;
use tokio::task::JoinSet;
use vault_sim::{Arrival, FaultKind, FaultSpec};

use crate::books::Books;
use crate::storm::{between, fail_early, wait_for_the_sweep};
use crate::vault_site::{LIMIT, Site, WINDOW};
use crate::wallets::{Issuance, World};

/// The places of the signing path at which a debug build dies when it is told to.
const STEPS: [&str; 7] =
    ["before-tx1", "in-commit", "after-tx1", "before-send", "after-answer", "before-tx2", "after-tx2"];

/// The exit code of a process that died so.
const DIED: i32 = 86;

/// People served at a time, and how many share their connections.
const CROWDS: usize = 3;
const PEOPLE: usize = 2;

/// After the last restart: an attempt's deadline of 3 s, slots that were lost for 7 s, and room for a slow machine.
const FINISH_LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_of_a_signature_may_be_the_last_on_sqlite() {
    let site = Site::start(1, None).await;
    // At the first time, and somewhere in the middle of what others are doing.
    let moments = STEPS.map(|step| [step.to_owned(), format!("{step}:{}", between(2, 9))]);
    die_at_each(site, &moments.concat()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_of_a_signature_may_be_the_last_of_one_of_two_replicas_on_postgres() {
    let site = Site::start(2, Some(postgres::database())).await;
    let moments = STEPS.map(|step| format!("{step}:{}", between(1, 4)));
    die_at_each(site, &moments).await;
}

async fn die_at_each(mut site: Site, moments: &[String]) {
    let mut worlds = Vec::new();
    let mut people = JoinSet::new();
    for _ in 0..CROWDS {
        let world = World::at(site.place().await);
        for _ in 0..PEOPLE {
            people.spawn(Arc::clone(&world).serve_people());
        }
        worlds.push(world);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let replicas = site.replicas();
    for (turn, moment) in moments.iter().enumerate() {
        let replica = turn % replicas;
        let status = site.die_at(replica, moment).await;
        assert_eq!(status.code(), Some(DIED), "{moment}: {}", site.log());
        fail_early(&mut people);
        site.serve(replica);
        fail_early(&mut people);
    }
    for replica in 0..replicas {
        die_while_the_vault_signs(&mut site, replica).await;
        fail_early(&mut people);
    }
    for world in &worlds {
        world.close();
    }
    let journal = || worlds.iter().flat_map(|world| world.journal()).collect::<Vec<Issuance>>();
    let finished = tokio::time::timeout(FINISH_LIMIT, async {
        while let Some(person) = people.join_next().await {
            person.expect("nobody is turned away");
        }
    });
    assert!(
        finished.await.is_ok(),
        "{FINISH_LIMIT:?} after the last restart these requests are not finished: {:#?}\n{}",
        journal().into_iter().filter(|one| !one.finished).collect::<Vec<_>>(),
        site.log()
    );
    wait_for_the_sweep(&site.database).await;
    site.stop();
    compare(&site, &journal());
}

/// The request is at the vault, which takes its time, when the server is killed: the vault signs, and nobody hears of it.
async fn die_while_the_vault_signs(site: &mut Site, replica: usize) {
    let slow = site.sim.set_fault(FaultSpec::new(FaultKind::Delay(Duration::from_millis(400))).on("KeySign"));
    let before = site.sim.arrivals().len();
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while site.sim.arrivals().len() < before + 2 {
        assert!(std::time::Instant::now() < until, "nobody signs: {}", site.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    site.kill(replica);
    site.sim.end_fault(slow);
    site.serve(replica);
}

fn compare(site: &Site, journal: &[Issuance]) {
    let books = Books::read(&site.database);
    let record = Reconciliation::read(&site.sim.log(), &site.database);
    let mut wrong = [books.faults(), record.faults()].concat();
    for issuance in journal {
        let request = issuance.request.as_str();
        if issuance.objects.windows(2).any(|pair| pair[0] != pair[1]) {
            wrong.push(format!("{request}: two request objects"));
        }
        if issuance.credentials.windows(2).any(|pair| pair[0] != pair[1]) {
            wrong.push(format!("{request}: two credentials"));
        }
        wrong.extend(books.faults_of_finished(request, &issuance.objects[0], &issuance.credentials[0]));
    }
    let arrivals = site.sim.arrivals();
    let (throttled, fullest) = (refused(&arrivals), fullest(&arrivals));
    if throttled > 0 || fullest > usize::try_from(LIMIT).expect("a small number") {
        wrong.push(format!("{fullest} operations in one window, {throttled} of them refused by the vault"));
    }
    println!(
        "{} issuances; {}; the vault saw {} attempts, {} of them unknown here; {fullest} operations in the fullest window",
        journal.len(),
        books.summary(),
        record.seen(),
        record.ended("unknown"),
    );
    assert!(!journal.is_empty(), "nobody was served");
    assert!(record.ended("unknown") > 0, "no attempt was cut short");
    wrong.truncate(20);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn refused(arrivals: &[Arrival]) -> usize {
    arrivals.iter().filter(|arrival| arrival.status == 429).count()
}

/// The most operations in any interval of one window.
fn fullest(arrivals: &[Arrival]) -> usize {
    let mut times: Vec<f64> = arrivals.iter().map(|arrival| arrival.ms).collect();
    times.sort_by(f64::total_cmp);
    let window = WINDOW.as_secs_f64() * 1_000.0;
    let counts = times.iter().enumerate().map(|(last, at)| {
        let first = times.partition_point(|earlier| *earlier <= at - window);
        last + 1 - first
    });
    counts.max().unwrap_or_default()
}
