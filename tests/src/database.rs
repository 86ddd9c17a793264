//! Reading either database while the product uses it or afterwards. Owns the two ways of asking; knows no table.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use crate::postgres::TestDatabase;

/// Where the server kept its rows.
#[derive(Debug, Clone)]
pub enum Database {
    /// A file.
    Sqlite(PathBuf),
    /// A database of the test's PostgreSQL server.
    Postgres(TestDatabase),
}

impl Database {
    /// The rows of a statement that gives `columns` columns, as texts; NULL is the empty text. Only the last column may hold
    /// a `|`.
    ///
    /// # Panics
    /// When the database refuses the statement, or it gives another number of columns.
    #[must_use]
    pub fn rows(&self, statement: &str, columns: usize) -> Vec<Vec<String>> {
        let rows = match self {
            Self::Sqlite(file) => sqlite(file, statement),
            Self::Postgres(database) => database
                .sql(statement)
                .lines()
                .map(|line| line.splitn(columns, '|').map(str::to_owned).collect())
                .collect(),
        };
        assert!(rows.iter().all(|row| row.len() == columns), "{statement} does not give {columns} columns");
        rows
    }

    /// The number that a statement gives.
    ///
    /// # Panics
    /// When it gives none.
    #[must_use]
    pub fn count(&self, statement: &str) -> usize {
        self.rows(statement, 1)[0][0].parse().expect("a number")
    }
}

fn sqlite(file: &Path, statement: &str) -> Vec<Vec<String>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).expect("the database can be opened");
    connection.busy_timeout(Duration::from_secs(5)).expect("a time");
    let mut prepared = connection.prepare(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
    let columns = prepared.column_count();
    let text = |value: ValueRef<'_>| match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Real(_) | ValueRef::Blob(_) => panic!("{statement} gives a type that no column has"),
    };
    let rows = prepared.query_map([], |row| {
        (0..columns).map(|column| row.get_ref(column).map(text)).collect::<Result<Vec<_>, _>>()
    });
    rows.expect("the statement runs").collect::<Result<_, _>>().expect("rows")
}
