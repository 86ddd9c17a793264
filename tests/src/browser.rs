//! Headless Chromium behind chromedriver: a session per test, with its own profile.

use std::ops::Deref;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use thirtyfour::{
    BrowserLogEntry, CapabilitiesHelper, ChromeCapabilities, ChromiumLikeCapabilities, LoggingPrefsLogLevel,
    WebDriver,
};
use xtask::tools::Tool;

use crate::running::Running;
use crate::{binaries, ports};

const START_LIMIT: Duration = Duration::from_secs(30);

const STOP_LIMIT: Duration = Duration::from_secs(10);

/// No network of its own, and what a container without a display and with little shared memory needs. With the pipe the
/// browser ends when chromedriver does, even when that is killed.
const FLAGS: [&str; 12] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
    "--hide-scrollbars",
];

/// A window of a browser session; everything of [`WebDriver`] is there by dereference. Ends when dropped.
#[derive(Debug)]
pub struct Browser {
    session: WebDriver,
    // In this order: the browser ends with chromedriver, the profile goes last.
    chromedriver: Running,
    profile: TempDir,
}

impl Browser {
    /// Starts chromedriver and a browser with a window of `width` by `height` pixels. Certificates are not checked: the
    /// browser does not know the CA that `credenza dev` made (the HTTP client of `process` does check).
    ///
    /// # Panics
    /// When either is missing or does not start.
    pub async fn start(width: u32, height: u32) -> Self {
        let profile =
            tempfile::Builder::new().prefix("browser-").tempdir().expect("a temporary directory can be made");
        let (chromedriver, server) = start_chromedriver(profile.path()).await;
        let session = match WebDriver::new(&server, capabilities(profile.path(), width, height)).await {
            Ok(session) => session,
            Err(error) => {
                panic!("no browser session: {error:?}\nchromedriver's output:\n{}", chromedriver.log())
            }
        };
        Self { session, chromedriver, profile }
    }

    /// The session.
    #[must_use]
    pub fn driver(&self) -> &WebDriver {
        &self.session
    }

