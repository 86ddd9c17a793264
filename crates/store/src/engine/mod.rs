//! The two databases behind one connection type, and SQL that is written once for both.
//!
//! Owns how a statement reaches a database. Statements use only TEXT and BIGINT, `$n` parameters and the tokens of
//! [`Sql::new`]; everything set-based arrives as one JSON array in `$1`. Must not know any table.

pub(crate) mod postgres;
pub(crate) mod sqlite;

use std::borrow::Cow;
use std::io;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

use crate::StoreError;

/// A statement in both dialects.
pub(crate) struct Sql {
    sqlite: String,
    postgres: String,
}

impl Sql {
    /// Tokens: `@rows` stands for the rows of a set-based statement, `@text(x)` and `@int(x)` for members of a row, `@now`
    /// for the database's time, read once per statement; `@for_update` locks rows (SQLite has one writer and needs no
    /// lock), `@skip_locked` too and passes over those that another replica holds.
    ///
    /// Postgres gets all rows as one JSON array in `$1`, because every statement is a round trip. SQLite runs in our own
    /// process: there the statement is run once per row with its members bound by name, which costs a tenth of taking
    /// them out of JSON.
    pub(crate) fn new(text: &str) -> Self {
        // A sub-select runs once and may bound an index; a bare call of a volatile function would run for every row.
        let text = text.replace("@now", "(SELECT credenza_now())");
        Self {
            // SQLite numbers `$n` by first appearance, `?n` by n.
            sqlite: expand_members(&text, |_kind, name| format!(":{name}"))
                .replace("FROM @rows", "")
                .replace(", @rows", "")
                .replace('$', "?")
                .replace("@skip_locked", "")
                .replace("@for_update", "")
                .replace("@by_key", "WITHOUT ROWID")
                .replace("@identity", "INTEGER PRIMARY KEY AUTOINCREMENT"),
            postgres: expand_members(&text, |kind, name| match kind {
                Member::Text => format!("(r.value->>'{name}')"),
                Member::Int => format!("CAST(r.value->>'{name}' AS BIGINT)"),
            })
            .replace("@rows", "jsonb_array_elements(CAST($1 AS jsonb)) AS r(value)")
            .replace("@skip_locked", "FOR UPDATE SKIP LOCKED")
            .replace("@for_update", "FOR UPDATE")
            .replace("@by_key", "")
            .replace("@identity", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
        }
    }

    /// The text that SQLite gets.
    #[cfg(test)]
    pub(crate) fn for_sqlite(&self) -> &str {
        &self.sqlite
    }
}

enum Member {
    Text,
    Int,
}

fn expand_members(text: &str, dialect: impl Fn(Member, &str) -> String) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while let Some(at) = rest.find('@') {
        let (before, token) = rest.split_at(at);
        out.push_str(before);
        let member = |prefix: &str| token.strip_prefix(prefix)?.split_once(')');
        if let Some((name, after)) = member("@text(") {
            out.push_str(&dialect(Member::Text, name));
            rest = after;
        } else if let Some((name, after)) = member("@int(") {
            out.push_str(&dialect(Member::Int, name));
            rest = after;
        } else {
            out.push('@');
            rest = token.get(1..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    out
}

/// Declares a statement.
macro_rules! sql {
    ($name:ident, $text:expr) => {
        pub(crate) static $name: std::sync::LazyLock<crate::engine::Sql> =
            std::sync::LazyLock::new(|| crate::engine::Sql::new($text));
    };
}
pub(crate) use sql;

/// What U+0000 becomes on its way into a database: Postgres refuses it in text and JSON, SQLite ends a JSON text at it.
/// A text from outside that holds one must not fail the batch that it is in, and no id, hash or sealed text holds one.
const NUL_STAND_IN: &str = "\u{fffd}";

/// Writes JSON as `serde_json` does, except for U+0000.
struct WithoutNul;

impl Formatter for WithoutNul {
    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        match escape {
            CharEscape::AsciiControl(0) => writer.write_all(NUL_STAND_IN.as_bytes()),
            other => CompactFormatter.write_char_escape(writer, other),
        }
    }
}

/// Rows for a set-based statement on Postgres: the JSON array that `@rows` reads.
fn json_rows<T: Serialize>(rows: &[T]) -> Result<String, StoreError> {
    let mut out = Vec::with_capacity(1024);
    rows.serialize(&mut Serializer::with_formatter(&mut out, WithoutNul))?;
    // Serializers write UTF-8 only.
    String::from_utf8(out).map_err(|_source| StoreError::Corrupt("a row's encoding"))
}

/// A parameter.
pub(crate) enum Value<'a> {
    Text(Cow<'a, str>),
    Int(i64),
    Null,
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        if value.contains('\0') {
            return Self::Text(Cow::Owned(value.replace('\0', NUL_STAND_IN)));
        }
        Self::Text(Cow::Borrowed(value))
    }
}
impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        if value.contains('\0') {
            return Self::Text(Cow::Owned(value.replace('\0', NUL_STAND_IN)));
        }
        Self::Text(Cow::Owned(value))
    }
}
impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One cell of an answer.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Text(String),
    Int(i64),
    Null,
}

