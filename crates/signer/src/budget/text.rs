//! The text in which a row is kept: canonical JSON, one line, the same text for the same state.
//!
//! Owns the format and its number. Must not repair: a text that it does not fully understand is refused, because a row
//! half understood would return slots that are still out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Operations;
use super::admission::{Created, Gate, Queue};
use super::clock::BudgetTime;
use super::ramp::Cut;
use super::row::{Pool, Row};
use super::slots::{Held, STEP_MS};

/// The format written here.
const SCHEMA: u32 = 1;
/// Far more rises than D + W + M ever spans, so that no text makes a process run out of memory.
const MOST_STEPS: usize = 100_000;

/// A row's text cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// It was written by a version of the product that keeps rows in another format.
    #[error("the budget row has format {0}, this version knows format {SCHEMA}")]
    Schema(u32),
    /// It is not a row's text.
    #[error("the budget row is damaged")]
    Damaged(#[source] serde_json::Error),
    /// It is, but what it says cannot be.
    #[error("the budget row contradicts itself")]
    Impossible,
    /// It cannot be put into words. Nothing in a row is known to make this happen.
    #[error("the budget row cannot be written")]
    Unwritable(#[source] serde_json::Error),
}

#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowText {
    v: u32,
    time: TimeText,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sign: Option<PoolText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    create_key: Option<PoolText>,
    gate: GateText,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TimeText {
    last: i64,
    shift: i64,
    lost: i64,
    rises: i64,
    newcomers: u64,
    epoch: String,
    paused_until: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolText {
    /// The first step, in rises of 20 ms.
    first: i64,
    /// The greatest common divisor of all counts.
    unit: u64,
    /// How many of `unit` fall due in each step from the first on; a negative number is that many empty rises.
    due: Vec<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cut: Option<CutText>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CutText {
    at: i64,
    level: u64,
    paced_until: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GateText {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens: Option<u64>,
    counted_at: i64,
    m: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    m_bucket: Option<i64>,
    /// Bucket, requests, units asked.
    created: Vec<(i64, u64, u64)>,
    /// Replica: units, said at.
    queues: BTreeMap<String, (u64, i64)>,
}

impl Row {
    /// Reads a row's text.
    ///
    /// # Errors
    /// [`RowError`] if it is not exactly what [`Row::to_text`] of this version writes.
    pub fn parse(text: &str) -> Result<Self, RowError> {
        let row: RowText =
            serde_json::from_str(text).map_err(|source| match serde_json::from_str::<Versioned>(text) {
                Ok(Versioned { v }) if v != SCHEMA => RowError::Schema(v),
                _ => RowError::Damaged(source),
            })?;
        if row.v != SCHEMA {
            return Err(RowError::Schema(row.v));
        }
        let mut pools = BTreeMap::new();
        for (operations, pool) in [(Operations::Sign, row.sign), (Operations::CreateKey, row.create_key)] {
            if let Some(pool) = pool {
                pools.insert(operations, pool.read()?);
            }
        }
        Ok(Self { time: row.time.read()?, pools, gate: row.gate.read()? })
    }

    /// The text to keep.
    ///
    /// # Errors
    /// [`RowError::Unwritable`]; the transaction must fail then, because another text in its place would lose slots.
    pub fn to_text(&self) -> Result<String, RowError> {
        let pool = |operations| self.pools.get(&operations).and_then(PoolText::of);
        let text = RowText {
            v: SCHEMA,
            time: TimeText::of(&self.time),
            sign: pool(Operations::Sign),
            create_key: pool(Operations::CreateKey),
            gate: GateText::of(&self.gate),
        };
        serde_json::to_string(&text).map_err(RowError::Unwritable)
    }
}

impl TimeText {
    fn of(time: &BudgetTime) -> Self {
        Self {
            last: time.last,
            shift: time.shift,
            lost: time.lost,
            rises: time.rises,
            newcomers: time.newcomers,
            epoch: time.epoch.clone(),
            paused_until: time.paused_until,
        }
    }

    fn read(self) -> Result<BudgetTime, RowError> {
        let Self { last, shift, lost, rises, newcomers, epoch, paused_until } = self;
        if last < 0 || lost < 0 {
            return Err(RowError::Impossible);
        }
        Ok(BudgetTime { last, shift, lost, rises, newcomers, epoch, paused_until })
    }
}

impl PoolText {
    /// `None` if there is nothing to keep.
    fn of(pool: &Pool) -> Option<Self> {
        let cut = pool.cut.map(|Cut { at, level, paced_until }| CutText { at, level, paced_until });
        let unit = pool.held.iter().fold(0, |unit, (_, units)| gcd(unit, units));
        let Some((first, _)) = pool.held.iter().next() else {
            return cut.map(|cut| Self { first: 0, unit: 1, due: Vec::new(), cut: Some(cut) });
        };
        let first = first / STEP_MS;
        let mut due = Vec::new();
        let mut next = first;
        for (time, units) in pool.held.iter() {
            let step = time / STEP_MS;
            if step > next {
                due.push(next.saturating_sub(step));
            }
            due.push(i64::try_from(units / unit.max(1)).unwrap_or(i64::MAX));
            next = step.saturating_add(1);
        }
        Some(Self { first, unit, due, cut })
    }

    fn read(self) -> Result<Pool, RowError> {
        if self.due.len() > MOST_STEPS {
            return Err(RowError::Impossible);
        }
        let mut held = Held::default();
        let mut step = self.first;
        for count in self.due {
            if let Ok(count @ 1..) = u64::try_from(count) {
                let time = step.checked_mul(STEP_MS).ok_or(RowError::Impossible)?;
                let units = count.checked_mul(self.unit).filter(|units| *units > 0);
                held.add(time, units.ok_or(RowError::Impossible)?);
                step = step.checked_add(1).ok_or(RowError::Impossible)?;
            } else if count < 0 {
                step = step.checked_sub(count).ok_or(RowError::Impossible)?;
            } else {
                return Err(RowError::Impossible);
            }
        }
        let cut = self.cut.map(|CutText { at, level, paced_until }| Cut { at, level, paced_until });
        Ok(Pool { held, cut })
    }
}

impl GateText {
    fn of(gate: &Gate) -> Self {
        Self {
            tokens: gate.tokens,
            counted_at: gate.counted_at,
            m: gate.m,
            m_bucket: (gate.m_bucket != i64::MIN).then_some(gate.m_bucket),
            created: gate.created.iter().map(|(bucket, c)| (*bucket, c.requests, c.asked)).collect(),
            queues: gate.queues.iter().map(|(name, q)| (name.clone(), (q.units, q.at))).collect(),
        }
    }

    fn read(self) -> Result<Gate, RowError> {
        if self.m == 0 {
            return Err(RowError::Impossible);
        }
        let created = self.created.into_iter();
        let queues = self.queues.into_iter();
        Ok(Gate {
            tokens: self.tokens,
            counted_at: self.counted_at,
            m: self.m,
            m_bucket: self.m_bucket.unwrap_or(i64::MIN),
            created: created.map(|(bucket, requests, asked)| (bucket, Created { requests, asked })).collect(),
            queues: queues.map(|(name, (units, at))| (name, Queue { units, at })).collect(),
        })
    }
}

/// The greatest common divisor.
fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests;
