//! Contract files that are refused: `contract validate` and `contract apply` name the place, and nothing is stored.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use credenza_tests::binaries;
use credenza_tests::process::{Credenza, Options};
use serde_json::{Value, json};

use crate::issuance::fixture::{SOON, Service, send};
use crate::issuance::flow::{Flow, holder};

fn contract(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/contracts").join(file);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn credenza(arguments: &[&str]) -> Output {
    Command::new(binaries::target_bin("credenza")).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, content: &str) -> PathBuf {
        let path = self.0.path().join("contract.json");
        std::fs::write(&path, content).unwrap();
        path
    }
}

/// Changes of a good file, with what the message has to name.
fn bad_files() -> Vec<(String, &'static str)> {
    let good = contract("student-card.json");
    let mut found = Vec::new();
    let mut change = |pointer: &str, member: &str, value: Value, named: &'static str| {
        let mut file = good.clone();
        let at = file.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
        if value.is_null() {
            at.remove(member);
        } else {
            at.insert(member.to_owned(), value);
        }
        found.push((file.to_string(), named));
    };
    change("", "validityinterval", json!(1), "validityinterval");
    change("", "unknown", json!({"a": 1}), "unknown");
    change("/rules", "validity", json!(1), "validity");
    change("/rules/attestations/idTokenHints/0/mapping/0", "index", json!(true), "index");
    change("/rules/attestations", "idTokenHint", json!([]), "idTokenHint");
    change("/displays/0/card", "colour", json!("#000000"), "colour");
    change("/displays/0/claims/0", "title", json!("x"), "title");
    change("", "rules", Value::Null, "rules");
    change("", "displays", json!([]), "displays");
    change("/rules", "validityInterval", json!("15552000"), "validityInterval");
    change("/rules", "validityInterval", json!(59), "validityInterval");
    change("/rules", "vc", json!({"type": []}), "type");
    change("/rules/attestations/idTokenHints/0/mapping/0", "indexed", json!(true), "indexed");
    change("/rules/attestations/idTokenHints/0/mapping/0", "outputClaim", json!("iss"), "outputClaim");
    change("/rules/attestations/idTokenHints/0/mapping/0", "inputClaim", json!("$..x"), "inputClaim");
    change("/displays/0/card", "backgroundColor", json!("green"), "backgroundColor");
    change("/displays/0/card/logo", "uri", json!("http://a.example/x.png"), "uri");
    change("", "id", json!("not-a-guid"), "id");
    found
}

#[test]
fn validate_names_the_place() {
    let files = Files::new();
    for (content, named) in bad_files() {
        let path = files.write(&content);
        let output = credenza(&["contract", "validate", path.to_str().unwrap()]);
        assert!(!output.status.success(), "{named}: {}", text(&output));
        assert!(text(&output).contains(named), "{named}: {}", text(&output));
    }
    for content in ["", "{", "[]", "null", "\"text\"", "{\"name\":\"a\",\"name\":\"b\"}"] {
        let path = files.write(content);
        let output = credenza(&["contract", "validate", path.to_str().unwrap()]);
        assert!(!output.status.success(), "{content}: {}", text(&output));
    }
    let path = files.write(&contract("student-card.json").to_string());
    assert!(credenza(&["contract", "validate", path.to_str().unwrap()]).status.success());
}

#[tokio::test]
async fn apply_stores_nothing_of_a_bad_file() {
    let process = Credenza::start(Options::default()).await;
    let service = Service::of(&process).await;
    let data_dir = service.data_dir.display().to_string();
    let counted = |service: &Service| {
        (
            service.count("SELECT count(*) FROM contract_version"),
            service.count("SELECT count(*) FROM signed_contract"),
            service.count("SELECT count(*) FROM intent"),
        )
    };
    let before = counted(&service);
    let files = Files::new();
    for (content, named) in bad_files() {
        let path = files.write(&content);
        let output = credenza(&["contract", "apply", path.to_str().unwrap(), "--data-dir", &data_dir]);
        assert!(!output.status.success(), "{named}: {}", text(&output));
        assert!(text(&output).contains(named), "{named}: {}", text(&output));
    }
    // Valid, but of a kind that is not issued: refused as well, and the kind is named.
    let mut later = contract("event-guest.json");
    later["rules"]["attestations"] = json!({"presentations": [{"credentialType": "Badge"}]});
    later["displays"][0]["claims"] = json!([]);
    let path = files.write(&later.to_string());
    let output = credenza(&["contract", "apply", path.to_str().unwrap(), "--data-dir", &data_dir]);
    assert!(!output.status.success() && text(&output).contains("presentations"), "{}", text(&output));
    assert_eq!(counted(&service), before);
    Flow::start(&service, &service.student()).await.receive(&holder()).await;
}

