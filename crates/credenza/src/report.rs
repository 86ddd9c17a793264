//! `credenza report …`: who made how many requests and who was refused, counted from the ledger.
//!
//! Owns the counting and the tables. The source of a flood stands in the first line; `credenza stop` ends it.

use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use domain::{Clock as _, ContractId, Timestamp};
use serde::{Deserialize, Serialize};
use store::StoredEvent;

use crate::cli::{Installation, say};
use crate::clock::SystemClock;
use crate::installation;
use crate::plan::span::Span;
use crate::plan::table::Table;

/// `credenza report …`.
#[derive(Subcommand)]
pub enum ReportCommand {
    /// Requests that were asked for, accepted and refused.
    Requests(ReportArgs),
    /// Refused requests, by reason.
    Refusals(ReportArgs),
}

/// What is counted.
#[derive(Args, Clone)]
pub struct ReportArgs {
    /// How far back: a length of time (`15m`, `24h`) or a time (`2026-11-20T12:00:00Z`).
    #[arg(long, default_value = "1h")]
    since: Since,
    /// What the lines are about.
    #[arg(long, value_enum, default_value = "client")]
    by: By,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    installation: Installation,
}

/// What lines are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// The front end.
    Client,
    /// The front end and the customer on whose behalf it asked.
    Customer,
    /// The contract.
    Contract,
    /// The address, where a call was refused before anything else was known of it.
    Address,
}

/// Where counting begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    Ago(Span),
    At(Timestamp),
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(at) = Timestamp::parse_rfc3339(text) {
            return Ok(Self::At(at));
        }
        text.parse()
            .map(Self::Ago)
            .map_err(|error| format!("{error}; or a time such as 2026-11-20T12:00:00Z"))
    }
}

impl Since {
    fn timestamp(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(span) => {
                now.plus_millis(i64::try_from(span.millis()).map_or(i64::MIN, |millis| -millis))
            }
        }
    }
}

/// What of a ledger row is counted. Rows hold more, and rows of other versions may hold less.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    client: Option<String>,
    customer: Option<String>,
    contract: Option<ContractId>,
    details: Details,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    reason: Option<String>,
    by: Option<String>,
    count: Option<i64>,
    address: Option<String>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Line {
    /// The client, `client / customer`, the contract or the address.
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    created: i64,
    refused: i64,
    first: String,
    last: String,
}

/// Counts by source and, for refusals, by reason.
struct Tally {
    by: By,
    with_reason: bool,
    names: HashMap<ContractId, String>,
    lines: BTreeMap<(String, Option<String>), Counted>,
}

#[derive(Clone, Copy)]
struct Counted {
    created: i64,
    refused: i64,
    first: i64,
    last: i64,
}

impl Tally {
    fn add(&mut self, event: &StoredEvent) {
        let created = event.kind == "request_created";
        if created && self.with_reason {
            return;
        }
        // A row that cannot be read is counted too: it is somebody's call.
        let body: Body = serde_json::from_str(&event.body).unwrap_or_default();
        let count = body.details.count.filter(|count| *count > 0).unwrap_or(1);
        let reason = self.with_reason.then(|| match (&body.details.reason, &body.details.by) {
            (Some(reason), Some(by)) => format!("{reason} by {by}"),
            (Some(reason), None) => reason.clone(),
            (None, _) => "unknown".to_owned(),
        });
        let counted = self.lines.entry((self.source(&body), reason)).or_insert(Counted {
            created: 0,
            refused: 0,
            first: event.at,
            last: event.at,
        });
        if created {
            counted.created += count;
        } else {
            counted.refused = counted.refused.saturating_add(count);
        }
        counted.first = counted.first.min(event.at);
        counted.last = counted.last.max(event.at);
    }

    fn source(&self, body: &Body) -> String {
        let name = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), printable);
        match self.by {
            By::Client => name(&body.client),
            By::Customer => format!("{} / {}", name(&body.client), name(&body.customer)),
            By::Address => name(&body.details.address),
            By::Contract => match body.contract {
                Some(id) => match self.names.get(&id) {
                    Some(name) => format!("{} ({id})", printable(name)),
                    None => id.to_string(),
                },
                None => "-".to_owned(),
            },
        }
    }

    /// The loudest first.
    fn lines(self) -> Vec<Line> {
        let time = |millis| Timestamp::from_millis(millis).to_rfc3339();
        let mut lines: Vec<Line> = self
            .lines
            .into_iter()
            .map(|((source, reason), counted)| Line {
                source,
                reason,
                created: counted.created,
                refused: counted.refused,
                first: time(counted.first),
                last: time(counted.last),
            })
            .collect();
        lines.sort_by_key(|line| std::cmp::Reverse(line.created.saturating_add(line.refused)));
        lines
    }
}

/// What callers named themselves, without what would move a terminal's cursor.
fn printable(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter })
        .collect()
}

