//! The token issuer's routes, as MSAL and plain OAuth clients call them.

use actix_web::body::to_bytes;
use actix_web::dev::ServiceResponse;
use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::{App, web};
use serde_json::{Value, json};

use super::*;
use crate::auth::builtin::tests::{CLIENT, SECRET, TENANT, issuer};

async fn call(request: TestRequest) -> ServiceResponse {
    let app = init_service(App::new().app_data(web::Data::from(issuer())).configure(configure)).await;
    call_service(&app, request.to_request()).await
}

async fn answer(request: TestRequest) -> (u16, Value) {
    let response = call(request).await;
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body()).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_else(|_| panic!("not JSON: {body:?}")))
}

fn post(tenant: &str, form: &str) -> TestRequest {
    TestRequest::post()
        .uri(&format!("/{tenant}/oauth2/v2.0/token"))
        .insert_header(("content-type", "application/x-www-form-urlencoded"))
        .set_payload(form.to_owned())
}

fn form() -> String {
    format!("grant_type=client_credentials&client_id={CLIENT}&client_secret={SECRET}")
}

#[actix_web::test]
async fn a_token_is_issued_and_not_cached() {
    let response = call(post(TENANT, &form())).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers().get("cache-control").unwrap(), "no-store");
    assert_eq!(response.headers().get("content-type").unwrap(), "application/json");
    let body: Value = serde_json::from_slice(&to_bytes(response.into_body()).await.unwrap()).unwrap();
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 3599);
    assert_eq!(body["ext_expires_in"], 3599);
    assert_eq!(body["access_token"].as_str().unwrap().split('.').count(), 3);
}

#[actix_web::test]
async fn the_tenants_letter_case_does_not_matter() {
    let (status, _) = answer(post(&TENANT.to_uppercase(), &form())).await;
    assert_eq!(status, 200);
}

#[actix_web::test]
async fn another_tenant_is_404_in_oauth_form() {
    let other = "00000000-0000-4000-8000-000000000001";
    for tenant in [other, "common", "{a5f1c9d2-0000-4000-8000-00000000abcd}"] {
        for request in [
            post(tenant, &form()),
            TestRequest::get().uri(&format!("/{tenant}/v2.0/.well-known/openid-configuration")),
            TestRequest::get().uri(&format!("/{tenant}/.well-known/openid-configuration")),
            TestRequest::get().uri(&format!("/{tenant}/discovery/v2.0/keys")),
        ] {
            let (status, body) = answer(request).await;
            assert_eq!((status, body["error"].as_str()), (404, Some("invalid_tenant")), "{tenant}");
        }
    }
}

#[actix_web::test]
async fn refusals_have_the_oauth_form() {
    let id = "6f9619ff-8b86-4011-b42d-00c04fc964ff";
    let wrong = form().replace(SECRET, "wrong");
    let response = call(post(TENANT, &wrong).insert_header(("client-request-id", id))).await;
    assert_eq!(response.status(), 401);
    assert!(response.headers().get("www-authenticate").unwrap().to_str().unwrap().starts_with("Basic"));
    assert_eq!(response.headers().get("cache-control").unwrap(), "no-store");
    let body: Value = serde_json::from_slice(&to_bytes(response.into_body()).await.unwrap()).unwrap();
    assert_eq!(body["error"], "invalid_client");
    assert_eq!(body["error_codes"], json!([7_000_215]));
    assert_eq!(body["correlation_id"], id);
    assert_eq!(body["timestamp"], "2025-02-03 10:21:33Z");
    assert!(!body["error_description"].as_str().unwrap().is_empty());

    for (form, status, code) in [
        (String::new(), 400, "invalid_request"),
        (form().replace("client_credentials", "password"), 400, "unsupported_grant_type"),
        (form() + "&scope=https%3A%2F%2Fgraph.example%2F.default", 400, "invalid_scope"),
        (form() + "&x=" + &"x".repeat(17_000), 400, "invalid_request"),
        (form() + "&x=" + &"x".repeat(400_000), 400, "invalid_request"),
    ] {
        let (found, body) = answer(post(TENANT, &form)).await;
        assert_eq!((found, body["error"].as_str()), (status, Some(code)));
    }
}

#[actix_web::test]
async fn an_unreadable_authorization_header_is_refused() {
    let value = actix_web::http::header::HeaderValue::from_bytes(b"Basic \xff").unwrap();
    let (status, body) = answer(post(TENANT, &form()).insert_header(("authorization", value))).await;
    assert_eq!((status, body["error"].as_str()), (401, Some("invalid_client")));
}

#[actix_web::test]
async fn both_discovery_addresses_give_the_same_document() {
    let (status, v2) =
        answer(TestRequest::get().uri(&format!("/{TENANT}/v2.0/.well-known/openid-configuration"))).await;
    let (_, v1) =
        answer(TestRequest::get().uri(&format!("/{TENANT}/.well-known/openid-configuration"))).await;
    assert_eq!(status, 200);
    assert_eq!(v1, v2);
    assert_eq!(v2["issuer"], format!("http://127.0.0.1:8080/{TENANT}/v2.0"));
    assert_eq!(v2["token_endpoint"], format!("http://127.0.0.1:8080/{TENANT}/oauth2/v2.0/token"));
    assert_eq!(v2["tenant_region_scope"], "EU");
    assert!(v2["authorization_endpoint"].is_string());
    let keys = v2["jwks_uri"].as_str().unwrap().strip_prefix("http://127.0.0.1:8080").unwrap().to_owned();
    let (status, keys) = answer(TestRequest::get().uri(&keys)).await;
    assert_eq!((status, keys["keys"][0]["kty"].as_str()), (200, Some("EC")));
    assert!(keys["keys"][0].get("d").is_none());
}

#[actix_web::test]
async fn instance_discovery_knows_our_own_host_only() {
    let uri = |endpoint: &str| {
        let query =
            serde_urlencoded::to_string([("api-version", "1.1"), ("authorization_endpoint", endpoint)])
                .unwrap();
        TestRequest::get().uri(&format!("/common/discovery/instance?{query}"))
    };
    // MSAL for Python asks without the port, and always for https.
    for host in ["http://127.0.0.1:8080", "http://localhost:8080", "https://localhost"] {
        let (status, body) = answer(uri(&format!("{host}/{TENANT}/oauth2/v2.0/authorize"))).await;
        assert_eq!(status, 200);
        assert_eq!(
            body["tenant_discovery_endpoint"],
            format!("http://127.0.0.1:8080/{TENANT}/v2.0/.well-known/openid-configuration")
        );
        let aliases = json!(["127.0.0.1:8080", "localhost:8080", "127.0.0.1", "localhost"]);
        assert_eq!(body["metadata"][0]["aliases"], aliases);
    }
    for endpoint in [
        format!("https://login.example/{TENANT}/oauth2/v2.0/authorize"),
        "http://127.0.0.1:8080/common/oauth2/v2.0/authorize".to_owned(),
        format!("http://127.0.0.1:9090/{TENANT}/oauth2/v2.0/authorize"),
        "no address".to_owned(),
    ] {
        let (status, body) = answer(uri(&endpoint)).await;
        assert_eq!((status, body["error"].as_str()), (400, Some("invalid_instance")), "{endpoint}");
    }
    let (status, _) = answer(TestRequest::get().uri("/common/discovery/instance")).await;
    assert_eq!(status, 400);
}

#[actix_web::test]
async fn other_methods_are_refused() {
    let response = call(TestRequest::get().uri(&format!("/{TENANT}/oauth2/v2.0/token"))).await;
    assert_eq!(response.status(), 405);
}
