//! The checks themselves.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use domain::{BootClock, BootTime, Digest, IntentId, KeyRef, SignatureAlgorithm};
use futures_util::future::join_all;

use super::verify::{is_public_key, verifies};
use super::{Check, Failure, Report, Subject};
use crate::backend::{CreatedKey, KeyAdmin, Signed, Signer, Unsupported};
use crate::error::{SignError, SignErrorKind};
use crate::keyring::hex;
use crate::permit::{Permit, PermitMint, PermitTerms};

/// Enough to overlap in any back end.
const CONCURRENT: u8 = 24;
const PATIENCE: Duration = Duration::from_secs(10);

type Seen = Result<(), String>;

/// One run of the suite.
pub(super) struct Suite<'a> {
    backend: &'a dyn Signer,
    admin: &'a dyn KeyAdmin,
    mint: &'a PermitMint,
    clock: &'a dyn BootClock,
    declared: &'a [Unsupported],
    /// Random, so that runs do not meet each other's slots.
    run: Option<String>,
    permits: AtomicU32,
    report: Report,
}

/// The two keys of an algorithm with which most checks work.
struct Pair {
    algorithm: SignatureAlgorithm,
    one: CreatedKey,
    two: CreatedKey,
}

impl<'a> Suite<'a> {
    pub(super) fn new(subject: &Subject<'a>) -> Self {
        let Subject { backend, admin, mint, clock, declared } = *subject;
        let mut run = [0; 4];
        let run = aws_lc_rs::rand::fill(&mut run).is_ok().then(|| hex(&run));
        Self {
            backend,
            admin,
            mint,
            clock,
            declared,
            run,
            permits: AtomicU32::new(0),
            report: Report::default(),
        }
    }

    pub(super) async fn run(mut self) -> Report {
        let seen = self.capabilities_agree().await;
        self.note(Check::CapabilitiesAgree, seen);
        if self.lacks(Unsupported::CreateKey) {
            return self.skip_all_with_keys();
        }
        let seen = self.slot_names_are_checked().await;
        self.note(Check::SlotNamesAreChecked, seen);
        for algorithm in SignatureAlgorithm::ALL {
            if self.lacks(Unsupported::algorithm(algorithm)) {
                continue;
            }
            match self.pair(algorithm).await {
                Ok(pair) => self.with_keys(&pair).await,
                Err(seen) => self.note(Check::CreateIsIdempotent, Err(seen)),
            }
        }
        self.report
    }

    async fn with_keys(&mut self, pair: &Pair) {
        let seen = self.slot_keeps_its_algorithm(pair).await;
        self.note(Check::SlotKeepsItsAlgorithm, seen);
        let seen = self.public_key_is_stable(pair).await;
        self.note(Check::PublicKeyIsStable, seen);
        let seen = self.signs_with_the_named_key(pair).await;
        self.note(Check::SignsWithTheNamedKey, seen);
        let seen = self.receipts_are_complete(pair).await;
        self.note(Check::ReceiptsAreComplete, seen);
        let seen = self.algorithm_is_bound(pair).await;
        self.note(Check::AlgorithmIsBound, seen);
        let seen = self.unknown_key_is_not_found(pair).await;
        self.note(Check::UnknownKeyIsNotFound, seen);
        let seen = self.expired_permit_is_refused(pair).await;
        self.note(Check::ExpiredPermitIsRefused, seen);
        let seen = self.concurrent_signatures_are_separate(pair).await;
        self.note(Check::ConcurrentSignaturesAreSeparate, seen);
        if self.lacks(Unsupported::ListKeys) {
            self.skip(Check::ListAgrees);
        } else {
            let seen = self.list_agrees(pair).await;
            self.note(Check::ListAgrees, seen);
        }
        if self.lacks(Unsupported::Disable) {
            self.skip(Check::DisabledKeyIsRefused);
        } else {
            let seen = self.disabled_key_is_refused(pair).await;
            self.note(Check::DisabledKeyIsRefused, seen);
        }
    }