/// Runs one of the reports.
pub async fn run(command: ReportCommand) -> anyhow::Result<ExitCode> {
    let (args, with_reason) = match command {
        ReportCommand::Requests(args) => (args, false),
        ReportCommand::Refusals(args) => (args, true),
    };
    anyhow::ensure!(
        with_reason || args.by != By::Address,
        "the ledger has addresses of refused calls only: use `credenza report refusals --by address`"
    );
    let (store, tenant) = installation::open_store(&args.installation).await?;
    let rows = store.contracts(tenant).await?;
    let names = rows.into_iter().map(|row| (row.id, row.name)).collect();
    let mut tally = Tally { by: args.by, with_reason, names, lines: BTreeMap::new() };
    let since = args.since.timestamp(SystemClock.now());
    store.asked_since(tenant, since, |event| tally.add(event)).await.context("reading the ledger")?;
    let lines = tally.lines();
    if args.json {
        let report = serde_json::json!({ "since": since.to_rfc3339(), "lines": lines });
        say(&serde_json::to_string_pretty(&report)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if lines.is_empty() {
        say(&format!("Nothing since {}.", since.to_rfc3339()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let source = match args.by {
        By::Client => "client",
        By::Customer => "client / customer",
        By::Contract => "contract",
        By::Address => "address",
    };
    say(&format!("Since {}:", since.to_rfc3339()))?;
    let mut table = if with_reason {
        Table::new(&[source, "reason", "refused", "first", "last"])
    } else {
        Table::new(&[source, "created", "refused", "first", "last"])
    };
    for line in lines {
        let second = if with_reason { line.reason.unwrap_or_default() } else { line.created.to_string() };
        table.row(vec![line.source, second, line.refused.to_string(), line.first, line.last]);
    }
    say(&table.to_string())?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tally(by: By, with_reason: bool) -> Tally {
        let contract = "8d2b6e90-1c47-4f3a-b5d8-7e9a4c3f1d02".parse().unwrap();
        let names = HashMap::from([(contract, "StudentCard".to_owned())]);
        Tally { by, with_reason, names, lines: BTreeMap::new() }
    }

    fn event(kind: &str, at: i64, body: serde_json::Value) -> StoredEvent {
        StoredEvent { kind: kind.to_owned(), at, body: body.to_string() }
    }

    fn events() -> Vec<StoredEvent> {
        let contract = "8d2b6e90-1c47-4f3a-b5d8-7e9a4c3f1d02";
        vec![
            event("request_created", 1_000, json!({"client": "a", "customer": "x", "contract": contract})),
            event("request_created", 2_000, json!({"client": "a", "contract": contract})),
            event("request_created", 3_000, json!({"client": "b", "contract": contract})),
            event("request_refused", 4_000, json!({"client": "b", "details": {"reason": "bad_body"}})),
            event(
                "request_refused",
                5_000,
                json!({"client": "b\u{1b}[2J", "details": {"reason": "limited", "by": "client", "count": 500}}),
            ),
            event(
                "request_refused",
                6_000,
                json!({"details": {"reason": "limited", "by": "address", "count": 7, "address": "192.0.2.1"}}),
            ),
        ]
    }

    fn counted(by: By, with_reason: bool) -> Vec<(String, Option<String>, i64, i64)> {
        let mut tally = tally(by, with_reason);
        events().iter().for_each(|event| tally.add(event));
        tally.lines().into_iter().map(|line| (line.source, line.reason, line.created, line.refused)).collect()
    }

    #[test]
    fn the_loudest_source_comes_first() {
        assert_eq!(
            counted(By::Client, false),
            [
                ("b\u{fffd}[2J".to_owned(), None, 0, 500),
                ("-".to_owned(), None, 0, 7),
                ("a".to_owned(), None, 2, 0),
                ("b".to_owned(), None, 1, 1),
            ]
        );
        assert_eq!(
            counted(By::Customer, false)[2..],
            [
                ("b / -".to_owned(), None, 1, 1),
                ("a / -".to_owned(), None, 1, 0),
                ("a / x".to_owned(), None, 1, 0),
            ]
        );
        let by_contract = counted(By::Contract, false);
        assert_eq!(by_contract[1].0, "StudentCard (8d2b6e90-1c47-4f3a-b5d8-7e9a4c3f1d02)");
        assert_eq!((by_contract[1].2, by_contract[1].3), (3, 0));
    }

    #[test]
    fn refusals_say_why_and_count_calls_and_not_rows() {
        let lines = counted(By::Address, true);
        assert_eq!(lines[0], ("-".to_owned(), Some("limited by client".to_owned()), 0, 500));
        assert_eq!(lines[1], ("192.0.2.1".to_owned(), Some("limited by address".to_owned()), 0, 7));
        assert_eq!(lines[2], ("-".to_owned(), Some("bad_body".to_owned()), 0, 1));
        assert_eq!(lines.len(), 3, "accepted requests are no refusals");
    }

    #[test]
    fn rows_that_cannot_be_read_count_as_calls_of_nobody() {
        let mut tally = tally(By::Client, false);
        for body in ["", "null", "[]", "{\"client\":5}", "{\"details\":{\"count\":-5}}"] {
            tally.add(&StoredEvent { kind: "request_refused".to_owned(), at: 1, body: body.to_owned() });
        }
        let lines = tally.lines();
        assert_eq!((lines.len(), lines[0].refused), (1, 5));
    }

    #[test]
    fn beginnings_are_read() {
        let now = Timestamp::from_seconds(10_000);
        assert_eq!("1h".parse::<Since>().unwrap().timestamp(now), Timestamp::from_seconds(6_400));
        let at = "1970-01-01T00:00:07Z".parse::<Since>().unwrap();
        assert_eq!(at.timestamp(now), Timestamp::from_seconds(7));
        for text in ["", "yesterday", "1", "2026-11-20"] {
            assert!(text.parse::<Since>().is_err(), "{text}");
        }
    }
}
