//! The PIN a user types, and what the wallet sends instead of it (wallet protocol, section 2.3).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::request::{PinKind, PinRequest};

/// Why a PIN is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// Another number of characters than the request names.
    #[error("the PIN has to have {0} characters")]
    Length(usize),
    /// A character outside ASCII digits.
    #[error("the PIN consists of digits only")]
    NotNumeric,
    /// A character outside ASCII letters and digits.
    #[error("the PIN consists of letters and digits only")]
    NotAlphanumeric,
    /// The request's `hash` is the very value the wallet answers: whoever saw the request could answer without the PIN.
    #[error("the request gives the PIN's answer away")]
    Exposed,
}

/// The `pin` claim: standard base64 of SHA-256 over the salt's text and the PIN, one round.
#[must_use]
pub fn hash(salt: Option<&str>, pin: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(salt.unwrap_or_default().as_bytes());
    digest.update(pin.as_bytes());
    STANDARD.encode(digest.finalize())
}

/// Checks a typed PIN against the request and makes the `pin` claim.
///
/// # Errors
/// [`PinError`] for a wrong length or wrong characters, and for a request whose `hash` gives the answer away.
pub fn answer(request: &PinRequest, pin: &str) -> Result<String, PinError> {
    if pin.chars().count() != request.length {
        return Err(PinError::Length(request.length));
    }
    match request.kind {
        PinKind::Numeric if !pin.chars().all(|one| one.is_ascii_digit()) => return Err(PinError::NotNumeric),
        PinKind::Alphanumeric if !pin.chars().all(|one| one.is_ascii_alphanumeric()) => {
            return Err(PinError::NotAlphanumeric);
        }
        PinKind::Numeric | PinKind::Alphanumeric => {}
    }
    let answer = hash(request.salt.as_deref(), pin);
    if answer == request.hash { Err(PinError::Exposed) } else { Ok(answer) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(kind: PinKind, length: usize) -> PinRequest {
        PinRequest { length, kind, salt: Some("090c8ff31bf248f8894b58ec88587c80".into()), hash: "x".into() }
    }

    #[test]
    fn recorded_vectors() {
        let answer = "SCcUhz518lqfqmQPVJHUWZ9Olq5UyFO/gPbcNiowq3M=";
        assert_eq!(hash(Some("090c8ff31bf248f8894b58ec88587c80"), "9068"), answer);
        let other = "iAkCPeG4ybw8aZcskYXosyl5Cd1pdua2D3OgCzF9U1M=";
        assert_eq!(hash(Some("2f1c9d4e-6a0b-4d77-9c55-1a2b3c4d5e6f"), "3539"), other);
        assert_eq!(super::answer(&request(PinKind::Numeric, 4), "9068").unwrap(), answer);
    }

    #[test]
    fn without_a_salt_the_pin_alone_is_hashed() {
        assert_eq!(hash(None, "9068"), hash(Some(""), "9068"));
    }

    #[test]
    fn refuses_wrong_pins_and_an_exposed_answer() {
        assert_eq!(answer(&request(PinKind::Numeric, 4), "906"), Err(PinError::Length(4)));
        assert_eq!(answer(&request(PinKind::Numeric, 4), "906x"), Err(PinError::NotNumeric));
        assert_eq!(answer(&request(PinKind::Numeric, 1), "٣"), Err(PinError::NotNumeric));
        assert_eq!(answer(&request(PinKind::Alphanumeric, 4), "90é8"), Err(PinError::NotAlphanumeric));
        assert!(answer(&request(PinKind::Alphanumeric, 4), "90xY").is_ok());
        let mut exposed = request(PinKind::Numeric, 4);
        exposed.hash = hash(exposed.salt.as_deref(), "9068");
        assert_eq!(answer(&exposed, "9068"), Err(PinError::Exposed));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>(), length in 0usize..8) {
            if answer(&request(PinKind::Numeric, length), &text).is_ok() {
                prop_assert!(text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit()));
            }
        }
    }
}
