//! From sections and arguments to vaults, and from errors to cures.

use std::os::unix::fs::PermissionsExt as _;

use signer::{InvalidResponse, SignError};

use super::*;
use crate::config::vault::LimitSection;

fn section(credential: CredentialSection) -> VaultSection {
    VaultSection {
        name: "west".into(),
        url: Url::parse("https://contoso.vault.azure.net").unwrap(),
        credential,
        key_admin: None,
        authority_host: None,
        kty: Protection::Software,
        limits: LimitSection { sign: Some(501), create: None, window_secs: Some(5) },
        subscription: Some("prod".into()),
        ca_file: None,
        verify_challenge_resource: true,
        connect_timeout_ms: 1_000,
        admin_timeout_ms: 7_000,
    }
}

#[test]
fn a_section_becomes_a_vault() {
    let admin = CredentialSection::WorkloadIdentity {
        tenant_id: Some("t".into()),
        client_id: None,
        token_file: Some("token".into()),
    };
    let section = VaultSection {
        key_admin: Some(admin),
        ..section(CredentialSection::ManagedIdentity { client_id: Some("c".into()) })
    };
    let vault = Vault::configured(&section).unwrap();
    assert_eq!(vault.name(), "west");
    assert!(!vault.own_login);
    let config = &vault.config;
    assert!(
        matches!(&config.credential, VaultCredential::ManagedIdentity { client_id: Some(id) } if id == "c")
    );
    assert!(
        matches!(&vault.key_admin, Some(VaultCredential::WorkloadIdentity { tenant_id: Some(id), .. }) if id == "t")
    );
    assert_eq!((config.limits.software, config.limits.hsm), (501, 250));
    assert_eq!((config.limits.software_create, config.limits.hsm_create), (20, 10));
    assert_eq!(config.limits.window, Duration::from_secs(5));
    assert_eq!(config.timeouts.connect, Duration::from_secs(1));
    assert_eq!(config.timeouts.admin, Duration::from_secs(7));
    assert_eq!(config.subscription.as_deref(), Some("prod"));
    assert!(config.verify_challenge_resource);
}

#[test]
fn a_secret_comes_from_where_the_section_says() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    fs::write(&file, "s3cret\n").unwrap();
    let section = section(CredentialSection::ClientSecret {
        tenant_id: "t".into(),
        client_id: "c".into(),
        secret_file: Some(file.clone()),
        secret_env: None,
    });
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let message = format!("{:#}", Vault::configured(&section).err().unwrap());
    assert!(message.contains("vault `west`: credential") && message.contains("chmod 600"), "{message}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    let vault = Vault::configured(&section).unwrap();
    assert!(
        matches!(&vault.config.credential, VaultCredential::ClientSecret { secret, .. } if **secret == "s3cret")
    );
    assert_eq!(vault.tenant.as_deref(), Some("t"));
    assert!(!format!("{:?}", vault.config).contains("s3cret"));
}

fn asked(url: &str, token: Option<&str>) -> DeveloperVault {
    DeveloperVault {
        url: Url::parse(url).unwrap(),
        ca_file: None,
        token: token.map(str::to_owned),
        kty: Protection::Hsm,
    }
}

#[test]
fn development_takes_a_simulator_with_a_token_or_a_vault_with_ones_own_login() {
    let simulator = Vault::of_developer(&asked("https://localhost:8444", Some("any"))).unwrap();
    assert_eq!(simulator.name(), "localhost-8444");
    assert!(!simulator.config.verify_challenge_resource);
    assert!(matches!(simulator.config.credential, VaultCredential::StaticToken(_)));
    let own = Vault::of_developer(&asked("https://Contoso.vault.azure.net/", None)).unwrap();
    assert_eq!(own.name(), "contoso.vault.azure.net");
    assert!(own.config.verify_challenge_resource && own.own_login);
    assert!(matches!(own.config.credential, VaultCredential::DeveloperTools));
    for (url, token, expected) in [
        ("https://contoso.vault.azure.net", Some("t"), "--vault-token is for simulators"),
        ("http://localhost:8444", Some("t"), "--vault http://localhost:8444"),
        ("https://contoso.vault.azure.net/keys", None, "nothing after it"),
        ("https://contoso.example", None, "does not belong to the resource"),
    ] {
        let message = format!("{:#}", Vault::of_developer(&asked(url, token)).err().unwrap());
        assert!(message.contains(expected), "{url}: {message}");
    }
    let missing =
        DeveloperVault { ca_file: Some("no-such-file.pem".into()), ..asked("https://localhost", None) };
    let message = format!("{:#}", Vault::of_developer(&missing).err().unwrap());
    assert!(message.contains("--vault-ca") && message.contains("no-such-file.pem"), "{message}");
}

