//! The built binary against the made-up issuer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use wallet::directory::Directory;
use wallet::holder::HolderKind;

use crate::server::Server;

struct Place {
    temporary: TempDir,
}

impl Place {
    fn new(server: &Server) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        fs::write(temporary.path().join("ca.pem"), &server.ca_pem).unwrap();
        Self { temporary }
    }

    fn path(&self) -> &Path {
        self.temporary.path()
    }

    fn wallet(&self) -> PathBuf {
        self.path().join("wallet")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_wallet"))
            .args(arguments)
            .env("WALLET_DIR", self.wallet())
            .env("WALLET_CA", self.path().join("ca.pem"))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn json(&self, arguments: &[&str], good: bool) -> Value {
        let output = self.run(&[&["--json"], arguments].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.success(), good, "{text} {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str(&text).unwrap()
    }
}

/// A server that issues to the wallet's default holder.
fn issuing(place: &dyn Fn(&Server) -> Place) -> (Server, Place) {
    let server = Server::start();
    let place = place(&server);
    let holder = Directory::new(place.wallet()).holder(HolderKind::JwkP256).unwrap();
    server.credential(&server.issuer.credential(holder.did()));
    (server, place)
}

#[test]
fn accept_show_and_verify() {
    let (server, place) = issuing(&Place::new);
    let link = server.link();
    let report = place.json(&["accept", &link, "--yes"], true);
    assert_eq!(report["claims"], json!({"firstName": "Ada"}));
    assert_eq!(report["jti"], "urn:pic:aea42fb3724b4ef08bd2d2712e79bda2");
    assert_eq!(report["linked_domain_verified"], true);
    assert_eq!(report["completion_delivered"], true);
    assert_eq!(server.completions(), [json!({"code": "issuance_successful", "state": "c3Rh"})]);
    let file = report["file"].as_str().unwrap().to_owned();
    assert!(file.ends_with("credentials/aea42fb3724b4ef08bd2d2712e79bda2.json"));

    let shown = place.run(&["show", &file]);
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.status.success()
            && text.contains("First name")
            && text.contains("Ada")
            && text.contains("Badge")
    );
    assert_eq!(place.json(&["show"], true)["credentials"][0]["file"], json!(file));

    let verdict = place.json(&["verify", &file], true);
    assert_eq!(verdict["valid"], true);
    let bare = place.path().join("bare.jwt");
    let stored: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    fs::write(&bare, stored["credential"].as_str().unwrap()).unwrap();
    assert!(place.run(&["verify", bare.to_str().unwrap()]).status.success());
}

#[test]
fn verify_finds_what_changed_since() {
    let (server, place) = issuing(&Place::new);
    let file = place.json(&["accept", &server.link(), "--yes"], true)["file"].as_str().unwrap().to_owned();
    server.set_text("GET /.well-known/did-configuration.json", 404, "");
    let bad = |verdict: &Value| -> Vec<String> {
        let checks = verdict["checks"].as_array().unwrap();
        checks.iter().filter(|one| one["ok"] == json!(false)).map(|one| one["check"].to_string()).collect()
    };
    assert_eq!(bad(&place.json(&["verify", &file], false)), ["\"linked domain\""]);
    server.set("GET /.well-known/did-configuration.json", 200, &server.issuer.configuration());
    let mut rotated = server.issuer.document();
    rotated["verificationMethod"][0]["id"] = json!("#key-2");
    rotated["authentication"] = json!([]);
    rotated["assertionMethod"] = json!([]);
    server.set("GET /.well-known/did.json", 200, &rotated);
    assert_eq!(bad(&place.json(&["verify", &file], false)), ["\"signature\"", "\"linked domain\""]);
    server.set_text("GET /.well-known/did.json", 404, "");
    assert_eq!(bad(&place.json(&["verify", &file], false)), ["\"did document\""]);

    let mut expired = server.issuer.credential("did:x");
    expired["exp"] = json!(server.issuer.now - 1);
    expired["iss"] = json!("did:web:other");
    server.set("GET /.well-known/did.json", 200, &server.issuer.document());
    let path = place.path().join("expired.jwt");
    fs::write(&path, server.issuer.sign(&expired)).unwrap();
    assert_eq!(bad(&place.json(&["verify", path.to_str().unwrap()], false)), ["\"issuer\"", "\"validity\""]);
    fs::write(&path, "garbage").unwrap();
    let refused = place.json(&["verify", path.to_str().unwrap()], false);
    assert_eq!(refused["error"]["code"], "invalid_file");
}

/// The error's code and the details of the completion calls.
fn refused(server: &Server, place: &Place, more: &[&str]) -> (String, Vec<String>) {
    let link = server.link();
    let report = place.json(&[&["accept", &link], more].concat(), false);
    let code = report["error"]["code"].as_str().unwrap().to_owned();
    let details =
        server.completions().iter().map(|one| one["details"].as_str().unwrap().to_owned()).collect();
    (code, details)
}

fn expect(server: &Server, place: &Place, more: &[&str], code: &str, details: &[&str]) {
    let (found, told) = refused(server, place, more);
    assert_eq!(
        (found.as_str(), told.iter().map(String::as_str).collect::<Vec<_>>()),
        (code, details.to_vec())
    );
}

