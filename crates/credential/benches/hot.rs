//! What one issuance costs on the processor, without signing: the wallet's proof, the credential, the request object.
//!
//! The whole issuance has 0.5 ms; `signer` measures its own part.

use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credential::did::holder::{self, Resolution};
use credential::entra::credential::{CredentialInput, StatusEntry};
use credential::entra::request_object::{Client, Pin, PinKind, RequestObject};
use credential::entra::{credential as entra_credential, request_object};
use credential::hint::{self, HintClaims};
use credential::jws::Unsigned;
use credential::key::PublicKey;
use credential::proof::{Expected, SKEW_SECS, Unverified};
use criterion::Criterion;
use domain::{Did, RequestId, SignatureAlgorithm, Timestamp};
use p256::ecdsa::signature::Signer;
use serde_json::{Value, json};
use uuid::Uuid;

const NOW: i64 = 1_795_000_000;
const AUDIENCE: &str = "https://issuer.example/v1.0/tenants/t/verifiableCredentials/issue";

type Signing = Box<dyn Fn(&[u8]) -> Vec<u8>>;

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn ec_jwk(crv: &str, x: &[u8], y: &[u8]) -> Value {
    json!({"kty": "EC", "crv": crv, "x": encode(x), "y": encode(y)})
}

/// Algorithm, public key and private key of one wallet.
type Wallet = (&'static str, Value, Signing);

fn wallets() -> Result<Vec<Wallet>, Box<dyn Error>> {
    let p256 = p256::ecdsa::SigningKey::from_slice(&[0x31; 32])?;
    let point = p256.verifying_key().to_sec1_point(false);
    let p256_jwk = ec_jwk("P-256", point.x().ok_or("x")?, point.y().ok_or("y")?);
    let k256 = k256::ecdsa::SigningKey::from_slice(&[0x32; 32])?;
    let point = k256.verifying_key().to_sec1_point(false);
    let k256_jwk = ec_jwk("secp256k1", point.x().ok_or("x")?, point.y().ok_or("y")?);
    let ed = Ed25519KeyPair::from_seed_unchecked(&[0x33; 32])?;
    let ed_jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": encode(ed.public_key().as_ref())});
    Ok(vec![
        ("ES256", p256_jwk, Box::new(move |m| Signer::<p256::ecdsa::Signature>::sign(&p256, m).to_vec())),
        ("ES256K", k256_jwk, Box::new(move |m| Signer::<k256::ecdsa::Signature>::sign(&k256, m).to_vec())),
        ("EdDSA", ed_jwk, Box::new(move |m| ed.sign(m).as_ref().to_vec())),
    ])
}

fn response(alg: &str, jwk: &Value, sign: &Signing, hint: &str) -> Result<String, Box<dyn Error>> {
    let did = format!("did:jwk:{}", encode(jwk.to_string()));
    let header = json!({"alg": alg, "kid": format!("{did}#0"), "typ": "JWT"});
    let payload = json!({
        "iss": "https://self-issued.me", "aud": AUDIENCE, "did": did, "sub": PublicKey::from_jwk(jwk)?.thumbprint(),
        "sub_jwk": jwk, "contract": "https://issuer.example/manifest?request=6f0c", "jti": "b2e8", "iat": NOW,
        "exp": NOW + 3600, "attestations": {"idTokens": {"https://self-issued.me": hint}},
    });
    let input = format!("{}.{}", encode(header.to_string()), encode(payload.to_string()));
    let signature = encode(sign(input.as_bytes()));
    Ok(format!("{input}.{signature}"))
}

/// Everything from the body to a believed proof, resolution of the DID included.
fn judge(body: &str) -> Option<String> {
    let unverified = Unverified::parse(body).ok()?;
    let (did, fragment) = unverified.holder();
    let Ok(Resolution::Key(key)) = holder::resolve(did, fragment) else { return None };
    let expected = Expected { audience: AUDIENCE, now: Timestamp::from_seconds(NOW), skew_secs: SKEW_SECS };
    Some(unverified.verify(&key, &expected).ok()?.key_thumbprint)
}

fn hot(c: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let request_id = RequestId::new(Uuid::from_u128(0x6f0c));
    let key = [7; 32];
    let claims = HintClaims {
        request_id,
        aud: AUDIENCE.to_owned(),
        iat: Timestamp::from_seconds(NOW),
        exp: Timestamp::from_seconds(NOW + 900),
        nonce: "b2x".to_owned(),
    };
    let token = hint::seal(&key, "k1", &claims);
    for (alg, jwk, sign) in wallets()? {
        let body = response(alg, &jwk, &sign, &token)?;
        judge(&body).ok_or("the bench's own response is refused")?;
        c.bench_function(&format!("proof/{alg}"), |b| b.iter(|| judge(black_box(&body))));
    }
    c.bench_function("hint/open", |b| b.iter(|| hint::open(|_| Some(&key), black_box(&token))));

    let issuer = Did::new("did:web:issuer.example");
    let subject = Did::new(format!("did:ion:{}", "A".repeat(900)));
    let kid = "did:web:issuer.example#key-1";
    let person: BTreeMap<String, String> =
        (0..10).map(|i| (format!("claim{i}"), format!("value {i}"))).collect();
    let types = ["VerifiedEmployee".to_owned()];
    let input = CredentialInput {
        credential_id: Uuid::from_u128(1),
        issuer_did: &issuer,
        subject_did: &subject,
        issued_at: Timestamp::from_seconds(NOW),
        expires_at: Timestamp::from_seconds(NOW + 86_400),
        types: &types,
        claims: &person,
        status: Some(StatusEntry { list_id: Uuid::from_u128(2), index: 47 }),
    };
    c.bench_function("credential", |b| {
        b.iter(|| {
            let payload = entra_credential::payload(black_box(&input));
            Unsigned::new(SignatureAlgorithm::Es256, kid, Some("JWT"), &payload)
                .map(|unsigned| (unsigned.digest(), unsigned.assemble(&[0; 64])))
        });
    });

    let object = RequestObject {
        request_id,
        issued_at: Timestamp::from_seconds(NOW),
        expires_at: Timestamp::from_seconds(NOW + 300),
        issuer_did: &issuer,
        nonce: "b2x",
        state: "c3Rh",
        redirect_uri: "https://issuer.example/v1.0/verifiableCredentials/completeIssuance",
        client: Client { name: Some("Contoso"), ..Client::default() },
        credential_type: "VerifiedEmployee",
        manifest_url: "https://issuer.example/manifest?request=6f0c",
        id_token_hint: Some(&token),
        pin: Some(Pin { length: 4, kind: PinKind::Numeric, salt: Some("5a17"), hash: "c0de" }),
    };
    c.bench_function("request_object", |b| {
        b.iter(|| {
            let payload = request_object::payload(black_box(&object));
            Unsigned::new(SignatureAlgorithm::Es256, kid, Some("JWT"), &payload)
                .map(|unsigned| (unsigned.digest(), unsigned.assemble(&[0; 64])))
        });
    });
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    hot(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}
