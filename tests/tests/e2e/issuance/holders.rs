//! Holders: every kind of DID that wallets have, and how their keys may be named.

use credenza_tests::process::Credenza;
use credenza_tests::wallet::Wallet;
use serde_json::json;
use wallet::holder::{Holder, HolderKind};
use wallet::proof::build;

use super::did_web::DidWebHost;
use super::errors::assert_code;
use super::fixture::{SOON, Service};
use super::flow::{Flow, signed, signed_with};

async fn whole_issuance(holder: Holder) {
    let service = Service::shared();
    let flow = Flow::start(&service, &service.employee()).await;
    let received = flow.receive(&holder).await;
    assert_eq!(received.credential.holder, holder.did());
    assert_eq!(received.credential.claims["givenName"], "Megan");
    assert_eq!(flow.complete().await.status, 202);
    let trail = service.trail(&flow.created.id).await;
    assert_eq!(trail.state, "completed");
    assert_eq!(trail.of("credential_issued")[0]["holder"], json!(holder.public().thumbprint()));
}

#[tokio::test]
async fn did_jwk_p256() {
    whole_issuance(Holder::generate(HolderKind::JwkP256).unwrap()).await;
}

#[tokio::test]
async fn did_jwk_ed25519() {
    whole_issuance(Holder::generate(HolderKind::JwkEd25519).unwrap()).await;
}

#[tokio::test]
async fn did_key_p256() {
    whole_issuance(Holder::generate(HolderKind::KeyP256).unwrap()).await;
}

#[tokio::test]
async fn did_key_ed25519() {
    whole_issuance(Holder::generate(HolderKind::KeyEd25519).unwrap()).await;
}

#[tokio::test]
async fn long_form_did_ion() {
    whole_issuance(Holder::generate(HolderKind::IonSecp256k1).unwrap()).await;
}

#[tokio::test]
async fn long_form_did_ion_with_a_high_s() {
    whole_issuance(Holder::generate(HolderKind::IonSecp256k1).unwrap().with_high_s().unwrap()).await;
}

#[tokio::test]
async fn the_wallet_program_takes_a_credential_with_every_kind_and_verifies_it() {
    let service = Service::shared();
    for kind in HolderKind::ALL {
        let wallet = Wallet::new(service.ready.ca_file.as_deref());
        let created = service.created(&service.student()).await;
        let report = wallet.accept(&created.link, &["--holder", kind.name()]).await.expect_success().json();
        assert_eq!(report["claims"]["studentNumber"], "S-1", "{report}");
        assert_eq!(report["linked_domain_verified"], true, "{report}");
        assert_eq!(report["completion_delivered"], true, "{report}");
        let ca = service.ready.ca_file.as_ref().unwrap().display().to_string();
        let file = report["file"].as_str().unwrap();
        let verdict = wallet.run(&["verify", file, "--json", "--ca", &ca]).await.expect_success().json();
        assert_eq!(verdict["valid"], true, "{verdict}");
    }
}

#[tokio::test]
async fn did_jwk_takes_any_fragment_and_none() {
    let service = Service::shared();
    for kind in [HolderKind::JwkP256, HolderKind::JwkEd25519, HolderKind::IonSecp256k1] {
        let holder = Holder::generate(kind).unwrap();
        let own_name = format!("{}#{}", holder.did(), "key-of-this-phone");
        let names = match kind {
            // A long-form did:ion names its keys, so only its own name or, with a single key, none fits.
            HolderKind::IonSecp256k1 => vec![holder.did().to_owned()],
            _ => vec![own_name, holder.did().to_owned()],
        };
        for kid in names {
            let flow = Flow::start(&service, &service.employee()).await;
            let proof = signed_with(&holder, json!({"kid": kid}), &build(&flow.input(&holder)));
            flow.accepted(&holder, proof).await;
        }
    }
}

