//! Microsoft's own client library (`msal` for Python) gets a token from our token endpoint over TLS, and the Request Service API
//! takes it.

use credenza_tests::process::{Credenza, Options, REQUEST_SCOPE};
use serde_json::{Value, json};

use crate::python;

/// Asks for a token twice and prints what the library says. The HTTP client refuses every host but ours.
const PROGRAM: &str = r#"
import json, sys
import msal, requests

asked = json.load(sys.stdin)

class Ours(requests.Session):
    def request(self, method, url, **kwargs):
        if not url.startswith(asked["origin"]):
            raise RuntimeError("msal asks somebody else: " + url)
        return super().request(method, url, **kwargs)

def app(**more):
    return msal.ConfidentialClientApplication(
        asked["client_id"], client_credential=asked["secret"], authority=asked["authority"], http_client=Ours(), **more)

options = {
    "known": {"validate_authority": False},
    "quiet": {"instance_discovery": False},
    "asks_us": {"instance_discovery": asked["origin"] + "/common/discovery/instance"},
}[asked["mode"]]
client = app(**options)
first = client.acquire_token_for_client(scopes=[asked["scope"]])
second = client.acquire_token_for_client(scopes=[asked["scope"]]) if "access_token" in first else None
print(json.dumps({"first": first, "second": second, "endpoint": client.authority.token_endpoint}))
"#;

fn ask(credenza: &Credenza, mode: &str, secret: &str) -> Result<Value, String> {
    let ready = credenza.ready();
    let origin = credenza.base_https();
    let tenant = ready.tenant_id.as_deref().expect("a tenant");
    let question = json!({
        "origin": origin, "authority": format!("{origin}/{tenant}"), "mode": mode, "scope": REQUEST_SCOPE,
        "client_id": ready.client_id, "secret": secret,
    });
    let ca_file = ready.ca_file.as_ref().expect("a CA").display().to_string();
    python::run(PROGRAM, &question, &[("REQUESTS_CA_BUNDLE", &ca_file), ("NO_PROXY", "localhost")])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn msal_gets_a_token_that_the_api_takes() {
    let credenza = Credenza::start(Options::default()).await;
    let secret = credenza.ready().client_secret.clone().expect("a secret");
    for mode in ["known", "quiet", "asks_us"] {
        let answer = ask(&credenza, mode, &secret).unwrap_or_else(|error| panic!("{mode}: {error}"));
        let token = answer["first"]["access_token"].as_str();
        let token = token.unwrap_or_else(|| panic!("{mode}: no token: {answer}"));
        assert_eq!(answer["second"]["access_token"], token, "{mode}: the library's cache holds it");
        let ready = credenza.ready();
        let body = json!({
            "authority": ready.authority_did, "registration": {"clientName": "msal"}, "type": "StudentCard",
            "manifest": ready.manifest_url,
            "claims": {"given_name": "Ada", "family_name": "Lovelace", "programme": "Mathematics", "student_number": "1815"},
        });
        let created = credenza.post("/v1.0/verifiableCredentials/createIssuanceRequest", token, &body).await;
        assert_eq!(created.status, 201, "{mode}: {}", created.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn msal_understands_a_refusal() {
    let credenza = Credenza::start(Options::default()).await;
    let answer = ask(&credenza, "quiet", "not the secret").expect("an answer of the library");
    assert_eq!(answer["first"]["error"], "invalid_client", "{answer}");
    assert!(answer["first"]["error_description"].is_string(), "{answer}");
    assert!(answer["first"].get("access_token").is_none(), "{answer}");
}
