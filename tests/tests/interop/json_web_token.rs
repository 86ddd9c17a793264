//! `jsonwebtoken` and `k256` verify everything that is signed, with the keys of the served document.

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use k256::ecdsa::signature::Verifier as _;
use serde_json::Value;

use crate::issued::{Issued, forged, issue, part};

fn verify(issued: &Issued, jws: &str) -> Result<Value, jsonwebtoken::errors::Error> {
    let jwk: Jwk = serde_json::from_value(issued.key_of(jws)).expect("a JWK that jsonwebtoken reads");
    let mut validation = Validation::new(Algorithm::ES256);
    // Who is meant is the wire's business; here it is about signature and time.
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    validation.validate_nbf = true;
    Ok(decode::<Value>(jws, &DecodingKey::from_jwk(&jwk)?, &validation)?.claims)
}

#[tokio::test]
async fn p256_signatures_verify_and_forgeries_do_not() {
    let issued = issue("ES256").await;
    for (name, jws) in issued.signed() {
        let claims = verify(&issued, jws).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(claims, part(jws, 1), "{name}");
        assert!(verify(&issued, &forged(jws)).is_err(), "a forged {name} verifies");
        assert_eq!(part(jws, 0)["alg"], "ES256", "{name}");
    }
    let claims = part(&issued.credential, 1);
    assert_eq!(claims["iss"], issued.did.as_str());
    assert_eq!(claims["sub"], issued.holder.as_str());
}

fn verify_k256(issued: &Issued, jws: &str) -> bool {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).expect("base64url without padding");
    let jwk = issued.key_of(jws);
    assert_eq!(jwk["crv"], "secp256k1");
    let mut point = vec![4];
    point.extend(bytes(jwk["x"].as_str().expect("x")));
    point.extend(bytes(jwk["y"].as_str().expect("y")));
    let key = k256::ecdsa::VerifyingKey::from_sec1_bytes(&point).expect("a point of the curve");
    let (input, signature) = jws.rsplit_once('.').expect("a compact JWS");
    let signature = bytes(signature);
    assert_eq!(signature.len(), 64, "R and S, 32 bytes each (RFC 7518, section 3.4)");
    let signature = k256::ecdsa::Signature::from_slice(&signature).expect("R and S are in range");
    key.verify(input.as_bytes(), &signature).is_ok()
}

#[tokio::test]
async fn secp256k1_signatures_verify_and_forgeries_do_not() {
    let issued = issue("ES256K").await;
    for (name, jws) in issued.signed() {
        assert_eq!(part(jws, 0)["alg"], "ES256K", "{name}");
        assert!(verify_k256(&issued, jws), "{name}");
        assert!(!verify_k256(&issued, &forged(jws)), "a forged {name} verifies");
    }
}
