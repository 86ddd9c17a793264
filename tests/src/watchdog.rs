//! Cleaning up behind a test process that may end in any way, `kill -9` included.
//!
//! A small shell waits on a pipe whose other end only this process holds. When the process ends, the kernel closes the pipe
//! and the shell runs its script. (No destructor runs for a static, and none after a kill.)

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};

/// A script that runs when this process ends, or when the watchdog is dropped, unless it is dismissed before.
#[derive(Debug)]
pub struct Watchdog {
    shell: Child,
    pipe: ChildStdin,
}

impl Watchdog {
    /// Sets up `script` (POSIX shell) with `arguments` as `$1`, `$2`, …
    ///
    /// # Panics
    /// When the shell cannot be started.
    #[must_use]
    pub fn set(script: &str, arguments: &[&OsStr]) -> Self {
        // An interrupt from the keyboard goes to the whole process group; the watchdog must outlive it.
        let script = format!("trap '' INT TERM HUP; read -r _ && exit 0; {script}");
        let mut shell = Command::new("/bin/sh")
            .arg("-c")
            .arg(script)
            .arg("watchdog")
            .args(arguments)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("/bin/sh starts");
        let pipe = shell.stdin.take().expect("the pipe was asked for");
        Self { shell, pipe }
    }

    /// Ends the watchdog without running its script.
    pub fn dismiss(mut self) {
        self.pipe.write_all(b"done\n").ok();
        drop(self.pipe);
        self.shell.wait().ok();
    }

    /// Runs the script now and waits for its end.
    pub fn fire(mut self) {
        drop(self.pipe);
        self.shell.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_the_script_when_fired_and_not_when_dismissed() {
        let directory = tempfile::tempdir().unwrap();
        let (fired, dismissed) = (directory.path().join("fired"), directory.path().join("dismissed"));
        Watchdog::set("echo gone >\"$1\"", &[dismissed.as_os_str()]).dismiss();
        Watchdog::set("echo gone >\"$1\"", &[fired.as_os_str()]).fire();
        assert!(fired.exists());
        assert!(!dismissed.exists());
    }
}
