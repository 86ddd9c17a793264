//! Meters that a batch must leave as they are, and rows that are gone.

use super::*;

const EAST: &str = "vault:east.vault.azure.net";

/// Batches of processes on one database, without the database: rows as texts, readings as the test says.
pub(super) struct Rows {
    pub(super) texts: HashMap<MeterName, Option<String>>,
    pub(super) is_complete: bool,
}

impl Rows {
    pub(super) fn of(names: &[&str]) -> Self {
        Self { texts: names.iter().map(|name| ((*name).into(), None)).collect(), is_complete: true }
    }

    pub(super) fn begin(
        &self,
        budget: &VaultBudget,
        at: i64,
        took: i64,
    ) -> Result<Box<dyn BudgetSession>, StoreError> {
        let rows = self.texts.iter().map(|(id, state)| FoundMeter { id: id.clone(), state: state.clone() });
        let boot = |millis: i64| BootTime::from_nanos(u64::try_from(millis).unwrap() * 1_000_000);
        let reading = MeterReading {
            // A database whose clock is set nowhere near the machine's.
            database_ms: 1_000_000 + at,
            epoch: "one server".to_owned(),
            survives_epoch: false,
            is_complete: self.is_complete,
            before: boot(at),
            after: boot(at + took),
        };
        budget.begin(rows.collect(), &reading)
    }

    /// Ends a batch that committed; gives how many rows were written.
    pub(super) fn commit(&mut self, session: Box<dyn BudgetSession>) -> usize {
        let ended = session.end().unwrap();
        let written = ended.rows.len();
        for (id, text) in ended.rows {
            assert!(!text.is_empty());
            self.texts.insert(id, Some(text));
        }
        (ended.keep)();
        written
    }
}

fn status(budget: &VaultBudget, meter: &str) -> MeterStatus {
    budget.status().into_iter().find(|status| status.meter == meter).unwrap()
}

fn needs(budget: &VaultBudget, backend: &str) -> Vec<Need> {
    budget.needs(&key(backend, "k"), &[Operations::Sign])
}

/// Budget time as a process last saw it.
fn seen(budget: &VaultBudget) -> i64 {
    budget.0.known().get(EAST).unwrap().last.as_ref().unwrap().now.at
}

#[tokio::test]
async fn a_process_with_slow_readings_does_not_hold_back_the_others() {
    let site = Site::new(5, 50).await;
    let (healthy, slow) = (site.replica().await, site.replica().await);
    let mut rows = Rows::of(&[EAST, "subscription:s"]);
    for at in (0..20_000).step_by(100) {
        let session = rows.begin(&healthy.budget, at, 1).unwrap();
        rows.commit(session);
        let before = rows.texts.clone();
        let mut session = rows.begin(&slow.budget, at + 10, 51).unwrap();
        assert_eq!(session.set_aside(&needs(&slow.budget, "east")), Err(250));
        let uses = slow.budget.alternatives([["east"]]);
        assert_eq!(session.admit(&uses, Timestamp::from_millis(0)), Err("budget_clock_slow"));
        assert_eq!(rows.commit(session), 0, "no row is written");
        assert_eq!(rows.texts, before);
    }
    assert_eq!(seen(&healthy.budget), 19_900);
    assert_eq!(status(&healthy.budget, EAST).slow_readings, 0);
    let troubled = status(&slow.budget, EAST);
    assert_eq!((troubled.slow_readings, troubled.signatures), (200, None), "nothing is kept of them");
}

#[tokio::test]
async fn answers_under_a_slow_reading_leave_their_slots_until_their_time() {
    let site = Site::new(1, 50).await;
    let replica = site.replica().await;
    let budget = &replica.budget;
    let mut rows = Rows::of(&[EAST, "subscription:s"]);
    let mut session = rows.begin(budget, 0, 1).unwrap();
    session.set_aside(&needs(budget, "east")).unwrap();
    let slots = session.grant(&needs(budget, "east"), None).unwrap();
    rows.commit(session);
    let mut session = rows.begin(budget, 500, 100).unwrap();
    session.throttled(&slots);
    session.answered(&slots);
    rows.commit(session);
    for at in (1_000..15_000).step_by(1_000) {
        let mut session = rows.begin(budget, at, 1).unwrap();
        assert!(session.set_aside(&needs(budget, "east")).is_err(), "{at}");
        rows.commit(session);
    }
    let mut session = rows.begin(budget, 15_100, 1).unwrap();
    assert_eq!(session.set_aside(&needs(budget, "east")), Ok(()));
}

