//! Tests of `key`.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use p256::ecdsa::signature::Signer;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::base64url;

fn bytes(text: &str) -> Vec<u8> {
    base64url::decode(text).unwrap()
}

fn p256_signing() -> p256::ecdsa::SigningKey {
    p256::ecdsa::SigningKey::from_slice(&[0x21; 32]).unwrap()
}

fn p256_public() -> PublicKey {
    let point = p256_signing().verifying_key().to_sec1_point(false);
    PublicKey::from_point(SignatureAlgorithm::Es256, &EcPoint::from_sec1(point.as_bytes()).unwrap()).unwrap()
}

fn secp256k1_signing() -> k256::ecdsa::SigningKey {
    k256::ecdsa::SigningKey::from_slice(&[0x22; 32]).unwrap()
}

fn secp256k1_public() -> PublicKey {
    let point = secp256k1_signing().verifying_key().to_sec1_point(false);
    PublicKey::from_point(SignatureAlgorithm::Es256k, &EcPoint::from_sec1(point.as_bytes()).unwrap()).unwrap()
}

/// RFC 8037, appendix A.1 and A.2.
fn ed25519_jwk() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
}

/// The order of secp256k1 minus `s`: the other, equally valid half.
fn flip_s(signature: &[u8]) -> Vec<u8> {
    let signature = k256::ecdsa::Signature::from_slice(signature).unwrap();
    let (r, s) = signature.split_scalars();
    k256::ecdsa::Signature::from_scalars(r, -*s).unwrap().to_vec()
}

#[test]
fn the_thumbprint_of_rfc_8037_appendix_a3() {
    let key = PublicKey::from_jwk(&ed25519_jwk()).unwrap();
    assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_eq!(key.to_jwk(), ed25519_jwk());
}

