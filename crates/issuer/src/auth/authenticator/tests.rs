//! Authentication against real token issuers on the loopback device, with a clock that the tests set.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use aws_lc_rs::{hmac, rsa};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::auth::builtin::tests::{CLIENT, SECRET, TENANT, TestClock, issuer_at, request};
use crate::auth::{DEFAULT_AUDIENCE, KeySource, TenantMapping};

const NOW: i64 = 1_738_578_093;

/// An OpenID Connect issuer: a discovery document and a key set, both to be changed by the test.
struct Provider {
    base: String,
    state: Arc<Mutex<State>>,
    /// How often the key set was asked for.
    key_fetches: Arc<AtomicUsize>,
}

struct State {
    status: u16,
    issuer: String,
    keys: Value,
    delay: Duration,
}

impl Provider {
    async fn start(keys: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let state = State { status: 200, issuer: base.clone(), keys, delay: Duration::ZERO };
        let provider =
            Self { base: base.clone(), state: Arc::new(Mutex::new(state)), key_fetches: Arc::default() };
        let (state, key_fetches) = (Arc::clone(&provider.state), Arc::clone(&provider.key_fetches));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (state, key_fetches, base) = (Arc::clone(&state), Arc::clone(&key_fetches), base.clone());
                tokio::spawn(async move {
                    let mut buffer = [0; 4096];
                    while let Ok(read) = stream.read(&mut buffer).await
                        && read > 0
                    {
                        let for_keys = String::from_utf8_lossy(&buffer[..read]).starts_with("GET /keys");
                        if for_keys {
                            key_fetches.fetch_add(1, Ordering::SeqCst);
                        }
                        let (status, body, delay) = {
                            let state = state.lock().unwrap();
                            let discovery =
                                json!({"issuer": state.issuer, "jwks_uri": format!("{base}/keys")});
                            let body = if for_keys { state.keys.clone() } else { discovery };
                            (state.status, body.to_string(), state.delay)
                        };
                        tokio::time::sleep(delay).await;
                        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
                        stream.write_all((head + &body).as_bytes()).await.unwrap();
                    }
                });
            }
        });
        provider
    }

    fn discovery(&self) -> KeySource {
        KeySource::Discovery(format!("{}/.well-known/openid-configuration", self.base).parse().unwrap())
    }

    fn trusted(&self) -> TrustedIssuer {
        TrustedIssuer::new(&*self.base, self.discovery())
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    fn fetches(&self) -> usize {
        self.key_fetches.load(Ordering::SeqCst)
    }

    fn claims(&self) -> Value {
        json!({
            "iss": self.base, "aud": DEFAULT_AUDIENCE, "tid": TENANT, "appid": "front-end",
            "roles": ["VerifiableCredential.Create.All"], "nbf": NOW, "exp": NOW + 360_000,
        })
    }
}

fn rsa_key() -> &'static RsaKeyPair {
    static KEY: OnceLock<RsaKeyPair> = OnceLock::new();
    KEY.get_or_init(|| RsaKeyPair::generate(rsa::KeySize::Rsa2048).unwrap())
}

fn ec_key() -> &'static EcdsaKeyPair {
    static KEY: OnceLock<EcdsaKeyPair> = OnceLock::new();
    KEY.get_or_init(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
}

fn rsa_modulus() -> Vec<u8> {
    rsa_key().public_key().modulus().big_endian_without_leading_zero().to_vec()
}

fn rsa_jwk(kid: &str) -> Value {
    json!({"kty": "RSA", "use": "sig", "kid": kid, "n": URL_SAFE_NO_PAD.encode(rsa_modulus()), "e": "AQAB"})
}

fn ec_jwk(kid: &str) -> Value {
    let point = ec_key().public_key().as_ref();
    let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
    json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": x, "y": y})
}

fn both_keys() -> Value {
    json!({"keys": [rsa_jwk("r"), ec_jwk("e")]})
}

