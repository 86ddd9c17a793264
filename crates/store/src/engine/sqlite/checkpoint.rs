//! Brings the pages of the write-ahead log back into the database file, on a thread of its own.
//!
//! The writer used to do it after a commit, and everybody who waited for the next one waited for it too. Now the thread
//! copies and syncs while the writer goes on; only what was written meanwhile is left to the writer, between two
//! transactions, because a log that is still being written never comes to its end and cannot begin anew. Owns how long
//! the log becomes. Must not know any table.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use crate::StoreError;

/// How long the log becomes, in pages.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// From here on the thread works. A page that many commits change is copied once.
    pub(super) soon: u32,
    /// From here on the writer does the whole work itself: the thread does not keep up, or has died.
    pub(super) at_most: u32,
}

impl Default for Limits {
    /// 16 and 128 MiB with pages of 4 KiB.
    fn default() -> Self {
        Self { soon: 4096, at_most: 32_768 }
    }
}

/// Rounds of the thread. Each leaves what was written during it, which takes the next one less time.
const ROUNDS: u32 = 4;

/// Whose turn it is. Each state is left by one side only.
mod turn {
    /// Nothing to do; the writer starts the thread.
    pub(super) const QUIET: u8 = 0;
    /// The thread works.
    pub(super) const THREAD: u8 = 1;
    /// The writer does the rest.
    pub(super) const WRITER: u8 = 2;
}

/// What both sides know.
#[derive(Default)]
struct Log {
    /// Pages in the log after the latest commit.
    pages: AtomicU32,
    turn: AtomicU8,
}

/// The writer's side. The thread ends when this is dropped.
pub(super) struct Checkpoints {
    log: Arc<Log>,
    limits: Limits,
    wake: Sender<()>,
}

