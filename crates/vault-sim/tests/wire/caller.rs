//! A plain HTTPS caller that sees everything an official client hides.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use vault_sim::{Running, Sim, SimConfig};

pub struct Caller {
    pub sim: Running,
    pub http: Client,
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
    pub body: Value,
}

impl Reply {
    pub async fn read(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a body");
        let body = serde_json::from_str(&text).unwrap_or_default();
        Self { status, headers, text, body }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }

    /// Status, code and inner code.
    pub fn error(&self) -> (u16, &str, Option<&str>) {
        let error = &self.body["error"];
        (self.status, error["code"].as_str().unwrap_or_default(), error["innererror"]["code"].as_str())
    }
}

pub fn http(ca_pem: &str) -> Client {
    let ca = reqwest::Certificate::from_pem(ca_pem.as_bytes()).expect("a certificate");
    let builder = Client::builder().tls_certs_only([ca]).retry(reqwest::retry::never());
    builder.timeout(Duration::from_secs(30)).build().expect("a client")
}

impl Caller {
    pub fn start(config: SimConfig) -> Self {
        let sim = Sim::start(config).expect("starts");
        let http = http(sim.ca_pem());
        Self { sim, http }
    }

    pub fn quick() -> Self {
        Self::start(SimConfig::quick())
    }

    /// With the token `any` and API version 7.4.
    pub async fn try_call(&self, method: Method, path: &str, body: &Value) -> reqwest::Result<Response> {
        let mark = if path.contains('?') { '&' } else { '?' };
        let url = format!("{}{path}{mark}api-version=7.4", self.sim.url());
        let request = self.http.request(method, url).bearer_auth("any");
        let request = if body.is_null() { request } else { request.json(body) };
        request.send().await
    }

    pub async fn call(&self, method: Method, path: &str, body: &Value) -> Reply {
        Reply::read(self.try_call(method, path, body).await.expect("an answer")).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, &Value::Null).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.call(Method::POST, path, body).await
    }

    /// Makes the key `issuer` on P-256.
    pub async fn with_key(self) -> Self {
        let made = self.post("/keys/issuer/create", &json!({"kty": "EC"})).await;
        assert_eq!(made.status, 200, "{}", made.text);
        self
    }

    pub async fn sign(&self) -> Reply {
        self.post("/keys/issuer/sign", &sign_body()).await
    }
}

pub fn sign_body() -> Value {
    json!({"alg": "ES256", "value": URL_SAFE_NO_PAD.encode([7; 32])})
}

/// Whether an answer of `sign` holds a signature by the key `issuer`.
pub async fn is_good(caller: &Caller, signed: &Reply) -> bool {
    let body = json!({
        "alg": "ES256", "digest": URL_SAFE_NO_PAD.encode([7; 32]), "value": signed.body["value"],
    });
    let verified = caller.post("/keys/issuer/verify", &body).await;
    verified.status == 200 && verified.body["value"] == true
}
