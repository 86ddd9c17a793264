//! From what was seen to verdicts. The vault's log decides about everything that happens at the vault; k6 about what wallets
//! and front ends saw; the product's own counters about nothing.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::k6::Metrics;
use crate::processes::Memory;
use crate::scenario::{Kind, SIGNATURES, Scenario, WINDOW};
use crate::vault_log::Row;
use crate::window::{self, SECOND, Second, Ticks};

/// What a wallet's request and its credential cost; every other purpose is another lane.
const ISSUING: [&str; 2] = ["request_object", "credential"];

/// Everything that was seen.
pub struct Evidence {
    /// The vault's log, in order of arrival.
    pub rows: Vec<Row>,
    /// By intent: from the product's database, only to tell lanes apart.
    pub purposes: HashMap<String, String>,
    pub metrics: Metrics,
    pub memory: Vec<Memory>,
    /// CPU seconds by group.
    pub cpu: BTreeMap<&'static str, f64>,
    /// Callbacks that told of a good end.
    pub callbacks: u64,
    /// What happened, in seconds since the load began.
    pub events: Vec<(f64, String)>,
}

/// Whether a figure is what was promised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As promised.
    Reached,
    /// Not fast or cheap enough; by how much.
    Short(String),
    /// A rule that must never break did.
    Broken(String),
    /// Nothing was promised, or not for a run of this size.
    Reported,
}

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    pub name: &'static str,
    pub promise: String,
    pub measured: String,
    pub verdict: Verdict,
}

/// The judgement on one run.
#[derive(Debug, Serialize)]
pub struct Judgement {
    pub scenario: String,
    pub limit: u32,
    /// Seconds since the load began from which on it was measured.
    pub measured_from: u32,
    pub figures: Vec<Figure>,
    /// For the plot: from the first second of the load.
    #[serde(skip)]
    pub seconds: Vec<Second>,
    /// Refusals by second.
    #[serde(skip)]
    pub refusals: Vec<usize>,
    #[serde(skip)]
    pub events: Vec<(f64, String)>,
}

impl Judgement {
    /// A rule that must never break did.
    pub fn is_broken(&self) -> bool {
        self.figures.iter().any(|figure| matches!(figure.verdict, Verdict::Broken(_)))
    }
}

/// How strict a figure is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// Never to be broken, in a run of any size.
    Rule,
    /// A figure of speed: proved by a run of full size only.
    Speed,
    /// Not promised here.
    Report,
}

/// Collects the table's lines.
struct Table {
    quick: bool,
    figures: Vec<Figure>,
}

impl Table {
    /// At most `most`.
    fn at_most(&mut self, name: &'static str, weight: Weight, measured: f64, most: f64, unit: &str) {
        let over = measured - most;
        // What was not measured at all (NaN) is not reached.
        let verdict = self.verdict(weight, over <= 0.0, || format!("{} over", amount(over, unit)));
        self.push(name, format!("≤ {}", amount(most, unit)), amount(measured, unit), weight, verdict);
    }

    /// At least `least`.
    fn at_least(&mut self, name: &'static str, weight: Weight, measured: f64, least: f64, unit: &str) {
        let short = least - measured;
        let verdict = self.verdict(weight, short <= 0.0, || format!("{} short", amount(short, unit)));
        self.push(name, format!("≥ {}", amount(least, unit)), amount(measured, unit), weight, verdict);
    }

    /// Without a promise.
    fn report(&mut self, name: &'static str, measured: String) {
        self.push(name, String::new(), measured, Weight::Report, Verdict::Reported);
    }

    fn verdict(&self, weight: Weight, is_kept: bool, by: impl Fn() -> String) -> Verdict {
        match (weight, is_kept) {
            (Weight::Report, _) => Verdict::Reported,
            (Weight::Speed, _) if self.quick => Verdict::Reported,
            (_, true) => Verdict::Reached,
            (Weight::Rule, false) => Verdict::Broken(by()),
            (Weight::Speed, false) => Verdict::Short(by()),
        }
    }

