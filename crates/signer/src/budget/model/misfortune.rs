//! What befalls processes and the database from outside.

use super::super::Witness;
use super::character;
use super::world::{Event, World};
use super::{MS, S};

impl World {
    pub(super) fn plan_misfortunes(&mut self) {
        if let Some(every) = self.character.steps {
            let at = self.random.between(0, 2 * every);
            let by = character::step(&mut self.random);
            self.at(at, Event::Step { by, again: true });
        }
        if let Some(every) = self.character.crashes {
            for process in (0..self.processes.len())
                .filter(|process| self.character.crashes(*process))
                .collect::<Vec<_>>()
            {
                let at = self.random.between(0, 2 * every);
                self.at(at, Event::Crash { process });
            }
        }
        if let Some(every) = self.character.failovers {
            let at = self.random.between(5 * S, 2 * every);
            self.at(at, Event::Failover);
        }
    }

    pub(super) fn crash(&mut self, process: usize) {
        self.count("crash");
        self.tell(|| format!("{process} crashes"));
        self.kill(process);
        let back = self.now + self.random.pick(&[MS, 50 * MS, S, 20 * S]);
        self.at(back, Event::Restart { process });
        if let Some(every) = self.character.crashes {
            let at = back + self.random.between(0, 2 * every);
            self.at(at, Event::Crash { process });
        }
    }

    fn kill(&mut self, process: usize) {
        let it = &mut self.processes[process];
        it.life += 1;
        it.alive = false;
        it.busy = false;
        it.outcomes.clear();
        it.witness = Witness::default();
        it.previous = None;
        it.planned = i64::MAX;
    }

    pub(super) fn restart(&mut self, process: usize) {
        self.processes[process].alive = true;
        self.processes[process].idle_until = 0;
        self.wake_at(process, self.now);
    }

    /// The database's clock is set. Often it is set right again later, and often somebody looks at once.
    pub(super) fn step(&mut self, by: i64, again: bool) {
        self.count("step");
        self.tell(|| format!("the database's clock steps by {} ms", by / MS));
        self.database.offset += by;
        if self.chance(600) {
            let any = usize::try_from(self.random.between(0, 3)).unwrap() % self.processes.len();
            let process = self.character.sleeper.filter(|_| self.random.chance(800)).unwrap_or(any);
            self.processes[process].idle_until = 0;
            let at = self.now + self.random.between(0, 3 * MS);
            self.wake_at(process, at);
        }
        if let Some(every) = self.character.steps.filter(|_| again) {
            let at = self.now + self.random.between(0, 2 * every);
            let by = if self.chance(500) { -by } else { character::step(&mut self.random) };
            self.at(at, Event::Step { by, again: true });
        }
    }

    /// The database server is replaced by its standby, which lacks the last commits and has another clock. A machine
    /// with a file reboots instead, and loses nothing that was committed.
    pub(super) fn failover(&mut self) {
        self.database.epoch += 1;
        self.tell(|| "failover".to_owned());
        let down = self.random.pick(&[0, 100 * MS, 2 * S]);
        self.database.lock_free = self.now + down;
        if self.character.sqlite {
            self.count("reboot");
            self.database.lose_after(self.now);
            self.booted = self.now;
            for process in &mut self.character.processes {
                process.boot_offset = 3 * S;
            }
            // The database's clock is the machine's.
            self.database.offset = 3 * S - super::scaled(self.now, self.database.rate);
            for process in 0..self.processes.len() {
                self.kill(process);
                let back = self.now + down + self.random.between(0, 100 * MS);
                self.at(back, Event::Restart { process });
            }
        } else {
            self.count("failover");
            let lag = self.random.pick(&[0, 20 * MS, S, 8 * S]);
            if lag > 0 {
                self.count("lost commit");
            }
            self.database.lose_after(self.now - lag);
            self.database.offset = self.random.between(-50, 200) * S;
            // A transaction that is under way fails: its processes are free once they notice.
        }
        if let Some(every) = self.character.failovers {
            let at = self.now + self.random.between(every / 2, 2 * every);
            self.at(at, Event::Failover);
        }
    }
}
