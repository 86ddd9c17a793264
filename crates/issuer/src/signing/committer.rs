//! Group commit: one task per database carries waiting changes to it, many in one transaction.
//!
//! Owns the batching rules: at most one member per request in a batch; a batch whose data the database refuses is halved
//! and run again, so that one bad member cannot fail its neighbours; any other failure is every member's at once, because
//! the database is gone or what it did is unknown. Nobody waits without end. Must not know what the changes mean.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use store::{Store, StoreError, Write, Written};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Members of one transaction. Beyond it a batch only gets slower, not better.
const BATCH: usize = 128;

/// Changes that may wait; beyond it callers wait to hand over theirs.
const QUEUE: usize = 4096;

/// How long a change may take from being handed over, and a transaction from its beginning: a wallet gives up after 10 s.
const LIMIT: Duration = Duration::from_secs(8);

/// Takes batches: the store, or a test's stand-in.
#[async_trait]
pub trait Commits: Send + Sync + 'static {
    /// Commits a batch; answers in the order of its members.
    async fn commit(&self, batch: Vec<Arc<Write>>) -> Result<Vec<Written>, StoreError>;
}

#[async_trait]
impl Commits for Store {
    async fn commit(&self, batch: Vec<Arc<Write>>) -> Result<Vec<Written>, StoreError> {
        Self::commit(self, batch).await
    }
}

struct Member {
    write: Arc<Write>,
    reply: oneshot::Sender<Result<Written, StoreError>>,
    /// When its caller stops waiting; a note has nobody who waits.
    until: Option<Instant>,
}

/// Hands changes to the committing task. Cheap to clone.
#[derive(Clone)]
pub struct Committer {
    queue: mpsc::Sender<Member>,
}

impl Committer {
    /// Starts the committing task on the current runtime. It ends after `stop` when no change waits any more.
    #[must_use]
    pub fn start<C: Commits>(store: Arc<C>, stop: CancellationToken) -> (Self, tokio::task::JoinHandle<()>) {
        let (queue, members) = mpsc::channel(QUEUE);
        let task = tokio::spawn(run(store, members, stop));
        (Self { queue }, task)
    }

    /// Commits one change together with others; answers when it is durable.
    ///
    /// # Errors
    /// What failed the change or its whole batch; [`StoreError::TimedOut`] after 8 s. Except after
    /// [`StoreError::is_rejected_data`] it is unknown whether the change was stored.
    pub async fn submit(&self, write: Write) -> Result<Written, StoreError> {
        let (reply, answer) = oneshot::channel();
        let until = Instant::now() + LIMIT;
        let member = Member { write: Arc::new(write), reply, until: Some(until) };
        let committed = async {
            self.queue.send(member).await.map_err(|_stopped| StoreError::Closed)?;
            answer.await.map_err(|_stopped| StoreError::Closed)?
        };
        tokio::time::timeout_at(until, committed).await.unwrap_or(Err(StoreError::TimedOut))
    }

    /// Hands over a change whose result nobody waits for, such as a note in the ledger. Dropped when the queue is
    /// full: notes must not slow down issuing.
    pub fn note(&self, write: Write) {
        let (reply, _nobody) = oneshot::channel();
        if self.queue.try_send(Member { write: Arc::new(write), reply, until: None }).is_err() {
            tracing::warn!("the ledger's queue is full, a note was dropped");
        }
    }

    /// Whether the committing task takes changes: not after its end, whatever ended it.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.queue.is_closed()
    }
}

async fn run<C: Commits>(store: Arc<C>, mut members: mpsc::Receiver<Member>, stop: CancellationToken) {
    let mut deferred: VecDeque<Member> = VecDeque::new();
    loop {
        if deferred.is_empty() {
            let first = tokio::select! {
                biased;
                member = members.recv() => member,
                () = stop.cancelled() => {
                    members.close();
                    members.recv().await
                }
            };
            match first {
                Some(member) => deferred.push_back(member),
                None => return,
            }
        }
        let batch = gather(&mut deferred, &mut members);
        commit(&*store, batch).await;
    }
}

/// The next batch: what was deferred first, then what waits; a second change of one request is left for later, and a
/// change whose caller has given up is left out.
fn gather(deferred: &mut VecDeque<Member>, members: &mut mpsc::Receiver<Member>) -> Vec<Member> {
    let now = Instant::now();
    let mut batch = Vec::new();
    let mut requests = HashSet::new();
    let mut later = VecDeque::new();
    while batch.len() < BATCH {
        let Some(member) = deferred.pop_front().or_else(|| members.try_recv().ok()) else { break };
        if member.until.is_some_and(|until| until <= now) {
            drop(member.reply.send(Err(StoreError::TimedOut)));
            continue;
        }
        match member.write.request() {
            Some(request) if !requests.insert(request) => later.push_back(member),
            _ => batch.push(member),
        }
    }
    later.append(deferred);
    *deferred = later;
    batch
}

async fn commit(store: &impl Commits, batch: Vec<Member>) {
    let mut waiting = vec![batch];
    while let Some(mut batch) = waiting.pop() {
        if batch.is_empty() {
            continue;
        }
        let writes = batch.iter().map(|member| Arc::clone(&member.write)).collect();
        let result =
            tokio::time::timeout(LIMIT, store.commit(writes)).await.unwrap_or(Err(StoreError::TimedOut));
        match result {
            Ok(results) => {
                for (member, written) in batch.into_iter().zip(results) {
                    // Whoever asked may be gone; what was committed stays committed.
                    drop(member.reply.send(Ok(written)));
                }
            }
            // Nothing of it was stored, so running it again counts nothing twice.
            Err(error) if error.is_rejected_data() && batch.len() > 1 => {
                tracing::warn!(%error, members = batch.len(), "a batch was refused, halving it");
                let second = batch.split_off(batch.len() / 2);
                waiting.push(second);
                waiting.push(batch);
            }
            Err(error) => {
                tracing::warn!(%error, cause = cause(&error), members = batch.len(), "changes could not be committed");
                let error = Arc::new(error);
                for member in batch {
                    drop(member.reply.send(Err(StoreError::Batch(Arc::clone(&error)))));
                }
            }
        }
    }
}

fn cause(error: &StoreError) -> Option<String> {
    std::error::Error::source(error).map(ToString::to_string)
}

#[cfg(test)]
mod tests;
