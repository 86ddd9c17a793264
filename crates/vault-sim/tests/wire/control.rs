//! The control port.

use reqwest::{Client, Method};
use serde_json::{Value, json};
use vault_sim::{Limits, SimConfig, ThrottleConfig};

use crate::caller::{Caller, Reply};

struct Control {
    caller: Caller,
    url: String,
    http: Client,
}

impl Control {
    async fn start() -> Self {
        let throttle = ThrottleConfig { limits: Limits::single(50, 10), ..ThrottleConfig::default() };
        let admin = Some(([127, 0, 0, 1], 0).into());
        let caller = Caller::start(SimConfig { throttle, admin, ..SimConfig::quick() }).with_key().await;
        let url = caller.sim.admin_url().expect("a control port");
        Self { caller, url, http: Client::builder().build().expect("a client") }
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Reply {
        let request = self.http.request(method, format!("{}{path}", self.url)).body(body.to_string());
        Reply::read(request.send().await.expect("an answer")).await
    }
}

#[tokio::test]
async fn faults_are_set_listed_and_ended() {
    let control = Control::start().await;
    let set = json!({"fault": "throttled", "operation": "sign", "count": 1});
    let made = control.call(Method::POST, "/faults", &set).await;
    assert_eq!((made.status, &made.body), (201, &json!({"id": 1})));
    control.call(Method::POST, "/faults", &json!({"fault": "internal_error", "operation": "KeyGet"})).await;
    assert_eq!(control.caller.sign().await.status, 429);
    assert_eq!(control.caller.sign().await.status, 200);
    assert_eq!(control.caller.get("/keys/issuer").await.status, 500);
    let listed = control.call(Method::GET, "/faults", &Value::Null).await;
    assert_eq!(listed.body[0]["hits"], 1);
    assert_eq!(listed.body[1], json!({"id": 2, "fault": "internal_error", "hits": 1}));
    assert_eq!(control.call(Method::DELETE, "/faults/2", &Value::Null).await.status, 204);
    assert_eq!(control.call(Method::DELETE, "/faults/2", &Value::Null).await.status, 404);
    assert_eq!(control.caller.get("/keys/issuer").await.status, 200);
    assert_eq!(control.call(Method::DELETE, "/faults", &Value::Null).await.status, 204);
    assert_eq!(control.call(Method::GET, "/faults", &Value::Null).await.body, json!([]));
}

#[tokio::test]
async fn the_feeds_are_lines_and_go_on() {
    let control = Control::start().await;
    let url = format!("{}/keys/issuer/sign?api-version=7.4", control.caller.sim.url());
    let agent = "credenza/0.1.0 (a=018f.1)";
    let request = control.caller.http.post(url).bearer_auth("any").header("user-agent", agent);
    let signed =
        Reply::read(request.json(&crate::caller::sign_body()).send().await.expect("an answer")).await;
    let arrivals = control.call(Method::GET, "/arrivals?after=1", &Value::Null).await;
    assert_eq!(arrivals.text.lines().count(), 1);
    let arrival: Value = serde_json::from_str(arrivals.text.trim()).expect("a line of JSON");
    assert_eq!(arrival["token"], "018f.1");
    assert_eq!(arrival["request_id"].as_str(), signed.header("x-ms-request-id"));
    assert_eq!(
        (&arrival["n"], &arrival["op"], &arrival["status"]),
        (&json!(2), &json!("KeySign"), &json!(200))
    );
    let log = control.call(Method::GET, "/log?after=1", &Value::Null).await;
    let row: Value = serde_json::from_str(log.text.trim()).expect("a line of JSON");
    assert_eq!(row["properties"]["clientInfo"], agent);
    let status = control.call(Method::GET, "/status", &Value::Null).await.body;
    assert_eq!(status["by_status"]["200"], 2);
    assert_eq!(status["vaults"]["vault"]["keys"], 1);
    assert_eq!(status["vaults"]["vault"]["other_permille"], 20);
    assert_eq!(control.call(Method::DELETE, "/log", &Value::Null).await.status, 204);
    assert_eq!(control.call(Method::GET, "/arrivals", &Value::Null).await.text, "");
}

#[tokio::test]
async fn limits_clock_roles_and_the_foreign_tenant_change_while_it_runs() {
    let control = Control::start().await;
    let change = json!({"window": "fixed", "limit": 1});
    assert_eq!(control.call(Method::POST, "/throttle", &change).await.status, 204);
    assert_eq!(control.caller.sign().await.status, 200);
    assert_eq!(control.caller.sign().await.status, 429);
    assert_eq!(control.call(Method::POST, "/clock", &json!({"advance_ms": 10_000})).await.status, 204);
    assert_eq!(control.caller.sign().await.status, 200);
    control.call(Method::POST, "/throttle", &json!({"window": "sliding", "limit": 10})).await;
    let foreign = json!({"vault": "vault", "rate": 1_000});
    assert_eq!(control.call(Method::POST, "/foreign", &foreign).await.status, 204);
    control.call(Method::POST, "/clock", &json!({"advance_ms": 1_000})).await;
    assert_eq!(control.caller.sign().await.status, 429);
    control.call(Method::POST, "/throttle", &json!({"window": "off"})).await;
    let role = json!({"token": "any", "allow": ["get"]});
    assert_eq!(control.call(Method::POST, "/roles", &role).await.status, 204);
    assert_eq!(control.caller.sign().await.error(), (403, "Forbidden", Some("ForbiddenByRbac")));
    assert_eq!(control.call(Method::DELETE, "/roles", &Value::Null).await.status, 204);
    assert_eq!(control.caller.sign().await.status, 200);
    assert_eq!(control.call(Method::POST, "/flush", &Value::Null).await.status, 204);
    assert_eq!(control.call(Method::GET, "/health", &Value::Null).await.text, "ok\n");
}

#[tokio::test]
async fn nonsense_is_refused() {
    let control = Control::start().await;
    for (method, path, body, status) in [
        (Method::POST, "/faults", json!({"fault": "earthquake"}), 400),
        (Method::POST, "/faults", json!({"fault": "delay", "minutes": 5}), 400),
        (Method::POST, "/throttle", json!({"window": "round"}), 400),
        (Method::POST, "/roles", json!({"token": "x", "allow": ["dance"]}), 400),
        (Method::POST, "/roles", json!({"token": "x"}), 400),
        (Method::POST, "/foreign", json!({"vault": "vault", "rate": -1}), 400),
        (Method::POST, "/clock", json!({"advance_ms": -1}), 400),
        (Method::DELETE, "/faults/x", Value::Null, 404),
        (Method::GET, "/nothing", Value::Null, 404),
        (Method::PUT, "/faults", Value::Null, 404),
    ] {
        let refused = control.call(method, path, &body).await;
        assert_eq!(refused.status, status, "{path} {body}");
        assert!(refused.body["error"].is_string(), "{}", refused.text);
    }
}