    async fn capabilities_agree(&self) -> Seen {
        let capabilities = self.backend.capabilities();
        for what in Unsupported::ALL {
            ensure(capabilities.lacks(what) == self.declared.contains(&what), || {
                format!(
                    "{what:?}: declared {}, said {}",
                    self.declared.contains(&what),
                    capabilities.lacks(what)
                )
            })?;
        }
        for algorithm in SignatureAlgorithm::ALL {
            let what = if self.lacks(Unsupported::CreateKey) {
                Unsupported::CreateKey
            } else {
                Unsupported::algorithm(algorithm)
            };
            if self.lacks(what) {
                let answer = self.admin.create_key(&self.slot("lacking")?, algorithm).await;
                expect_refusal(&answer, "Unsupported", |kind| matches!(kind, SignErrorKind::Unsupported(_)))?;
            }
        }
        if self.lacks(Unsupported::ListKeys) {
            let answer = self.admin.list_keys().await;
            expect_refusal(&answer, "Unsupported", |kind| matches!(kind, SignErrorKind::Unsupported(_)))?;
        }
        Ok(())
    }

    async fn slot_names_are_checked(&self) -> Seen {
        let long = "x".repeat(128);
        for slot in ["", "a/b", "a_b", "a b", "ä", long.as_str()] {
            for algorithm in self.backend.capabilities().algorithms {
                let answer = self.admin.create_key(slot, *algorithm).await;
                expect_refusal(&answer, "InvalidSlot", |kind| matches!(kind, SignErrorKind::InvalidSlot))?;
            }
        }
        Ok(())
    }

    /// Makes the keys of the other checks and is the check of idempotence at the same time.
    async fn pair(&mut self, algorithm: SignatureAlgorithm) -> Result<Pair, String> {
        let one = self.create(&format!("{algorithm}-1"), algorithm).await?;
        let two = self.create(&format!("{algorithm}-2"), algorithm).await?;
        let again = self.create(&format!("{algorithm}-1"), algorithm).await?;
        ensure(one == again, || format!("{one:?} and then {again:?}"))?;
        ensure(one.key != two.key && one.public != two.public, || "two slots have one key".into())?;
        ensure(one.algorithm == algorithm, || format!("asked for {algorithm}, got {}", one.algorithm))?;
        ensure(!one.key.version.is_empty(), || "a key reference without version".into())?;
        self.note(Check::CreateIsIdempotent, Ok(()));
        Ok(Pair { algorithm, one, two })
    }

    async fn slot_keeps_its_algorithm(&self, pair: &Pair) -> Seen {
        let other = other(pair.algorithm);
        if self.lacks(Unsupported::algorithm(other)) {
            return Ok(());
        }
        let answer = self.admin.create_key(&self.slot(&format!("{}-1", pair.algorithm))?, other).await;
        expect_refusal(&answer, "AlgorithmMismatch", |kind| {
            matches!(kind, SignErrorKind::AlgorithmMismatch { .. })
        })
    }

    async fn public_key_is_stable(&self, pair: &Pair) -> Seen {
        for key in [&pair.one, &pair.two] {
            ensure(is_public_key(pair.algorithm, &key.public), || "a point that is not on its curve".into())?;
            for _ in 0..2 {
                let public = self.admin.public_key(&key.key).await.map_err(said)?;
                ensure(public == key.public, || format!("{public:?} instead of {:?}", key.public))?;
            }
        }
        Ok(())
    }

    async fn signs_with_the_named_key(&self, pair: &Pair) -> Seen {
        for (key, stranger) in [(&pair.one, &pair.two), (&pair.two, &pair.one)] {
            for byte in [0, 0x5a, 0xff] {
                let digest = filled(pair.algorithm, byte);
                let signed = self.sign(&key.key, pair.algorithm, digest).await.map_err(said)?;
                ensure(signed.signature.len() == pair.algorithm.signature_len(), || {
                    format!("a signature of {} bytes", signed.signature.len())
                })?;
                ensure(signed.key == key.key, || format!("{:?} signed for {:?}", signed.key, key.key))?;
                ensure(verifies(pair.algorithm, &key.public, &digest, &signed.signature), || {
                    "a signature that does not verify".into()
                })?;
                ensure(!verifies(pair.algorithm, &stranger.public, &digest, &signed.signature), || {
                    "a signature that verifies under another key".into()
                })?;
            }
        }
        Ok(())
    }

    async fn receipts_are_complete(&self, pair: &Pair) -> Seen {
        let digest = filled(pair.algorithm, 5);
        let mut ids = Vec::new();
        for _ in 0..2 {
            let signed = self.sign(&pair.one.key, pair.algorithm, digest).await.map_err(said)?;
            ids.push(signed.receipt);
        }
        let remote = self.backend.capabilities().remote;
        ensure(ids.iter().all(|receipt| receipt.is_some() == remote), || {
            format!("receipts where {} were expected: {ids:?}", if remote { "some" } else { "none" })
        })?;
        ensure(
            ids.iter().flatten().all(|receipt| receipt.answered() && receipt.status == Some(200)),
            || format!("a receipt without id or with another status than 200: {ids:?}"),
        )?;
        let [one, two] = ids.as_slice() else { return Err("not two receipts".into()) };
        ensure(!remote || one != two, || "two exchanges have one id".into())?;
        // A refusal is an exchange too.
        let nobody = KeyRef { name: self.slot("nobody")?, ..pair.one.key.clone() };
        let answer = self.sign(&nobody, pair.algorithm, digest).await;
        ensure(answer.as_ref().is_err_and(|error| error.answered() == remote), || {
            "a refusal without the receipt of its exchange".into()
        })
    }

