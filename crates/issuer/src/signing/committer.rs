//! Group commit: one task per database carries waiting changes to it, many in one transaction.
//!
//! Owns the batching rules: at most one member per request in a batch; a batch whose data the database refuses is halved
//! and run again, so that one bad member cannot fail its neighbours; any other failure is every member's at once, because
//! the database is gone or what it did is unknown. Members that need slots wait in their lanes (`lanes`) while there are
//! none; nobody else waits for them. Nobody waits without end. Must not know what the changes mean.

mod lanes;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::BootTime;
use store::{Committed, MeterName, Slot, StoreError, Write, Written};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::lanes::Lane;
use self::lanes::Lanes;

/// Members of one transaction that need no slot. Beyond it a batch only gets slower, not better.
const BATCH: usize = 128;

/// The same for members that do: they have places of their own, so that neither kind keeps the other waiting.
const SLOTTED: usize = 128;

/// Changes that may wait; beyond it callers wait to hand over theirs.
const QUEUE: usize = 4096;

/// How long a change may take from being handed over, and a transaction from its beginning: a wallet gives up after 10 s.
const LIMIT: Duration = Duration::from_secs(8);

/// Takes batches: the store with its budget, or a test's stand-in.
#[async_trait]
pub trait Commits: Send + Sync + 'static {
    /// Commits a batch; answers in the order of its members.
    async fn commit(&self, batch: Vec<Arc<Write>>) -> Result<Committed, StoreError>;

    /// How many units of signatures wait for slots of each meter, those of the next batch included.
    fn waiting(&self, waiting: HashMap<MeterName, u64>);
}

/// What became of a change.
#[derive(Debug)]
pub struct Answered {
    /// As the store says it. [`Written::NoSlot`] means that its time was up before there was one.
    pub written: Written,
    /// The slots that it took.
    pub slots: Vec<Slot>,
    /// When its batch began, before its transaction.
    pub began: BootTime,
}

struct Member {
    write: Arc<Write>,
    reply: oneshot::Sender<Result<Answered, StoreError>>,
    lane: Lane,
    /// When its caller stops waiting; a note has nobody who waits.
    until: Option<Instant>,
}

/// Hands changes to the committing task. Cheap to clone.
#[derive(Clone)]
pub struct Committer {
    queue: mpsc::Sender<Member>,
    /// Apart, so that a crowd without slots does not keep outcomes from coming in.
    slotted: mpsc::Sender<Member>,
}

impl Committer {
    /// Starts the committing task on the current runtime. It ends after `stop` when no change waits any more.
    #[must_use]
    pub fn start<C: Commits>(store: Arc<C>, stop: CancellationToken) -> (Self, tokio::task::JoinHandle<()>) {
        let (queue, members) = mpsc::channel(QUEUE);
        let (slotted, waiting) = mpsc::channel(QUEUE);
        let task = tokio::spawn(run(store, Inbox { members, waiting }, stop));
        (Self { queue, slotted }, task)
    }

    /// Commits one change together with others; answers when it is durable.
    ///
    /// # Errors
    /// What failed the change or its whole batch; [`StoreError::TimedOut`] after 8 s. Except after
    /// [`StoreError::is_rejected_data`] it is unknown whether the change was stored.
    pub async fn submit(&self, write: Write) -> Result<Written, StoreError> {
        let until = Instant::now() + LIMIT;
        Ok(self.hand_over(&self.queue, write, Lane::Batch, until, until).await?.written)
    }

    /// The same for a change that may need slots: it waits in its lane until there are some, at most until `until`. After
    /// that it is given up before it takes any, with [`Written::NoSlot`].
    ///
    /// # Errors
    /// As [`Self::submit`]; a change that needs slots has 8 s from when it got them.
    pub async fn submit_in(
        &self,
        lane: Lane,
        write: Write,
        until: std::time::Instant,
    ) -> Result<Answered, StoreError> {
        if write.needs().is_empty() {
            let until = Instant::now() + LIMIT;
            return self.hand_over(&self.queue, write, lane, until, until).await;
        }
        let until = Instant::from_std(until);
        self.hand_over(&self.slotted, write, lane, until, until + LIMIT).await
    }

    /// `until` is when the committing task gives it up while it waits, `limit` when its caller does.
    async fn hand_over(
        &self,
        queue: &mpsc::Sender<Member>,
        write: Write,
        lane: Lane,
        until: Instant,
        limit: Instant,
    ) -> Result<Answered, StoreError> {
        let (reply, answer) = oneshot::channel();
        let member = Member { write: Arc::new(write), reply, lane, until: Some(until) };
        let committed = async {
            queue.send(member).await.map_err(|_stopped| StoreError::Closed)?;
            answer.await.map_err(|_stopped| StoreError::Closed)?
        };
        tokio::time::timeout_at(limit, committed).await.unwrap_or(Err(StoreError::TimedOut))
    }

