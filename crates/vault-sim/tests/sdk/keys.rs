//! Making keys, signing, verifying, importing.

use azure_security_keyvault_keys::models::{
    CurveName, ImportKeyParameters, JsonWebKey, KeyClientGetKeyOptions, KeyClientSignOptions, KeyType,
    SignParameters, SignatureAlgorithm, VerifyParameters,
};
use azure_security_keyvault_keys::{KeyClient, ResourceExt as _};
use vault_sim::{Sim, SimConfig};

use crate::client::{client, create, status};

async fn sign(
    client: &KeyClient,
    name: &str,
    algorithm: SignatureAlgorithm,
    digest: Vec<u8>,
) -> (String, Vec<u8>) {
    let parameters = SignParameters { algorithm: Some(algorithm), value: Some(digest) };
    let answer = client.sign(name, parameters.try_into().expect("JSON"), None).await.expect("a signature");
    let result = answer.into_model().expect("a result");
    (result.resource_id().expect("a kid").version.expect("a version"), result.result.expect("bytes"))
}

async fn verify(
    client: &KeyClient,
    name: &str,
    version: &str,
    algorithm: SignatureAlgorithm,
    digest: Vec<u8>,
    signature: Vec<u8>,
) -> bool {
    let parameters =
        VerifyParameters { algorithm: Some(algorithm), digest: Some(digest), signature: Some(signature) };
    let answer = client.verify(name, version, parameters.try_into().expect("JSON"), None).await;
    answer.expect("an answer").into_model().expect("a result").value.expect("true or false")
}

#[tokio::test]
async fn every_curve_signs_and_verifies_in_software_and_hsm() {
    let sim = Sim::start(SimConfig::quick()).expect("starts");
    let client = client(&sim);
    for (curve, algorithm, digest, width) in [
        (CurveName::P256, SignatureAlgorithm::Es256, 32, 64),
        (CurveName::P256K, SignatureAlgorithm::Es256K, 32, 64),
        (CurveName::P384, SignatureAlgorithm::Es384, 48, 96),
        (CurveName::P521, SignatureAlgorithm::Es512, 64, 132),
    ] {
        for kty in [KeyType::Ec, KeyType::EcHsm] {
            let name = format!("k{width}-{}", if kty == KeyType::Ec { "soft" } else { "hsm" });
            let key = create(&client, &name, kty.clone(), curve.clone()).await;
            let web_key = key.key.clone().expect("a key");
            assert_eq!((web_key.kty, web_key.crv), (Some(kty), Some(curve.clone())));
            let platform = key.attributes.as_ref().and_then(|found| found.hsm_platform.clone());
            assert_eq!(platform.as_deref(), Some(if name.ends_with("soft") { "0" } else { "2" }));
            let (version, signature) = sign(&client, &name, algorithm.clone(), vec![7; digest]).await;
            assert_eq!(Some(&version), key.resource_id().expect("a kid").version.as_ref());
            assert_eq!(signature.len(), width);
            let good =
                verify(&client, &name, &version, algorithm.clone(), vec![7; digest], signature.clone());
            assert!(good.await);
            let bad = verify(&client, &name, &version, algorithm.clone(), vec![8; digest], signature);
            assert!(!bad.await);
        }
    }
    sim.shutdown().await.expect("ends well");
}

#[tokio::test]
async fn signatures_are_fresh_and_of_fixed_width() {
    let sim = Sim::start(SimConfig::quick()).expect("starts");
    let client = client(&sim);
    create(&client, "issuer", KeyType::Ec, CurveName::P256K).await;
    let mut seen = std::collections::BTreeSet::new();
    let mut high = 0;
    for _ in 0..1_200 {
        let (_, signature) = sign(&client, "issuer", SignatureAlgorithm::Es256K, vec![7; 32]).await;
        assert_eq!(signature.len(), 64);
        high += u32::from(signature[32] >= 0x80);
        assert!(seen.insert(signature), "two equal signatures");
    }
    // s is not normalised: about half of them are in the upper half.
    assert!((300..900).contains(&high), "{high} of 1200 with a high s");
}

