//! The auditor is audited: every kind of damage to a database that is in order has to be seen.

use credenza_tests::database::Database;
use credenza_tests::process::{Credenza, Options};
use rusqlite::Connection;

use crate::books::Books;
use crate::first_start::issue_one;

/// Each leaves the tables readable and breaks one rule.
const DAMAGES: [&str; 16] = [
    "DELETE FROM intent WHERE subject LIKE 'credential/%'",
    "UPDATE intent SET state = 'open' WHERE subject LIKE 'credential/%'",
    "UPDATE intent SET digest = '00' WHERE subject LIKE 'request_object/%'",
    "UPDATE intent SET input = 'sealed' WHERE subject LIKE 'credential/%'",
    "UPDATE intent SET status_index = status_index + 1 WHERE subject LIKE 'credential/%'",
    "UPDATE attempt SET outcome = 'unknown' WHERE n = 1",
    "DELETE FROM attempt WHERE n = 1",
    "DELETE FROM event WHERE kind = 'signing_intent'",
    "DELETE FROM event WHERE kind = 'signing_outcome'",
    "UPDATE event SET seq = seq + 1000000 WHERE kind = 'signing_intent'",
    "DELETE FROM event WHERE kind = 'credential_issued'",
    "UPDATE event SET kind = 'signed_somehow' WHERE kind = 'signing_outcome'",
    "UPDATE event SET at = at + 1 WHERE kind = 'request_created'",
    "UPDATE event SET body = replace(body, ',', ', ') WHERE kind = 'request_created'",
    "UPDATE event SET body = substr(body, 1, 40) WHERE kind = 'request_created'",
    "INSERT INTO request_part SELECT tenant, id, 'payload', 'claims' FROM request WHERE state = 'completed'",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_damage_is_seen() {
    let scratch = tempfile::tempdir().expect("a temporary directory can be made");
    let data_dir = scratch.path().join("data");
    let mut credenza =
        Credenza::start(Options { data_dir: Some(data_dir.clone()), ..Options::default() }).await;
    issue_one(&credenza).await;
    assert!(credenza.stop().success());
    let file = data_dir.join("credenza.db");
    assert_eq!(Books::read(&Database::Sqlite(file.clone())).faults(), Vec::<String>::new());
    for (number, damage) in DAMAGES.into_iter().enumerate() {
        let copy = scratch.path().join(format!("damaged-{number}.db"));
        let changed = {
            // Not a copy of the file: some of it may still be in the log beside it.
            let connection = Connection::open(&file).expect("the database can be opened");
            connection.execute("VACUUM INTO ?1", [copy.display().to_string()]).expect("a copy can be made");
            Connection::open(&copy).expect("the copy can be opened").execute(damage, []).expect(damage)
        };
        assert!(changed > 0, "{damage} changes nothing");
        let faults = Books::read(&Database::Sqlite(copy)).faults();
        assert!(!faults.is_empty(), "nobody sees: {damage}");
    }
}
