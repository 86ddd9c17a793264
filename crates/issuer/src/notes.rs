//! How often the ledger takes notes that anonymous calls cause.
//!
//! A refused proof or a fetched contract belongs into the ledger, but whoever knows a request's address could repeat the
//! call for ever. So each request has a few notes per process, and the memory of them is bounded.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use domain::RequestId;

/// Notes per request.
const PER_REQUEST: u32 = 20;

/// Requests that are remembered; the oldest is forgotten first.
const REMEMBERED: usize = 16_384;

/// Counts notes by request.
pub struct Notes {
    per_request: u32,
    counted: Mutex<Counted>,
}

impl Default for Notes {
    fn default() -> Self {
        Self { per_request: PER_REQUEST, counted: Mutex::default() }
    }
}

#[derive(Default)]
struct Counted {
    order: VecDeque<RequestId>,
    counts: HashMap<RequestId, u32>,
}

impl Notes {
    /// One note per request: for what says the same each time.
    pub fn once() -> Self {
        Self { per_request: 1, ..Self::default() }
    }

    /// Whether one more note of this request may be taken.
    pub fn admit(&self, request: RequestId) -> bool {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if !counted.counts.contains_key(&request) {
            counted.order.push_back(request);
            if counted.order.len() > REMEMBERED
                && let Some(oldest) = counted.order.pop_front()
            {
                counted.counts.remove(&oldest);
            }
        }
        let count = counted.counts.entry(request).or_default();
        *count = count.saturating_add(1);
        *count <= self.per_request
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_request_has_a_few_notes_and_its_neighbours_have_theirs() {
        let notes = Notes::default();
        let request = RequestId::new(Uuid::new_v4());
        assert_eq!((0..100).filter(|_| notes.admit(request)).count(), 20);
        assert!(notes.admit(RequestId::new(Uuid::new_v4())));
    }

    #[test]
    fn once_is_once() {
        let notes = Notes::once();
        let request = RequestId::new(Uuid::new_v4());
        assert_eq!((0..100).filter(|_| notes.admit(request)).count(), 1);
    }

    #[test]
    fn the_memory_is_bounded() {
        let notes = Notes::default();
        for _ in 0..REMEMBERED + 100 {
            notes.admit(RequestId::new(Uuid::new_v4()));
        }
        let counted = notes.counted.lock().unwrap();
        assert_eq!(counted.counts.len(), REMEMBERED);
        assert_eq!(counted.order.len(), REMEMBERED);
    }
}
