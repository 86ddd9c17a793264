//! Group commit: one task per database carries waiting changes to it, many in one transaction.
//!
//! Owns the batching rules: at most one member per request in a batch, and a batch that fails is halved and run again,
//! so that one bad member cannot fail its neighbours. Must not know what the changes mean.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use store::{Store, StoreError, Write, Written};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Members of one transaction. Beyond it a batch only gets slower, not better.
const BATCH: usize = 128;

/// Changes that may wait; beyond it callers wait to hand over theirs.
const QUEUE: usize = 4096;

struct Member {
    write: Arc<Write>,
    reply: oneshot::Sender<Result<Written, StoreError>>,
}

/// Hands changes to the committing task. Cheap to clone.
#[derive(Clone)]
pub struct Committer {
    queue: mpsc::Sender<Member>,
}

impl Committer {
    /// Starts the committing task on the current runtime. It ends after `stop` when no change waits any more.
    #[must_use]
    pub fn start(store: Arc<Store>, stop: CancellationToken) -> (Self, tokio::task::JoinHandle<()>) {
        let (queue, members) = mpsc::channel(QUEUE);
        let task = tokio::spawn(run(store, members, stop));
        (Self { queue }, task)
    }

    /// Commits one change together with others; answers when it is durable.
    pub async fn submit(&self, write: Write) -> Result<Written, StoreError> {
        let (reply, answer) = oneshot::channel();
        let member = Member { write: Arc::new(write), reply };
        self.queue.send(member).await.map_err(|_stopped| StoreError::Closed)?;
        answer.await.map_err(|_stopped| StoreError::Closed)?
    }

    /// Hands over a change whose result nobody waits for, such as a note in the ledger. Dropped when the queue is
    /// full: notes must not slow down issuing.
    pub fn note(&self, write: Write) {
        let (reply, _nobody) = oneshot::channel();
        if self.queue.try_send(Member { write: Arc::new(write), reply }).is_err() {
            tracing::warn!("the ledger's queue is full, a note was dropped");
        }
    }
}

async fn run(store: Arc<Store>, mut members: mpsc::Receiver<Member>, stop: CancellationToken) {
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
        commit(&store, batch).await;
    }
}

/// The next batch: what was deferred first, then what waits; a second change of one request is left for later.
fn gather(deferred: &mut VecDeque<Member>, members: &mut mpsc::Receiver<Member>) -> Vec<Member> {
    let mut batch = Vec::new();
    let mut requests = HashSet::new();
    let mut later = VecDeque::new();
    while batch.len() < BATCH {
        let Some(member) = deferred.pop_front().or_else(|| members.try_recv().ok()) else { break };
        match member.write.request() {
            Some(request) if !requests.insert(request) => later.push_back(member),
            _ => batch.push(member),
        }
    }
    later.append(deferred);
    *deferred = later;
    batch
}

async fn commit(store: &Store, batch: Vec<Member>) {
    let mut waiting = vec![batch];
    while let Some(mut batch) = waiting.pop() {
        let writes = batch.iter().map(|member| Arc::clone(&member.write)).collect();
        match store.commit(writes).await {
            Ok(results) => {
                for (member, written) in batch.into_iter().zip(results) {
                    // Whoever asked may be gone; what was committed stays committed.
                    drop(member.reply.send(Ok(written)));
                }
            }
            Err(error) if batch.len() == 1 => {
                tracing::warn!(%error, "a change could not be committed");
                for member in batch {
                    drop(member.reply.send(Err(StoreError::Closed)));
                }
            }
            Err(error) => {
                tracing::warn!(%error, members = batch.len(), "a batch could not be committed, halving it");
                let second = batch.split_off(batch.len() / 2);
                waiting.push(second);
                waiting.push(batch);
            }
        }
    }
}
