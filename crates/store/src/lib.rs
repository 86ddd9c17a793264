//! Everything that Credenza keeps: requests, intents to sign, contracts, keys, callbacks and the ledger.
//!
//! Owns SQL and nothing else: what is secret arrives sealed, times arrive as numbers, and no rule of the product is
//! decided here except by compare-and-swap. SQLite and Postgres run the same statements (`engine`).
//! Must not do HTTP, must not sign, must not see a key.

mod asked;
mod authority;
mod batch;
mod contract;
pub mod doctor;
mod engine;
mod fail_point;
mod key;
mod ledger;
mod meter;
mod migrate;
mod notice;
mod outbox;
mod request;
mod secret;
mod status;
mod stop;
mod sweep;

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use domain::Clock;

pub use authority::Authority;
pub use batch::{
    Answer, CallbackFinished, CallbackRow, Committed, CredentialOutcome, Effect, NewRequest, OpenIntent,
    Outcome, Reattempt, Report, RequestChange, ReturnSlots, TakeSlots, Write, Written,
};
pub use contract::{ContractRow, NewestContract, SignedContract};
pub use fail_point::fail_point;
pub use key::SoftwareKeyRow;
pub use ledger::StoredEvent;
pub use meter::{
    Alternatives, BudgetRule, BudgetSession, Ended, FoundMeter, Keep, MeterName, MeterReading, Need,
    NoMeters, Slot,
};
pub use notice::NoticeWatch;
pub use outbox::DueCallback;
pub use request::{StoredIntent, StoredRequest};
pub use secret::SealedRow;
pub use status::StatusBlock;
pub use stop::{Stop, StopKind};
pub use sweep::Swept;

use engine::{Engine, postgres::Postgres, sqlite::Sqlite};

/// What can go wrong between us and a database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite said no.
    #[error("the SQLite database failed")]
    Sqlite(#[from] rusqlite::Error),
    /// Postgres said no or could not be reached.
    #[error("the Postgres database failed")]
    Postgres(#[source] sqlx::Error),
    /// The writer's thread could not be started.
    #[error("the database's thread could not be started")]
    Thread(#[source] std::io::Error),
    /// The database was closed, or a connection was used where it cannot be.
    #[error("the database is closed")]
    Closed,
    /// No answer in time; whether the change was stored is unknown.
    #[error("the database did not answer in time")]
    TimedOut,
    /// The server acknowledged a COMMIT with a notice beside it: what was committed may be lost in a failover.
    #[error("the database acknowledged a commit with a warning: whether it lasts is unknown")]
    CommitUnknown,
    /// Nobody would learn of the notices that come with a COMMIT.
    #[error(
        "nobody counts the database's notices, so the budget of a vault cannot be kept in Postgres: put `NoticeWatch` \
         around the process's subscriber"
    )]
    NoticesUnwatched,
    /// The batch that carried the change failed as a whole, for this reason.
    #[error(transparent)]
    Batch(Arc<StoreError>),
    /// A row holds what this program never writes.
    #[error("the database holds an unexpected value in {0}")]
    Corrupt(&'static str),
    /// The database was made by a newer program.
    #[error("the database has schema {found}, this program knows up to {known}: use the newer program")]
    SchemaTooNew {
        /// What the database says.
        found: i64,
        /// What this program knows.
        known: i64,
    },
    /// A migration that ran is not the one that this program carries.
    #[error("migration {0} in the database differs from this program's: it was changed after it ran")]
    MigrationChanged(i64),
    /// A row could not be written as JSON.
    #[error("a row could not be encoded")]
    Encode(#[from] serde_json::Error),
    /// The database's address is not one that we know.
    #[error("the database has to be `sqlite:PATH` or `postgres://USER@HOST/NAME`")]
    UnknownUrl,
}

impl StoreError {
    /// Whether the database (or the encoding on the way to it) refused what a transaction holds. Then nothing of it was
    /// stored, and the same without the offending member may be. Not so when the database could not be reached, was
    /// busy, or did not say how a COMMIT ended.
    #[must_use]
    pub fn is_rejected_data(&self) -> bool {
        match self {
            Self::Sqlite(rusqlite::Error::SqliteFailure(error, _)) => matches!(
                error.code,
                rusqlite::ErrorCode::ConstraintViolation
                    | rusqlite::ErrorCode::TypeMismatch
                    | rusqlite::ErrorCode::TooBig
            ),
            Self::Sqlite(error) => matches!(error, rusqlite::Error::ToSqlConversionFailure(_)),
            // SQLSTATE classes: cardinality, data exception, integrity constraint, check option, program limit.
            Self::Postgres(sqlx::Error::Database(error)) => error.code().is_some_and(|code| {
                ["21", "22", "23", "44", "54"].iter().any(|class| code.starts_with(class))
            }),
            Self::Postgres(error) => matches!(error, sqlx::Error::Encode(_)),
            Self::Corrupt(_) | Self::Encode(_) => true,
            Self::Batch(error) => error.is_rejected_data(),
            Self::Thread(_)
            | Self::Closed
            | Self::TimedOut
            | Self::CommitUnknown
            | Self::NoticesUnwatched
            | Self::SchemaTooNew { .. }
            | Self::MigrationChanged(_)
            | Self::UnknownUrl => false,
        }
    }

    fn is_serialization_failure(&self) -> bool {
        match self {
            Self::Postgres(sqlx::Error::Database(error)) => {
                matches!(error.code().as_deref(), Some("40001" | "40P01"))
            }
            _ => false,
        }
    }
}

/// Where the data is.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file.
    Sqlite(PathBuf),
    /// A server; the URL may hold a password, so it is not shown.
    Postgres(String),
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(_) => f.write_str("postgres://…"),
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = StoreError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        match text.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() => {
                Ok(Self::Sqlite(PathBuf::from(path.strip_prefix("//").unwrap_or(path))))
            }
            _ => Err(StoreError::UnknownUrl),
        }
    }
}