    async fn algorithm_is_bound(&self, pair: &Pair) -> Seen {
        let answer = self.sign(&pair.one.key, other(pair.algorithm), filled(other(pair.algorithm), 1)).await;
        expect_refusal(&answer, "AlgorithmMismatch or Unsupported", |kind| {
            matches!(kind, SignErrorKind::AlgorithmMismatch { .. } | SignErrorKind::Unsupported(_))
        })
    }

    async fn unknown_key_is_not_found(&self, pair: &Pair) -> Seen {
        let known = &pair.one.key;
        // A name and a version that no back end has given out.
        let version = "0123456789abcdef0123456789abcdef".to_owned();
        let unknown = [
            KeyRef { version: version.clone(), ..known.clone() },
            KeyRef { name: self.slot("nobody")?, ..known.clone() },
            KeyRef { backend: format!("not-{}", known.backend), ..known.clone() },
        ];
        for key in &unknown {
            let answer = self.sign(key, pair.algorithm, filled(pair.algorithm, 2)).await;
            expect_refusal(&answer, "KeyNotFound", |kind| matches!(kind, SignErrorKind::KeyNotFound))?;
            let answer = self.admin.public_key(key).await;
            expect_refusal(&answer, "KeyNotFound", |kind| matches!(kind, SignErrorKind::KeyNotFound))?;
        }
        if !self.lacks(Unsupported::Disable) {
            let answer = self.admin.disable(&KeyRef { version, ..known.clone() }).await;
            expect_refusal(&answer, "KeyNotFound", |kind| matches!(kind, SignErrorKind::KeyNotFound))?;
        }
        Ok(())
    }

    async fn expired_permit_is_refused(&self, pair: &Pair) -> Seen {
        let digest = filled(pair.algorithm, 3);
        let permit = self.permit(&pair.one.key, pair.algorithm, digest, self.clock.now())?;
        let answer = self.backend.sign(permit).await;
        expect_refusal(&answer, "PermitExpired", |kind| matches!(kind, SignErrorKind::PermitExpired))?;
        ensure(answer.as_ref().is_err_and(|error| !error.may_have_signed() && !error.answered()), || {
            "an expired permit was sent".into()
        })
    }

    async fn concurrent_signatures_are_separate(&self, pair: &Pair) -> Seen {
        let work =
            (0..CONCURRENT).map(|number| {
                let key = if number % 2 == 0 { &pair.one } else { &pair.two };
                async move {
                    (key, number, self.sign(&key.key, pair.algorithm, filled(pair.algorithm, number)).await)
                }
            });
        for (key, number, signed) in join_all(work).await {
            let signed = signed.map_err(said)?;
            ensure(
                verifies(pair.algorithm, &key.public, &filled(pair.algorithm, number), &signed.signature),
                || format!("signature {number} belongs to something else"),
            )?;
        }
        Ok(())
    }

    async fn list_agrees(&self, pair: &Pair) -> Seen {
        let list = self.admin.list_keys().await.map_err(said)?;
        for key in [&pair.one, &pair.two] {
            let found = list.iter().find(|listed| listed.key == key.key);
            let found = found.ok_or_else(|| format!("{:?} is not in the list", key.key))?;
            ensure(found.public == key.public && found.algorithm == key.algorithm, || {
                format!("{:?} is another key in the list", key.key)
            })?;
            ensure(!found.disabled, || format!("{:?} is disabled in the list", key.key))?;
        }
        Ok(())
    }

