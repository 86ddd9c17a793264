//! The database as an auditor reads it: every row of the tables that an issuance touches, held against each other. The rules are
//! those of the target's head (`main.rs`), 5 to 11.

use std::collections::{BTreeMap, BTreeSet};

use credenza_tests::database::Database;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Kinds of the events of an issuance, for rule 11.
const KINDS: [&str; 15] = [
    "request_created",
    "request_refused",
    "request_retrieved",
    "contract_fetched",
    "proof_refused",
    "signing_intent",
    "signing_outcome",
    "intent_voided",
    "credential_issued",
    "wallet_reported",
    "request_expired",
    "request_failed",
    "callback_delivered",
    "key_transition",
    "admin_change",
];

struct Intent {
    subject: String,
    state: String,
    digest: String,
    attempt: i64,
    status_index: String,
    holds_input: bool,
}

struct Attempt {
    state: String,
    outcome: String,
}

struct Event {
    seq: i64,
    kind: String,
    transaction: String,
    details: Value,
}

/// All of it.
pub struct Books {
    intents: BTreeMap<String, Intent>,
    attempts: BTreeMap<(String, i64), Attempt>,
    /// Request, status index and transaction.
    issuances: Vec<(String, String, String)>,
    /// State, transaction and what must be gone, by request.
    requests: BTreeMap<String, (String, String, String)>,
    events: Vec<Event>,
    unreadable: Vec<String>,
}

impl Books {
    /// Reads the tables.
    pub fn read(database: &Database) -> Self {
        let number = |text: &str| text.parse::<i64>().expect("a number");
        let intents = database
            .rows("SELECT id, state, digest, attempt, status_index, CASE WHEN input IS NULL THEN 0 ELSE 1 END, subject FROM intent", 7)
            .into_iter()
            .map(|row| {
                let intent = Intent {
                    state: row[1].clone(),
                    digest: row[2].clone(),
                    attempt: number(&row[3]),
                    status_index: row[4].clone(),
                    holds_input: row[5] == "1",
                    subject: row[6].clone(),
                };
                (row[0].clone(), intent)
            })
            .collect();
        let attempts = database
            .rows("SELECT intent, n, state, outcome FROM attempt", 4)
            .into_iter()
            .map(|row| {
                (
                    (row[0].clone(), number(&row[1])),
                    Attempt { state: row[2].clone(), outcome: row[3].clone() },
                )
            })
            .collect();
        let issuances = database
            .rows("SELECT request, status_index, transaction_id FROM issuance", 3)
            .into_iter()
            .map(|row| (row[0].clone(), row[1].clone(), row[2].clone()))
            .collect();
        let secrets = "COALESCE(pin_hash, '') || COALESCE((SELECT MAX(p.part) FROM request_part p WHERE p.request = request.id), '')";
        let requests = database
            .rows(&format!("SELECT id, state, transaction_id, {secrets} FROM request"), 4)
            .into_iter()
            .map(|row| (row[0].clone(), (row[1].clone(), row[2].clone(), row[3].clone())))
            .collect();
        let mut books =
            Self { intents, attempts, issuances, requests, events: Vec::new(), unreadable: Vec::new() };
        for row in database
            .rows("SELECT seq, kind, transaction_id, at, schema, tenant, body FROM event ORDER BY seq", 7)
        {
            books.read_event(&row);
        }
        books
    }

    fn read_event(&mut self, row: &[String]) {
        let [seq, kind, transaction, at, schema, tenant, text] = row else { panic!("seven columns") };
        let Ok(body) = serde_json::from_str::<Value>(text) else {
            self.unreadable.push(format!("event {seq} is no JSON: {text}"));
            return;
        };
        let same = body["event"] == kind.as_str()
            && body["transaction"] == transaction.as_str()
            && body["tenant"] == tenant.as_str()
            && body["at"].as_i64() == at.parse().ok()
            && body["schema"].as_i64() == schema.parse().ok();
        let is_canonical = is_sorted(&body) && serde_json::to_string(&body).is_ok_and(|again| again == *text);
        if !same || !is_canonical || !KINDS.contains(&kind.as_str()) {
            self.unreadable
                .push(format!("event {seq} ({kind}) is not what its columns say, or not canonical: {text}"));
        }
        self.events.push(Event {
            seq: seq.parse().expect("a number"),
            kind: kind.clone(),
            transaction: transaction.clone(),
            details: body["details"].clone(),
        });
    }

    /// What is wrong (rules 5 to 8, 10 and 11).
    pub fn faults(&self) -> Vec<String> {
        let mut wrong = self.unreadable.clone();
        self.check_attempts(&mut wrong);
        self.check_intents(&mut wrong);
        self.check_issuances(&mut wrong);
        for (request, (state, _, secrets)) in &self.requests {
            if ["completed", "failed"].contains(&state.as_str()) && !secrets.is_empty() {
                wrong.push(format!("{request} is {state} and still holds secrets"));
            }
        }
        wrong
    }

    fn signing(&self, kind: &str) -> BTreeMap<(String, i64), Vec<&Event>> {
        let mut found: BTreeMap<_, Vec<&Event>> = BTreeMap::new();
        for event in self.events.iter().filter(|event| event.kind == kind) {
            let intent = event.details["intent"].as_str().unwrap_or_default().to_owned();
            found
                .entry((intent, event.details["attempt"].as_i64().unwrap_or_default()))
                .or_default()
                .push(event);
        }
        found
    }

