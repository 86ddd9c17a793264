//! Tests of `proof`.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use p256::ecdsa::signature::Signer;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::base64url;
use crate::did::holder::{Resolution, resolve};
use crate::jws;

const AUDIENCE: &str = "https://issuer.example/v1.0/tenants/t/verifiableCredentials/issue";
const NOW: i64 = 1_795_000_000;

/// A wallet with a key of each kind, whose DID is a did:jwk.
enum Wallet {
    P256(p256::ecdsa::SigningKey),
    Secp256k1(k256::ecdsa::SigningKey),
    Ed25519(Ed25519KeyPair),
}

impl Wallet {
    fn all() -> [Self; 3] {
        [
            Self::P256(p256::ecdsa::SigningKey::from_slice(&[0x31; 32]).unwrap()),
            Self::secp256k1(),
            Self::Ed25519(Ed25519KeyPair::from_seed_unchecked(&[0x33; 32]).unwrap()),
        ]
    }

    fn secp256k1() -> Self {
        Self::Secp256k1(k256::ecdsa::SigningKey::from_slice(&[0x32; 32]).unwrap())
    }

    fn alg(&self) -> &'static str {
        match self {
            Self::P256(_) => "ES256",
            Self::Secp256k1(_) => "ES256K",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    fn jwk(&self) -> Value {
        let ec = |crv: &str, sec1: &[u8]| {
            json!({
                "kty": "EC", "crv": crv, "kid": "wallet", "use": "sig",
                "x": base64url::encode(&sec1[1..33]), "y": base64url::encode(&sec1[33..]),
            })
        };
        match self {
            Self::P256(key) => ec("P-256", key.verifying_key().to_sec1_point(false).as_bytes()),
            Self::Secp256k1(key) => ec("secp256k1", key.verifying_key().to_sec1_point(false).as_bytes()),
            Self::Ed25519(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": base64url::encode(key.public_key().as_ref())})
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(key) => Signer::<p256::ecdsa::Signature>::sign(key, message).to_vec(),
            Self::Secp256k1(key) => {
                // The high half of s, as Android wallets may send it.
                let signature: k256::ecdsa::Signature = key.sign(message);
                let (r, s) = signature.split_scalars();
                k256::ecdsa::Signature::from_scalars(r, -*s).unwrap().to_vec()
            }
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    fn did(&self) -> String {
        format!("did:jwk:{}", base64url::encode(self.jwk().to_string()))
    }

    fn header(&self) -> Value {
        json!({"alg": self.alg(), "kid": format!("{}#wallet", self.did()), "typ": "JWT"})
    }

    fn claims(&self) -> Value {
        json!({
            "iss": "https://self-issued.me", "aud": AUDIENCE, "did": self.did(),
            "sub": PublicKey::from_jwk(&self.jwk()).unwrap().thumbprint(), "sub_jwk": self.jwk(),
            "contract": "https://issuer.example/manifest?request=6f0c", "jti": "b2e8", "iat": NOW, "exp": NOW + 3600,
            "pin": "SCcUhz518lqfqmQPVJHUWZ9Olq5UyFO/gPbcNiowq3M=",
            "attestations": {
                "idTokens": {"https://self-issued.me": "a.b.c"},
                "selfIssued": {"firstName": "Ada"},
            },
        })
    }

    fn token(&self, header: &Value, payload: &str) -> String {
        let input = jws::join(header.to_string().as_bytes(), payload.as_bytes());
        let signature = base64url::encode(self.sign(input.as_bytes()));
        format!("{input}.{signature}")
    }
}

fn expected() -> Expected<'static> {
    Expected { audience: AUDIENCE, now: Timestamp::from_seconds(NOW), skew_secs: SKEW_SECS }
}

fn judge_at(token: &str, expected: &Expected<'_>) -> Result<Proof, ProofError> {
    let unverified = Unverified::parse(token)?;
    let (did, fragment) = unverified.holder();
    let Ok(Resolution::Key(key)) = resolve(did, fragment) else { panic!("the tests' DIDs can be resolved") };
    unverified.verify(&key, expected)
}

fn judge(token: &str) -> Result<Proof, ProofError> {
    judge_at(token, &expected())
}

/// The verdict over a response with one claim changed (`null` stands for an absent one), as a label.
fn with_claim(name: &str, value: Value) -> Result<Proof, &'static str> {
    let wallet = Wallet::secp256k1();
    let mut claims = wallet.claims();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    judge(&wallet.token(&wallet.header(), &claims.to_string())).map_err(|error| error.reason())
}

#[test]
fn a_right_response_of_each_kind_of_key_is_believed() {
    for wallet in Wallet::all() {
        let proof = judge(&wallet.token(&wallet.header(), &wallet.claims().to_string())).unwrap();
        let thumbprint = PublicKey::from_jwk(&wallet.jwk()).unwrap().thumbprint();
        let right = Proof {
            holder_did: Did::new(wallet.did()),
            key_thumbprint: thumbprint,
            algorithm: wallet.alg(),
            jti: "b2e8".into(),
            issued_at: Timestamp::from_seconds(NOW),
            expires_at: Timestamp::from_seconds(NOW + 3600),
            contract: "https://issuer.example/manifest?request=6f0c".into(),
            pin: Some("SCcUhz518lqfqmQPVJHUWZ9Olq5UyFO/gPbcNiowq3M=".into()),
            hint: Some("a.b.c".into()),
            self_issued: BTreeMap::from([("firstName".into(), "Ada".into())]),
            other_attestations: vec![],
        };
        assert_eq!(proof, right);
        let shown = format!("{proof:?}");
        for secret in ["Ada", "SCcUh", "a.b.c"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[test]
fn a_kid_without_fragment_is_accepted() {
    let wallet = Wallet::secp256k1();
    let header = json!({"alg": wallet.alg(), "kid": wallet.did()});
    let token = wallet.token(&header, &wallet.claims().to_string());
    assert_eq!(Unverified::parse(&token).unwrap().holder(), (wallet.did().as_str(), None));
    assert!(judge(&token).is_ok());
}

#[test]
fn what_wallets_get_wrong_is_tolerated() {
    // iOS escapes slashes.
    let wallet = Wallet::secp256k1();
    let escaped = wallet.claims().to_string().replace('/', "\\/");
    let proof = judge(&wallet.token(&wallet.header(), &escaped)).unwrap();
    assert_eq!(proof.contract, "https://issuer.example/manifest?request=6f0c");
    assert_eq!(proof.hint.as_deref(), Some("a.b.c"));
    // Absent or null attestations, null tokens.
    for attestations in [
        json!(null),
        json!({}),
        json!({"idTokens": null, "selfIssued": null, "other": null}),
        json!({"idTokens": {"https://self-issued.me": null}, "presentations": {"X": null}, "accessTokens": {}}),
    ] {
        let proof = with_claim("attestations", attestations.clone()).unwrap();
        assert_eq!((proof.hint, proof.self_issued.len()), (None, 0), "{attestations}");
        assert_eq!(proof.other_attestations, Vec::<String>::new(), "{attestations}");
    }
    let null = wallet
        .claims()
        .to_string()
        .replace(r#""pin":"SCcUhz518lqfqmQPVJHUWZ9Olq5UyFO/gPbcNiowq3M=""#, r#""pin":null"#);
    assert_eq!(judge(&wallet.token(&wallet.header(), &null)).unwrap().pin, None);
    // Times with fractions.
    let iat = with_claim("iat", json!(1_795_000_000.75)).unwrap().issued_at;
    assert_eq!(iat, Timestamp::from_seconds(NOW));
    // Members that nobody knows.
    assert!(with_claim("nonce", json!([1])).is_ok());
}

/// Old iOS wallets name the curve `P-256K`, and compute the thumbprint with that name.
#[test]
fn the_old_curve_name_is_understood() {
    let wallet = Wallet::secp256k1();
    let mut claims = wallet.claims();
    claims["sub_jwk"]["crv"] = json!("P-256K");
    assert!(judge(&wallet.token(&wallet.header(), &claims.to_string())).is_ok());
    let coordinates = Coordinates::from_jwk(&wallet.jwk()).unwrap();
    claims["sub"] = json!(coordinates.thumbprint_vault_spelling().unwrap());
    assert!(judge(&wallet.token(&wallet.header(), &claims.to_string())).is_ok());
}

#[test]
fn other_attestations_are_named() {
    let proof = with_claim(
        "attestations",
        json!({
            "idTokens": {"https://self-issued.me": "a.b.c", "https://login.example/.well-known/openid-configuration": "d.e.f"},
            "presentations": {"Badge": "g.h.i"}, "accessTokens": {"https://login.example": "j"}, "news": 1,
        }),
    )
    .unwrap();
    assert_eq!(proof.hint.as_deref(), Some("a.b.c"));
    let mut others = proof.other_attestations;
    others.sort();
    assert_eq!(others, ["accessTokens", "idTokens", "news", "presentations"]);
}

#[test]
fn claims_have_to_be_there() {
    for claim in ["iss", "aud", "sub", "sub_jwk", "did", "contract", "jti", "iat", "exp"] {
        assert_eq!(with_claim(claim, json!(null)), Err("missing_claim"), "{claim}");
    }
    assert!(with_claim("pin", json!(null)).is_ok());
}

#[test]
fn claims_have_to_have_their_types() {
    for claim in ["iss", "aud", "sub", "did", "contract", "jti", "pin"] {
        assert_eq!(with_claim(claim, json!([AUDIENCE])), Err("malformed"), "{claim}");
    }
    for time in [json!("1795000000"), json!(1e300), json!(u64::MAX), json!({})] {
        for claim in ["iat", "exp", "nbf"] {
            assert_eq!(with_claim(claim, time.clone()), Err("malformed"), "{claim} {time}");
        }
    }
    for attestations in [
        json!([]),
        json!("x"),
        json!({"idTokens": []}),
        json!({"idTokens": {"a": 1}}),
        json!({"selfIssued": {"a": true}}),
        json!({"selfIssued": {"a": ["b"]}}),
        json!({"presentations": {"a": {}}}),
        json!({"accessTokens": "a"}),
        json!({"k".repeat(65): {}}),
    ] {
        assert_eq!(with_claim("attestations", attestations.clone()), Err("malformed"), "{attestations}");
    }
    assert_eq!(with_claim("contract", json!("c".repeat(2049))), Err("malformed"));
    assert_eq!(with_claim("pin", json!("p".repeat(257))), Err("malformed"));
}

#[test]
fn a_claim_that_stands_twice_is_refused() {
    let wallet = Wallet::secp256k1();
    let twice = wallet.claims().to_string().replacen('{', r#"{"aud":"https://other.example","#, 1);
    assert!(matches!(judge(&wallet.token(&wallet.header(), &twice)), Err(ProofError::Malformed)));
}

#[test]
fn issuer_and_audience_are_exact() {
    for iss in ["https://self-issued.me/", "https://self-issued.me/v2", "https://issuer.example", ""] {
        assert_eq!(with_claim("iss", json!(iss)), Err("wrong_issuer"), "{iss}");
    }
    for aud in
        [format!("{AUDIENCE}/"), AUDIENCE.to_uppercase(), "https://other.example".into(), String::new()]
    {
        assert_eq!(with_claim("aud", json!(aud)), Err("wrong_audience"), "{aud}");
    }
}

#[test]
fn times_are_allowed_300_seconds() {
    assert!(with_claim("exp", json!(NOW - 299)).is_ok());
    assert_eq!(with_claim("exp", json!(NOW - 300)), Err("expired"));
    assert_eq!(with_claim("exp", json!(i64::MIN)), Err("expired"));
    assert!(with_claim("exp", json!(i64::MAX)).is_ok());
    assert!(with_claim("nbf", json!(NOW + 300)).is_ok());
    assert_eq!(with_claim("nbf", json!(NOW + 301)), Err("not_yet_valid"));
    assert!(with_claim("iat", json!(NOW + 300)).is_ok());
    assert_eq!(with_claim("iat", json!(NOW + 301)), Err("issued_in_future"));
    assert!(with_claim("iat", json!(0)).is_ok(), "only exp ends a response");
}

#[test]
fn the_skew_is_the_callers() {
    let wallet = Wallet::secp256k1();
    let mut claims = wallet.claims();
    claims["iat"] = json!(NOW + 1);
    let token = wallet.token(&wallet.header(), &claims.to_string());
    let strict = Expected { skew_secs: 0, ..expected() };
    assert!(matches!(judge_at(&token, &strict), Err(ProofError::IssuedInFuture)));
    assert!(judge_at(&token, &Expected { skew_secs: 1, ..strict }).is_ok());
}

#[test]
fn jti_has_a_length() {
    assert!(with_claim("jti", json!("ä".repeat(256))).is_ok());
    assert_eq!(with_claim("jti", json!("a".repeat(257))), Err("bad_jti"));
    assert_eq!(with_claim("jti", json!("")), Err("bad_jti"));
}

#[test]
fn did_key_and_subject_belong_together() {
    let [p256, _, _] = Wallet::all();
    assert_eq!(with_claim("did", json!(p256.did())), Err("did_mismatch"));
    assert_eq!(with_claim("sub_jwk", p256.jwk()), Err("key_mismatch"));
    assert_eq!(with_claim("sub_jwk", json!({"kty": "RSA"})), Err("bad_sub_jwk"));
    assert_eq!(with_claim("sub_jwk", json!("x")), Err("bad_sub_jwk"));
    let other = PublicKey::from_jwk(&p256.jwk()).unwrap().thumbprint();
    assert_eq!(with_claim("sub", json!(other)), Err("sub_mismatch"));
    let mut negated = Wallet::secp256k1().jwk();
    negated["x"] = negated["y"].clone();
    assert_eq!(with_claim("sub_jwk", negated), Err("key_mismatch"));
}

#[test]
fn the_number_of_attestations_is_limited() {
    let map = |count: usize| {
        (0..count).map(|i| (format!("https://{i}.example"), json!("a"))).collect::<serde_json::Map<_, _>>()
    };
    assert!(with_claim("attestations", json!({"idTokens": map(5), "presentations": map(10)})).is_ok());
    for attestations in [json!({"idTokens": map(6)}), json!({"presentations": map(11)})] {
        assert_eq!(with_claim("attestations", attestations), Err("too_many_attestations"));
    }
}

#[test]
fn algorithms_have_to_be_allowed_and_to_fit() {
    let wallet = Wallet::secp256k1();
    let with_alg = |alg: &str| {
        let mut header = wallet.header();
        header["alg"] = json!(alg);
        judge(&wallet.token(&header, &wallet.claims().to_string())).map_err(|error| error.reason())
    };
    for alg in ["none", "HS256", "RS256", "ES384", "es256k", ""] {
        assert_eq!(with_alg(alg), Err("alg_not_allowed"), "{alg}");
    }
    for alg in ["ES256", "EdDSA"] {
        assert_eq!(with_alg(alg), Err("alg_key_mismatch"), "{alg}");
    }
}

#[test]
fn kids_have_to_be_dids() {
    let wallet = Wallet::secp256k1();
    let with_header = |header: Value| {
        judge(&wallet.token(&header, &wallet.claims().to_string())).map_err(|error| error.reason())
    };
    assert_eq!(with_header(json!({"alg": "ES256K"})), Err("kid_missing"));
    for kid in ["", "#wallet", "wallet", "did:jwk:e30#", "did:jwk:e30#a#b", "did:jwk:e30?a"] {
        assert_eq!(with_header(json!({"alg": "ES256K", "kid": kid})), Err("kid_malformed"), "{kid}");
    }
}

#[test]
fn a_signature_by_another_key_or_over_other_bytes_is_refused() {
    for wallet in Wallet::all() {
        let token = wallet.token(&wallet.header(), &wallet.claims().to_string());
        let (input, signature) = token.rsplit_once('.').unwrap();
        let mut bytes = base64url::decode(signature).unwrap();
        bytes[40] ^= 1;
        let forged = format!("{input}.{}", base64url::encode(&bytes));
        assert!(matches!(judge(&forged), Err(ProofError::BadSignature)), "{}", wallet.alg());
        let cut = format!("{input}.{}", base64url::encode(&bytes[..63]));
        assert!(matches!(judge(&cut), Err(ProofError::BadSignature)));
        assert!(matches!(judge(&format!("{input}.")), Err(ProofError::BadSignature)));
        let mut claims = wallet.claims();
        claims["jti"] = json!("other");
        let moved = jws::join(wallet.header().to_string().as_bytes(), claims.to_string().as_bytes());
        assert!(matches!(judge(&format!("{moved}.{signature}")), Err(ProofError::BadSignature)));
    }
}

#[test]
fn bodies_that_are_no_tokens_are_refused() {
    let wallet = Wallet::secp256k1();
    let token = wallet.token(&wallet.header(), &wallet.claims().to_string());
    for body in
        [String::new(), "{}".into(), format!("{token}\n"), format!(" {token}"), format!("\"{token}\"")]
    {
        assert_eq!(Unverified::parse(&body).unwrap_err().reason(), "not_a_token", "{body}");
    }
    let long = format!("{token}{}", "A".repeat(LIMIT_BYTES));
    assert_eq!(Unverified::parse(&long).unwrap_err().reason(), "too_large");
    let array = wallet.token(&wallet.header(), "[]");
    assert_eq!(Unverified::parse(&array).unwrap_err().reason(), "not_a_token");
}

#[test]
fn every_reason_is_its_own() {
    let did = crate::did::DidError::Malformed;
    let key = crate::key::KeyError::Malformed;
    let errors = [
        ProofError::TooLarge,
        ProofError::NotAToken(JwsError::NotCompact),
        ProofError::Malformed,
        ProofError::KidMissing,
        ProofError::KidMalformed(did),
        ProofError::AlgNotAllowed,
        ProofError::AlgKeyMismatch,
        ProofError::BadSignature,
        ProofError::MissingClaim { claim: "jti" },
        ProofError::WrongIssuer,
        ProofError::WrongAudience,
        ProofError::Expired,
        ProofError::NotYetValid,
        ProofError::IssuedInFuture,
        ProofError::BadJti,
        ProofError::DidMismatch,
        ProofError::BadSubJwk(key),
        ProofError::KeyMismatch,
        ProofError::SubMismatch,
        ProofError::TooManyAttestations,
    ];
    let reasons: std::collections::BTreeSet<_> = errors.iter().map(ProofError::reason).collect();
    assert_eq!(reasons.len(), errors.len());
}

proptest! {
    #[test]
    fn arbitrary_text_does_not_panic(text in ".{0,300}") {
        prop_assert!(Unverified::parse(&text).is_err());
    }

    #[test]
    fn arbitrary_claims_do_not_panic(name in "iss|aud|sub|sub_jwk|did|contract|jti|iat|exp|nbf|pin|attestations", json in r#"[\[\]{}",:0-9a-z.eE-]{0,40}"#) {
        let wallet = Wallet::secp256k1();
        let payload = format!(r#"{{"{name}":{json}}}"#);
        prop_assert!(judge(&wallet.token(&wallet.header(), &payload)).is_err());
    }

    #[test]
    fn any_typed_claims_survive(name in ".{0,20}", value in ".{0,60}", jti in ".{1,60}") {
        let wallet = Wallet::secp256k1();
        let mut claims = wallet.claims();
        claims["jti"] = json!(jti);
        claims["attestations"] = json!({"selfIssued": {&name: &value}});
        let proof = judge(&wallet.token(&wallet.header(), &claims.to_string())).unwrap();
        prop_assert_eq!(proof.jti, jti);
        prop_assert_eq!(proof.self_issued, BTreeMap::from([(name, value)]));
    }
}
