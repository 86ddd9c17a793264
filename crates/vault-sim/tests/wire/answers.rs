//! Shapes, member order, headers and traps of single answers.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use vault_sim::{SimClock, SimConfig, VaultConfig};

use crate::caller::{Caller, Reply, sign_body};

pub fn in_order(text: &str, names: &[&str]) {
    let place = |name: &&str| text.find(&format!("\"{name}\"")).unwrap_or_else(|| panic!("{name}: {text}"));
    let places: Vec<usize> = names.iter().map(place).collect();
    assert!(places.is_sorted(), "{text}");
}

#[tokio::test]
async fn a_bundle_has_the_members_of_the_service_in_its_order() {
    let caller = Caller::quick();
    let body = json!({
        "kty": "EC", "crv": "P-256K", "key_ops": ["sign", "verify"],
        "attributes": {"enabled": true, "nbf": 1_767_225_600, "exp": 4_000_000_000_u32},
        "tags": {"use": "vc-signing"}, "unheard_of": 5,
    });
    let made = caller.post("/keys/issuer/create", &body).await;
    assert_eq!(made.status, 200);
    let names = [
        "key",
        "kid",
        "kty",
        "key_ops",
        "crv",
        "x",
        "y",
        "attributes",
        "enabled",
        "nbf",
        "exp",
        "created",
        "updated",
        "recoveryLevel",
        "recoverableDays",
        "exportable",
        "tags",
    ];
    in_order(&made.text, &names);
    assert_eq!(made.body["attributes"]["recoveryLevel"], "Recoverable+Purgeable");
    assert_eq!(made.body["attributes"]["hsmPlatform"], Value::Null);
    let kid = made.body["key"]["kid"].as_str().expect("a kid");
    let version = kid.rsplit('/').next().expect("a version");
    assert!(version.len() == 32 && version.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(kid, format!("{}/keys/issuer/{version}", caller.sim.url()));
    assert_eq!(made.body["key"]["x"].as_str().map(str::len), Some(43));
    // Absent, not null, when not set.
    let plain = caller.post("/keys/plain/create", &json!({"kty": "EC-HSM"})).await;
    assert_eq!(plain.status, 200);
    for absent in ["\"nbf\"", "\"exp\"", "\"tags\""] {
        assert!(!plain.text.contains(absent), "{}", plain.text);
    }
}

#[tokio::test]
async fn the_platform_is_shown_from_version_7_5_on() {
    let caller = Caller::quick().with_key().await;
    for (version, shown) in [("7.4", None), ("7.5", Some("0")), ("2025-07-01", Some("0"))] {
        let url = format!("{}/keys/issuer?api-version={version}", caller.sim.url());
        let got = Reply::read(caller.http.get(url).bearer_auth("any").send().await.expect("an answer")).await;
        assert_eq!(got.body["attributes"]["hsmPlatform"].as_str(), shown, "{version}");
    }
}

#[tokio::test]
async fn every_answer_has_the_headers_of_the_service() {
    let caller = Caller::quick().with_key().await;
    let url = format!("{}/keys/issuer?api-version=7.4", caller.sim.url());
    let request = caller.http.get(url).bearer_auth("any").header("x-ms-client-request-id", "mine");
    let got = Reply::read(request.send().await.expect("an answer")).await;
    for (name, value) in [
        ("content-type", "application/json; charset=utf-8"),
        ("x-ms-client-request-id", "mine"),
        ("x-ms-keyvault-region", "westus2"),
        ("x-ms-keyvault-network-info", "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;"),
        ("cache-control", "no-cache"),
        ("pragma", "no-cache"),
        ("expires", "-1"),
        ("strict-transport-security", "max-age=31536000;includeSubDomains"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(got.header(name), Some(value), "{name}");
    }
    assert_eq!(got.header("x-ms-keyvault-rbac-assignment-id").map(str::len), Some(32));
    assert!(got.header("date").is_some_and(|date| date.ends_with(" GMT")));
    let id = got.header("x-ms-request-id").expect("an id").to_owned();
    assert_eq!(id.len(), 36);
    let again = caller.get("/keys/issuer").await;
    assert_ne!(again.header("x-ms-request-id"), Some(id.as_str()));
    assert_eq!(again.header("x-ms-client-request-id"), None);
    let missing = caller.get("/keys/nobody").await;
    assert_eq!(missing.error(), (404, "KeyNotFound", None));
    assert!(missing.header("x-ms-keyvault-rbac-assignment-id").is_some());
    // The log knows the attempt by the same id.
    let rows = caller.sim.log();
    assert!(rows.iter().any(|row| row["correlationId"] == id.as_str()));
}

#[tokio::test]
async fn what_the_service_tolerates_is_tolerated() {
    let caller = Caller::quick().with_key().await;
    for path in ["/keys/issuer/sign", "/keys/issuer//sign", "/keys/ISSUER//sign"] {
        let signed = caller.post(path, &sign_body()).await;
        assert_eq!(signed.status, 200, "{path}: {}", signed.text);
        in_order(&signed.text, &["kid", "value"]);
        assert!(signed.body["kid"].as_str().is_some_and(|kid| kid.contains("/keys/issuer/")));
        assert_eq!(signed.body["value"].as_str().map(str::len), Some(86));
    }
    assert_eq!(caller.get("/keys/issuer/").await.status, 200);
    let escaped = format!("{}/keys/issuer/?api%2Dversion=2025-07-01", caller.sim.url());
    let escaped = caller.http.get(escaped).bearer_auth("any").send().await.expect("an answer");
    assert_eq!(escaped.status().as_u16(), 200);
    for crv in [json!({"kty": "EC", "curve": "P-384"}), json!({"kty": "EC", "crv": ""})] {
        let made = caller.post("/keys/default/create", &crv).await;
        assert_eq!(made.body["key"]["crv"], "P-256", "{crv}");
    }
}

#[tokio::test]
async fn bad_requests_are_told_what_is_wrong() {
    let caller = Caller::quick().with_key().await;
    let digest = |length: usize| URL_SAFE_NO_PAD.encode(vec![7; length]);
    for (path, body, part) in [
        ("/keys/issuer/sign", json!({"alg": "ES256", "value": digest(44)}), "44 bytes"),
        ("/keys/issuer/sign", json!({"alg": "ES256", "value": digest(30)}), "30 bytes"),
        ("/keys/issuer/sign", json!({"alg": "ES256", "value": format!("{}=", digest(32))}), "base64url"),
        ("/keys/issuer/sign", json!({"alg": "ES256", "value": "+/+/"}), "base64url"),
        ("/keys/issuer/sign", json!({"alg": "ES256"}), "value is required"),
        ("/keys/issuer/sign", json!({"value": digest(32)}), "alg is required"),
        // A line for each fault.
        ("/keys/issuer/sign", json!({}), "value is required.\r\nProperty alg is required."),
        ("/keys/issuer/verify", json!({"digest": digest(32), "value": digest(64)}), "alg is required"),
        ("/keys/issuer/sign", json!({"alg": "ES256K", "value": digest(32)}), "on curve P-256"),
        ("/keys/issuer/sign", json!({"alg": "RS256", "value": digest(32)}), "alg"),
        ("/keys/issuer/sign", json!({"alg": 5, "value": digest(32)}), "alg"),
        ("/keys/issuer/sign", json!([1]), "object"),
        ("/keys/under_score/create", json!({"kty": "EC"}), "key name"),
        ("/keys/x/create", json!({}), "kty is required"),
        ("/keys/x/create", json!({"kty": "RSA", "key_size": 2048}), "RSA"),
        ("/keys/x/create", json!({"kty": "rot13"}), "kty"),
        ("/keys/x/create", json!({"kty": "EC", "crv": "SECP256K1"}), "crv"),
        ("/keys/x/create", json!({"kty": "EC", "key_ops": ["dance"]}), "key_ops"),
        ("/keys/x/create", json!({"kty": "EC", "attributes": {"nbf": 2000, "exp": 1000}}), "nbf"),
        ("/keys/x/create", json!({"kty": "EC", "attributes": {"exp": "soon"}}), "exp"),
        ("/keys/x/create", json!({"kty": "EC", "tags": {"a": "x".repeat(257)}}), "tags"),
        (
            "/keys/x/create",
            json!({"kty": "EC", "tags": (0..16).map(|n| (n.to_string(), n.to_string())).collect::<std::collections::BTreeMap<_, _>>()}),
            "tags",
        ),
        ("/keys/restore", json!({"value": "eyJ9"}), "backup"),
        ("/keys/issuer/verify", json!({"alg": "ES256", "digest": digest(32)}), "value is required"),
    ] {
        let refused = caller.post(path, &body).await;
        assert_eq!(refused.error(), (400, "BadParameter", None), "{path} {body}: {}", refused.text);
        let message = refused.body["error"]["message"].as_str().expect("a message");
        assert!(message.contains(part), "{path} {body}: {message}");
    }
    for (query, status) in [("", 400), ("api-version=6.1", 400), ("api-version=7.4", 200)] {
        let url = format!("{}/keys/issuer?{query}", caller.sim.url());
        let got = caller.http.get(url).bearer_auth("any").send().await.expect("an answer");
        assert_eq!(got.status().as_u16(), status, "{query}");
    }
    for query in ["maxresults=0", "maxresults=26", "maxresults=x", "$skiptoken=*"] {
        let refused = caller.get(&format!("/keys?{query}")).await;
        assert_eq!(refused.error(), (400, "BadParameter", None), "{query}");
    }
    assert_eq!(caller.get("/secrets/x").await.error(), (404, "NotFound", None));
    let root = caller.get("/").await;
    assert_eq!((root.status, root.header("content-type")), (403, Some("text/html")));
    let no_key = json!({"key": {"kty": "EC", "d": "AQ", "x": "AQ", "y": "AQ"}});
    assert_eq!(caller.call(Method::PUT, "/keys/x", &no_key).await.error(), (400, "BadParameter", None));
}

#[tokio::test]
async fn pages_end_with_a_null_link() {
    let caller = Caller::quick();
    for number in 0..5 {
        let made = caller.post(&format!("/keys/key-{number}/create"), &json!({"kty": "EC"})).await;
        assert_eq!(made.status, 200);
    }
    let first = caller.get("/keys?maxresults=3").await;
    assert_eq!(first.body["value"].as_array().map(Vec::len), Some(3));
    in_order(&first.text, &["value", "kid", "attributes", "nextLink"]);
    let link = first.body["nextLink"].as_str().expect("a link").to_owned();
    let second = Reply::read(caller.http.get(link).bearer_auth("any").send().await.expect("an answer")).await;
    assert_eq!(second.body["value"].as_array().map(Vec::len), Some(2));
    assert!(second.text.ends_with(r#""nextLink":null}"#), "{}", second.text);
    assert_eq!(caller.get("/deletedkeys").await.text, r#"{"value":[],"nextLink":null}"#);
}

#[tokio::test]
async fn key_states_allow_what_the_table_says() {
    let clock = SimClock::frozen_at(1_800_000_000);
    let keys = VaultConfig { leeway_seconds: 60, ..SimConfig::quick().keys };
    let caller = Caller::start(SimConfig { clock, keys, ..SimConfig::quick() }).with_key().await;
    let signed = caller.sign().await.body["value"].clone();
    let verify = json!({"alg": "ES256", "digest": URL_SAFE_NO_PAD.encode([7; 32]), "value": signed});
    let now = 1_800_000_000;
    for (change, sign, verified) in [
        (json!({"attributes": {"nbf": now + 61, "exp": now + 1000}}), Some("KeyNotYetValid"), true),
        (json!({"attributes": {"nbf": now + 60}}), None, true),
        (json!({"attributes": {"nbf": now - 1000, "exp": now - 60}}), Some("KeyExpired"), true),
        (json!({"attributes": {"exp": now - 59}}), None, true),
        (json!({"attributes": {"enabled": false}}), Some("KeyDisabled"), true),
        (
            json!({"attributes": {"enabled": true}, "key_ops": ["verify"]}),
            Some("KeyOperationForbidden"),
            true,
        ),
        (json!({"key_ops": ["sign"]}), None, false),
    ] {
        let updated = caller.call(Method::PATCH, "/keys/issuer", &change).await;
        assert_eq!(updated.status, 200, "{change}: {}", updated.text);
        let signed = caller.sign().await;
        let wanted = sign.map_or((200, "", None), |inner| (403, "Forbidden", Some(inner)));
        assert_eq!(signed.error(), wanted, "{change}");
        let got = caller.post("/keys/issuer/verify", &verify).await;
        assert_eq!(got.status == 200 && got.body["value"] == true, verified, "{change}: {}", got.text);
        assert_eq!(caller.get("/keys/issuer").await.status, 200);
    }
}

#[tokio::test]
async fn an_update_changes_what_it_may() {
    let caller = Caller::quick().with_key().await;
    let change = json!({"attributes": {"exportable": true, "enabled": false}, "tags": {"a": "b"}});
    let updated = caller.call(Method::PATCH, "/keys/issuer/", &change).await;
    assert_eq!(updated.status, 200, "{}", updated.text);
    let attributes = &updated.body["attributes"];
    assert_eq!((&attributes["enabled"], &attributes["exportable"]), (&json!(false), &json!(false)));
    // What is left out stays.
    let again = caller.call(Method::PATCH, "/keys/issuer", &json!({"attributes": {"enabled": true}})).await;
    assert_eq!((&again.body["tags"]["a"], &again.body["attributes"]["enabled"]), (&json!("b"), &json!(true)));
}

#[tokio::test]
async fn vault_settings_show() {
    let keys =
        VaultConfig { premium: false, retention_days: 7, purge_protection: true, ..SimConfig::quick().keys };
    let caller = Caller::start(SimConfig { keys, ..SimConfig::quick() }).with_key().await;
    let got = caller.get("/keys/issuer").await;
    assert_eq!(got.body["attributes"]["recoveryLevel"], "CustomizedRecoverable");
    assert_eq!(got.body["attributes"]["recoverableDays"], 7);
    let hsm = caller.post("/keys/hsm/create", &json!({"kty": "EC-HSM"})).await;
    assert_eq!(hsm.error(), (400, "BadParameter", None));
    let deleted = caller.call(Method::DELETE, "/keys/issuer", &Value::Null).await;
    in_order(&deleted.text, &["recoveryId", "deletedDate", "scheduledPurgeDate", "key", "attributes"]);
    let taken = caller.post("/keys/issuer/create", &json!({"kty": "EC"})).await;
    assert_eq!(taken.error(), (409, "Conflict", Some("ObjectIsDeletedButRecoverable")));
    let purged = caller.call(Method::DELETE, "/deletedkeys/issuer", &Value::Null).await;
    assert_eq!(purged.error(), (403, "Forbidden", None));
}

#[tokio::test]
async fn an_unset_rotation_policy_is_null_twice_and_bad_ones_are_refused() {
    let caller = Caller::quick().with_key().await;
    let none = caller.get("/keys/issuer/rotationpolicy").await;
    assert_eq!(none.text, r#"{"lifetimeActions":null,"attributes":null}"#);
    let rotate = |trigger: Value| json!({"trigger": trigger, "action": {"type": "rotate"}});
    for policy in [
        json!({"attributes": {"expiryTime": "P27D"}}),
        json!({"attributes": {"expiryTime": "two years"}}),
        json!({"lifetimeActions": [rotate(json!({"timeAfterCreate": "P6D"}))]}),
        json!({"lifetimeActions": [rotate(json!({"timeBeforeExpiry": "P30D"}))]}),
        json!({"lifetimeActions": [rotate(json!({}))]}),
        json!({"lifetimeActions": [{"trigger": {"timeAfterCreate": "P90D"}, "action": {"type": "Dance"}}]}),
        json!({"lifetimeActions": [rotate(json!({"timeAfterCreate": "P90D"})), rotate(json!({"timeAfterCreate": "P91D"}))]}),
    ] {
        let refused = caller.call(Method::PUT, "/keys/issuer/rotationpolicy", &policy).await;
        assert_eq!(refused.error(), (400, "BadParameter", None), "{policy}");
    }
    let set = json!({"lifetimeActions": [rotate(json!({"timeAfterCreate": "P90D"}))]});
    let set = caller.call(Method::PUT, "/keys/issuer/rotationpolicy", &set).await;
    in_order(&set.text, &["id", "lifetimeActions", "trigger", "action", "attributes", "created"]);
    assert_eq!(caller.get("/keys/issuer/rotationpolicy").await.text, set.text);
}
