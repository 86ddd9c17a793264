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
#[derive(Default)]
pub struct Notes(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    order: VecDeque<RequestId>,
    counts: HashMap<RequestId, u32>,
}

impl Notes {
    /// Whether one more note of this request may be taken.
    pub fn admit(&self, request: RequestId) -> bool {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        *count <= PER_REQUEST
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
    fn the_memory_is_bounded() {
        let notes = Notes::default();
        for _ in 0..REMEMBERED + 100 {
            notes.admit(RequestId::new(Uuid::new_v4()));
        }
        let counted = notes.0.lock().unwrap();
        assert_eq!(counted.counts.len(), REMEMBERED);
        assert_eq!(counted.order.len(), REMEMBERED);
    }
}
