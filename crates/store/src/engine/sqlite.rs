//! SQLite: one thread owns the one connection that writes; reads go to a few connections of their own.
//!
//! Readers run on the caller's thread: a read of a cached page takes some microseconds, less than a thread change.
//! Must not know any table.

mod checkpoint;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::Clock;
use futures_util::FutureExt;
use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, Rows, Statement, ToSql};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use self::checkpoint::{Checkpoints, Limits};
use super::{Cell, Conn, Op, Row, Value};
use crate::StoreError;

type Job = Box<dyn FnOnce(&mut Conn) + Send>;

/// Jobs that may wait for the writer; beyond it callers wait to hand over theirs.
const QUEUE: usize = 1024;

/// How often, and with which pause, a file is asked to switch to a write-ahead log while others open it too.
const WAL_TRIES: u32 = 100;
const WAL_PAUSE: Duration = Duration::from_millis(20);

pub(crate) struct Sqlite {
    writer: mpsc::Sender<Job>,
    readers: Mutex<Vec<Conn>>,
    open_reader: Box<dyn Fn() -> Result<Connection, StoreError> + Send + Sync>,
}

impl Sqlite {
    /// Opens or creates the file and starts the writer's thread.
    pub(crate) fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let mut connection = Connection::open(path)?;
        // FULL: a committed intent must survive a power cut, or a signature could be off the record.
        switch_to_wal(&connection)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        prepare(&connection, &clock)?;
        let checkpoints = Checkpoints::start(&mut connection, Connection::open(path)?, Limits::default())?;
        let (writer, mut jobs) = mpsc::channel::<Job>(QUEUE);
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                let mut conn = Conn::Sqlite(connection);
                while let Some(job) = jobs.blocking_recv() {
                    job(&mut conn);
                    if let Conn::Sqlite(connection) = &conn {
                        checkpoints.between(connection);
                    }
                }
            })
            .map_err(StoreError::Thread)?;
        let path = path.to_owned();
        let open_reader = Box::new(move || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let reader = Connection::open_with_flags(&path, flags)?;
            prepare(&reader, &clock)?;
            Ok(reader)
        });
        Ok(Self { writer, readers: Mutex::new(Vec::new()), open_reader })
    }

    pub(crate) async fn write<T: Send + 'static>(
        &self,
        name: &'static str,
        op: impl Op<T>,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |conn| {
            let result = transaction(conn, &op);
            if let Err(error) = &result {
                tracing::debug!(transaction = name, %error, "transaction failed");
            }
            // Nobody waits any more: what was committed stays committed.
            drop(reply.send(result));
        });
        self.writer.send(job).await.map_err(|_stopped| StoreError::Closed)?;
        answer.await.map_err(|_stopped| StoreError::Closed)?
    }

    /// Whether the writer's thread still takes jobs.
    pub(crate) fn has_writer(&self) -> bool {
        !self.writer.is_closed()
    }

    pub(crate) fn read<T>(&self, op: impl Op<T>) -> Result<T, StoreError> {
        let pooled = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut conn = match pooled {
            Some(conn) => conn,
            None => Conn::Sqlite((self.open_reader)()?),
        };
        let result = ready(op(&mut conn));
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
        result
    }
}

/// Processes that open a fresh file together all want to switch it; SQLite refuses the later ones without waiting,
/// because they hold the lock that the first one needs.
fn switch_to_wal(connection: &Connection) -> Result<(), StoreError> {
    for _ in 0..WAL_TRIES {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                std::thread::sleep(WAL_PAUSE);
            }
            other => return Ok(other?),
        }
    }
    Ok(connection.pragma_update(None, "journal_mode", "WAL")?)
}

fn prepare(connection: &Connection, clock: &Arc<dyn Clock>) -> Result<(), StoreError> {
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.pragma_update(None, "foreign_keys", true)?;
    // Plans that do not look at parameters: else a statement with a bound LIMIT is compiled anew at every run.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // 8 MiB of pages: idle memory stays small, the hot rows stay in it.
    connection.pragma_update(None, "cache_size", -8192)?;
    let clock = Arc::clone(clock);
    connection.create_scalar_function(
        "credenza_now",
        0,
        rusqlite::functions::FunctionFlags::SQLITE_UTF8,
        move |_context| Ok(clock.now().millis()),
    )?;
    Ok(())
}

fn transaction<T>(conn: &mut Conn, op: &impl Op<T>) -> Result<T, StoreError> {
    batch(conn, "BEGIN IMMEDIATE")?;
    match ready(op(conn)) {
        Ok(value) => match batch(conn, "COMMIT") {
            Ok(()) => Ok(value),
            Err(error) => {
                drop(batch(conn, "ROLLBACK"));
                Err(error)
            }
        },
        Err(error) => {
            // An error may already have ended the transaction; then there is nothing to roll back.
            drop(batch(conn, "ROLLBACK"));
            Err(error)
        }
    }
}

