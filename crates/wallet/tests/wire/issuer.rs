//! A made-up issuer: a key, and every message of an issuance in its good form, for tests to alter.

use serde_json::{Value, json};
use wallet::holder::{Holder, HolderKind};

/// The issuer at an origin.
pub struct Issuer {
    /// Signs; its own DID is not used.
    pub key: Holder,
    /// `https://host:port`, without a slash at the end.
    pub origin: String,
    /// Its `did:web`.
    pub did: String,
    /// When its messages are made.
    pub now: i64,
}

impl Issuer {
    pub fn new(kind: HolderKind, authority: &str, now: i64) -> Self {
        Self {
            key: Holder::generate(kind).unwrap(),
            origin: format!("https://{authority}"),
            did: format!("did:web:{}", authority.replace(':', "%3A")),
            now,
        }
    }

    /// A compact JWS of `payload` under the issuer's DID.
    pub fn sign(&self, payload: &Value) -> String {
        self.sign_as(&format!("{}#key-1", self.did), payload)
    }

    pub fn sign_as(&self, kid: &str, payload: &Value) -> String {
        self.key.sign_jws(json!({"kid": kid}).as_object().unwrap(), payload).unwrap()
    }

    pub fn document(&self) -> Value {
        json!({
            "id": self.did,
            "verificationMethod": [{"id": "#key-1", "type": "JsonWebKey2020", "controller": self.did,
                "publicKeyJwk": self.key.public().to_jwk()}],
            "authentication": ["#key-1"],
            "assertionMethod": ["#key-1"],
            "service": [{"id": "#linkeddomains", "type": "LinkedDomains",
                "serviceEndpoint": {"origins": [format!("{}/", self.origin)]}}]
        })
    }

    pub fn linkage(&self) -> Value {
        json!({
            "iss": self.did, "sub": self.did, "nbf": self.now - 10, "exp": self.now + 1_000,
            "vc": {
                "@context": ["https://www.w3.org/2018/credentials/v1",
                    "https://identity.foundation/.well-known/contexts/did-configuration-v0.0.jsonld"],
                "issuer": self.did, "issuanceDate": "2026-11-20T00:00:00Z", "expirationDate": "2027-11-20T00:00:00Z",
                "type": ["VerifiableCredential", "DomainLinkageCredential"],
                "credentialSubject": {"id": self.did, "origin": format!("{}/", self.origin)}
            }
        })
    }

    pub fn configuration(&self) -> Value {
        json!({
            "@context": "https://identity.foundation/.well-known/contexts/did-configuration-v0.0.jsonld",
            "linked_dids": [self.sign(&self.linkage())]
        })
    }

    /// A request with a hint and without a PIN.
    pub fn request(&self) -> Value {
        json!({
            "jti": "6f0c", "iat": self.now, "exp": self.now + 300, "iss": self.did, "client_id": self.did,
            "response_type": "id_token", "response_mode": "post", "scope": "openid",
            "nonce": "b2x", "state": "c3Rh", "prompt": "create",
            "redirect_uri": format!("{}/complete", self.origin),
            "registration": {
                "client_name": "Contoso", "client_purpose": "a test", "logo_uri": "https://a/b.png", "tos_uri": "https://a/c",
                "subject_syntax_types_supported": ["did:jwk", "did:ion"],
                "vp_formats": {"jwt_vp": {"alg": ["ES256", "ES256K"]}, "jwt_vc": {"alg": ["ES256K"]}}
            },
            "claims": {"vp_token": {"presentation_definition": {"id": "d", "input_descriptors": [{
                "id": "Badge", "schema": [{"uri": "ContosoBadge"}],
                "issuance": [{"manifest": format!("{}/manifest?request=6f0c", self.origin)}]
            }]}}},
            "id_token_hint": "aGlu.dC4.dA"
        })
    }

    /// A contract that takes a hint.
    pub fn contract(&self) -> Value {
        json!({
            "id": "badge",
            "display": {
                "id": "display", "locale": "en-US", "contract": format!("{}/manifest", self.origin),
                "card": {"title": "Badge", "issuedBy": "Contoso", "backgroundColor": "#000000", "textColor": "#ffffff",
                    "description": "Who works here", "logo": {"uri": "https://a/b.png", "description": "a logo"}},
                "consent": {"title": "Do you want it?", "instructions": "Sign in"},
                "claims": {"vc.credentialSubject.firstName": {"type": "String", "label": "First name"}}
            },
            "input": {
                "id": "input", "credentialIssuer": format!("{}/issue", self.origin), "issuer": self.did,
                "attestations": {"idTokens": [{
                    "id": "https://self-issued.me", "encrypted": false, "required": true,
                    "configuration": "https://self-issued.me", "client_id": "", "redirect_uri": "",
                    "claims": [{"claim": "$.given_name", "required": true, "indexed": false}]
                }]}
            },
            "iss": self.did, "iat": self.now
        })
    }

    pub fn credential(&self, holder: &str) -> Value {
        json!({
            "jti": "urn:pic:aea42fb3724b4ef08bd2d2712e79bda2", "iss": self.did, "sub": holder,
            "iat": self.now, "exp": self.now + 86_400,
            "vc": {
                "@context": ["https://www.w3.org/2018/credentials/v1"],
                "type": ["VerifiableCredential", "ContosoBadge"],
                "credentialSubject": {"firstName": "Ada"},
                "credentialStatus": {"id": "urn:uuid:1?bit-index=4", "type": "RevocationList2021Status"}
            }
        })
    }
}
