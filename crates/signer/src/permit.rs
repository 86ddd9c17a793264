//! The permit to sign once.
//!
//! Owns the only types through which a back end can be asked for a signature. It must not offer a second way to a
//! [`Permit`]: no `Clone`, no `Default`, no deserialisation, no public constructor but [`PermitMint::mint`].

use std::fmt;

use domain::{BootTime, Digest, IntentId, KeyRef, SignatureAlgorithm};

/// What a permit allows. The signing path fills it from the intent that it has just committed.
#[derive(Debug, Clone)]
pub struct PermitTerms {
    /// The committed intent.
    pub intent: IntentId,
    /// Which attempt at this intent, from 1.
    pub attempt: u32,
    /// The key version that is to sign.
    pub key: KeyRef,
    /// With what it is to sign.
    pub algorithm: SignatureAlgorithm,
    /// The digest of the bytes to sign, by the algorithm's hash.
    pub digest: Digest,
    /// From this time on nothing may be sent any more. Counted from before the intent's transaction began, on the
    /// back end's [`BootClock`](domain::BootClock).
    pub deadline: BootTime,
}

/// Leave to make one signature.
///
/// Only a committed intent may lead here: whoever holds the [`PermitMint`] promises that. A permit binds the digest,
/// the key version, the algorithm and the deadline. It is for one attempt and one exchange with the back end:
/// [`Signer::sign`](crate::Signer::sign) consumes it, so that a second send, by whichever layer, has nothing to show.
pub struct Permit {
    attempt_name: String,
    terms: PermitTerms,
}

impl Permit {
    /// `<intent>.<n>`: names this attempt in the vault's log (User-Agent) and in the ledger.
    #[must_use]
    pub fn attempt_name(&self) -> &str {
        &self.attempt_name
    }

    /// The committed intent.
    #[must_use]
    pub fn intent(&self) -> IntentId {
        self.terms.intent
    }

    /// Which attempt at this intent, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.terms.attempt
    }

    /// The key version that is to sign.
    #[must_use]
    pub fn key(&self) -> &KeyRef {
        &self.terms.key
    }

    /// With what it is to sign.
    #[must_use]
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.terms.algorithm
    }

    /// The digest of the bytes to sign.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.terms.digest
    }

    /// From this time on nothing may be sent any more.
    #[must_use]
    pub fn deadline(&self) -> BootTime {
        self.terms.deadline
    }

    /// Whether the deadline has come. Back ends ask as late as they can, with the present time.
    #[must_use]
    pub fn is_expired(&self, now: BootTime) -> bool {
        now >= self.terms.deadline
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("attempt", &self.attempt_name)
            .field("key", &self.terms.key)
            .field("algorithm", &self.terms.algorithm)
            .finish_non_exhaustive()
    }
}

/// Makes permits. There is one for each set of back ends; [`build`](crate::build::build) hands it out, and the signing
/// path, which commits the intents, keeps it.
#[derive(Debug)]
pub struct PermitMint(());

impl PermitMint {
    pub(crate) const fn new() -> Self {
        Self(())
    }

    /// A permit on these terms. Call it only after the transaction with the intent is known to be committed.
    #[must_use]
    pub fn mint(&self, terms: PermitTerms) -> Permit {
        Permit { attempt_name: format!("{}.{}", terms.intent, terms.attempt), terms }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: BootTime = BootTime::from_nanos(1_000_000);

    fn permit(deadline: BootTime) -> Permit {
        PermitMint::new().mint(PermitTerms {
            intent: "0198c0de-0000-7000-8000-000000000001".parse().unwrap(),
            attempt: 3,
            key: KeyRef { backend: "software".into(), name: "slot".into(), version: "00".into() },
            algorithm: SignatureAlgorithm::Es256,
            digest: [7; 32].into(),
            deadline,
        })
    }

    #[test]
    fn an_attempt_is_named_after_its_intent() {
        assert_eq!(permit(NOW).attempt_name(), "0198c0de-0000-7000-8000-000000000001.3");
    }

    #[test]
    fn a_permit_ends_at_its_deadline() {
        let deadline = NOW.plus(Duration::from_secs(3));
        let permit = permit(deadline);
        assert!(!permit.is_expired(NOW));
        assert!(!permit.is_expired(NOW.plus(Duration::from_millis(2999))));
        assert!(permit.is_expired(deadline));
        assert!(permit.is_expired(deadline.plus(Duration::from_millis(1))));
    }

    #[test]
    fn the_digest_stays_out_of_debug_output() {
        assert!(!format!("{:?}", permit(NOW)).contains("7, 7"));
    }

    /// Compiles only while neither type is `Clone`: with it, the last two lines would be ambiguous.
    #[test]
    fn permits_and_their_mint_cannot_be_copied() {
        trait AmbiguousIfClone<Marker> {
            fn holds() -> bool {
                true
            }
        }
        struct IsClone;
        impl<T> AmbiguousIfClone<()> for T {}
        impl<T: Clone> AmbiguousIfClone<IsClone> for T {}
        assert!(<Permit as AmbiguousIfClone<_>>::holds());
        assert!(<PermitMint as AmbiguousIfClone<_>>::holds());
    }
}