    fn check_attempts(&self, wrong: &mut Vec<String>) {
        let (asked, answered) = (self.signing("signing_intent"), self.signing("signing_outcome"));
        for ((intent, n), attempt) in &self.attempts {
            let name = format!("attempt {intent}.{n}");
            let Some(owner) = self.intents.get(intent) else {
                wrong.push(format!("{name} has no intent"));
                continue;
            };
            let at = (intent.clone(), *n);
            let (asked, answered) = (asked.get(&at), answered.get(&at));
            let (Some([before]), Some([after])) = (asked.map(Vec::as_slice), answered.map(Vec::as_slice))
            else {
                wrong.push(format!(
                    "{name} ({}) has {} intents and {} outcomes in the ledger",
                    attempt.state,
                    asked.map_or(0, Vec::len),
                    answered.map_or(0, Vec::len)
                ));
                continue;
            };
            if before.seq >= after.seq {
                wrong.push(format!("{name}: its outcome is older than its intent"));
            }
            for (detail, expected) in
                [("outcome", attempt.outcome.as_str()), ("digest", owner.digest.as_str())]
            {
                if after.details[detail] != expected {
                    wrong.push(format!(
                        "{name}: the ledger's {detail} is {}, not {expected}",
                        after.details[detail]
                    ));
                }
            }
            for detail in ["digest", "key"] {
                if before.details[detail] != after.details[detail] {
                    wrong.push(format!(
                        "{name}: the {detail} of its intent is {}, that of its outcome {}",
                        before.details[detail], after.details[detail]
                    ));
                }
            }
        }
        for at in asked.keys().chain(answered.keys()).filter(|at| !self.attempts.contains_key(*at)) {
            wrong.push(format!("the ledger has an attempt {}.{} that the tables do not have", at.0, at.1));
        }
    }

    fn check_intents(&self, wrong: &mut Vec<String>) {
        let mut subjects = BTreeSet::new();
        for (id, intent) in &self.intents {
            if intent.state != "void" && !subjects.insert(&intent.subject) {
                wrong.push(format!("{} has two intents", intent.subject));
            }
            let signed: Vec<i64> = self
                .attempts
                .iter()
                .filter(|((owner, _), attempt)| owner == id && attempt.outcome == "signed")
                .map(|((_, n), _)| *n)
                .collect();
            // A superseded attempt may have been answered as well; that counts for nothing.
            let is_signed = signed.contains(&intent.attempt);
            if is_signed != (intent.state == "done") || (is_signed && intent.holds_input) {
                wrong.push(format!(
                    "{} ({}, latest attempt {}) was signed in the attempts {signed:?}",
                    intent.subject, intent.state, intent.attempt
                ));
            }
        }
    }

    fn check_issuances(&self, wrong: &mut Vec<String>) {
        let mut seen = BTreeSet::new();
        for (request, index, transaction) in &self.issuances {
            if !seen.insert(request) {
                wrong.push(format!("{request} has two issuances"));
            }
            let intent = self.done(&format!("credential/{request}/0"));
            if intent.is_none_or(|intent| intent.status_index != *index) {
                wrong.push(format!("{request} was issued without a matching intent"));
            }
            let told = self
                .events
                .iter()
                .filter(|event| event.kind == "credential_issued" && event.transaction == *transaction);
            if told.count() != 1 {
                wrong.push(format!("{request}: not exactly one `credential_issued`"));
            }
        }
    }

    fn done(&self, subject: &str) -> Option<&Intent> {
        self.intents.values().find(|intent| intent.subject == subject && intent.state == "done")
    }

    /// What is wrong with a request whose wallet holds this object and this credential (rule 9, and that it ended well).
    pub fn faults_of_finished(&self, request: &str, object: &str, credential: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        match self.requests.get(request) {
            Some((state, ..)) if state == "completed" => {}
            Some((state, ..)) => wrong.push(format!("{request} is {state}, and its wallet is done")),
            None => wrong.push(format!("{request} was answered with 201 and is not there")),
        }
        if !self.issuances.iter().any(|(issued, ..)| issued == request) {
            wrong.push(format!("{request} has no issuance"));
        }
        for (subject, jws) in
            [(format!("request_object/{request}"), object), (format!("credential/{request}/0"), credential)]
        {
            let digest = digest_of(jws);
            if self.done(&subject).is_none_or(|intent| intent.digest != digest) {
                wrong.push(format!("{subject} was signed off the record: {digest}"));
            }
        }
        wrong
    }

    /// How much was hit, for the log.
    pub fn summary(&self) -> String {
        let unknown = self.attempts.values().filter(|attempt| attempt.outcome == "unknown").count();
        let revived = self.attempts.keys().filter(|(_, n)| *n > 1).count();
        format!(
            "{} attempts to sign, of which {unknown} died with the server and {revived} took over; {} events",
            self.attempts.len(),
            self.events.len()
        )
    }
}

/// Whether the members of all objects stand in the order of their names. (`serde_json` keeps the text's order or sorts; in
/// the second case the comparison with the text finds what is wrong.)
fn is_sorted(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.keys().is_sorted() && members.values().all(is_sorted),
        Value::Array(items) => items.iter().all(is_sorted),
        _ => true,
    }
}

/// SHA-256 of a compact JWS's signing input, in hex.
fn digest_of(jws: &str) -> String {
    let (input, _) = jws.rsplit_once('.').expect("a compact JWS");
    Sha256::digest(input).iter().map(|byte| format!("{byte:02x}")).collect()
}