fn signing_input(header: &Value, claims: &Value) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn rs256(kid: &str, claims: &Value) -> String {
    let input = signing_input(&json!({"alg": "RS256", "kid": kid, "typ": "JWT"}), claims);
    let mut signature = vec![0; rsa_key().public_modulus_len()];
    rsa_key().sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature).unwrap();
    format!("Bearer {input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn es256(header: &Value, claims: &Value) -> String {
    let input = signing_input(header, claims);
    let signature = ec_key().sign(&SystemRandom::new(), input.as_bytes()).unwrap();
    format!("Bearer {input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn egress() -> egress::Client {
    let policy = egress::Policy { allow_http_loopback: true, ..egress::Policy::default() };
    egress::Client::new(policy).unwrap()
}

fn authenticator(trusted: Vec<TrustedIssuer>, clock: &Arc<TestClock>) -> Authenticator {
    Authenticator::new(trusted, None, egress(), clock.clone())
}

async fn refusal(authenticator: &Authenticator, header: &str) -> AuthError {
    authenticator.authenticate(Some(header)).await.unwrap_err()
}

#[tokio::test]
async fn tokens_of_a_discovered_issuer_are_accepted() {
    let provider = Provider::start(both_keys()).await;
    let authenticator = authenticator(vec![provider.trusted()], &TestClock::new());
    for header in [
        rs256("r", &provider.claims()),
        es256(&json!({"alg": "ES256", "kid": "e"}), &provider.claims()),
        es256(&json!({"alg": "ES256"}), &provider.claims()),
    ] {
        let caller = authenticator.authenticate(Some(&header)).await.unwrap();
        assert_eq!(caller.tenant, TENANT.parse().unwrap());
        assert_eq!(caller.client.as_str(), "front-end");
        assert!(caller.may_create_issuance());
    }
    assert_eq!(provider.fetches(), 1);
}

#[tokio::test]
async fn keys_may_be_named_without_discovery() {
    let provider = Provider::start(both_keys()).await;
    let keys = KeySource::Jwks(format!("{}/keys", provider.base).parse().unwrap());
    let authenticator = authenticator(vec![TrustedIssuer::new(&*provider.base, keys)], &TestClock::new());
    assert!(authenticator.authenticate(Some(&rs256("r", &provider.claims()))).await.is_ok());
}

#[tokio::test]
async fn headers_without_a_token_are_refused() {
    let authenticator = authenticator(Vec::new(), &TestClock::new());
    assert_eq!(authenticator.authenticate(None).await, Err(AuthError::MissingHeader));
    assert_eq!(refusal(&authenticator, "Basic abc").await, AuthError::NotBearer);
    assert_eq!(refusal(&authenticator, "Bearer abc").await, AuthError::Malformed);
}

#[tokio::test]
async fn an_issuer_that_is_not_configured_is_refused_without_a_call() {
    let provider = Provider::start(both_keys()).await;
    let authenticator = authenticator(vec![provider.trusted()], &TestClock::new());
    for iss in [json!("https://evil.example"), json!(format!("{}/", provider.base)), json!(7), json!(null)] {
        let mut claims = provider.claims();
        claims["iss"] = iss;
        assert_eq!(refusal(&authenticator, &rs256("r", &claims)).await, AuthError::UnknownIssuer);
    }
    assert_eq!(provider.fetches(), 0);
}

#[tokio::test]
async fn a_changed_token_is_refused() {
    let provider = Provider::start(both_keys()).await;
    let authenticator = authenticator(vec![provider.trusted()], &TestClock::new());
    let header = rs256("r", &provider.claims());
    let mut changed = provider.claims();
    changed["appid"] = json!("other");
    let (head, signature) = (header.split('.').next().unwrap(), header.rsplit('.').next().unwrap());
    let body = URL_SAFE_NO_PAD.encode(changed.to_string());
    assert_eq!(refusal(&authenticator, &format!("{head}.{body}.{signature}")).await, AuthError::BadSignature);
    let unsigned = format!("{}.", header.rsplit_once('.').unwrap().0);
    assert_eq!(refusal(&authenticator, &unsigned).await, AuthError::BadSignature);
    assert!(authenticator.authenticate(Some(&header)).await.is_ok());
}

#[tokio::test]
async fn the_header_does_not_choose_the_algorithm() {
    let provider = Provider::start(both_keys()).await;
    let authenticator = authenticator(vec![provider.trusted()], &TestClock::new());
    let claims = provider.claims();
    // The public key as a shared secret.
    let input = signing_input(&json!({"alg": "HS256", "kid": "r"}), &claims);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &rsa_modulus()), input.as_bytes());
    let confused = format!("Bearer {input}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()));
    assert_eq!(refusal(&authenticator, &confused).await, AuthError::AlgorithmNotAllowed);
    let none = format!("Bearer {}.", signing_input(&json!({"alg": "none"}), &claims));
    assert_eq!(refusal(&authenticator, &none).await, AuthError::AlgorithmNotAllowed);
    // Known to us, but not configured for this issuer.
    let ps256 = format!("Bearer {}.AAAA", signing_input(&json!({"alg": "PS256", "kid": "r"}), &claims));
    assert_eq!(refusal(&authenticator, &ps256).await, AuthError::AlgorithmNotAllowed);
    // The RSA key's id with an EC signature.
    let crossed = es256(&json!({"alg": "ES256", "kid": "r"}), &claims);
    assert_eq!(refusal(&authenticator, &crossed).await, AuthError::UnknownKey);
}

