//! What the ledger says about one request.

use serde_json::Value;

/// A request's state and events.
#[derive(Debug, Clone)]
pub struct Trail {
    pub state: String,
    /// Kind and details, in order.
    pub events: Vec<(String, Value)>,
}

impl Trail {
    pub fn read(answer: &Value) -> Self {
        let events = answer["events"].as_array().expect("events");
        Self {
            state: answer["state"].as_str().expect("a state").to_owned(),
            events: events
                .iter()
                .map(|event| (event["event"].as_str().expect("a kind").to_owned(), event["details"].clone()))
                .collect(),
        }
    }

    /// The details of all events of a kind.
    pub fn of(&self, kind: &str) -> Vec<&Value> {
        self.events.iter().filter(|(found, _)| found == kind).map(|(_, details)| details).collect()
    }

    pub fn has(&self, kind: &str) -> bool {
        !self.of(kind).is_empty()
    }

    /// The kinds in order.
    pub fn kinds(&self) -> Vec<&str> {
        self.events.iter().map(|(kind, _)| kind.as_str()).collect()
    }

    /// Why proofs were refused, in order.
    pub fn refusals(&self) -> Vec<&str> {
        self.of("proof_refused").into_iter().filter_map(|details| details["reason"].as_str()).collect()
    }

    /// How often something was signed for this request: intents of this purpose.
    pub fn intents(&self, purpose: &str) -> usize {
        self.of("signing_intent").into_iter().filter(|details| details["purpose"] == purpose).count()
    }

    /// Callbacks that arrived, by status, in order.
    pub fn delivered(&self) -> Vec<&str> {
        self.of("callback_delivered").into_iter().filter_map(|details| details["callback"].as_str()).collect()
    }
}
