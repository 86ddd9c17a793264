//! The command: its arguments, its table, its JSON and its warnings.

use clap::Parser;
use proptest::prelude::*;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    plan: PlanArgs,
}

fn parse(words: &str) -> Result<PlanArgs, clap::Error> {
    Cli::try_parse_from(std::iter::once("plan").chain(words.split_whitespace())).map(|cli| cli.plan)
}

fn warnings(words: &str) -> Vec<String> {
    let rollout = parse(words).unwrap().rollout();
    advice::of(&rollout, &rollout.needs())
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let rollout = parse("--credentials 1000 --within 1h").unwrap().rollout();
    assert_eq!((rollout.limit, rollout.window.millis(), rollout.signatures_per_issuance), (2_000, 10_000, 2));
    assert_eq!(rollout.scan_share_ppm, 700_000);
    let software = parse("--credentials 1000 --within 1h --key-type software").unwrap().rollout();
    assert_eq!(software.limit, 4_000);
    let own = parse("--credentials 1000 --within 1h --key-type software --vault-limit 500").unwrap();
    assert_eq!(own.rollout().limit, 500);
}

#[test]
fn arguments_that_mean_nothing_are_refused() {
    for words in [
        "",
        "--credentials 5",
        "--within 1h",
        "--credentials 0 --within 1h",
        "--credentials -1 --within 1h",
        "--credentials 1000000000001 --within 1h",
        "--credentials 5 --within 0s",
        "--credentials 5 --within 1y",
        "--credentials 5 --within 1h --window 2h",
        "--credentials 5 --within 1h --window 0s",
        "--credentials 5 --within 1h --vault-limit 0",
        "--credentials 5 --within 1h --signatures-per-issuance 0",
        "--credentials 5 --within 1h --scan-share 0",
        "--credentials 5 --within 1h --scan-share 1.1",
        "--credentials 5 --within 1h --replicas 0",
        "--credentials 5 --within 1h --vaults 0",
        "--credentials 5 --within 1h --key-type paper",
    ] {
        assert!(parse(words).is_err(), "{words}");
    }
}

#[test]
fn shares_are_read() {
    for (text, expected) in [
        ("0.7", 700_000),
        ("1", 1_000_000),
        ("70%", 700_000),
        ("100%", 1_000_000),
        ("0.000001", 1),
        ("12.5%", 125_000),
    ] {
        assert_eq!(text.parse::<Share>(), Ok(Share(expected)), "{text}");
    }
    for text in ["", "0", "0%", "1.000001", "101%", ".5", "-1", "0.0000001", "1e-1", "%", "0,7", "70 %"] {
        assert!(text.parse::<Share>().is_err(), "{text}");
    }
}

#[test]
fn what_can_be_met_has_no_warning() {
    assert_eq!(warnings("--credentials 1000000 --within 8h --replicas 2"), Vec::<String>::new());
}

#[test]
fn every_warning_says_what_to_change() {
    for (words, parts) in [
        (
            "--credentials 1000000 --within 1h --vaults 1 --replicas 2",
            ["1 vaults are not enough", "2h51m", "Use 3 vaults"],
        ),
        (
            "--credentials 10000000 --within 1h --replicas 2",
            ["2 replicas are not enough", "2,778 issuances per second", "use 6"],
        ),
        (
            "--credentials 1000 --within 1h --rotation 30d --replicas 2",
            ["would hold 16 keys", "10 at most", "every 49d9h or less often"],
        ),
        (
            "--credentials 10000000 --within 2h --replicas 9",
            ["15 vaults need 3 subscriptions", "beyond 5", "limit counts"],
        ),
        (
            "--credentials 1000 --within 30d --validity 7d --replicas 2",
            ["end after 7d", "before the last", "longer validity"],
        ),
        (
            "--credentials 1000000 --within 3h --replicas 2",
            ["7,937 requests per minute", "limits.client", "per_minute"],
        ),
        ("--credentials 1000 --within 1h", ["One replica", "interrupts", "--replicas 2"]),
    ] {
        let found = warnings(words);
        let fits = |warning: &&String| parts.iter().all(|part| warning.contains(part));
        assert!(found.iter().any(|warning| fits(&warning)), "{words}: {found:#?}");
    }
}

#[test]
fn the_table_names_a_source_for_every_figure() {
    let rollout = parse("--credentials 1000000 --within 8h").unwrap().rollout();
    let needs = rollout.needs();
    let figures = figures::of(&rollout, &needs);
    assert!(figures.iter().all(|figure| !figure.source.is_empty() && !figure.text.is_empty()));
    let text = text(&rollout, &needs, &figures, &advice::of(&rollout, &needs));
    for part in [
        "1,000,000 credentials within 8h",
        "2,000,000",
        "2h51m",
        "98 /s",
        "SQLite",
        "3.8 GB",
        "32.2 GB",
        "$ 30.00",
        "$ 45.00",
        "4h10m",
        "date unknown",
        "Warning: One replica",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn the_json_has_numbers_and_units() {
    let rollout = parse("--credentials 1000000 --within 8h --replicas 3").unwrap().rollout();
    let needs = rollout.needs();
    let document = document(&rollout, &needs, &figures::of(&rollout, &needs), &[]);
    assert_eq!(document["figures"]["signatures"]["value"], 2_000_000);
    assert_eq!(document["figures"]["time_at_limit"]["value"], 10_204.082);
    assert_eq!(document["figures"]["time_at_limit"]["unit"], "seconds");
    assert_eq!(document["figures"]["signing_cost"]["value"], 30.0);
    assert_eq!(document["figures"]["database"]["value"], "PostgreSQL");
    assert_eq!(document["published_keys"][0], json!({"after_secs": 0, "keys": 2}));
    assert_eq!(document["wish"]["within_secs"], 28_800.0);
    assert_eq!(document["warnings"], json!([]));
}

#[test]
fn figures_are_written_for_people() {
    for (value, expected) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(figures::grouped(value), expected);
    }
    for (millis, expected) in [
        (0, "0s"),
        (1, "1ms"),
        (3_599_000, "59m59s"),
        (3_600_001, "1h1m"),
        (u128::MAX / 2, "over 1000 years"),
    ] {
        assert_eq!(figures::length(millis), expected);
    }
    assert_eq!(figures::dollars(15), "0.01");
    assert_eq!(figures::dollars(1_234_567_890_000), "1,234,567.89");
}

proptest! {
    #[test]
    fn no_share_makes_the_reader_panic(text in "[0-9.%a-z]{0,30}|.{0,20}") {
        if let Ok(Share(millionths)) = text.parse::<Share>() {
            prop_assert!((1..=1_000_000).contains(&millionths));
        }
    }

    #[test]
    fn shares_read_back(millionths in 1_u64..=1_000_000) {
        let text = format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
        prop_assert_eq!(text.parse::<Share>(), Ok(Share(millionths)));
    }
}
