//! Meters: the rows in which a limited back end's slots are counted, locked and read for a batch.
//!
//! Owns the order of things: rows are locked by id before keys and requests, the time is read by a statement of its own
//! after the locks, changed rows are written back once. What a row says and what follows from it is the
//! [`BudgetRule`]'s, which sits above this crate. Must not read a row's text.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domain::{BootClock, BootTime, Timestamp};
use serde::Serialize;

use crate::batch::{Answer, Write, Written};
use crate::engine::{Conn, sql};
use crate::{StoreError, notice};

sql!(ADD, "INSERT INTO meter (id, state) SELECT @text(id), '' FROM @rows WHERE true ON CONFLICT DO NOTHING");
sql!(
    LOCK,
    "SELECT meter.id, meter.state FROM meter, @rows WHERE meter.id = @text(id) ORDER BY meter.id @for_update"
);
sql!(WRITE_BACK, "UPDATE meter SET state = @text(state) FROM @rows WHERE meter.id = @text(id)");
// A statement of its own: inside the one that locks, the clock would be read before the wait for the lock.
sql!(
    READING,
    "SELECT @now, CAST(CAST(EXTRACT(EPOCH FROM pg_postmaster_start_time()) * 1000000 AS BIGINT) AS TEXT)"
);
// Kept under an id that no meter has. Written where the table is made, on Postgres only.
sql!(
    REMEMBER_SERVER,
    "INSERT INTO meter (id, state) SELECT 'database', \
     CAST(CAST(EXTRACT(EPOCH FROM pg_postmaster_start_time()) * 1000000 AS BIGINT) AS TEXT) \
     ON CONFLICT DO NOTHING"
);
sql!(FIRST_SERVER, "SELECT state FROM meter WHERE id = 'database'");

/// The migration that makes the table of meters.
pub(crate) const TABLE_SINCE: i64 = 2;

/// How often the time is read at most, while a reading takes too long.
const READINGS: usize = 3;

/// A meter's id, the key of its row.
pub type MeterName = Arc<str>;

/// What one use of keys may run through: alternatives, the preferred one first, each with all the meters that a signature
/// there needs. An alternative without meters has no limit.
pub type Alternatives = Vec<Vec<MeterName>>;

/// What one call of a back end takes from one meter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Need {
    /// The meter.
    pub meter: MeterName,
    /// What is counted, in the rule's word.
    pub operations: &'static str,
    /// How many of the meter's units.
    pub units: u64,
}

/// What a transaction gave for a [`Need`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Slot {
    /// The meter.
    pub meter: MeterName,
    /// The slot in the rule's own words.
    pub text: String,
}

/// Runs once a transaction is known to have committed.
pub type Keep = Box<dyn FnOnce() + Send>;

/// How a batch ends for its meters.
pub struct Ended {
    /// The rows that changed, with their new texts.
    pub rows: Vec<(MeterName, String)>,
    /// What the rule remembers if, and only if, the transaction is known to have committed.
    pub keep: Keep,
}

/// A meter's row as it was locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundMeter {
    /// The meter.
    pub id: MeterName,
    /// What the rule wrote last; `None` where there was no row, or nothing was ever written into it.
    pub state: Option<String>,
}

/// One reading of the time, after the rows were locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterReading {
    /// The database's time in milliseconds: on SQLite time since the machine started.
    pub database_ms: i64,
    /// What the time counts in: another text, and what was committed before may be lost (Postgres, after a failover),
    /// or the time has begun anew (SQLite, after the machine started).
    pub epoch: String,
    /// Whether everything that was committed before is still there in another epoch: so on SQLite, whose file is the
    /// only one.
    pub survives_epoch: bool,
    /// Whether a row that is missing was never there: on Postgres only while the server runs that made the tables, because
    /// any other may lack commits. Only looked up when a row is missing, otherwise it is false there.
    pub is_complete: bool,
    /// This process's boot time before the reading was asked for.
    pub before: BootTime,
    /// And after it came.
    pub after: BootTime,
}

impl MeterReading {
    /// How long the reading took.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.after.since(self.before)
    }
}