    /// Changes the window's size, in pixels.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn resize(&self, width: u32, height: u32) {
        self.session.set_window_rect(0, 0, width, height).await.expect("the window can be resized");
    }

    /// Writes what the window shows to a PNG file, making its directory.
    ///
    /// # Panics
    /// When it cannot be written.
    pub async fn save_screenshot(&self, file: &Path) {
        if let Some(directory) = file.parent() {
            std::fs::create_dir_all(directory).expect("the directory can be made");
        }
        self.session.screenshot(file).await.expect("the browser draws");
    }

    /// What the console received since the last call: the page's own lines and the browser's complaints (blocked by the
    /// content security policy, failed to load, uncaught errors).
    ///
    /// # Panics
    /// When the log cannot be read.
    pub async fn console(&self) -> Vec<BrowserLogEntry> {
        self.session.browser_log().await.expect("the console can be read")
    }

    /// Asserts that the console received no error since the last call; policy violations are errors.
    ///
    /// # Panics
    /// When it did; the message lists them.
    pub async fn assert_clean_console(&self) {
        let errors: Vec<String> = self
            .console()
            .await
            .into_iter()
            .filter(|entry| entry.level == "SEVERE" || entry.message.contains("Content Security Policy"))
            .map(|entry| entry.message)
            .collect();
        assert!(errors.is_empty(), "errors in the console: {errors:#?}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Left to itself the session would ask chromedriver to end it, over a connection whose task belongs to the test's
        // runtime, which this very drop blocks: a minute's wait for a time-out. Killing chromedriver ends the browser too.
        self.session.clone().leak().ok();
        self.chromedriver.kill();
        // It writes to its profile until the last moment; only then can that be removed.
        let until = Instant::now() + STOP_LIMIT;
        while is_in_use(self.profile.path()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Deref for Browser {
    type Target = WebDriver;

    fn deref(&self) -> &WebDriver {
        &self.session
    }
}

/// Whether the command line of some process names `directory`.
fn is_in_use(directory: &Path) -> bool {
    let name = directory.display().to_string();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .any(|line| String::from_utf8_lossy(&line).contains(&name))
}

fn capabilities(profile: &Path, width: u32, height: u32) -> ChromeCapabilities {
    let mut capabilities = ChromeCapabilities::new();
    let browser = binaries::tool(Tool::Chromium);
    let own = [
        format!("--user-data-dir={}", profile.join("profile").display()),
        format!("--window-size={width},{height}"),
    ];
    capabilities.set_binary(&browser.display().to_string()).expect("a path is JSON");
    for flag in FLAGS.iter().copied().chain(own.iter().map(String::as_str)) {
        capabilities.add_arg(flag).expect("a flag is JSON");
    }
    capabilities.set_browser_log_level(LoggingPrefsLogLevel::All).expect("a level is JSON");
    capabilities.accept_insecure_certs(true).expect("a flag is JSON");
    capabilities
}

/// chromedriver on a free port, accepting; with its address.
async fn start_chromedriver(directory: &Path) -> (Running, String) {
    let mut log = String::new();
    for _ in 0..5 {
        let port = ports::free();
        let mut command = Command::new(binaries::tool(Tool::Chromedriver));
        command.arg(format!("--port={port}"));
        // Everything that the browser writes goes with the profile.
        for name in ["TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"] {
            command.env(name, directory);
        }
        let mut running = Running::spawn(command, &directory.join("chromedriver.log"));
        let until = Instant::now() + START_LIMIT;
        // It ends at once when the port is taken.
        while running.exited().is_none() && Instant::now() < until {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() && running.exited().is_none()
            {
                return (running, format!("http://127.0.0.1:{port}"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        log = running.log();
    }
    panic!("chromedriver does not start:\n{log}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(html: &str) -> String {
        use base64::Engine;
        format!("data:text/html;base64,{}", base64::engine::general_purpose::STANDARD.encode(html))
    }

    #[tokio::test]
    async fn shows_a_page_and_leaves_nothing_behind() {
        let browser = Browser::start(800, 600).await;
        browser
            .goto(page("<title>hello</title><script>console.log('from the page')</script>"))
            .await
            .unwrap();
        assert_eq!(browser.title().await.unwrap(), "hello");
        let console = browser.console().await;
        assert!(console.iter().any(|entry| entry.message.contains("from the page")), "{console:?}");
        browser.resize(400, 700).await;
        let file = browser.profile.path().join("made/shot.png");
        browser.save_screenshot(&file).await;
        assert!(std::fs::read(&file).unwrap().starts_with(b"\x89PNG"));
        let profile = browser.profile.path().to_path_buf();
        assert!(is_in_use(&profile));
        let dropped = Instant::now();
        drop(browser);
        assert!(!is_in_use(&profile) && !profile.exists(), "the browser outlived its session");
        assert!(dropped.elapsed() < STOP_LIMIT, "the end waited for something: {:?}", dropped.elapsed());
    }

    #[tokio::test]
    async fn a_killed_chromedriver_takes_the_browser_along() {
        let mut browser = Browser::start(800, 600).await;
        let profile = browser.profile.path().to_path_buf();
        browser.chromedriver.kill();
        let until = Instant::now() + STOP_LIMIT;
        while is_in_use(&profile) {
            assert!(Instant::now() < until, "the browser outlived chromedriver");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    #[tokio::test]
    async fn a_policy_violation_is_seen() {
        let browser = Browser::start(800, 600).await;
        browser.goto(page("<title>clean</title>")).await.unwrap();
        browser.assert_clean_console().await;
        let policy = "<meta http-equiv='Content-Security-Policy' content=\"script-src 'none'\">";
        browser.goto(page(&format!("{policy}<script>console.log('blocked')</script>"))).await.unwrap();
        let console = browser.console().await;
        assert!(console.iter().any(|entry| entry.message.contains("Content Security Policy")), "{console:?}");
    }
}