#[tokio::test]
async fn extra_header_members_and_another_typ_do_no_harm() {
    let service = Service::shared();
    let holder = Holder::generate(HolderKind::JwkP256).unwrap();
    for header in [json!({"typ": null}), json!({"typ": "JOSE", "x": 1, "cty": "JWT"})] {
        let flow = Flow::start(&service, &service.employee()).await;
        let proof = signed_with(&holder, header, &build(&flow.input(&holder)));
        flow.accepted(&holder, proof).await;
    }
}

#[tokio::test]
async fn dids_that_do_not_lead_to_the_key_are_refused() {
    let service = Service::shared();
    let ion = Holder::generate(HolderKind::IonSecp256k1).unwrap();
    let key = Holder::generate(HolderKind::KeyP256).unwrap();
    let jwk = Holder::generate(HolderKind::JwkP256).unwrap();
    let (short, _) = ion.did().rsplit_once(':').unwrap();
    let (_, state) = ion.did().rsplit_once(':').unwrap();
    let other = Holder::generate(HolderKind::IonSecp256k1).unwrap();
    let (other_suffix, _) = other.did().rsplit_once(':').unwrap();
    let fragment = ion.fragment();
    for (holder, did, kid, reason) in [
        (&ion, short.to_owned(), format!("{short}#{fragment}"), "did_ion_short_form"),
        (
            &ion,
            format!("{other_suffix}:{state}"),
            format!("{other_suffix}:{state}#{fragment}"),
            "did_ion_suffix_mismatch",
        ),
        (&ion, ion.did().to_owned(), format!("{}#other", ion.did()), "did_key_not_found"),
        (&key, key.did().to_owned(), format!("{}#other", key.did()), "did_key_not_found"),
        (&jwk, "did:jwk:e30".to_owned(), "did:jwk:e30#0".to_owned(), "did_key_unusable"),
        (&jwk, "did:jwk:AA".to_owned(), "did:jwk:AA#0".to_owned(), "did_malformed"),
        (&jwk, "did:example:1".to_owned(), "did:example:1#0".to_owned(), "did_method_unsupported"),
        (&jwk, "did:web:10.0.0.1".to_owned(), "did:web:10.0.0.1#0".to_owned(), "did_web_host_refused"),
        (
            &jwk,
            "did:web:host.internal".to_owned(),
            "did:web:host.internal#0".to_owned(),
            "holder_unreachable",
        ),
        // A good key, and the DID of somebody else beside it.
        (&jwk, key.did().to_owned(), jwk.kid(), "did_mismatch"),
        (&jwk, key.did().to_owned(), key.kid(), "key_mismatch"),
        (&ion, key.did().to_owned(), key.kid(), "alg_key_mismatch"),
    ] {
        let flow = Flow::start(&service, &service.employee()).await;
        let mut payload = build(&flow.input(holder));
        payload["did"] = json!(did);
        let answer = flow.send(signed_with(holder, json!({"kid": kid}), &payload)).await;
        assert_code(&answer, 400, "tokenError");
        let trail = service.trail_when(&flow.created.id, |trail| trail.refusals().len() == 1).await;
        assert_eq!(trail.refusals(), [reason], "{kid}");
        // Nothing is left behind: the right holder still gets the credential.
        flow.receive(holder).await;
    }
}

#[tokio::test]
async fn did_web_is_resolved_over_https() {
    let host = DidWebHost::start().await;
    let options = credenza_tests::process::Options {
        env: vec![("SSL_CERT_FILE".to_owned(), host.ca_file().display().to_string())],
        ..Default::default()
    };
    let credenza = Credenza::start(options).await;
    let service = Service::of(&credenza).await;
    for kind in [HolderKind::IonSecp256k1, HolderKind::JwkEd25519, HolderKind::JwkP256] {
        let holder = Holder::generate(kind).unwrap();
        for id in ["#key-1".to_owned(), format!("{}#key-1", host.did())] {
            host.publish(json!({
                "@context": "https://www.w3.org/ns/did/v1",
                "id": host.did(),
                "verificationMethod": [{
                    "id": id, "type": "JsonWebKey2020", "controller": host.did(),
                    "publicKeyJwk": holder.public().to_jwk(),
                }],
            }));
            let flow = Flow::start(&service, &service.employee()).await;
            let mut payload = build(&flow.input(&holder));
            payload["did"] = json!(host.did());
            let kid = format!("{}#key-1", host.did());
            let answer = flow.send(signed_with(&holder, json!({"kid": kid}), &payload)).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let credential = Flow::payload(answer.json()["vc"].as_str().unwrap());
            assert_eq!(credential["sub"], json!(host.did()));
        }
    }
    refused_documents(&service, &host).await;
}