#[tokio::test]
async fn claims_are_checked_after_the_signature() {
    let provider = Provider::start(both_keys()).await;
    let clock = TestClock::new();
    let authenticator = authenticator(vec![provider.trusted()], &clock);
    for (name, value, expected) in [
        ("aud", json!("other"), AuthError::WrongAudience),
        ("exp", json!(NOW - 61), AuthError::Expired),
        ("nbf", json!(NOW + 61), AuthError::NotYetValid),
        ("tid", json!("other"), AuthError::WrongTenant),
        ("tid", json!(null), AuthError::MissingTenant),
        ("appid", json!(null), AuthError::MissingClient),
    ] {
        let mut claims = provider.claims();
        claims[name] = value;
        assert_eq!(refusal(&authenticator, &rs256("r", &claims)).await, expected);
        // Without the signature nothing is said about the claims.
        let forged = rs256("r", &claims).rsplit_once('.').unwrap().0.to_owned() + ".AAAA";
        assert_eq!(refusal(&authenticator, &forged).await, AuthError::BadSignature);
    }
}

#[tokio::test]
async fn a_multi_tenant_issuer_is_bound_to_the_tokens_tenant() {
    let mut key = rsa_jwk("r");
    let provider = Provider::start(Value::Null).await;
    let template = format!("{}/{{tenantid}}/v2.0", provider.base);
    key["issuer"] = json!(template);
    let mut foreign = rsa_jwk("f");
    foreign["issuer"] = json!(format!("{}/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0", provider.base));
    provider.set(|state| {
        state.keys = json!({"keys": [key, foreign]});
        state.issuer.clone_from(&template);
    });
    let trusted = TrustedIssuer {
        tenants: TenantMapping::Map([(TENANT.to_owned(), TENANT.parse().unwrap())].into()),
        ..TrustedIssuer::new(template, provider.discovery())
    };
    let authenticator = authenticator(vec![trusted], &TestClock::new());
    let of_tenant = |tenant: &str, tid: &str| {
        let mut claims = provider.claims();
        claims["iss"] = json!(format!("{}/{tenant}/v2.0", provider.base));
        claims["tid"] = json!(tid);
        claims
    };
    let other = "b5f1c9d2-0000-4000-8000-00000000abcd";
    assert!(authenticator.authenticate(Some(&rs256("r", &of_tenant(TENANT, TENANT)))).await.is_ok());
    assert_eq!(
        refusal(&authenticator, &rs256("r", &of_tenant(other, TENANT))).await,
        AuthError::UnknownIssuer
    );
    assert_eq!(refusal(&authenticator, &rs256("r", &of_tenant(other, other))).await, AuthError::WrongTenant);
    assert_eq!(refusal(&authenticator, &rs256("f", &of_tenant(TENANT, TENANT))).await, AuthError::UnknownKey);
}

#[tokio::test]
async fn an_unknown_key_causes_one_fetch_in_30_s() {
    let provider = Provider::start(both_keys()).await;
    let clock = TestClock::new();
    let authenticator = authenticator(vec![provider.trusted()], &clock);
    assert_eq!(refusal(&authenticator, &rs256("x", &provider.claims())).await, AuthError::UnknownKey);
    assert_eq!(provider.fetches(), 1, "the first fetch is not repeated at once");
    clock.advance_secs(29);
    assert_eq!(refusal(&authenticator, &rs256("x", &provider.claims())).await, AuthError::UnknownKey);
    assert_eq!(provider.fetches(), 1);
    clock.advance_secs(1);
    for kid in ["x", "y", "z"] {
        assert_eq!(refusal(&authenticator, &rs256(kid, &provider.claims())).await, AuthError::UnknownKey);
    }
    assert_eq!(provider.fetches(), 2);
    // The issuer rotates: its new key is found half a minute later at the latest.
    provider.set(|state| state.keys = json!({"keys": [rsa_jwk("x")]}));
    clock.advance_secs(30);
    assert!(authenticator.authenticate(Some(&rs256("x", &provider.claims()))).await.is_ok());
    assert_eq!(provider.fetches(), 3);
}

