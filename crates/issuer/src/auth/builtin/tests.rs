//! Tests of the built-in issuer: its settings, tokens and documents. Also the fixed issuer that other tests use.

use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::Value;

use super::secret::tests::cheap_hash;
use super::*;

pub(crate) const TENANT: &str = "a5f1c9d2-0000-4000-8000-00000000abcd";
pub(crate) const CLIENT: &str = "c0ffee00-0000-4000-8000-00000000abcd";
pub(crate) const SECRET: &str = "s3cret";

/// A clock that the test sets. Starts at 2025-02-03T10:21:33Z.
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_738_578_093_000)))
    }

    pub(crate) fn advance_secs(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

fn config() -> BuiltinConfig {
    let clients = vec![
        BuiltinClient::new(CLIENT, cheap_hash(SECRET)),
        BuiltinClient {
            roles: vec!["Other.Role".to_owned()],
            ..BuiltinClient::new("App", cheap_hash("other"))
        },
    ];
    BuiltinConfig::new("http://127.0.0.1:8080".parse().unwrap(), TENANT.parse().unwrap(), clients)
}

pub(crate) fn issuer_at(clock: Arc<TestClock>) -> Arc<BuiltinIssuer> {
    Arc::new(BuiltinIssuer::new(config(), BuiltinIssuer::generate_key().unwrap(), clock).unwrap())
}

pub(crate) fn issuer() -> Arc<BuiltinIssuer> {
    issuer_at(TestClock::new())
}

pub(crate) fn request(client: &str, secret: &str) -> TokenRequest {
    TokenRequest {
        grant_type: "client_credentials".to_owned(),
        client_id: client.to_owned(),
        client_secret: Zeroizing::new(secret.to_owned()),
        scope: None,
    }
}

fn claims(token: &str) -> Value {
    let body = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap()
}

#[tokio::test]
async fn a_token_has_the_claims_that_front_ends_read() {
    let response = issuer().token(request(CLIENT, SECRET)).await.unwrap();
    let claims = claims(&response.access_token);
    assert_eq!(claims["iss"], format!("http://127.0.0.1:8080/{TENANT}/v2.0"));
    assert_eq!(claims["aud"], DEFAULT_AUDIENCE);
    assert_eq!(claims["tid"], TENANT);
    for name in ["appid", "azp", "sub", "oid"] {
        assert_eq!(claims[name], CLIENT, "{name}");
    }
    assert_eq!(claims["roles"], json!(["VerifiableCredential.Create.All"]));
    assert_eq!(claims["ver"], "2.0");
    assert_eq!((&claims["iat"], &claims["nbf"]), (&json!(1_738_578_093), &json!(1_738_578_093)));
    assert_eq!(claims["exp"], 1_738_578_093 + 3599);
    assert!(claims["jti"].is_string() && claims["jti"] == claims["uti"]);
    assert!(!format!("{response:?}").contains(&response.access_token));
}

#[tokio::test]
async fn a_client_gets_its_own_roles() {
    let response = issuer().token(request("App", "other")).await.unwrap();
    assert_eq!(claims(&response.access_token)["roles"], json!(["Other.Role"]));
}

#[tokio::test]
async fn client_ids_compare_like_guids_or_exactly() {
    let issuer = issuer();
    assert!(issuer.token(request(&CLIENT.to_uppercase(), SECRET)).await.is_ok());
    assert_eq!(issuer.token(request("app", "other")).await.unwrap_err(), OAuthError::InvalidClient);
}

#[tokio::test]
async fn refused_token_requests() {
    let issuer = issuer();
    for (request, expected) in [
        (request("unknown", SECRET), OAuthError::InvalidClient),
        (request(CLIENT, "wrong"), OAuthError::InvalidClient),
        (request(CLIENT, "other"), OAuthError::InvalidClient),
        (
            TokenRequest { grant_type: "password".to_owned(), ..request(CLIENT, SECRET) },
            OAuthError::UnsupportedGrantType,
        ),
    ] {
        assert_eq!(issuer.token(request).await.unwrap_err(), expected);
    }
}

#[tokio::test]
async fn the_scope_is_the_audiences_default_or_absent() {
    let issuer = issuer();
    let with_scope = |scope: String| TokenRequest { scope: Some(scope), ..request(CLIENT, SECRET) };
    for scope in [
        String::new(),
        format!("{DEFAULT_AUDIENCE}/.default"),
        format!(" {}/.default ", DEFAULT_AUDIENCE.to_uppercase()),
    ] {
        assert!(issuer.token(with_scope(scope.clone())).await.is_ok(), "{scope}");
    }
    for scope in [
        "openid",
        DEFAULT_AUDIENCE,
        "other/.default",
        "/.default",
        &format!("{DEFAULT_AUDIENCE}/.default openid"),
    ] {
        let error = issuer.token(with_scope(scope.to_owned())).await.unwrap_err();
        assert_eq!(error, OAuthError::InvalidScope, "{scope}");
    }
}

#[test]
fn unsafe_settings_are_refused() {
    let refused = |config: BuiltinConfig, key: Zeroizing<Vec<u8>>| {
        BuiltinIssuer::new(config, key, TestClock::new()).err()
    };
    let key = || BuiltinIssuer::generate_key().unwrap();
    assert_eq!(refused(config(), Zeroizing::new(vec![1, 2, 3])), Some(BuiltinError::Key));
    let base = BuiltinConfig { issuer_base: "mailto:a@b.example".parse().unwrap(), ..config() };
    assert_eq!(refused(base, key()), Some(BuiltinError::IssuerBase));
    let base = BuiltinConfig { issuer_base: "https://a.example/?q=1".parse().unwrap(), ..config() };
    assert_eq!(refused(base, key()), Some(BuiltinError::IssuerBase));
    let lifetime = BuiltinConfig { token_lifetime: Duration::from_millis(900), ..config() };
    assert_eq!(refused(lifetime, key()), Some(BuiltinError::Lifetime));
    for ids in [vec![""], vec!["a", "a"], vec![CLIENT, &CLIENT.to_uppercase()]] {
        let clients = ids.iter().map(|id| BuiltinClient::new(*id, cheap_hash("x"))).collect();
        assert_eq!(
            refused(BuiltinConfig { clients, ..config() }, key()),
            Some(BuiltinError::ClientId),
            "{ids:?}"
        );
    }
    let clients = vec![BuiltinClient::new("a", "in clear")];
    let error = refused(BuiltinConfig { clients, ..config() }, key());
    assert_eq!(error, Some(BuiltinError::SecretHash { client: "a".to_owned() }));
    assert_eq!(refused(config(), key()), None);
}

#[test]
fn a_base_with_a_path_keeps_it() {
    let config = BuiltinConfig { issuer_base: "https://host.example/login/".parse().unwrap(), ..config() };
    let issuer =
        BuiltinIssuer::new(config, BuiltinIssuer::generate_key().unwrap(), TestClock::new()).unwrap();
    assert_eq!(issuer.token_endpoint(), format!("https://host.example/login/{TENANT}/oauth2/v2.0/token"));
    assert_eq!(issuer.issuer(), format!("https://host.example/login/{TENANT}/v2.0"));
}

#[test]
fn hashes_do_not_show_in_debug_output() {
    assert!(!format!("{:?}", config()).contains("argon2id"));
}

#[test]
fn the_key_id_is_the_thumbprint_of_the_standard() {
    // RFC 7517, appendix A.1, has the point; the value was computed with an independent implementation of RFC 7638.
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let point = EcPoint::new(
        &decode("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"),
        &decode("4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"),
    )
    .unwrap();
    assert_eq!(thumbprint(&point), "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s");
}

#[test]
fn a_generated_key_is_new_each_time() {
    assert_ne!(*BuiltinIssuer::generate_key().unwrap(), *BuiltinIssuer::generate_key().unwrap());
}
