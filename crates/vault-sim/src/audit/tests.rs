//! Rows, arrivals and files.

use std::net::Ipv4Addr;

use serde_json::Value;

use super::*;

fn attempt(number: u32) -> Attempt {
    let arrived = Moment(1_767_576_721_269_122_600 + i64::from(number) * 1_000_000);
    Attempt {
        arrived,
        logged_time: arrived,
        vault: "v1".into(),
        profile: Profile::Vault,
        tenant: "t".into(),
        operation: "KeySign",
        api_version: Some("7.4"),
        status: 403,
        description: "why".into(),
        duration: Duration::from_millis(21),
        address: Ipv4Addr::LOCALHOST.into(),
        request_id: format!("request-{number}"),
        correlation_id: format!("request-{number}"),
        claims: None,
        authorized: false,
        key: Some("issuer/0f".into()),
        key_type: Some("EC"),
        origin: "https://v1.localhost:8444".into(),
        target: "/keys/issuer/0f/sign?api-version=7.4".into(),
        user_agent: "credenza/0.1.0 (a=018f.1)".into(),
        tls: "TLS1_3",
        counted: true,
        logged: true,
    }
}

#[test]
fn a_row_has_the_members_of_the_service_in_its_order() {
    let line = String::from_utf8(attempt(0).row()).expect("JSON is text");
    let row: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(row["time"], "2026-01-05T01:32:01.2691226Z");
    assert_eq!((&row["resultType"], &row["resultSignature"]), (&"Success".into(), &"Forbidden".into()));
    assert_eq!(row["durationMs"], "21");
    assert_eq!(row["correlationId"], "request-0");
    assert_eq!(row["properties"]["httpStatusCode"], 403);
    assert_eq!(row["properties"]["id"], "https://v1.localhost:8444/keys/issuer/0f");
    assert_eq!(row["properties"]["clientInfo"], "credenza/0.1.0 (a=018f.1)");
    assert_eq!(row["properties"]["isRbacAuthorized"], false);
    assert!(line.ends_with("/VAULTS/V1\"}\n"), "{line}");
    let order = ["\"time\"", "\"operationName\"", "\"correlationId\"", "\"identity\"", "\"properties\""];
    let places: Vec<usize> = order.iter().map(|name| line.find(name).expect(name)).collect();
    assert!(places.is_sorted(), "{line}");
}

#[test]
fn the_attempts_name_is_found_in_the_user_agent() {
    for (agent, token) in [
        ("credenza/0.1.0 (a=018f.1)", Some("018f.1")),
        ("azsdk-rust/1 (linux; a=x.2; rustc)", Some("x.2")),
        ("curl/8 (a=)", None),
        ("a=5", None),
        ("x (b=1)", None),
        ("", None),
    ] {
        assert_eq!(attempt_token(agent), token, "{agent}");
    }
}

#[test]
fn the_feeds_count_on_after_the_first_ones() {
    let feed = Feed::new(None);
    for number in 0..5 {
        feed.record(Attempt { logged: number != 2, ..attempt(number) });
    }
    assert_eq!(feed.rows(0).len(), 4);
    assert_eq!(feed.rows(3).len(), 1);
    let arrivals = feed.arrivals(3);
    assert_eq!(arrivals.iter().map(|arrival| arrival.n).collect::<Vec<_>>(), [4, 5]);
    assert!((arrivals[0].ms - 1_767_576_721_272.122).abs() < 0.000_5, "{}", arrivals[0].ms);
    feed.clear();
    assert!(feed.rows(0).is_empty() && feed.arrivals(0).is_empty());
    feed.record(attempt(9));
    assert_eq!(feed.arrivals(5)[0].n, 6);
}

fn written(dir: &std::path::Path, hour: &str) -> Vec<String> {
    let blob = format!("y=2026/m=01/d=05/h={hour}/m=00/PT1H.json");
    let path = dir
        .join("insights-logs-auditevent")
        .join(format!("resourceId={}", resource_id("v1", Profile::Vault)))
        .join(blob);
    let text = std::fs::read_to_string(path).expect("the blob is there");
    let id = |line: &str| {
        let row: Value = serde_json::from_str(line).expect("a line of JSON");
        row["correlationId"].as_str().expect("text").to_owned()
    };
    text.lines().map(id).collect()
}

#[test]
fn rows_lie_in_the_blob_of_their_hour() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = LogConfig { dir: Some(dir.path().to_owned()), ..LogConfig::default() };
    let feed = Feed::new(BlobWriter::start(&config, 1).expect("starts"));
    feed.record(attempt(0));
    feed.record(attempt(3_600_000));
    feed.flush();
    assert_eq!(written(dir.path(), "01"), ["request-0"]);
    assert_eq!(written(dir.path(), "02"), ["request-3600000"]);
    // The end of the process writes what is left.
    feed.record(attempt(1));
    drop(feed);
    assert_eq!(written(dir.path(), "01"), ["request-0", "request-1"]);
}

#[test]
fn unflushed_rows_are_readable_soon() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = LogConfig { dir: Some(dir.path().to_owned()), ..LogConfig::default() };
    let feed = Feed::new(BlobWriter::start(&config, 1).expect("starts"));
    feed.record(attempt(0));
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(written(dir.path(), "01"), ["request-0"]);
}

#[test]
fn late_rows_come_out_of_order_and_none_is_lost() {
    let dir = tempfile::tempdir().expect("a directory");
    let delay = Duration::from_millis(300);
    let config = LogConfig { dir: Some(dir.path().to_owned()), delay, ..LogConfig::default() };
    let feed = Feed::new(BlobWriter::start(&config, 1).expect("starts"));
    for number in 0..200 {
        feed.record(attempt(number));
    }
    feed.flush();
    let mut found = written(dir.path(), "01");
    let in_order: Vec<String> = (0..200).map(|number| format!("request-{number}")).collect();
    assert_ne!(found, in_order);
    found.sort_by_key(|id| id.trim_start_matches("request-").parse::<u32>().expect("a number"));
    assert_eq!(found, in_order);
}