#[test]
fn the_signature_of_rfc_8037_appendix_a4() {
    let key = PublicKey::from_jwk(&ed25519_jwk()).unwrap();
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature =
        bytes("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
    assert_eq!(key.verify("EdDSA", token.as_bytes(), &signature), Ok(()));
    assert_eq!(key.verify("EdDSA", b"other", &signature), Err(SignatureError::Invalid));
    assert_eq!(
        key.verify_digest("EdDSA", &[0; 32].into(), &signature),
        Err(SignatureError::AlgorithmMismatch)
    );
}

/// Recorded from a vault, February 2025; its `s` is high.
#[test]
fn a_recorded_p256_signature_of_a_vault() {
    let key = PublicKey::from_jwk(&json!({
        "kty": "EC", "crv": "P-256",
        "x": "pAoGji81xq92vXXRDsR6gddLNUnJ4qaw9aWVwK86wAY", "y": "edSPSU1XbS90jffjXiBPrKq-grEY7KnEFtZTmFIpR00",
    }))
    .unwrap();
    let digest: [u8; 32] = bytes("ltYuKr0-Qt5fUDMPuO_ExVmYNSeAd7IemqCzPB3wehw").try_into().unwrap();
    let signature =
        bytes("DLFoHGWXrJQAg-U3kwpNmRoxExAtA6HLMNvY2inR92_nisDpu7kEr3pOSB_-JtWi0gSXqGY3g-A-BCL8Cg5k1A");
    assert_eq!(key.verify_digest("ES256", &digest.into(), &signature), Ok(()));
    let mut other = digest;
    other[31] ^= 1;
    assert_eq!(key.verify_digest("ES256", &other.into(), &signature), Err(SignatureError::Invalid));
}

/// Recorded from a Managed HSM, May 2024; its `s` is high, and the JWK carries the vault's curve name.
#[test]
fn a_recorded_secp256k1_signature_of_a_vault() {
    let key = PublicKey::from_jwk(&json!({
        "kty": "EC", "crv": "P-256K", "kid": "https://vault.example/keys/k/1", "key_ops": ["sign", "verify"],
        "x": "VXzdoT77ZnmPnBAR3nVAueUVcKHNFKx_Uqdp-6KetaA", "y": "W-1MfgzLeCrbz1KHriIdqpDgHD8gSGcsuhBNQMP5E-k",
    }))
    .unwrap();
    let digest: [u8; 32] = bytes("ltYuKr0-Qt5fUDMPuO_ExVmYNSeAd7IemqCzPB3wehw").try_into().unwrap();
    let high =
        bytes("DoUBtP-PmUUQoxHMY1yXy8wdl0UwO77d3eHGakCsW2PVDbSIf6uRlnfXvLW-LZFVQ8d0BmOQTfNgKYmI_5itDA");
    assert_eq!(key.verify_digest("ES256K", &digest.into(), &high), Ok(()));
    assert_eq!(key.verify_digest("ES256K", &digest.into(), &flip_s(&high)), Ok(()));
    assert_eq!(key.to_jwk()["crv"], "secp256k1");
}

#[test]
fn both_halves_of_s_are_accepted_in_es256k() {
    let signature: k256::ecdsa::Signature = secp256k1_signing().sign(b"message");
    let low = signature.to_vec();
    let high = flip_s(&low);
    assert_ne!(low, high);
    for signature in [low, high] {
        assert_eq!(secp256k1_public().verify("ES256K", b"message", &signature), Ok(()));
        assert_eq!(secp256k1_public().verify("ES256K", b"massage", &signature), Err(SignatureError::Invalid));
    }
}

#[test]
fn digest_and_message_verification_agree() {
    let signature: p256::ecdsa::Signature = p256_signing().sign(b"message");
    let digest: [u8; 32] = Sha256::digest(b"message").into();
    assert_eq!(p256_public().verify("ES256", b"message", &signature.to_vec()), Ok(()));
    assert_eq!(p256_public().verify_digest("ES256", &digest.into(), &signature.to_vec()), Ok(()));
    assert_eq!(p256_public().verify("ES256", b"massage", &signature.to_vec()), Err(SignatureError::Invalid));
}

#[test]
fn the_algorithm_has_to_fit_the_key() {
    let signature: p256::ecdsa::Signature = p256_signing().sign(b"message");
    for alg in ["ES256K", "EdDSA", "none", "es256", "ES384", "HS256", ""] {
        let verdict = p256_public().verify(alg, b"message", &signature.to_vec());
        assert_eq!(verdict, Err(SignatureError::AlgorithmMismatch), "{alg}");
        let verdict = p256_public().verify_digest(alg, &[0; 32].into(), &signature.to_vec());
        assert_eq!(verdict, Err(SignatureError::AlgorithmMismatch), "{alg}");
    }
}

/// RFC 6979, appendix A.2.6: P-384 with SHA-384 over "sample".
#[test]
fn a_published_p384_signature() {
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    };
    let x =
        "EC3A4E415B4E19A4568618029F427FA5DA9A8BC4AE92E02E06AAE5286B300C64DEF8F0EA9055866064A254515480BC13";
    let y =
        "8015D9B72D7D57244EA8EF9AC0C621896708A59367F9DFB9F54CA84B3F1C9DB1288B231C3AE0D4FE7344FD2533264720";
    let r =
        "94EDBB92A5ECB8AAD4736E56C691916B3F88140666CE9FA73D64C4EA95AD133C81A648152E44ACF96E36DD1E80FABE46";
    let s =
        "99EF4AEB15F178CEA1FE40DB2603138F130E740A19624526203B6351D0A3A94FA329C145786E679E7B82C71A38628AC8";
    let point = EcPoint::new(&hex(x), &hex(y)).unwrap();
    let key = PublicKey::from_point(SignatureAlgorithm::Es384, &point).unwrap();
    let signature = hex(&format!("{r}{s}"));
    let digest = domain::Digest::Sha384(sha2::Sha384::digest(b"sample").into());
    assert_eq!(key.verify("ES384", b"sample", &signature), Ok(()));
    assert_eq!(key.verify_digest("ES384", &digest, &signature), Ok(()));
    assert_eq!(key.verify("ES384", b"simple", &signature), Err(SignatureError::Invalid));
    assert_eq!(key.verify("ES384", b"sample", &signature[..64]), Err(SignatureError::Length));
    assert_eq!(key.verify("ES256", b"sample", &signature), Err(SignatureError::AlgorithmMismatch));
    // A digest by another hash is a mismatch, not a wrong signature.
    let short = [0; 32].into();
    assert_eq!(key.verify_digest("ES384", &short, &signature), Err(SignatureError::AlgorithmMismatch));
    assert_eq!(
        p256_public().verify_digest("ES256", &digest, &[0; 64]),
        Err(SignatureError::AlgorithmMismatch)
    );
    assert_eq!(key.to_jwk()["crv"], "P-384");
    // Holders' keys are another matter: wallets do not have them, so a JWK is not read as one.
    assert_eq!(PublicKey::from_jwk(&key.to_jwk()), Err(KeyError::Unsupported));
    let flipped = EcPoint::new(&hex(y), &hex(x)).unwrap();
    assert_eq!(PublicKey::from_point(SignatureAlgorithm::Es384, &flipped), Err(KeyError::NotOnCurve));
}