/// The database.
pub struct Store {
    engine: Engine,
}

impl Store {
    /// Opens the database and brings its schema up to date. `clock` is SQLite's time; Postgres has its own.
    pub async fn open(url: &DatabaseUrl, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let engine = match url {
            DatabaseUrl::Sqlite(path) => Engine::Sqlite(Sqlite::open(path, clock)?),
            DatabaseUrl::Postgres(url) => Engine::Postgres(Postgres::open(url).await?),
        };
        let store = Self { engine };
        store.migrate().await?;
        Ok(store)
    }

    /// Proves that the database answers and that changes still have somebody to carry them, for `/readyz`.
    pub async fn ping(&self) -> Result<(), StoreError> {
        engine::sql!(PING, "SELECT CAST(1 AS BIGINT)");
        if !self.engine.has_writer() {
            return Err(StoreError::Closed);
        }
        self.engine.read(|conn| Box::pin(async move { conn.rows(&PING, &[]).await.map(|_rows| ()) })).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sqlite(extended_code: i32) -> StoreError {
        StoreError::Sqlite(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(extended_code), None))
    }

    #[test]
    fn only_a_refusal_of_the_data_is_one() {
        for error in [
            sqlite(rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE),
            sqlite(rusqlite::ffi::SQLITE_MISMATCH),
            sqlite(rusqlite::ffi::SQLITE_TOOBIG),
            StoreError::Corrupt("a row"),
            StoreError::Batch(Arc::new(StoreError::Corrupt("a row"))),
        ] {
            assert!(error.is_rejected_data(), "{error:?}");
        }
        for error in [
            sqlite(rusqlite::ffi::SQLITE_BUSY),
            sqlite(rusqlite::ffi::SQLITE_FULL),
            sqlite(rusqlite::ffi::SQLITE_IOERR_FSYNC),
            StoreError::Postgres(sqlx::Error::PoolTimedOut),
            StoreError::Postgres(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into())),
            StoreError::TimedOut,
            StoreError::Closed,
            StoreError::Batch(Arc::new(StoreError::Closed)),
        ] {
            assert!(!error.is_rejected_data(), "{error:?}");
        }
    }
}