/// One row of an answer. Cells are taken from left to right.
pub(crate) struct Row(std::vec::IntoIter<Cell>);

impl Row {
    pub(crate) fn new(cells: Vec<Cell>) -> Self {
        Self(cells.into_iter())
    }

    pub(crate) fn text(&mut self) -> Result<String, StoreError> {
        match self.0.next() {
            Some(Cell::Text(value)) => Ok(value),
            _ => Err(StoreError::Corrupt("a text column")),
        }
    }

    pub(crate) fn opt_text(&mut self) -> Result<Option<String>, StoreError> {
        match self.0.next() {
            Some(Cell::Text(value)) => Ok(Some(value)),
            Some(Cell::Null) => Ok(None),
            _ => Err(StoreError::Corrupt("an optional text column")),
        }
    }

    pub(crate) fn int(&mut self) -> Result<i64, StoreError> {
        match self.0.next() {
            Some(Cell::Int(value)) => Ok(value),
            _ => Err(StoreError::Corrupt("a number column")),
        }
    }

    pub(crate) fn opt_int(&mut self) -> Result<Option<i64>, StoreError> {
        match self.0.next() {
            Some(Cell::Int(value)) => Ok(Some(value)),
            Some(Cell::Null) => Ok(None),
            _ => Err(StoreError::Corrupt("an optional number column")),
        }
    }

    /// A text column that holds one of our ids or names.
    pub(crate) fn parsed<T: std::str::FromStr>(&mut self, what: &'static str) -> Result<T, StoreError> {
        self.text()?.parse().map_err(|_source| StoreError::Corrupt(what))
    }
}

/// A connection: for SQLite the only one that writes or one that reads; for Postgres a transaction, or a connection on
/// which every statement stands for itself.
pub(crate) enum Conn {
    Sqlite(rusqlite::Connection),
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
    PostgresReader(sqlx::pool::PoolConnection<sqlx::Postgres>),
}

impl Conn {
    /// Runs a statement; gives the number of rows that it changed.
    pub(crate) async fn exec(&mut self, sql: &Sql, params: &[Value<'_>]) -> Result<u64, StoreError> {
        match self {
            Self::Sqlite(conn) => sqlite::exec(conn, &sql.sqlite, params),
            Self::Postgres(tx) => postgres::exec(tx, &sql.postgres, params).await,
            Self::PostgresReader(conn) => postgres::exec(conn, &sql.postgres, params).await,
        }
    }

    /// Runs a statement; gives its rows.
    pub(crate) async fn rows(&mut self, sql: &Sql, params: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        match self {
            Self::Sqlite(conn) => sqlite::rows(conn, &sql.sqlite, params),
            Self::Postgres(tx) => postgres::rows(tx, &sql.postgres, params).await,
            Self::PostgresReader(conn) => postgres::rows(conn, &sql.postgres, params).await,
        }
    }

    /// Whether other transactions run at the same time, so that rows have to be locked.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_) | Self::PostgresReader(_))
    }

    /// Runs a set-based statement; gives the number of rows that it changed.
    pub(crate) async fn exec_of<T: Serialize>(&mut self, sql: &Sql, rows: &[T]) -> Result<u64, StoreError> {
        match self {
            Self::Sqlite(conn) => sqlite::exec_each(conn, &sql.sqlite, rows),
            Self::Postgres(tx) => postgres::exec(tx, &sql.postgres, &[json_rows(rows)?.into()]).await,
            Self::PostgresReader(conn) => {
                postgres::exec(conn, &sql.postgres, &[json_rows(rows)?.into()]).await
            }
        }
    }

    /// Runs a set-based statement; gives its rows.
    pub(crate) async fn rows_of<T: Serialize>(
        &mut self,
        sql: &Sql,
        rows: &[T],
    ) -> Result<Vec<Row>, StoreError> {
        match self {
            Self::Sqlite(conn) => sqlite::rows_each(conn, &sql.sqlite, rows),
            Self::Postgres(tx) => postgres::rows(tx, &sql.postgres, &[json_rows(rows)?.into()]).await,
            Self::PostgresReader(conn) => {
                postgres::rows(conn, &sql.postgres, &[json_rows(rows)?.into()]).await
            }
        }
    }

