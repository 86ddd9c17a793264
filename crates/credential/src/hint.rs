//! The `id_token_hint`: a token from us to ourselves that travels through the wallet and says which request it answers.
//!
//! Owns its sealing and opening with HS256 under a service-local key (wallet-facing JWS of RFC 7515, RFC 7518 section 3.2).
//! No wallet reads it and the vault never signs it. It must not carry claims of a person.

use aws_lc_rs::hmac;
use domain::{RequestId, Timestamp};
use serde::Deserialize;

use crate::base64url;
use crate::jws::{self, Compact, JwsError};

/// The issuer of a hint, and the key under which wallets give it back in `attestations.idTokens`.
pub const ISSUER: &str = domain::contract::SELF_ISSUED;

/// Hints are small; anything longer is not ours.
const LIMIT_BYTES: usize = 4096;
const ALGORITHM: &str = "HS256";

/// What a hint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HintClaims {
    /// The request that the hint belongs to (`jti`).
    pub request_id: RequestId,
    /// The address that the wallet will answer to (`aud`, the contract's `credentialIssuer`).
    pub aud: String,
    /// When it was made; whole seconds.
    pub iat: Timestamp,
    /// Until when it may be answered; whole seconds.
    pub exp: Timestamp,
    /// The nonce of the request object.
    pub nonce: String,
}

/// A token is not a hint of ours, or must not be accepted (any more).
#[derive(Debug, thiserror::Error)]
pub enum HintError {
    /// Not a JWS.
    #[error("the hint is not a compact JWS")]
    Malformed(#[source] JwsError),
    /// `alg` is not exactly `HS256`.
    #[error("the hint's algorithm is not HS256")]
    AlgorithmNotAllowed,
    /// `kid` is absent or names no key of ours.
    #[error("the hint's key is unknown")]
    UnknownKey,
    /// The authentication code is wrong.
    #[error("the hint was not made here")]
    BadSignature,
    /// A claim is absent or of another type, or `iss` is wrong.
    #[error("the hint's claims are not those of a hint")]
    BadClaims,
    /// Made for another address.
    #[error("the hint is for another audience")]
    WrongAudience,
    /// Its time ran out.
    #[error("the hint has expired")]
    Expired,
}

impl HintError {
    /// A stable label for the ledger.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "hint_malformed",
            Self::AlgorithmNotAllowed => "hint_alg_not_allowed",
            Self::UnknownKey => "hint_unknown_key",
            Self::BadSignature => "hint_bad_signature",
            Self::BadClaims => "hint_bad_claims",
            Self::WrongAudience => "hint_wrong_audience",
            Self::Expired => "hint_expired",
        }
    }
}

