//! Official clients that trust a simulator.

use std::sync::Arc;

use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::http::{ClientOptions, Transport};
use azure_core::time::{Duration, OffsetDateTime};
use azure_security_keyvault_keys::models::{CreateKeyParameters, CurveName, Key, KeyType};
use azure_security_keyvault_keys::{KeyClient, KeyClientOptions};
use vault_sim::Running;

#[derive(Debug)]
pub struct StaticToken(pub &'static str);

#[async_trait::async_trait]
impl TokenCredential for StaticToken {
    async fn get_token(
        &self,
        _scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        Ok(AccessToken::new(self.0, OffsetDateTime::now_utc_plus_an_hour()))
    }
}

/// The clock through the SDK's own type: the workspace lets nobody else ask the system.
trait AnHourFromNow {
    fn now_utc_plus_an_hour() -> OffsetDateTime;
}

impl AnHourFromNow for OffsetDateTime {
    fn now_utc_plus_an_hour() -> OffsetDateTime {
        OffsetDateTime::from(std::time::SystemTime::UNIX_EPOCH)
            + Duration::nanoseconds(vault_sim::SimClock::system().now().0)
            + Duration::hours(1)
    }
}

pub fn transport(sim: &Running) -> Transport {
    let ca = reqwest::Certificate::from_pem(sim.ca_pem().as_bytes()).expect("a certificate");
    let client = reqwest::Client::builder()
        .tls_certs_merge([ca])
        .retry(reqwest::retry::never())
        .build()
        .expect("a client");
    Transport::new(Arc::new(client))
}

pub fn client_at(sim: &Running, url: &str, credential: Arc<dyn TokenCredential>) -> KeyClient {
    let options = KeyClientOptions {
        client_options: ClientOptions { transport: Some(transport(sim)), ..ClientOptions::default() },
        verify_challenge_resource: Some(false),
        ..KeyClientOptions::default()
    };
    KeyClient::new(url, credential, Some(options)).expect("a key client")
}

pub fn client(sim: &Running) -> KeyClient {
    client_at(sim, &sim.url(), Arc::new(StaticToken("any")))
}

pub async fn create(client: &KeyClient, name: &str, kty: KeyType, curve: CurveName) -> Key {
    let parameters = CreateKeyParameters { kty: Some(kty), curve: Some(curve), ..Default::default() };
    let answer = client.create_key(name, parameters.try_into().expect("JSON"), None).await;
    answer.expect("the key is made").into_model().expect("a key")
}

/// Status and, where there is one, the error code of a failed call.
pub fn status(error: &azure_core::Error) -> (u16, String) {
    match error.kind() {
        azure_core::error::ErrorKind::HttpResponse { status, error_code, .. } => {
            (u16::from(*status), error_code.clone().unwrap_or_default())
        }
        other => panic!("{other:?}: {error}"),
    }
}
