//! Starts that a vault makes impossible: one message with cause and cure, at once.

use std::time::{Duration, Instant};

use credenza_tests::process::{Credenza, Options};
use vault_sim::{AccessConfig, SimConfig};

use super::site::{SIGNER, Setting, Simulator, Site, text};

/// Fast: nobody waits for retries of what cannot work. A debug build on a busy machine gets some of it.
const FAST: Duration = Duration::from_secs(10);

/// The message of a `dev` that has to be refused.
async fn refused(arguments: &[&str]) -> String {
    refused_in(Options::default(), arguments).await
}

async fn refused_in(options: Options, arguments: &[&str]) -> String {
    let extra_args = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let started = Instant::now();
    let failure =
        Credenza::try_start(Options { extra_args, ..options }).await.expect_err("it has to be refused");
    assert_eq!(failure.status.and_then(|status| status.code()), Some(1), "{}", failure.log);
    assert!(started.elapsed() < FAST, "{:?}: {}", started.elapsed(), failure.log);
    let errors = failure.log.lines().filter(|line| line.starts_with("credenza: ")).count();
    assert_eq!(errors, 1, "one message: {}", failure.log);
    failure.log
}

fn assert_says(log: &str, parts: &[&str]) {
    for part in parts {
        assert!(log.contains(part), "`{part}` is missing: {log}");
    }
}

#[tokio::test]
async fn another_certificate_authority() {
    let (simulator, other) = (Simulator::start(), Simulator::start());
    let url = simulator.sim.url();
    let log = refused(&["--vault", &url, "--vault-ca", &other.ca_file(), "--vault-token", "any"]).await;
    assert_says(
        &log,
        &["cannot be reached (Tls)", "cure: the vault's certificate is not trusted", "--vault-ca"],
    );
    assert!(simulator.sim.arrivals().is_empty(), "no token went out");
    let log = refused(&["--vault", &url, "--vault-token", "any"]).await;
    assert_says(&log, &["cannot be reached (Tls)"]);
}

#[tokio::test]
async fn a_token_that_the_vault_refuses() {
    let access = AccessConfig { token: Some("good".to_owned()), ..AccessConfig::default() };
    let simulator = Simulator::with(SimConfig { access, ..SimConfig::quick() });
    let (url, ca) = (simulator.sim.url(), simulator.ca_file());
    let log = refused(&["--vault", &url, "--vault-ca", &ca, "--vault-token", "s3cret-bad"]).await;
    assert_says(&log, &["did not accept our credentials", "cure: the vault refuses our token"]);
    assert!(!log.contains("s3cret-bad"), "a token is never shown: {log}");
    let asked = simulator.sim.arrivals().len();
    assert!(asked <= 3, "{asked} calls with a token that cannot work");
}

#[tokio::test]
async fn a_name_that_is_not_there_and_a_port_where_nobody_listens() {
    let log = refused(&["--vault", "https://no-such-vault.localhost.invalid:8444"]).await;
    assert_says(&log, &["--vault https://no-such-vault.localhost.invalid:8444"]);
    let log = refused(&["--vault", "https://localhost:1", "--vault-token", "any"]).await;
    assert_says(&log, &["cannot be reached (Refused)", "cure: nothing listens there"]);
}

#[tokio::test]
async fn what_cannot_be_a_vault_and_a_token_for_others() {
    let log = refused(&["--vault", "http://localhost:8444", "--vault-token", "any"]).await;
    assert_says(&log, &["begins with https://"]);
    let log = refused(&["--vault", "https://contoso.vault.azure.net", "--vault-token", "s3cret"]).await;
    assert_says(&log, &["--vault-token is for simulators", "az login"]);
    assert!(!log.contains("s3cret"), "{log}");
    let log = refused(&["--vault", "https://localhost:8444", "--vault-ca", "no-such.pem"]).await;
    assert_says(&log, &["--vault-ca", "no-such.pem"]);
}

#[tokio::test]
async fn keys_of_a_data_directory_stay_where_they_are() {
    let simulator = Simulator::start();
    let (url, ca) = (simulator.sim.url(), simulator.ca_file());
    let mut software = Credenza::start(Options::default()).await;
    let https = url::Url::parse(software.ready().public_url.as_deref().unwrap()).unwrap().port().unwrap();
    let data_dir = Some(software.data_dir().to_path_buf());
    assert!(software.stop().success());
    let options =
        Options { data_dir, ports: Some((credenza_tests::ports::free(), https)), ..Options::default() };
    let log = refused_in(options, &["--vault", &url, "--vault-ca", &ca, "--vault-token", "any"]).await;
    assert_says(&log, &["has its keys in another place", "keys in software", "choose another --data-dir"]);
    assert!(simulator.calls("KeyCreate").is_empty());
    // And it still starts as before.
    software.start_again().await;
}

#[test]
fn an_identity_that_may_make_no_keys() {
    let simulator = Simulator::start();
    simulator.allow(SIGNER, &["get", "sign"]);
    let site = Site::new();
    let setting = Setting { key_admin: false, ..Setting::one(&simulator) };
    let started = Instant::now();
    let output = site.apply(&setting);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(started.elapsed() < FAST);
    let parts = [
        "vcSigningKey-",
        "in west",
        "is not permitted with the key (Role)",
        "cure: give the identity its role",
    ];
    assert_says(&text(&output), &parts);
    // With an identity that may, the same installation goes on.
    let output = site.apply(&Setting::one(&simulator));
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn a_vault_that_is_gone_refuses_a_later_start_too() {
    let site = Site::new();
    {
        let simulator = Simulator::start();
        let setting = Setting::one(&simulator);
        assert!(site.apply(&setting).status.success());
    }
    let empty = Simulator::start();
    let output = site.apply(&Setting::one(&empty));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert_says(
        &text(&output),
        &["the vault `west` cannot be used", "no such key version", "cure: the key is not in"],
    );
}