    fn push(
        &mut self,
        name: &'static str,
        promise: String,
        measured: String,
        weight: Weight,
        verdict: Verdict,
    ) {
        let promise = if weight == Weight::Report { String::new() } else { promise };
        self.figures.push(Figure { name, promise, measured, verdict });
    }
}

/// A number with its unit.
fn amount(value: f64, unit: &str) -> String {
    match unit {
        _ if value.is_nan() => "not measured".to_owned(),
        "" => format!("{value:.0}"),
        "%" => format!("{:.1} %", value * 100.0),
        "ms" => format!("{value:.1} ms"),
        "s" => format!("{value:.2} s"),
        unit => format!("{value:.3} {unit}"),
    }
}

fn number(count: usize) -> f64 {
    count as f64
}

/// Judges a run.
pub fn judge(scenario: &Scenario, evidence: Evidence) -> Judgement {
    let arrivals: Vec<Ticks> =
        evidence.rows.iter().filter(|row| row.is_operation()).map(|row| row.at).collect();
    let window = Ticks::try_from(WINDOW.as_nanos() / 100).expect("ten seconds");
    let first = evidence.rows.first().map_or(0, |row| row.at);
    // k6 tells milliseconds.
    let start =
        evidence.metrics.value("started_at", "value").map_or(first, |ms| ms as Ticks * (SECOND / 1000));
    let seconds = scenario.seconds as usize;
    let span = Span {
        from: start + SECOND * Ticks::from(scenario.measure_from),
        to: start + SECOND * Ticks::from(scenario.seconds),
    };
    let mut table = Table { quick: scenario.quick, figures: Vec::new() };
    rules(&mut table, scenario, &evidence, window::fullest(&arrivals, window));
    match scenario.kind {
        Kind::Issuance => half_load(&mut table, &evidence, &span),
        Kind::Burst => bursts(&mut table, scenario, &evidence),
        Kind::Foreign => foreign(&mut table, scenario, &evidence, &arrivals, start),
        Kind::Overload | Kind::Replicas | Kind::Restart => {
            sustained(&mut table, scenario, &evidence, &arrivals, &span);
        }
    }
    costs(&mut table, scenario, &evidence);
    // The burst's script has its own times; its plot ends with the last arrival.
    let last = evidence.rows.last().map_or(start, |row| row.at);
    let drawn = seconds.max(usize::try_from((last - start) / SECOND + 1).unwrap_or_default());
    let refused: Vec<Ticks> = evidence.rows.iter().filter(|row| row.is_refusal()).map(|row| row.at).collect();
    let refusals =
        window::series(&refused, window, start, drawn).iter().map(|second| second.arrivals).collect();
    Judgement {
        scenario: scenario.name.clone(),
        limit: scenario.limit,
        measured_from: scenario.measure_from,
        figures: table.figures,
        seconds: window::series(&arrivals, window, start, drawn),
        refusals,
        events: evidence.events,
    }
}

/// The measured time.
struct Span {
    from: Ticks,
    to: Ticks,
}

impl Span {
    fn contains(&self, at: Ticks) -> bool {
        (self.from..self.to).contains(&at)
    }

    /// What share of the vault's limit arrived in it.
    fn used(&self, arrivals: &[Ticks], limit: f64) -> f64 {
        let inside = arrivals.iter().filter(|at| self.contains(**at)).count();
        let windows = (self.to - self.from) as f64 / SECOND as f64 / WINDOW.as_secs_f64();
        number(inside) / (limit * windows)
    }
}

