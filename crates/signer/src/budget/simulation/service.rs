//! Replicas that share one row: committers, attempts, back-off.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use domain::BootTime;

use super::super::random::Random;
use super::super::{Admission, Cost, Limit, Meter, Operations, Reading, Row, Scope, Slot, UNITS, Witness};
use super::report::Report;
use super::signatures::{Demand, SCANNED, consent, latency, scan};
use super::vault::{Vault, Window};
use super::{MS, S};

#[derive(Debug, Clone, Copy)]
enum Event {
    Create,
    /// A wallet asks for the request object (0) or the credential (1) of a request created then.
    Ask {
        created_at: i64,
        step: u8,
    },
    Wake {
        replica: usize,
    },
    Read {
        replica: usize,
    },
    Committed {
        replica: usize,
    },
    Arrive {
        attempt: usize,
    },
    Answer {
        attempt: usize,
        refused: bool,
    },
    Foreign,
}

/// A signature that somebody waits for.
#[derive(Debug, Clone, Copy)]
struct Work {
    asked_at: i64,
    created_at: i64,
    step: u8,
    counted: bool,
}

struct Attempt {
    replica: usize,
    work: Work,
    slot: Slot,
}

#[derive(Default)]
struct Replica {
    busy: bool,
    witness: Witness,
    /// Issuances already begun go before new requests.
    lanes: [VecDeque<Work>; 2],
    creates: usize,
    outcomes: Vec<(Slot, bool)>,
    granted: Vec<usize>,
    admitted: usize,
    wakes_at: Option<i64>,
    /// Woken while it was busy.
    again: bool,
}

pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) replicas: usize,
    pub(super) limit: u32,
    pub(super) commit: i64,
    pub(super) demand: Demand,
    pub(super) window: Window,
    pub(super) count_refused: bool,
    /// The other tenant's operations per second, and when it comes and goes (µs).
    pub(super) foreign: Option<(i64, i64, i64)>,
    pub(super) length: i64,
}

pub(super) struct Service {
    plan: Plan,
    random: Random,
    meter: Meter,
    row: Row,
    now: i64,
    queue: BinaryHeap<Reverse<(i64, usize)>>,
    events: Vec<Event>,
    replicas: Vec<Replica>,
    attempts: Vec<Attempt>,
    vault: Vault,
    lock_free: i64,
    in_flight: usize,
    report: Report,
}

impl Service {
    pub(super) fn new(plan: Plan) -> Self {
        let limit = Limit {
            operations: Operations::Sign,
            amount: plan.limit,
            window: Duration::from_secs(10),
            scope: Scope::Vault,
        };
        let amount = usize::try_from(plan.limit).unwrap();
        Self {
            random: Random::new(plan.seed),
            meter: Meter::vault("v1.example", &[limit]),
            row: Row::new(),
            now: 0,
            queue: BinaryHeap::new(),
            events: Vec::new(),
            replicas: (0..plan.replicas).map(|_| Replica::default()).collect(),
            attempts: Vec::new(),
            vault: Vault::new(plan.window, 10 * S, amount, plan.count_refused),
            lock_free: 0,
            in_flight: 0,
            report: Report::default(),
            plan,
        }
    }

    pub(super) fn run(mut self) -> Report {
        match self.plan.demand {
            Demand::Requests(_) => self.at(0, Event::Create),
            Demand::Always(count) => {
                (0..count).for_each(|_| self.at(0, Event::Ask { created_at: 0, step: 1 }))
            }
            Demand::Burst(count, at) => {
                (0..count).for_each(|_| self.at(at, Event::Ask { created_at: 0, step: 1 }))
            }
        }
        if let Some((_, from, _)) = self.plan.foreign {
            self.at(from, Event::Foreign);
        }
        for replica in 0..self.replicas.len() {
            self.at(0, Event::Wake { replica });
        }
        while let Some(Reverse((at, event))) = self.queue.pop() {
            if at > self.plan.length {
                break;
            }
            self.now = at;
            match self.events[event] {
                Event::Create => self.create(),
                Event::Ask { created_at, step } => self.ask(created_at, step),
                Event::Wake { replica } => self.wake(replica),
                Event::Read { replica } => self.read(replica),
                Event::Committed { replica } => self.committed(replica),
                Event::Arrive { attempt } => self.arrive(attempt),
                Event::Answer { attempt, refused } => self.answer(attempt, refused),
                Event::Foreign => self.foreign(),
            }
        }
        self.report.unfinished =
            self.in_flight + self.replicas.iter().flat_map(|r| &r.lanes).map(VecDeque::len).sum::<usize>();
        self.report.m =
            f64::from(u32::try_from(self.row.m()).unwrap()) / f64::from(u32::try_from(UNITS).unwrap());
        self.report
    }

    fn at(&mut self, time: i64, event: Event) {
        self.queue.push(Reverse((time.max(self.now), self.events.len())));
        self.events.push(event);
    }

    fn any_replica(&mut self) -> usize {
        usize::try_from(self.random.between(0, 1000)).unwrap() % self.replicas.len()
    }

    fn create(&mut self) {
        let Demand::Requests(rate) = self.plan.demand else { return };
        let next = self.now + 2 * S / rate * self.random.between(0, 1000) / 1000;
        self.at(next.max(self.now + 1), Event::Create);
        // A refusal is judged by the row last seen, without a transaction.
        if self.row.would_admit(&self.meter, self.now / MS) != Admission::Admitted {
            self.report.turned_away += 1;
            return;
        }
        let replica = self.any_replica();
        self.replicas[replica].creates += 1;
        self.wake(replica);
    }