#[tokio::test]
async fn many_callers_cause_one_fetch() {
    let provider = Provider::start(both_keys()).await;
    provider.set(|state| state.delay = Duration::from_millis(100));
    let authenticator = authenticator(vec![provider.trusted()], &TestClock::new());
    let headers: Vec<_> = (0..20)
        .map(|n| {
            let mut claims = provider.claims();
            claims["jti"] = json!(n);
            rs256("r", &claims)
        })
        .collect();
    let callers = headers.iter().map(|header| authenticator.authenticate(Some(header)));
    let outcomes = futures_util::future::join_all(callers).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(provider.fetches(), 1);
}

#[tokio::test]
async fn keys_that_cannot_be_fetched_are_told_from_wrong_tokens() {
    let provider = Provider::start(both_keys()).await;
    let clock = TestClock::new();
    let authenticator = authenticator(vec![provider.trusted()], &clock);
    let header = rs256("r", &provider.claims());
    provider.set(|state| state.status = 503);
    assert_eq!(refusal(&authenticator, &header).await, AuthError::KeysUnavailable);
    provider.set(|state| state.status = 200);
    clock.advance_secs(4);
    assert_eq!(
        refusal(&authenticator, &header).await,
        AuthError::KeysUnavailable,
        "the pause after a failure"
    );
    assert_eq!(provider.fetches(), 0);
    clock.advance_secs(1);
    assert!(authenticator.authenticate(Some(&header)).await.is_ok());
}

#[tokio::test]
async fn unusable_documents_leave_the_keys_unavailable() {
    let provider = Provider::start(json!({"no": "keys"})).await;
    let header = rs256("r", &provider.claims());
    let fresh = || authenticator(vec![provider.trusted()], &TestClock::new());
    assert_eq!(refusal(&fresh(), &header).await, AuthError::KeysUnavailable);
    provider.set(|state| {
        state.keys = both_keys();
        state.issuer = "https://evil.example".to_owned();
    });
    assert_eq!(
        refusal(&fresh(), &header).await,
        AuthError::KeysUnavailable,
        "the document of another issuer"
    );
    provider.set(|state| state.issuer.clone_from(&provider.base));
    assert!(fresh().authenticate(Some(&header)).await.is_ok());
}

#[tokio::test]
async fn a_private_address_of_an_issuer_is_not_called() {
    let provider = Provider::start(both_keys()).await;
    let strict = egress::Client::new(egress::Policy::default()).unwrap();
    let authenticator = Authenticator::new(vec![provider.trusted()], None, strict, TestClock::new());
    assert_eq!(refusal(&authenticator, &rs256("r", &provider.claims())).await, AuthError::KeysUnavailable);
    assert_eq!(provider.fetches(), 0);
}

fn claims_with_id(provider: &Provider, id: &str) -> Value {
    let mut claims = provider.claims();
    claims["jti"] = json!(id);
    claims
}

#[tokio::test]
async fn old_keys_serve_a_day_while_the_issuer_is_silent() {
    let provider = Provider::start(both_keys()).await;
    let clock = TestClock::new();
    let authenticator = authenticator(vec![provider.trusted()], &clock);
    assert!(authenticator.authenticate(Some(&rs256("r", &provider.claims()))).await.is_ok());
    provider.set(|state| state.status = 500);
    clock.advance_secs(86_399);
    assert!(authenticator.authenticate(Some(&rs256("r", &claims_with_id(&provider, "2")))).await.is_ok());
    clock.advance_secs(10);
    let late = rs256("r", &claims_with_id(&provider, "3"));
    assert_eq!(refusal(&authenticator, &late).await, AuthError::KeysUnavailable);
}

