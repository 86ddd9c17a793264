//! The vault's own log against the ledger, attempt by attempt: nothing may be signed off the record, and nothing may be on the
//! record that the vault did not see.
//!
//! Owns the rules, for both databases. Reads log rows as the vault writes them and the tables as they are; it must not use the
//! product's code, which it judges.
//!
//! An attempt is named `<intent>.<n>`, and the name stands in the User-Agent of its one exchange with the vault:
//!
//! 1. Every signature that the vault was asked for has a name, and no name was seen twice: an attempt is one exchange.
//! 2. Every name has its row in `attempt`, with exactly one `signing_intent` and one `signing_outcome` in the ledger.
//! 3. An attempt that the vault answered has its row in the log: the same request id, status and key version.
//! 4. What the ledger calls signed was answered with 200; what it says was never sent is not in the log.
//! 5. What the vault has signed is no outcome of the ledger that rules a signature out.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::database::Database;

/// Outcomes after which it is certain that nothing went out.
const NEVER_SENT: [&str; 7] = [
    "budget_exhausted",
    "no_token",
    "permit_expired",
    "permit_spent",
    "unreachable",
    "unreachable_dns",
    "unreachable_tls",
];

/// Outcomes that go with an answer of 200: the signature was good, or it was thrown away.
const SIGNED_THERE: [&str; 8] = [
    "bad_response",
    "not_sealed",
    "signed",
    "timed_out",
    "unavailable",
    "unknown",
    "wrong_key",
    "wrong_signature",
];

/// Intent and number.
type Name = (String, i64);

struct Attempt {
    state: String,
    outcome: String,
    request_id: String,
    status: String,
}

/// Both sides of the comparison.
pub struct Reconciliation {
    /// The log's rows that hold the name of an attempt.
    seen: BTreeMap<Name, Vec<Value>>,
    /// Signatures that nobody's name stands on.
    nameless: Vec<Value>,
    attempts: BTreeMap<Name, Attempt>,
    /// Kind and details of the ledger's events about signing.
    events: BTreeMap<Name, Vec<(String, Value)>>,
}

/// The name of an attempt out of a User-Agent: `… (a=<intent>.<n>)`.
fn name_in(agent: &str) -> Option<Name> {
    let (_, rest) = agent.split_once("(a=")?;
    let (name, _) = rest.split_once(')')?;
    let (intent, number) = name.split_once('.')?;
    Some((intent.to_owned(), number.parse().ok()?))
}

impl Reconciliation {
    /// Takes rows of the vault's log (all of it: what is left out counts as never seen) and reads the database.
    ///
    /// # Panics
    /// When the database cannot be read.
    #[must_use]
    pub fn read(log: &[Value], database: &Database) -> Self {
        let mut seen: BTreeMap<Name, Vec<Value>> = BTreeMap::new();
        let mut nameless = Vec::new();
        for row in log {
            match row["properties"]["clientInfo"].as_str().and_then(name_in) {
                Some(name) => seen.entry(name).or_default().push(row.clone()),
                None if row["operationName"] == "KeySign" => nameless.push(row.clone()),
                None => {}
            }
        }
        let attempts = database
            .rows("SELECT intent, n, state, outcome, provider_request_id, status FROM attempt", 6)
            .into_iter()
            .map(|row| {
                let name = (row[0].clone(), row[1].parse().expect("a number"));
                let attempt = Attempt {
                    state: row[2].clone(),
                    outcome: row[3].clone(),
                    request_id: row[4].clone(),
                    status: row[5].clone(),
                };
                (name, attempt)
            })
            .collect();
        let mut events: BTreeMap<Name, Vec<(String, Value)>> = BTreeMap::new();
        let statement =
            "SELECT kind, body FROM event WHERE kind IN ('signing_intent', 'signing_outcome') ORDER BY seq";
        for row in database.rows(statement, 2) {
            let body: Value = serde_json::from_str(&row[1]).expect("an event is JSON");
            let details = body["details"].clone();
            let name = (
                details["intent"].as_str().unwrap_or_default().to_owned(),
                details["attempt"].as_i64().unwrap_or_default(),
            );
            events.entry(name).or_default().push((row[0].clone(), details));
        }
        Self { seen, nameless, attempts, events }
    }

    /// Attempts that are still under way, or whose end nobody has recorded yet.
    #[must_use]
    pub fn open(&self) -> usize {
        self.attempts.values().filter(|attempt| attempt.state == "open").count()
    }

