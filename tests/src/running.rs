//! A started program: its output, its end. Owns the child process; knows nothing of what it runs.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::watchdog::Watchdog;

/// A child process whose output goes to a file. Killed when dropped, or when the test process ends.
#[derive(Debug)]
pub struct Running {
    child: Child,
    watchdog: Option<Watchdog>,
    log: PathBuf,
}

impl Running {
    /// Starts `command` with both output streams appended to the file `log` and no input.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn spawn(mut command: Command, log: &Path) -> Self {
        let open = || -> File {
            OpenOptions::new().create(true).append(true).open(log).expect("the log can be written")
        };
        let child = command
            .stdin(Stdio::null())
            .stdout(open())
            .stderr(open())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let watchdog = Watchdog::set("kill -KILL \"$1\"", &[child.id().to_string().as_ref()]);
        Self { child, watchdog: Some(watchdog), log: log.to_path_buf() }
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote so far, both streams.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Its exit status, if it has ended.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked")
    }

    /// Asks it to end (SIGTERM) and waits.
    ///
    /// # Panics
    /// When it is still there after `limit`; the message holds its output.
    pub fn terminate(&mut self, limit: Duration) -> ExitStatus {
        if self.exited().is_none() {
            self.signal("TERM");
        }
        let until = Instant::now() + limit;
        loop {
            if let Some(status) = self.exited() {
                self.dismiss_watchdog();
                return status;
            }
            if Instant::now() > until {
                self.kill();
                panic!("still running {limit:?} after SIGTERM. Its output:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends the signal `name` (`"TERM"`, `"STOP"`, `"CONT"`, …).
    ///
    /// # Panics
    /// When `kill` fails.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send SIG{name} to {}", self.pid());
    }

    /// Ends it at once (SIGKILL), as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        self.dismiss_watchdog();
    }

    /// Only after the child was waited for: its number may belong to another process from then on.
    fn dismiss_watchdog(&mut self) {
        if let Some(watchdog) = self.watchdog.take() {
            watchdog.dismiss();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, log: &Path) -> Running {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(script);
        Running::spawn(command, log)
    }

    fn wait_for_log(running: &Running, text: &str) {
        let until = Instant::now() + Duration::from_secs(10);
        while !running.log().contains(text) {
            assert!(Instant::now() < until, "{}", running.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn collects_both_streams_and_the_status() {
        let directory = tempfile::tempdir().unwrap();
        let mut running = shell("echo out; echo err >&2; exit 3", &directory.path().join("log"));
        wait_for_log(&running, "err");
        assert_eq!(running.terminate(Duration::from_secs(5)).code(), Some(3));
        assert!(running.log().contains("out\n"));
    }

    #[test]
    fn terminates_kindly() {
        let directory = tempfile::tempdir().unwrap();
        let script = "trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
        let mut running = shell(script, &directory.path().join("log"));
        wait_for_log(&running, "ready");
        assert!(running.terminate(Duration::from_secs(5)).success());
        assert!(running.log().contains("asked"));
    }

    #[test]
    fn is_gone_after_a_drop() {
        let directory = tempfile::tempdir().unwrap();
        let running = shell("exec sleep 60", &directory.path().join("log"));
        let proc = PathBuf::from(format!("/proc/{}", running.pid()));
        assert!(proc.exists());
        drop(running);
        assert!(!proc.exists());
    }
}