impl HintClaims {
    /// Checks audience and expiry. No leeway: our own clock made the hint.
    ///
    /// # Errors
    /// [`HintError::WrongAudience`] or [`HintError::Expired`].
    pub fn check(&self, audience: &str, now: Timestamp) -> Result<(), HintError> {
        if self.aud != audience {
            return Err(HintError::WrongAudience);
        }
        if self.exp <= now {
            return Err(HintError::Expired);
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Wire {
    jti: RequestId,
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
    nonce: String,
}

/// Seals a hint under the key that `key_id` names.
#[must_use]
pub fn seal(key: &[u8; 32], key_id: &str, claims: &HintClaims) -> String {
    let header = serde_json::json!({ "alg": ALGORITHM, "kid": key_id, "typ": "JWT" }).to_string();
    let payload = serde_json::json!({
        "jti": claims.request_id,
        "iss": ISSUER,
        "aud": claims.aud,
        "iat": claims.iat.seconds(),
        "exp": claims.exp.seconds(),
        "nonce": claims.nonce,
    })
    .to_string();
    let mut token = jws::join(header.as_bytes(), payload.as_bytes());
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), token.as_bytes());
    token.push('.');
    base64url::encode_into(tag, &mut token);
    token
}

/// Opens a hint; `key_of` gives the key of a `kid`. Audience and expiry are for [`HintClaims::check`].
///
/// # Errors
/// The [`HintError`] that says why the token is not a hint of ours.
pub fn open<'k>(
    key_of: impl FnOnce(&str) -> Option<&'k [u8; 32]>,
    token: &str,
) -> Result<HintClaims, HintError> {
    let parsed = Compact::parse(token, LIMIT_BYTES).map_err(HintError::Malformed)?;
    if parsed.header().alg != ALGORITHM {
        return Err(HintError::AlgorithmNotAllowed);
    }
    let key = parsed.header().kid.as_deref().and_then(key_of).ok_or(HintError::UnknownKey)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::verify(&key, parsed.signing_input().as_bytes(), parsed.signature())
        .map_err(|_source| HintError::BadSignature)?;
    let wire: Wire = parsed.claims().map_err(|_source| HintError::BadClaims)?;
    if wire.iss != ISSUER {
        return Err(HintError::BadClaims);
    }
    Ok(HintClaims {
        request_id: wire.jti,
        aud: wire.aud,
        iat: Timestamp::from_seconds(wire.iat),
        exp: Timestamp::from_seconds(wire.exp),
        nonce: wire.nonce,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn claims() -> HintClaims {
        HintClaims {
            request_id: RequestId::new(Uuid::from_u128(0x6f0c)),
            aud: "https://issuer.example/issue".to_owned(),
            iat: Timestamp::from_seconds(1_795_000_000),
            exp: Timestamp::from_seconds(1_795_000_900),
            nonce: "b2x".to_owned(),
        }
    }

    fn keys(kid: &str) -> Option<&'static [u8; 32]> {
        (kid == "k1").then_some(&KEY)
    }

    /// A token with any header and payload and a right code, as nobody but us could make it.
    fn sealed(header: &str, payload: &str) -> String {
        let input = jws::join(header.as_bytes(), payload.as_bytes());
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &KEY), input.as_bytes());
        format!("{input}.{}", base64url::encode(tag))
    }

    #[test]
    fn a_sealed_hint_opens() {
        assert_eq!(open(keys, &seal(&KEY, "k1", &claims())).unwrap(), claims());
    }

    #[test]
    fn another_key_does_not_open_it() {
        let other = seal(&[8; 32], "k1", &claims());
        assert!(matches!(open(keys, &other), Err(HintError::BadSignature)));
        let unknown = seal(&KEY, "k2", &claims());
        assert!(matches!(open(keys, &unknown), Err(HintError::UnknownKey)));
        let payload = base64url::decode(seal(&KEY, "k1", &claims()).split('.').nth(1).unwrap()).unwrap();
        let nameless = sealed(r#"{"alg":"HS256"}"#, std::str::from_utf8(&payload).unwrap());
        assert!(matches!(open(keys, &nameless), Err(HintError::UnknownKey)));
    }

    #[test]
    fn other_algorithms_are_refused_even_with_a_right_code() {
        for alg in ["none", "hs256", "HS384", "ES256", "ES256K", ""] {
            let token = sealed(&format!(r#"{{"alg":"{alg}","kid":"k1"}}"#), "{}");
            assert!(matches!(open(keys, &token), Err(HintError::AlgorithmNotAllowed)), "{alg}");
        }
        let none = format!("{}.", jws::join(br#"{"alg":"none","kid":"k1"}"#, b"{}"));
        assert!(matches!(open(keys, &none), Err(HintError::AlgorithmNotAllowed)));
    }

    #[test]
    fn claims_have_to_be_those_of_a_hint() {
        let id = claims().request_id;
        let header = r#"{"alg":"HS256","kid":"k1"}"#;
        let good = format!(r#"{{"jti":"{id}","iss":"{ISSUER}","aud":"a","iat":1,"exp":2,"nonce":"n"}}"#);
        assert!(open(keys, &sealed(header, &good)).is_ok());
        for bad in
            [good.replace(ISSUER, "https://issuer.example"), good.replace("\"jti\"", "\"id\""), "{}".into()]
        {
            assert!(matches!(open(keys, &sealed(header, &bad)), Err(HintError::BadClaims)), "{bad}");
        }
    }

    #[test]
    fn audience_and_expiry() {
        let hint = claims();
        let last = hint.exp.plus_millis(-1);
        assert!(hint.check("https://issuer.example/issue", last).is_ok());
        assert!(matches!(hint.check("https://issuer.example/issue", hint.exp), Err(HintError::Expired)));
        assert!(matches!(hint.check("https://issuer.example/issue/", last), Err(HintError::WrongAudience)));
    }

    #[test]
    fn oversized_and_shapeless_tokens_are_refused() {
        let long = "a".repeat(LIMIT_BYTES + 1);
        assert!(matches!(open(keys, &long), Err(HintError::Malformed(JwsError::TooLarge))));
        assert!(matches!(open(keys, ""), Err(HintError::Malformed(JwsError::NotCompact))));
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_never_a_hint(text in ".{0,200}") {
            prop_assert!(open(keys, &text).is_err());
        }

        #[test]
        fn every_changed_byte_is_noticed(at in 0_usize..200, with in "[A-Za-z0-9_-]") {
            let token = seal(&KEY, "k1", &claims());
            let at = at % token.len();
            let mut changed = token.clone();
            changed.replace_range(at..=at, &with);
            prop_assume!(changed != token);
            prop_assert!(open(keys, &changed).is_err());
        }

        #[test]
        fn any_audience_and_nonce_survive(aud in ".{0,80}", nonce in ".{0,80}") {
            let hint = HintClaims { aud, nonce, ..claims() };
            prop_assert_eq!(open(keys, &seal(&KEY, "k1", &hint)).unwrap(), hint);
        }
    }
}
