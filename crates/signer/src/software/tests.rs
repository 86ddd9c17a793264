//! Tests of the software back end beyond the conformance suite.

use std::time::Duration;

use super::*;
use crate::backend::Unsupported;
use crate::error::SignErrorKind;
use crate::permit::{PermitMint, PermitTerms};

const TENANT: &str = "a5f1c9d2-0000-4000-8000-00000000abcd";
const ES256: SignatureAlgorithm = SignatureAlgorithm::Es256;
const ES256K: SignatureAlgorithm = SignatureAlgorithm::Es256k;

struct Setup {
    keyring: Arc<Keyring>,
    rows: Arc<MemoryRows>,
}

impl Setup {
    fn new() -> Self {
        Self { keyring: Arc::new(Keyring::generate().unwrap().0), rows: Arc::new(MemoryRows::default()) }
    }

    async fn open(&self) -> SoftwareBackend {
        SoftwareBackend::open("software", TENANT, self.keyring.clone(), self.rows.clone()).await.unwrap()
    }
}

fn permit(key: &KeyRef, algorithm: SignatureAlgorithm) -> Permit {
    PermitMint::new().mint(PermitTerms {
        intent: "0198c0de-0000-7000-8000-000000000001".parse().unwrap(),
        attempt: 1,
        key: key.clone(),
        algorithm,
        digest: [42; 32].into(),
        deadline: SystemBootClock::new().now().plus(Duration::from_secs(3)),
    })
}

fn is_refused<T>(answer: &Result<T, SignError>, is_expected: impl Fn(&SignErrorKind) -> bool) -> bool {
    answer.as_ref().is_err_and(|error| is_expected(error.kind()))
}

#[tokio::test]
async fn a_restart_finds_the_same_keys() {
    let setup = Setup::new();
    for (slot, algorithm) in [("one", ES256), ("two", ES256K)] {
        let created = setup.open().await.create_key(slot, algorithm).await.unwrap();
        let restarted = setup.open().await;
        assert_eq!(restarted.public_key(&created.key).await.unwrap(), created.public);
        assert_eq!(restarted.create_key(slot, algorithm).await.unwrap(), created);
        restarted.sign(permit(&created.key, algorithm)).await.unwrap();
    }
    assert_eq!(setup.rows.rows().len(), 2);
}

#[tokio::test]
async fn opening_makes_no_key() {
    let setup = Setup::new();
    assert!(setup.open().await.list_keys().await.unwrap().is_empty());
    assert!(setup.rows.rows().is_empty());
}

#[tokio::test]
async fn a_version_is_32_hexadecimal_digits() {
    let created = Setup::new().open().await.create_key("slot", ES256).await.unwrap();
    assert_eq!(created.key.version.len(), 32);
    assert!(created.key.version.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)));
}

#[tokio::test]
async fn the_private_half_is_sealed_in_the_row() {
    let setup = Setup::new();
    setup.open().await.create_key("slot", ES256).await.unwrap();
    let row = setup.rows.rows().remove(0);
    assert!(row.sealed.starts_with(&format!("v1.{}.", setup.keyring.primary())));
    let opened = setup.keyring.open(&row.binding(TENANT).as_binding(), &row.sealed).unwrap();
    assert_eq!(opened.len(), 32);
}

#[tokio::test]
async fn a_row_that_cannot_be_opened_stops_the_start_and_is_named() {
    let setup = Setup::new();
    let created = setup.open().await.create_key("slot", ES256).await.unwrap();
    let foreign = Arc::new(Keyring::generate().unwrap().0);
    let error = SoftwareBackend::open("software", TENANT, foreign, setup.rows.clone()).await.unwrap_err();
    assert!(matches!(error, OpenError::Sealed { .. }));
    assert!(error.to_string().contains(&format!("slot/{}", created.key.version)), "{error}");
    // Another tenant's process cannot use the row either.
    let error =
        SoftwareBackend::open("software", "other", setup.keyring.clone(), setup.rows).await.unwrap_err();
    assert!(matches!(error, OpenError::Sealed { .. }));
}

#[tokio::test]
async fn changed_rows_are_refused() {
    let setup = Setup::new();
    let backend = setup.open().await;
    for (slot, algorithm) in [("a", ES256), ("b", ES256), ("c", ES256K), ("d", ES256K)] {
        backend.create_key(slot, algorithm).await.unwrap();
    }
    let rows = setup.rows.rows();
    let swapped_public = SealedKey { public: rows[1].public, ..rows[0].clone() };
    let swapped_public_k = SealedKey { public: rows[3].public, ..rows[2].clone() };
    for row in [swapped_public, swapped_public_k] {
        let rows = Arc::new(MemoryRows::with(vec![row]));
        let error = SoftwareBackend::open("software", TENANT, setup.keyring.clone(), rows).await.unwrap_err();
        assert!(matches!(error, OpenError::Mismatch { .. }), "{error}");
    }
    let swapped_secret = SealedKey { sealed: rows[1].sealed.clone(), ..rows[0].clone() };
    let renamed = SealedKey { name: "z".into(), ..rows[0].clone() };
    let other_algorithm = SealedKey { algorithm: ES256K, ..rows[0].clone() };
    for row in [swapped_secret, renamed, other_algorithm] {
        let rows = Arc::new(MemoryRows::with(vec![row]));
        let error = SoftwareBackend::open("software", TENANT, setup.keyring.clone(), rows).await.unwrap_err();
        assert!(matches!(error, OpenError::Sealed { .. }), "{error}");
    }
}

