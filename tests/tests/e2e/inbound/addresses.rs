//! Quotas by address: before a body is read, with and without proxies, and where nothing is limited.

use std::time::{Duration, Instant};

use credenza_tests::process::{Answer, Credenza, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::fixture::{Limited, assert_limited};
use crate::issuance::fixture::{CREATE, send};

async fn document(limited: &Limited, forwarded: Option<&str>) -> Answer {
    let mut call = limited.service.client.get(format!("{}/.well-known/did.json", limited.service.http()));
    if let Some(value) = forwarded {
        call = call.header("x-forwarded-for", value);
    }
    send(call).await
}

#[tokio::test]
async fn an_address_has_its_quota_whatever_it_says_of_itself() {
    let limited = Limited::start("address = { per_minute = 1, burst = 3 }").await;
    for n in 0..12 {
        // Nobody is trusted here, so a header changes nothing.
        let answer = document(&limited, Some(&format!("203.0.113.{n}"))).await;
        if n < 3 {
            assert_eq!(answer.status, 200);
        } else {
            let wait = assert_limited(&answer, "this address");
            assert!((1..=60).contains(&wait), "{wait}");
        }
    }
    assert_eq!(limited.credenza.get("/livez").await.status, 200, "health is not limited");
    assert_eq!(limited.credenza.get("/readyz").await.status, 200);
    let answer = limited.service.create(&limited.service.employee()).await;
    assert_eq!(answer.status, 201, "front ends have a quota of their own");
    let rows = limited.refusals("limited", 9).await;
    assert!(rows.iter().all(|row| row["details"]["by"] == "address"));
    assert_eq!(rows[0]["details"]["address"], "127.0.0.1");
    let report = limited.command(&["report", "refusals", "--by", "address"]).out;
    assert!(report.contains("127.0.0.1") && report.contains("limited by address"), "{report}");
}

#[tokio::test]
async fn a_trusted_proxy_names_the_caller() {
    let limited =
        Limited::start("trusted_proxies = [\"127.0.0.0/8\"]\naddress = { per_minute = 1, burst = 2 }").await;
    for loud in ["203.0.113.9", "198.51.100.1, 203.0.113.9", "203.0.113.9, 127.0.0.5"] {
        document(&limited, Some(loud)).await;
    }
    let refused = document(&limited, Some("192.0.2.99, 203.0.113.9")).await;
    assert_limited(&refused, "this address");
    for other in ["203.0.113.10", "2001:db8::1", "2001:db8::2"] {
        assert_eq!(document(&limited, Some(other)).await.status, 200, "{other}");
    }
    let refused = document(&limited, Some("2001:db8::3")).await;
    assert_limited(&refused, "this address");
    let rows = limited.refusals("limited", 3).await;
    let mut named: Vec<&str> = rows.iter().filter_map(|row| row["details"]["address"].as_str()).collect();
    named.sort_unstable();
    named.dedup();
    assert_eq!(named, ["2001:db8::/64", "203.0.113.9"]);
}

#[tokio::test]
async fn a_call_too_many_is_refused_before_its_body() {
    let limited = Limited::start("front_end_address = { per_minute = 1, burst = 1 }").await;
    assert_eq!(limited.service.create(&limited.service.employee()).await.status, 201);
    let address = limited.service.http().strip_prefix("http://").unwrap().to_owned();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let head = format!("POST {CREATE} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 1000000\r\n\r\n");
    let began = Instant::now();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0_u8; 12];
    tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut start))
        .await
        .expect("an answer without the body")
        .unwrap();
    assert_eq!(&start, b"HTTP/1.1 429");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn the_token_endpoint_refuses_in_oauth_form() {
    // The first token is the fixture's.
    let limited = Limited::start("token_address = { per_minute = 1, burst = 2 }").await;
    limited.credenza.token().await;
    let form = [("grant_type", "client_credentials"), ("client_id", "x"), ("client_secret", "y")];
    let url = limited.credenza.ready().token_url.clone().unwrap();
    let answer = send(limited.service.client.post(url).form(&form)).await;
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert_eq!(answer.json()["error"], "temporarily_unavailable");
    assert!(answer.json()["error_description"].is_string());
    assert!((1..=60).contains(&answer.header("retry-after").unwrap().parse::<u64>().unwrap()));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(document(&limited, None).await.status, 200);
}

#[tokio::test]
async fn a_section_that_makes_no_sense_is_no_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("limits.toml");
    for (text, part) in [
        ("[limits]\nclient = { per_minute = 0 }", "limits.client.per_minute is 0"),
        ("[limits]\nclients = { per_minute = 5 }", "unknown field"),
        ("[limits]\ntrusted_proxies = [\"everywhere\"]", "host bits are 0"),
        ("[log]\nlevel = \"info\"", "unknown field"),
    ] {
        std::fs::write(&file, text).unwrap();
        let extra_args = vec!["--limits".to_owned(), file.display().to_string()];
        let failure = Credenza::try_start(Options { extra_args, ..Options::default() }).await.unwrap_err();
        assert_eq!(failure.status.and_then(|status| status.code()), Some(1), "{text}");
        assert!(failure.log.contains(part), "{text}: {}", failure.log);
    }
}