/// What holds in every run.
fn rules(table: &mut Table, scenario: &Scenario, evidence: &Evidence, fullest: usize) {
    let limit = f64::from(scenario.limit);
    let refusals = evidence.rows.iter().filter(|row| row.is_refusal()).count();
    // With a foreign tenant the limit is not ours to keep: a refusal is how the vault tells of it.
    let alone = if scenario.kind == Kind::Foreign { Weight::Report } else { Weight::Rule };
    table.at_most("refusals by the vault", alone, number(refusals), 0.0, "");
    table.at_most("fullest window of 10 s", Weight::Rule, number(fullest), limit, "");
    let metrics = &evidence.metrics;
    let count = |name: &str| metrics.count(name) as f64;
    let unanswered = if scenario.kind == Kind::Foreign { Weight::Speed } else { Weight::Rule };
    table.at_most("wallet calls refused or failed", unanswered, count("wallet_failed"), 0.0, "");
    // Who is on a replica that is killed waits for somebody else.
    let late = if scenario.kind == Kind::Restart { Weight::Report } else { unanswered };
    table.at_most("wallet calls later than 10 s", late, count("wallet_late"), 0.0, "");
    table.at_most("create calls that failed", Weight::Rule, count("create_failed"), 0.0, "");
    table.at_most(
        "refusals without Retry-After",
        Weight::Rule,
        count("refused_without_retry_after"),
        0.0,
        "",
    );
    let lanes = Lanes::count(evidence);
    table.at_most("signatures off the record", Weight::Rule, number(lanes.unknown), 0.0, "");
    // An empty log, or somebody else's, would keep every promise above.
    table.at_least("issuances", Weight::Rule, count("issued"), 1.0, "");
    let missing = SIGNATURES * count("issued") - number(lanes.issuing);
    table.at_most("signatures that the log lacks", Weight::Rule, missing.max(0.0), 0.0, "");
    if scenario.kind == Kind::Restart {
        table.report("wallet calls repeated", format!("{}", metrics.count("wallet_retried")));
    }
}

/// Signatures by what they were for.
#[derive(Default)]
struct Lanes {
    issuing: usize,
    others: BTreeMap<String, usize>,
    /// Without an intent in the database.
    unknown: usize,
}

impl Lanes {
    fn count(evidence: &Evidence) -> Self {
        let mut lanes = Self::default();
        for row in &evidence.rows {
            if !row.is_signature() {
                continue;
            }
            let intent = row.attempt.as_ref().and_then(|(intent, _)| evidence.purposes.get(intent));
            match intent {
                Some(purpose) if ISSUING.contains(&purpose.as_str()) => lanes.issuing += 1,
                Some(purpose) => *lanes.others.entry(purpose.clone()).or_default() += 1,
                None => lanes.unknown += 1,
            }
        }
        lanes
    }
}

