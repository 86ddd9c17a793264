//! One history: what is there, and what happens next.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use domain::BootTime;

use super::super::random::Random;
use super::super::{Cost, Limit, Meter, MeterId, Operations, Reading, Row, Scope, Slot, UNITS, Witness};
use super::character::Character;
use super::database::{Database, State};
use super::rules::{Rules, Without};
use super::transaction::Transaction;
use super::vault::{Arrival, overrun};
use super::{S, WINDOW, scaled, unscaled};

#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    /// The process begins a transaction if it has none.
    Wake {
        process: usize,
    },
    /// The transaction asks for the lock.
    Lock {
        transaction: usize,
    },
    /// It has the lock and reads the time.
    Read {
        transaction: usize,
    },
    /// The process learns how the transaction ended, or that it does not learn it.
    End {
        transaction: usize,
    },
    /// The transport asks for the body of the request.
    Poll {
        attempt: usize,
    },
    /// An answer, or what is taken for one, was collected.
    Collected {
        attempt: usize,
    },
    Crash {
        process: usize,
    },
    Restart {
        process: usize,
    },
    /// The database's clock is set; `again`: and will be once more.
    Step {
        by: i64,
        again: bool,
    },
    Failover,
}

pub(super) struct Process {
    /// Counts its restarts: what an earlier life planned does not happen.
    pub(super) life: u32,
    pub(super) alive: bool,
    pub(super) busy: bool,
    pub(super) witness: Witness,
    /// Budget time at its previous committed reading.
    pub(super) previous: Option<i64>,
    /// Answers to be recorded.
    pub(super) outcomes: Vec<usize>,
    /// Its next wake; what was planned for later is void.
    pub(super) planned: i64,
    /// When a slot may return, as its last reading had it.
    pub(super) looks: i64,
    /// Does nothing before.
    pub(super) idle_until: i64,
    pub(super) row: String,
}

pub(super) struct Attempt {
    pub(super) process: usize,
    pub(super) life: u32,
    pub(super) slot: Slot,
    /// On the process's boot-time clock, ns.
    pub(super) deadline: i64,
    /// How long the machine was suspended before the body was asked for.
    pub(super) suspended: i64,
    pub(super) sends: u32,
}

/// What a history contained, so that a test can tell that it was not idle.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    pub(super) counts: BTreeMap<&'static str, u64>,
}

impl Coverage {
    pub(super) fn add(&mut self, other: &Self) {
        for (what, count) in &other.counts {
            *self.counts.entry(what).or_default() += count;
        }
    }

    pub(super) fn assert_complete(&self) {
        const EXPECTED: &[&str] = &[
            "answered",
            "arrival",
            "crash",
            "failover",
            "freeze",
            "full window",
            "gateway error",
            "late",
            "lost commit",
            "lost row",
            "never sent",
            "notice",
            "reboot",
            "recorded again",
            "slow reading",
            "step",
            "suspended",
            "unauthorized",
            "unknown commit",
        ];
        for what in EXPECTED {
            assert!(self.counts.get(what).is_some_and(|count| *count >= 10), "hardly any {what}: {self:?}");
        }
    }
}

pub(super) struct History {
    /// When the limit was broken, ns.
    pub(super) overrun: Option<i64>,
    pub(super) coverage: Coverage,
}

pub(super) struct World {
    pub(super) rules: Rules,
    pub(super) random: Random,
    pub(super) character: Character,
    pub(super) meter: Meter,
    pub(super) now: i64,
    queue: BinaryHeap<Reverse<(i64, usize)>>,
    events: Vec<Event>,
    pub(super) database: Database,
    /// When the one machine of a SQLite history started.
    pub(super) booted: i64,
    pub(super) processes: Vec<Process>,
    pub(super) transactions: Vec<Transaction>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) arrivals: Vec<Arrival>,
    pub(super) coverage: Coverage,
    /// Tells what happens, for a person who looks for the cause of a broken limit.
    pub(super) telling: bool,
}

impl World {
    pub(super) fn new(seed: u64, rules: Rules) -> Self {
        let mut random = Random::new(seed);
        let character = Character::draw(&mut random);
        let limit = Limit {
            operations: Operations::Sign,
            amount: character.limit,
            window: Duration::from_secs(10),
            scope: Scope::Vault,
        };
        let offset = if character.sqlite { 100 * S } else { random.between(0, 100) * S };
        let processes = character.processes.iter().map(|process| Process {
            life: 0,
            alive: true,
            busy: false,
            witness: Witness::default(),
            previous: None,
            outcomes: Vec::new(),
            planned: i64::MAX,
            looks: 0,
            idle_until: 0,
            row: match rules.lack(Without::OneRow) {
                true => process.spelling.to_owned(),
                false => MeterId::vault(process.spelling).as_str().to_owned(),
            },
        });
        let mut world = Self {
            rules,
            meter: rules.meter(&Meter::vault("v1.example", &[limit])),
            now: 0,
            queue: BinaryHeap::new(),
            events: Vec::new(),
            database: Database::new(character.database_rate, offset, State::default()),
            booted: 0,
            processes: processes.collect(),
            transactions: Vec::new(),
            attempts: Vec::new(),
            arrivals: Vec::new(),
            coverage: Coverage::default(),
            telling: false,
            character,
            random,
        };
        world.install();
        world
    }