#[tokio::test]
async fn two_processes_agree_on_a_slots_key() {
    let setup = Setup::new();
    let (left, right) = (setup.open().await, setup.open().await);
    let made = left.create_key("slot", ES256).await.unwrap();
    // The right one does not know the slot yet: it makes a key, loses, and takes the left one's.
    assert_eq!(right.create_key("slot", ES256).await.unwrap(), made);
    let other = left.create_key("other", ES256K).await.unwrap();
    right.sign(permit(&other.key, ES256K)).await.unwrap();
}

#[tokio::test]
async fn what_another_process_disabled_is_taken_over_by_listing() {
    let setup = Setup::new();
    let (left, right) = (setup.open().await, setup.open().await);
    let key = left.create_key("slot", ES256).await.unwrap().key;
    right.sign(permit(&key, ES256)).await.unwrap();
    left.disable(&key).await.unwrap();
    assert!(right.list_keys().await.unwrap()[0].disabled);
    assert!(is_refused(&right.sign(permit(&key, ES256)).await, |kind| matches!(
        kind,
        SignErrorKind::KeyDisabled
    )));
    // And it lasts over a restart.
    assert!(is_refused(&setup.open().await.sign(permit(&key, ES256)).await, |kind| matches!(
        kind,
        SignErrorKind::KeyDisabled
    )));
}

#[tokio::test]
async fn another_back_ends_key_is_not_found() {
    let backend = Setup::new().open().await;
    let key = backend.create_key("slot", ES256).await.unwrap().key;
    let foreign = KeyRef { backend: "vault".into(), ..key };
    assert!(is_refused(&backend.sign(permit(&foreign, ES256)).await, |kind| matches!(
        kind,
        SignErrorKind::KeyNotFound
    )));
}

#[tokio::test]
async fn secp256k1_signatures_have_a_low_s() {
    let backend = Setup::new().open().await;
    let key = backend.create_key("slot", ES256K).await.unwrap().key;
    for byte in 0..32 {
        let mint = PermitMint::new();
        let terms = PermitTerms {
            intent: "0198c0de-0000-7000-8000-000000000001".parse().unwrap(),
            attempt: 1,
            key: key.clone(),
            algorithm: ES256K,
            digest: [byte; 32].into(),
            deadline: SystemBootClock::new().now().plus(Duration::from_secs(3)),
        };
        let signed = backend.sign(mint.mint(terms)).await.unwrap();
        let signature = k256::ecdsa::Signature::from_slice(&signed.signature).unwrap();
        assert_eq!(signature.normalize_s(), signature);
    }
}

struct BrokenRows;

#[async_trait]
impl SealedKeyRows for BrokenRows {
    async fn load(&self) -> Result<Vec<SealedKey>, RowsError> {
        Err(RowsError("the database is gone".into()))
    }
    async fn insert(&self, _row: &SealedKey) -> Result<bool, RowsError> {
        Err(RowsError("the database is gone".into()))
    }
    async fn set_disabled(&self, _name: &str, _version: &str) -> Result<bool, RowsError> {
        Err(RowsError("the database is gone".into()))
    }
}

#[tokio::test]
async fn rows_that_cannot_be_read_stop_the_start() {
    let keyring = Setup::new().keyring;
    let error = SoftwareBackend::open("software", TENANT, keyring, Arc::new(BrokenRows)).await.unwrap_err();
    assert!(matches!(error, OpenError::Rows(_)));
}

#[tokio::test]
async fn a_key_that_is_known_signs_while_the_database_is_gone() {
    let setup = Setup::new();
    let mut backend = setup.open().await;
    let key = backend.create_key("slot", ES256).await.unwrap().key;
    backend.rows = Arc::new(BrokenRows);
    backend.sign(permit(&key, ES256)).await.unwrap();
    let error = backend.create_key("new", ES256).await.unwrap_err();
    assert!(matches!(error.kind(), SignErrorKind::Unavailable { may_have_signed: false, .. }));
    // Disabling counts for this process at once, even though the row could not be written.
    assert!(backend.disable(&key).await.is_err());
    assert!(is_refused(&backend.sign(permit(&key, ES256)).await, |kind| matches!(
        kind,
        SignErrorKind::KeyDisabled
    )));
}

#[tokio::test]
async fn p384_is_refused_as_unsupported() {
    let backend = Setup::new().open().await;
    let answer = backend.create_key("slot", SignatureAlgorithm::Es384).await;
    let is_unsupported = |kind: &_| matches!(kind, SignErrorKind::Unsupported(Unsupported::Es384));
    assert!(is_refused(&answer, is_unsupported), "{answer:?}");
    assert!(backend.list_keys().await.unwrap().is_empty());
}
