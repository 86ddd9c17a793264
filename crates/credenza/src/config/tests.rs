//! The rules between members, one by one.

use super::*;

const GOOD: &str = r#"
[service]
tenant_id = "a5f1c9d2-0000-4000-8000-00000000abcd"
public_url = "https://issuer.example"
[authority]
name = "Contoso"
[listen]
public = "0.0.0.0:8443"
certificate = "cert.pem"
private_key = "key.pem"
[database]
url = "sqlite:credenza.db"
[keyring]
file = "keyring"
[[tokens.issuers]]
issuer = "https://login.example/v2.0"
discovery = "https://login.example/v2.0/.well-known/openid-configuration"
single_tenant = true
"#;

fn refusal(text: &str) -> String {
    match Config::parse(text) {
        Ok(config) => format!("{:#}", config.check().expect_err("it has to be refused")),
        Err(error) => format!("{error:#}"),
    }
}

#[test]
fn a_good_configuration_passes() {
    Config::parse(GOOD).unwrap().check().unwrap();
}

#[test]
fn the_commented_example_is_complete_and_its_secret_is_refused() {
    let text = include_str!("../../../../config/credenza.toml");
    let config = Config::parse(text).unwrap();
    let message = format!("{:#}", config.check().expect_err("the example's secret is known to everybody"));
    assert!(message.contains("which everybody tries first"), "{message}");
}

#[test]
fn unsafe_or_contradictory_members_are_named() {
    for (from, to, expected) in [
        ("https://issuer.example", "http://issuer.example", "service.public_url"),
        ("https://issuer.example", "https://issuer.example/path", "service.public_url"),
        ("https://issuer.example", "https://192.0.2.1", "did:web knows no addresses"),
        ("https://issuer.example", "https://user:pw@issuer.example", "user or a password"),
        ("certificate = \"cert.pem\"", "", "belong together"),
        ("certificate = \"cert.pem\"\nprivate_key = \"key.pem\"", "", "listen.behind_proxy = true"),
        (
            "certificate = \"cert.pem\"",
            "certificate = \"cert.pem\"\nbehind_proxy = true",
            "exclude each other",
        ),
        ("url = \"sqlite:credenza.db\"", "", "exactly one of url and url_file"),
        ("url = \"sqlite:credenza.db\"", "url = \"mysql://x\"", "database.url"),
        (
            "single_tenant = true",
            "single_tenant = true\njwks = \"https://login.example/keys\"",
            "exactly one of",
        ),
        ("single_tenant = true", "single_tenant = true\naudiences = []", "no audience"),
        ("single_tenant = true", "algorithms = [\"HS256\"]", "RS256"),
        ("name = \"Contoso\"", "name = \"Contoso\"\nnmae = \"x\"", "nmae"),
        ("[authority]", "request_lifetime_secs = 1\n[authority]", "between 30 and 86400"),
        ("[authority]", "pin_tries = 0\n[authority]", "between 1 and 20"),
        ("[keyring]", "[callbacks]\nmax_age_secs = 0\n[keyring]", "callbacks.max_age_secs"),
        ("[keyring]", "[callbacks]\nallow = [\"not a target!\"]\n[keyring]", "a target is"),
        ("[keyring]", "[callbacks]\nallow_http = true\n[keyring]", "callbacks.allow names no target"),
        ("discovery = \"https:", "discovery = \"http:", "has the discovery `http://login.example"),
        ("discovery = \"https:", "jwks = \"http:", "has the jwks `http://login.example"),
        ("file = \"keyring\"", "", "keyring.file is missing"),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let message = refusal(&GOOD.replace(from, to));
        assert!(message.contains(expected), "{to}: {message}");
    }
}

#[test]
fn somebody_has_to_be_able_to_call() {
    let (without, _) = GOOD.split_once("[[tokens.issuers]]").unwrap();
    assert!(refusal(without).contains("nobody could call"));
}

#[test]
fn the_built_in_issuer_needs_clients_with_secrets_of_their_own() {
    let client =
        |hash: &str| format!("{GOOD}\n[[tokens.builtin.clients]]\nid = \"web\"\nsecret_hash = \"{hash}\"\n");
    assert!(refusal(&client("plain text")).contains("no argon2id hash"));
    let own = issuer::auth::builtin::hash_secret("a secret of our own, long enough").unwrap();
    Config::parse(&client(&own)).unwrap().check().unwrap();
}

#[test]
fn the_examples_secret_is_known() {
    let client = |secret_hash: String| ClientSection { id: "web".into(), secret_hash, roles: None };
    assert_eq!(client(EXAMPLE_HASH.to_owned()).known_secret(), Some("change-me-change-me"));
    let own = issuer::auth::builtin::hash_secret("a secret of our own, long enough").unwrap();
    assert_eq!(client(own).known_secret(), None);
}

#[test]
fn plain_http_to_named_targets_may_be_allowed() {
    let callbacks = "[callbacks]\nallow = [\"10.0.0.0/8\"]\nallow_http = true\n[keyring]";
    Config::parse(&GOOD.replace("[keyring]", callbacks)).unwrap().check().unwrap();
}

#[test]
fn the_key_encryption_keys_may_come_from_the_environment_and_stay_out_of_debug_output() {
    let mut config = Config::parse(&GOOD.replace("[keyring]\nfile = \"keyring\"", "")).unwrap();
    assert!(config.check().is_err());
    config.keyring.text = Some("k-1 secret".into());
    config.check().unwrap();
    assert!(!format!("{config:?}").contains("k-1 secret"));
    let in_file = GOOD.replace("file = \"keyring\"", "text = \"k-1 secret\"");
    assert!(refusal(&in_file).contains("unknown field"), "secrets are never in the file");
}

#[test]
fn a_hash_does_not_appear_in_debug_output() {
    let client = ClientSection { id: "web".into(), secret_hash: "$argon2id$x".into(), roles: None };
    assert!(!format!("{client:?}").contains("argon2id"));
}