#[tokio::test]
async fn a_given_version_is_the_one_that_signs() {
    let sim = Sim::start(SimConfig::quick()).expect("starts");
    let client = client(&sim);
    let first = create(&client, "issuer", KeyType::Ec, CurveName::P256).await;
    let first = first.resource_id().expect("a kid").version.expect("a version");
    let second = client.rotate_key("issuer", None).await.expect("rotates").into_model().expect("a key");
    let second = second.resource_id().expect("a kid").version.expect("a version");
    assert_ne!(first, second);
    for version in [&first, &second] {
        let parameters =
            SignParameters { algorithm: Some(SignatureAlgorithm::Es256), value: Some(vec![1; 32]) };
        let options = KeyClientSignOptions { key_version: Some(version.clone()), ..Default::default() };
        let answer = client.sign("issuer", parameters.try_into().expect("JSON"), Some(options)).await;
        let result = answer.expect("a signature").into_model().expect("a result");
        assert_eq!(result.resource_id().expect("a kid").version.as_ref(), Some(version));
    }
    let current = client.get_key("issuer", None).await.expect("a key").into_model().expect("a key");
    assert_eq!(current.resource_id().expect("a kid").version, Some(second));
    let options = KeyClientGetKeyOptions { key_version: Some("0".repeat(32)), ..Default::default() };
    let missing = client.get_key("issuer", Some(options)).await.expect_err("no such version");
    assert_eq!(status(&missing), (404, "KeyNotFound".into()));
}

/// Private keys whose public x or y begins with a zero byte, made for this test.
const SHORT: [(&str, &str, &str); 2] = [X_SHORT, Y_SHORT];
const X_SHORT: (&str, &str, &str) = (
    "4816356f0c0df7ca247f590474eac9c60a4147a0ab92dc53f691e1b2b1ca7d1a",
    "0093023ac89d6b33c63ee05247890adf81cbcee18d0406aee95f1291defdd1a7",
    "e9a758c5cabd35dbea205ee191a109956ad619ad2e209a38058617b980a998ff",
);
const Y_SHORT: (&str, &str, &str) = (
    "4816356f0c0df7ca247f590474eac9c60a4147a0ab92dc53f691e1b2b1ca7cb5",
    "1b05b8a126fb1622f2bac4300cf31ed9359c18ff55635e6b4fb0ce22c6e743d3",
    "00e59455b6c46f30142a9d5c9fb6ca2edf340fe035a2eed23e47ef45a7bf1c39",
);

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(digit).collect()
}

#[tokio::test]
async fn keys_with_leading_zeros_are_imported_whole() {
    let sim = Sim::start(SimConfig::quick()).expect("starts");
    let client = client(&sim);
    for (number, (d, x, y)) in SHORT.into_iter().enumerate() {
        let (x, y) = (bytes(x), bytes(y));
        assert!(x[0] == 0 || y[0] == 0);
        // As some libraries write them: without the zero.
        let bare = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
        for (form, import_x, import_y) in [("full", x.clone(), y.clone()), ("bare", bare(&x), bare(&y))] {
            let name = format!("short{number}-{form}");
            let key = JsonWebKey {
                kty: Some(KeyType::Ec),
                crv: Some(CurveName::P256K),
                d: Some(bytes(d)),
                x: Some(import_x),
                y: Some(import_y),
                ..Default::default()
            };
            let parameters = ImportKeyParameters { key: Some(key), ..Default::default() };
            let answer = client.import_key(&name, parameters.try_into().expect("JSON"), None).await;
            let key = answer.expect("imported").into_model().expect("a key").key.expect("a key");
            assert_eq!((key.x.as_ref(), key.y.as_ref(), key.d), (Some(&x), Some(&y), None));
            let (version, signature) = sign(&client, &name, SignatureAlgorithm::Es256K, vec![3; 32]).await;
            let good = verify(&client, &name, &version, SignatureAlgorithm::Es256K, vec![3; 32], signature);
            assert!(good.await);
        }
    }
}
