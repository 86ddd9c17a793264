//! What an operator should know about the database: whether a committed intent survives a power cut or a failover, what
//! keeps the busy rows from being cleaned up, and what time it thinks it is.
//!
//! Owns the questions. Must not judge the answers, and must not change anything, the schema included.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{Clock, Timestamp};

use crate::engine::postgres::Postgres;
use crate::engine::sqlite::Sqlite;
use crate::engine::{Engine, sql};
use crate::{DatabaseUrl, Store, StoreError, migrate};

sql!(
    SQLITE_JOURNAL,
    "SELECT CAST(count(*) AS BIGINT) FROM sqlite_master WHERE type = 'table' AND name = 'schema_migration'"
);
sql!(
    POSTGRES_JOURNAL,
    "SELECT CAST(count(*) AS BIGINT) FROM pg_tables WHERE tablename = 'schema_migration' \
     AND schemaname = ANY (current_schemas(false))"
);
sql!(VERSION, "SELECT COALESCE(max(version), 0) FROM schema_migration");
sql!(JOURNAL_MODE, "PRAGMA journal_mode");
sql!(SYNCHRONOUS, "PRAGMA synchronous");
sql!(
    SETTINGS,
    "SELECT current_setting('server_version'), current_setting('synchronous_commit'), current_setting('fsync'), \
     current_setting('full_page_writes'), current_setting('synchronous_standby_names'), \
     CAST(pg_is_in_recovery() AS TEXT)"
);
sql!(
    REPLICAS,
    "SELECT COALESCE(application_name, ''), COALESCE(sync_state, '') FROM pg_stat_replication ORDER BY 1"
);
// Prepared transactions hold their snapshot too, and nobody sees them among the sessions.
sql!(
    OLD_TRANSACTIONS,
    "SELECT who, CAST(age AS BIGINT) FROM ( \
       SELECT CONCAT('process ', pid, ' (', usename, ', ', application_name, ', ', state, ')') AS who, \
         EXTRACT(EPOCH FROM clock_timestamp() - xact_start) AS age \
       FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL \
       UNION ALL SELECT CONCAT('prepared transaction ', gid, ' (', owner, ')'), \
         EXTRACT(EPOCH FROM clock_timestamp() - prepared) FROM pg_prepared_xacts WHERE database = current_database() \
     ) AS open_transactions WHERE age >= $1 ORDER BY age DESC LIMIT 5"
);
sql!(
    HIDDEN_SESSIONS,
    "SELECT CAST(count(*) AS BIGINT) FROM pg_stat_activity WHERE datname = current_database() \
     AND query = '<insufficient privilege>'"
);
sql!(POSTGRES_TIME, "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)");

/// How the database's schema stands to this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// There are no tables of ours.
    Absent,
    /// Migrations are missing.
    Behind {
        /// What the database says.
        found: i64,
        /// What this program knows.
        known: i64,
    },
    /// They agree.
    Current,
    /// The database was made by a newer program.
    Newer {
        /// What the database says.
        found: i64,
        /// What this program knows.
        known: i64,
    },
}

/// What decides whether a commit lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Durability {
    /// Of a SQLite file, as our writing connection uses it.
    Sqlite {
        /// `wal` for us.
        journal_mode: String,
        /// 2 is FULL, 3 is EXTRA.
        synchronous: i64,
    },
    /// Of a Postgres server, as our sessions see it.
    Postgres(Box<Server>),
}

/// A Postgres server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its version.
    pub version: String,
    /// `on` for our sessions.
    pub synchronous_commit: String,
    /// Whether it waits for the disk at all.
    pub fsync: bool,
    /// Whether a page that was torn by a power cut can be repaired.
    pub full_page_writes: bool,
    /// The replicas for which a commit waits; empty for none.
    pub synchronous_standby_names: String,
    /// Whether it is itself a replica, which takes no changes.
    pub in_recovery: bool,
    /// The replicas that are connected.
    pub replicas: Vec<Replica>,
    /// Transactions that are open for at least the time that was asked for, the oldest first, five at most.
    pub old_transactions: Vec<OpenTransaction>,
    /// Sessions of this database that our user may not look at.
    pub hidden_sessions: i64,
}

/// A connected replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// What it calls itself.
    pub name: String,
    /// `sync`, `quorum`, `potential`, `async`; empty where our user may not see it.
    pub sync_state: String,
}

/// A transaction that has been open for long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTransaction {
    /// Process, user, application and state, or the name of a prepared transaction.
    pub who: String,
    /// For how long.
    pub open_for: Duration,
}

