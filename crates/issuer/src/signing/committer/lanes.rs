//! Where members wait for slots.
//!
//! Owns who comes first and who is given up: four lanes, each in order of arrival; a member whose meters have just had
//! nothing free is not asked for again before something returns. Must not count slots: the transaction does.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use domain::RequestId;
use store::{MeterName, Write, Written};
use tokio::time::Instant;

use super::{Answered, Member};

/// How long members wait at most before the row is asked again: other replicas return slots of which this process learns
/// only by asking, and the row learns how many wait here.
const LOOK: Duration = Duration::from_millis(250);

/// And at least, so that a row whose time lags behind is not asked in a circle.
const PAUSE: Duration = Duration::from_millis(2);

/// Who is served first when slots are scarce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Keys, contracts, domain linkage, status lists: everything else stands on them.
    Lifecycle,
    /// Credentials of requests whose wallet has begun.
    Begun,
    /// Request objects: wallets that come now.
    New,
    /// What nobody looks at while it waits.
    Batch,
}

impl Lane {
    const ALL: [Self; 4] = [Self::Lifecycle, Self::Begun, Self::New, Self::Batch];
}

/// The word under which needs count signatures.
const SIGN: &str = "sign";

/// Names what a member waits for: everybody with the same key stands in the same line.
type Line = Vec<(MeterName, &'static str)>;

#[derive(Default)]
pub(super) struct Lanes {
    lifecycle: VecDeque<Member>,
    begun: VecDeque<Member>,
    new: VecDeque<Member>,
    batch: VecDeque<Member>,
    /// Until when a line is not asked for.
    closed: HashMap<Line, Instant>,
}

fn line(write: &Write) -> Line {
    write.needs().iter().map(|need| (need.meter.clone(), need.operations)).collect()
}

impl Lanes {
    fn lane(&mut self, lane: Lane) -> &mut VecDeque<Member> {
        match lane {
            Lane::Lifecycle => &mut self.lifecycle,
            Lane::Begun => &mut self.begun,
            Lane::New => &mut self.new,
            Lane::Batch => &mut self.batch,
        }
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        [&self.lifecycle, &self.begun, &self.new, &self.batch].into_iter().flatten()
    }

    pub(super) fn len(&self) -> usize {
        self.lifecycle.len() + self.begun.len() + self.new.len() + self.batch.len()
    }

    pub(super) fn push(&mut self, member: Member) {
        self.lane(member.lane).push_back(member);
    }

    /// Gives up those whose time is up at `now`, all without one, and those for whom nobody waits any more.
    pub(super) fn give_up(&mut self, now: Option<Instant>) {
        for lane in Lane::ALL {
            let members = std::mem::take(self.lane(lane));
            for member in members {
                let late = now.is_none_or(|now| member.until.is_some_and(|until| until <= now));
                if !late && !member.reply.is_closed() {
                    self.lane(lane).push_back(member);
                } else if late {
                    drop(member.reply.send(Ok(Answered {
                        written: Written::NoSlot { wait_ms: 0 },
                        slots: Vec::new(),
                        began: domain::BootTime::from_nanos(0),
                    })));
                }
            }
        }
    }

    /// Up to `count` members whose lines are open, first lane first, none for a request that is in the batch already.
    pub(super) fn take(
        &mut self,
        count: usize,
        now: Instant,
        requests: &mut HashSet<RequestId>,
    ) -> Vec<Member> {
        self.closed.retain(|_, until| *until > now);
        let mut taken = Vec::new();
        for lane in Lane::ALL {
            let members = std::mem::take(self.lane(lane));
            for member in members {
                let open = taken.len() < count
                    && (self.closed.is_empty() || !self.closed.contains_key(&line(&member.write)))
                    && member.write.request().is_none_or(|request| requests.insert(request));
                if open { taken.push(member) } else { self.lane(lane).push_back(member) }
            }
        }
        taken
    }

    /// Puts back those for whom there was no slot, each before those that came later, and closes their lines.
    pub(super) fn put_back(&mut self, without: Vec<(Member, i64)>, now: Instant) {
        for (member, wait_ms) in without.into_iter().rev() {
            let wait = Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)).clamp(PAUSE, LOOK);
            self.closed.insert(line(&member.write), now + wait);
            self.lane(member.lane).push_front(member);
        }
    }

    /// When a line opens or somebody has to be given up.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        let opens = self.closed.values().copied();
        self.members().filter_map(|member| member.until).chain(opens).min()
    }

    /// How much waits for each meter, in units of signatures, that of a batch that is about to run included.
    pub(super) fn waiting(&self, batch: &[Member]) -> HashMap<MeterName, u64> {
        let mut waiting: HashMap<MeterName, u64> = HashMap::new();
        for member in self.members().chain(batch) {
            for need in member.write.needs().iter().filter(|need| need.operations == SIGN) {
                let units = waiting.entry(need.meter.clone()).or_default();
                *units = units.saturating_add(need.units);
            }
        }
        waiting
    }
}
