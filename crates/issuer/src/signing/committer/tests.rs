//! What becomes of a batch when the database fails, and of those who wait for it.

use std::sync::Mutex;

use domain::audit::{Event, EventKind, Subject};
use domain::{Timestamp, TransactionId};
use uuid::Uuid;

use super::*;

mod waiting;

/// How a stand-in answers a batch.
type Answer = Box<dyn Fn(&[u64]) -> Option<Result<(), StoreError>> + Send + Sync>;

/// A database that answers as a test says; `None` is no answer at all. Numbers tell its members apart.
struct Database {
    answer: Answer,
    batches: Mutex<Vec<Vec<u64>>>,
}

impl Database {
    fn new(
        answer: impl Fn(&[u64]) -> Option<Result<(), StoreError>> + Send + Sync + 'static,
    ) -> (Arc<Self>, Committer) {
        let database = Arc::new(Self { answer: Box::new(answer), batches: Mutex::default() });
        let (committer, _task) = Committer::start(Arc::clone(&database), CancellationToken::new());
        (database, committer)
    }

    fn sizes(&self) -> Vec<usize> {
        self.batches.lock().unwrap().iter().map(Vec::len).collect()
    }
}

#[async_trait]
impl Commits for Database {
    async fn commit(&self, batch: Vec<Arc<Write>>) -> Result<Committed, StoreError> {
        let numbers: Vec<u64> = batch.iter().map(|write| number(write)).collect();
        self.batches.lock().unwrap().push(numbers.clone());
        match (self.answer)(&numbers) {
            Some(Ok(())) => Ok(done(batch.len())),
            Some(Err(error)) => Err(error),
            None => std::future::pending().await,
        }
    }

    fn waiting(&self, waiting: HashMap<MeterName, u64>) {
        assert!(waiting.is_empty(), "notes need no slots: {waiting:?}");
    }
}

fn done(members: usize) -> Committed {
    Committed { written: vec![Written::Done; members], slots: HashMap::new(), began: BootTime::from_nanos(0) }
}

fn numbered(number: u64) -> Write {
    let subject = Subject {
        tenant: "a5f1c9d2-0000-4000-8000-00000000abcd".parse().unwrap(),
        transaction: TransactionId::new(Uuid::from_u64_pair(0, number)),
        authority: None,
        contract: None,
        client: None,
        customer: None,
    };
    Write::Note(Box::new(Event::new(&subject, EventKind::AdminChange, Timestamp::from_millis(0))))
}

fn number(write: &Write) -> u64 {
    let Write::Note(event) = write else { panic!("only notes are numbered") };
    event.subject.transaction.as_uuid().as_u64_pair().1
}

/// Hands over members 0 to `count` at once.
async fn submit_all(committer: &Committer, count: u64) -> Vec<Result<Written, StoreError>> {
    futures_util::future::join_all((0..count).map(|number| committer.submit(numbered(number)))).await
}

#[tokio::test(start_paused = true)]
async fn a_refused_member_fails_alone() {
    let (database, committer) = Database::new(|numbers| {
        Some(if numbers.contains(&5) { Err(StoreError::Corrupt("five")) } else { Ok(()) })
    });
    let results = submit_all(&committer, 8).await;
    for (number, result) in results.iter().enumerate() {
        match result {
            Ok(Written::Done) => assert_ne!(number, 5),
            Err(error) => {
                assert_eq!(number, 5);
                assert!(error.is_rejected_data(), "the real reason comes back: {error:?}");
                assert_eq!(error.to_string(), StoreError::Corrupt("five").to_string());
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(database.sizes(), [8, 4, 4, 2, 1, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_gone_fails_a_batch_at_once() {
    let gone = || StoreError::Thread(std::io::ErrorKind::ConnectionReset.into());
    let (database, committer) = Database::new(move |_| Some(Err(gone())));
    let results = submit_all(&committer, 100).await;
    for result in results {
        let error = result.unwrap_err();
        assert!(
            matches!(&error, StoreError::Batch(cause) if matches!(**cause, StoreError::Thread(_))),
            "{error:?}"
        );
        assert!(!error.is_rejected_data());
    }
    assert_eq!(database.sizes(), [100], "neither halved nor repeated: it may have been committed");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_without_end_and_what_nobody_waits_for_is_left_out() {
    let (database, committer) =
        Database::new(|numbers| if numbers.contains(&0) { None } else { Some(Ok(())) });
    let begun = Instant::now();
    let first = tokio::spawn({
        let committer = committer.clone();
        async move { committer.submit(numbered(0)).await }
    });
    // They come while the first batch hangs.
    tokio::time::sleep(Duration::from_millis(10)).await;
    let early = tokio::spawn({
        let committer = committer.clone();
        async move { committer.submit(numbered(1)).await }
    });
    tokio::time::sleep(Duration::from_secs(3)).await;
    let late = committer.submit(numbered(2)).await;
    assert!(matches!(late, Ok(Written::Done)), "the committer goes on after {LIMIT:?}: {late:?}");
    assert!(begun.elapsed() < LIMIT + Duration::from_secs(1), "{:?}", begun.elapsed());
    let error = first.await.unwrap().unwrap_err();
    assert!(matches!(&error, StoreError::TimedOut | StoreError::Batch(_)), "{error:?}");
    drop(early.await.unwrap());
    assert!(database.sizes().len() <= 3);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_timed_out_in_the_queue_is_not_made() {
    // Each batch takes longer than half of the limit, and holds one member.
    struct Slow(Mutex<Vec<u64>>);
    #[async_trait]
    impl Commits for Slow {
        async fn commit(&self, batch: Vec<Arc<Write>>) -> Result<Committed, StoreError> {
            self.0.lock().unwrap().extend(batch.iter().map(|write| number(write)));
            tokio::time::sleep(LIMIT - Duration::from_millis(1)).await;
            Ok(done(batch.len()))
        }

        fn waiting(&self, _waiting: HashMap<MeterName, u64>) {}
    }
    let slow = Arc::new(Slow(Mutex::default()));
    let (committer, _task) = Committer::start(Arc::clone(&slow), CancellationToken::new());
    let spawned = |number| {
        let committer = committer.clone();
        tokio::spawn(async move { committer.submit(numbered(number)).await })
    };
    let first = spawned(0);
    tokio::time::sleep(Duration::from_millis(10)).await;
    // Fills the second batch.
    let second: Vec<_> = (1..=128).map(spawned).collect();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let third = spawned(129);
    assert!(matches!(first.await.unwrap(), Ok(Written::Done)));
    for waiting in second {
        assert!(matches!(waiting.await.unwrap(), Err(StoreError::TimedOut)));
    }
    assert!(matches!(third.await.unwrap(), Err(StoreError::TimedOut)));
    tokio::time::sleep(3 * LIMIT).await;
    assert_eq!(slow.0.lock().unwrap().len(), 129, "the third batch was never begun");
}

#[tokio::test(start_paused = true)]
async fn a_committer_that_ended_says_so() {
    let database = Database { answer: Box::new(|_| Some(Ok(()))), batches: Mutex::default() };
    let stop = CancellationToken::new();
    let (committer, task) = Committer::start(Arc::new(database), stop.clone());
    assert!(committer.is_running());
    stop.cancel();
    task.await.unwrap();
    assert!(!committer.is_running());
    assert!(matches!(committer.submit(numbered(0)).await, Err(StoreError::Closed)));

    let (_database, committer) = Database::new(|_| panic!("as a bug would"));
    assert!(matches!(committer.submit(numbered(0)).await, Err(StoreError::Closed)));
    assert!(!committer.is_running(), "a panic ended it");
}
