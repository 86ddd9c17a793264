//! The limits over HTTP, on a clock that stands still; latency; vaults apart.

use std::time::{Duration, Instant};

use serde_json::json;
use vault_sim::{LatencyConfig, Limits, SimClock, SimConfig, ThrottleConfig, Window};

use crate::caller::{Caller, sign_body};

fn frozen(throttle: ThrottleConfig) -> Caller {
    let clock = SimClock::frozen_at(1_800_000_000);
    Caller::start(SimConfig { throttle, clock, ..SimConfig::quick() })
}

#[tokio::test]
async fn two_thousand_signs_pass_and_the_next_is_429_without_retry_after() {
    for window in [Window::Sliding, Window::Fixed] {
        let caller = frozen(ThrottleConfig { window, ..ThrottleConfig::default() });
        let made = caller.post("/keys/issuer/create", &json!({"kty": "EC-HSM"})).await;
        assert_eq!(made.status, 200);
        for number in 0..2_000 {
            assert_eq!(caller.sign().await.status, 200, "{window:?}: the {number}th");
        }
        let refused = caller.sign().await;
        assert_eq!(refused.error(), (429, "Throttled", None));
        assert!(refused.header("retry-after").is_none());
        assert!(refused.header("x-ms-request-id").is_some());
        let message = refused.body["error"]["message"].as_str().expect("a message");
        assert!(message.ends_with("VaultRequestTypeLimitReached"), "{message}");
        let arrival = caller.sim.arrivals().pop().expect("an arrival");
        assert_eq!((arrival.status, arrival.counted), (429, false));
        let row = caller.sim.log().pop().expect("a row");
        assert_eq!(row["properties"]["httpStatusCode"], 429);
        caller.sim.clock().advance(Duration::from_secs(10));
        assert_eq!(caller.sign().await.status, 200);
    }
}

#[tokio::test]
async fn software_keys_lists_and_creates_have_their_own_costs() {
    let limits = Limits::proportional(10, 2);
    let caller = frozen(ThrottleConfig { limits, retry_after: Some(4), ..ThrottleConfig::default() });
    let made = |name: &str, kty: &str| {
        let (path, body) = (format!("/keys/{name}/create"), json!({"kty": kty}));
        let caller = &caller;
        async move { caller.post(&path, &body).await }
    };
    // One HSM create is a half, a software create a quarter.
    assert_eq!(made("hsm", "EC-HSM").await.status, 200);
    assert_eq!(made("issuer", "EC").await.status, 200);
    assert_eq!(made("second", "EC").await.status, 200);
    let refused = made("third", "EC").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), Some("4"));
    // 5 of 10 by the HSM key, the other half is 10 of 20 by the software key and by lists.
    for _ in 0..5 {
        assert_eq!(caller.post("/keys/hsm/sign", &sign_body()).await.status, 200);
    }
    for _ in 0..5 {
        assert_eq!(caller.sign().await.status, 200);
        assert_eq!(caller.get("/keys").await.status, 200);
    }
    assert_eq!(caller.sign().await.status, 429);
    assert_eq!(caller.get("/keys/issuer").await.status, 429);
}

#[tokio::test]
async fn vaults_are_told_apart_by_host() {
    let limits = Limits::single(3, 3);
    let throttle = ThrottleConfig { limits, ..ThrottleConfig::default() };
    let clock = SimClock::frozen_at(1_800_000_000);
    let vaults = vec!["a".to_owned(), "b".to_owned()];
    let caller = Caller::start(SimConfig { throttle, clock, vaults, ..SimConfig::quick() }).with_key().await;
    let list = |url: String| {
        let request = caller.http.get(format!("{url}/keys?api-version=7.4")).bearer_auth("any");
        async move { request.send().await.expect("an answer") }
    };
    for _ in 0..3 {
        assert_eq!(list(caller.sim.url()).await.status().as_u16(), 200);
    }
    let other: serde_json::Value = list(caller.sim.url_of("b")).await.json().await.expect("JSON");
    assert_eq!(other["value"], json!([]));
    // On any listener a host can name the vault; the kid carries the host.
    let as_host = |host: &'static str| {
        let url = format!("{}/keys/issuer?api-version=7.4", caller.sim.url_of("b"));
        let request = caller.http.get(url).bearer_auth("any").header("host", host);
        async move { crate::caller::Reply::read(request.send().await.expect("an answer")).await }
    };
    assert_eq!(as_host("b.vault.azure.net").await.status, 404);
    assert_eq!(as_host("A.localhost:1").await.status, 429);
    assert_eq!(as_host("unheard-of.vault.azure.net").await.status, 404);
    caller.sim.clock().advance(Duration::from_secs(10));
    let kid = as_host("a.vault.azure.net").await.body["key"]["kid"].clone();
    assert!(kid.as_str().is_some_and(|kid| kid.starts_with("https://a.vault.azure.net/keys/issuer/")));
    for _ in 0..2 {
        assert_eq!(list(caller.sim.url()).await.status().as_u16(), 200);
    }
    let by_address = format!("https://127.0.0.1:{}", caller.sim.address().port());
    assert_eq!(list(by_address).await.status().as_u16(), 429);
}

#[tokio::test]
async fn a_foreign_tenant_makes_room_scarce() {
    let limits = Limits::single(100, 10);
    let caller = frozen(ThrottleConfig { limits, ..ThrottleConfig::default() }).with_key().await;
    caller.sim.set_foreign("vault", 5);
    caller.sim.clock().advance(Duration::from_secs(10));
    let mut accepted = 0;
    while caller.sign().await.status == 200 {
        accepted += 1;
    }
    assert_eq!(accepted, 50);
}

#[tokio::test]
async fn latency_is_drawn_and_the_first_request_of_a_connection_is_slower() {
    let latency =
        LatencyConfig { median: Duration::from_millis(20), first_request: Duration::from_millis(400) };
    let caller = Caller::start(SimConfig { latency, ..SimConfig::quick() });
    let start = Instant::now();
    assert_eq!(caller.get("/keys").await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(400));
    let mut times = Vec::new();
    for _ in 0..51 {
        let start = Instant::now();
        assert_eq!(caller.get("/keys").await.status, 200);
        times.push(start.elapsed());
    }
    times.sort();
    let range = Duration::from_millis(10)..Duration::from_millis(80);
    assert!(range.contains(&times[25]), "median {:?}", times[25]);
    // The arrival is counted before the wait.
    let arrivals = caller.sim.arrivals();
    let logged = caller.sim.log().pop().expect("a row");
    assert!(logged["durationMs"].as_str().expect("text").parse::<u64>().expect("a number") < 400);
    assert_eq!(arrivals.len(), 52);
}