    /// Hands over a change whose result nobody waits for, such as a note in the ledger. Dropped when the queue is
    /// full: notes must not slow down issuing.
    pub fn note(&self, write: Write) {
        let (reply, _nobody) = oneshot::channel();
        let member = Member { write: Arc::new(write), reply, lane: Lane::Batch, until: None };
        if self.queue.try_send(member).is_err() {
            tracing::warn!("the ledger's queue is full, a note was dropped");
        }
    }

    /// Whether the committing task takes changes: not after its end, whatever ended it.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.queue.is_closed()
    }
}

/// Where changes come in.
struct Inbox {
    members: mpsc::Receiver<Member>,
    waiting: mpsc::Receiver<Member>,
}

/// What has come in and is not committed yet.
#[derive(Default)]
struct Desk {
    deferred: VecDeque<Member>,
    lanes: Lanes,
}

async fn run<C: Commits>(store: Arc<C>, mut inbox: Inbox, stop: CancellationToken) {
    let mut desk = Desk::default();
    let mut stopping = false;
    loop {
        while desk.lanes.len() < QUEUE
            && let Ok(member) = inbox.waiting.try_recv()
        {
            desk.lanes.push(member);
        }
        let now = Instant::now();
        desk.lanes.give_up(if stopping { None } else { Some(now) });
        let batch = gather(&mut desk, &mut inbox.members, now);
        if batch.is_empty() {
            let next = desk.lanes.next_wake().unwrap_or(now + LIMIT);
            // A closed channel without members gives `None` at once, for ever: then its branch is off.
            let (members_end, waiting_end) = (ended(&inbox.members), ended(&inbox.waiting));
            if members_end && waiting_end && desk.lanes.len() == 0 {
                return;
            }
            tokio::select! {
                biased;
                member = inbox.members.recv(), if !members_end => desk.deferred.extend(member),
                member = inbox.waiting.recv(), if !waiting_end && desk.lanes.len() < QUEUE => member.into_iter().for_each(|member| desk.lanes.push(member)),
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    inbox.members.close();
                    inbox.waiting.close();
                }
                () = tokio::time::sleep_until(next) => {}
            }
            continue;
        }
        store.waiting(desk.lanes.waiting(&batch));
        let without = commit(&*store, batch).await;
        desk.lanes.put_back(without, Instant::now());
    }
}

fn ended(queue: &mpsc::Receiver<Member>) -> bool {
    queue.is_closed() && queue.is_empty()
}

/// The next batch: what was deferred first, then what waits, then who needs slots, by lanes. A second change of one
/// request is left for later, and a change whose caller has given up is left out.
fn gather(desk: &mut Desk, members: &mut mpsc::Receiver<Member>, now: Instant) -> Vec<Member> {
    let mut batch = Vec::new();
    let mut requests = HashSet::new();
    let mut later = VecDeque::new();
    while batch.len() < BATCH {
        let Some(member) = desk.deferred.pop_front().or_else(|| members.try_recv().ok()) else { break };
        if member.until.is_some_and(|until| until <= now) {
            drop(member.reply.send(Err(StoreError::TimedOut)));
            continue;
        }
        match member.write.request() {
            Some(request) if !requests.insert(request) => later.push_back(member),
            _ => batch.push(member),
        }
    }
    later.append(&mut desk.deferred);
    desk.deferred = later;
    batch.extend(desk.lanes.take(SLOTTED, now, &mut requests));
    batch
}

/// Commits a batch and answers its members; gives back those for whom there was no slot, with the milliseconds that
/// they should wait.
async fn commit(store: &impl Commits, batch: Vec<Member>) -> Vec<(Member, i64)> {
    let mut without = Vec::new();
    let mut waiting = vec![batch];
    while let Some(mut batch) = waiting.pop() {
        if batch.is_empty() {
            continue;
        }
        let writes = batch.iter().map(|member| Arc::clone(&member.write)).collect();
        let result =
            tokio::time::timeout(LIMIT, store.commit(writes)).await.unwrap_or(Err(StoreError::TimedOut));
        match result {
            Ok(mut committed) => {
                for (index, (member, written)) in batch.into_iter().zip(committed.written).enumerate() {
                    if let Written::NoSlot { wait_ms } = written {
                        without.push((member, wait_ms));
                        continue;
                    }
                    let slots = committed.slots.remove(&index).unwrap_or_default();
                    let answered = Answered { written, slots, began: committed.began };
                    // Whoever asked may be gone; what was committed stays committed.
                    drop(member.reply.send(Ok(answered)));
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
    without
}

fn cause(error: &StoreError) -> Option<String> {
    std::error::Error::source(error).map(ToString::to_string)
}

#[cfg(test)]
mod tests;
