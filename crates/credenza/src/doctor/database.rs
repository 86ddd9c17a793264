//! Whether what was committed is still there after a power cut or a failover, and whether the busy rows stay fast.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::{Clock, Timestamp};
use store::doctor::{Durability, Schema, Server};
use store::{DatabaseUrl, Store};

use super::judge;
use super::report::Report;
use crate::clock::SystemClock;

const AREA: &str = "database";

/// Transactions that are open for longer keep the versions of the busy rows from being cleaned up.
const OLD: Duration = Duration::from_secs(60);

/// How long the database may take to be opened.
const OPEN_LIMIT: Duration = Duration::from_secs(10);

/// File systems on which SQLite's locks and flushes depend on another machine.
const NETWORK: [&str; 12] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "lustre",
    "fuse.sshfs",
    "fuse.glusterfs",
];

/// Why there is no database that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoStore {
    /// SQLite's file is not there yet.
    #[error("there is no database yet")]
    Absent,
    /// It cannot be opened.
    #[error("the database cannot be reached")]
    Unreachable,
    /// There are no tables yet.
    #[error("the database has no tables yet")]
    Empty,
    /// An older program made its tables.
    #[error("the tables of the database are older than this program")]
    Behind,
    /// A newer program made its tables.
    #[error("the tables of the database are newer than this program")]
    Newer,
    /// Its tables cannot be read.
    #[error("the tables of the database cannot be read")]
    Unreadable,
}

