//! One transaction of a process: it carries outcomes that were collected and takes slots for what waits.

use super::super::{Now, Operations, Row, Witness};
use super::database::{Kept, Status};
use super::rules::Without;
use super::world::{Attempt, Event, World};
use super::{MS, S, unscaled};

/// How a COMMIT ends for the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Committed, and the process knows.
    Acknowledged,
    /// Rolled back, and the process knows.
    Failed,
    /// The process does not hear; whether it was applied.
    Unheard(bool),
    /// The process hears of a success with a notice; whether it was applied.
    Notice(bool),
}

pub(super) struct Transaction {
    process: usize,
    life: u32,
    epoch: u64,
    begun: i64,
    before: i64,
    after: i64,
    commit_at: i64,
    fate: Fate,
    /// By how much the database's clock stands still while it is read.
    frozen: i64,
    /// The database's clock when the transaction began, and that time.
    early: (i64, i64),
    carried: Vec<usize>,
    granted: Vec<usize>,
    witness: Option<Witness>,
    at: i64,
}

impl World {
    pub(super) fn wake(&mut self, process: usize) {
        let it = &mut self.processes[process];
        if self.now < it.planned {
            return;
        }
        it.planned = i64::MAX;
        if !it.alive || it.busy {
            return;
        }
        if it.idle_until > self.now && it.outcomes.is_empty() {
            let until = it.idle_until;
            return self.wake_at(process, until);
        }
        let odds = self.character.odds;
        let waits = if self.chance(odds.slow_lock) { self.random.between(0, 4 * S) } else { MS / 5 };
        let fate = if self.chance(odds.commit_fails) {
            Fate::Failed
        } else if self.chance(odds.ack_lost) {
            Fate::Unheard(self.chance(500))
        } else if self.chance(odds.notice) {
            Fate::Notice(self.chance(300))
        } else {
            Fate::Acknowledged
        };
        let it = &mut self.processes[process];
        it.busy = true;
        let transaction = self.transactions.len();
        self.transactions.push(Transaction {
            process,
            life: it.life,
            epoch: self.database.epoch,
            begun: self.now,
            before: 0,
            after: 0,
            commit_at: 0,
            fate,
            frozen: 0,
            early: (self.database.clock(self.now), self.now),
            carried: it.outcomes.clone(),
            granted: Vec::new(),
            witness: None,
            at: 0,
        });
        self.at(self.now + waits, Event::Lock { transaction });
    }

    /// The row is locked from when it is free until the transaction ends.
    pub(super) fn lock(&mut self, transaction: usize) {
        let odds = self.character.odds;
        let before = self.now.max(self.database.lock_free) + MS / 10;
        let frozen = if self.chance(odds.frozen) {
            self.random.pick(&[30 * MS, 800 * MS, 2 * S, 2500 * MS, 11 * S])
        } else {
            0
        };
        let took = if self.chance(odds.slow_reading) {
            self.random.between(51 * MS, 3 * S)
        } else if self.chance(odds.rough_reading) {
            self.random.extreme(MS, 49 * MS)
        } else {
            self.random.between(MS / 5, 2 * MS)
        };
        let sampled = before + self.random.extreme(0, took) + frozen;
        let after = before + took + frozen;
        let lasts = match self.chance(odds.slow_commit) {
            true => self.random.extreme(S, 5 * S),
            false => self.random.between(MS / 2, 4 * MS),
        };
        let commit_at = after + lasts;
        self.database.lock_free = commit_at;
        let t = &mut self.transactions[transaction];
        (t.before, t.after, t.commit_at, t.frozen) = (before, after, commit_at, frozen);
        self.at(sampled, Event::Read { transaction });
        let heard = commit_at + self.random.between(MS / 10, MS);
        self.at(heard, Event::End { transaction });
    }