#[test]
fn without_consent_the_issuer_is_told() {
    let (server, place) = issuing(&Place::new);
    expect(&server, &place, &[], "user_canceled", &["user_canceled"]);
    assert!(server.calls("POST /issue").is_empty());
}

#[test]
fn a_wrong_pin_is_told_apart() {
    let (server, place) = issuing(&Place::new);
    let mut request = server.issuer.request();
    request["pin"] = json!({"length": 4, "type": "numeric", "salt": "s", "hash": "h"});
    server.request(&request);
    let inner = json!({"code": wallet::http::WRONG_PIN, "message": "try again"});
    server.set("POST /issue", 403, &json!({"error": {"code": "forbidden", "innererror": inner}}));
    let link = server.link();
    let report = place.json(&["accept", &link, "--yes", "--pin", "1234"], false);
    assert_eq!(report["error"]["code"], "pin_rejected");
    assert_eq!(report["error"]["http_status"], 403);
    assert_eq!(report["error"]["inner_code"], wallet::http::WRONG_PIN);
    assert_eq!(server.completions()[0]["details"], "issuance_service_error");
    assert_eq!(refused(&server, &place, &["--yes"]).0, "pin_required");
    assert_eq!(refused(&server, &place, &["--yes", "--pin", "12"]).0, "invalid_pin");
    assert_eq!(refused(&server, &place, &["--yes", "--pin", "abcd"]).0, "invalid_pin");
}

#[test]
fn self_issued_claims_come_from_the_command_line() {
    let (server, place) = issuing(&Place::new);
    let mut request = server.issuer.request();
    request.as_object_mut().unwrap().remove("id_token_hint");
    server.request(&request);
    let mut contract = server.issuer.contract();
    let claims = json!([{"claim": "name", "required": true}, {"claim": "nick", "required": false}]);
    contract["input"]["attestations"] = json!({"selfIssued": {"claims": claims}});
    server.contract(&contract);
    expect(&server, &place, &["--yes"], "claim_required", &["user_canceled"]);
    let (code, _) = refused(&server, &place, &["--yes", "--claim", "name=Ada", "--claim", "more=1"]);
    assert_eq!(code, "claim_unknown");
    place.json(&["accept", &server.link(), "--yes", "--claim", "name=Ada"], true);
    let proof = wallet::jws::CompactJws::parse(&server.calls("POST /issue")[0].body).unwrap();
    assert_eq!(proof.payload["attestations"], json!({"selfIssued": {"name": "Ada"}}));
}

#[test]
fn what_the_wallet_cannot_give_is_said() {
    let (server, place) = issuing(&Place::new);
    let mut contract = server.issuer.contract();
    contract["input"]["attestations"]["presentations"] = json!([{"credentialType": "Other", "claims": []}]);
    server.contract(&contract);
    expect(&server, &place, &["--yes"], "unsupported_attestation", &["unspecified_error"]);
}

#[test]
fn bad_contracts_domains_and_credentials_are_reported() {
    let (server, place) = issuing(&Place::new);
    server.set_text("GET /manifest", 500, "");
    expect(&server, &place, &["--yes"], "contract_unavailable", &["fetch_contract_error"]);

    let (server, place) = issuing(&Place::new);
    server.set_text("GET /.well-known/did-configuration.json", 200, "<html>");
    expect(&server, &place, &["--yes"], "invalid_linked_domain", &["linked_domain_error"]);

    let (server, place) = issuing(&Place::new);
    server.credential(&server.issuer.credential("did:jwk:somebody-else"));
    expect(&server, &place, &["--yes"], "invalid_credential", &["issuance_service_error"]);
    assert!(Directory::new(place.wallet()).list().unwrap().is_empty());

    let (server, place) = issuing(&Place::new);
    server.set_text("POST /issue", 503, "");
    expect(&server, &place, &["--yes"], "issuance_refused", &["issuance_service_error"]);

    let (server, place) = issuing(&Place::new);
    expect(&server, &place, &["--yes", "--high-s"], "holder", &[]);
}

#[test]
fn nothing_is_told_before_the_request_is_known() {
    let (server, place) = issuing(&Place::new);
    server.set_text("GET /r", 404, "");
    expect(&server, &place, &["--yes"], "request_unavailable", &[]);
    server.request(&json!({}));
    expect(&server, &place, &["--yes"], "invalid_request", &[]);
    server.set_text("GET /.well-known/did.json", 404, "");
    expect(&server, &place, &["--yes"], "did_unresolvable", &[]);
    let report = place.json(&["accept", "https://example"], false);
    assert_eq!(report["error"]["code"], "invalid_link");
}

#[test]
fn text_from_the_issuer_cannot_play_with_the_terminal() {
    let (server, place) = issuing(&Place::new);
    let mut contract = server.issuer.contract();
    contract["display"]["card"]["title"] = json!("\u{1b}[2J\u{202e}Badge");
    server.contract(&contract);
    let output = place.run(&["accept", &server.link(), "--yes"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("\\u{1b}[2J\\u{202e}Badge") && !text.contains('\u{1b}'));
}

#[test]
fn an_undelivered_completion_changes_nothing() {
    let (server, place) = issuing(&Place::new);
    server.set_text("POST /complete", 500, "");
    let report = place.json(&["accept", &server.link(), "--yes"], true);
    assert_eq!(report["completion_delivered"], false);
}
