//! The software back end passes the suite, and the suite finds every fault that is built into a wrapper around it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::key::EcPoint;
use domain::{Digest, KeyRef, SignatureAlgorithm};

use super::*;
use crate::backend::{Capabilities, CreatedKey, ListedKey, Signed, is_valid_slot};
use crate::boot_clock::SystemBootClock;
use crate::error::SignError;
use crate::keyring::Keyring;
use crate::permit::{Permit, PermitTerms};
use crate::receipt::Receipt;
use crate::software::{MemoryRows, SoftwareBackend};

async fn software() -> SoftwareBackend {
    let keyring = Arc::new(Keyring::generate().unwrap().0);
    SoftwareBackend::open("software", "tenant", keyring, Arc::new(MemoryRows::default())).await.unwrap()
}

/// What the software back end's documentation says.
const SOFTWARE_LACKS: [Unsupported; 1] = [Unsupported::Es384];

async fn report_on(backend: &(impl Signer + KeyAdmin), declared: &[Unsupported]) -> Report {
    let (mint, clock) = (PermitMint::new(), SystemBootClock::new());
    run(&Subject { backend, admin: backend, mint: &mint, clock: &clock, declared }).await
}

#[tokio::test]
async fn the_software_back_end_conforms() {
    let software = software().await;
    let report = report_on(&software, &SOFTWARE_LACKS).await;
    assert!(report.is_conformant(), "{report}");
    assert_eq!(report.passed.len(), 13, "{report}");
    assert!(report.skipped.is_empty(), "{report}");
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    SaysItLacksCreation,
    MakesANewKeyEachTime,
    SlotChangesAlgorithm,
    TakesAnySlotName,
    PublicKeyChanges,
    SignsWithTheFirstKey,
    IgnoresTheAlgorithm,
    SignsForUnknownKeys,
    IgnoresTheDeadline,
    SignsThePreviousDigest,
    MakesUpReceipts,
    ListsNothing,
    DisablesNothing,
}

struct Faulty {
    inner: SoftwareBackend,
    fault: Fault,
    made: Mutex<Vec<CreatedKey>>,
    previous_digest: Mutex<Digest>,
}

impl Faulty {
    async fn new(fault: Fault) -> Self {
        Self {
            inner: software().await,
            fault,
            made: Mutex::default(),
            previous_digest: Mutex::new([9; 32].into()),
        }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    /// The first key made for an algorithm.
    fn first(&self, algorithm: SignatureAlgorithm) -> Option<KeyRef> {
        self.made.lock().unwrap().iter().find(|key| key.algorithm == algorithm).map(|key| key.key.clone())
    }

    fn algorithm_of(&self, key: &KeyRef) -> Option<SignatureAlgorithm> {
        self.made.lock().unwrap().iter().find(|made| made.key == *key).map(|made| made.algorithm)
    }
}

#[async_trait]
impl Signer for Faulty {
    fn capabilities(&self) -> Capabilities {
        Capabilities { create_key: !self.is(Fault::SaysItLacksCreation), ..self.inner.capabilities() }
    }

