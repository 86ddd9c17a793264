//! The rules for vaults and for what signs where, one by one.

use issuer::placement::Placement;
use secrecy::ExposeSecret as _;

use super::*;
use crate::config::Config;

const SITE: &str = r#"
[service]
tenant_id = "a5f1c9d2-0000-4000-8000-00000000abcd"
public_url = "https://issuer.example"
[authority]
name = "Contoso"
[listen]
public = "0.0.0.0:8443"
behind_proxy = true
[database]
url = "sqlite:credenza.db"
[keyring]
file = "keyring"
[[tokens.issuers]]
issuer = "https://login.example/v2.0"
discovery = "https://login.example/v2.0/.well-known/openid-configuration"
single_tenant = true
"#;

const TWO: &str = r#"
[signing]
request_backend = "east"
credential_backend = ["west", "east"]
[[vault]]
name = "east"
url = "https://contoso-east.vault.azure.net"
credential = { kind = "managed_identity" }
[[vault]]
name = "west"
url = "https://contoso-west.vault.azure.net/"
kty = "software"
credential = { kind = "workload_identity" }
key_admin = { kind = "client_secret", tenant_id = "t", client_id = "c", secret_env = "ADMIN_SECRET" }
"#;

const SIMULATED: &str = r#"
[signing]
backend = "sim"
[[vault]]
name = "sim"
url = "https://localhost:8444"
verify_challenge_resource = false
credential = { kind = "static_token", token_env = "SIM_TOKEN" }
"#;

fn config(text: &str) -> anyhow::Result<Config> {
    let config = Config::parse(&format!("{SITE}{text}"))?;
    config.check()?;
    Ok(config)
}

fn refusal(text: &str) -> String {
    format!("{:#}", config(text).expect_err("it has to be refused"))
}

#[test]
fn two_vaults_sign_what_they_are_named_for() {
    let config = config(TWO).unwrap();
    let placement = config.signing.placement();
    assert_eq!(placement.requests, ["east"]);
    assert_eq!(placement.credentials, ["west", "east"]);
    let limits: Vec<Limits> = config.vaults.iter().map(VaultSection::limits).collect();
    let window = Duration::from_secs(10);
    assert_eq!(limits[0], Limits { sign: 2_000, create: 10, window });
    assert_eq!(limits[1], Limits { sign: 4_000, create: 20, window });
    assert_eq!(config.vaults[1].authority(), "contoso-west.vault.azure.net");
}

#[test]
fn without_vaults_software_keys_sign() {
    let placement = config("").unwrap().signing.placement();
    assert_eq!(placement, Placement::one(SOFTWARE));
}

#[test]
fn one_member_can_stand_for_the_rest() {
    let text = TWO.replace("credential_backend = [\"west\", \"east\"]", "backend = \"software\"");
    let placement = config(&text).unwrap().signing.placement();
    assert_eq!((placement.requests, placement.credentials), (vec!["east".into()], vec![SOFTWARE.into()]));
}

#[test]
fn a_simulator_on_loopback_may_be_less_strict() {
    for host in ["localhost:8444", "127.0.0.1:8444", "[::1]:8444", "vault.localhost:8444"] {
        config(&SIMULATED.replace("localhost:8444", host)).unwrap();
    }
}

#[test]
fn what_is_wrong_with_a_vault_is_named_with_its_cure() {
    let east = "url = \"https://contoso-east.vault.azure.net\"";
    for (from, to, expected) in [
        (east, "url = \"http://contoso-east.vault.azure.net\"", "has to be https"),
        (east, "url = \"https://contoso-east.vault.azure.net/keys\"", "without a path"),
        (east, "url = \"https://contoso-east.vault.azure.net/?x=1\"", "without a path"),
        (east, "url = \"https://me:pw@contoso-east.vault.azure.net\"", "a user or a password"),
        (east, "url = \"https://contoso.managedhsm.azure.net\"", "is a Managed HSM"),
        (east, "url = \"https://CONTOSO-WEST.vault.azure.net:443\"", "are the same vault"),
        (east, "url = \"https://contoso-west.vault.azure.net.\"", "are the same vault"),
        ("name = \"east\"", "name = \"west\"", "two vaults have the name `west`"),
        ("name = \"east\"", "name = \"software\"", "not be `software`"),
        ("name = \"east\"", "name = \"East\"", "lower-case letters"),
        ("name = \"east\"", "name = \"1st\"", "begin with a letter"),
        ("name = \"east\"", "name = \"east\"\nvlaue = 1", "vlaue"),
        (
            "name = \"east\"",
            "name = \"east\"\nverify_challenge_resource = false",
            "hand our token to whoever",
        ),
        ("name = \"east\"", "name = \"east\"\nlimits = { sign = 0 }", "limits.sign is 0"),
        ("name = \"east\"", "name = \"east\"\nlimits = { create = 2000000 }", "limits.create is 2000000"),
        ("name = \"east\"", "name = \"east\"\nlimits = { window_secs = 0 }", "between 1 and 3600"),
        ("name = \"east\"", "name = \"east\"\nlimits = { sing = 1 }", "sing"),
        ("name = \"east\"", "name = \"east\"\nconnect_timeout_ms = 5000", "between 100 and 2900"),
        ("name = \"east\"", "name = \"east\"\nadmin_timeout_ms = 10", "between 1000 and 60000"),
        ("name = \"east\"", "name = \"east\"\nkty = \"rsa\"", "hsm"),
        (
            "name = \"east\"",
            "name = \"east\"\nauthority_host = \"http://login.example\"",
            "our secret goes there",
        ),
        ("\"managed_identity\"", "\"manged_identity\"", "managed_identity"),
        ("\"managed_identity\"", "\"managed_identity\", client = \"x\"", "client"),
        ("\"managed_identity\"", "\"static_token\", token_env = \"T\"", "is for simulators"),
        ("secret_env = \"ADMIN_SECRET\"", "secret = \"s3cret\"", "secret"),
        ("secret_env = \"ADMIN_SECRET\"", "secret_env = \"A\", secret_file = \"b\"", "exactly one of"),
        (", secret_env = \"ADMIN_SECRET\"", "", "exactly one of secret_file and secret_env"),
        ("secret_env = \"ADMIN_SECRET\"", "secret_env = \"s3cret~value\"", "not the secret itself"),
        (
            "{ kind = \"client_secret\", tenant_id = \"t\", client_id = \"c\", secret_env = \"ADMIN_SECRET\" }",
            "{ kind = \"workload_identity\" }",
            "key_admin is the same identity",
        ),
    ] {
        assert!(TWO.contains(from), "{from}");
        let message = refusal(&TWO.replacen(from, to, 1));
        assert!(message.contains(expected), "{to}: {message}");
    }
}

