//! Notes of refused calls, gathered so that a flood is named in the ledger without filling it.
//!
//! Owns the counting: one note per reason and source and second, with how many calls it stands for; the loudest
//! [`NOTES`] sources of a second by name, the rest of them together. Must not decide who is refused.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use domain::audit::{Event, EventKind, Subject};
use domain::{ClientId, ContractId, CustomerId, RequestId, TenantId, Timestamp, TransactionId};
use uuid::Uuid;

/// Notes of one flush by name; whatever else was refused shares one note per reason.
pub const NOTES: usize = 32;

/// Sources that are told apart between two flushes.
const SOURCES: usize = 4_096;

/// Why a call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// A quota was used up.
    Limited,
    /// An operator has stopped the caller.
    Stopped,
}

impl Reason {
    /// The name in the ledger.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Limited => "limited",
            Self::Stopped => "stopped",
        }
    }
}

/// Whose calls a note counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    /// Why they were refused.
    pub reason: Reason,
    /// By which quota or stop: `client`, `customer`, `contract`, `address` …
    pub by: &'static str,
    /// The front end, where it is known.
    pub client: Option<ClientId>,
    /// The customer, where the refusal is about one.
    pub customer: Option<CustomerId>,
    /// The contract, where the refusal is about one.
    pub contract: Option<ContractId>,
    /// The address, where nothing else names the caller.
    pub address: Option<String>,
    /// The request that wallets call about too often.
    pub request: Option<RequestId>,
}

impl Source {
    /// A source without any name.
    #[must_use]
    pub const fn unnamed(reason: Reason, by: &'static str) -> Self {
        Self { reason, by, client: None, customer: None, contract: None, address: None, request: None }
    }
}

struct Counted {
    calls: i64,
    /// The first call's, so that whoever has it in its own log finds the note.
    transaction: TransactionId,
}

/// Refused calls since the last flush.
#[derive(Default)]
pub struct Refusals {
    counted: Mutex<HashMap<Source, Counted>>,
}

impl Refusals {
    /// Counts one refused call.
    pub fn add(&self, source: Source, transaction: Option<TransactionId>) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let source = if counted.len() < SOURCES || counted.contains_key(&source) {
            source
        } else {
            Source::unnamed(source.reason, source.by)
        };
        let new = || Counted {
            calls: 0,
            transaction: transaction.unwrap_or_else(|| TransactionId::new(Uuid::now_v7())),
        };
        let entry = counted.entry(source).or_insert_with(new);
        entry.calls = entry.calls.saturating_add(1);
    }

    /// What to write into the ledger, the loudest first; counting begins anew.
    #[must_use]
    pub fn flush(&self, tenant: TenantId, at: Timestamp) -> Vec<Event> {
        let counted = {
            let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *counted)
        };
        let mut counted: Vec<(Source, Counted)> = counted.into_iter().collect();
        counted.sort_by_key(|(_, counted)| std::cmp::Reverse(counted.calls));
        let rest = counted.split_off(counted.len().min(NOTES));
        let mut events: Vec<Event> =
            counted.into_iter().map(|(source, counted)| event(tenant, at, source, &counted, 1)).collect();
        let mut together: HashMap<(Reason, &'static str), (Counted, i64)> = HashMap::new();
        for (source, counted) in rest {
            let entry = together
                .entry((source.reason, source.by))
                .or_insert_with(|| (Counted { calls: 0, transaction: counted.transaction }, 0));
            entry.0.calls = entry.0.calls.saturating_add(counted.calls);
            entry.1 += 1;
        }
        events.extend(together.into_iter().map(|((reason, by), (counted, sources))| {
            event(tenant, at, Source::unnamed(reason, by), &counted, sources)
        }));
        events
    }
}

fn event(tenant: TenantId, at: Timestamp, source: Source, counted: &Counted, sources: i64) -> Event {
    let subject = Subject {
        tenant,
        transaction: counted.transaction,
        authority: None,
        contract: source.contract,
        client: source.client,
        customer: source.customer,
    };
    let event = Event::new(&subject, EventKind::RequestRefused, at)
        .with("by", source.by)
        .with("count", counted.calls)
        .with("reason", source.reason.name());
    let event = if sources > 1 { event.with("sources", sources) } else { event };
    let event = match source.address {
        Some(address) => event.with("address", address),
        None => event,
    };
    match source.request {
        Some(request) => event.with("request", request.to_string()),
        None => event,
    }
}

#[cfg(test)]
mod tests {
    use domain::audit::Detail;

    use super::*;

    fn tenant() -> TenantId {
        "a5f1c9d2-0000-4000-8000-00000000abcd".parse().unwrap()
    }

    fn of_client(name: &str) -> Source {
        Source { client: Some(ClientId::new(name)), ..Source::unnamed(Reason::Limited, "client") }
    }

    fn flush(refusals: &Refusals) -> Vec<Event> {
        refusals.flush(tenant(), Timestamp::from_millis(7))
    }

    fn count(event: &Event) -> i64 {
        match event.details.get("count") {
            Some(Detail::Number(count)) => *count,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_flood_is_one_note_with_its_first_transaction() {
        let refusals = Refusals::default();
        let first = TransactionId::new(Uuid::now_v7());
        refusals.add(of_client("loud"), Some(first));
        for _ in 0..9_999 {
            refusals.add(of_client("loud"), Some(TransactionId::new(Uuid::now_v7())));
        }
        refusals.add(of_client("quiet"), None);
        let events = flush(&refusals);
        assert_eq!(events.len(), 2);
        assert_eq!(
            events[0].canonical(),
            format!(
                "{{\"at\":7,\"client\":\"loud\",\"details\":{{\"by\":\"client\",\"count\":10000,\"reason\":\"limited\"}},\
                 \"event\":\"request_refused\",\"schema\":{},\"tenant\":\"{}\",\"transaction\":\"{first}\"}}",
                domain::audit::SCHEMA,
                tenant(),
            )
        );
        assert_eq!(count(&events[1]), 1);
        assert_eq!(flush(&refusals), [], "what was written is not written again");
    }

    #[test]
    fn many_sources_are_few_notes_and_no_call_is_lost() {
        let refusals = Refusals::default();
        for n in 0..3 * SOURCES {
            refusals.add(
                Source { address: Some(n.to_string()), ..Source::unnamed(Reason::Limited, "address") },
                None,
            );
        }
        for _ in 0..50 {
            refusals.add(of_client("loud"), None);
        }
        let events = flush(&refusals);
        assert!(events.len() <= NOTES + 2, "{}", events.len());
        let calls: i64 = events.iter().map(count).sum();
        assert_eq!(calls, i64::try_from(3 * SOURCES + 50).unwrap());
        let rest = events.iter().find(|event| event.details.contains_key("sources")).unwrap();
        assert!(!rest.details.contains_key("address"));
    }

    #[test]
    fn the_loudest_are_named() {
        let refusals = Refusals::default();
        for n in 0..100_usize {
            for _ in 0..=n {
                refusals.add(of_client(&format!("{n:03}")), None);
            }
        }
        let named: Vec<String> = flush(&refusals)
            .into_iter()
            .filter_map(|event| Some(event.subject.client?.to_string()))
            .collect();
        let loudest: Vec<String> = (100 - NOTES..100).rev().map(|n| format!("{n:03}")).collect();
        assert_eq!(named, loudest);
    }
}
