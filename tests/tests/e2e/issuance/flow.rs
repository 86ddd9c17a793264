//! One issuance, step by step, with the development wallet's parts: every piece can be altered before it is sent.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credenza_tests::process::Answer;
use k256::ecdsa::signature::Signer as _;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use wallet::clock::system_now;
use wallet::credential::{Credential, Expected};
use wallet::holder::{Holder, HolderKind};
use wallet::jws::CompactJws;
use wallet::proof::{ProofInput, build};
use wallet::session::{OpenedContract, OpenedRequest};
use wallet::{link, pin, verify};

use super::fixture::{COMPLETE, Created, Service, send};

/// A request whose object and contract the wallet has fetched and accepted.
pub struct Flow {
    pub service: Service,
    pub created: Created,
    pub opened: OpenedRequest,
    pub contract: OpenedContract,
}

/// A credential that the wallet accepts.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// As it came.
    pub text: String,
    pub credential: Credential,
}

impl Flow {
    /// Creates, scans, fetches and judges.
    pub async fn start(service: &Service, body: &Value) -> Self {
        Self::scan(service, service.created(body).await).await
    }

    /// The wallet's first steps with a request that was created before.
    pub async fn scan(service: &Service, created: Created) -> Self {
        let link = link::parse(&created.link).expect("a link that wallets take");
        let opened = service.session.open(&link, system_now()).await.expect("a request that wallets take");
        let contract =
            service.session.contract(&opened, system_now()).await.expect("a contract that wallets take");
        Self { service: service.clone(), created, opened, contract }
    }

    /// What the wallet answers; alter at will.
    pub fn input<'a>(&'a self, holder: &'a Holder) -> ProofInput<'a> {
        ProofInput::new(holder, &self.opened.request, &self.contract.contract, system_now())
    }

    /// A good proof without PIN and self-issued claims.
    pub fn proof(&self, holder: &Holder) -> String {
        signed(holder, &build(&self.input(holder)))
    }

    /// A proof with the PIN that was typed.
    pub fn proof_with_pin(&self, holder: &Holder, typed: &str) -> String {
        let mut input = self.input(holder);
        let wanted = self.opened.request.pin.as_ref().expect("the request asks for a PIN");
        input.pin = Some(pin::hash(wanted.salt.as_deref(), typed));
        signed(holder, &build(&input))
    }

    /// A proof with claims that the person typed.
    pub fn proof_with_claims(&self, holder: &Holder, claims: &[(&str, &str)]) -> String {
        let mut input = self.input(holder);
        input.self_issued = claims
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>();
        signed(holder, &build(&input))
    }

    /// The payload of a good proof with some members replaced; `null` takes one away.
    pub fn altered(&self, holder: &Holder, changes: Value) -> String {
        let mut payload = build(&self.input(holder));
        let members = payload.as_object_mut().expect("an object");
        for (name, value) in changes.as_object().expect("an object") {
            if value.is_null() {
                members.remove(name);
            } else {
                members.insert(name.clone(), value.clone());
            }
        }
        signed(holder, &payload)
    }

    /// Sends a proof as wallets do and gives the answer as it is.
    pub async fn send(&self, proof: impl Into<String>) -> Answer {
        send_proof(&self.service, proof).await
    }

    /// Sends a proof that has to be accepted and judges the credential.
    pub async fn accepted(&self, holder: &Holder, proof: String) -> Received {
        let answer = self.send(proof).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let body = answer.json();
        let members: Vec<&String> = body.as_object().expect("an object").keys().collect();
        assert_eq!(members, ["vc"]);
        let text = body["vc"].as_str().expect("text").to_owned();
        let expected = Expected {
            issuer: &self.opened.request.issuer,
            holder: Some(holder.did()),
            types: &self.opened.request.types,
            now: system_now(),
        };
        let credential = verify::credential(&text, &self.opened.document, &expected)
            .expect("a credential that wallets take");
        Received { text, credential }
    }

    /// The whole of it with a good proof.
    pub async fn receive(&self, holder: &Holder) -> Received {
        self.accepted(holder, self.proof(holder)).await
    }

    /// The wallet's report that it stored the credential.
    pub async fn complete(&self) -> Answer {
        self.report(json!({"code": "issuance_successful"})).await
    }

    /// The wallet's report that it failed.
    pub async fn fail(&self, details: &str) -> Answer {
        self.report(json!({"code": "issuance_failed", "details": details})).await
    }

    async fn report(&self, mut body: Value) -> Answer {
        body["state"] = json!(self.opened.request.state);
        send(self.service.client.post(self.opened.request.redirect_uri.url().clone()).json(&body)).await
    }

    /// The claims of any token, unverified: also of one that wallets do not read.
    pub fn payload_of(token: &str) -> Value {
        let part = token.split('.').nth(1).expect("three parts");
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
    }

    /// The claims of a text that wallets read, unverified.
    pub fn payload(text: &str) -> Value {
        CompactJws::parse(text).expect("a compact JWS").payload
    }
}

/// POSTs a body to the address where wallets send their proof.
pub async fn send_proof(service: &Service, proof: impl Into<String>) -> Answer {
    let call = service.client.post(service.issue_url()).header(CONTENT_TYPE, "text/plain");
    send(call.body(proof.into())).await
}

/// POSTs a report with any state.
pub async fn send_report(service: &Service, body: &Value) -> Answer {
    send(service.client.post(service.address(COMPLETE)).json(body)).await
}

/// A payload as the holder's JWS.
pub fn signed(holder: &Holder, payload: &Value) -> String {
    holder.sign_jws(&Map::new(), payload).expect("a signature")
}

/// A payload as the holder's JWS with another header.
pub fn signed_with(holder: &Holder, header: Value, payload: &Value) -> String {
    holder.sign_jws(header.as_object().expect("an object"), payload).expect("a signature")
}

/// A new holder of the usual kind.
pub fn holder() -> Holder {
    Holder::generate(HolderKind::JwkP256).expect("a key")
}

/// A payload's text as it is, signed by the did:ion holder of this secret: JSON that no serializer writes.
pub fn signed_text(secret: [u8; 32], payload: &str) -> String {
    let holder = Holder::from_secret(HolderKind::IonSecp256k1, secret).expect("a holder");
    let key = k256::ecdsa::SigningKey::from_slice(&secret).expect("a key");
    let header = json!({"alg": "ES256K", "kid": holder.kid(), "typ": "JWT"}).to_string();
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature: k256::ecdsa::Signature = key.sign(input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}
