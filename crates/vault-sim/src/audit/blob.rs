//! Owns the log files: the layout of a storage account, written by a thread of its own, late and shuffled where asked.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Attempt, LogConfig, resource_id};
use crate::locked;
use crate::random::Random;

/// How old a written row may get before a reader of the file sees it.
const FLUSH_EVERY: Duration = Duration::from_millis(200);
/// Hours whose files are open at a time.
const MOST_OPEN: usize = 16;

enum Message {
    Row(Arc<Attempt>),
    /// Everything to the files, delayed rows too; answered when done.
    Flush(Sender<()>),
}

/// The writing thread. Dropping it writes what is left.
#[derive(Debug)]
pub struct BlobWriter {
    messages: Mutex<Option<Sender<Message>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// A row that waits for its time; equal times keep their order.
struct Waiting {
    due: Instant,
    number: u64,
    attempt: Arc<Attempt>,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

/// The blob of the hour in which the row's time lies.
fn blob_of(attempt: &Attempt) -> PathBuf {
    let date = attempt.logged_time.date();
    PathBuf::from(format!(
        "insights-logs-auditevent/resourceId={}/y={:04}/m={:02}/d={:02}/h={:02}/m=00/PT1H.json",
        resource_id(&attempt.vault, attempt.profile),
        date.year(),
        u8::from(date.month()),
        date.day(),
        date.hour()
    ))
}

struct Files {
    dir: PathBuf,
    open: BTreeMap<PathBuf, BufWriter<File>>,
}

fn append(path: &Path) -> io::Result<BufWriter<File>> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    Ok(BufWriter::with_capacity(1 << 18, OpenOptions::new().create(true).append(true).open(path)?))
}

impl Files {
    fn write(&mut self, attempt: &Attempt) -> io::Result<()> {
        let blob = blob_of(attempt);
        if !self.open.contains_key(&blob) {
            if self.open.len() >= MOST_OPEN {
                self.flush()?;
                self.open.clear();
            }
            self.open.insert(blob.clone(), append(&self.dir.join(&blob))?);
        }
        self.open.get_mut(&blob).map_or(Ok(()), |file| file.write_all(&attempt.row()))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open.values_mut().try_for_each(|file| file.flush())
    }
}

struct Writer {
    files: Files,
    waiting: BinaryHeap<Reverse<Waiting>>,
    number: u64,
    delay: Duration,
    random: Random,
    flushed: Instant,
}

impl Writer {
    fn take(&mut self, attempt: Arc<Attempt>) {
        let bound = u64::try_from(self.delay.as_micros()).unwrap_or(u64::MAX).saturating_add(1);
        let due = Instant::now() + Duration::from_micros(self.random.below(bound));
        self.number = self.number.saturating_add(1);
        self.waiting.push(Reverse(Waiting { due, number: self.number, attempt }));
    }

    /// Writes what is due, or everything.
    fn write(&mut self, everything: bool) -> io::Result<()> {
        let now = Instant::now();
        while let Some(Reverse(next)) = self.waiting.peek() {
            if !everything && next.due > now {
                break;
            }
            let Some(Reverse(next)) = self.waiting.pop() else { break };
            self.files.write(&next.attempt)?;
        }
        if everything || now.duration_since(self.flushed) >= FLUSH_EVERY {
            self.files.flush()?;
            self.flushed = now;
        }
        Ok(())
    }

    fn run(mut self, messages: &Receiver<Message>) -> io::Result<()> {
        let pause = FLUSH_EVERY / 2;
        loop {
            match messages.recv_timeout(pause) {
                Ok(Message::Row(attempt)) => {
                    self.take(attempt);
                    self.write(false)?;
                }
                Ok(Message::Flush(done)) => {
                    self.write(true)?;
                    // An error says that who asked has gone.
                    done.send(()).unwrap_or_default();
                }
                Err(RecvTimeoutError::Timeout) => self.write(false)?,
                Err(RecvTimeoutError::Disconnected) => return self.write(true),
            }
        }
    }
}

impl BlobWriter {
    /// Starts the thread. `None` when the configuration names no directory.
    ///
    /// # Errors
    /// The directory cannot be made, or the system has no more threads.
    pub fn start(config: &LogConfig, seed: u64) -> io::Result<Option<Self>> {
        let Some(dir) = config.dir.clone() else { return Ok(None) };
        fs::create_dir_all(&dir)?;
        let writer = Writer {
            files: Files { dir, open: BTreeMap::new() },
            waiting: BinaryHeap::new(),
            number: 0,
            delay: config.delay,
            random: Random::new(seed),
            flushed: Instant::now(),
        };
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::Builder::new().name("vault-sim-log".to_owned()).spawn(move || {
            if let Err(error) = writer.run(&receiver) {
                // A log with holes judges nobody: say so and stop taking rows.
                drop(writeln!(io::stderr(), "vault-sim: the audit log cannot be written: {error}"));
            }
        })?;
        Ok(Some(Self { messages: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) }))
    }

    pub fn write(&self, attempt: Arc<Attempt>) {
        if let Some(sender) = locked(&self.messages).as_ref() {
            // Fails only after the thread has said why it ended.
            drop(sender.send(Message::Row(attempt)));
        }
    }

    /// Returns when the files hold everything that was recorded before.
    pub fn flush(&self) {
        let (done, wait) = mpsc::channel();
        let sent = locked(&self.messages).as_ref().map(|sender| sender.send(Message::Flush(done)));
        if matches!(sent, Some(Ok(()))) {
            // An error says that the thread ended, which it has reported.
            wait.recv().unwrap_or_default();
        }
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        drop(locked(&self.messages).take());
        if let Some(thread) = locked(&self.thread).take() {
            drop(thread.join());
        }
    }
}
