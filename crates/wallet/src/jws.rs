//! Compact JWS as the Entra wire uses it: an algorithm and a `kid` of the form `did#fragment`. Owns parsing; signatures are
//! checked in [`crate::verify`] with a key of [`crate::key`].

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::member::{Node, ShapeError};

/// A signature algorithm of RFC 7518 or RFC 8037.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// ECDSA over secp256k1 with SHA-256 (RFC 8812).
    Es256k,
    /// Ed25519 (RFC 8037).
    EdDsa,
}

impl Algorithm {
    /// The value of the header member `alg`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es256k => "ES256K",
            Self::EdDsa => "EdDSA",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Es256, Self::Es256k, Self::EdDsa].into_iter().find(|one| one.name() == name)
    }
}

/// A key id: a DID and the fragment that names one of its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyId {
    /// The DID before `#`.
    pub did: String,
    /// The fragment after `#`, without the `#`.
    pub fragment: String,
}

/// A parsed but not yet verified compact JWS.
#[derive(Debug, Clone)]
pub struct CompactJws {
    /// Header member `alg`.
    pub algorithm: Algorithm,
    /// Header member `kid`.
    pub kid: KeyId,
    /// The payload; always a JSON object.
    pub payload: Value,
    /// The bytes under the signature.
    pub signing_input: String,
    /// The signature.
    pub signature: Vec<u8>,
}

/// Which of the three parts of a compact JWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Part {
    /// The protected header.
    #[error("header")]
    Header,
    /// The payload.
    #[error("payload")]
    Payload,
    /// The signature.
    #[error("signature")]
    Signature,
}

/// Why a text is not a JWS of this wire.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// White space, a byte order mark or quotes around a JWS break the iOS library.
    #[error("there is something around the JWS: it has to be the bare text")]
    Surrounded,
    /// A JSON object: wallets take that for an OpenID4VCI credential offer.
    #[error("it is a JSON object, not a JWS")]
    JsonObject,
    /// Not three parts.
    #[error("it does not have three parts")]
    Parts,
    /// Not unpadded base64url.
    #[error("the {0} is not base64url without padding")]
    Base64(Part),
    /// Not a JSON object.
    #[error("the {0} is not a JSON object")]
    Json(Part),
    /// A header member is missing or of the wrong type.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// An algorithm outside ES256, ES256K and EdDSA.
    #[error("the algorithm is not ES256, ES256K or EdDSA")]
    Algorithm,
    /// `kid` is not `did#fragment` with exactly one `#` and two non-empty parts.
    #[error("kid is not a DID, one # and a fragment")]
    KeyId,
    /// `crit` names extensions that no wallet knows.
    #[error("the header has crit")]
    Critical,
}

impl CompactJws {
    /// Parses the bare text of a compact JWS.
    ///
    /// # Errors
    /// [`JwsError`]; among others for surrounding white space and for a `jwk` header that is not a string, which the iOS
    /// decoder cannot read (wallet protocol, sections 1.2 and 2.1).
    pub fn parse(text: &str) -> Result<Self, JwsError> {
        if text.trim_start_matches('\u{feff}').trim().starts_with('{') {
            return Err(JwsError::JsonObject);
        }
        if text.contains(|one: char| one.is_whitespace() || one == '\u{feff}' || one == '"') {
            return Err(JwsError::Surrounded);
        }
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(JwsError::Parts);
        };
        let head = json_object(header, Part::Header)?;
        let top = Node::root("header", &head);
        if top.optional("crit")?.is_some() {
            return Err(JwsError::Critical);
        }
        top.optional_string("jwk")?;
        top.optional_string("typ")?;
        Ok(Self {
            algorithm: Algorithm::from_name(top.member("alg")?.string()?).ok_or(JwsError::Algorithm)?,
            kid: KeyId::parse(top.member("kid")?.string()?).ok_or(JwsError::KeyId)?,
            payload: json_object(payload, Part::Payload)?,
            signing_input: format!("{header}.{payload}"),
            signature: decode(signature).ok_or(JwsError::Base64(Part::Signature))?,
        })
    }
}

impl KeyId {
    fn parse(text: &str) -> Option<Self> {
        let (did, fragment) = text.split_once('#')?;
        let whole = !did.is_empty() && !fragment.is_empty() && !fragment.contains('#');
        whole.then(|| Self { did: did.to_owned(), fragment: fragment.to_owned() })
    }
}

