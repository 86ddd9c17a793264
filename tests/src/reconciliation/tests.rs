//! The rules, one by one: each damage to a record that is in order is seen.

use rusqlite::Connection;
use serde_json::json;

use super::*;

/// One attempt that was signed, one that the vault refused, one whose answer was lost, one that was never sent.
const RECORD: &str = "
CREATE TABLE attempt (intent TEXT, n INTEGER, state TEXT, outcome TEXT, provider_request_id TEXT, status INTEGER);
CREATE TABLE event (seq INTEGER PRIMARY KEY, kind TEXT, body TEXT);
INSERT INTO attempt VALUES ('i', 1, 'answered', 'signed', 'r1', 200), ('i', 2, 'answered', 'throttled', 'r2', 429),
    ('j', 1, 'answered', 'unknown', NULL, NULL), ('j', 2, 'answered', 'permit_expired', NULL, NULL);
INSERT INTO event (kind, body) SELECT 'signing_intent', json_object('details',
    json_object('intent', intent, 'attempt', n, 'key', 'vault/issuer/7')) FROM attempt;
INSERT INTO event (kind, body) SELECT 'signing_outcome', json_patch(json_object('details',
    json_object('intent', intent, 'attempt', n, 'key', 'vault/issuer/7', 'outcome', outcome)),
    json_object('details', json_object('provider_request_id', provider_request_id, 'status', status))) FROM attempt;
";

fn row(name: &str, request_id: &str, status: u16) -> Value {
    json!({
        "operationName": "KeySign",
        "correlationId": request_id,
        "properties": {
            "clientInfo": format!("credenza/0.1.0 (a={name})"),
            "httpStatusCode": status,
            "requestUri": "https://localhost:1/keys/issuer/7/sign?api-version=7.4",
        },
    })
}

fn log() -> Vec<Value> {
    vec![
        json!({"operationName": "KeyGet", "properties": {"clientInfo": "credenza/0.1.0"}}),
        row("i.1", "r1", 200),
        row("i.2", "r2", 429),
        row("j.1", "r3", 200),
    ]
}

fn faults(log: &[Value], damage: &str) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("record.db");
    let connection = Connection::open(&file).unwrap();
    connection.execute_batch(RECORD).unwrap();
    connection.execute_batch(damage).unwrap();
    drop(connection);
    Reconciliation::read(log, &Database::Sqlite(file)).faults()
}

#[test]
fn a_record_in_order_is_in_order() {
    assert_eq!(faults(&log(), ""), Vec::<String>::new());
    // Whether the vault saw an attempt whose answer was lost is open.
    assert_eq!(faults(&log()[..3], ""), Vec::<String>::new());
}

#[test]
fn every_damage_to_the_record_is_seen() {
    for damage in [
        "DELETE FROM attempt WHERE intent = 'i' AND n = 1",
        "DELETE FROM attempt WHERE intent = 'j' AND n = 2",
        "DELETE FROM event WHERE kind = 'signing_intent' AND body LIKE '%\"j\"%'",
        "DELETE FROM event WHERE kind = 'signing_outcome' AND body LIKE '%r2%'",
        "INSERT INTO event (kind, body) SELECT kind, body FROM event WHERE seq = 1",
        "UPDATE attempt SET outcome = 'signed' WHERE n = 2",
        "UPDATE attempt SET status = 500 WHERE status = 429",
        "UPDATE attempt SET provider_request_id = 'r9' WHERE status = 429",
        "UPDATE event SET body = replace(body, '/7', '/8')",
        "UPDATE attempt SET outcome = 'forbidden' WHERE intent = 'j' AND n = 1;
         UPDATE event SET body = replace(body, 'unknown', 'forbidden')",
        "UPDATE attempt SET outcome = 'signed' WHERE intent = 'j' AND n = 1;
         UPDATE event SET body = replace(body, 'unknown', 'signed')",
        "UPDATE attempt SET outcome = 'no_token' WHERE intent = 'j' AND n = 1;
         UPDATE event SET body = replace(body, 'unknown', 'no_token')",
        "UPDATE attempt SET outcome = 'signed' WHERE intent = 'j' AND n = 2;
         UPDATE event SET body = replace(body, 'permit_expired', 'signed')",
    ] {
        assert!(!faults(&log(), damage).is_empty(), "nobody sees: {damage}");
    }
}

#[test]
fn every_damage_to_the_log_is_seen() {
    let good = log();
    for (what, damaged) in [
        ("an answered attempt is missing", vec![good[1].clone(), good[3].clone()]),
        ("sent twice", [good.clone(), vec![good[3].clone()]].concat()),
        ("never asked for", [good.clone(), vec![row("k.1", "r4", 200)]].concat()),
        ("without a name", [good.clone(), vec![row("", "r4", 200)]].concat()),
        ("another answer", vec![good[1].clone(), row("i.2", "r2", 500), good[3].clone()]),
        ("another request", vec![row("i.1", "r4", 200), good[2].clone(), good[3].clone()]),
        ("never sent", [good.clone(), vec![row("j.2", "r4", 200)]].concat()),
    ] {
        assert!(!faults(&damaged, "").is_empty(), "nobody sees: {what}");
    }
}

#[test]
fn counts_what_it_compares() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("record.db");
    Connection::open(&file)
        .unwrap()
        .execute_batch(&format!("{RECORD} UPDATE attempt SET state = 'open' WHERE n = 2"))
        .unwrap();
    let found = Reconciliation::read(&log(), &Database::Sqlite(file));
    assert_eq!((found.open(), found.ended("signed"), found.seen()), (2, 1, 3));
}
