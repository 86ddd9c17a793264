//! PINs: what the wallet makes of one, and what is stored of that.
//!
//! Owns the two formulas and the comparison. It must not store or log a PIN, and counts no tries.

use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::RequestId;
use sha2::{Digest, Sha256};

/// What a wallet sends in `pin`: padded standard base64 of SHA-256 over salt, then PIN. One round, whatever the
/// request's `iterations` say; without salt over the PIN alone.
///
/// A short PIN falls to anyone who sees this value and the salt: keep only [`keyed`] of it.
#[must_use]
pub fn wallet_value(salt: Option<&str>, pin: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(salt.unwrap_or_default().as_bytes());
    hash.update(pin.as_bytes());
    STANDARD.encode(hash.finalize())
}

/// What is stored of a wallet value, and shown as the request's `hash`: HMAC-SHA256 under a key of the service, bound to
/// the request, as 64 lower-case hexadecimal digits.
#[must_use]
pub fn keyed(key: &[u8; 32], request: RequestId, wallet_value: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut code = hmac::Context::with_key(&key);
    // The label keeps the codes of this key apart from any other use of it; the id has a fixed length.
    code.update(b"pin\0");
    code.update(request.as_uuid().as_bytes());
    code.update(wallet_value.as_bytes());
    let mut hex = String::with_capacity(64);
    for byte in code.sign().as_ref() {
        hex.extend(char::from_digit(u32::from(byte >> 4), 16));
        hex.extend(char::from_digit(u32::from(byte & 15), 16));
    }
    hex
}

/// Compares two stored or computed values without telling by time where they differ.
#[must_use]
pub fn matches(a: &str, b: &str) -> bool {
    constant_time::verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// Recorded from a wallet.
    #[test]
    fn the_recorded_value() {
        let value = wallet_value(Some("090c8ff31bf248f8894b58ec88587c80"), "9068");
        assert_eq!(value, "SCcUhz518lqfqmQPVJHUWZ9Olq5UyFO/gPbcNiowq3M=");
    }

    #[test]
    fn the_computed_value() {
        let value = wallet_value(Some("2f1c9d4e-6a0b-4d77-9c55-1a2b3c4d5e6f"), "3539");
        assert_eq!(value, "iAkCPeG4ybw8aZcskYXosyl5Cd1pdua2D3OgCzF9U1M=");
    }

    #[test]
    fn without_salt_the_pin_alone_is_hashed() {
        assert_eq!(wallet_value(None, "9068"), wallet_value(Some(""), "9068"));
        assert_eq!(wallet_value(None, "abc"), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    }

    #[test]
    fn stored_values_depend_on_key_request_and_pin() {
        let request = RequestId::new(Uuid::from_u128(1));
        let stored = keyed(&[1; 32], request, "value");
        assert_eq!(stored.len(), 64);
        assert!(stored.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)));
        assert_eq!(stored, keyed(&[1; 32], request, "value"));
        for other in [
            keyed(&[2; 32], request, "value"),
            keyed(&[1; 32], RequestId::new(Uuid::from_u128(2)), "value"),
            keyed(&[1; 32], request, "other"),
        ] {
            assert_ne!(stored, other);
        }
    }

    #[test]
    fn comparison() {
        assert!(matches("", ""));
        assert!(matches("abc", "abc"));
        for (a, b) in [("abc", "abd"), ("abc", "ab"), ("abc", "ABC"), ("", "a")] {
            assert!(!matches(a, b), "{a} {b}");
        }
    }
}