#[tokio::test]
async fn a_good_file_is_served_soon_and_versions_do_not_mix() {
    let process = Credenza::start(Options::default()).await;
    let service = Service::of(&process).await;
    let data_dir = service.data_dir.display().to_string();
    let before = Flow::start(&service, &service.employee()).await;
    let files = Files::new();
    let mut changed = contract("verified-employee.json");
    changed["rules"]["validityInterval"] = json!(86_400);
    changed["displays"][0]["card"]["title"] = json!("Second version");
    let path = files.write(&changed.to_string());
    let apply = || credenza(&["contract", "apply", path.to_str().unwrap(), "--data-dir", &data_dir]);
    let output = apply();
    assert!(output.status.success() && text(&output).contains("version 2"), "{}", text(&output));
    assert!(text(&apply()).contains("unchanged"), "the same file again changes nothing");
    let until = std::time::Instant::now() + SOON;
    loop {
        let token = service.get(&service.manifest(crate::issuance::fixture::EMPLOYEE)).await.json();
        let title = Flow::payload(token["token"].as_str().unwrap())["display"]["card"]["title"].clone();
        if title == "Second version" {
            break;
        }
        assert!(std::time::Instant::now() < until, "still {title}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let lifetime = |flow: &Flow, credential: wallet::credential::Credential| {
        assert_eq!(credential.issuer, flow.opened.request.issuer);
        credential.expires - credential.issued
    };
    let old = before.receive(&holder()).await.credential;
    assert_eq!(lifetime(&before, old), 15_552_000, "a request keeps the version that it was made with");
    let after = Flow::start(&service, &service.employee()).await;
    let new = after.receive(&holder()).await.credential;
    assert_eq!(lifetime(&after, new), 86_400);

    // Both attestations in one contract: hint and typed claims together, without a PIN.
    let mut both = contract("event-guest.json");
    both["id"] = json!("0a3f5c1e-7d2b-4e6a-9c8d-1b2a3c4d5e6f");
    both["name"] = json!("Both");
    both["rules"]["attestations"]["idTokenHints"] = json!([{
        "mapping": [{"inputClaim": "$.level", "outputClaim": "level", "required": true}], "required": true,
    }]);
    let path = files.write(&both.to_string());
    let output = credenza(&["contract", "apply", path.to_str().unwrap(), "--data-dir", &data_dir]);
    assert!(output.status.success(), "{}", text(&output));
    let manifest = service.manifest("0a3f5c1e-7d2b-4e6a-9c8d-1b2a3c4d5e6f");
    while send(service.client.get(&manifest)).await.status != 200 {
        assert!(std::time::Instant::now() < until + SOON, "the new contract is not served");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let mut body = service.guest();
    body["manifest"] = json!(manifest);
    body["claims"] = json!({"level": "gold"});
    let flow = Flow::start(&service, &body).await;
    let holder = holder();
    let proof = flow.proof_with_claims(&holder, &[("name", "Megan")]);
    let claims = flow.accepted(&holder, proof).await.credential.claims;
    assert_eq!(Value::Object(claims), json!({"level": "gold", "name": "Megan"}));
    body["pin"] = json!({"value": "123456"});
    let refused = service.create(&body).await;
    crate::issuance::errors::assert_error(&refused, 400, "badOrMissingField", Some("pin"));
}