#[tokio::test]
async fn aged_keys_are_replaced_without_anybody_waiting() {
    let provider = Provider::start(both_keys()).await;
    let clock = TestClock::new();
    let authenticator = authenticator(vec![provider.trusted()], &clock);
    assert!(authenticator.authenticate(Some(&rs256("r", &provider.claims()))).await.is_ok());
    provider.set(|state| state.keys = json!({"keys": [ec_jwk("e")]}));
    clock.advance_secs(3601);
    assert!(authenticator.authenticate(Some(&rs256("r", &claims_with_id(&provider, "2")))).await.is_ok());
    let withdrawn = rs256("r", &claims_with_id(&provider, "3"));
    let mut last = Ok(());
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        // Until the refresh is through, the old key still counts; asking anew must not come from the memory of tokens.
        authenticator.accepted.clear();
        last = authenticator.authenticate(Some(&withdrawn)).await.map(drop);
        if last.is_err() {
            break;
        }
    }
    assert_eq!(last, Err(AuthError::UnknownKey));
    assert_eq!(provider.fetches(), 2);
}

#[tokio::test]
async fn an_accepted_token_is_remembered_for_five_minutes() {
    let provider = Provider::start(both_keys()).await;
    let clock = TestClock::new();
    let mut authenticator = authenticator(vec![provider.trusted()], &clock);
    let header = rs256("r", &provider.claims());
    let caller = authenticator.authenticate(Some(&header)).await.unwrap();
    // Nothing can be verified any more: whatever is accepted now comes from memory.
    authenticator.sources.clear();
    clock.advance_secs(299);
    assert_eq!(authenticator.authenticate(Some(&header)).await, Ok(caller));
    let other = rs256("r", &claims_with_id(&provider, "2"));
    assert_eq!(refusal(&authenticator, &other).await, AuthError::UnknownIssuer);
    clock.advance_secs(1);
    assert_eq!(refusal(&authenticator, &header).await, AuthError::UnknownIssuer);
}

#[tokio::test]
async fn tokens_of_the_built_in_issuer_are_accepted_until_they_expire() {
    let clock = TestClock::new();
    let builtin = issuer_at(Arc::clone(&clock));
    let authenticator = Authenticator::new(Vec::new(), Some(Arc::clone(&builtin)), egress(), clock.clone());
    let token = builtin.token(request(CLIENT, SECRET)).await.unwrap().access_token;
    let header = format!("bearer {token}");
    let caller = authenticator.authenticate(Some(&header)).await.unwrap();
    assert_eq!(caller.tenant, TENANT.parse().unwrap());
    assert_eq!(caller.client.as_str(), CLIENT);
    assert!(caller.token_id.is_some() && caller.may_create_issuance());
    clock.advance_secs(3599 + 59);
    assert!(authenticator.authenticate(Some(&header)).await.is_ok());
    clock.advance_secs(1);
    assert_eq!(refusal(&authenticator, &header).await, AuthError::Expired);
}

#[tokio::test]
async fn another_key_under_the_built_in_issuers_name_is_refused() {
    let clock = TestClock::new();
    let (own, other) = (issuer_at(Arc::clone(&clock)), issuer_at(Arc::clone(&clock)));
    let authenticator = Authenticator::new(Vec::new(), Some(Arc::clone(&own)), egress(), clock.clone());
    let foreign = other.token(request(CLIENT, SECRET)).await.unwrap().access_token;
    assert_eq!(refusal(&authenticator, &format!("Bearer {foreign}")).await, AuthError::UnknownKey);
    let kid = own.jwks()["keys"][0]["kid"].clone();
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(foreign.split('.').nth(1).unwrap()).unwrap()).unwrap();
    let forged = es256(&json!({"alg": "ES256", "kid": kid}), &claims);
    assert_eq!(refusal(&authenticator, &forged).await, AuthError::BadSignature);
    let unnamed = es256(&json!({"alg": "ES256"}), &claims);
    assert_eq!(refusal(&authenticator, &unnamed).await, AuthError::BadSignature);
    let rs = rs256("r", &claims);
    assert_eq!(refusal(&authenticator, &rs).await, AuthError::AlgorithmNotAllowed);
}

#[tokio::test]
async fn the_published_key_set_of_the_built_in_issuer_serves_others() {
    let clock = TestClock::new();
    let builtin = issuer_at(Arc::clone(&clock));
    let provider = Provider::start(builtin.jwks()).await;
    let keys = KeySource::Jwks(format!("{}/keys", provider.base).parse().unwrap());
    let elsewhere = authenticator(vec![TrustedIssuer::new(builtin.issuer(), keys)], &clock);
    let token = builtin.token(request(CLIENT, SECRET)).await.unwrap().access_token;
    assert!(elsewhere.authenticate(Some(&format!("Bearer {token}"))).await.is_ok());
}
