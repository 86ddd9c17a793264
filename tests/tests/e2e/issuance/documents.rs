//! What is published: DID document, domain linkage, health, and nothing else under `/.well-known`.

use serde_json::{Value, json};
use wallet::clock::system_now;
use wallet::linked_domain::LinkedDomain;

use super::errors::{assert_error, assert_members};
use super::fixture::{Service, send};

const DID: &str = "/.well-known/did.json";
const LINKAGE: &str = "/.well-known/did-configuration.json";

#[tokio::test]
async fn the_did_document_is_one_that_wallets_read() {
    let service = Service::shared();
    let port = service.public().rsplit(':').next().unwrap();
    assert_eq!(service.did(), format!("did:web:localhost%3A{port}"));
    let answer = service.get(DID).await;
    assert_eq!(answer.status, 200);
    let found = answer.json();
    assert_eq!(found["id"], json!(service.did()));
    let methods = found["verificationMethod"].as_array().unwrap();
    assert_eq!(methods.len(), 1);
    let id = methods[0]["id"].as_str().unwrap();
    assert!(id.starts_with('#') && id.len() > 1, "{id}");
    assert_members(&methods[0]["publicKeyJwk"], &["crv", "kty", "x", "y"]);
    assert_eq!(methods[0]["controller"], json!(service.did()));
    assert_eq!((&found["authentication"], &found["assertionMethod"]), (&json!([id]), &json!([id])));
    let context = found["@context"].as_array().unwrap();
    assert_eq!(context[0], "https://www.w3.org/ns/did/v1");
    assert!(context.contains(&json!({"@base": service.did()})), "relative ids need a base: {context:?}");
    let linked =
        found["service"].as_array().unwrap().iter().find(|one| one["type"] == "LinkedDomains").unwrap();
    assert_eq!(linked["serviceEndpoint"], json!({"origins": [format!("{}/", service.public())]}));
    assert!(found.get("keyAgreement").is_none());
    let document = service.session.resolve(service.did()).await.expect("a document that wallets read");
    let verdict = service.session.linked_domain(&document, system_now()).await.expect("a good linkage");
    assert!(matches!(verdict, LinkedDomain::Verified { .. }), "{verdict:?}");
}

#[tokio::test]
async fn the_linkage_has_one_entry_with_every_member() {
    let service = Service::shared();
    let found = service.get(LINKAGE).await.json();
    assert_members(&found, &["@context", "linked_dids"]);
    assert_eq!(
        found["@context"],
        "https://identity.foundation/.well-known/contexts/did-configuration-v0.0.jsonld"
    );
    let entries = found["linked_dids"].as_array().unwrap();
    assert_eq!(entries.len(), 1);
    let payload = super::flow::Flow::payload(entries[0].as_str().unwrap());
    assert_members(&payload, &["exp", "iss", "nbf", "sub", "vc"]);
    let did = json!(service.did());
    assert_eq!((&payload["iss"], &payload["sub"], &payload["vc"]["issuer"]), (&did, &did, &did));
    assert_members(
        &payload["vc"],
        &["@context", "credentialSubject", "expirationDate", "issuanceDate", "issuer", "type"],
    );
    let origin = format!("{}/", service.public());
    assert_eq!(payload["vc"]["credentialSubject"], json!({"id": service.did(), "origin": origin}));
    assert_eq!(payload["vc"]["type"], json!(["VerifiableCredential", "DomainLinkageCredential"]));
}

#[tokio::test]
async fn they_are_cached_and_open_to_browsers() {
    let service = Service::shared();
    for path in [DID, LINKAGE] {
        let first = service.get(path).await;
        assert_eq!(first.header("content-type"), Some("application/json"), "{path}");
        assert_eq!(first.header("access-control-allow-origin"), Some("*"));
        assert_eq!(first.header("cache-control"), Some("public, max-age=3600, must-revalidate"));
        assert_eq!(first.header("x-content-type-options"), Some("nosniff"));
        let tag = first.header("etag").unwrap().to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 2, "{tag}");
        assert_eq!(service.get(path).await.body, first.body);
        for known in [tag.clone(), format!("\"other\", {tag}"), format!("W/{tag}"), "*".to_owned()] {
            let call = service.client.get(service.address(path)).header("If-None-Match", &known);
            let again = send(call).await;
            assert_eq!((again.status, again.body.len()), (304, 0), "{known}");
            assert_eq!(again.header("etag"), Some(tag.as_str()));
            assert_eq!(again.header("access-control-allow-origin"), Some("*"));
        }
        let call = service.client.get(service.address(path)).header("If-None-Match", "\"other\"");
        assert_eq!(send(call).await.status, 200);
        let head = send(service.client.head(service.address(path))).await;
        assert_eq!((head.status, head.body.len(), head.header("etag")), (200, 0, Some(tag.as_str())));
        let length = head.header("content-length").unwrap();
        assert_eq!(length, first.body.len().to_string());
        assert_eq!(send(service.client.post(service.address(path))).await.status, 405);
    }
}

#[tokio::test]
async fn everything_else_is_404_with_a_json_error() {
    let service = Service::shared();
    for path in [
        "/.well-known/",
        "/.well-known",
        "/.well-known/did.json/",
        "/.well-known/did.json/x",
        "/.well-known/DID.JSON",
        "/.well-known/did",
        "/.well-known/did-configuration",
        "/.well-known/nothing",
        "/.well-known/..%2fcredenza.db",
        "/did.json",
        "/credenza.db",
        "/v1.0",
        "/v1.0/",
        "/v2.0/verifiableCredentials/createIssuanceRequest",
        "/v1.0/verifiableCredentials/createPresentationRequestt",
        "/%00",
        "/v1.0/tenants/%2e%2e/verifiableCredentials/issue%00",
    ] {
        let answer = service.get(path).await;
        assert_error(&answer, 404, "notFound", None);
    }
}

#[tokio::test]
async fn health() {
    let service = Service::shared();
    let live = service.get("/livez").await;
    assert_eq!((live.status, live.text().trim()), (200, "ok"));
    let ready = service.get("/readyz").await;
    assert_eq!(ready.json(), json!({"status": "ready", "reasons": []}));
}

#[tokio::test]
async fn the_description_of_the_api_names_every_path() {
    let service = Service::shared();
    let answer = service.get("/openapi.json").await;
    assert_eq!(answer.status, 200);
    let found: Value = answer.json();
    for path in [
        "/v1.0/verifiableCredentials/createIssuanceRequest",
        "/v1.0/tenants/{tenant}/verifiableCredentials/issuanceRequests/{request}",
        "/v1.0/tenants/{tenant}/verifiableCredentials/contracts/{contract}/manifest",
        "/v1.0/tenants/{tenant}/verifiableCredentials/issue",
        "/v1.0/verifiableCredentials/completeIssuance",
        DID,
        LINKAGE,
    ] {
        assert!(found["paths"].get(path).is_some(), "{path}");
    }
}
