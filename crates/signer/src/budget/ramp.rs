//! The effective limit after the vault refused although our slots were within the limit: somebody else uses it.
//!
//! Owns the cut, the growth and the pace in between. Our slots hold the limit by themselves, so a refusal says how much
//! of it is left to us: what we were using just then was too much. One refusal therefore cuts to nine tenths of
//! that, not to a half, and a refusal of an attempt granted before a cut says nothing new and is ignored. From there
//! the share grows by 1 % of the limit per 10 s for half a minute, probing for the new ceiling with a refusal now and
//! then, and by 5 % per 10 s after that. While it is cut, grants are paced, so that what is left is neither used up at
//! once nor found used up by the others.

use super::Operations;
use super::meter::{Meter, Ramp, UNITS, millis};

/// The whole limit, in millionths.
const WHOLE: u64 = 1_000_000;
/// A thousandth of it.
const THOUSANDTH: u64 = WHOLE / 1000;
/// How far grants may run ahead of their pace, microseconds.
const AHEAD_US: i64 = 300_000;

/// The state after a cut. None of it exists while the limit is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// When it happened, budget time, ms.
    pub(super) at: i64,
    /// What was left then, in millionths of the limit.
    pub(super) level: u64,
    /// Up to when the pace has been used up, budget time, microseconds.
    pub(super) paced_until: i64,
}

impl Cut {
    /// Cuts to a part of what was used of `capacity` when a slot granted at `granted_at` was refused; `None` if that
    /// slot was granted before `earlier` was made.
    pub(super) fn make(
        earlier: Option<Self>,
        ramp: &Ramp,
        granted_at: i64,
        now: i64,
        used: u64,
        capacity: u64,
    ) -> Option<Self> {
        if earlier.is_some_and(|cut| granted_at < cut.at) {
            return None;
        }
        let level = earlier.map_or(WHOLE, |cut| cut.level(ramp, now));
        let share = share_of(used, capacity).min(level);
        let kept = share.saturating_mul(ramp.keep) / 1000;
        let level = kept.max(ramp.floor.saturating_mul(THOUSANDTH)).min(level);
        let hold = now.saturating_add(millis(ramp.hold)).saturating_mul(1000);
        Some(Self { at: now, level, paced_until: hold.saturating_add(AHEAD_US) })
    }

    /// What is left of the limit, in millionths.
    pub(super) fn level(&self, ramp: &Ramp, now: i64) -> u64 {
        let since = u64::try_from(now.saturating_sub(self.at)).unwrap_or(0);
        let careful = u64::try_from(ramp.careful.as_millis()).unwrap_or(u64::MAX);
        // A thousandth per 10 s is a tenth of a millionth of the limit per millisecond.
        let probed = since.min(careful).saturating_mul(ramp.probe) / 10;
        let grown = since.saturating_sub(careful).saturating_mul(ramp.grow) / 10;
        self.level.saturating_add(probed).saturating_add(grown).min(WHOLE)
    }

    /// Whether nothing is left of it.
    pub(super) fn is_over(&self, ramp: &Ramp, now: i64) -> bool {
        self.level(ramp, now) >= WHOLE
    }

    /// How many units the pace leaves at `now`.
    pub(super) fn paced(&self, meter: &Meter, operations: Operations, now: i64) -> u64 {
        let ahead =
            now.saturating_mul(1000).saturating_add(AHEAD_US).saturating_sub(self.paced_until).min(AHEAD_US);
        let Ok(ahead) = u64::try_from(ahead) else { return 0 };
        let paced =
            self.rates(meter, operations, now).map(|(units, window_us)| mul_div(ahead, units, window_us));
        // Whatever its cost, one operation may always go when the pace is not used up.
        paced.min().map_or(u64::MAX, |units| units.max(UNITS))
    }

    /// From when on the pace allows the next grant, ms.
    pub(super) fn paced_at(&self) -> i64 {
        self.paced_until.saturating_sub(AHEAD_US).saturating_add(999).div_euclid(1000)
    }

    /// Uses the pace up by what a grant costs.
    pub(super) fn pace(&mut self, meter: &Meter, operations: Operations, units: u64, now: i64) {
        let takes =
            self.rates(meter, operations, now).map(|(rate, window_us)| mul_div(units, window_us, rate));
        let takes = i64::try_from(takes.max().unwrap_or(0)).unwrap_or(i64::MAX);
        self.paced_until = self.paced_until.max(now.saturating_mul(1000)).saturating_add(takes);
    }

    /// Of each limit: effective units per window, and the window in microseconds.
    fn rates<'a>(
        &'a self,
        meter: &'a Meter,
        operations: Operations,
        now: i64,
    ) -> impl Iterator<Item = (u64, u64)> + 'a {
        let level = self.level(&meter.timing.ramp, now);
        meter.limits_on(operations).map(move |limit| {
            let window = u64::try_from(limit.window.as_micros()).unwrap_or(u64::MAX);
            (effective(capacity(limit.amount), level), window.max(1))
        })
    }
}

/// A limit in units.
pub(super) fn capacity(amount: u32) -> u64 {
    UNITS * u64::from(amount)
}

/// What a level leaves of a capacity, but never less than one operation of it.
pub(super) fn effective(capacity: u64, level: u64) -> u64 {
    mul_div(capacity, level, WHOLE).max(UNITS).min(capacity)
}

/// What is left of a limit in millionths, whether it was cut or not.
pub(super) fn level(cut: Option<&Cut>, ramp: &Ramp, now: i64) -> u64 {
    cut.map_or(WHOLE, |cut| cut.level(ramp, now))
}

/// `used / capacity` in millionths, rounded up.
fn share_of(used: u64, capacity: u64) -> u64 {
    mul_div(used, WHOLE, capacity.max(1)).saturating_add(1)
}

/// `a * b / c` without overflow in between, rounded down, saturating.
pub(super) fn mul_div(a: u64, b: u64, c: u64) -> u64 {
    u64::try_from(u128::from(a) * u128::from(b) / u128::from(c.max(1))).unwrap_or(u64::MAX)
}