    /// Runs a script of several statements without parameters.
    pub(crate) async fn script(&mut self, sql: &Sql) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(conn) => Ok(conn.execute_batch(&sql.sqlite)?),
            Self::Postgres(tx) => postgres::script(tx, &sql.postgres).await,
            Self::PostgresReader(conn) => postgres::script(conn, &sql.postgres).await,
        }
    }
}

/// What runs inside a transaction. It may run again after a serialization failure, so it owns its input.
pub(crate) trait Op<T>:
    Fn(&mut Conn) -> BoxFuture<'_, Result<T, StoreError>> + Send + Sync + 'static
{
}
impl<T, F> Op<T> for F where F: Fn(&mut Conn) -> BoxFuture<'_, Result<T, StoreError>> + Send + Sync + 'static {}

/// The database that was opened.
pub(crate) enum Engine {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

impl Engine {
    /// Whether changes still have somebody to carry them: on SQLite a thread, which a panic would end.
    pub(crate) fn has_writer(&self) -> bool {
        match self {
            Self::Sqlite(engine) => engine.has_writer(),
            Self::Postgres(_) => true,
        }
    }

    /// Runs `op` in one transaction that is durable when this returns.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        name: &'static str,
        op: impl Op<T>,
    ) -> Result<T, StoreError> {
        match self {
            Self::Sqlite(engine) => engine.write(name, op).await,
            Self::Postgres(engine) => engine.write(name, op).await,
        }
    }

    /// Runs `op`, which only reads.
    pub(crate) async fn read<T: Send + 'static>(&self, op: impl Op<T>) -> Result<T, StoreError> {
        match self {
            Self::Sqlite(engine) => engine.read(op),
            Self::Postgres(engine) => engine.read(op).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_become_each_dialect() {
        let sql = Sql::new("SELECT @text(a), @int(b) FROM @rows WHERE x = '@' AND y <= @now @skip_locked");
        assert_eq!(sql.sqlite, "SELECT :a, :b  WHERE x = '@' AND y <= (SELECT credenza_now()) ");
        assert!(sql.postgres.contains("jsonb_array_elements(CAST($1 AS jsonb)) AS r(value)"));
        assert!(sql.postgres.ends_with("<= (SELECT credenza_now()) FOR UPDATE SKIP LOCKED"));
        assert!(Sql::new("SELECT 1 @for_update").postgres.ends_with("FOR UPDATE"));
        assert_eq!(Sql::new("SELECT 1 @for_update").sqlite, "SELECT 1 ");
    }

    #[test]
    fn a_nul_is_replaced_and_everything_else_is_kept() {
        let rows = ["a\0b", "\\u0000", "\u{1}\u{1f}\n\"\\", "\u{1f600}\u{202e}\u{7f}"];
        let text = json_rows(&rows).unwrap();
        assert!(!text.contains("\"a\\u0000"), "{text}");
        let back: Vec<String> = serde_json::from_str(&text).unwrap();
        assert_eq!(back, ["a\u{fffd}b", rows[1], rows[2], rows[3]]);
        for value in [Value::from("a\0"), Value::from("a\0".to_owned())] {
            assert!(matches!(value, Value::Text(text) if text == "a\u{fffd}"));
        }
    }

    #[test]
    fn cells_are_taken_from_left_to_right_and_only_as_what_they_are() {
        let cells = || Row::new(vec![Cell::Int(7), Cell::Text("t".to_owned()), Cell::Null, Cell::Null]);
        let mut row = cells();
        assert_eq!(row.int().unwrap(), 7);
        assert_eq!(row.text().unwrap(), "t");
        assert_eq!(row.opt_text().unwrap(), None);
        assert_eq!(row.opt_int().unwrap(), None);
        assert!(matches!(row.text(), Err(StoreError::Corrupt(_))), "there is no fifth cell");
        assert!(matches!(cells().text(), Err(StoreError::Corrupt(_))), "a number is no text");
        assert!(matches!(cells().opt_text(), Err(StoreError::Corrupt(_))), "a number is no optional text");
        let mut row = Row::new(vec![Cell::Text("seven".to_owned())]);
        assert!(matches!(row.parsed::<i64>("a number"), Err(StoreError::Corrupt("a number"))));
    }
}