#[test]
fn a_data_directory_remembers_its_vault_and_keeps_the_token_to_itself() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    assert!(DeveloperVault::remembered(dir).unwrap().is_none());
    let vault =
        DeveloperVault { ca_file: Some("ca.pem".into()), ..asked("https://localhost:8444", Some("t")) };
    vault.remember(dir).unwrap();
    let mode = fs::metadata(dir.join(VAULT_FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it holds a token");
    let again = DeveloperVault::remembered(dir).unwrap().unwrap();
    assert_eq!((&again.url, &again.token), (&vault.url, &vault.token));
    assert!(again.ca_file.unwrap().is_absolute(), "also from another working directory");
    fs::write(dir.join(VAULT_FILE), "nonsense").unwrap();
    assert!(DeveloperVault::remembered(dir).is_err(), "nothing else is used instead");
}

fn unreachable(why: Unreachability) -> SignErrorKind {
    SignErrorKind::Unreachable { why, source: "x".into() }
}

#[test]
fn each_error_that_an_operator_can_mend_has_its_cure() {
    let no_token = |why| SignErrorKind::NoToken { why, source: "x".into() };
    for (kind, expected) in [
        (unreachable(Unreachability::Dns), "host name"),
        (unreachable(Unreachability::Tls), "--vault-ca"),
        (unreachable(Unreachability::Refused), "nothing listens"),
        (unreachable(Unreachability::TimedOut), "firewalls"),
        (no_token(TokenProblem::Credential), "az login"),
        (no_token(TokenProblem::Refused), "client id and secret"),
        (no_token(TokenProblem::Unavailable), "token endpoint"),
        (SignErrorKind::Unauthenticated { fresh_token: true }, "refuses our token"),
        (SignErrorKind::Forbidden { by: Denial::Firewall }, "firewall"),
        (SignErrorKind::Forbidden { by: Denial::Network }, "private endpoint"),
        (SignErrorKind::Forbidden { by: Denial::Policy }, "access policy"),
        (SignErrorKind::Forbidden { by: Denial::Role }, "signer-role.json"),
        (SignErrorKind::KeyNotFound, "not in this vault"),
        (SignErrorKind::KeyDisabled, "enable"),
        (SignErrorKind::KeyOutsideValidity, "date"),
        (SignErrorKind::Conflict { passes: false }, "recover"),
        (SignErrorKind::InvalidRequest, "--vault-kty software"),
    ] {
        assert!(cure(&kind).unwrap().contains(expected), "{kind}");
    }
    assert_eq!(cure(&SignErrorKind::BadResponse(InvalidResponse::Malformed)), None);
}

#[test]
fn only_what_passes_by_itself_lets_a_start_go_on() {
    for kind in [
        SignErrorKind::Throttled { after: Duration::ZERO },
        SignErrorKind::TimedOut { may_have_signed: false },
        SignErrorKind::Unavailable { may_have_signed: false, source: "503".into() },
        SignErrorKind::NoToken { why: TokenProblem::Unavailable, source: "503".into() },
    ] {
        assert!(passes(&kind), "{kind}");
    }
    for kind in [
        unreachable(Unreachability::Dns),
        unreachable(Unreachability::Tls),
        unreachable(Unreachability::Refused),
        SignErrorKind::NoToken { why: TokenProblem::Refused, source: "no".into() },
        SignErrorKind::Forbidden { by: Denial::Role },
        SignErrorKind::KeyNotFound,
        SignErrorKind::KeyDisabled,
    ] {
        assert!(!passes(&kind), "{kind}");
    }
}

#[test]
fn an_error_of_a_vault_is_found_wherever_it_is_in_a_chain() {
    let error = || SignError::from(SignErrorKind::KeyDisabled);
    let direct = anyhow::Error::from(error()).context("signing");
    assert!(matches!(vault_error(&direct), Some(SignErrorKind::KeyDisabled)));
    let asked = anyhow::Error::from(CallError::Backend(error())).context("warming");
    assert!(matches!(vault_error(&asked), Some(SignErrorKind::KeyDisabled)));
    let made = anyhow::Error::from(ColdError::Backend(error())).context("making a key");
    assert!(matches!(vault_error(&made), Some(SignErrorKind::KeyDisabled)));
    assert!(vault_error(&anyhow::anyhow!("of something else")).is_none());
}
