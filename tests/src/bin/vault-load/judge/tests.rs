//! The judge against logs that were made up.

use super::*;
use crate::scenario;

/// 15:00:00 on some day.
const START: i64 = 1_767_576_000_000;

fn scenario(words: &[&str]) -> Scenario {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    scenario::plan(&xtask::load::Options::parse(&words).unwrap()).remove(0)
}

/// A signature that arrived `ms` after the start and was asked for 5 ms before.
fn signature(ms: i64, number: u32) -> Row {
    let asked = START + ms - 5;
    let hex = format!("{asked:012x}");
    let intent = format!("{}-{}-7000-8000-{number:012x}", &hex[..8], &hex[8..]);
    Row {
        at: (START + ms) * 10_000,
        operation: "KeySign".to_owned(),
        status: 200,
        attempt: Some((intent, 1)),
    }
}

fn evidence(rows: Vec<Row>, metrics: &[(&str, &str, f64)]) -> Evidence {
    let purposes = rows
        .iter()
        .filter_map(|row| row.attempt.as_ref())
        .enumerate()
        .map(|(at, (intent, _))| (intent.clone(), ISSUING[at % 2].to_owned()))
        .collect();
    let mut all = vec![("started_at", "value", START as f64)];
    all.extend_from_slice(metrics);
    if !metrics.iter().any(|(metric, ..)| *metric == "issued") {
        all.push(("issued", "count", (rows.len() / 2) as f64));
    }
    Evidence {
        rows,
        purposes,
        metrics: Metrics::of(&all),
        memory: Vec::new(),
        cpu: BTreeMap::new(),
        callbacks: 0,
        events: Vec::new(),
    }
}

fn verdict(judgement: &Judgement, name: &str) -> Verdict {
    let figure = judgement.figures.iter().find(|figure| figure.name == name);
    figure.unwrap_or_else(|| panic!("no {name}")).verdict.clone()
}

/// `per_second` signatures in every second of the scenario.
fn steady(scenario: &Scenario, per_second: u32) -> Vec<Row> {
    let gap = 1000.0 / f64::from(per_second);
    (0..scenario.seconds * per_second).map(|n| signature((f64::from(n) * gap) as i64, n)).collect()
}

#[test]
fn the_whole_budget_is_reached() {
    let scenario = scenario(&["overload", "--minutes", "1"]);
    let rows = steady(&scenario, 200);
    let issued = rows.len() as f64 / 2.0;
    let seen =
        judge(&scenario, evidence(rows, &[("issued", "count", issued), ("refused_ms", "p(99)", 20.0)]));
    for name in [
        "refusals by the vault",
        "fullest window of 10 s",
        "budget used",
        "slots that ended in an issuance",
        "a refused create, p99",
        "signatures per issuance, request and credential",
        "signatures off the record",
    ] {
        assert_eq!(verdict(&seen, name), Verdict::Reached, "{name}");
    }
    assert!(!seen.is_broken());
    assert_eq!(seen.seconds.len(), 300);
    assert_eq!(seen.seconds[299].fullest, 2000);
}

#[test]
fn one_arrival_too_many_breaks_the_promise() {
    let scenario = scenario(&["overload", "--minutes", "1"]);
    let mut rows = steady(&scenario, 200);
    rows.push(signature(150_001, 999_999));
    rows.sort_by_key(|row| row.at);
    let seen = judge(&scenario, evidence(rows, &[]));
    assert_eq!(verdict(&seen, "fullest window of 10 s"), Verdict::Broken("1 over".to_owned()));
    assert!(seen.is_broken());
}

#[test]
fn one_refusal_breaks_the_promise_except_beside_a_foreign_tenant() {
    for (name, is_broken) in [("overload", true), ("issuance", true), ("foreign", false)] {
        let scenario = scenario(&[name, "--quick"]);
        let refused = Row { status: 429, ..signature(30_000, 3) };
        let seen = judge(&scenario, evidence(vec![signature(1, 1), signature(2, 2), refused], &[]));
        assert_eq!(seen.is_broken(), is_broken, "{name}");
        assert_eq!(seen.refusals.iter().sum::<usize>(), 1);
    }
}