#[test]
fn signatures_are_64_raw_bytes() {
    let signature: p256::ecdsa::Signature = p256_signing().sign(b"message");
    let der = signature.to_der();
    for wrong in [der.as_bytes(), &signature.to_vec()[..63], &[]] {
        assert_eq!(p256_public().verify("ES256", b"message", wrong), Err(SignatureError::Length));
        assert_eq!(p256_public().verify_digest("ES256", &[0; 32].into(), wrong), Err(SignatureError::Length));
    }
}

#[test]
fn signatures_of_zeros_hold_for_nothing() {
    let keys = [p256_public(), secp256k1_public(), PublicKey::from_jwk(&ed25519_jwk()).unwrap()];
    for key in keys {
        let verdict = key.verify(key.kind().jose_name(), b"message", &[0; 64]);
        assert_eq!(verdict, Err(SignatureError::Invalid), "{key:?}");
    }
}

#[test]
fn points_off_the_curve_are_refused() {
    for (algorithm, key) in
        [(SignatureAlgorithm::Es256, p256_public()), (SignatureAlgorithm::Es256k, secp256k1_public())]
    {
        let mut jwk = key.to_jwk();
        jwk["y"] = jwk["x"].clone();
        assert_eq!(PublicKey::from_jwk(&jwk), Err(KeyError::NotOnCurve));
        let zero = EcPoint::new(&[0; 32], &[0; 32]).unwrap();
        assert_eq!(PublicKey::from_point(algorithm, &zero), Err(KeyError::NotOnCurve));
        // The same coordinates under the other curve's name.
        let mut jwk = key.to_jwk();
        jwk["crv"] = json!(if algorithm == SignatureAlgorithm::Es256 { "secp256k1" } else { "P-256" });
        assert_eq!(PublicKey::from_jwk(&jwk), Err(KeyError::NotOnCurve));
    }
}

#[test]
fn degenerate_ed25519_keys_are_refused() {
    let mut p = [0xff; 32];
    p[0] = 0xed;
    p[31] = 0x7f;
    let mut one_less = p;
    one_less[0] = 0xec;
    let mut one = [0; 32];
    one[0] = 1;
    let mut refused = vec![[0; 32], one, one_less, p, [0xff; 32]];
    refused.extend(jwk::ORDER_EIGHT);
    for bytes in refused {
        for sign in [0, 0x80] {
            let mut bytes = bytes;
            bytes[31] |= sign;
            let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": base64url::encode(bytes)});
            assert_eq!(PublicKey::from_jwk(&jwk), Err(KeyError::NotOnCurve), "{bytes:02x?}");
        }
    }
    // The two constants are the negatives of each other modulo p.
    let mut carry = 0;
    for (i, byte) in p.iter().enumerate() {
        let sum = u16::from(jwk::ORDER_EIGHT[0][i]) + u16::from(jwk::ORDER_EIGHT[1][i]) + carry;
        assert_eq!(sum % 256, u16::from(*byte));
        carry = sum / 256;
    }
}

