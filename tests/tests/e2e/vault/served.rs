//! `credenza serve` with two vaults: request objects are signed in one, credentials in the other.

use credenza_tests::process::client_trusting;
use credenza_tests::wallet::Wallet;
use serde_json::{Value, json};
use vault_sim::{FaultKind, FaultSpec};

use super::site::{ADMIN, SECRET, SIGNER, Setting, Simulator, Site};

async fn issue(site: &Site, ready: &credenza_tests::process::Ready) {
    let ca = site.path("cert.pem");
    let client = client_trusting(Some(&ca));
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", "web"),
        ("client_secret", SECRET),
        ("scope", credenza_tests::process::REQUEST_SCOPE),
    ];
    let token_url = ready.token_url.as_deref().expect("a token endpoint");
    let answer = client.post(token_url).form(&form).send().await.expect("an answer");
    let token: Value = answer.json().await.expect("a token");
    let base = ready.public_url.as_deref().expect("an origin").trim_end_matches('/').to_owned();
    let body = json!({
        "authority": ready.authority_did,
        "registration": {"clientName": "Front end"},
        "type": "StudentCard",
        "manifest": ready.manifest_url.clone().unwrap_or_else(|| format!(
            "{base}/v1.0/tenants/{}/verifiableCredentials/contracts/8d2b6e90-1c47-4f3a-b5d8-7e9a4c3f1d02/manifest",
            ready.tenant_id.as_deref().expect("a tenant"),
        )),
        "claims": {"given_name": "Megan", "family_name": "Bowen", "programme": "Law", "student_number": "S-1"},
        "callback": {"url": "https://example.com/hook", "state": "s"},
    });
    let create = client
        .post(format!("{base}/v1.0/verifiableCredentials/createIssuanceRequest"))
        .bearer_auth(token["access_token"].as_str().expect("a token"))
        .json(&body);
    let answer = create.send().await.expect("an answer");
    let status = answer.status();
    let created: Value = answer.json().await.expect("JSON");
    assert_eq!(status, 201, "{created}");
    let wallet = Wallet::new(Some(&ca));
    drop(wallet.accept(created["url"].as_str().expect("a link"), &[]).await.expect_success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_and_credentials_are_signed_in_different_vaults() {
    let (east, west) = (Simulator::start(), Simulator::start());
    for vault in [&east, &west] {
        vault.allow(SIGNER, &["get", "sign"]);
        vault.allow(ADMIN, &["get", "list", "create"]);
    }
    let setting = Setting {
        vaults: vec![("east", &east), ("west", &west)],
        signing: "request_backend = \"east\"\ncredential_backend = \"west\"",
        ..Setting::one(&east)
    };
    let site = Site::new();
    let applied = site.apply(&setting);
    assert!(applied.status.success(), "{}", super::site::text(&applied));
    let before = (east.calls("KeySign").len(), west.calls("KeySign").len());
    assert_eq!(before.0, 0, "documents are signed where credentials are");
    let (mut running, ready) = site.serve(&setting);
    issue(&site, &ready).await;
    assert_eq!(east.calls("KeySign").len(), 1, "the request object");
    assert_eq!(west.calls("KeySign").len(), before.1 + 1, "the credential");
    assert!(running.terminate(std::time::Duration::from_secs(20)).success());
    // A second start finds both keys, and reads them.
    let created = (east.calls("KeyCreate").len(), west.calls("KeyCreate").len());
    assert_eq!(created, (1, 1));
    let (_running, ready) = site.serve(&setting);
    issue(&site, &ready).await;
    assert_eq!((east.calls("KeyCreate").len(), west.calls("KeyCreate").len()), created);
    assert_eq!((east.signers().len(), west.signers().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vault_that_is_out_of_order_for_a_while_does_not_refuse_a_start() {
    let vault = Simulator::start();
    let site = Site::new();
    let setting = Setting::one(&vault);
    assert!(site.apply(&setting).status.success());
    let fault = vault.sim.set_fault(FaultSpec::new(FaultKind::Unavailable(None)));
    let (_running, ready) = site.serve(&setting);
    let client = client_trusting(Some(&site.path("cert.pem")));
    let base = ready.public_url.as_deref().expect("an origin").trim_end_matches('/').to_owned();
    let document = client.get(format!("{base}/.well-known/did.json")).send().await.expect("an answer");
    assert_eq!(document.status(), 200, "documents outlive the vault");
    vault.sim.end_fault(fault);
    issue(&site, &ready).await;
}
