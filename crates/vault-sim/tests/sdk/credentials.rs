//! The challenge, the official client-secret credential on the simulator's token endpoint, and a failing one.

use std::sync::Arc;

use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{Secret, TokenCredential as _};
use azure_core::http::ClientOptions;
use azure_identity::{ClientSecretCredential, ClientSecretCredentialOptions};
use azure_security_keyvault_keys::models::{CurveName, KeyType};
use vault_sim::{AccessConfig, FaultKind, FaultSpec, Running, Sim, SimConfig};

use crate::client::{client, client_at, create, transport};

const TENANT: &str = "00000000-0000-0000-0000-000000000001";

fn credential(sim: &Running, secret: &str) -> Arc<ClientSecretCredential> {
    let mut cloud = CustomConfiguration::default();
    cloud.authority_host = sim.url();
    let client_options = ClientOptions {
        transport: Some(transport(sim)),
        cloud: Some(Arc::new(CloudConfiguration::Custom(cloud))),
        ..ClientOptions::default()
    };
    let options = ClientSecretCredentialOptions { client_options };
    let secret = Secret::new(secret.to_owned());
    ClientSecretCredential::new(TENANT, "app".to_owned(), secret, Some(options)).expect("a credential")
}

#[tokio::test]
async fn the_first_call_is_challenged_and_then_sent_whole() {
    let sim = Sim::start(SimConfig::quick()).expect("starts");
    create(&client(&sim), "issuer", KeyType::Ec, CurveName::P256).await;
    let rows = sim.log();
    let seen: Vec<(&str, u64)> = rows
        .iter()
        .map(|row| {
            let status = row["properties"]["httpStatusCode"].as_u64().expect("a status");
            (row["operationName"].as_str().expect("a name"), status)
        })
        .collect();
    assert_eq!(seen, [("Authentication", 401), ("KeyCreate", 200)]);
}

#[tokio::test]
async fn a_client_secret_gets_a_token_and_the_log_knows_the_application() {
    let clients = vec![("app".to_owned(), "right".to_owned())];
    let access =
        AccessConfig { clients, check_expiry: true, check_audience: true, ..AccessConfig::default() };
    let sim = Sim::start(SimConfig { access, ..SimConfig::quick() }).expect("starts");
    let client = client_at(&sim, &sim.url(), credential(&sim, "right"));
    create(&client, "issuer", KeyType::Ec, CurveName::P256).await;
    let rows = sim.log();
    assert_eq!(rows.last().expect("a row")["identity"]["claim"]["appid"], "app");
    let refused = credential(&sim, "wrong").get_token(&["https://vault.azure.net/.default"], None).await;
    assert!(refused.expect_err("a wrong secret").to_string().contains("AADSTS7000215"));
}

#[tokio::test]
async fn a_failing_token_endpoint_fails_until_it_is_mended() {
    let sim = Sim::start(SimConfig::quick()).expect("starts");
    sim.set_fault(FaultSpec::new(FaultKind::TokenEndpoint(400)));
    let scopes = ["https://vault.azure.net/.default"];
    assert!(credential(&sim, "any").get_token(&scopes, None).await.is_err());
    sim.clear_faults();
    let token = credential(&sim, "any").get_token(&scopes, None).await.expect("a token");
    assert_eq!(token.token.secret().split('.').count(), 3);
    assert_eq!(sim.status()["token_requests"], 2);
}