/// The rules of meters, as whoever knows the back ends implements them.
pub trait BudgetRule: Send + Sync + 'static {
    /// The clock on which attempts are timed.
    fn boot(&self) -> &dyn BootClock;

    /// A reading that took longer says too little: it is made again, a few times.
    fn slow_reading(&self) -> Duration;

    /// Begins a batch over these rows. If the reading is slow after all, or a row cannot be read, the batch goes on, but the
    /// session leaves the rows concerned as they are: nothing granted or admitted, nothing moved, nothing written.
    ///
    /// # Errors
    /// A meter that the rule does not know.
    fn begin(
        &self,
        rows: Vec<FoundMeter>,
        reading: &MeterReading,
    ) -> Result<Box<dyn BudgetSession>, StoreError>;
}

/// One batch's view of its meters. Everything happens at the one time of its reading.
pub trait BudgetSession: Send {
    /// A back end answered calls with these slots that its limit is used up. Comes before everything else of a batch.
    fn throttled(&mut self, slots: &[Slot]);

    /// Asks for admission of a request that was made at this time: for each of its uses by all meters of one alternative, the
    /// first that would. Each meter chosen counts it once. Otherwise gives a label that says why not, and no meter has
    /// counted it.
    fn admit(&mut self, uses: &[Alternatives], created_at: Timestamp) -> Result<(), &'static str>;

    /// Sets aside what a member needs; gives the milliseconds until it makes sense to ask again if something is missing.
    /// What is set aside and not granted in this batch was never taken.
    fn set_aside(&mut self, needs: &[Need]) -> Result<(), i64>;

    /// Grants what was set aside. `requested_at` is when the request was made, and admitted, that it belongs to.
    ///
    /// # Errors
    /// Nothing was set aside for it.
    fn grant(&mut self, needs: &[Need], requested_at: Option<Timestamp>) -> Result<Vec<Slot>, StoreError>;

    /// Calls with these slots were answered.
    fn answered(&mut self, slots: &[Slot]);

    /// Ends the batch.
    ///
    /// # Errors
    /// A row's state cannot be written down.
    fn end(self: Box<Self>) -> Result<Ended, StoreError>;
}

/// The rule of a process whose keys have no limit: it knows no meter.
pub struct NoMeters<C>(pub C);

impl<C: BootClock> BudgetRule for NoMeters<C> {
    fn boot(&self) -> &dyn BootClock {
        &self.0
    }

    fn slow_reading(&self) -> Duration {
        Duration::MAX
    }

    fn begin(
        &self,
        _rows: Vec<FoundMeter>,
        _reading: &MeterReading,
    ) -> Result<Box<dyn BudgetSession>, StoreError> {
        Err(StoreError::Corrupt("a meter that nobody keeps"))
    }
}

#[derive(Serialize)]
struct IdRow<'a> {
    id: &'a str,
}

/// The meters of a batch, locked.
pub(crate) struct Meters(Box<dyn BudgetSession>);

impl Meters {
    /// Locks the rows of all meters that the members name and reads the time. `None` if they name none: then nothing is
    /// asked of the database.
    pub(crate) async fn lock(
        conn: &mut Conn,
        batch: &[(usize, &Write)],
        rule: &dyn BudgetRule,
    ) -> Result<Option<Self>, StoreError> {
        let names: BTreeSet<&str> = batch.iter().flat_map(|(_, write)| meters_of(write)).collect();
        if names.is_empty() {
            return Ok(None);
        }
        // Who is not told of a commit's notices would take a commit that may be lost for one that holds.
        if conn.is_shared() && !notice::is_watched() {
            return Err(StoreError::NoticesUnwatched);
        }
        let ids: Vec<IdRow<'_>> = names.iter().map(|id| IdRow { id }).collect();
        let mut found = locked(conn, &ids).await?;
        if found.len() < ids.len() {
            conn.exec_of(&ADD, &ids).await?;
            found = locked(conn, &ids).await?;
        }
        let mut reading = read_time(conn, rule).await?;
        if conn.is_shared() && found.iter().any(|row| row.state.is_none()) {
            reading.is_complete = is_first_server(conn, &reading).await?;
        }
        Ok(Some(Self(rule.begin(found, &reading)?)))
    }