    async fn sign(&self, permit: Permit) -> Result<Signed, SignError> {
        let asked = permit.key().clone();
        let mut terms = PermitTerms {
            intent: permit.intent(),
            attempt: permit.attempt(),
            key: asked.clone(),
            algorithm: permit.algorithm(),
            digest: *permit.digest(),
            deadline: permit.deadline(),
        };
        let is_known = self.algorithm_of(&asked).is_some();
        match self.fault {
            Fault::SignsWithTheFirstKey if is_known => {
                terms.key = self.first(permit.algorithm()).unwrap_or(asked.clone());
            }
            Fault::IgnoresTheAlgorithm => {
                terms.algorithm = self.algorithm_of(&asked).unwrap_or(terms.algorithm);
            }
            Fault::SignsForUnknownKeys if !is_known => {
                terms.key = self.first(permit.algorithm()).unwrap_or(asked.clone());
            }
            Fault::IgnoresTheDeadline => {
                terms.deadline = SystemBootClock::new().now().plus(Duration::from_secs(9))
            }
            Fault::SignsThePreviousDigest => {
                terms.digest = std::mem::replace(&mut *self.previous_digest.lock().unwrap(), terms.digest);
            }
            _ => {}
        }
        let signed = self.inner.sign(PermitMint::new().mint(terms)).await?;
        let receipt = self.is(Fault::MakesUpReceipts).then(Receipt::default);
        Ok(Signed { key: asked, receipt, ..signed })
    }
}

#[async_trait]
impl KeyAdmin for Faulty {
    async fn create_key(&self, slot: &str, algorithm: SignatureAlgorithm) -> Result<CreatedKey, SignError> {
        let made = self.made.lock().unwrap().len();
        let slot = match self.fault {
            Fault::MakesANewKeyEachTime if is_valid_slot(slot) => format!("{slot}-{made}"),
            Fault::SlotChangesAlgorithm if is_valid_slot(slot) => format!("{slot}-{algorithm}"),
            Fault::TakesAnySlotName if !is_valid_slot(slot) => "anything".to_owned(),
            _ => slot.to_owned(),
        };
        let created = self.inner.create_key(&slot, algorithm).await?;
        self.made.lock().unwrap().push(created.clone());
        Ok(created)
    }

    async fn public_key(&self, key: &KeyRef) -> Result<EcPoint, SignError> {
        let public = self.inner.public_key(key).await?;
        Ok(if self.is(Fault::PublicKeyChanges) {
            EcPoint::new(public.y(), public.x()).unwrap()
        } else {
            public
        })
    }

    async fn list_keys(&self) -> Result<Vec<ListedKey>, SignError> {
        if self.is(Fault::ListsNothing) { Ok(Vec::new()) } else { self.inner.list_keys().await }
    }

    async fn disable(&self, key: &KeyRef) -> Result<(), SignError> {
        if self.is(Fault::DisablesNothing) {
            return self.inner.public_key(key).await.map(|_public| ());
        }
        self.inner.disable(key).await
    }
}

#[tokio::test]
async fn every_fault_is_found() {
    for (fault, check) in [
        (Fault::SaysItLacksCreation, Check::CapabilitiesAgree),
        (Fault::MakesANewKeyEachTime, Check::CreateIsIdempotent),
        (Fault::SlotChangesAlgorithm, Check::SlotKeepsItsAlgorithm),
        (Fault::TakesAnySlotName, Check::SlotNamesAreChecked),
        (Fault::PublicKeyChanges, Check::PublicKeyIsStable),
        (Fault::SignsWithTheFirstKey, Check::SignsWithTheNamedKey),
        (Fault::IgnoresTheAlgorithm, Check::AlgorithmIsBound),
        (Fault::SignsForUnknownKeys, Check::UnknownKeyIsNotFound),
        (Fault::IgnoresTheDeadline, Check::ExpiredPermitIsRefused),
        (Fault::SignsThePreviousDigest, Check::ConcurrentSignaturesAreSeparate),
        (Fault::MakesUpReceipts, Check::ReceiptsAreComplete),
        (Fault::ListsNothing, Check::ListAgrees),
        (Fault::DisablesNothing, Check::DisabledKeyIsRefused),
    ] {
        let faulty = Faulty::new(fault).await;
        let report = report_on(&faulty, &SOFTWARE_LACKS).await;
        assert!(report.failed(check), "{check:?} passed:\n{report}");
        assert!(!report.is_conformant());
    }
}

#[tokio::test]
async fn what_is_declared_but_works_is_found() {
    let software = software().await;
    let report = report_on(&software, &[Unsupported::Es384, Unsupported::Disable]).await;
    assert!(report.failed(Check::CapabilitiesAgree), "{report}");
}

#[tokio::test]
async fn a_back_end_that_makes_no_keys_has_its_key_checks_skipped() {
    let faulty = Faulty::new(Fault::SaysItLacksCreation).await;
    let report = report_on(&faulty, &[Unsupported::Es384, Unsupported::CreateKey]).await;
    // It makes them all the same, which is the failure; nothing else was tried.
    assert!(report.failed(Check::CapabilitiesAgree));
    assert_eq!(report.skipped.len(), 12);
}