impl Checkpoints {
    /// Starts the thread with a connection of its own. From now on `writer` makes no checkpoint by itself.
    pub(super) fn start(
        writer: &mut Connection,
        own: Connection,
        limits: Limits,
    ) -> Result<Self, StoreError> {
        // A page that is not synced must not count as copied: the log that still holds it would be written over.
        own.pragma_update(None, "synchronous", "FULL")?;
        let log = Arc::new(Log::default());
        let counted = Arc::clone(&log);
        writer.wal_hook(Some(move |_wal: &mut Wal, pages: std::ffi::c_int| {
            counted.pages.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        let (wake, woken) = channel();
        let shared = Arc::clone(&log);
        std::thread::Builder::new()
            .name("store-log".to_owned())
            .spawn(move || work(&shared, &own, &woken))
            .map_err(StoreError::Thread)?;
        Ok(Self { log, limits, wake })
    }

    /// To be called by the writer between two transactions.
    pub(super) fn between(&self, writer: &Connection) {
        let pages = self.log.pages.load(Ordering::Relaxed);
        match self.log.turn.load(Ordering::Acquire) {
            turn::WRITER => {
                checkpoint(writer);
                self.log.turn.store(turn::QUIET, Ordering::Release);
            }
            turn::QUIET if pages >= self.limits.soon => {
                self.log.turn.store(turn::THREAD, Ordering::Release);
                if self.wake.send(()).is_err() {
                    checkpoint(writer);
                    self.log.turn.store(turn::QUIET, Ordering::Release);
                }
            }
            _ if pages >= self.limits.at_most => checkpoint(writer),
            _ => {}
        }
    }
}

fn work(log: &Log, own: &Connection, woken: &Receiver<()>) {
    while woken.recv().is_ok() {
        for _ in 0..ROUNDS {
            let before = log.pages.load(Ordering::Relaxed);
            checkpoint(own);
            if log.pages.load(Ordering::Relaxed) == before {
                break;
            }
        }
        log.turn.store(turn::WRITER, Ordering::Release);
    }
}

/// Copies what nobody reads from the log any more; waits for nobody.
fn checkpoint(connection: &Connection) {
    let answer: Result<i64, _> = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(0));
    if let Err(error) = answer {
        // Nothing is lost by it: the log holds everything, and the next commit asks again.
        tracing::warn!(%error, "the write-ahead log could not be brought into the database file");
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    use super::*;

    const PAGE: u64 = 4096;

    /// A database file, removed at the end.
    struct File(PathBuf);

    impl File {
        fn new() -> Self {
            Self(std::env::temp_dir().join(format!("credenza-log-{}.db", uuid::Uuid::new_v4())))
        }

        fn open(&self, limits: Limits) -> (Connection, Checkpoints) {
            let mut writer = Connection::open(&self.0).unwrap();
            writer.pragma_update(None, "journal_mode", "WAL").unwrap();
            writer.execute_batch("CREATE TABLE kept (value TEXT)").unwrap();
            let checkpoints =
                Checkpoints::start(&mut writer, Connection::open(&self.0).unwrap(), limits).unwrap();
            (writer, checkpoints)
        }

        fn log_bytes(&self) -> u64 {
            std::fs::metadata(format!("{}-wal", self.0.display())).unwrap().len()
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            for suffix in ["", "-wal", "-shm"] {
                drop(std::fs::remove_file(format!("{}{suffix}", self.0.display())));
            }
        }
    }

    /// One transaction of some pages.
    fn write(writer: &Connection, checkpoints: &Checkpoints) {
        writer.execute("INSERT INTO kept SELECT hex(zeroblob(6000))", []).unwrap();
        checkpoints.between(writer);
    }

    #[test]
    fn the_log_begins_anew_while_writes_go_on_and_nothing_is_lost() {
        let file = File::new();
        let (writer, checkpoints) = file.open(Limits { soon: 64, at_most: u32::MAX });
        let (mut written, mut anew, mut before) = (0, 0, 0);
        let patience = Instant::now() + Duration::from_secs(60);
        while anew < 5 {
            write(&writer, &checkpoints);
            written += 1;
            let pages = checkpoints.log.pages.load(Ordering::Relaxed);
            anew += u32::from(pages < before);
            before = pages;
            assert!(Instant::now() < patience, "{written} rows, {pages} pages");
        }
        // Read while the log is in use, and again after a close that did not come in order.
        let count = |connection: &Connection| -> i64 {
            connection
                .query_row("SELECT COUNT(*) FROM kept WHERE length(value) = 12000", [], |row| row.get(0))
                .unwrap()
        };
        assert_eq!(count(&Connection::open(&file.0).unwrap()), written);
        let copy = File::new();
        for suffix in ["", "-wal"] {
            let name = |file: &File| format!("{}{suffix}", file.0.display());
            std::fs::copy(name(&file), name(&copy)).unwrap();
        }
        let copied = Connection::open(&copy.0).unwrap();
        assert_eq!(count(&copied), written);
        let whole: String = copied.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(whole, "ok");
    }

    #[test]
    fn a_writer_whose_thread_does_nothing_keeps_the_log_short_by_itself() {
        let file = File::new();
        let (writer, checkpoints) = file.open(Limits { soon: u32::MAX, at_most: 64 });
        for _ in 0..200 {
            write(&writer, &checkpoints);
        }
        assert!(file.log_bytes() < 2 * 64 * PAGE, "{} bytes", file.log_bytes());
    }

    #[test]
    fn the_thread_ends_with_the_writer() {
        let file = File::new();
        let (writer, checkpoints) = file.open(Limits { soon: 4, at_most: u32::MAX });
        for _ in 0..20 {
            write(&writer, &checkpoints);
        }
        let log = Arc::downgrade(&checkpoints.log);
        drop((writer, checkpoints));
        let patience = Instant::now() + Duration::from_secs(60);
        while log.upgrade().is_some() {
            assert!(Instant::now() < patience, "the thread still runs");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
