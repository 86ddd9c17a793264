//! The token endpoint of development with the documents that MSAL asks for.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use credenza_tests::process::{Answer, REQUEST_SCOPE};
use serde_json::{Value, json};

use super::errors::assert_members;
use super::fixture::{CREATE, Service, send};

fn client(service: &Service) -> (String, String) {
    let ready = &service.ready;
    (ready.client_id.clone().unwrap(), ready.client_secret.clone().unwrap())
}

async fn ask(service: &Service, form: &[(&str, &str)]) -> Answer {
    send(service.client.post(service.ready.token_url.as_ref().unwrap()).form(form)).await
}

#[tokio::test]
async fn client_credentials_give_a_token_that_the_api_takes() {
    let service = Service::shared();
    let (id, secret) = client(&service);
    let tenant = service.tenant();
    let url = service.ready.token_url.clone().unwrap();
    assert_eq!(url, format!("{}/{tenant}/oauth2/v2.0/token", service.http()));
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &id),
        ("client_secret", &secret),
        ("scope", REQUEST_SCOPE),
        ("client_info", "1"),
    ];
    let answer = ask(&service, &form).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    assert_members(&body, &["access_token", "expires_in", "ext_expires_in", "token_type"]);
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(3599)));
    let token = body["access_token"].as_str().unwrap();
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap();
    // Front ends compare exactly this array as text.
    assert_eq!(claims["roles"], json!(["VerifiableCredential.Create.All"]));
    assert_eq!(claims["aud"], "3db474b9-6a0c-4840-96ac-1fceb342124f");
    assert_eq!((&claims["tid"], &claims["appid"]), (&json!(tenant), &json!(id)));
    let call = service.client.post(service.http().to_owned() + CREATE).bearer_auth(token);
    assert_eq!(send(call.json(&service.employee())).await.status, 201);
    // The client may as well name itself in the header (RFC 6749, section 2.3.1).
    let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    let call = service.client.post(&url).header("Authorization", basic);
    let form = [("grant_type", "client_credentials"), ("scope", REQUEST_SCOPE)];
    assert_eq!(send(call.form(&form)).await.status, 200);
}

#[tokio::test]
async fn refusals_have_the_oauth_form() {
    let service = Service::shared();
    let (id, secret) = client(&service);
    let good = [
        ("grant_type", "client_credentials"),
        ("client_id", id.as_str()),
        ("client_secret", secret.as_str()),
        ("scope", REQUEST_SCOPE),
    ];
    for (name, value, status, error) in [
        ("grant_type", "password", 400, "unsupported_grant_type"),
        ("grant_type", "", 400, "invalid_request"),
        ("client_id", "somebody", 401, "invalid_client"),
        ("client_secret", "wrong", 401, "invalid_client"),
        ("client_secret", "", 401, "invalid_client"),
        ("scope", "https://graph.example/.default", 400, "invalid_scope"),
        ("scope", "3db474b9-6a0c-4840-96ac-1fceb342124f", 400, "invalid_scope"),
    ] {
        let form = good.map(|(known, given)| (known, if known == name { value } else { given }));
        let answer = ask(&service, &form).await;
        assert_eq!(answer.status, status, "{name}={value}: {}", answer.text());
        let body = answer.json();
        assert_eq!(body["error"], error, "{name}={value}");
        assert_members(
            &body,
            &["correlation_id", "error", "error_codes", "error_description", "timestamp", "trace_id"],
        );
        assert!(!answer.text().contains(&secret));
    }
    let url = service.ready.token_url.clone().unwrap();
    let other = url.replace(service.tenant(), "00000000-0000-4000-8000-000000000000");
    assert_eq!(send(service.client.post(other).form(&good)).await.status, 404);
    assert_eq!(send(service.client.post(&url).json(&json!({"grant_type": "x"}))).await.status, 400);
    assert_eq!(send(service.client.get(&url)).await.status, 405);
}

#[tokio::test]
async fn msal_finds_its_way_from_the_authority() {
    let service = Service::shared();
    // MSAL takes nothing but https.
    let (base, tenant) = (service.public(), service.tenant());
    let authorize = format!("{base}/{tenant}/oauth2/v2.0/authorize");
    let query = [("api-version", "1.1"), ("authorization_endpoint", &authorize)];
    let url = reqwest::Url::parse_with_params(&format!("{base}/common/discovery/instance"), query).unwrap();
    let instance = send(service.client.get(url)).await;
    assert_eq!(instance.status, 200, "{}", instance.text());
    let next = instance.json()["tenant_discovery_endpoint"].as_str().unwrap().to_owned();
    assert_eq!(next, format!("{base}/{tenant}/v2.0/.well-known/openid-configuration"));
    assert!(instance.json()["metadata"][0]["aliases"].is_array());
    let discovery = service.get(&next).await.json();
    assert_eq!(discovery["token_endpoint"], json!(format!("{base}/{tenant}/oauth2/v2.0/token")));
    assert_eq!(discovery["issuer"], json!(format!("{base}/{tenant}/v2.0")));
    assert_eq!(discovery["tenant_region_scope"], "EU");
    let keys = service.get(discovery["jwks_uri"].as_str().unwrap()).await.json();
    let header = service.token.split('.').next().unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    assert_eq!(keys["keys"][0]["kid"], header["kid"]);
    assert!(keys["keys"][0].get("d").is_none());
    for stranger in ["https://login.example/common/oauth2/authorize", "nonsense", ""] {
        let query = [("authorization_endpoint", stranger)];
        let url =
            reqwest::Url::parse_with_params(&format!("{base}/common/discovery/instance"), query).unwrap();
        let answer = send(service.client.get(url)).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (400, Some("invalid_instance")));
    }
    let other = next.replace(tenant, "00000000-0000-4000-8000-000000000000");
    assert_eq!(service.get(&other).await.status, 404);
}
