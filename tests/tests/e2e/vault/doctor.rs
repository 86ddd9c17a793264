//! `credenza doctor` against simulated identities, keys and networks, and against both databases.

use credenza_tests::postgres;
use credenza_tests::process::{Credenza, Options};
use serde_json::Value;

use super::site::{ADMIN, SIGNER, Setting, Simulator, Site, credenza, text};

/// The built-in role Key Vault Crypto User, as far as EC keys go.
const CRYPTO_USER: [&str; 5] = ["get", "sign", "verify", "update", "backup"];

/// The checks and whether the verdict was good.
struct Seen {
    good: bool,
    checks: Vec<Value>,
}

impl Seen {
    fn of(site: &Site, setting: &Setting<'_>) -> Self {
        Self::with_args(site, setting, &["doctor", "--json"])
    }

    fn with_args(site: &Site, setting: &Setting<'_>, args: &[&str]) -> Self {
        let output = site.run(args, setting);
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", text(&output)));
        let good = output.status.success();
        assert_eq!(output.status.code(), Some(i32::from(!good)), "{}", text(&output));
        assert_eq!(report["verdict"] == "failed", !good, "{report:#}");
        Self { good, checks: report["checks"].as_array().expect("checks").clone() }
    }

    /// The checks of one name that ended so.
    fn with(&self, check: &str, status: &str) -> Vec<&Value> {
        let is_it = |seen: &&Value| seen["check"] == check && seen["status"] == status;
        self.checks.iter().filter(is_it).collect()
    }

    fn assert_failed(&self, check: &str, found: &str, cure: &str) {
        let failed = self.with(check, "fail");
        let fits = |seen: &&Value| {
            let holds =
                |member: &str, part: &str| seen[member].as_str().is_some_and(|text| text.contains(part));
            holds("found", found) && holds("cure", cure)
        };
        assert!(failed.iter().any(fits), "{check}: {found}: {cure}: {:#?}", self.checks);
        assert!(!self.good);
    }
}

/// A vault with least privilege, and an installation with its key in it.
fn set_up() -> (Simulator, Site) {
    let simulator = Simulator::start();
    simulator.allow(SIGNER, &["get", "sign"]);
    simulator.allow(ADMIN, &["get", "list", "create", "update"]);
    let site = Site::new();
    let applied = site.apply(&Setting::one(&simulator));
    assert!(applied.status.success(), "{}", text(&applied));
    (simulator, site)
}

#[test]
fn an_identity_that_may_read_and_sign_is_good_and_nothing_changes() {
    let (simulator, site) = set_up();
    let before = simulator.sim.arrivals().len();
    let setting = Setting::one(&simulator);
    let seen = Seen::of(&site, &setting);
    for check in
        ["dns", "tcp", "tls", "challenge", "clock", "get", "state", "sign", "latency", "least privilege"]
    {
        assert_eq!(seen.with(check, "ok").len(), 1, "{check}: {:#?}", seen.checks);
    }
    assert!(seen.good, "{:#?}", seen.checks);
    // What it asked: nothing was made, changed, copied or signed, and everything was counted.
    let asked = simulator.sim.arrivals().split_off(before);
    assert!(asked.len() < 25, "{} questions", asked.len());
    for call in &asked {
        assert!(call.op == "KeyGet" || call.op == "Authentication" || call.status != 200, "{call:?}");
    }
    let database = rusqlite::Connection::open(site.path("credenza.db")).unwrap();
    let meters: i64 = database.query_row("SELECT count(*) FROM meter", [], |row| row.get(0)).unwrap();
    assert_eq!(meters, 1);
    let said = text(&site.run(&["doctor"], &setting));
    assert!(said.lines().last().is_some_and(|last| last.starts_with("Verdict: OK")), "{said}");
}

#[test]
fn an_identity_that_could_do_more_fails_with_what_it_could() {
    let (simulator, site) = set_up();
    simulator.allow(SIGNER, &CRYPTO_USER);
    let seen = Seen::of(&site, &Setting::one(&simulator));
    seen.assert_failed("least privilege", "could also update, backup keys", "Key Vault Crypto User");
    simulator.allow(SIGNER, &["get", "sign", "create"]);
    let seen = Seen::of(&site, &Setting::one(&simulator));
    seen.assert_failed("least privilege", "could also create keys", "signer-role.json");
    assert!(simulator.calls("KeyBackup").iter().all(|call| call.status != 200));
    let made = simulator.calls("KeyCreate").into_iter().filter(|call| call.status == 200);
    assert_eq!(made.count(), 1, "only the key of the first start");
}