#[test]
fn jwks_of_other_kinds_or_shapes_are_refused() {
    let good = p256_public().to_jwk();
    assert_eq!(PublicKey::from_jwk(&good), Ok(p256_public()));
    for not_jwk in [json!(null), json!([]), json!("x"), json!({}), json!({"kty": "EC"})] {
        assert_eq!(PublicKey::from_jwk(&not_jwk), Err(KeyError::Malformed), "{not_jwk}");
    }
    for member in ["kty", "crv", "x", "y"] {
        let mut jwk = good.clone();
        jwk[member] = json!(1);
        assert_eq!(PublicKey::from_jwk(&jwk), Err(KeyError::Malformed), "{member}");
    }
    for (kty, crv) in
        [("EC", "P-384"), ("RSA", "P-256"), ("OKP", "X25519"), ("OKP", "P-256"), ("EC", "Ed25519")]
    {
        let mut jwk = good.clone();
        jwk["kty"] = json!(kty);
        jwk["crv"] = json!(crv);
        assert_eq!(PublicKey::from_jwk(&jwk), Err(KeyError::Unsupported), "{kty} {crv}");
    }
    for x in ["", "AA", &"A".repeat(42), &"A".repeat(44), &format!("{}=", good["x"].as_str().unwrap())] {
        let mut jwk = good.clone();
        jwk["x"] = json!(x);
        assert_eq!(PublicKey::from_jwk(&jwk), Err(KeyError::Coordinate), "{x}");
    }
}

#[test]
fn compressed_points_come_back_whole() {
    for (kind, key) in [(KeyKind::P256, p256_public()), (KeyKind::Secp256k1, secp256k1_public())] {
        let point = match key.coordinates() {
            Coordinates::P256(point) | Coordinates::Secp256k1(point) => *point,
            Coordinates::Ed25519(_) | Coordinates::P384(_) => unreachable!(),
        };
        let mut compressed = vec![2 + (point.y()[31] & 1)];
        compressed.extend(point.x());
        assert_eq!(PublicKey::from_compressed(kind, &compressed), Ok(key));
        assert_eq!(PublicKey::from_compressed(kind, &point.to_sec1()), Err(KeyError::Coordinate));
        compressed[0] = 5; // a draft form that the EC crates would read
        assert_eq!(PublicKey::from_compressed(kind, &compressed), Err(KeyError::NotOnCurve));
    }
    let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
    let key = PublicKey::from_compressed(KeyKind::Ed25519, pair.public_key().as_ref()).unwrap();
    assert_eq!(key.verify("EdDSA", b"message", pair.sign(b"message").as_ref()), Ok(()));
    assert_eq!(PublicKey::from_compressed(KeyKind::Ed25519, &[1; 31]), Err(KeyError::Coordinate));
}

#[test]
fn a_printed_key_shows_its_thumbprint() {
    let key = PublicKey::from_jwk(&ed25519_jwk()).unwrap();
    assert_eq!(format!("{key:?}"), "PublicKey(Ed25519 kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k)");
}

proptest! {
    #[test]
    fn arbitrary_members_do_not_panic(kty in "EC|OKP|RSA", crv in "P-256|P-256K|secp256k1|Ed25519|.{0,8}", x: [u8; 32], y: [u8; 32]) {
        let jwk = json!({"kty": kty, "crv": crv, "x": base64url::encode(x), "y": base64url::encode(y)});
        if let Ok(key) = PublicKey::from_jwk(&jwk) {
            prop_assert_eq!(PublicKey::from_jwk(&key.to_jwk()).unwrap(), key);
        }
    }

    #[test]
    fn every_scalar_gives_a_key_that_verifies(secret: [u8; 32], message: Vec<u8>) {
        if let Ok(signing) = k256::ecdsa::SigningKey::from_slice(&secret) {
            let point = EcPoint::from_sec1(signing.verifying_key().to_sec1_point(false).as_bytes()).unwrap();
            let key = PublicKey::from_point(SignatureAlgorithm::Es256k, &point).unwrap();
            let signature: k256::ecdsa::Signature = signing.sign(&message);
            prop_assert_eq!(key.verify("ES256K", &message, &signature.to_vec()), Ok(()));
            prop_assert_eq!(PublicKey::from_jwk(&key.to_jwk()).unwrap(), key);
        }
    }

    #[test]
    fn arbitrary_signatures_are_refused(signature in proptest::collection::vec(any::<u8>(), 0..80), message: Vec<u8>) {
        for key in [p256_public(), secp256k1_public(), PublicKey::from_jwk(&ed25519_jwk()).unwrap()] {
            prop_assert!(key.verify(key.kind().jose_name(), &message, &signature).is_err());
        }
    }
}
