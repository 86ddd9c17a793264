//! The Managed HSM profile: row by row what differs from a vault.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use vault_sim::{
    AccessConfig, LatencyConfig, Limits, Profile, Role, SimClock, SimConfig, ThrottleConfig, VaultConfig,
    Window,
};

use crate::answers::in_order;
use crate::caller::{Caller, Reply, sign_body};

fn hsm() -> SimConfig {
    SimConfig { profile: Profile::ManagedHsm, ..SimConfig::quick() }
}

fn ops(key: &Reply) -> Vec<&str> {
    key.body["key"]["key_ops"].as_array().expect("operations").iter().filter_map(Value::as_str).collect()
}

fn verify_body(signed: &Reply) -> Value {
    json!({"alg": "ES256", "digest": URL_SAFE_NO_PAD.encode([7; 32]), "value": signed.body["value"]})
}

#[tokio::test]
async fn the_challenge_names_the_hsm_and_has_no_body() {
    let caller = Caller::start(hsm());
    let url = format!("{}/keys?api-version=7.4", caller.sim.url());
    let refused = Reply::read(caller.http.get(url).send().await.expect("an answer")).await;
    assert_eq!((refused.status, refused.text.as_str()), (401, ""));
    assert_eq!(refused.header("content-length"), Some("0"));
    let challenge = refused.header("www-authenticate").expect("a challenge");
    assert!(challenge.ends_with(r#"resource="https://managedhsm.azure.net""#), "{challenge}");
    // Nobody who is unknown learns where it runs.
    assert_eq!(refused.header("x-ms-keyvault-region"), None);
    assert_eq!(refused.header("x-ms-keyvault-network-info"), None);
}

#[tokio::test]
async fn tokens_are_for_the_hsm() {
    let access = AccessConfig { check_audience: true, ..AccessConfig::default() };
    let caller = Caller::start(SimConfig { access, ..hsm() });
    for (audience, status) in [
        ("https://managedhsm.azure.net", 200),
        ("https://vault.azure.net", 401),
        ("cfa8b339-82a2-471a-a3c9-0fc0be7a4093", 401),
    ] {
        let claims = URL_SAFE_NO_PAD.encode(json!({"aud": audience}).to_string());
        let url = format!("{}/keys?api-version=7.4", caller.sim.url());
        let answer = caller.http.get(url).bearer_auth(format!("e30.{claims}.c2ln")).send().await;
        assert_eq!(answer.expect("an answer").status().as_u16(), status, "{audience}");
    }
}

#[tokio::test]
async fn a_bundle_is_alphabetical_and_its_key_is_in_the_hsm() {
    // Also where a vault would have no HSM-protected keys.
    let keys = VaultConfig { premium: false, ..SimConfig::quick().keys };
    let caller = Caller::start(SimConfig { keys, ..hsm() });
    let body = json!({"kty": "EC", "attributes": {"exp": 4_000_000_000_u32}, "tags": {"b": "1", "a": "2"}});
    let made = caller.post("/keys/issuer/create", &body).await;
    assert_eq!((made.status, &made.body["key"]["kty"]), (200, &json!("EC-HSM")));
    let names = [
        "attributes",
        "created",
        "enabled",
        "exp",
        "exportable",
        "recoverableDays",
        "recoveryLevel",
        "updated",
        "key",
        "crv",
        "key_ops",
        "kid",
        "kty",
        "x",
        "y",
        "tags",
    ];
    in_order(&made.text, &names);
    let mut given = ops(&made);
    given.sort_unstable();
    assert_eq!(given, ["deriveKey", "sign", "verify"]);
    let url = format!("{}/keys/issuer?api-version=7.6", caller.sim.url());
    let newest = Reply::read(caller.http.get(url).bearer_auth("any").send().await.expect("an answer")).await;
    assert_eq!((newest.status, newest.body["attributes"].get("hsmPlatform")), (200, None));
    let imported = caller.post("/keys/own/create", &json!({"kty": "EC-HSM", "key_ops": ["sign"]})).await;
    assert_eq!((&imported.body["key"]["kty"], ops(&imported)), (&json!("EC-HSM"), vec!["sign"]));
    let page = caller.get("/keys").await;
    in_order(&page.text, &["nextLink", "value", "attributes", "kid"]);
    let deleted = caller.call(Method::DELETE, "/keys/issuer", &Value::Null).await;
    in_order(
        &deleted.text,
        &["attributes", "deletedDate", "key", "recoveryId", "scheduledPurgeDate", "tags"],
    );
}

#[tokio::test]
async fn the_order_of_key_ops_means_nothing() {
    let caller = Caller::start(hsm()).with_key().await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..60 {
        let got = caller.get("/keys/issuer").await;
        seen.insert(ops(&got).join(" "));
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
    // A vault keeps the order, and derives nothing.
    let vault = Caller::quick();
    let refused = vault.post("/keys/issuer/create", &json!({"kty": "EC", "key_ops": ["deriveKey"]})).await;
    assert_eq!(refused.error(), (400, "BadParameter", None));
    let vault = vault.with_key().await;
    for _ in 0..10 {
        assert_eq!(ops(&vault.get("/keys/issuer").await), ["sign", "verify"]);
    }
}

#[tokio::test]
async fn sign_and_verify_say_more() {
    let caller = Caller::start(hsm()).with_key().await;
    let signed = caller.sign().await;
    assert_eq!(signed.body.as_object().map(serde_json::Map::len), Some(3));
    in_order(&signed.text, &["alg", "kid", "value"]);
    assert_eq!(signed.body["alg"], "ES256");
    let verified = caller.post("/keys/issuer/verify", &verify_body(&signed)).await;
    in_order(&verified.text, &["alg", "kid", "value"]);
    assert_eq!(verified.body, json!({"alg": "ES256", "kid": signed.body["kid"], "value": true}));
}

#[tokio::test]
async fn its_headers_are_its_own() {
    let caller = Caller::start(hsm()).with_key().await;
    let got = caller.get("/keys/issuer").await;
    for (name, value) in [
        ("content-type", "application/json; charset=utf-8"),
        ("cache-control", "no-cache"),
        ("content-security-policy", "default-src 'self'"),
        ("x-frame-options", "SAMEORIGIN"),
        ("x-content-type-options", "nosniff"),
        ("strict-transport-security", "max-age=31536000; includeSubDomains"),
        ("x-ms-keyvault-network-info", "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=Ipv4;"),
    ] {
        assert_eq!(got.header(name), Some(value), "{name}");
    }
    for absent in
        ["date", "x-ms-keyvault-service-version", "x-ms-keyvault-rbac-assignment-id", "pragma", "expires"]
    {
        assert_eq!(got.header(absent), None, "{absent}");
    }
    assert_eq!(got.header("x-ms-request-id").map(str::len), Some(36));
    let latency = got.header("x-ms-server-latency").expect("a latency");
    assert!(latency.parse::<u64>().is_ok(), "{latency}");
    // The build's version comes with some answers only.
    assert!(got.header("x-ms-build-version").is_some());
    assert_eq!(caller.sign().await.header("x-ms-build-version"), None);
}

#[tokio::test]
async fn a_404_tells_its_activity() {
    let caller = Caller::start(hsm());
    for path in ["/keys/nobody", "/deletedkeys/nobody"] {
        let missing = caller.get(path).await;
        assert_eq!(missing.error(), (404, "KeyNotFound", None), "{path}");
        let id = missing.header("x-ms-request-id").expect("an id");
        let message = missing.body["error"]["message"].as_str().expect("a message");
        assert!(message.ends_with(&format!("(Activity ID: {id})")), "{message}");
    }
    let vault = Caller::quick();
    assert!(!vault.get("/keys/nobody").await.text.contains("Activity"));
}

#[tokio::test]
async fn rotation_is_spelled_small_and_nothing_is_added() {
    let clock = SimClock::frozen_at(1_800_000_000);
    let caller = Caller::start(SimConfig { clock, ..hsm() }).with_key().await;
    let action = |kind: &str| json!({"trigger": {"timeAfterCreate": "P90D"}, "action": {"type": kind}});
    let none = caller.get("/keys/issuer/rotationpolicy").await;
    assert_eq!(none.text, r#"{"attributes":null,"lifetimeActions":null}"#);
    let policy = json!({"lifetimeActions": [action("Rotate")], "attributes": {"expiryTime": "P1Y"}});
    let set = caller.call(Method::PUT, "/keys/issuer/rotationpolicy", &policy).await;
    assert_eq!(set.body["lifetimeActions"], json!([action("rotate")]), "{}", set.text);
    in_order(
        &set.text,
        &["attributes", "created", "expiryTime", "updated", "id", "lifetimeActions", "action"],
    );
    assert_eq!(caller.get("/keys/issuer/rotationpolicy").await.text, set.text);
    let notify = json!({"lifetimeActions": [action("Notify")]});
    let refused = caller.call(Method::PUT, "/keys/issuer/rotationpolicy", &notify).await;
    assert_eq!(refused.error(), (400, "BadParameter", None));
    let rotated = caller.post("/keys/issuer/rotate", &Value::Null).await;
    assert_eq!(rotated.body["key"]["kty"], "EC-HSM");
    assert_eq!(rotated.body["attributes"]["exp"], 1_800_000_000 + 365 * 86_400);
}

#[tokio::test]
async fn it_throttles_nobody_but_the_vault_beside_it_does() {
    let throttle = ThrottleConfig { limits: Limits::single(3, 3), ..ThrottleConfig::default() };
    let vaults = vec!["v".to_owned(), "h".to_owned()];
    let profiles = vec![("H".to_owned(), Profile::ManagedHsm)];
    let clock = SimClock::frozen_at(1_800_000_000);
    let caller = Caller::start(SimConfig { throttle, vaults, profiles, clock, ..SimConfig::quick() });
    for (vault, wanted) in [("v", vec![200, 200, 200, 429, 429]), ("h", vec![200; 5])] {
        let mut found = Vec::new();
        for _ in 0..5 {
            let url = format!("{}/keys?api-version=7.4", caller.sim.url_of(vault));
            let answer = caller.http.get(url).bearer_auth("any").send().await.expect("an answer");
            found.push(answer.status().as_u16());
        }
        assert_eq!(found, wanted, "{vault}");
    }
    assert!(caller.sim.arrivals().iter().all(|arrival| arrival.vault == "v" || !arrival.counted));
}

#[tokio::test]
async fn who_comes_too_fast_waits() {
    let latency = LatencyConfig { median: Duration::ZERO, first_request: Duration::ZERO };
    let throttle = ThrottleConfig { window: Window::Off, ..ThrottleConfig::default() };
    let quick =
        |partitions| SimConfig { hsm_partitions: partitions, latency, throttle: throttle.clone(), ..hsm() };
    let made = |kty: &str| json!({"kty": kty, "crv": "P-521"});
    let verify = json!({"alg": "ES512", "digest": URL_SAFE_NO_PAD.encode([7; 64]), "value": URL_SAFE_NO_PAD.encode([7; 132])});
    let mut spans = Vec::new();
    for partitions in [1, 0] {
        let caller = Caller::start(quick(partitions));
        assert_eq!(caller.post("/keys/issuer/create", &made("EC-HSM")).await.status, 200);
        let start = Instant::now();
        // 28 a second: fifteen at once are half a second's work.
        let asked = (0..15).map(|_| caller.post("/keys/issuer/verify", &verify));
        for answer in futures_util::future::join_all(asked).await {
            assert_eq!((answer.status, &answer.body["value"]), (200, &json!(false)));
        }
        spans.push(start.elapsed());
    }
    assert!(spans[0] >= Duration::from_millis(480), "{spans:?}");
    assert!(spans[1] < spans[0], "{spans:?}");
}

#[tokio::test]
async fn its_roles_are_local() {
    let access = AccessConfig { token: Some("any".into()), ..AccessConfig::default() };
    let caller = Caller::start(SimConfig { access, ..hsm() }).with_key().await;
    let allow = vec!["sign".to_owned(), "list".to_owned()];
    caller.sim.set_role(Role { token: "signer".into(), allow, keys: Some(vec!["issuer".into()]) });
    let ask = |method: Method, path: &str, body: Value| {
        let request = caller.http.request(method, format!("{}{path}?api-version=7.4", caller.sim.url()));
        let request = request.bearer_auth("signer").json(&body);
        async move { Reply::read(request.send().await.expect("an answer")).await }
    };
    assert_eq!(ask(Method::POST, "/keys/issuer/sign", sign_body()).await.status, 200);
    for (method, path, part) in [
        (Method::GET, "/keys/issuer", "managedHsm/keys/read/action on scope /keys/issuer "),
        (Method::DELETE, "/keys/issuer", "managedHsm/keys/delete on scope /keys/issuer "),
        (Method::GET, "/keys", "managedHsm/keys/read/action on scope /keys "),
    ] {
        let refused = ask(method, path, Value::Null).await;
        assert_eq!(refused.error(), (403, "Forbidden", None), "{path}");
        assert!(refused.text.contains(part), "{}", refused.text);
    }
}

#[tokio::test]
async fn its_rows_are_flat() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = hsm();
    config.log.dir = Some(dir.path().to_owned());
    let access = AccessConfig { token: Some("any".into()), ..AccessConfig::default() };
    let caller = Caller::start(SimConfig { access, ..config }).with_key().await;
    let url = format!("{}/keys/issuer/sign?api-version=7.4", caller.sim.url());
    let request = caller.http.post(&url).bearer_auth("any").header("user-agent", "credenza/1 (a=x.1)");
    let signed = Reply::read(request.json(&sign_body()).send().await.expect("an answer")).await;
    let row = caller.sim.log().pop().expect("a row");
    for (name, value) in [
        ("operationName", json!("KeySign")),
        ("operationVersion", json!("7.4")),
        ("category", json!("AuditEvent")),
        ("resultType", json!("Success")),
        ("clientInfo", json!("credenza/1 (a=x.1)")),
        ("httpStatusCode", json!(200)),
        ("requestUri", json!(url)),
        ("correlationId", json!(signed.header("x-ms-request-id"))),
        ("properties", json!({"PoolType": "M-HSM", "sku_Family": "B", "sku_Name": "Standard_B1"})),
        ("resourceType", json!("managedHSMs")),
        ("resource", json!("vault")),
    ] {
        assert_eq!(row[name], value, "{name}");
    }
    assert!(row["durationMs"].is_u64(), "{row}");
    let identity: Value = serde_json::from_str(row["identity"].as_str().expect("text")).expect("JSON");
    assert!(identity["claim"]["appid"].is_string(), "{identity}");
    let resource = row["resourceId"].as_str().expect("an id");
    assert!(resource.ends_with("/PROVIDERS/MICROSOFT.KEYVAULT/MANAGEDHSMS/VAULT"), "{resource}");
    caller.sim.flush();
    let folder = dir.path().join("insights-logs-auditevent").join(format!("resourceId={resource}"));
    assert!(folder.is_dir(), "{}", folder.display());
}

#[tokio::test]
async fn backups_stay_with_their_kind() {
    let hsm = Caller::start(hsm()).with_key().await;
    let vault = Caller::quick().with_key().await;
    let backup = hsm.post("/keys/issuer/backup", &Value::Null).await;
    assert_eq!(backup.status, 200);
    for caller in [&hsm, &vault] {
        assert_eq!(caller.call(Method::DELETE, "/keys/issuer", &Value::Null).await.status, 200);
        let purged = caller.call(Method::DELETE, "/deletedkeys/issuer", &Value::Null).await;
        assert_eq!((purged.status, purged.text.as_str()), (204, ""));
    }
    let value = json!({"value": backup.body["value"]});
    assert_eq!(vault.post("/keys/restore", &value).await.error(), (400, "BadParameter", None));
    assert_eq!(hsm.post("/keys/restore", &value).await.body["key"]["kty"], "EC-HSM");
}
