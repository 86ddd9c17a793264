//! One wallet and its front end: create, request object, contract, proof, completion, again and again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use wallet::holder::{Holder, HolderKind};

use crate::client::{Answer, Connection};

/// What is asked.
pub struct Target {
    pub https: String,
    pub ca: Vec<u8>,
    pub authority: String,
    pub manifest: String,
    pub token: String,
    pub callback: Option<String>,
    pub qr: bool,
}

/// Milliseconds by step.
#[derive(Default)]
pub struct Samples {
    pub whole: Vec<f64>,
    create: Vec<f64>,
    request: Vec<f64>,
    contract: Vec<f64>,
    proof: Vec<f64>,
    completion: Vec<f64>,
    pub failures: Vec<String>,
}

impl Samples {
    /// Adds another wallet's.
    pub fn add(&mut self, other: Self) {
        self.whole.extend(other.whole);
        self.create.extend(other.create);
        self.request.extend(other.request);
        self.contract.extend(other.contract);
        self.proof.extend(other.proof);
        self.completion.extend(other.completion);
        self.failures.extend(other.failures);
    }

    /// With their names.
    pub fn named(&self) -> [(&'static str, &[f64]); 6] {
        [
            ("create", &self.create),
            ("request object", &self.request),
            ("contract", &self.contract),
            ("proof", &self.proof),
            ("completion", &self.completion),
            ("whole issuance", &self.whole),
        ]
    }
}

/// Issues until `stop`.
pub async fn wallet(target: &Target, stop: &AtomicBool) -> Samples {
    let mut samples = Samples::default();
    let holder = Holder::generate(HolderKind::JwkP256).expect("a holder");
    let mut connection = Connection::open(&target.https, &target.ca).await.expect("a connection");
    while !stop.load(Ordering::Relaxed) {
        if let Err(failure) = once(target, &holder, &mut connection, &mut samples).await {
            samples.failures.push(failure);
            connection = Connection::open(&target.https, &target.ca).await.expect("a connection");
        }
    }
    samples
}

/// Path and query of an absolute address.
fn path(url: &str) -> &str {
    let host_end = url.match_indices('/').nth(2).map_or(url.len(), |(at, _)| at);
    &url[host_end..]
}

fn expect(step: &str, status: u16, answer: &Answer) -> Result<(), String> {
    if answer.status == status {
        return Ok(());
    }
    Err(format!("{step}: {} {}", answer.status, String::from_utf8_lossy(&answer.body)))
}

/// Milliseconds since `last`, which becomes now.
fn lap(last: &mut Instant) -> f64 {
    let now = Instant::now();
    let took = (now - *last).as_secs_f64() * 1e3;
    *last = now;
    took
}

fn payload(jws: &str) -> Value {
    let part = jws.split('.').nth(1).expect("a payload");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

async fn once(
    target: &Target,
    holder: &Holder,
    connection: &mut Connection,
    samples: &mut Samples,
) -> Result<(), String> {
    let lost = |error: std::io::Error| error.to_string();
    let mut body = json!({
        "authority": target.authority,
        "includeQRCode": target.qr,
        "registration": { "clientName": "Load" },
        "type": "load",
        "manifest": target.manifest,
        "claims": { "given_name": "Megan", "family_name": "Bowen", "job_title": "Engineer", "employee_id": "E-1",
                    "programme": "Physics", "student_number": "S-1" },
    });
    if let Some(url) = &target.callback {
        body["callback"] = json!({ "url": url, "state": "load", "headers": { "api-key": "load" } });
    }
    let began = Instant::now();
    let mut last = began;
    let headers = format!("authorization: Bearer {}\r\ncontent-type: application/json\r\n", target.token);
    let create = "/v1.0/verifiableCredentials/createIssuanceRequest";
    let answer = connection.send("POST", create, &headers, &body.to_string()).await.map_err(lost)?;
    expect("create", 201, &answer)?;
    samples.create.push(lap(&mut last));
    let created: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let link = created["url"].as_str().expect("a link");
    let address = link.split_once("request_uri=").expect("a request_uri").1;

    let answer = connection.send("GET", path(address), "", "").await.map_err(lost)?;
    expect("request object", 200, &answer)?;
    samples.request.push(lap(&mut last));
    let request = payload(std::str::from_utf8(&answer.body).expect("text"));
    let descriptor = &request["claims"]["vp_token"]["presentation_definition"]["input_descriptors"][0];
    let manifest = descriptor["issuance"][0]["manifest"].as_str().expect("a manifest").to_owned();

    let answer =
        connection.send("GET", path(&manifest), "x-ms-sign-contract: true\r\n", "").await.map_err(lost)?;
    expect("contract", 200, &answer)?;
    samples.contract.push(lap(&mut last));
    let token: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let contract = payload(token["token"].as_str().expect("a token"));
    let audience = contract["input"]["credentialIssuer"].as_str().expect("an address");

    #[expect(clippy::disallowed_methods, reason = "a phone has a clock of its own")]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_secs();
    let proof = json!({
        "iss": "https://self-issued.me",
        "aud": audience,
        "did": holder.did(),
        "sub": holder.public().thumbprint(),
        "sub_jwk": holder.public().to_jwk(),
        "contract": manifest,
        "jti": uuid::Uuid::new_v4(),
        "iat": now,
        "exp": now + 3600,
        "attestations": { "idTokens": { "https://self-issued.me": request["id_token_hint"] } },
    });
    let proof = holder.sign_jws(&Map::new(), &proof).expect("a proof");
    // Making the proof is the phone's work.
    last = Instant::now();
    let answer = connection
        .send("POST", path(audience), "content-type: text/plain\r\n", &proof)
        .await
        .map_err(lost)?;
    expect("proof", 200, &answer)?;
    samples.proof.push(lap(&mut last));

    let report = json!({ "code": "issuance_successful", "state": request["state"] }).to_string();
    let completion = path(request["redirect_uri"].as_str().expect("an address")).to_owned();
    let headers = "content-type: application/json\r\n";
    let answer = connection.send("POST", &completion, headers, &report).await.map_err(lost)?;
    expect("completion", 202, &answer)?;
    samples.completion.push(lap(&mut last));
    samples.whole.push(began.elapsed().as_secs_f64() * 1e3);
    Ok(())
}
