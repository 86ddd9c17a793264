//! One attempt between the process and the vault.

use super::rules::Without;
use super::world::{Event, World};
use super::{LATEST, MS, S};

impl World {
    /// The body is asked for: the last look at the deadline, and then it is written.
    pub(super) fn poll(&mut self, attempt: usize) {
        let it = &self.attempts[attempt];
        let (process, deadline) = (it.process, it.deadline);
        if self.processes[process].life != it.life {
            return;
        }
        let mut clock = self.boot(process, self.now);
        if self.rules.lack(Without::BootTimeDeadline) {
            clock -= it.suspended;
        }
        if clock > deadline && !self.rules.lack(Without::DeadlineAtFirstPoll) {
            return self.count("never sent");
        }
        let sends = it.sends;
        self.attempts[attempt].sends += 1;
        let sent = self.now;
        let given_up = self.real(process, deadline).max(sent);
        let odds = self.character.odds;
        let takes =
            if self.chance(150) { self.random.between(0, 3 * S) } else { self.random.between(MS, 60 * MS) };
        let received = sent + takes;
        if received > given_up || self.chance(odds.unanswered) {
            self.count("late");
            let at = self.random.extreme(sent, given_up + LATEST);
            self.arrive(attempt, at);
            if self.rules.lack(Without::RequestIdAsProof) {
                self.at(given_up, Event::Collected { attempt });
            }
            if self.rules.lack(Without::SlotPerAttempt) && sends == 0 {
                self.attempts[attempt].deadline = deadline + 3 * S;
                self.at(given_up, Event::Poll { attempt });
            }
            return;
        }
        if self.chance(odds.gateway) {
            self.count("gateway error");
            let at = self.random.extreme(sent, given_up + LATEST);
            self.arrive(attempt, at);
            if self.rules.lack(Without::RequestIdAsProof) {
                self.collect(attempt, received);
            }
            return;
        }
        let at = self.random.extreme(sent, received);
        self.arrive(attempt, at);
        if self.chance(odds.unauthorized) {
            self.count("unauthorized");
            // The challenge is answered by a second exchange, unless the permit was for one.
            if self.rules.lack(Without::OneExchange) {
                let at = self.random.between(received, given_up);
                self.arrive(attempt, at);
                return self.collect(attempt, at);
            }
        }
        self.collect(attempt, received);
    }

    fn arrive(&mut self, attempt: usize, at: i64) {
        self.count("arrival");
        self.tell(|| format!("attempt {attempt} arrives at {at}"));
        self.arrivals.push((at, self.attempts[attempt].slot.units));
    }

    fn collect(&mut self, attempt: usize, received: i64) {
        let waits = match self.chance(self.character.odds.recorded_late) {
            true if self.chance(500) => self.random.between(13 * S, 20 * S),
            true => self.random.between(S, 15 * S),
            false => 0,
        };
        self.at(received + waits, Event::Collected { attempt });
    }

    pub(super) fn collected(&mut self, attempt: usize) {
        let it = &self.attempts[attempt];
        let process = it.process;
        if self.processes[process].life != it.life {
            return;
        }
        self.count("answered");
        self.processes[process].outcomes.push(attempt);
        if !self.processes[process].busy {
            self.wake_at(process, self.now + MS / 10);
        }
    }
}
