//! Access tokens: one request for many callers, what the vault refuses, what the token endpoint does.

use futures_util::future::join_all;
use signer::{Retry, SignErrorKind, TokenProblem};
use vault_sim::{FaultKind, FaultSpec};

use super::*;

const TENANT: &str = "00000000-0000-0000-0000-000000000001";

fn with_a_secret(sim: SimConfig) -> Vault {
    Vault::with(sim, |config| {
        config.authority_host = Some(config.vault_url.clone());
        config.credential = VaultCredential::ClientSecret {
            tenant_id: TENANT.to_owned(),
            client_id: "11111111-2222-3333-4444-555555555555".to_owned(),
            secret: Zeroizing::new("hunter2".to_owned()),
        };
    })
}

fn token_requests(vault: &Vault) -> u64 {
    vault.sim.status()["token_requests"].as_u64().expect("a number")
}

#[tokio::test]
async fn one_token_request_serves_all_callers() {
    let vault = with_a_secret(SimConfig::quick());
    // The key comes from elsewhere, so that the callers below are the first who need a token.
    let maker =
        KeyVaultBackend::open(&config(&vault.sim), Arc::new(WallClock), vault.clock.clone()).expect("open");
    let key = maker.create_key("issuer", SignatureAlgorithm::Es256).await.expect("a key").key;
    assert_eq!(token_requests(&vault), 0);
    let signed = join_all((0..40).map(|_| vault.sign(&key))).await;
    assert!(signed.iter().all(Result::is_ok));
    assert_eq!(token_requests(&vault), 1);
    assert_eq!(vault.signatures().len(), 40, "and each signature was asked for once");
}

#[tokio::test]
async fn a_refused_token_is_replaced_for_the_next_attempt() {
    let vault = with_a_secret(SimConfig::quick());
    let key = vault.key("issuer").await.key;
    let before = token_requests(&vault);
    // A token that is refused at once is not replaced: another one would not help.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    vault.sim.set_fault(FaultSpec::new(FaultKind::TokenExpired { claims: true }).on("KeySign").times(1));
    let error = vault.sign(&key).await.expect_err("refused");
    assert!(matches!(error.kind(), SignErrorKind::Unauthenticated { fresh_token: false }), "{error:?}");
    assert!(matches!(error.retry(), Retry::After(_)));
    assert!(error.answered() && !error.may_have_signed());
    vault.sign(&key).await.expect("with a new token");
    assert_eq!(token_requests(&vault), before + 1);
    // A refused token has a row of its own kind, so attempts are counted by their names.
    assert_eq!(vault.sim.arrivals().iter().filter(|arrival| arrival.token.is_some()).count(), 2);
}

#[tokio::test]
async fn a_token_endpoint_that_is_down_is_told_from_the_vault() {
    let vault = with_a_secret(SimConfig::quick());
    let key = KeyRef { backend: "main".into(), name: "issuer".into(), version: "0".repeat(32) };
    for (status, problem) in [(503, TokenProblem::Unavailable), (400, TokenProblem::Refused)] {
        vault.sim.set_fault(FaultSpec::new(FaultKind::TokenEndpoint(status)));
        let error = vault.sign(&key).await.expect_err("no token");
        assert!(matches!(error.kind(), SignErrorKind::NoToken { why, .. } if *why == problem), "{error:?}");
        assert!(!error.may_have_signed() && !error.answered());
        vault.sim.clear_faults();
        // A failure is believed for a second.
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
    assert!(vault.signatures().is_empty());
    let error = vault.sign(&key).await.expect_err("there is no such key");
    assert!(matches!(error.kind(), SignErrorKind::KeyNotFound), "{error:?}");
}
