//! How SQLite runs the statements of the hot path: by key, never by walking through a table that grows.

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use super::{callback, create, intent, outcome, part, report};
use crate::engine::Sql;
use crate::{ledger, meter, outbox, request, sweep};

/// Tables whose rows are as many as the requests of all time.
const GROWING: [&str; 9] = [
    "request",
    "request_part",
    "intent",
    "attempt",
    "outbox",
    "event",
    "issuance",
    "proof_jti",
    "signing_key",
];

fn database() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    let now = |_context: &rusqlite::functions::Context<'_>| Ok(0_i64);
    connection.create_scalar_function("credenza_now", 0, FunctionFlags::SQLITE_UTF8, now).unwrap();
    for (_, text) in crate::migrate::MIGRATIONS {
        connection.execute_batch(Sql::new(text).for_sqlite()).unwrap();
    }
    connection
}

fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let nothing = vec![rusqlite::types::Null; statement.parameter_count()];
    let lines = statement.query_map(rusqlite::params_from_iter(nothing), |row| row.get(3)).unwrap();
    lines.map(Result::unwrap).collect()
}

/// The table that a line of a plan walks through, unless it walks through a part that stays small.
fn walked(line: &str, sql: &str) -> Option<&'static str> {
    let mut words = line.strip_prefix("SCAN ")?.split(' ');
    let name = words.next()?;
    let alias = |table: &&str| sql.contains(&format!(" {table} {name} ")) || *table == name;
    // An index over the few rows in one state, read in its order.
    let partial = words.any(|word| word.ends_with("_due") || word.ends_with("_open"));
    GROWING.into_iter().find(alias).filter(|_table| !partial)
}

#[test]
fn no_statement_walks_through_a_table_that_grows() {
    let connection = database();
    let statements: [(&str, &Sql); 35] = [
        ("meters: lock", &meter::LOCK),
        ("meters: write back", &meter::WRITE_BACK),
        ("batch lock", &super::LOCK_REQUESTS),
        ("create", &create::INSERT),
        ("part: insert", &part::INSERT),
        ("part: erase", &part::ERASE),
        ("part: erase but callback", &part::ERASE_BUT_CALLBACK),
        ("open: reserve", &intent::RESERVE),
        ("open: jti", &intent::REMEMBER_JTI),
        ("open: bind", &intent::BIND_HOLDER),
        ("open: retrievable", &intent::RETRIEVABLE),
        ("open: void", &intent::VOID),
        ("open: insert", &intent::INSERT),
        ("open: attempt", &intent::INSERT_ATTEMPT),
        ("reattempt", &intent::NEXT_ATTEMPT),
        ("outcome: answered", &outcome::ANSWERED),
        ("outcome: answered late", &outcome::ANSWERED_LATE),
        ("outcome: done", &outcome::DONE),
        ("outcome: retrieved", &outcome::RETRIEVED),
        ("outcome: issued", &outcome::ISSUED),
        ("outcome: issuance", &outcome::INSERT_ISSUANCE),
        ("completed", &report::COMPLETED),
        ("wallet failed", &report::WALLET_FAILED),
        ("pin failed", &report::PIN_FAILED),
        ("callback finished", &callback::FINISHED),
        ("claim", &outbox::CLAIM),
        ("claimed subjects", &outbox::SUBJECTS),
        ("next due", &outbox::NEXT_DUE),
        ("request", &request::GET),
        ("intent", &request::INTENT),
        ("trail", &ledger::TRAIL),
        ("expire", &sweep::EXPIRE),
        ("void ended", &sweep::VOID_ENDED),
        ("orphans", &sweep::ORPHANS),
        ("forget callbacks", &sweep::FORGET_CALLBACK),
    ];
    let mut walks = Vec::new();
    for (name, statement) in statements {
        let sql = statement.for_sqlite();
        for line in plan(&connection, sql) {
            if let Some(table) = walked(&line, sql) {
                walks.push(format!("{name} walks through {table}: {line}"));
            }
        }
    }
    assert!(walks.is_empty(), "{walks:#?}");
}

#[test]
fn a_walk_is_seen() {
    let connection = database();
    for (sql, table) in [
        ("UPDATE request SET state = 'x' WHERE holder = 'y'", "request"),
        ("SELECT 1 FROM attempt a WHERE a.outcome = 'x'", "attempt"),
        ("SELECT 1 FROM event ORDER BY seq", "event"),
    ] {
        let lines = plan(&connection, sql);
        assert!(lines.iter().any(|line| walked(line, sql) == Some(table)), "{sql}: {lines:?}");
    }
}
