//! A database of its own per test, with a clock that the test moves. Owns opening and looking inside, no rows (`rows`).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use credenza_tests::postgres::{self, TestDatabase};
use domain::{BootClock, BootTime, Clock, Timestamp};
use store::{BudgetRule, Committed, DatabaseUrl, NoMeters, Store, StoreError, Write, Written};
use tempfile::TempDir;

/// The suite's first moment.
pub const START: i64 = 1_800_000_000_000;

/// A clock that stands still until it is moved.
pub struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A machine's time since its start that stands still until it is moved.
#[derive(Default)]
pub struct TestBoot(AtomicI64);

impl TestBoot {
    /// Lets time pass, in milliseconds.
    pub fn pass(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl BootClock for TestBoot {
    fn now(&self) -> BootTime {
        BootTime::from_nanos(u64::try_from(self.0.load(Ordering::SeqCst)).unwrap() * 1_000_000)
    }

    fn boot_id(&self) -> String {
        "the suite's".to_owned()
    }
}

/// The rule of a process whose keys have no limit.
pub fn no_meters() -> Arc<dyn BudgetRule> {
    Arc::new(NoMeters(TestBoot::default()))
}

enum Place {
    Sqlite(TempDir),
    Postgres(TestDatabase),
}

/// One database.
pub struct Fixture {
    pub store: Arc<Store>,
    pub clock: Arc<TestClock>,
    place: Place,
    counter: AtomicI64,
}

/// A database that nobody has opened yet.
pub struct Empty {
    clock: Arc<TestClock>,
    place: Place,
}

impl Empty {
    pub fn sqlite() -> Self {
        Self::at(Place::Sqlite(tempfile::tempdir().expect("a temporary directory can be made")))
    }

    pub fn postgres() -> Self {
        Self::at(Place::Postgres(postgres::database()))
    }

    fn at(place: Place) -> Self {
        Self { clock: Arc::new(TestClock(AtomicI64::new(START))), place }
    }

    pub async fn open(&self) -> Result<Store, StoreError> {
        Store::open(&self.place.url(), Arc::clone(&self.clock) as Arc<dyn Clock>).await
    }
}

impl Place {
    fn file(directory: &TempDir) -> PathBuf {
        directory.path().join("credenza.db")
    }

    fn url(&self) -> DatabaseUrl {
        match self {
            Self::Sqlite(directory) => DatabaseUrl::Sqlite(Self::file(directory)),
            Self::Postgres(database) => DatabaseUrl::Postgres(database.url.clone()),
        }
    }
}

impl Fixture {
    pub async fn sqlite() -> Self {
        Self::over(Empty::sqlite()).await
    }

    pub async fn postgres() -> Self {
        let fixture = Self::over(Empty::postgres()).await;
        let Place::Postgres(database) = &fixture.place else { unreachable!("it is Postgres") };
        database.sql(&format!("CREATE TABLE test_clock AS SELECT CAST({START} AS BIGINT) AS now"));
        database.sql(
            "CREATE OR REPLACE FUNCTION credenza_now() RETURNS BIGINT LANGUAGE sql VOLATILE AS \
             $$ SELECT now FROM test_clock $$",
        );
        fixture
    }

    async fn over(empty: Empty) -> Self {
        let store = Arc::new(empty.open().await.expect("a fresh database opens"));
        Self { store, clock: empty.clock, place: empty.place, counter: AtomicI64::new(0) }
    }

    /// Another `Store` on the same database, as another replica has.
    pub async fn open_again(&self) -> Result<Store, StoreError> {
        Store::open(&self.place.url(), Arc::clone(&self.clock) as Arc<dyn Clock>).await
    }

    pub fn is_postgres(&self) -> bool {
        matches!(self.place, Place::Postgres(_))
    }

    /// The database on PostgreSQL, for what has to go on beside the test.
    pub fn database(&self) -> TestDatabase {
        match &self.place {
            Place::Postgres(database) => database.clone(),
            Place::Sqlite(_) => unreachable!("only asked on Postgres"),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Moves the clock of both the process and the database.
    pub fn pass(&self, millis: i64) {
        let now = self.clock.0.fetch_add(millis, Ordering::SeqCst) + millis;
        if let Place::Postgres(database) = &self.place {
            database.sql(&format!("UPDATE test_clock SET now = {now}"));
        }
    }

    /// A number that no other call gave.
    pub fn next(&self) -> i64 {
        self.counter.fetch_add(1, Ordering::SeqCst)
    }

    /// Commits one change on its own.
    pub async fn write(&self, write: Write) -> Written {
        let results = self.batch(vec![write]).await;
        assert_eq!(results.len(), 1);
        results[0]
    }

    /// Commits changes together.
    pub async fn batch(&self, writes: Vec<Write>) -> Vec<Written> {
        self.metered(writes, &no_meters()).await.expect("no member fails a batch").written
    }

    /// The same under a rule.
    pub async fn metered(
        &self,
        writes: Vec<Write>,
        rule: &Arc<dyn BudgetRule>,
    ) -> Result<Committed, StoreError> {
        self.store.commit(writes.into_iter().map(Arc::new).collect(), rule).await
    }

    /// Runs a statement beside the store; rows as lines, columns split by `|`, nothing for NULL: as `psql` prints them.
    pub fn sql(&self, statement: &str) -> String {
        match &self.place {
            Place::Postgres(database) => database.sql(statement),
            Place::Sqlite(directory) => sqlite(&Place::file(directory), statement),
        }
    }
}

fn sqlite(file: &std::path::Path, statement: &str) -> String {
    use rusqlite::types::ValueRef;
    let connection = rusqlite::Connection::open(file).expect("the database exists");
    let mut prepared = connection.prepare(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
    let columns = prepared.column_count();
    let mut rows = prepared.query([]).expect("the statement runs");
    let mut lines = Vec::new();
    while let Some(row) = rows.next().unwrap_or_else(|error| panic!("{statement}: {error}")) {
        let cell = |at| match row.get_ref(at).expect("the column exists") {
            ValueRef::Null => String::new(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
            other => panic!("{statement}: {other:?}"),
        };
        lines.push((0..columns).map(cell).collect::<Vec<_>>().join("|"));
    }
    lines.join("\n")
}
