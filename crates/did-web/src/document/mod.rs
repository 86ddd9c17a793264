//! Renders `did.json` and `did-configuration.json`.
//!
//! Owns their bytes: deterministic, compact, UTF-8 without a byte order mark, members in the order in which Entra
//! writes them. It must not choose keys: it lists every key whose state says that it is published.

#[cfg(test)]
pub(crate) mod tests;

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::key::SigningKey;
use domain::{Did, SignatureAlgorithm};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::address::Origin;

/// The largest document that is published or accepted when fetched.
pub const MAX_DOCUMENT_BYTES: usize = 64 * 1024;

const DID_CONTEXT: &str = "https://www.w3.org/ns/did/v1";
const JWS_2020_CONTEXT: &str = "https://w3id.org/security/suites/jws-2020/v1";
const SECP256K1_2019_CONTEXT: &str = "https://w3id.org/security/suites/secp256k1-2019/v1";
/// Entra's wallets know this one only; it has to be a single string for them.
const CONFIGURATION_CONTEXT: &str =
    "https://identity.foundation/.well-known/contexts/did-configuration-v0.0.jsonld";

/// How ids inside the document are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IdForm {
    /// `#fragment`, with an `@base` context entry that makes them absolute. Entra wallets read nothing else.
    #[default]
    Relative,
    /// `did:web:…#fragment`, as the did:web method asks for. For sites without Entra wallets.
    Absolute,
}

/// What stands in a DID document.
#[derive(Debug, Clone, Copy)]
pub struct DocumentInput<'a> {
    /// The subject.
    pub did: &'a Did,
    /// The authority's keys in any state; the published ones are listed, newest first.
    pub keys: &'a [SigningKey],
    /// The linked domains; wallets look at the first one only.
    pub linked_domains: &'a [Origin],
    /// Where an Entra identity hub would be, if one is to be named.
    pub hub: Option<&'a str>,
    /// How ids are written.
    pub ids: IdForm,
}

impl<'a> DocumentInput<'a> {
    /// The keys that the document lists, newest first: operators and Entra's own pages take the first one for the
    /// current one. Equal times are ordered by id, so that the bytes do not depend on the caller's order.
    pub(crate) fn listed(&self) -> Vec<&'a SigningKey> {
        let mut keys: Vec<_> = self.keys.iter().filter(|key| key.state.is_published()).collect();
        keys.sort_by(|a, b| b.prepared_at.cmp(&a.prepared_at).then_with(|| a.id.cmp(&b.id)));
        keys
    }

    fn id(&self, fragment: &str) -> String {
        match self.ids {
            IdForm::Relative => format!("#{fragment}"),
            IdForm::Absolute => format!("{}#{fragment}", self.did),
        }
    }
}

/// A document's bytes and their name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Compact JSON in UTF-8.
    pub bytes: Vec<u8>,
    /// The bytes' SHA-256 in hexadecimal, quoted: a strong entity tag (RFC 9110, section 8.8.3).
    pub etag: String,
}

impl Rendered {
    #[expect(
        clippy::expect_used,
        reason = "strings and lists of strings only: nothing that JSON cannot express"
    )]
    fn of(document: &impl Serialize) -> Self {
        let bytes = serde_json::to_vec(document).expect("a document of strings");
        let mut etag = String::with_capacity(66);
        etag.push('"');
        for byte in Sha256::digest(&bytes) {
            write!(etag, "{byte:02x}").expect("a string takes any text");
        }
        etag.push('"');
        Self { bytes, etag }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    id: &'a str,
    #[serde(rename = "@context")]
    context: Vec<Context<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    service: Vec<Service<'a>>,
    #[serde(rename = "verificationMethod")]
    verification_method: Vec<Method<'a>>,
    authentication: Vec<String>,
    #[serde(rename = "assertionMethod")]
    assertion_method: Vec<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Context<'a> {
    Url(&'static str),
    Base {
        #[serde(rename = "@base")]
        base: &'a str,
    },
}

#[derive(Serialize)]
struct Service<'a> {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "serviceEndpoint")]
    endpoint: Endpoint<'a>,
}