async fn refused_documents(service: &Service, host: &DidWebHost) {
    let holder = Holder::generate(HolderKind::JwkP256).unwrap();
    let method = |id: &str, holder: &Holder| json!({"id": id, "publicKeyJwk": holder.public().to_jwk()});
    let other = Holder::generate(HolderKind::JwkP256).unwrap();
    for (document, reason) in [
        (json!({"id": "did:web:example.com", "verificationMethod": []}), "did_document_mismatch"),
        (json!({"id": host.did()}), "did_document_malformed"),
        (json!({"id": host.did(), "verificationMethod": [method("#else", &holder)]}), "did_key_not_found"),
        (json!({"id": host.did(), "verificationMethod": [method("#key-1", &other)]}), "key_mismatch"),
        (json!("x".repeat(70_000)), "holder_unreachable"),
    ] {
        host.publish(document);
        let flow = Flow::start(service, &service.employee()).await;
        let mut payload = build(&flow.input(&holder));
        payload["did"] = json!(host.did());
        let kid = format!("{}#key-1", host.did());
        let answer = flow.send(signed_with(&holder, json!({"kid": kid}), &payload)).await;
        assert_code(&answer, 400, "tokenError");
        let trail = service.trail_when(&flow.created.id, |trail| trail.has("proof_refused")).await;
        assert_eq!(trail.refusals(), [reason]);
    }
}

#[tokio::test]
async fn a_did_web_whose_certificate_is_not_trusted_is_refused() {
    let host = DidWebHost::start().await;
    let service = Service::shared();
    let flow = Flow::start(&service, &service.employee()).await;
    let holder = Holder::generate(HolderKind::JwkP256).unwrap();
    let mut payload = build(&flow.input(&holder));
    payload["did"] = json!(host.did());
    let begun = std::time::Instant::now();
    let kid = format!("{}#key-1", host.did());
    let answer = flow.send(signed_with(&holder, json!({"kid": kid}), &payload)).await;
    assert_code(&answer, 400, "tokenError");
    assert!(begun.elapsed() < SOON);
    let trail = service.trail_when(&flow.created.id, |trail| trail.has("proof_refused")).await;
    assert_eq!(trail.refusals(), ["holder_unreachable"]);
    assert_eq!(host.calls(), 0, "nothing was asked over an untrusted connection");
}

#[tokio::test]
async fn a_signature_of_another_key_is_refused() {
    let service = Service::shared();
    for kind in HolderKind::ALL {
        let holder = Holder::generate(kind).unwrap();
        let forger = Holder::generate(kind).unwrap();
        let flow = Flow::start(&service, &service.employee()).await;
        let payload = build(&flow.input(&holder));
        let forged = signed_with(&forger, json!({"kid": holder.kid()}), &payload);
        assert_code(&flow.send(forged).await, 400, "tokenError");
        // The forger's signature under the holder's text.
        let (own, foreign) = (signed(&holder, &payload), signed(&forger, &payload));
        let (input, _) = own.rsplit_once('.').unwrap();
        let (_, signature) = foreign.rsplit_once('.').unwrap();
        assert_code(&flow.send(format!("{input}.{signature}")).await, 400, "tokenError");
        let trail = service.trail_when(&flow.created.id, |trail| trail.refusals().len() == 2).await;
        assert_eq!(trail.refusals(), ["bad_signature", "bad_signature"], "{kind}");
        assert_eq!(trail.intents("credential"), 0);
    }
}
