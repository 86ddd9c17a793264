//! The wallet's answer: the self-signed proof a credential is issued for (wallet protocol, section 4.1). Owns the payload;
//! [`crate::holder::Holder::sign_jws`] signs it, so that a test can alter it in between.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::contract::{Contract, SELF_ISSUED};
use crate::holder::Holder;
use crate::request::IssuanceRequest;

/// Seconds from `iat` to `exp`.
pub const LIFETIME_SECS: i64 = 3600;

/// What goes into a proof.
#[derive(Debug, Clone)]
pub struct ProofInput<'a> {
    /// Who answers.
    pub holder: &'a Holder,
    /// The contract's `credentialIssuer`, verbatim.
    pub audience: &'a str,
    /// The contract's address exactly as it stood in the request.
    pub contract: &'a str,
    /// Seconds since 1970.
    pub now: i64,
    /// Unique per answer.
    pub jti: Uuid,
    /// The request's `id_token_hint`.
    pub hint: Option<&'a str>,
    /// The answer to the PIN, from [`crate::pin::answer`].
    pub pin: Option<String>,
    /// Claims the holder states.
    pub self_issued: BTreeMap<String, String>,
    /// Further id tokens by configuration.
    pub id_tokens: BTreeMap<String, String>,
    /// Access tokens by configuration.
    pub access_tokens: BTreeMap<String, String>,
    /// Presentations, compact JWS by credential type.
    pub presentations: BTreeMap<String, String>,
}

impl<'a> ProofInput<'a> {
    /// The answer to `request` under `contract`, with a new `jti`, and without PIN or claims yet.
    #[must_use]
    pub fn new(
        holder: &'a Holder,
        request: &'a IssuanceRequest,
        contract: &'a Contract,
        now: i64,
    ) -> ProofInput<'a> {
        ProofInput {
            holder,
            audience: contract.credential_issuer.as_str(),
            contract: request.manifest.as_str(),
            now,
            jti: Uuid::new_v4(),
            hint: request.id_token_hint.as_deref(),
            pin: None,
            self_issued: BTreeMap::new(),
            id_tokens: BTreeMap::new(),
            access_tokens: BTreeMap::new(),
            presentations: BTreeMap::new(),
        }
    }
}

/// The payload of the proof.
#[must_use]
pub fn build(input: &ProofInput<'_>) -> Value {
    let public = input.holder.public();
    let mut jwk = public.to_jwk();
    // Wallets put these in as well; none of them is part of the thumbprint.
    if let Value::Object(members) = &mut jwk {
        members.insert("kid".into(), json!(input.holder.fragment()));
        members.insert("use".into(), json!("sig"));
        members.insert("key_ops".into(), json!(["verify"]));
        members.insert("alg".into(), json!(public.algorithm().name()));
    }
    let mut payload = Map::new();
    payload.insert("iss".into(), json!(SELF_ISSUED));
    payload.insert("aud".into(), json!(input.audience));
    payload.insert("sub".into(), json!(public.thumbprint()));
    payload.insert("sub_jwk".into(), jwk);
    payload.insert("did".into(), json!(input.holder.did()));
    payload.insert("contract".into(), json!(input.contract));
    payload.insert("jti".into(), json!(input.jti.to_string()));
    payload.insert("iat".into(), json!(input.now));
    payload.insert("exp".into(), json!(input.now.saturating_add(LIFETIME_SECS)));
    // A PIN only travels together with a hint.
    if let (Some(pin), Some(_)) = (&input.pin, input.hint) {
        payload.insert("pin".into(), json!(pin));
    }
    let attestations = attestations(input);
    if !attestations.is_empty() {
        payload.insert("attestations".into(), Value::Object(attestations));
    }
    Value::Object(payload)
}

fn attestations(input: &ProofInput<'_>) -> Map<String, Value> {
    let mut id_tokens = input.id_tokens.clone();
    if let Some(hint) = input.hint {
        id_tokens.insert(SELF_ISSUED.to_owned(), hint.to_owned());
    }
    let mut found = Map::new();
    for (name, map) in [
        ("idTokens", &id_tokens),
        ("accessTokens", &input.access_tokens),
        ("presentations", &input.presentations),
        ("selfIssued", &input.self_issued),
    ] {
        if !map.is_empty() {
            found.insert(name.to_owned(), json!(map));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::holder::HolderKind;

    fn input(holder: &Holder) -> ProofInput<'_> {
        ProofInput {
            holder,
            audience: "https://issuer.example/issue",
            contract: "https://issuer.example/c/manifest?request=1",
            now: 1_000,
            jti: Uuid::nil(),
            hint: Some("h.i.nt"),
            pin: Some("cGlu".into()),
            self_issued: BTreeMap::new(),
            id_tokens: BTreeMap::new(),
            access_tokens: BTreeMap::new(),
            presentations: BTreeMap::new(),
        }
    }

    #[test]
    fn has_exactly_the_members_of_section_4_1() {
        let holder = Holder::from_secret(HolderKind::IonSecp256k1, [1; 32]).unwrap();
        let mut payload = build(&input(&holder));
        let jwk = payload.as_object_mut().unwrap().remove("sub_jwk").unwrap();
        assert_eq!(
            payload,
            json!({
                "iss": "https://self-issued.me", "aud": "https://issuer.example/issue",
                "sub": holder.public().thumbprint(), "did": holder.did(),
                "contract": "https://issuer.example/c/manifest?request=1",
                "jti": "00000000-0000-0000-0000-000000000000", "iat": 1_000, "exp": 4_600, "pin": "cGlu",
                "attestations": {"idTokens": {"https://self-issued.me": "h.i.nt"}},
            })
        );
        assert_eq!(jwk["kid"], json!(holder.fragment()));
        assert_eq!(&crate::key::PublicKey::from_jwk(&jwk).unwrap(), holder.public());
    }

    #[test]
    fn leaves_out_what_is_empty_and_a_pin_without_a_hint() {
        let holder = Holder::generate(HolderKind::JwkP256).unwrap();
        let mut bare = input(&holder);
        bare.hint = None;
        let payload = build(&bare);
        assert!(payload.get("attestations").is_none() && payload.get("pin").is_none());
        bare.self_issued.insert("name".into(), "Ada".into());
        bare.presentations.insert("Badge".into(), "v.p.x".into());
        assert_eq!(
            build(&bare)["attestations"],
            json!({"selfIssued": {"name": "Ada"}, "presentations": {"Badge": "v.p.x"}})
        );
    }
}
