//! Places at which a test lets the process die, as a power cut would.
//!
//! Owns the one switch. It is in debug builds, so that the tests need no build of their own, and in others only with the
//! cargo feature `fail-points`: a release has none.

/// Ends the process with exit code 86, without any clean-up, when `CREDENZA_FAIL_POINT` is `name` (the first time) or
/// `name:nth`.
#[cfg(any(debug_assertions, feature = "fail-points"))]
pub fn fail_point(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static WANTED: LazyLock<Option<(String, u32)>> = LazyLock::new(|| {
        let text = std::env::var("CREDENZA_FAIL_POINT").ok()?;
        Some(match text.split_once(':') {
            Some((name, nth)) => (name.to_owned(), nth.parse().ok()?),
            None => (text, 1),
        })
    });
    static PASSED: AtomicU32 = AtomicU32::new(0);
    if let Some((wanted, nth)) = &*WANTED
        && wanted == name
        && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *nth
    {
        std::process::exit(86);
    }
}

/// Nothing: this program has no fail points.
#[cfg(not(any(debug_assertions, feature = "fail-points")))]
#[inline(always)]
pub const fn fail_point(_name: &str) {}