fn batch(conn: &Conn, statement: &str) -> Result<(), StoreError> {
    match conn {
        Conn::Sqlite(connection) => {
            connection.prepare_cached(statement)?.raw_execute()?;
            Ok(())
        }
        Conn::Postgres(_) | Conn::PostgresReader(_) => Err(StoreError::Closed),
    }
}

/// Runs an operation to its end: on SQLite every statement answers at once, so its future never waits.
fn ready<T>(future: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    future.now_or_never().unwrap_or(Err(StoreError::Closed))
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Value::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Value::Int(number) => ToSqlOutput::Owned((*number).into()),
            Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
        })
    }
}

pub(super) fn exec(conn: &Connection, sql: &str, params: &[Value<'_>]) -> Result<u64, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let changed = statement.execute(rusqlite::params_from_iter(params))?;
    Ok(u64::try_from(changed).unwrap_or(u64::MAX))
}

pub(super) fn rows(conn: &Connection, sql: &str, params: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let columns = statement.column_count();
    let mut out = Vec::new();
    collect(statement.query(rusqlite::params_from_iter(params))?, columns, &mut out)?;
    Ok(out)
}

/// Runs a statement once for each row, with the row's members bound to the parameters of their names.
pub(super) fn exec_each<T: Serialize>(conn: &Connection, sql: &str, rows: &[T]) -> Result<u64, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut changed = 0_u64;
    for row in rows {
        bind_members(&mut statement, row)?;
        changed = changed.saturating_add(u64::try_from(statement.raw_execute()?).unwrap_or(u64::MAX));
    }
    Ok(changed)
}

/// The same; gives the rows of all answers.
pub(super) fn rows_each<T: Serialize>(
    conn: &Connection,
    sql: &str,
    rows: &[T],
) -> Result<Vec<Row>, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let columns = statement.column_count();
    let mut out = Vec::new();
    for row in rows {
        bind_members(&mut statement, row)?;
        collect(statement.raw_query(), columns, &mut out)?;
    }
    Ok(out)
}

fn bind_members<T: Serialize>(statement: &mut Statement<'_>, row: &T) -> Result<(), StoreError> {
    let members = match serde_json::to_value(row)? {
        serde_json::Value::Object(members) => members,
        _ => return Err(StoreError::Corrupt("a row's shape")),
    };
    for index in 1..=statement.parameter_count() {
        let name =
            statement.parameter_name(index).and_then(|name| name.strip_prefix(':')).unwrap_or_default();
        let value = match members.get(name) {
            Some(serde_json::Value::String(text)) => Value::from(text.as_str()),
            Some(serde_json::Value::Number(number)) => {
                Value::Int(number.as_i64().ok_or(StoreError::Corrupt("a row's number"))?)
            }
            Some(serde_json::Value::Null) => Value::Null,
            _ => return Err(StoreError::Corrupt("a row's members")),
        };
        statement.raw_bind_parameter(index, value)?;
    }
    Ok(())
}

fn collect(mut answer: Rows<'_>, columns: usize, out: &mut Vec<Row>) -> Result<(), StoreError> {
    while let Some(row) = answer.next()? {
        let mut cells = Vec::with_capacity(columns);
        for column in 0..columns {
            cells.push(match row.get_ref(column)? {
                ValueRef::Null => Cell::Null,
                ValueRef::Integer(number) => Cell::Int(number),
                ValueRef::Text(text) => Cell::Text(match std::str::from_utf8(text) {
                    Ok(text) => text.to_owned(),
                    Err(_) => String::from_utf8_lossy(text).into_owned(),
                }),
                ValueRef::Real(_) | ValueRef::Blob(_) => return Err(StoreError::Corrupt("a column's type")),
            });
        }
        out.push(Row::new(cells));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Still;

    impl Clock for Still {
        fn now(&self) -> domain::Timestamp {
            domain::Timestamp::from_millis(0)
        }
    }

    #[tokio::test]
    async fn a_writer_that_died_is_noticed() {
        let file = std::env::temp_dir().join(format!("credenza-writer-{}.db", uuid::Uuid::new_v4()));
        let engine = Sqlite::open(&file, Arc::new(Still)).unwrap();
        assert!(engine.has_writer());
        let died = engine.write("panic", |_conn| Box::pin(async move { panic!("as a bug would") }));
        let died: Result<(), StoreError> = died.await;
        assert!(matches!(died, Err(StoreError::Closed)), "{died:?}");
        while engine.has_writer() {
            tokio::task::yield_now().await;
        }
        for suffix in ["", "-wal", "-shm"] {
            drop(std::fs::remove_file(format!("{}{suffix}", file.display())));
        }
    }
}