/// Base64url without padding (RFC 4648, section 5), canonical trailing bits only.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Base64url without padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn json_object(part: &str, which: Part) -> Result<Value, JwsError> {
    let bytes = decode(part).ok_or(JwsError::Base64(which))?;
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(value) if value.is_object() => Ok(value),
        Ok(_) | Err(_) => Err(JwsError::Json(which)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn jws(header: &Value, payload: &str) -> String {
        format!("{}.{}.c2ln", encode(header.to_string().as_bytes()), encode(payload.as_bytes()))
    }

    fn good() -> Value {
        json!({"alg": "ES256", "kid": "did:web:a#k", "typ": "JWT"})
    }

    #[test]
    fn takes_the_three_algorithms() {
        for name in ["ES256", "ES256K", "EdDSA"] {
            let parsed = CompactJws::parse(&jws(&json!({"alg": name, "kid": "did:web:a#k"}), "{}")).unwrap();
            assert_eq!(parsed.algorithm.name(), name);
            assert_eq!(parsed.kid, KeyId { did: "did:web:a".into(), fragment: "k".into() });
        }
    }

    #[test]
    fn refuses_anything_around_the_text() {
        let text = jws(&good(), "{}");
        for bad in [format!("{text}\n"), format!(" {text}"), format!("\u{feff}{text}"), format!("\"{text}\"")]
        {
            assert_eq!(CompactJws::parse(&bad).unwrap_err(), JwsError::Surrounded, "{bad:?}");
        }
        assert_eq!(CompactJws::parse("{\"credential_issuer\":1}").unwrap_err(), JwsError::JsonObject);
    }

    #[test]
    fn refuses_broken_parts() {
        let text = jws(&good(), "{}");
        assert_eq!(CompactJws::parse("a.b").unwrap_err(), JwsError::Parts);
        assert_eq!(CompactJws::parse(&format!("{text}.x")).unwrap_err(), JwsError::Parts);
        assert_eq!(CompactJws::parse("!.e30.e30").unwrap_err(), JwsError::Base64(Part::Header));
        assert_eq!(CompactJws::parse(&format!("{text}=")).unwrap_err(), JwsError::Base64(Part::Signature));
        assert_eq!(CompactJws::parse(&jws(&json!([]), "{}")).unwrap_err(), JwsError::Json(Part::Header));
        assert_eq!(CompactJws::parse(&jws(&good(), "[1]")).unwrap_err(), JwsError::Json(Part::Payload));
    }

    #[test]
    fn refuses_headers_a_wallet_cannot_use() {
        for kid in ["did:web:a", "#k", "did:web:a#", "did:web:a#k#l", ""] {
            let text = jws(&json!({"alg": "ES256", "kid": kid}), "{}");
            assert_eq!(CompactJws::parse(&text).unwrap_err(), JwsError::KeyId, "{kid}");
        }
        for alg in ["none", "HS256", "RS256", "es256", ""] {
            let text = jws(&json!({"alg": alg, "kid": "did:web:a#k"}), "{}");
            assert_eq!(CompactJws::parse(&text).unwrap_err(), JwsError::Algorithm, "{alg}");
        }
        let embedded = jws(&json!({"alg": "ES256", "kid": "did:web:a#k", "jwk": {"kty": "EC"}}), "{}");
        assert!(matches!(CompactJws::parse(&embedded).unwrap_err(), JwsError::Shape(_)));
        let critical = jws(&json!({"alg": "ES256", "kid": "did:web:a#k", "crit": ["b64"]}), "{}");
        assert_eq!(CompactJws::parse(&critical).unwrap_err(), JwsError::Critical);
        let no_kid = jws(&json!({"alg": "ES256"}), "{}");
        assert!(matches!(CompactJws::parse(&no_kid).unwrap_err(), JwsError::Shape(_)));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>(), a in any::<Vec<u8>>(), b in any::<Vec<u8>>()) {
            prop_assert!(CompactJws::parse(&text).is_err());
            let text = format!("{}.{}.", encode(&a), encode(&b));
            prop_assert!(CompactJws::parse(&text).is_err());
        }

        #[test]
        fn bytes_come_back(bytes in any::<Vec<u8>>()) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }
    }
}
