//! Every fault of a vault: one kind of failure, one arrival, and the next attempt works.

use std::error::Error as _;
use std::time::Instant;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use signer::{Denial, InvalidResponse, Retry, SignErrorKind, Unreachability};
use vault_sim::{FaultKind, FaultSpec, ForbiddenCode};

use super::*;

fn verifies(key: &CreatedKey, signed: &Signed) -> bool {
    let digest =
        aws_lc_rs::digest::Digest::import_less_safe(&[7; 32], &aws_lc_rs::digest::SHA256).expect("a digest");
    let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public.to_sec1()).expect("a key");
    key.verify_digest_sig(&digest, &signed.signature).is_ok()
}

#[tokio::test]
async fn each_fault_has_its_kind_and_is_not_repeated() {
    use SignErrorKind as Kind;
    type Expected = fn(&SignErrorKind) -> bool;
    let unavailable: Expected = |kind| matches!(kind, Kind::Unavailable { may_have_signed: true, .. });
    // Fault, kind, whether the vault itself answered, whether another attempt may help.
    let rows: [(FaultKind, Expected, bool, bool); 15] = [
        (FaultKind::Throttled(None), |kind| matches!(kind, Kind::Throttled { .. }), true, true),
        (
            FaultKind::Throttled(Some(4)),
            |kind| matches!(kind, Kind::Throttled { after } if *after == Duration::from_secs(4)),
            true,
            true,
        ),
        (FaultKind::InternalError, unavailable, true, true),
        (FaultKind::Unavailable(Some(1)), unavailable, true, true),
        (
            FaultKind::Forbidden(ForbiddenCode::ForbiddenByRbac),
            |kind| matches!(kind, Kind::Forbidden { by: Denial::Role }),
            true,
            false,
        ),
        (
            FaultKind::Forbidden(ForbiddenCode::ForbiddenByFirewall),
            |kind| matches!(kind, Kind::Forbidden { by: Denial::Firewall }),
            true,
            false,
        ),
        (
            FaultKind::Forbidden(ForbiddenCode::KeyExpired),
            |kind| matches!(kind, Kind::KeyOutsideValidity),
            true,
            false,
        ),
        (
            FaultKind::TokenExpired { claims: false },
            |kind| matches!(kind, Kind::Unauthenticated { .. }),
            true,
            false,
        ),
        (FaultKind::ResetBefore, unavailable, false, true),
        (FaultKind::ResetAfter, unavailable, false, true),
        (FaultKind::TruncatedBody, unavailable, true, true),
        (
            FaultKind::BadBase64,
            |kind| matches!(kind, Kind::BadResponse(InvalidResponse::Malformed)),
            true,
            true,
        ),
        (FaultKind::DisabledKey, |kind| matches!(kind, Kind::KeyDisabled), true, false),
        (FaultKind::DeletedKey, |kind| matches!(kind, Kind::KeyNotFound), true, false),
        (FaultKind::SigningKeyUnknown, |kind| matches!(kind, Kind::Unauthenticated { .. }), true, false),
    ];
    let vault = Vault::start(SimConfig::quick());
    let key = vault.key("issuer").await;
    for (fault, is_right, answered, retried) in rows {
        let before = vault.sim.arrivals().len();
        vault.sim.set_fault(FaultSpec::new(fault).on("KeySign").times(1));
        let error = vault.sign(&key.key).await.expect_err("the fault shows");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(is_right(error.kind()), "{fault:?}: {error:?}");
        assert_eq!(error.answered(), answered, "{fault:?}: {error:?}");
        // Whether another token may help depends on the age of the refused one.
        if !matches!(error.kind(), Kind::Unauthenticated { .. }) {
            assert_eq!(matches!(error.retry(), Retry::After(_)), retried, "{fault:?}: {error:?}");
        }
        assert_eq!(vault.sim.arrivals().len(), before + 1, "{fault:?}: one arrival");
        vault.sim.clear_faults();
        let signed = vault.sign(&key.key).await.unwrap_or_else(|error| panic!("after {fault:?}: {error:?}"));
        assert!(verifies(&key, &signed));
    }
}

#[tokio::test]
async fn a_signature_that_is_none_is_left_for_the_caller_to_find() {
    let vault = Vault::start(SimConfig::quick());
    let key = vault.key("issuer").await;
    for fault in [FaultKind::OtherKey, FaultKind::WrongSignature] {
        vault.sim.set_fault(FaultSpec::new(fault).on("KeySign").times(1));
        let signed = vault.sign(&key.key).await.expect("an answer in the right form");
        assert!(!verifies(&key, &signed), "{fault:?}");
    }
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_not_waited_for() {
    let vault = Vault::start(SimConfig::quick());
    let key = vault.key("issuer").await.key;
    for fault in [FaultKind::Delay(Duration::from_secs(10)), FaultKind::SlowBody(Duration::from_secs(5))] {
        vault.sim.set_fault(FaultSpec::new(fault).on("KeySign").times(1));
        let begun = Instant::now();
        let error =
            vault.backend.sign(vault.permit(&key, Duration::from_millis(600))).await.expect_err("late");
        assert!(matches!(error.kind(), SignErrorKind::TimedOut { may_have_signed: true }), "{error:?}");
        assert!(begun.elapsed() < Duration::from_secs(2));
        vault.sign(&key).await.expect("the next one is in time");
    }
}

#[tokio::test]
async fn a_deadline_that_passes_in_the_handshake_sends_nothing() {
    let vault = Vault::start(SimConfig::quick());
    let key = KeyRef { backend: "main".into(), name: "issuer".into(), version: "0".repeat(32) };
    vault.sim.set_fault(FaultSpec::new(FaultKind::TlsDelay(Duration::from_secs(1))));
    let error = vault.backend.sign(vault.permit(&key, Duration::from_millis(300))).await.expect_err("late");
    assert!(matches!(error.kind(), SignErrorKind::PermitExpired), "{error:?}");
    assert!(!error.may_have_signed());
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(vault.sim.arrivals().is_empty());
}

#[tokio::test]
async fn the_vaults_own_limit_is_one_refusal_for_each_request() {
    let mut config = SimConfig::quick();
    config.throttle.window = vault_sim::Window::Sliding;
    let vault = Vault::start(config);
    let key = vault.key("issuer").await.key;
    vault.sim.set_throttle(None, Some(3));
    let mut refused = 0;
    for _ in 0..10 {
        if let Err(error) = vault.sign(&key).await {
            assert!(matches!(error.kind(), SignErrorKind::Throttled { .. }), "{error:?}");
            refused += 1;
        }
    }
    assert!(refused > 0);
    assert_eq!(vault.signatures().len(), 10);
}

#[tokio::test]
async fn a_vault_that_is_not_trusted_is_named_at_once() {
    let vault = Vault::with(SimConfig::quick(), |config| config.ca_pem = None);
    let begun = Instant::now();
    let key = KeyRef { backend: "main".into(), name: "issuer".into(), version: "0".repeat(32) };
    let error = vault.backend.warm(&key).await.expect_err("no trust");
    let is_tls = matches!(error.kind(), SignErrorKind::Unreachable { why: Unreachability::Tls, .. });
    assert!(is_tls, "{error:?}");
    let mut causes = String::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push_str(&cause.to_string());
        next = cause.source();
    }
    assert!(causes.contains("certificate"), "{causes}");
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert!(vault.sim.arrivals().is_empty());
}
