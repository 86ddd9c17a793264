//! Postgres through sqlx: a pool, and transactions that are run again after a serialization failure.
//!
//! Must not know any table.

use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnectOptions, PgPoolOptions, PgRow};
use sqlx::{AssertSqlSafe, Column, Executor, Row as _, TypeInfo};

use super::{Cell, Conn, Op, Row, Value};
use crate::StoreError;

/// How often a transaction is run before a serialization failure becomes the caller's.
const TRIES: u32 = 5;

pub(crate) struct Postgres {
    pool: sqlx::PgPool,
}

impl Postgres {
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        let options: PgConnectOptions = url.parse().map_err(StoreError::Postgres)?;
        // A committed intent must survive a power cut, whatever the server's default is.
        let options = options.application_name("credenza").options([("synchronous_commit", "on")]);
        let pool = PgPoolOptions::new()
            .max_connections(16)
            .acquire_timeout(Duration::from_secs(5))
            .connect_with(options)
            .await
            .map_err(StoreError::Postgres)?;
        Ok(Self { pool })
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

    pub(crate) async fn read<T: Send + 'static>(&self, op: impl Op<T>) -> Result<T, StoreError> {
        let mut conn = Conn::Postgres(self.pool.begin().await.map_err(StoreError::Postgres)?);
        op(&mut conn).await
    }

    async fn once<T>(&self, op: &impl Op<T>) -> Result<T, StoreError> {
        let mut conn = Conn::Postgres(self.pool.begin().await.map_err(StoreError::Postgres)?);
        let value = op(&mut conn).await?;
        match conn {
            Conn::Postgres(tx) => tx.commit().await.map_err(StoreError::Postgres)?,
            Conn::Sqlite(_) => return Err(StoreError::Closed),
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
    tx: &mut sqlx::Transaction<'static, sqlx::Postgres>,
    sql: &str,
    params: &[Value<'_>],
) -> Result<u64, StoreError> {
    let done = bind(sql, params).execute(&mut **tx).await.map_err(StoreError::Postgres)?;
    Ok(done.rows_affected())
}

pub(super) async fn rows(
    tx: &mut sqlx::Transaction<'static, sqlx::Postgres>,
    sql: &str,
    params: &[Value<'_>],
) -> Result<Vec<Row>, StoreError> {
    let found = bind(sql, params).fetch_all(&mut **tx).await.map_err(StoreError::Postgres)?;
    found.iter().map(cells).collect()
}

pub(super) async fn script(
    tx: &mut sqlx::Transaction<'static, sqlx::Postgres>,
    sql: &str,
) -> Result<(), StoreError> {
    let script = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    (&mut **tx).execute(script).await.map_err(StoreError::Postgres)?;
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