#[tokio::test]
async fn a_row_that_cannot_be_read_stays_as_it_is_and_stops_nobody_else() {
    let site = Site::new(5, 50).await;
    let replica = site.replica().await;
    let budget = &replica.budget;
    let slots = replica.granted("east", 1).await.remove(0);
    // Another process's, which does not remember the rows of the real database.
    let other = site.replica().await;
    let budget_of_other = &other.budget;
    let mut rows = Rows::of(&[EAST, "vault:west.vault.azure.net", "subscription:s"]);
    rows.texts.insert(EAST.into(), Some("{\"v\":99}".to_owned()));
    let mut session = rows.begin(budget_of_other, 0, 1).unwrap();
    session.throttled(&slots[..1]);
    assert_eq!(session.set_aside(&needs(budget, "east")), Err(250));
    assert_eq!(session.set_aside(&needs(budget, "west")), Ok(()));
    let at = Timestamp::from_millis(0);
    assert_eq!(session.admit(&budget.alternatives([["east"]]), at), Err("budget_unreadable"));
    assert_eq!(session.admit(&budget.alternatives([["east", "west"]]), at), Ok(()), "its neighbour can be");
    session.answered(&slots);
    assert_eq!(rows.commit(session), 2);
    assert_eq!(rows.texts[EAST].as_deref(), Some("{\"v\":99}"));
    assert_eq!(status(budget_of_other, EAST).unreadable, 1);
    let nobody = Rows::of(&["vault:nobody"]).begin(budget, 0, 1);
    assert!(matches!(nobody, Err(StoreError::Corrupt("a meter's id"))));
}

#[tokio::test]
async fn a_row_that_is_gone_pauses_its_meter() {
    let site = Site::new(5, 50).await;
    let replica = site.replica().await;
    let budget = &replica.budget;
    let mut rows = Rows::of(&[EAST, "subscription:s"]);
    // Another server than the one that made the tables: what was granted on that one may be out.
    rows.is_complete = false;
    let mut session = rows.begin(budget, 0, 1).unwrap();
    assert_eq!(session.set_aside(&needs(budget, "east")), Err(15_500));
    let refused = session.admit(&budget.alternatives([["east"]]), Timestamp::from_millis(0));
    assert_eq!(refused, Err("budget_paused"));
    rows.commit(session);
    for at in (1_000..=15_000).step_by(1_000) {
        let mut session = rows.begin(budget, at, 1).unwrap();
        assert_eq!(session.set_aside(&needs(budget, "east")), Err(15_500 - at));
        rows.commit(session);
    }
    let mut session = rows.begin(budget, 15_500, 1).unwrap();
    assert_eq!(session.set_aside(&needs(budget, "east")), Ok(()));
    rows.commit(session);
    // A process that remembers the row knows that it was there, whatever the server.
    rows.is_complete = true;
    rows.texts.insert(EAST.into(), None);
    let mut session = rows.begin(budget, 16_000, 1).unwrap();
    assert_eq!(session.set_aside(&needs(budget, "east")), Err(15_500));
    drop(session);
    let other = site.replica().await;
    let mut session = rows.begin(&other.budget, 16_000, 1).unwrap();
    assert_eq!(session.set_aside(&needs(&other.budget, "east")), Ok(()), "its first use ever");
}

#[test]
fn trouble_is_told_once_until_it_is_over() {
    let mut trouble = Trouble::default();
    let at = |seconds: u64| BootTime::from_nanos(seconds * 1_000_000_000);
    let begins = [0, 5, 14, 23, 33, 34].map(|second| trouble.happened(at(second)));
    assert_eq!(begins, [true, false, false, false, true, false]);
    assert_eq!(trouble.count, 6);
}