#[test]
fn what_is_missing_is_named_with_the_role_that_grants_it() {
    let (simulator, site) = set_up();
    simulator.allow(SIGNER, &["get"]);
    let seen = Seen::of(&site, &Setting::one(&simulator));
    seen.assert_failed("sign", "may not sign", "Microsoft.KeyVault/vaults/keys/sign/action");
    seen.assert_failed("sign", "no role permits it", "infra/azure/signer-role.json");
    assert_eq!(seen.with("get", "ok").len(), 1);
    simulator.allow(SIGNER, &["sign"]);
    let seen = Seen::of(&site, &Setting::one(&simulator));
    seen.assert_failed("get", "may not get", "Microsoft.KeyVault/vaults/keys/read");
    assert_eq!(seen.with("sign", "ok").len(), 1);
}

#[test]
fn before_the_first_start_the_one_that_makes_keys_has_to_be_able_to() {
    let simulator = Simulator::start();
    simulator.allow(SIGNER, &["get", "sign"]);
    simulator.allow(ADMIN, &["get"]);
    let site = Site::new();
    let uncounted =
        || Seen::with_args(&site, &Setting::one(&simulator), &["doctor", "--json", "--without-budget"]);
    let seen = uncounted();
    seen.assert_failed("create", "key_admin may not create", "Key Vault Crypto Officer");
    assert_eq!(seen.with("keys", "warn").len(), 1);
    assert!(!site.path("credenza.db").exists(), "looking makes no database");
    simulator.allow(ADMIN, &["get", "create"]);
    let seen = uncounted();
    assert!(seen.good, "{:#?}", seen.checks);
}

#[test]
fn a_vault_is_not_asked_what_cannot_be_counted() {
    let simulator = Simulator::start();
    let site = Site::new();
    let not_asked = |why: &str| {
        let seen = Seen::of(&site, &Setting::one(&simulator));
        let questions = seen.with("questions", "warn");
        assert_eq!(questions.len(), 1, "{:#?}", seen.checks);
        let found = questions[0]["found"].as_str().unwrap();
        assert!(found.contains("not asked: its slots could not be taken") && found.contains(why), "{found}");
        assert!(questions[0]["cure"].as_str().unwrap().contains("--without-budget"));
        assert!(simulator.sim.arrivals().is_empty(), "nothing reached the vault");
    };
    not_asked("no database yet");
    // An older program's tables: others may be signing on them.
    rusqlite::Connection::open(site.path("credenza.db")).unwrap().execute_batch("VACUUM").unwrap();
    not_asked("no tables yet");
}

#[tokio::test]
async fn a_key_that_cannot_sign_is_named_with_its_reason() {
    let (simulator, site) = set_up();
    let key = simulator.signers().remove(0);
    let change = async |attributes: Value| {
        let ca = std::path::PathBuf::from(simulator.ca_file());
        let client = credenza_tests::process::client_trusting(Some(&ca));
        let url = format!("{}/keys/{key}?api-version=7.4", simulator.sim.url());
        let answer = client.patch(url).bearer_auth(ADMIN).json(&attributes).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
    };
    change(serde_json::json!({"attributes": {"enabled": false}})).await;
    let setting = Setting::one(&simulator);
    Seen::of(&site, &setting).assert_failed("state", "the key is disabled", "set-attributes --enabled true");
    change(serde_json::json!({"attributes": {"enabled": true, "exp": 1_700_000_000}})).await;
    Seen::of(&site, &setting).assert_failed("state", "has ended", "expiration date");
    change(
        serde_json::json!({"attributes": {"enabled": true, "exp": 4_000_000_000_i64}, "key_ops": ["verify"]}),
    )
    .await;
    Seen::of(&site, &setting).assert_failed("state", "not for sign", "--ops sign verify");
}