/// What an issuance costs, in signatures and otherwise.
fn costs(table: &mut Table, scenario: &Scenario, evidence: &Evidence) {
    let lanes = Lanes::count(evidence);
    let metrics = &evidence.metrics;
    let issued = metrics.count("issued") as f64;
    let each = lanes.issuing as f64 / issued;
    // A lost answer or a killed replica may cost a second attempt.
    let weight = match scenario.kind {
        Kind::Restart | Kind::Foreign => Weight::Report,
        _ => Weight::Speed,
    };
    let is_kept = (each - SIGNATURES).abs() < 0.005;
    let verdict = table.verdict(weight, is_kept, || format!("{:+.3}", each - SIGNATURES));
    let text = if each.is_nan() { "not measured".to_owned() } else { format!("{each:.3}") };
    table.push(
        "signatures per issuance, request and credential",
        format!("{SIGNATURES:.2}"),
        text,
        weight,
        verdict,
    );
    let others: Vec<String> =
        lanes.others.iter().map(|(purpose, count)| format!("{purpose} {count}")).collect();
    table.report(
        "signatures on other lanes",
        if others.is_empty() { "none".to_owned() } else { others.join(", ") },
    );
    let mut operations: BTreeMap<(&str, u16), usize> = BTreeMap::new();
    for row in evidence.rows.iter().filter(|row| !row.is_signature()) {
        *operations.entry((row.operation.as_str(), row.status)).or_default() += 1;
    }
    let operations: Vec<String> =
        operations.iter().map(|((name, status), count)| format!("{name} {status}: {count}")).collect();
    table.report("other calls at the vault", operations.join(", "));
    table.report(
        "people",
        format!(
            "{} admitted, {} refused, {} scanned, {} issued, {} callbacks of success",
            metrics.count("created"),
            metrics.count("refused"),
            metrics.count("people_scanned"),
            metrics.count("issued"),
            evidence.callbacks
        ),
    );
    for (name, metric) in [
        ("create, admitted", "created_ms"),
        ("request object", "request_ms"),
        ("contract", "contract_ms"),
        ("proof", "proof_ms"),
        ("completion", "completion_ms"),
    ] {
        if let (Some(median), Some(p99)) = (metrics.value(metric, "med"), metrics.value(metric, "p(99)")) {
            table.report(name, format!("p50 {median:.1} ms, p99 {p99:.1} ms"));
        }
    }
    let cpu: Vec<String> = evidence
        .cpu
        .iter()
        .map(|(group, seconds)| format!("{group} {:.2} ms", seconds * 1000.0 / issued.max(1.0)))
        .collect();
    table.report("CPU per issuance, refused creates included", cpu.join(", "));
}

