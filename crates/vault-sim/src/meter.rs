//! Owns the limits: what a vault accepts per window. Knows times and amounts only; no HTTP, no keys.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::clock::{Moment, nanos};
use crate::random::Random;

/// What a meter takes per window, in units. An operation with limit n costs `CAPACITY / n`.
const CAPACITY: u64 = 1_000_000_000_000_000;

/// The kind of window over which a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Any interval of the window's length.
    Sliding,
    /// Cells of the window's length, from an offset that the seed draws.
    Fixed,
    /// No limit.
    Off,
}

impl Window {
    /// By its name on the command line.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "sliding" => Some(Self::Sliding),
            "fixed" => Some(Self::Fixed),
            "off" => Some(Self::Off),
            _ => None,
        }
    }
}

/// Which category an operation counts under; each has meters of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    Create,
    Other,
}

/// Which keys an operation is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pool {
    Hsm,
    Software,
    /// No key: lists, or a key that does not exist.
    None,
}

/// The table: operations per window, by kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// HSM-protected EC keys, everything but create.
    pub hsm: u64,
    /// Software EC keys, everything but create.
    pub software: u64,
    /// Operations without a key.
    pub keyless: u64,
    /// Creating an HSM-protected key.
    pub hsm_create: u64,
    /// Creating a software key.
    pub software_create: u64,
}

impl Limits {
    /// The service's proportions: software keys may do twice as much.
    #[must_use]
    pub fn proportional(hsm: u64, hsm_create: u64) -> Self {
        let (software, software_create) = (hsm.saturating_mul(2), hsm_create.saturating_mul(2));
        Self { hsm, software, keyless: software, hsm_create, software_create }
    }

    /// Every operation counts the same.
    #[must_use]
    pub fn single(limit: u64, create: u64) -> Self {
        Self { hsm: limit, software: limit, keyless: limit, hsm_create: create, software_create: create }
    }

    fn cost(&self, category: Category, pool: Pool) -> u64 {
        let limit = match (category, pool) {
            (Category::Other, Pool::Hsm) => self.hsm,
            (Category::Other, Pool::Software) => self.software,
            (Category::Other, Pool::None) => self.keyless,
            (Category::Create, Pool::Hsm) => self.hsm_create,
            (Category::Create, Pool::Software | Pool::None) => self.software_create,
        };
        // A limit of 0 accepts nothing.
        CAPACITY.checked_div(limit).unwrap_or(u64::MAX)
    }
}

/// Vaults that share a second set of meters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Names of its vaults.
    pub vaults: Vec<String>,
    /// Its limits in per cent of one vault's; the service's are 500.
    pub percent: u64,
}

/// How the limits work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThrottleConfig {
    /// The kind of window.
    pub window: Window,
    /// Its length.
    pub length: Duration,
    /// The table.
    pub limits: Limits,
    /// Refused operations count, too.
    pub count_rejected: bool,
    /// HSM and software keys draw on one meter.
    pub shared_pool: bool,
    /// Seconds for the `Retry-After` of a 429; the service sends none.
    pub retry_after: Option<u32>,
    /// Groups of vaults with common meters.
    pub subscriptions: Vec<Subscription>,
}

impl Default for ThrottleConfig {
    fn default() -> Self {
        Self {
            window: Window::Sliding,
            length: Duration::from_secs(10),
            limits: Limits::proportional(2_000, 10),
            count_rejected: false,
            shared_pool: true,
            retry_after: None,
            subscriptions: Vec::new(),
        }
    }
}

/// One amount over one window.
#[derive(Debug, Default)]
struct Meter {
    held: u64,
    log: VecDeque<(Moment, u64)>,
    cell: i64,
}

impl Meter {
    /// Forgets what has left the window.
    fn settle(&mut self, now: Moment, window: Window, length: i64, offset: i64) {
        match window {
            Window::Sliding => {
                while let Some((at, cost)) = self.log.front().copied() {
                    if now.0.saturating_sub(at.0) < length {
                        break;
                    }
                    self.log.pop_front();
                    self.held = self.held.saturating_sub(cost);
                }
            }
            Window::Fixed => {
                let cell = now.0.saturating_add(offset).checked_div_euclid(length).unwrap_or(0);
                if cell != self.cell {
                    *self = Self { cell, ..Self::default() };
                }
            }
            Window::Off => *self = Self::default(),
        }
    }