    /// The tables are there before anything can be lost; the rows are made by the first use, which a standby may lack.
    fn install(&mut self) {
        let mut state = State::default();
        for process in &self.processes {
            let mut row = Row::new();
            let reading = self.reading(0, self.database.clock(0), 0, 0);
            let _first = row.open(&self.meter, &reading, &Witness::default());
            state.rows.insert(process.row.clone(), row);
        }
        self.database.commit(0, usize::MAX, state);
    }

    pub(super) fn live(mut self) -> History {
        for process in 0..self.processes.len() {
            let at = self.random.between(0, S);
            self.wake_at(process, at);
        }
        self.plan_misfortunes();
        while let Some(Reverse((at, event))) = self.queue.pop() {
            if at > self.character.length {
                break;
            }
            self.now = at;
            match self.events[event] {
                Event::Wake { process } => self.wake(process),
                Event::Lock { transaction } => self.lock(transaction),
                Event::Read { transaction } => self.read(transaction),
                Event::End { transaction } => self.end(transaction),
                Event::Poll { attempt } => self.poll(attempt),
                Event::Collected { attempt } => self.collected(attempt),
                Event::Crash { process } => self.crash(process),
                Event::Restart { process } => self.restart(process),
                Event::Step { by, again } => self.step(by, again),
                Event::Failover => self.failover(),
            }
        }
        let capacity = UNITS * u64::from(self.character.limit);
        let overrun = overrun(&mut self.arrivals, WINDOW, capacity);
        if overrun.is_none() && super::vault::overrun(&mut self.arrivals, WINDOW, capacity - 1).is_some() {
            self.count("full window");
        }
        History { overrun, coverage: self.coverage }
    }

    pub(super) fn at(&mut self, time: i64, event: Event) {
        self.queue.push(Reverse((time.max(self.now), self.events.len())));
        self.events.push(event);
    }

    /// Wakes a process then, or earlier if that is planned.
    pub(super) fn wake_at(&mut self, process: usize, time: i64) {
        let time = time.max(self.now);
        if time < self.processes[process].planned {
            self.processes[process].planned = time;
            self.at(time, Event::Wake { process });
        }
    }

    pub(super) fn tell(&self, what: impl FnOnce() -> String) {
        if self.telling {
            println!(
                "{:>12.3} ms  {}",
                std::time::Duration::from_nanos(self.now.unsigned_abs()).as_secs_f64() * 1e3,
                what()
            );
        }
    }

    pub(super) fn count(&mut self, what: &'static str) {
        *self.coverage.counts.entry(what).or_default() += 1;
    }

    pub(super) fn chance(&mut self, thousandths: i64) -> bool {
        self.random.chance(thousandths)
    }

    /// A process's boot-time clock, ns.
    pub(super) fn boot(&self, process: usize, real: i64) -> i64 {
        let character = &self.character.processes[process];
        scaled(real - self.booted, character.boot_rate) + character.boot_offset
    }

    /// When that clock shows a time.
    pub(super) fn real(&self, process: usize, boot: i64) -> i64 {
        let character = &self.character.processes[process];
        unscaled(boot - character.boot_offset, character.boot_rate) + self.booted
    }

    /// What a process reads whose statement went out at `before` and returned at `after` (real time).
    pub(super) fn reading(&self, process: usize, database_ms: i64, before: i64, after: i64) -> Reading {
        let (before, after) = (self.boot(process, before), self.boot(process, after));
        Reading {
            database_ms,
            epoch: format!("{}", self.database.epoch),
            survives_epoch: self.character.sqlite,
            boot: BootTime::from_nanos(u64::try_from(after).unwrap()),
            took: Duration::from_nanos(u64::try_from(after - before).unwrap()),
            wall_ms: database_ms,
        }
    }

    pub(super) fn cost(&mut self) -> Cost {
        let heavy = self.character.heavy && self.character.limit > 1 && self.chance(300);
        Cost { operations: Operations::Sign, units: if heavy { 2 * UNITS } else { UNITS } }
    }
}