    fn ask(&mut self, created_at: i64, step: u8) {
        let replica = self.any_replica();
        let work = Work { asked_at: self.now, created_at, step, counted: false };
        self.replicas[replica].lanes[usize::from(1 - step)].push_back(work);
        self.wake(replica);
    }

    fn wake(&mut self, replica: usize) {
        if self.replicas[replica].wakes_at.is_some_and(|at| at <= self.now) {
            self.replicas[replica].wakes_at = None;
        }
        if self.replicas[replica].busy {
            self.replicas[replica].again = true;
            return;
        }
        self.replicas[replica].busy = true;
        let locked = self.now.max(self.lock_free) + MS / 5;
        self.lock_free = locked + self.plan.commit;
        self.at(locked, Event::Read { replica });
        self.at(locked + self.plan.commit, Event::Committed { replica });
    }

    fn read(&mut self, replica: usize) {
        let reading = Reading {
            database_ms: self.now.div_euclid(MS) + 1_000_000,
            epoch: "1".to_owned(),
            survives_epoch: false,
            boot: BootTime::from_nanos(u64::try_from(self.now * 1000 + 300_000).unwrap()),
            took: Duration::from_micros(u64::try_from(self.random.between(300, 1200)).unwrap()),
            wall_ms: self.now.div_euclid(MS),
        };
        let opened = self.row.open(&self.meter, &reading, &self.replicas[replica].witness);
        let now = opened.now;
        let mut it = std::mem::take(&mut self.replicas[replica]);
        it.witness = opened.witness;
        for (slot, refused) in it.outcomes.drain(..) {
            if refused {
                self.row.throttled(&self.meter, &slot, now);
            }
            self.row.answered(&self.meter, &slot, now);
        }
        for _ in 0..std::mem::take(&mut it.creates) {
            if self.row.admit(&self.meter, now) == Admission::Admitted {
                self.row.created(now.wall_ms);
                it.admitted += 1;
            } else {
                self.report.turned_away += 1;
            }
        }
        let cost = Cost::one(Operations::Sign);
        for lane in &mut it.lanes {
            for work in lane.iter_mut().rev().take_while(|work| !work.counted) {
                work.counted = true;
                self.row.asked(work.created_at, cost);
            }
        }
        for lane in &mut it.lanes {
            while let Some(work) = lane.front().copied() {
                let Some(slot) = self.row.grant(&self.meter, cost, now) else { break };
                lane.pop_front();
                self.report.waits.push((self.now, self.now + self.plan.commit - work.asked_at));
                it.granted.push(self.attempts.len());
                self.attempts.push(Attempt { replica, work, slot });
            }
        }
        let waiting = it.lanes.iter().map(VecDeque::len).sum::<usize>();
        self.row.waiting(&replica.to_string(), u64::try_from(waiting).unwrap() * UNITS, now);
        if let Some(returns) =
            self.row.next_return(&self.meter, Operations::Sign, now).filter(|_| waiting > 0)
        {
            let at = self.now + ((returns - now.at) * MS).max(5 * MS);
            if it.wakes_at.is_none_or(|planned| planned > at) {
                it.wakes_at = Some(at);
                self.at(at, Event::Wake { replica });
            }
        }
        self.replicas[replica] = it;
        if self.attempts.len().is_multiple_of(64) {
            self.report.longest_text = self.report.longest_text.max(self.row.to_text().unwrap().len());
        }
    }

    fn committed(&mut self, replica: usize) {
        self.replicas[replica].busy = false;
        for attempt in std::mem::take(&mut self.replicas[replica].granted) {
            self.in_flight += 1;
            let wire = self.random.between(MS / 5, 2 * MS);
            self.at(self.now + wire, Event::Arrive { attempt });
        }
        for _ in 0..std::mem::take(&mut self.replicas[replica].admitted) {
            self.report.created += 1;
            if self.random.chance(SCANNED) {
                let created_at = self.now.div_euclid(MS);
                let at = self.now + scan(&mut self.random);
                self.at(at, Event::Ask { created_at, step: 0 });
            }
        }
        if std::mem::take(&mut self.replicas[replica].again) {
            self.wake(replica);
        }
    }

    fn arrive(&mut self, attempt: usize) {
        let accepted = self.vault.arrive(self.now);
        if accepted {
            self.report.accepted.push(self.now)
        } else {
            self.report.refused.push(self.now)
        }
        let at = self.now + if accepted { latency(&mut self.random) } else { 5 * MS };
        self.at(at, Event::Answer { attempt, refused: !accepted });
    }

    fn answer(&mut self, attempt: usize, refused: bool) {
        self.in_flight -= 1;
        let Attempt { replica, work, slot } = self.attempts[attempt];
        self.replicas[replica].outcomes.push((slot, refused));
        if refused {
            // Backs off a second and takes a new slot.
            self.at(self.now + S, Event::Ask { created_at: work.created_at, step: work.step });
        } else {
            self.report.slowest = self.report.slowest.max(self.now - work.asked_at);
            match (self.plan.demand, work.step) {
                (Demand::Always(_), _) => self.at(self.now, Event::Ask { created_at: 0, step: 1 }),
                (Demand::Requests(_), 0) => {
                    let at = self.now + consent(&mut self.random);
                    self.at(at, Event::Ask { created_at: work.created_at, step: 1 });
                }
                _ => self.report.completed += 1,
            }
        }
        self.wake(replica);
    }

    fn foreign(&mut self) {
        let Some((rate, _, until)) = self.plan.foreign else { return };
        if self.vault.arrive(self.now) {
            self.report.foreign_accepted.push(self.now);
        } else {
            self.report.foreign_refused.push(self.now);
        }
        if self.now < until {
            self.at(self.now + S / rate, Event::Foreign);
        }
    }
}