    fn add(&mut self, now: Moment, window: Window, cost: u64) {
        self.held = self.held.saturating_add(cost);
        if window == Window::Sliding {
            self.log.push_back((now, cost));
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    Vault(String),
    Subscription(usize),
}

/// Somebody else who uses the vault.
#[derive(Debug)]
struct Foreign {
    /// Nanoseconds between two of his operations.
    every: i64,
    next: Moment,
}

/// All meters of a simulator.
#[derive(Debug)]
pub struct Throttle {
    config: ThrottleConfig,
    length: i64,
    offset: i64,
    meters: BTreeMap<(Scope, Category, Pool), Meter>,
    foreign: BTreeMap<String, Foreign>,
}

impl Throttle {
    pub fn new(config: ThrottleConfig, random: &mut Random) -> Self {
        let length = nanos(config.length).max(1);
        let offset = i64::try_from(random.below(length.unsigned_abs())).unwrap_or(0);
        Self { config, length, offset, meters: BTreeMap::new(), foreign: BTreeMap::new() }
    }

    pub fn retry_after(&self) -> Option<u32> {
        self.config.retry_after
    }

    /// Changes window and limits; all meters start empty.
    pub fn change(&mut self, window: Option<Window>, limit: Option<u64>) {
        self.config.window = window.unwrap_or(self.config.window);
        if let Some(limit) = limit {
            let before = self.config.limits;
            self.config.limits = if before.hsm == before.software {
                Limits::single(limit, before.hsm_create)
            } else {
                Limits::proportional(limit, before.hsm_create)
            };
        }
        self.meters.clear();
    }

    /// Another tenant takes `rate` operations per second from a vault; 0 ends it.
    pub fn set_foreign(&mut self, vault: &str, rate: u32, now: Moment) {
        match 1_000_000_000_i64.checked_div(i64::from(rate)) {
            Some(every) => {
                self.foreign.insert(vault.to_owned(), Foreign { every: every.max(1), next: now });
            }
            None => {
                self.foreign.remove(vault);
            }
        }
    }

    /// Judges an operation that arrived now. Times must not go back.
    pub fn arrive(&mut self, vault: &str, category: Category, pool: Pool, now: Moment) -> bool {
        self.let_foreign_in(vault, now);
        self.judge(vault, category, pool, now)
    }

    /// What the foreign tenants of this vault, and of those that share a subscription with it, took until now.
    fn let_foreign_in(&mut self, vault: &str, now: Moment) {
        let shares = |other: &str| {
            other == vault
                || self.config.subscriptions.iter().any(|group| {
                    group.vaults.iter().any(|name| name == vault)
                        && group.vaults.iter().any(|name| name == other)
                })
        };
        // Nobody looks further back than one window; two, so that a fixed cell is whole.
        let oldest = Moment(now.0.saturating_sub(self.length.saturating_mul(2)));
        let mut due: Vec<(Moment, String)> = Vec::new();
        let names: Vec<String> = self.foreign.keys().filter(|name| shares(name)).cloned().collect();
        for name in names {
            let Some(foreign) = self.foreign.get_mut(&name) else { continue };
            foreign.next = foreign.next.max(oldest);
            while foreign.next <= now {
                due.push((foreign.next, name.clone()));
                foreign.next = Moment(foreign.next.0.saturating_add(foreign.every));
            }
        }
        due.sort();
        for (at, name) in due {
            self.judge(&name, Category::Other, Pool::Hsm, at);
        }
    }

    fn judge(&mut self, vault: &str, category: Category, pool: Pool, now: Moment) -> bool {
        if self.config.window == Window::Off {
            return true;
        }
        let cost = self.config.limits.cost(category, pool);
        let pool = if self.config.shared_pool { Pool::None } else { pool };
        let mut scopes = vec![(Scope::Vault(vault.to_owned()), CAPACITY)];
        for (number, group) in self.config.subscriptions.iter().enumerate() {
            if group.vaults.iter().any(|name| name == vault) {
                scopes.push((Scope::Subscription(number), (CAPACITY / 100).saturating_mul(group.percent)));
            }
        }
        let (window, length, offset) = (self.config.window, self.length, self.offset);
        let mut fits = true;
        for (scope, capacity) in &scopes {
            let meter = self.meters.entry((scope.clone(), category, pool)).or_default();
            meter.settle(now, window, length, offset);
            fits &= meter.held.saturating_add(cost) <= *capacity;
        }
        if fits || self.config.count_rejected {
            for (scope, _) in scopes {
                self.meters.entry((scope, category, pool)).or_default().add(now, window, cost);
            }
        }
        fits
    }

    /// How full a vault's fullest meter of a category is, in thousandths of its capacity.
    pub fn fullness(&mut self, vault: &str, category: Category, now: Moment) -> u64 {
        let (window, length, offset) = (self.config.window, self.length, self.offset);
        let scope = Scope::Vault(vault.to_owned());
        let of_vault = self.meters.iter_mut().filter(|(key, _)| key.0 == scope && key.1 == category);
        of_vault
            .map(|(_, meter)| {
                meter.settle(now, window, length, offset);
                meter.held / (CAPACITY / 1_000)
            })
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
