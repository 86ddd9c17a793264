//! Tokens, roles, the challenge.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use vault_sim::{AccessConfig, Role, SimClock, SimConfig, StartError};

use crate::caller::{Caller, Reply, sign_body};

async fn sign_as(caller: &Caller, authorization: Option<&str>) -> Reply {
    let url = format!("{}/keys/issuer/sign?api-version=7.4", caller.sim.url());
    let mut request = caller.http.post(url).json(&sign_body());
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    Reply::read(request.send().await.expect("an answer")).await
}

fn jwt(claims: &serde_json::Value) -> String {
    format!("Bearer e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

#[tokio::test]
async fn no_token_is_challenged_before_anything_is_looked_at() {
    let caller = Caller::quick();
    for authorization in [None, Some("Basic YTpi"), Some("Bearer "), Some("Bearer")] {
        let refused = sign_as(&caller, authorization).await;
        assert_eq!(refused.error(), (401, "Unauthorized", None), "{authorization:?}");
        let challenge = refused.header("www-authenticate").expect("a challenge");
        let wanted = format!(
            r#"Bearer authorization="{}/00000000-0000-0000-0000-000000000001", resource="https://vault.azure.net""#,
            caller.sim.url()
        );
        assert_eq!(challenge, wanted);
        assert!(refused.header("x-ms-keyvault-rbac-assignment-id").is_none());
    }
    assert!(caller.sim.arrivals().iter().all(|arrival| arrival.op == "Authentication" && !arrival.counted));
}

#[tokio::test]
async fn only_the_given_token_is_good_when_one_is_given() {
    let access = AccessConfig { token: Some("any".into()), ..AccessConfig::default() };
    let caller = Caller::start(SimConfig { access, ..SimConfig::quick() }).with_key().await;
    assert_eq!(sign_as(&caller, Some("Bearer any")).await.status, 200);
    assert_eq!(sign_as(&caller, Some("bearer any")).await.status, 200);
    assert_eq!(sign_as(&caller, Some("Bearer other")).await.error(), (401, "Unauthorized", None));
}

#[tokio::test]
async fn roles_allow_operations_on_keys_and_nothing_else() {
    let access = AccessConfig { token: Some("any".into()), ..AccessConfig::default() };
    let caller = Caller::start(SimConfig { access, ..SimConfig::quick() }).with_key().await;
    let role = |token: &str, allow: &[&str], keys: Option<Vec<String>>| Role {
        token: token.to_owned(),
        allow: allow.iter().map(|permission| (*permission).to_owned()).collect(),
        keys,
    };
    caller.sim.set_role(role("signer", &["get", "sign"], None));
    caller.sim.set_role(role("reader", &["get"], None));
    caller.sim.set_role(role("elsewhere", &["sign"], Some(vec!["other".into()])));
    caller.sim.set_role(role("app-1", &["verify"], None));
    assert_eq!(sign_as(&caller, Some("Bearer signer")).await.status, 200);
    let by_app = jwt(&json!({"appid": "app-1", "oid": "me"}));
    for denied in ["Bearer reader", "Bearer elsewhere", &by_app] {
        let refused = sign_as(&caller, Some(denied)).await;
        assert_eq!(refused.error(), (403, "Forbidden", Some("ForbiddenByRbac")), "{denied}");
        assert!(refused.header("x-ms-keyvault-rbac-assignment-id").is_none());
        let message = refused.body["error"]["message"].as_str().expect("a message");
        for part in [
            "appid=",
            ";oid=",
            ";iss=",
            "Action: 'Microsoft.KeyVault/vaults/keys/sign/action'",
            "/keys/issuer'",
            "Vault: vault;location=",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }
    let row = caller.sim.log().pop().expect("a row");
    assert_eq!((&row["resultType"], &row["resultSignature"]), (&json!("Success"), &json!("Forbidden")));
    assert_eq!(row["properties"]["isRbacAuthorized"], false);
    assert_eq!(row["properties"].get("appliedAssignmentId"), None);
    assert_eq!(row["identity"]["claim"]["appid"], "app-1");
    // The token itself is nowhere.
    assert!(!json!(caller.sim.log()).to_string().contains("signer"));
}

#[tokio::test]
async fn expiry_and_audience_are_checked_when_asked_to() {
    let clock = SimClock::frozen_at(1_800_000_000);
    let access = AccessConfig { check_expiry: true, check_audience: true, ..AccessConfig::default() };
    let caller = Caller::start(SimConfig { access, clock, ..SimConfig::quick() }).with_key().await;
    for (claims, status) in [
        (json!({"aud": "https://vault.azure.net", "exp": 1_800_000_001}), 200),
        (json!({"aud": "cfa8b339-82a2-471a-a3c9-0fc0be7a4093", "exp": 1_800_000_001}), 200),
        (json!({"aud": "https://vault.azure.net", "exp": 1_800_000_000}), 401),
        (json!({"aud": "https://vault.azure.net", "tid": "00000000-0000-0000-0000-000000000001"}), 200),
        (json!({"aud": "https://vault.azure.net", "tid": "another"}), 401),
        (json!({"aud": "https://managedhsm.azure.net"}), 401),
        (json!({"aud": "https://vault.azure.net/", "exp": 1_800_000_001}), 401),
        (json!({"exp": 1_800_000_001}), 401),
    ] {
        assert_eq!(sign_as(&caller, Some(&jwt(&claims))).await.status, status, "{claims}");
    }
}

#[test]
fn it_does_not_start_open_or_with_nonsense() {
    let start = |change: fn(&mut SimConfig)| {
        let mut config = SimConfig::quick();
        change(&mut config);
        vault_sim::Sim::start(config)
    };
    let any = ([0, 0, 0, 0], 0);
    assert!(matches!(
        start(|config| config.listen = ([0, 0, 0, 0], 0).into()),
        Err(StartError::NotLoopback(_))
    ));
    let open = start(|config| config.admin = Some(([0, 0, 0, 0], 0).into()));
    assert!(matches!(open, Err(StartError::OpenControlPort(address)) if address == any.into()));
    for name in ["", "a.b", "a b"] {
        let mut config = SimConfig::quick();
        config.vaults = vec![name.to_owned()];
        assert!(matches!(vault_sim::Sim::start(config), Err(StartError::VaultName(_))), "{name}");
    }
    assert!(matches!(start(|config| config.vaults.clear()), Err(StartError::VaultName(_))));
    let role = start(|config| {
        config.access.roles = vec![Role { token: "x".into(), allow: vec!["dance".into()], keys: None }];
    });
    assert!(matches!(role, Err(StartError::Permission(name)) if name == "dance"));
    start(|config| {
        config.listen = ([0, 0, 0, 0], 0).into();
        config.allow_non_loopback = true;
    })
    .expect("allowed on request");
}
