//! The machine's boot-time clock.
//!
//! Owns the one place where it is read. It must not be used for times that are stored or compared between machines.

use std::fmt;

use domain::{BootClock, BootTime};
use rustix::time::{ClockId, clock_gettime};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// `CLOCK_BOOTTIME`, and the boot id of `/proc/sys/kernel/random/boot_id`.
pub struct SystemBootClock {
    boot_id: String,
}

impl SystemBootClock {
    /// Reads the boot id. Where there is none the id is empty: its users then have to take every start of the process
    /// for a start of the machine.
    #[must_use]
    pub fn new() -> Self {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self { boot_id: boot_id.trim().to_owned() }
    }
}

impl Default for SystemBootClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SystemBootClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SystemBootClock").field(&self.boot_id).finish()
    }
}

impl BootClock for SystemBootClock {
    fn now(&self) -> BootTime {
        let now = clock_gettime(ClockId::Boottime);
        // Neither part is ever negative: the clock begins with the machine.
        let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
        let nanos = u64::try_from(now.tv_nsec).unwrap_or_default();
        BootTime::from_nanos(seconds.saturating_mul(NANOS_PER_SECOND).saturating_add(nanos))
    }

    fn boot_id(&self) -> String {
        self.boot_id.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_goes_forward() {
        let clock = SystemBootClock::new();
        let before = clock.now();
        std::thread::sleep(Duration::from_millis(5));
        let passed = clock.now().since(before);
        assert!(passed >= Duration::from_millis(5), "{passed:?}");
    }

    #[test]
    fn two_clocks_of_one_machine_agree() {
        let (one, two) = (SystemBootClock::new(), SystemBootClock::default());
        assert_eq!(one.boot_id(), two.boot_id());
        assert_eq!(one.boot_id().len(), 36, "{one:?}");
        assert!(one.now() <= two.now());
    }
}