    /// What has to be known before anything is written: foreign throttling, who is admitted, who has slots. `refuse`
    /// gets everybody who may not go on.
    pub(crate) fn decide(&mut self, batch: &[(usize, &Write)], mut refuse: impl FnMut(usize, Written)) {
        for (_, write) in batch {
            let (slots, answer) = match write {
                Write::Outcome(member) => (&member.slots, member.answer),
                Write::Return(member) => (&member.slots, member.answer),
                _ => continue,
            };
            if answer == Answer::Throttled {
                self.0.throttled(slots);
            }
        }
        for (index, write) in batch {
            if let Write::Create(member) = write
                && !member.meters.is_empty()
                && let Err(reason) = self.0.admit(&member.meters, member.created_at)
            {
                refuse(*index, Written::Refused { reason });
            }
            let needs = write.needs();
            if !needs.is_empty()
                && let Err(wait_ms) = self.0.set_aside(needs)
            {
                refuse(*index, Written::NoSlot { wait_ms });
            }
        }
    }

    /// Gives winners their slots.
    pub(crate) fn grant(&mut self, write: &Write) -> Result<Vec<Slot>, StoreError> {
        let requested_at = match write {
            Write::Open(member) => member.requested_at,
            _ => None,
        };
        self.0.grant(write.needs(), requested_at)
    }

    /// Moves the slots of an answer.
    pub(crate) fn answered(&mut self, slots: &[Slot], answer: Answer) {
        match answer {
            Answer::None => {}
            Answer::Given | Answer::Throttled => self.0.answered(slots),
        }
    }

    /// Writes back what changed.
    pub(crate) async fn write_back(self, conn: &mut Conn) -> Result<Keep, StoreError> {
        #[derive(Serialize)]
        struct StateRow<'a> {
            id: &'a str,
            state: &'a str,
        }
        let ended = self.0.end()?;
        let rows: Vec<StateRow<'_>> = ended.rows.iter().map(|(id, state)| StateRow { id, state }).collect();
        if !rows.is_empty() {
            conn.exec_of(&WRITE_BACK, &rows).await?;
        }
        Ok(ended.keep)
    }
}

fn meters_of(write: &Write) -> Vec<&str> {
    match write {
        Write::Create(member) => member.meters.iter().flatten().flatten().map(|id| &**id).collect(),
        // A slot that its answer does not move needs no row.
        Write::Outcome(member) if member.answer != Answer::None => of_slots(&member.slots),
        Write::Return(member) if member.answer != Answer::None => of_slots(&member.slots),
        _ => write.needs().iter().map(|need| &*need.meter).collect(),
    }
}

fn of_slots(slots: &[Slot]) -> Vec<&str> {
    slots.iter().map(|slot| &*slot.meter).collect()
}

async fn locked(conn: &mut Conn, ids: &[IdRow<'_>]) -> Result<Vec<FoundMeter>, StoreError> {
    let mut found = Vec::with_capacity(ids.len());
    for mut row in conn.rows_of(&LOCK, ids).await? {
        let id: MeterName = row.text()?.into();
        let state = row.text()?;
        found.push(FoundMeter { id, state: (!state.is_empty()).then_some(state) });
    }
    Ok(found)
}

async fn read_time(conn: &mut Conn, rule: &dyn BudgetRule) -> Result<MeterReading, StoreError> {
    let mut reading = read_once(conn, rule.boot()).await?;
    for _again in 1..READINGS {
        if reading.took() <= rule.slow_reading() {
            break;
        }
        reading = read_once(conn, rule.boot()).await?;
    }
    Ok(reading)
}

async fn read_once(conn: &mut Conn, boot: &dyn BootClock) -> Result<MeterReading, StoreError> {
    let before = boot.now();
    if !conn.is_shared() {
        // The file belongs to this machine, whose time since its start nobody can set.
        let database_ms = i64::try_from(before.nanos() / 1_000_000).unwrap_or(i64::MAX);
        return Ok(MeterReading {
            database_ms,
            epoch: boot.boot_id(),
            survives_epoch: true,
            is_complete: true,
            before,
            after: before,
        });
    }
    let mut rows = conn.rows(&READING, &[]).await?;
    let after = boot.now();
    let row = rows.first_mut().ok_or(StoreError::Corrupt("the database's time"))?;
    let database_ms = row.int()?;
    let epoch = row.text()?;
    Ok(MeterReading { database_ms, epoch, survives_epoch: false, is_complete: false, before, after })
}

/// Whether the server of this reading made the tables. Then no standby has taken over since, so no commit is missing.
async fn is_first_server(conn: &mut Conn, reading: &MeterReading) -> Result<bool, StoreError> {
    let mut rows = conn.rows(&FIRST_SERVER, &[]).await?;
    match rows.first_mut() {
        Some(row) => Ok(row.text()? == reading.epoch),
        None => Ok(false),
    }
}
