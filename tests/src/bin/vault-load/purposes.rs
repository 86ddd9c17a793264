//! What each signing intent was for, read from the product's database after its end. The vault's log says that something
//! was signed; only the intents say for which lane.

use std::collections::HashMap;
use std::path::Path;

use credenza_tests::postgres::TestDatabase;
use rusqlite::{Connection, OpenFlags};

const QUERY: &str = "SELECT id, purpose FROM intent";

/// From a file. Read only: nothing is repaired on the way.
///
/// # Panics
/// When it cannot be read.
pub fn of_sqlite(file: &Path) -> HashMap<String, String> {
    let database = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the database");
    let mut statement = database.prepare(QUERY).expect("the table of intents");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("the intents");
    rows.map(|row| row.expect("an intent")).collect()
}

/// From a server.
///
/// # Panics
/// When it cannot be read.
pub fn of_postgres(database: &TestDatabase) -> HashMap<String, String> {
    let rows = database.sql(QUERY);
    let split = |row: &str| row.split_once('|').map(|(id, purpose)| (id.to_owned(), purpose.to_owned()));
    rows.lines().map(|row| split(row).expect("two columns")).collect()
}
