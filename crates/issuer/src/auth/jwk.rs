//! Public keys as issuers publish them (RFC 7517, RFC 7518 section 6, RFC 8037 section 2), and what they verify.
//!
//! Owns reading a JWK set and checking one signature. It must not fetch, cache or look at claims.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::trusted::{TENANT_PLACEHOLDER, TokenAlgorithm};

/// Most keys read from one set: no real issuer has more, and a search stays short.
const MOST_KEYS: usize = 100;

/// One public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PublicKey {
    kid: Option<String>,
    /// `alg`, when the issuer binds the key to one algorithm.
    algorithm: Option<TokenAlgorithm>,
    /// Entra's shared key sets say per key for which issuer it is good; may contain `{tenantid}`.
    issuer: Option<String>,
    material: Material,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl PublicKey {
    /// A P-256 key in uncompressed SEC 1 form, for tokens of the built-in issuer.
    pub(super) fn p256(kid: &str, sec1: &[u8]) -> Self {
        Self {
            kid: Some(kid.to_owned()),
            algorithm: Some(TokenAlgorithm::Es256),
            issuer: None,
            material: Material::P256(sec1.to_vec()),
        }
    }

    /// Reads one JWK. `None`: of a kind that cannot verify access tokens.
    fn read(jwk: &Value) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?.trim_end_matches('=')).ok();
        if text("use").is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        if let Some(operations) = jwk.get("key_ops")
            && !operations.as_array().is_some_and(|list| list.iter().any(|op| op == "verify"))
        {
            return None;
        }
        let algorithm = match text("alg") {
            // A key for an algorithm that we do not know is of no use.
            Some(name) => Some(name.parse().ok()?),
            None => None,
        };
        let material = match (text("kty")?, text("crv")) {
            ("RSA", _) => Material::Rsa { n: unpadded(bytes("n")?), e: unpadded(bytes("e")?) },
            ("EC", Some("P-256")) => Material::P256(point(&bytes("x")?, &bytes("y")?, 32)?),
            ("EC", Some("P-384")) => Material::P384(point(&bytes("x")?, &bytes("y")?, 48)?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes("x").filter(|x| x.len() == 32)?),
            _ => return None,
        };
        let key = Self {
            kid: text("kid").map(str::to_owned),
            algorithm,
            issuer: text("issuer").map(str::to_owned),
            material,
        };
        algorithm.is_none_or(|algorithm| key.fits(algorithm)).then_some(key)
    }

    /// Whether the key may verify this algorithm: the kind of key is never the token's choice (RFC 8725, section 3.1).
    fn fits(&self, algorithm: TokenAlgorithm) -> bool {
        if self.algorithm.is_some_and(|own| own != algorithm) {
            return false;
        }
        match algorithm {
            TokenAlgorithm::Rs256
            | TokenAlgorithm::Rs384
            | TokenAlgorithm::Rs512
            | TokenAlgorithm::Ps256
            | TokenAlgorithm::Ps384
            | TokenAlgorithm::Ps512 => matches!(self.material, Material::Rsa { .. }),
            TokenAlgorithm::Es256 => matches!(self.material, Material::P256(_)),
            TokenAlgorithm::Es384 => matches!(self.material, Material::P384(_)),
            TokenAlgorithm::EdDsa => matches!(self.material, Material::Ed25519(_)),
        }
    }

    /// Whether the key is good for tokens with this `iss` (Entra's `issuer` member of a key).
    pub(super) fn is_for(&self, iss: &str, tenant_claim: Option<&str>) -> bool {
        match (&self.issuer, tenant_claim) {
            (None, _) => true,
            (Some(issuer), Some(tenant)) => issuer.replace(TENANT_PLACEHOLDER, tenant) == iss,
            (Some(issuer), None) => issuer == iss,
        }
    }

    /// Whether the signature is good. RSA keys have 2048 to 8192 bits.
    pub(super) fn verifies(&self, algorithm: TokenAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        if !self.fits(algorithm) {
            return false;
        }
        match &self.material {
            Material::Rsa { n, e } => rsa_parameters(algorithm).is_some_and(|parameters| {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
            }),
            Material::P256(point) => verify(&ECDSA_P256_SHA256_FIXED, point, message, signature),
            Material::P384(point) => verify(&ECDSA_P384_SHA384_FIXED, point, message, signature),
            Material::Ed25519(bytes) => verify(&ED25519, bytes, message, signature),
        }
    }
}

fn rsa_parameters(algorithm: TokenAlgorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        TokenAlgorithm::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        TokenAlgorithm::Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
        TokenAlgorithm::Rs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
        TokenAlgorithm::Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
        TokenAlgorithm::Ps384 => Some(&RSA_PSS_2048_8192_SHA384),
        TokenAlgorithm::Ps512 => Some(&RSA_PSS_2048_8192_SHA512),
        TokenAlgorithm::Es256 | TokenAlgorithm::Es384 | TokenAlgorithm::EdDsa => None,
    }
}

fn verify(
    algorithm: &'static dyn VerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
}

/// Some issuers put a zero byte in front of the modulus; RFC 7518, section 6.3.1.1 forbids it.
fn unpadded(bytes: Vec<u8>) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.into_iter().skip(zeros).collect()
}