#[test]
fn an_idle_vault_is_short_and_a_late_wallet_breaks_the_promise() {
    let scenario = scenario(&["overload", "--minutes", "1"]);
    let rows = steady(&scenario, 190);
    let late = [("wallet_late", "count", 1.0), ("refused_ms", "p(99)", 130.0)];
    let seen = judge(&scenario, evidence(rows, &late));
    assert_eq!(verdict(&seen, "budget used"), Verdict::Short("2.0 % short".to_owned()));
    assert_eq!(verdict(&seen, "a refused create, p99"), Verdict::Short("30.0 ms over".to_owned()));
    assert_eq!(verdict(&seen, "wallet calls later than 10 s"), Verdict::Broken("1 over".to_owned()));
}

#[test]
fn what_was_not_measured_is_not_reached() {
    let scenario = scenario(&["overload", "--minutes", "1"]);
    let seen = judge(&scenario, evidence(Vec::new(), &[]));
    assert!(matches!(verdict(&seen, "a refused create, p99"), Verdict::Short(_)));
    assert!(matches!(verdict(&seen, "signatures per issuance, request and credential"), Verdict::Short(_)));
}

#[test]
fn an_empty_log_or_no_issuance_breaks_the_promise() {
    let scenario = scenario(&["issuance", "--quick"]);
    let seen = judge(&scenario, evidence(Vec::new(), &[("issued", "count", 7.0)]));
    assert_eq!(verdict(&seen, "signatures that the log lacks"), Verdict::Broken("14 over".to_owned()));
    let seen = judge(&scenario, evidence(Vec::new(), &[]));
    assert_eq!(verdict(&seen, "issuances"), Verdict::Broken("1 short".to_owned()));
}

#[test]
fn a_signature_without_an_intent_is_off_the_record() {
    let scenario = scenario(&["issuance", "--quick"]);
    let mut evidence = evidence(vec![signature(1000, 1), signature(2000, 2)], &[]);
    let (intent, _) = evidence.rows[0].attempt.clone().unwrap();
    evidence.purposes.remove(&intent);
    evidence.rows[1].attempt = None;
    let seen = judge(&scenario, evidence);
    assert_eq!(verdict(&seen, "signatures off the record"), Verdict::Broken("2 over".to_owned()));
}

#[test]
fn the_wait_is_read_from_the_intents_name() {
    let scenario = scenario(&["issuance"]);
    let rows: Vec<Row> = (0..2000).map(|n| signature(61_000 + i64::from(n) * 20, n)).collect();
    let span = Span { from: rows[0].at, to: rows[1999].at };
    let evidence = evidence(rows, &[("created_ms", "med", 0.4)]);
    let waits = waits(&evidence, &span);
    assert_eq!(waits.len(), 1999);
    assert!((percentile(&waits, 50) - 5.0).abs() < 0.001);
    let seen = judge(&scenario, evidence);
    let name = "asked to arrival at the vault, p99, in ten commits";
    assert_eq!(verdict(&seen, name), Verdict::Short("1.0 ms over".to_owned()));
}

#[test]
fn a_burst_is_over_with_its_last_arrival() {
    let scenario = scenario(&["burst"]);
    let rows: Vec<Row> = (0..2000).map(|n| signature(30_000 + i64::from(n), n)).collect();
    let begin = (START + 30_000) as f64;
    let moments = [("burst_requests_at", "value", begin), ("burst_proofs_at", "value", begin + 1500.0)];
    let mut evidence = evidence(rows, &moments);
    // The first thousand is for request objects, the second for credentials.
    for (at, row) in evidence.rows.iter().enumerate() {
        let (intent, _) = row.attempt.clone().unwrap();
        evidence.purposes.insert(intent, ISSUING[at / 1000].to_owned());
    }
    let seen = judge(&scenario, evidence);
    assert_eq!(verdict(&seen, "burst of request objects, out within"), Verdict::Reached);
    assert_eq!(verdict(&seen, "burst of credentials, out within"), Verdict::Reached);
    let half = judge(&scenario, self::evidence((0..500).map(|n| signature(30_000, n)).collect(), &moments));
    assert!(matches!(verdict(&half, "burst of request objects, out within"), Verdict::Short(_)));
}
