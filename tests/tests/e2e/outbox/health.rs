//! Health and the description of the API: other methods, and what is worth a warning only.

use std::time::{Duration, Instant};

use credenza_tests::process::{Credenza, Options};
use reqwest::Method;
use serde_json::json;

use super::database;
use crate::issuance::errors::assert_error;
use crate::issuance::fixture::{SOON, Service, send};

#[tokio::test]
async fn other_methods_get_the_documented_answer() {
    let service = Service::shared();
    for path in ["/livez", "/readyz", "/openapi.json"] {
        for method in [Method::POST, Method::DELETE] {
            let answer = send(service.client.request(method, service.address(path))).await;
            assert_error(&answer, 405, "badOrMissingField", None);
        }
        assert_eq!(service.get(path).await.status, 200);
    }
}

#[tokio::test]
async fn a_contract_without_signature_is_a_warning() {
    let credenza = Credenza::start(Options::default()).await;
    let service = Service::of(&credenza).await;
    let rows = database(&credenza);
    let one = "DELETE FROM signed_contract WHERE contract = (SELECT min(contract) FROM signed_contract)";
    let until = Instant::now() + SOON;
    loop {
        // Again and again: somebody may sign it anew.
        rows.execute(one, []).unwrap();
        let answer = service.get("/readyz").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let found = answer.json();
        assert_eq!((&found["status"], &found["reasons"]), (&json!("ready"), &json!([])));
        if found["warnings"] == json!(["a contract is not signed"]) {
            return;
        }
        assert!(Instant::now() < until, "no warning: {found}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
