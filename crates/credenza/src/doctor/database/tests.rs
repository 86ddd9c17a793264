//! Settings of servers and files that no test machine has.

use proptest::prelude::*;
use store::doctor::{OpenTransaction, Replica};

use super::*;
use crate::doctor::report::Status;

fn server() -> Server {
    Server {
        version: "15.4".into(),
        synchronous_commit: "on".into(),
        fsync: true,
        full_page_writes: true,
        synchronous_standby_names: String::new(),
        in_recovery: false,
        replicas: Vec::new(),
        old_transactions: Vec::new(),
        hidden_sessions: 0,
    }
}

fn replica(sync_state: &str) -> Replica {
    Replica { name: "standby".into(), sync_state: sync_state.into() }
}

/// Failures and warnings with their texts.
fn judged(server: &Server) -> (usize, usize, String) {
    let mut report = Report::default();
    postgres(&mut report, server);
    (report.count(Status::Fail), report.count(Status::Warn), report.table())
}

#[test]
fn a_good_server_has_nothing_to_mend() {
    let (failures, warnings, table) = judged(&server());
    assert_eq!((failures, warnings), (0, 0), "{table}");
    let standby = Server {
        synchronous_standby_names: "standby".into(),
        replicas: vec![replica("sync"), replica("async")],
        ..server()
    };
    let (failures, warnings, table) = judged(&standby);
    assert_eq!((failures, warnings), (0, 0), "{table}");
}

#[test]
fn what_loses_commits_fails() {
    for (bad, expected) in [
        (Server { fsync: false, ..server() }, "set fsync = on"),
        (Server { full_page_writes: false, ..server() }, "set full_page_writes = on"),
        (Server { synchronous_commit: "off".into(), ..server() }, "pooler"),
        (Server { synchronous_commit: "local".into(), ..server() }, "pooler"),
        (Server { in_recovery: true, ..server() }, "name the primary"),
        (Server { synchronous_standby_names: "standby".into(), ..server() }, "start the replica"),
        (
            Server { synchronous_standby_names: "x".into(), replicas: vec![replica("async")], ..server() },
            "start the replica",
        ),
    ] {
        let (failures, _, table) = judged(&bad);
        assert_eq!(failures, 1, "{table}");
        assert!(table.contains(expected), "{table}");
    }
}

#[test]
fn what_may_lose_them_or_slows_down_is_warned_of() {
    let old = OpenTransaction { who: "process 7 (me, psql, idle in transaction)".into(), open_for: OLD * 5 };
    for (odd, expected) in [
        (Server { replicas: vec![replica("async")], ..server() }, "asynchronous only: standby async"),
        (Server { replicas: vec![replica("")], ..server() }, "pg_monitor"),
        (
            Server { old_transactions: vec![old], ..server() },
            "process 7 (me, psql, idle in transaction) has been open",
        ),
        (Server { hidden_sessions: 3, ..server() }, "pg_read_all_stats"),
    ] {
        let (failures, warnings, table) = judged(&odd);
        assert_eq!((failures, warnings), (0, 1), "{table}");
        assert!(table.contains(expected), "{table}");
    }
}

#[test]
fn a_file_has_to_be_flushed_and_logged() {
    for (mode, synchronous, failures) in
        [("wal", 2, 0), ("WAL", 3, 0), ("delete", 2, 1), ("wal", 1, 1), ("memory", 0, 2)]
    {
        let mut report = Report::default();
        sqlite(&mut report, mode, synchronous);
        assert_eq!(report.count(Status::Fail), failures, "{mode} {synchronous}");
    }
}

const MOUNTS: &str = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
    30 22 0:26 / /mnt/share rw - nfs4 server:/export rw\n\
    31 22 0:27 / /mnt/my\\040disk rw - xfs /dev/sdb1 rw\n\
    32 22 0:28 / /mnt/share/local rw - ext4 /dev/sdc1 rw\n\
    garbage\n";

#[test]
fn the_innermost_mount_counts() {
    let kind = |path: &str| kind_of_file_system(MOUNTS, Path::new(path));
    assert_eq!(kind("/var/lib/credenza.db"), Some("ext4"));
    assert_eq!(kind("/mnt/share/credenza.db"), Some("nfs4"));
    assert_eq!(kind("/mnt/shared/credenza.db"), Some("ext4"), "only whole names count");
    assert_eq!(kind("/mnt/share/local/credenza.db"), Some("ext4"));
    assert_eq!(kind("/mnt/my disk/credenza.db"), Some("xfs"));
    assert_eq!(kind_of_file_system("", Path::new("/")), None);
}

proptest! {
    #[test]
    fn any_list_of_mounts_is_read(text in "(?s).{0,200}", path in "/[a-z/ ]{0,20}") {
        let kind = kind_of_file_system(&text, Path::new(&path));
        prop_assert!(kind.is_none_or(|kind| text.contains(kind)));
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_yet_is_no_failure_and_is_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("credenza.db");
    let mut report = Report::default();
    let url = DatabaseUrl::Sqlite(path.clone());
    assert_eq!(check(&mut report, &url).await.err(), Some(NoStore::Absent));
    assert!(report.is_good() && report.count(Status::Warn) == 1);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_database_of_ours_is_good_and_gets_no_tables_by_being_looked_at() {
    let directory = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::Sqlite(directory.path().join("credenza.db"));
    drop(Store::open_as_is(&url, Arc::new(SystemClock)).await.unwrap());
    let mut report = Report::default();
    assert_eq!(check(&mut report, &url).await.err(), Some(NoStore::Empty), "there is nothing to read");
    assert!(report.table().contains("no tables yet"), "{}", report.table());
    drop(Store::open(&url, Arc::new(SystemClock)).await.unwrap());
    let mut report = Report::default();
    assert!(check(&mut report, &url).await.is_ok());
    assert!(report.is_good(), "{}", report.table());
    assert!(report.table().contains("full: a committed intent survives"), "{}", report.table());
}

#[tokio::test]
async fn a_server_that_is_not_there_fails() {
    let mut report = Report::default();
    let url = DatabaseUrl::Postgres("postgres://nobody@127.0.0.1:1/none".into());
    assert_eq!(check(&mut report, &url).await.err(), Some(NoStore::Unreachable));
    assert!(!report.is_good());
    assert!(report.table().contains("database.url"), "{}", report.table());
}