#[test]
fn a_vault_with_a_wrong_clock_is_named() {
    let (simulator, site) = set_up();
    simulator.sim.clock().advance(std::time::Duration::from_secs(90));
    let seen = Seen::of(&site, &Setting::one(&simulator));
    seen.assert_failed("clock", "ahead of ours", "chrony");
}

#[test]
fn each_step_of_the_way_has_its_own_cause() {
    let (simulator, site) = set_up();
    let other = Simulator::start();
    let ca = format!("ca_file = \"{}\"", other.ca_file());
    let config = |from: &str, to: &str| {
        let path = site.config(&Setting::one(&simulator));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}: {text}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
        let output = std::process::Command::new(credenza_tests::binaries::target_bin("credenza"))
            .args(["doctor", "--config", &path])
            .env("SIGNER_TOKEN", SIGNER)
            .env("ADMIN_TOKEN", ADMIN)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text_of(&output));
        text_of(&output)
    };
    let said = config(&format!("ca_file = \"{}\"", simulator.ca_file()), &ca);
    assert!(said.contains("an authority that this machine does not trust"), "{said}");
    let said = config(&simulator.sim.url(), "https://localhost:1");
    assert!(said.contains("nothing listens there"), "{said}");
    let said = config(&simulator.sim.url(), &other.sim.url());
    assert!(said.contains("does not trust"), "{said}");
}

fn text_of(output: &std::process::Output) -> String {
    text(output)
}

#[test]
fn a_database_that_does_not_wait_for_its_disk_fails() {
    let simulator = Simulator::start();
    let database = postgres::database();
    let setting = Setting { database: Some(database.url.clone()), ..Setting::one(&simulator) };
    let site = Site::new();
    let applied = site.apply(&setting);
    assert!(applied.status.success(), "{}", text(&applied));
    let seen = Seen::of(&site, &setting);
    // The servers of the tests are quick and forgetful.
    seen.assert_failed("fsync", "off", "set fsync = on");
    seen.assert_failed("full_page_writes", "off", "set full_page_writes = on");
    for check in ["synchronous_commit", "replication", "transactions", "schema", "keyring"] {
        let name = if check == "keyring" { "open" } else { check };
        assert!(!seen.with(name, "ok").is_empty(), "{check}: {:#?}", seen.checks);
    }
    let clocks: Vec<&Value> = seen.with("clock", "ok");
    assert!(clocks.iter().any(|check| check["area"] == "database"), "{clocks:#?}");
}

#[test]
fn a_server_that_keeps_its_promises_has_nothing_to_mend() {
    let server = postgres::Server::start(postgres::Durability::Full);
    let database = server.database();
    let simulator = Simulator::start();
    let setting = Setting { database: Some(database.url.clone()), ..Setting::one(&simulator) };
    let site = Site::new();
    let seen = Seen::of(&site, &setting);
    assert_eq!(seen.with("schema", "warn").len(), 1, "there are no tables yet");
    assert_eq!(
        database.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"),
        "0",
        "and none are made"
    );
    let failed: Vec<&Value> =
        seen.checks.iter().filter(|check| check["area"] == "database" && check["status"] == "fail").collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[tokio::test]
async fn development_is_looked_at_by_its_data_directory() {
    let simulator = Simulator::start();
    let extra_args =
        ["--vault", &simulator.sim.url(), "--vault-ca", &simulator.ca_file(), "--vault-token", "any"];
    let extra_args = extra_args.map(str::to_owned).to_vec();
    let process = Credenza::start(Options { extra_args, ..Options::default() }).await;
    let data_dir = process.data_dir().display().to_string();
    let output = credenza(&["doctor", "--data-dir", &data_dir]);
    let said = text(&output);
    // A developer's own login may do more than a service; that is only a warning.
    let privilege = said.lines().find(|line| line.contains("least privilege")).expect("it is looked at");
    assert!(privilege.contains(" warn "), "{said}");
    assert!(said.contains("\nVerdict: OK with"), "{said}");
    assert!(output.status.success(), "{said}");
    let software = Credenza::start(Options::default()).await;
    let output = credenza(&["doctor", "--data-dir", &software.data_dir().display().to_string()]);
    assert!(output.status.success(), "{}", text(&output));
}
