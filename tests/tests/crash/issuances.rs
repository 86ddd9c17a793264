//! Kills in the middle of issuances.

use std::collections::BTreeMap;

use credenza_tests::database::Database;
use credenza_tests::postgres;
use credenza_tests::process::{Credenza, Options};

use crate::books::Books;
use crate::storm::{self, Aftermath};

/// Requests live long enough for every restart.
fn options() -> Options {
    Options { extra_args: vec!["--request-lifetime".into(), "3600".into()], ..Options::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_on_sqlite() {
    let scratch = tempfile::tempdir().expect("a temporary directory can be made");
    let data_dir = scratch.path().join("data");
    let credenza = Credenza::start(Options { data_dir: Some(data_dir.clone()), ..options() }).await;
    let database = Database::Sqlite(data_dir.join("credenza.db"));
    let aftermath = storm::run(credenza, &database, storm::rounds(12)).await;
    check(&aftermath, &database);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_on_postgres() {
    let scratch = tempfile::tempdir().expect("a temporary directory can be made");
    let own = postgres::database();
    let options = Options {
        data_dir: Some(scratch.path().join("data")),
        database_url: Some(own.url.clone()),
        ..options()
    };
    let credenza = Credenza::start(options).await;
    let database = Database::Postgres(own);
    let aftermath = storm::run(credenza, &database, storm::rounds(6)).await;
    check(&aftermath, &database);
}

fn check(aftermath: &Aftermath, database: &Database) {
    let books = Books::read(database);
    let mut wrong = books.faults();
    let mut heard: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (request, status) in &aftermath.callbacks {
        heard.entry(request).or_default().push(status);
    }
    for issuance in &aftermath.journal {
        let request = issuance.request.as_str();
        if issuance.objects.windows(2).any(|pair| pair[0] != pair[1]) {
            wrong.push(format!("{request}: two request objects"));
        }
        if issuance.credentials.windows(2).any(|pair| pair[0] != pair[1]) {
            wrong.push(format!("{request}: two credentials"));
        }
        let mut statuses = heard.remove(request).unwrap_or_default();
        statuses.dedup();
        if statuses != ["request_retrieved", "issuance_successful"] {
            wrong.push(format!("{request}: the front end heard {statuses:?}"));
        }
        wrong.extend(books.faults_of_finished(request, &issuance.objects[0], &issuance.credentials[0]));
    }
    // Creations whose answer got lost are known to nobody; no wallet has fetched them.
    wrong.extend(
        heard
            .into_iter()
            .map(|(request, statuses)| format!("{request}: heard {statuses:?} of nobody's request")),
    );
    assert!(!aftermath.journal.is_empty(), "nobody was served");
    let slowest = aftermath.journal.iter().map(|one| one.took).max().unwrap_or_default();
    println!("{} issuances, the slowest in {slowest:?}; {}", aftermath.journal.len(), books.summary());
    wrong.truncate(20);
    assert!(wrong.is_empty(), "{wrong:#?}");
}
