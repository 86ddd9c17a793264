//! Free loopback ports for programs that must be told their port.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the range from which the kernel takes ports by itself (from 32768 on), so that no outgoing connection can take a
/// port between our look and the program's start, or while a test restarts a program on the same port.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

static HANDED_OUT: AtomicU32 = AtomicU32::new(0);

/// A port that nobody listens on. It is handed out once per test process; another process could still take it before it is
/// used, so who starts a program tries again with another port.
///
/// # Panics
/// When all ports are taken.
#[must_use]
pub fn free() -> u16 {
    // Test processes start at different places, so that they rarely try the same port at the same time.
    let offset = std::process::id().wrapping_mul(127) % COUNT;
    for _ in 0..COUNT {
        let turn = HANDED_OUT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = u16::try_from(FIRST + (offset + turn) % COUNT).expect("the range fits");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT)
}
