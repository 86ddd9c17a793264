//! Postgres through sqlx: a pool for reads, one for changes, and transactions that are run again after a serialization
//! failure.
//!
//! Must not know any table.

use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnectOptions, PgPoolOptions, PgRow};
use sqlx::{AssertSqlSafe, Column, Executor, Row as _, TypeInfo};

use super::{Cell, Conn, Op, Row, Value};
use crate::StoreError;

/// How often a transaction is run before a serialization failure becomes the caller's.
const TRIES: u32 = 5;

/// Connections for reads: anonymous calls read, and as many as they please.
const READERS: u32 = 10;

/// Connections for changes, which reads must not keep waiting: the committer, the outbox's claims, the sweeper, leases.
const WRITERS: u32 = 6;

/// How long a caller waits for a connection.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(5);

pub(crate) struct Postgres {
    readers: sqlx::PgPool,
    writers: sqlx::PgPool,
}

impl Postgres {
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        let options: PgConnectOptions = url.parse().map_err(StoreError::Postgres)?;
        // A committed intent must survive a power cut, whatever the server's default is.
        let options = options.application_name("credenza").options([
            ("synchronous_commit", "on"),
            // A commit's warnings have to reach us (`notice`).
            ("client_min_messages", "notice"),
        ]);
        let pool = |size| PgPoolOptions::new().max_connections(size).acquire_timeout(ACQUIRE_LIMIT);
        let writers = pool(WRITERS).connect_with(options.clone()).await.map_err(StoreError::Postgres)?;
        // The first read opens its connection: that the server can be reached is known.
        Ok(Self { readers: pool(READERS).connect_lazy_with(options), writers })
    }

    pub(crate) async fn write<T: Send + 'static>(
        &self,
        name: &'static str,
        op: impl Op<T>,
    ) -> Result<T, StoreError> {
        let mut tries = 1;
        loop {
            match self.once(&op).await {
                Err(error) if tries < TRIES && error.is_serialization_failure() => {
                    tracing::debug!(transaction = name, tries, "serialization failure, running it again");
                    tries += 1;
                }
                other => return other,
            }
        }
    }

    /// Without a transaction: at the level at which we read, it would add two round trips and no consistency.
    pub(crate) async fn read<T: Send + 'static>(&self, op: impl Op<T>) -> Result<T, StoreError> {
        let mut conn = Conn::PostgresReader(self.readers.acquire().await.map_err(StoreError::Postgres)?);
        op(&mut conn).await
    }

    async fn once<T>(&self, op: &impl Op<T>) -> Result<T, StoreError> {
        let mut conn = Conn::Postgres(self.writers.begin().await.map_err(StoreError::Postgres)?);
        let value = op(&mut conn).await?;
        match conn {
            Conn::Postgres(tx) => crate::notice::watched(tx.commit()).await?,
            Conn::Sqlite(_) | Conn::PostgresReader(_) => return Err(StoreError::Closed),
        }
        Ok(value)
    }
}

fn bind<'q>(sql: &str, params: &'q [Value<'_>]) -> sqlx::query::Query<'q, sqlx::Postgres, PgArguments> {
    // The text comes from this crate's `sql!` constants only; every value is a parameter.
    let mut query = sqlx::query(AssertSqlSafe(sql.to_owned()));
    for param in params {
        query = match param {
            Value::Text(text) => query.bind(text.as_ref()),
            Value::Int(number) => query.bind(*number),
            Value::Null => query.bind(None::<String>),
        };
    }
    query
}

pub(super) async fn exec(
    conn: &mut sqlx::PgConnection,
    sql: &str,
    params: &[Value<'_>],
) -> Result<u64, StoreError> {
    let done = bind(sql, params).execute(&mut *conn).await.map_err(StoreError::Postgres)?;
    Ok(done.rows_affected())
}

pub(super) async fn rows(
    conn: &mut sqlx::PgConnection,
    sql: &str,
    params: &[Value<'_>],
) -> Result<Vec<Row>, StoreError> {
    let found = bind(sql, params).fetch_all(&mut *conn).await.map_err(StoreError::Postgres)?;
    found.iter().map(cells).collect()
}

pub(super) async fn script(conn: &mut sqlx::PgConnection, sql: &str) -> Result<(), StoreError> {
    let script = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    conn.execute(script).await.map_err(StoreError::Postgres)?;
    Ok(())
}

fn cells(row: &PgRow) -> Result<Row, StoreError> {
    let mut cells = Vec::with_capacity(row.len());
    for column in row.columns() {
        let at = column.ordinal();
        cells.push(
            match column.type_info().name() {
                "INT8" => row.try_get::<Option<i64>, _>(at).map(|cell| cell.map_or(Cell::Null, Cell::Int)),
                "TEXT" => {
                    row.try_get::<Option<String>, _>(at).map(|cell| cell.map_or(Cell::Null, Cell::Text))
                }
                _ => return Err(StoreError::Corrupt("a column's type")),
            }
            .map_err(StoreError::Postgres)?,
        );
    }
    Ok(Row::new(cells))
}