fn point(x: &[u8], y: &[u8], size: usize) -> Option<Vec<u8>> {
    (x.len() == size && y.len() == size).then(|| [&[4], x, y].concat())
}

/// The usable keys of a JWK set. `None`: not a JWK set. Keys of unknown kinds are left out (RFC 7517, section 5).
pub(super) fn read_set(document: &Value) -> Option<Vec<PublicKey>> {
    let keys = document.get("keys")?.as_array()?;
    Some(keys.iter().filter_map(PublicKey::read).take(MOST_KEYS).collect())
}

/// The key for a token. Without `kid` only a single fitting key is taken; guessing among several would hide mistakes.
pub(super) fn find<'a>(
    keys: &'a [PublicKey],
    kid: Option<&str>,
    algorithm: TokenAlgorithm,
) -> Option<&'a PublicKey> {
    let mut fitting =
        keys.iter().filter(|key| key.fits(algorithm) && (kid.is_none() || key.kid.as_deref() == kid));
    let first = fitting.next()?;
    (kid.is_some() || fitting.next().is_none()).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn coordinate(size: usize) -> String {
        URL_SAFE_NO_PAD.encode(vec![7; size])
    }

    fn rsa(kid: &str) -> Value {
        json!({"kty": "RSA", "kid": kid, "n": URL_SAFE_NO_PAD.encode([0, 1, 2]), "e": "AQAB"})
    }

    #[test]
    fn unusable_keys_are_left_out() {
        let with = |name: &str, value: Value| {
            let mut key = rsa("x");
            key[name] = value;
            key
        };
        for key in [
            json!({}),
            json!("text"),
            json!({"kty": "oct", "k": "AAAA"}),
            json!({"kty": "EC", "crv": "P-256", "x": coordinate(32)}),
            json!({"kty": "EC", "crv": "P-256", "x": coordinate(31), "y": coordinate(32)}),
            json!({"kty": "EC", "crv": "secp256k1", "x": coordinate(32), "y": coordinate(32)}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": coordinate(31)}),
            json!({"kty": "OKP", "crv": "X25519", "x": coordinate(32)}),
            with("use", json!("enc")),
            with("key_ops", json!(["encrypt"])),
            with("key_ops", json!("verify")),
            with("alg", json!("RSA-OAEP")),
            with("alg", json!("HS256")),
            with("alg", json!("ES256")),
            with("n", json!("!!")),
        ] {
            assert_eq!(read_set(&json!({"keys": [key]})), Some(vec![]), "{key}");
        }
        for key in [
            rsa("x"),
            with("use", json!("sig")),
            with("key_ops", json!(["verify"])),
            with("alg", json!("RS256")),
            json!({"kty": "EC", "crv": "P-384", "x": coordinate(48), "y": coordinate(48)}),
        ] {
            assert_eq!(read_set(&json!({"keys": [key]})).unwrap().len(), 1, "{key}");
        }
    }

    #[test]
    fn what_is_no_key_set_is_told() {
        for document in [json!([]), json!({}), json!({"keys": {}}), json!(null)] {
            assert_eq!(read_set(&document), None);
        }
    }

    #[test]
    fn a_key_is_found_by_id_or_as_the_only_one() {
        let ec = json!({"kty": "EC", "kid": "c", "crv": "P-256", "x": coordinate(32), "y": coordinate(32)});
        let keys = read_set(&json!({"keys": [rsa("a"), rsa("b"), ec]})).unwrap();
        let found = |kid, algorithm| find(&keys, kid, algorithm).and_then(|key| key.kid.as_deref());
        assert_eq!(found(Some("b"), TokenAlgorithm::Rs256), Some("b"));
        assert_eq!(found(Some("b"), TokenAlgorithm::Es256), None);
        assert_eq!(found(Some("z"), TokenAlgorithm::Rs256), None);
        assert_eq!(found(None, TokenAlgorithm::Es256), Some("c"));
        assert_eq!(found(None, TokenAlgorithm::Rs256), None, "two keys fit");
    }

    #[test]
    fn a_key_with_an_issuer_serves_only_that_one() {
        let mut jwk = rsa("a");
        jwk["issuer"] = json!("https://login.example/{tenantid}/v2.0");
        let key = PublicKey::read(&jwk).unwrap();
        assert!(key.is_for("https://login.example/t/v2.0", Some("t")));
        assert!(!key.is_for("https://login.example/u/v2.0", Some("t")));
        assert!(!key.is_for("https://login.example/u/v2.0", None));
        assert!(PublicKey::read(&rsa("a")).unwrap().is_for("anything", None));
    }

    proptest! {
        #[test]
        fn reading_never_panics(kty in "RSA|EC|OKP|\\PC{0,5}", crv in "P-256|Ed25519|\\PC{0,5}",
            x in "[A-Za-z0-9_=-]{0,50}", message in any::<Vec<u8>>(), signature in any::<Vec<u8>>())
        {
            let document = json!({"keys": [{"kty": kty, "crv": crv, "x": x, "y": x, "n": x, "e": x}]});
            for key in read_set(&document).unwrap() {
                for algorithm in [TokenAlgorithm::Rs256, TokenAlgorithm::Es256, TokenAlgorithm::EdDsa] {
                    prop_assert!(!key.verifies(algorithm, &message, &signature));
                }
            }
        }
    }
}
