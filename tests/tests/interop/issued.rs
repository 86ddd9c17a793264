//! One issuance against a running server, with everything that it signs and publishes kept as text. Owns how it is obtained.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credenza_tests::process::{Answer, Credenza, Options};
use credenza_tests::wallet::Wallet;
use serde_json::{Value, json};

/// What there is to judge.
pub struct Issued {
    /// The authority's DID.
    pub did: String,
    /// The holder's DID.
    pub holder: String,
    /// `did.json` as served.
    pub document: String,
    /// The domain linkage credential of `did-configuration.json`.
    pub linkage: String,
    /// The request object.
    pub request: String,
    /// The signed contract.
    pub contract: String,
    /// The credential.
    pub credential: String,
}

/// Issues a credential on a fresh server whose authority signs with `algorithm`.
pub async fn issue(algorithm: &str) -> Issued {
    let options = Options { extra_args: vec!["--algorithm".into(), algorithm.into()], ..Options::default() };
    let credenza = Credenza::start(options).await;
    let ready = credenza.ready();
    let created = credenza
        .create(&json!({
            "authority": ready.authority_did,
            "registration": {"clientName": "Interop"},
            "type": "StudentCard",
            "manifest": ready.manifest_url,
            "claims": {"given_name": "Zsófia \"Zoë\"", "family_name": "O’Neill", "programme": "Law", "student_number": "7"},
        }))
        .await;
    assert_eq!(created.status, 201, "{}", created.text());
    let link = created.json()["url"].as_str().expect("a link").to_owned();
    let (_, address) = url::Url::parse(&link)
        .expect("a link is a URL")
        .query_pairs()
        .find(|(name, _)| name == "request_uri")
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .expect("a link names its request");
    let request = fetch(&credenza, &address).await;
    let wallet = Wallet::new(ready.ca_file.as_deref());
    let report = wallet.accept(&link, &[]).await.expect_success().json();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let kept: Value =
        serde_json::from_slice(&std::fs::read(text(&report["file"])).expect("the wallet keeps it"))
            .expect("the wallet writes JSON");
    let document = fetch(&credenza, &(credenza.base_https() + "/.well-known/did.json")).await;
    let linked = fetch(&credenza, &(credenza.base_https() + "/.well-known/did-configuration.json")).await;
    let linked: Value = serde_json::from_str(&linked).expect("JSON");
    Issued {
        did: ready.authority_did.clone().expect("an authority"),
        holder: text(&report["holder"]),
        document,
        linkage: text(&linked["linked_dids"][0]),
        request,
        contract: text(&kept["contract"]),
        credential: text(&kept["credential"]),
    }
}

async fn fetch(credenza: &Credenza, address: &str) -> String {
    let response = credenza.client().get(address).send().await;
    let answer = Answer::read(response.unwrap_or_else(|error| panic!("{address}: {error:?}"))).await;
    assert_eq!(answer.status, 200, "{address}: {}", answer.text());
    answer.text()
}

impl Issued {
    /// Everything that is signed, with its name.
    pub fn signed(&self) -> [(&'static str, &str); 4] {
        [
            ("request object", &self.request),
            ("contract", &self.contract),
            ("credential", &self.credential),
            ("domain linkage", &self.linkage),
        ]
    }

    /// The document as JSON.
    pub fn document(&self) -> Value {
        serde_json::from_str(&self.document).expect("did.json is JSON")
    }

    /// The public key of a JWS's `kid`, taken from the document.
    pub fn key_of(&self, jws: &str) -> Value {
        let kid = part(jws, 0)["kid"].as_str().expect("a kid").to_owned();
        let fragment = kid.strip_prefix(&self.did).expect("a key of the issuer").to_owned();
        let document = self.document();
        let methods = document["verificationMethod"].as_array().expect("methods").clone();
        let method = methods.into_iter().find(|method| method["id"] == fragment.as_str());
        method.unwrap_or_else(|| panic!("{kid} is not in {document}"))["publicKeyJwk"].clone()
    }
}

/// A part of a compact JWS as JSON: 0 is the header, 1 the payload.
pub fn part(jws: &str, index: usize) -> Value {
    let text = jws.split('.').nth(index).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).expect("base64url without padding")).expect("JSON")
}

/// The same JWS with one claim's text altered and the old signature.
pub fn forged(jws: &str) -> String {
    let mut payload = part(jws, 1);
    payload["forged"] = json!(true);
    let parts: Vec<&str> = jws.split('.').collect();
    format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(payload.to_string()), parts[2])
}