/// Always an object: a bare string makes one of the wallet libraries refuse the whole document.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Endpoint<'a> {
    Origins(&'a [Origin]),
    Instances([&'a str; 1]),
}

#[derive(Serialize)]
struct Method<'a> {
    id: String,
    controller: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "publicKeyJwk")]
    jwk: Jwk,
}

/// The public members only, in Entra's order (RFC 7518 section 6.2.1, RFC 8812 section 3.1).
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Jwk {
    pub(crate) crv: &'static str,
    pub(crate) kty: &'static str,
    pub(crate) x: String,
    pub(crate) y: String,
}

impl Jwk {
    pub(crate) fn of(key: &SigningKey) -> Self {
        let crv = match key.algorithm {
            SignatureAlgorithm::Es256 => "P-256",
            SignatureAlgorithm::Es256k => "secp256k1",
            SignatureAlgorithm::Es384 => "P-384",
        };
        let (x, y) = (URL_SAFE_NO_PAD.encode(key.public.x()), URL_SAFE_NO_PAD.encode(key.public.y()));
        Self { crv, kty: "EC", x, y }
    }
}

fn method_type(algorithm: SignatureAlgorithm) -> &'static str {
    match algorithm {
        SignatureAlgorithm::Es256 | SignatureAlgorithm::Es384 => "JsonWebKey2020",
        SignatureAlgorithm::Es256k => "EcdsaSecp256k1VerificationKey2019",
    }
}

/// The DID document. Every listed key is in both relationships: credentials need `assertionMethod`, request objects
/// need `authentication`.
#[must_use]
pub fn document(input: &DocumentInput<'_>) -> Rendered {
    let keys = input.listed();
    let did = input.did.as_str();
    let ids: Vec<String> = keys.iter().map(|key| input.id(key.id.as_str())).collect();
    Rendered::of(&Document {
        id: did,
        context: contexts(input, &keys),
        service: services(input),
        verification_method: keys
            .iter()
            .map(|key| Method {
                id: input.id(key.id.as_str()),
                controller: did,
                kind: method_type(key.algorithm),
                jwk: Jwk::of(key),
            })
            .collect(),
        authentication: ids.clone(),
        assertion_method: ids,
    })
}

fn contexts<'a>(input: &DocumentInput<'a>, keys: &[&SigningKey]) -> Vec<Context<'a>> {
    let mut contexts = vec![Context::Url(DID_CONTEXT)];
    match input.ids {
        IdForm::Relative => contexts.push(Context::Base { base: input.did.as_str() }),
        IdForm::Absolute => {
            // A suite's context only where its keys occur: each one is a thing more that a strict reader must know.
            for (kind, url) in [
                ("JsonWebKey2020", JWS_2020_CONTEXT),
                ("EcdsaSecp256k1VerificationKey2019", SECP256K1_2019_CONTEXT),
            ] {
                if keys.iter().any(|key| method_type(key.algorithm) == kind) {
                    contexts.push(Context::Url(url));
                }
            }
        }
    }
    contexts
}

fn services<'a>(input: &DocumentInput<'a>) -> Vec<Service<'a>> {
    let mut services = Vec::new();
    if !input.linked_domains.is_empty() {
        services.push(Service {
            id: input.id("linkeddomains"),
            kind: "LinkedDomains",
            endpoint: Endpoint::Origins(input.linked_domains),
        });
    }
    if let Some(hub) = input.hub {
        services.push(Service {
            id: input.id("hub"),
            kind: "IdentityHub",
            endpoint: Endpoint::Instances([hub]),
        });
    }
    services
}

#[derive(Serialize)]
struct Configuration<'a> {
    #[serde(rename = "@context")]
    context: &'static str,
    linked_dids: &'a [&'a str],
}

/// The DID configuration of an origin: compact JWS linkage credentials, ours first because one of the wallet libraries
/// looks at the first entry only (DIF Well Known DID Configuration, in the version that Entra serves).
#[must_use]
pub fn did_configuration(linked: &[&str]) -> Rendered {
    Rendered::of(&Configuration { context: CONFIGURATION_CONTEXT, linked_dids: linked })
}