#[test]
fn a_message_does_not_repeat_a_secret_that_stands_in_the_wrong_place() {
    for (from, to) in [
        ("secret_env = \"ADMIN_SECRET\"", "secret_env = \"s3cret~value\""),
        ("secret_env = \"ADMIN_SECRET\"", "secret_env = \"A\", secret_file = \"s3cret\""),
    ] {
        let message = refusal(&TWO.replace(from, to));
        assert!(!message.contains("s3cret"), "{message}");
    }
}

#[test]
fn a_subscription_has_one_limit() {
    let subscribed = TWO.replace("name = \"", "subscription = \"prod\"\nname = \"");
    assert!(refusal(&subscribed).contains("share the subscription `prod`"));
    config(&subscribed.replace("kty = \"software\"\n", "")).unwrap();
    // Case and spaces around it make no other subscription.
    let spelled = subscribed.replacen("\"prod\"", "\" Prod\"", 1);
    assert_ne!(spelled, subscribed);
    assert!(refusal(&spelled).contains("share the subscription"));
    let other = subscribed.replacen("\"prod\"", "\"test\"", 1);
    config(&other).unwrap();
}

#[test]
fn what_signs_has_to_be_there() {
    for (from, to, expected) in [
        ("request_backend = \"east\"", "request_backend = \"north\"", "`east`, `west`"),
        ("request_backend = \"east\"", "request_backend = []", "names no back end"),
        ("[\"west\", \"east\"]", "[\"west\", \"west\"]", "twice"),
        ("request_backend = \"east\"\n", "", "signing.backend does not say"),
        ("request_backend = \"east\"", "requestbackend = \"east\"", "requestbackend"),
    ] {
        assert!(TWO.contains(from), "{from}");
        let message = refusal(&TWO.replace(from, to));
        assert!(message.contains(expected), "{to}: {message}");
    }
    assert!(refusal("[signing]\nbackend = \"east\"").contains("there are none"));
}

#[test]
fn secrets_come_from_files_and_variables_and_stay_out_of_debug_output() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "s3cret\n").unwrap();
    let credential = CredentialSection::StaticToken { token_file: Some(path.clone()), token_env: None };
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let message = format!("{:#}", credential.secret().unwrap_err());
    assert!(message.contains("chmod 600"), "{message}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let secret = credential.secret().unwrap().unwrap();
    assert_eq!(secret.expose_secret(), "s3cret");
    assert!(!format!("{secret:?}").contains("s3cret"));
    let unset =
        CredentialSection::StaticToken { token_file: None, token_env: Some("NOT_SET_ANYWHERE".into()) };
    assert!(unset.secret().unwrap_err().to_string().contains("NOT_SET_ANYWHERE is not set"));
    assert!(CredentialSection::DeveloperTools {}.secret().unwrap().is_none());
}

#[test]
fn the_production_example_is_valid_and_has_two_vaults() {
    let text = include_str!("../../../../../config/production.toml");
    let config = Config::parse(text).unwrap();
    config.check().unwrap();
    assert_eq!(config.vaults.len(), 2);
    let placement = config.signing.placement();
    assert_eq!(placement.backends().len(), 2, "both are used");
    assert_ne!(
        placement.requests, placement.credentials,
        "requests and credentials are signed in different vaults"
    );
    assert!(matches!(config.database_url().unwrap(), store::DatabaseUrl::Postgres(_)));
    assert!(config.vaults.iter().all(|vault| vault.key_admin.is_some()), "two identities at each vault");
}