/// One reading of the database's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseTime {
    /// What it said; on SQLite our own clock.
    pub time: Timestamp,
    /// How long the reading took: it is that inexact.
    pub took: Duration,
}

impl Store {
    /// Opens the database and leaves its schema as it is: for looking, not for serving. A SQLite file that does not exist
    /// is made.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_as_is(url: &DatabaseUrl, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let engine = match url {
            DatabaseUrl::Sqlite(path) => Engine::Sqlite(Sqlite::open(path, clock)?),
            DatabaseUrl::Postgres(url) => Engine::Postgres(Postgres::open(url).await?),
        };
        Ok(Self { engine })
    }

    /// How the schema stands to this program.
    ///
    /// # Errors
    /// [`StoreError`]: the database failed.
    pub async fn schema(&self) -> Result<Schema, StoreError> {
        let postgres = matches!(self.engine, Engine::Postgres(_));
        let found = self
            .engine
            .read(move |conn| {
                Box::pin(async move {
                    let journal = if postgres { &POSTGRES_JOURNAL } else { &SQLITE_JOURNAL };
                    let there = one(conn.rows(journal, &[]).await?)?.int()? > 0;
                    if there { one(conn.rows(&VERSION, &[]).await?)?.int() } else { Ok(0) }
                })
            })
            .await?;
        let known = migrate::MIGRATIONS.last().map_or(0, |(version, _)| *version);
        Ok(match found {
            0 => Schema::Absent,
            found if found < known => Schema::Behind { found, known },
            found if found > known => Schema::Newer { found, known },
            _ => Schema::Current,
        })
    }

    /// What decides whether a commit lasts, and which transactions are open for at least `old`.
    ///
    /// # Errors
    /// [`StoreError`]: the database failed.
    pub async fn durability(&self, old: Duration) -> Result<Durability, StoreError> {
        if matches!(self.engine, Engine::Sqlite(_)) {
            // The connection that writes: the setting is the connection's, not the file's.
            return self
                .engine
                .write("durability", |conn| {
                    Box::pin(async move {
                        let journal_mode = one(conn.rows(&JOURNAL_MODE, &[]).await?)?.text()?;
                        let synchronous = one(conn.rows(&SYNCHRONOUS, &[]).await?)?.int()?;
                        Ok(Durability::Sqlite { journal_mode, synchronous })
                    })
                })
                .await;
        }
        let old = i64::try_from(old.as_secs()).unwrap_or(i64::MAX);
        self.engine
            .read(move |conn| {
                Box::pin(async move {
                    let mut settings = one(conn.rows(&SETTINGS, &[]).await?)?;
                    let mut server = Server {
                        version: settings.text()?,
                        synchronous_commit: settings.text()?,
                        fsync: settings.text()? == "on",
                        full_page_writes: settings.text()? == "on",
                        synchronous_standby_names: settings.text()?,
                        in_recovery: settings.text()? == "true",
                        replicas: Vec::new(),
                        old_transactions: Vec::new(),
                        hidden_sessions: one(conn.rows(&HIDDEN_SESSIONS, &[]).await?)?.int()?,
                    };
                    for mut row in conn.rows(&REPLICAS, &[]).await? {
                        server.replicas.push(Replica { name: row.text()?, sync_state: row.text()? });
                    }
                    for mut row in conn.rows(&OLD_TRANSACTIONS, &[old.into()]).await? {
                        let who = row.text()?;
                        let open_for = Duration::from_secs(u64::try_from(row.int()?).unwrap_or(0));
                        server.old_transactions.push(OpenTransaction { who, open_for });
                    }
                    Ok(Durability::Postgres(Box::new(server)))
                })
            })
            .await
    }

    /// Reads the database's clock; `clock` is what SQLite has for one.
    ///
    /// # Errors
    /// [`StoreError`]: the database failed.
    pub async fn database_time(&self, clock: &dyn Clock) -> Result<DatabaseTime, StoreError> {
        let started = Instant::now();
        if matches!(self.engine, Engine::Sqlite(_)) {
            return Ok(DatabaseTime { time: clock.now(), took: started.elapsed() });
        }
        // Opening a connection takes longer than the question.
        self.ping().await?;
        let started = Instant::now();
        let millis = self
            .engine
            .read(|conn| Box::pin(async move { one(conn.rows(&POSTGRES_TIME, &[]).await?)?.int() }))
            .await?;
        Ok(DatabaseTime { time: Timestamp::from_millis(millis), took: started.elapsed() })
    }
}

fn one(rows: Vec<crate::engine::Row>) -> Result<crate::engine::Row, StoreError> {
    rows.into_iter().next().ok_or(StoreError::Corrupt("an answer that has no row"))
}