/// Checks the database; gives it for what comes next, unless it cannot be used.
pub async fn check(report: &mut Report, url: &DatabaseUrl) -> Result<Arc<Store>, NoStore> {
    if let DatabaseUrl::Sqlite(path) = url {
        if !path.exists() {
            report.warn(
                AREA,
                "open",
                format!("{} does not exist yet", path.display()),
                "the first start makes it, `credenza migrate` too; keys and permissions are looked at from then on",
            );
            return Err(NoStore::Absent);
        }
        file_system(report, path);
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let opened = tokio::time::timeout(OPEN_LIMIT, Store::open_as_is(url, clock)).await;
    let store = match opened {
        Ok(Ok(store)) => Arc::new(store),
        Ok(Err(error)) => {
            report.fail(
                AREA,
                "open",
                with_causes(&error),
                "check database.url, and that the server takes connections",
            );
            return Err(NoStore::Unreachable);
        }
        Err(_elapsed) => {
            let found = format!("no connection within {} s", OPEN_LIMIT.as_secs());
            report.fail(AREA, "open", found, "check database.url and the way to the server");
            return Err(NoStore::Unreachable);
        }
    };
    report.ok(AREA, "open", format!("{url:?}"));
    let usable = schema(report, &store).await;
    match store.durability(OLD).await {
        Ok(Durability::Sqlite { journal_mode, synchronous }) => sqlite(report, &journal_mode, synchronous),
        Ok(Durability::Postgres(server)) => postgres(report, &server),
        Err(error) => {
            report.fail(AREA, "durability", with_causes(&error), "see the database's log");
        }
    }
    if matches!(url, DatabaseUrl::Postgres(_)) {
        time(report, &store).await;
    }
    usable.map(|()| store)
}

async fn schema(report: &mut Report, store: &Store) -> Result<(), NoStore> {
    match store.schema().await {
        Ok(Schema::Current) => report.ok(AREA, "schema", "up to date"),
        Ok(Schema::Absent) => {
            report.warn(
                AREA,
                "schema",
                "there are no tables yet",
                "the first start makes them, `credenza migrate` too",
            );
            return Err(NoStore::Empty);
        }
        Ok(Schema::Behind { found, known }) => {
            report.warn(
                AREA,
                "schema",
                format!("version {found}, this program has {known}"),
                "`credenza migrate` or the next start of this program brings it up to date",
            );
            return Err(NoStore::Behind);
        }
        Ok(Schema::Newer { found, known }) => {
            report.fail(
                AREA,
                "schema",
                format!("version {found}, this program knows up to {known}"),
                "use the newer program: this one refuses to start",
            );
            return Err(NoStore::Newer);
        }
        Err(error) => {
            report.fail(AREA, "schema", with_causes(&error), "our user has to be able to read the tables");
            return Err(NoStore::Unreadable);
        }
    }
    Ok(())
}

fn sqlite(report: &mut Report, journal_mode: &str, synchronous: i64) {
    if journal_mode.eq_ignore_ascii_case("wal") {
        report.ok(AREA, "journal_mode", "wal");
    } else {
        report.fail(
            AREA,
            "journal_mode",
            journal_mode,
            "the file could not be switched to a write-ahead log: its directory has to be writable and on a local disk",
        );
    }
    // 2: FULL, 3: EXTRA.
    if synchronous >= 2 {
        report.ok(AREA, "synchronous", "full: a committed intent survives a power cut");
    } else {
        report.fail(
            AREA,
            "synchronous",
            format!("{synchronous}"),
            "a power cut could lose committed intents, and signatures would be off the record: this build of SQLite \
             overrides our setting",
        );
    }
}

fn postgres(report: &mut Report, server: &Server) {
    report.ok(AREA, "version", format!("PostgreSQL {}", server.version));
    if server.in_recovery {
        report.fail(
            AREA,
            "role",
            "the server is a replica",
            "name the primary in database.url: a replica takes no changes",
        );
    }
    if server.fsync {
        report.ok(AREA, "fsync", "on");
    } else {
        report.fail(
            AREA,
            "fsync",
            "off",
            "set fsync = on: without it a power cut loses committed intents, and signatures would be off the record",
        );
    }
    if server.full_page_writes {
        report.ok(AREA, "full_page_writes", "on");
    } else {
        report.fail(
            AREA,
            "full_page_writes",
            "off",
            "set full_page_writes = on: a page that a power cut tears cannot be repaired without it",
        );
    }
    if ["on", "remote_apply", "remote_write"].contains(&server.synchronous_commit.as_str()) {
        report.ok(AREA, "synchronous_commit", format!("{} in our sessions", server.synchronous_commit));
    } else {
        report.fail(
            AREA,
            "synchronous_commit",
            format!("{} in our sessions", server.synchronous_commit),
            "our sessions ask for `on`: something between us and the server (a pooler) sets another value. Remove it",
        );
    }
    replication(report, server);
    transactions(report, server);
}

fn replication(report: &mut Report, server: &Server) {
    let synchronous = |state: &str| matches!(state, "sync" | "quorum");
    let named = |server: &Server| {
        let states: Vec<String> = server
            .replicas
            .iter()
            .map(|replica| format!("{} {}", replica.name, replica.sync_state))
            .collect();
        states.join(", ")
    };
    let has_synchronous = server.replicas.iter().any(|replica| synchronous(&replica.sync_state));
    let hidden = server.replicas.iter().any(|replica| replica.sync_state.is_empty());
    if !server.synchronous_standby_names.is_empty() && !has_synchronous && !hidden {
        report.fail(
            AREA,
            "replication",
            format!("commits wait for {}, and no such replica is connected", server.synchronous_standby_names),
            "start the replica, or take it out of synchronous_standby_names: nothing can be committed meanwhile",
        );
    } else if server.replicas.is_empty() {
        report.ok(AREA, "replication", "no replica is connected");
    } else if hidden {
        report.warn(
            AREA,
            "replication",
            format!("{} replicas, whose kind our user may not see", server.replicas.len()),
            "GRANT pg_monitor TO our user, so that this can be checked; a failover to an asynchronous replica loses commits",
        );
    } else if has_synchronous {
        report.ok(AREA, "replication", named(server));
    } else {
        report.warn(
            AREA,
            "replication",
            format!("asynchronous only: {}", named(server)),
            "a failover loses the last commits, and with them the record of signatures that were made. Name a replica in \
             synchronous_standby_names, or never fail over without looking at the vault's log afterwards",
        );
    }
}

fn transactions(report: &mut Report, server: &Server) {
    for old in &server.old_transactions {
        report.warn(
            AREA,
            "transactions",
            format!("{} has been open for {} s", old.who, old.open_for.as_secs()),
            "end it: as long as it is open, old versions of the busy rows pile up and every grant of the vault's budget gets \
             slower",
        );
    }
    if server.old_transactions.is_empty() {
        report.ok(AREA, "transactions", format!("none is open for more than {} s", OLD.as_secs()));
    }
    if server.hidden_sessions > 0 {
        report.warn(
            AREA,
            "sessions",
            format!(
                "{} sessions of this database belong to others, and our user may not look at them",
                server.hidden_sessions
            ),
            "GRANT pg_read_all_stats TO our user, so that long transactions of others are seen too",
        );
    }
}

async fn time(report: &mut Report, store: &Store) {
    let clock = SystemClock;
    match store.database_time(&clock).await {
        Ok(reading) => {
            let half = i64::try_from(reading.took.as_millis() / 2).unwrap_or(i64::MAX);
            // In the middle of the exchange, as far as anybody can tell.
            let ours: Timestamp = clock.now().plus_millis(-half);
            let offset = reading.time.millis().saturating_sub(ours.millis());
            judge::clock(report, AREA, "the database's clock", offset, half);
        }
        Err(error) => report.fail(AREA, "clock", with_causes(&error), "see the database's log"),
    }
}

fn file_system(report: &mut Report, path: &Path) {
    let Ok(path) = path.canonicalize() else { return };
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo") else { return };
    match kind_of_file_system(&mounts, &path) {
        Some(kind) if NETWORK.contains(&kind) || kind.starts_with("fuse.") => report.warn(
            AREA,
            "file system",
            format!("{} is on {kind}", path.display()),
            "put it on a local disk: over a network SQLite's locks may not hold and a flush may not reach the disk. Use \
             Postgres where several machines need it",
        ),
        Some("tmpfs" | "ramfs") => report.warn(
            AREA,
            "file system",
            format!("{} is in memory", path.display()),
            "put it on a disk: it is gone with the machine",
        ),
        Some(kind) => report.ok(AREA, "file system", kind),
        None => {}
    }
}

/// The type of the file system that holds `path`, from the text of `/proc/self/mountinfo` (proc(5)): the mount point is
/// the fifth word, the type the first after a lone dash.
fn kind_of_file_system<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let mut best: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let Some((before, after)) = line.split_once(" - ") else { continue };
        let (Some(point), Some(kind)) = (before.split(' ').nth(4), after.split(' ').next()) else { continue };
        let point = point.replace("\\040", " ");
        // Of two mounts at one place the later one is seen.
        if path.starts_with(&point) && best.is_none_or(|(length, _)| point.len() >= length) {
            best = Some((point.len(), kind));
        }
    }
    best.map(|(_, kind)| kind)
}

/// An error with its causes in one line.
pub fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut out = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        out.push_str(": ");
        out.push_str(&cause.to_string());
        next = cause.source();
    }
    out
}

#[cfg(test)]
mod tests;
