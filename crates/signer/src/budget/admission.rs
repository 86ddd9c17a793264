//! Whether a new request is admitted: overload is refused where it costs nothing, when a request is created.
//!
//! Owns the estimate of what a request costs, the tokens and the queue. Must not influence a grant: no promise about the
//! vault's limit rests on anything in here.
//!
//! Everything is counted in units of cost (see [`Cost`](super::Cost)), so a mix of key types needs no average. A request
//! is admitted iff a token is there and the queue would clear within a second. Tokens grow at `0.98 · L / (W · m)`,
//! where m is what a request really costs here, unscanned ones included.

use std::collections::BTreeMap;

use super::meter::UNITS;
use super::ramp::mul_div;

/// One token, in the millionths that the row keeps.
const TOKEN: u64 = 1_000_000;
/// η: how much of the limit is promised away, in hundredths. Slots reach W / (W + holding time), a little more.
const ETA_PERCENT: u64 = 98;
/// T0: admitted only while all waiting signatures would be granted within so many milliseconds.
const QUEUE_MS: u64 = 1000;
/// For how long a replica's report of its queue counts, ms.
const REPORT_MS: i64 = 5000;
/// At most so many replicas are listened to.
const REPLICAS: usize = 64;
/// Requests are counted by when they were created, in buckets of so many milliseconds.
const BUCKET_MS: i64 = 10_000;
/// Counted are buckets that ended at least so many buckets ago …
const YOUNGEST: i64 = 6;
/// … and began at most so many ago.
const OLDEST: i64 = 24;
/// How many requests' worth the last estimate weighs.
const PRIOR: u64 = 500;
/// What a request is thought to cost before anything is known: two signatures.
pub(super) const FIRST_M: u64 = 2 * UNITS;
/// No estimate is below a tenth of a signature: codes that nobody scans must not open the gate without bound.
const LEAST_M: u64 = UNITS / 10;

/// Whether a request may be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Admitted,
    /// It may not; ask again after 1 to 5 s, at random.
    Refused(Refusal),
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// More requests came than the limit has signatures for.
    NoTokens,
    /// Too many signatures wait already.
    QueueTooLong,
    /// Nothing is granted at present, because commits may have been lost.
    Paused,
}

/// Requests created in one bucket of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Created {
    pub(super) requests: u64,
    /// Units that were asked for them, whenever that was.
    pub(super) asked: u64,
}

/// Signatures that wait in one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Queue {
    pub(super) units: u64,
    /// When it said so, budget time, ms.
    pub(super) at: i64,
}

/// The row's part of admission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gate {
    /// Millionths of a token at `counted_at`; `None` before the first count: then a whole second's worth is there.
    pub(super) tokens: Option<u64>,
    /// Budget time, ms.
    pub(super) counted_at: i64,
    /// The last stored m, in units.
    pub(super) m: u64,
    /// In which bucket of wall time m was stored.
    pub(super) m_bucket: i64,
    pub(super) created: BTreeMap<i64, Created>,
    pub(super) queues: BTreeMap<String, Queue>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            tokens: None,
            counted_at: 0,
            m: FIRST_M,
            m_bucket: i64::MIN,
            created: BTreeMap::new(),
            queues: BTreeMap::new(),
        }
    }
}

/// The limit that a gate guards: effective units per window in ms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    pub(super) units: u64,
    pub(super) window_ms: u64,
}

impl Gate {
    /// Brings the estimate up to date and forgets what no longer counts. Once per transaction.
    pub(super) fn refresh(&mut self, at: i64, wall_ms: i64) {
        let bucket = wall_ms.div_euclid(BUCKET_MS);
        if bucket != self.m_bucket {
            self.m = self.estimate(bucket);
            self.m_bucket = bucket;
            self.created.retain(|b, _| (bucket - OLDEST..=bucket + 1).contains(b));
        }
        self.queues.retain(|_, queue| at.saturating_sub(queue.at) <= REPORT_MS);
    }

    /// m = (500·m₀ + units asked) / (500 + requests), over requests created 60 to 240 s ago.
    fn estimate(&self, bucket: i64) -> u64 {
        let (mut requests, mut asked) = (0_u64, 0_u64);
        for (_, created) in self.created.range(bucket - OLDEST..bucket - YOUNGEST) {
            requests = requests.saturating_add(created.requests);
            asked = asked.saturating_add(created.asked);
        }
        let weighed = PRIOR.saturating_mul(self.m).saturating_add(asked);
        (weighed / PRIOR.saturating_add(requests)).max(LEAST_M)
    }

    /// Counts a request as created.
    pub(super) fn count_created(&mut self, created_at: i64) {
        let created = self.created.entry(created_at.div_euclid(BUCKET_MS)).or_default();
        created.requests = created.requests.saturating_add(1);
    }

    /// Counts a signature as asked for a request created then, if such requests are still counted.
    pub(super) fn count_asked(&mut self, created_at: i64, units: u64) {
        if let Some(created) = self.created.get_mut(&created_at.div_euclid(BUCKET_MS)) {
            created.asked = created.asked.saturating_add(units);
        }
    }

    /// Takes down how much waits in one process.
    pub(super) fn report(&mut self, replica: &str, units: u64, at: i64) {
        if units == 0 {
            self.queues.remove(replica);
        } else if self.queues.len() < REPLICAS || self.queues.contains_key(replica) {
            self.queues.insert(replica.to_owned(), Queue { units, at });
        }
    }

    /// Units that wait in all processes.
    pub(super) fn queued(&self, at: i64) -> u64 {
        let fresh = self.queues.values().filter(|queue| at.saturating_sub(queue.at) <= REPORT_MS);
        fresh.fold(0, |sum, queue| sum.saturating_add(queue.units))
    }

    /// Millionths of a token at a time.
    pub(super) fn tokens(&self, flow: Flow, at: i64) -> u64 {
        let per_window = mul_div(flow.units.saturating_mul(ETA_PERCENT) / 100, TOKEN, self.m);
        let cap = mul_div(per_window, 1000, flow.window_ms).max(TOKEN);
        let Some(tokens) = self.tokens else { return cap };
        let since = u64::try_from(at.saturating_sub(self.counted_at)).unwrap_or(0);
        tokens.saturating_add(mul_div(per_window, since, flow.window_ms)).min(cap)
    }

    /// Whether one more request may be created, taking nothing.
    pub(super) fn judge(&self, flow: Flow, at: i64) -> Admission {
        if self.tokens(flow, at) < TOKEN {
            return Admission::Refused(Refusal::NoTokens);
        }
        // Q·W/L < T0
        let queued = u128::from(self.queued(at)) * u128::from(flow.window_ms);
        if queued >= u128::from(flow.units) * u128::from(QUEUE_MS) {
            return Admission::Refused(Refusal::QueueTooLong);
        }
        Admission::Admitted
    }

    /// Takes the token of an admitted request.
    pub(super) fn take(&mut self, flow: Flow, at: i64) {
        self.tokens = Some(self.tokens(flow, at).saturating_sub(TOKEN));
        self.counted_at = at;
    }
}

#[cfg(test)]
mod tests;