    pub(super) fn read(&mut self, transaction: usize) {
        let t = &self.transactions[transaction];
        let (process, life, carried) = (t.process, t.life, t.carried.clone());
        if t.epoch != self.database.epoch || self.processes[process].life != life {
            return;
        }
        self.database.offset -= t.frozen;
        let reading = if self.rules.lack(Without::ReadingAfterLock) {
            self.reading(process, t.early.0, t.early.1, t.early.1 + MS)
        } else {
            self.reading(process, self.database.clock(self.now), t.before, t.after)
        };
        let (frozen, fate, commit_at) = (t.frozen, t.fate, t.commit_at);
        if frozen > 0 {
            self.count("freeze");
            if self.chance(700) {
                let at = self.now + self.random.pick(&[MS, MS, MS, 300 * MS, 3 * S]);
                self.at(at, Event::Step { by: frozen, again: false });
            }
        }
        if reading.took > self.meter.timing.slow_reading {
            self.count("slow reading");
        }

        let mut state = self.database.state();
        let name = self.processes[process].row.clone();
        let witness = &self.processes[process].witness;
        let (mut row, opened) = match state.rows.remove(&name) {
            Some(mut row) => {
                let opened = self.rules.open(&mut row, &self.meter, &reading, witness);
                (row, opened)
            }
            None => {
                assert!(self.database.epoch > 1, "the server that made the tables has all rows");
                self.count("lost row");
                self.rules.open_missing(&self.meter, &reading)
            }
        };
        let now = opened.now;
        let returned_at =
            match (self.rules.lack(Without::ReadingAfterAnswers), self.processes[process].previous) {
                (true, Some(previous)) => Now { at: previous, ..now },
                _ => now,
            };
        for attempt in &carried {
            let Some(kept) = state.attempts.get_mut(attempt).filter(|kept| kept.row == name) else {
                continue;
            };
            if kept.status == Status::Open
                || (self.rules.lack(Without::OneMove) && kept.status == Status::Answered)
            {
                kept.status = Status::Answered;
                self.rules.answered(&mut row, &self.meter, &kept.slot, returned_at);
            }
        }
        state.attempts.retain(|_, kept| kept.slot.granted_at > now.at - 60_000);
        let sweeps = self.chance(100);
        for kept in state.attempts.values_mut().filter(|kept| sweeps && kept.slot.granted_at < now.at - 5000)
        {
            if kept.status == Status::Open {
                kept.status = Status::Unknown;
            }
        }

        let wanted =
            if self.chance(100) { 0 } else { self.random.extreme(1, 2 * i64::from(self.character.limit)) };
        let mut granted = Vec::new();
        for _ in 0..wanted {
            let cost = self.cost();
            let Some(slot) = self.rules.grant(&mut row, &self.meter, cost, now) else { break };
            let attempt = self.attempts.len();
            self.attempts.push(Attempt { process, life, slot, deadline: 0, suspended: 0, sends: 0 });
            state.attempts.insert(attempt, Kept { row: name.clone(), slot, status: Status::Open });
            granted.push(attempt);
        }
        self.tell(|| {
            let slots: Vec<_> = granted.iter().map(|attempt| self.attempts[*attempt].slot.due).collect();
            let (lost, shift) = (row.time.lost, row.time.shift);
            let took = reading.took;
            format!(
                "{process} reads {} (database {}, took {took:?}, shift {shift}, lost {lost}), {fate:?} at {commit_at}, \
                 carries {carried:?}, grants {granted:?} due {slots:?}",
                now.at, reading.database_ms
            )
        });
        self.look_again(process, &row, now);
        if self.rules.0.is_none() && self.chance(60) {
            assert_eq!(Row::parse(&row.to_text().unwrap()).unwrap(), row);
        }
        state.rows.insert(name, row);
        if matches!(fate, Fate::Acknowledged | Fate::Unheard(true) | Fate::Notice(true)) {
            self.database.commit(commit_at, transaction, state);
        }
        let t = &mut self.transactions[transaction];
        t.granted = granted;
        t.witness = Some(opened.witness);
        t.at = now.at;
    }

    /// Wakes exactly when the next slot returns, which is when a rule that is too weak shows.
    fn look_again(&mut self, process: usize, row: &Row, now: Now) {
        let look = match row.next_return(&self.meter, Operations::Sign, now) {
            Some(returns) => {
                let wait = unscaled((returns - now.at) * MS, self.database.rate);
                self.now + wait - MS + self.random.between(0, MS)
            }
            None => self.now + self.random.pick(&[20, 300, 2000]) * MS,
        };
        let restless = if self.character.restless { self.now + S } else { i64::MAX };
        self.processes[process].looks = look.min(restless);
    }

    pub(super) fn end(&mut self, transaction: usize) {
        let t = &mut self.transactions[transaction];
        let (process, fate, begun) = (t.process, t.fate, t.begun);
        let (granted, carried) = (std::mem::take(&mut t.granted), std::mem::take(&mut t.carried));
        let (witness, at) = (t.witness.take(), t.at);
        if self.processes[process].life != t.life {
            return;
        }
        self.processes[process].busy = false;
        let looks = match self.chance(self.character.odds.late_look) || witness.is_none() {
            true => self.now + self.random.pick(&[MS, 100 * MS, 1000 * MS]),
            false => self.processes[process].looks,
        };
        self.wake_at(process, looks);
        // The transaction did not happen, or the server went away before it said so.
        let acknowledged = fate == Fate::Acknowledged && self.database.has(transaction);
        let success = match fate {
            Fate::Acknowledged => acknowledged,
            Fate::Failed => false,
            Fate::Unheard(_) => self.rules.lack(Without::UnknownIsFailure),
            Fate::Notice(_) => self.rules.lack(Without::NoticeIsUnknown),
        };
        match fate {
            Fate::Unheard(_) => self.count("unknown commit"),
            Fate::Notice(_) => self.count("notice"),
            _ => {}
        }
        let Some(witness) = witness else { return };
        if success || self.rules.lack(Without::WitnessOfCommits) {
            self.processes[process].witness = witness;
            self.processes[process].previous = Some(at);
        }
        if !success {
            return;
        }
        let again = self.chance(self.character.odds.recorded_again);
        if again && !carried.is_empty() {
            self.count("recorded again");
        } else {
            self.processes[process].outcomes.retain(|attempt| !carried.contains(attempt));
        }
        let dozes = self.chance(if granted.is_empty() { 50 } else { 300 });
        if let Some(idle) = self.character.processes[process].idle.filter(|_| dozes) {
            self.processes[process].idle_until = self.now + self.random.between(0, idle);
        }
        let counted_from = if self.rules.lack(Without::DeadlineFromBefore) { self.now } else { begun };
        let deadline = self.boot(process, counted_from) + 3 * S;
        for attempt in granted {
            self.attempts[attempt].deadline = deadline;
            let odds = self.character.odds;
            let mut waits = if self.chance(odds.late_poll) { self.random.between(0, 6 * S) } else { MS / 10 };
            if self.chance(odds.suspended) {
                self.count("suspended");
                let suspended = self.random.between(S, 8 * S);
                self.attempts[attempt].suspended = suspended;
                waits += suspended;
            }
            self.at(self.now + waits, Event::Poll { attempt });
        }
    }
}