    async fn disabled_key_is_refused(&self, pair: &Pair) -> Seen {
        // Twice: disabling is idempotent.
        for _ in 0..2 {
            self.admin.disable(&pair.one.key).await.map_err(said)?;
        }
        let answer = self.sign(&pair.one.key, pair.algorithm, filled(pair.algorithm, 4)).await;
        expect_refusal(&answer, "KeyDisabled", |kind| matches!(kind, SignErrorKind::KeyDisabled))?;
        let public = self.admin.public_key(&pair.one.key).await.map_err(said)?;
        ensure(public == pair.one.public, || "the public half of a disabled key changed".into())?;
        if !self.lacks(Unsupported::ListKeys) {
            let list = self.admin.list_keys().await.map_err(said)?;
            ensure(list.iter().any(|listed| listed.key == pair.one.key && listed.disabled), || {
                "the list does not show the key as disabled".into()
            })?;
        }
        self.sign(&pair.two.key, pair.algorithm, filled(pair.algorithm, 4))
            .await
            .map_err(|error| format!("the other key: {error}"))?;
        self.admin.disable(&pair.two.key).await.map_err(said)
    }

    async fn create(&self, slot: &str, algorithm: SignatureAlgorithm) -> Result<CreatedKey, String> {
        self.admin.create_key(&self.slot(slot)?, algorithm).await.map_err(said)
    }

    async fn sign(
        &self,
        key: &KeyRef,
        algorithm: SignatureAlgorithm,
        digest: Digest,
    ) -> Result<Signed, SignError> {
        let deadline = self.clock.now().plus(PATIENCE);
        let permit =
            self.permit(key, algorithm, digest, deadline).map_err(|_source| SignErrorKind::Crypto)?;
        self.backend.sign(permit).await
    }

    fn permit(
        &self,
        key: &KeyRef,
        algorithm: SignatureAlgorithm,
        digest: Digest,
        deadline: BootTime,
    ) -> Result<Permit, String> {
        let number = self.permits.fetch_add(1, Ordering::Relaxed);
        let run = self.run.as_deref().ok_or("no randomness")?;
        let intent = format!("{run}-0000-7000-8000-{number:012x}");
        let intent: IntentId = intent.parse().map_err(|error| format!("{error}"))?;
        Ok(self.mint.mint(PermitTerms { intent, attempt: 1, key: key.clone(), algorithm, digest, deadline }))
    }

    fn slot(&self, suffix: &str) -> Result<String, String> {
        let run = self.run.as_deref().ok_or("no randomness")?;
        Ok(format!("conformance-{run}-{suffix}"))
    }

    fn lacks(&self, what: Unsupported) -> bool {
        self.backend.capabilities().lacks(what)
    }

    fn note(&mut self, check: Check, seen: Seen) {
        match seen {
            Ok(()) if self.report.passed.contains(&check) => {}
            Ok(()) => self.report.passed.push(check),
            Err(seen) => self.report.failed.push(Failure { check, seen }),
        }
    }

    fn skip(&mut self, check: Check) {
        if !self.report.skipped.contains(&check) {
            self.report.skipped.push(check);
        }
    }

    fn skip_all_with_keys(mut self) -> Report {
        for check in [
            Check::CreateIsIdempotent,
            Check::SlotKeepsItsAlgorithm,
            Check::SlotNamesAreChecked,
            Check::PublicKeyIsStable,
            Check::SignsWithTheNamedKey,
            Check::ReceiptsAreComplete,
            Check::AlgorithmIsBound,
            Check::UnknownKeyIsNotFound,
            Check::ExpiredPermitIsRefused,
            Check::ConcurrentSignaturesAreSeparate,
            Check::ListAgrees,
            Check::DisabledKeyIsRefused,
        ] {
            self.skip(check);
        }
        self.report
    }
}

/// A digest in the algorithm's length.
fn filled(algorithm: SignatureAlgorithm, byte: u8) -> Digest {
    match algorithm {
        SignatureAlgorithm::Es256 | SignatureAlgorithm::Es256k => Digest::Sha256([byte; 32]),
        SignatureAlgorithm::Es384 => Digest::Sha384([byte; 48]),
    }
}

fn other(algorithm: SignatureAlgorithm) -> SignatureAlgorithm {
    match algorithm {
        SignatureAlgorithm::Es256 => SignatureAlgorithm::Es256k,
        SignatureAlgorithm::Es256k | SignatureAlgorithm::Es384 => SignatureAlgorithm::Es256,
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Seen {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn expect_refusal<T>(
    answer: &Result<T, SignError>,
    expected: &str,
    is_expected: impl Fn(&SignErrorKind) -> bool,
) -> Seen {
    match answer {
        Err(error) if is_expected(error.kind()) => Ok(()),
        Err(error) => Err(format!("{} instead of {expected}", error.code())),
        Ok(_) => Err(format!("success instead of {expected}")),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err asks for")]
fn said(error: SignError) -> String {
    error.to_string()
}