/// How long intents waited between being asked for and their arrival at the vault, in milliseconds, in order: grant, commit
/// and way together. An intent's id is a UUIDv7 (RFC 9562, section 5.7), whose first 48 bits are the millisecond of its making.
fn waits(evidence: &Evidence, span: &Span) -> Vec<f64> {
    let mut waits: Vec<f64> = evidence
        .rows
        .iter()
        .filter(|row| row.operation == "KeySign" && span.contains(row.at))
        .filter_map(|row| {
            let (intent, number) = row.attempt.as_ref()?;
            if *number != 1 {
                return None;
            }
            let digits: String = intent.chars().filter(char::is_ascii_hexdigit).take(12).collect();
            let asked = i64::from_str_radix(&digits, 16).ok()?;
            Some(row.at as f64 / 10_000.0 - asked as f64)
        })
        .collect();
    waits.sort_by(f64::total_cmp);
    waits
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

fn half_load(table: &mut Table, evidence: &Evidence, span: &Span) {
    let metrics = &evidence.metrics;
    table.at_most(
        "create calls refused at half load",
        Weight::Speed,
        metrics.count("refused") as f64,
        0.0,
        "",
    );
    let waits = waits(evidence, span);
    // An admitted create waits for one commit and does little else.
    let commit = metrics.value("created_ms", "med").unwrap_or(f64::NAN);
    table.report(
        "a commit, as an admitted create sees it",
        format!("p50 {commit:.1} ms, p99 {:.1} ms", metrics.value("created_ms", "p(99)").unwrap_or(f64::NAN)),
    );
    table.report("asked to arrival at the vault, p50", amount(percentile(&waits, 50), "ms"));
    table.at_most(
        "asked to arrival at the vault, p99, in ten commits",
        Weight::Speed,
        percentile(&waits, 99),
        10.0 * commit,
        "ms",
    );
}

fn bursts(table: &mut Table, scenario: &Scenario, evidence: &Evidence) {
    for (name, moment, purpose) in [
        ("burst of request objects, out within", "burst_requests_at", ISSUING[0]),
        ("burst of credentials, out within", "burst_proofs_at", ISSUING[1]),
    ] {
        let begin = evidence.metrics.value(moment, "value").map_or(f64::NAN, |ms| ms / 1000.0);
        let arrived: Vec<f64> = evidence
            .rows
            .iter()
            .filter(|row| row.is_signature())
            .filter(|row| {
                let intent = row.attempt.as_ref().and_then(|(intent, _)| evidence.purposes.get(intent));
                intent.is_some_and(|found| found == purpose)
            })
            .map(|row| row.at as f64 / SECOND as f64)
            .collect();
        let is_whole = arrived.len() >= scenario.burst as usize;
        let took = arrived.last().filter(|_| is_whole).map_or(f64::NAN, |last| last - begin);
        table.at_most(name, Weight::Speed, took, 1.0, "s");
    }
}

fn sustained(table: &mut Table, scenario: &Scenario, evidence: &Evidence, arrivals: &[Ticks], span: &Span) {
    let metrics = &evidence.metrics;
    let (used, used_weight) = match scenario.kind {
        Kind::Overload => (0.97, Weight::Speed),
        Kind::Replicas => (0.95, Weight::Speed),
        _ => (0.95, Weight::Report),
    };
    table.at_least("budget used", used_weight, span.used(arrivals, f64::from(scenario.limit)), used, "%");
    let useful = SIGNATURES * metrics.count("issued") as f64 / number(arrivals.len());
    let weight = if scenario.kind == Kind::Restart { Weight::Report } else { Weight::Speed };
    table.at_least("slots that ended in an issuance", weight, useful, 0.95, "%");
    let p99 = metrics.value("refused_ms", "p(99)").unwrap_or(f64::NAN);
    table.at_most("a refused create, p99", weight, p99, 100.0, "ms");
    memory(table, scenario, evidence);
}

/// Flat: the last minute's mean is that of the first measured one, but for a tenth and what an allocator keeps.
fn memory(table: &mut Table, scenario: &Scenario, evidence: &Evidence) {
    let mean = |from: f64, to: f64| {
        let seen = evidence.memory.iter().filter(|memory| memory.replicas == scenario.replicas);
        let sizes: Vec<f64> =
            seen.filter(|memory| (from..to).contains(&memory.at)).map(|memory| memory.mib).collect();
        sizes.iter().sum::<f64>() / number(sizes.len())
    };
    let (from, to) = (f64::from(scenario.measure_from), f64::from(scenario.seconds));
    let minute = 60.0_f64.min((to - from) / 2.0);
    let (first, last) = (mean(from, from + minute), mean(to - minute, to));
    table.report(
        "memory of all replicas, first and last measured minute",
        format!("{first:.1} and {last:.1} MiB"),
    );
    let weight = if scenario.kind == Kind::Overload { Weight::Speed } else { Weight::Report };
    table.at_most("growth of memory", weight, last - first, first * 0.1 + 4.0, "MiB");
}

fn foreign(table: &mut Table, scenario: &Scenario, evidence: &Evidence, arrivals: &[Ticks], start: Ticks) {
    let at = |number: usize| scenario.events.get(number).map_or(0, |(second, _)| *second);
    let (begins, ends) = (at(0), at(1));
    let span = |from: u32, to: u32| Span {
        from: start + SECOND * Ticks::from(from),
        to: start + SECOND * Ticks::from(to),
    };
    let limit = f64::from(scenario.limit);
    table
        .report("budget used before", amount(span(scenario.measure_from, begins).used(arrivals, limit), "%"));
    let shared = span(begins + 10, ends);
    table.report("our half used while it is shared", amount(shared.used(arrivals, limit / 2.0), "%"));
    let inside = |row: &&Row| shared.contains(row.at);
    let refused = evidence.rows.iter().filter(inside).filter(|row| row.is_refusal()).count();
    let all = evidence.rows.iter().filter(inside).count();
    table.report("refused meanwhile, of our calls", amount(number(refused) / number(all), "%"));
    let minute = (scenario.seconds - ends).min(60);
    let after = span(scenario.seconds - minute / 2, scenario.seconds);
    table.report("budget used at the end", amount(after.used(arrivals, limit), "%"));
    memory(table, scenario, evidence);
}

#[cfg(test)]
mod tests;