    /// How many attempts ended so, by the word of the ledger.
    #[must_use]
    pub fn ended(&self, outcome: &str) -> usize {
        self.attempts.values().filter(|attempt| attempt.outcome == outcome).count()
    }

    /// How many attempts the vault has seen.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.seen.len()
    }

    /// What is wrong. Empty once nothing is under way and all is well.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut wrong: Vec<String> =
            self.nameless.iter().map(|row| format!("a signature without a name: {row}")).collect();
        for ((intent, n), rows) in &self.seen {
            if rows.len() != 1 {
                wrong.push(format!("{intent}.{n} was sent {} times", rows.len()));
            }
            if !self.attempts.contains_key(&(intent.clone(), *n)) {
                wrong.push(format!("{intent}.{n} is in the vault's log and not on the record"));
            }
        }
        for (name, attempt) in &self.attempts {
            let name_text = format!("{}.{}", name.0, name.1);
            self.judge(name, attempt, &mut |fault| wrong.push(format!("{name_text}: {fault}")));
        }
        for name in self.events.keys().filter(|name| !self.attempts.contains_key(*name)) {
            wrong.push(format!("the ledger has {}.{}, and there is no such attempt", name.0, name.1));
        }
        wrong
    }

    fn judge(&self, name: &Name, attempt: &Attempt, wrong: &mut impl FnMut(String)) {
        let none = Vec::new();
        let events = self.events.get(name).unwrap_or(&none);
        let of = |wanted: &str| {
            let found: Vec<&Value> =
                events.iter().filter(|(kind, _)| kind == wanted).map(|(_, details)| details).collect();
            found
        };
        let (asked, ended) = (of("signing_intent"), of("signing_outcome"));
        if asked.len() != 1 || ended.len() != 1 {
            wrong(format!(
                "{}, with {} intents and {} outcomes in the ledger",
                attempt.state,
                asked.len(),
                ended.len()
            ));
            return;
        }
        let (asked, ended) = (asked[0], ended[0]);
        let text = |details: &Value, member: &str| details[member].as_str().unwrap_or_default().to_owned();
        let status = ended["status"].as_i64().map(|status| status.to_string()).unwrap_or_default();
        if text(ended, "outcome") != attempt.outcome
            || text(ended, "provider_request_id") != attempt.request_id
            || status != attempt.status
        {
            wrong(format!(
                "the ledger says {ended}, the table {}, {:?} and {:?}",
                attempt.outcome, attempt.request_id, attempt.status
            ));
        }
        match self.seen.get(name).and_then(|rows| rows.first()) {
            Some(row) => Self::compare(row, attempt, &text(asked, "key"), wrong),
            None if !attempt.request_id.is_empty() => {
                wrong(format!("answered as {}, and not in the vault's log", attempt.request_id));
            }
            None if attempt.outcome == "signed" => wrong("signed, and not in the vault's log".to_owned()),
            None => {}
        }
    }

    /// An attempt with its row.
    fn compare(row: &Value, attempt: &Attempt, key: &str, wrong: &mut impl FnMut(String)) {
        let properties = &row["properties"];
        let status = properties["httpStatusCode"].as_i64().unwrap_or_default();
        let outcome = attempt.outcome.as_str();
        if attempt.request_id.is_empty() {
            if outcome == "signed" {
                wrong("signed without an answer of the vault".to_owned());
            }
        } else {
            if row["correlationId"] != attempt.request_id.as_str() {
                wrong(format!("answered as {}, logged as {}", attempt.request_id, row["correlationId"]));
            }
            if attempt.status != status.to_string() {
                wrong(format!("answered with {}, logged with {status}", attempt.status));
            }
        }
        if NEVER_SENT.contains(&outcome) {
            wrong(format!("{outcome}, and yet in the vault's log with {status}"));
        }
        let may_have_signed = SIGNED_THERE.contains(&outcome);
        if status == 200 && !may_have_signed {
            wrong(format!("{outcome}, and the vault has signed"));
        }
        if outcome == "signed" && status != 200 {
            wrong(format!("signed, and the vault answered with {status}"));
        }
        // `<back end>/<name>/<version>`, and the address `…/keys/<name>/<version>/sign`.
        let asked_for = key.split_once('/').map_or(key, |(_, key)| key);
        let address = properties["requestUri"].as_str().unwrap_or_default();
        if !address.contains(&format!("/keys/{asked_for}/sign")) {
            wrong(format!("asked for a signature of {asked_for}, and the vault for {address}"));
        }
    }
}

#[cfg(test)]
mod tests;
