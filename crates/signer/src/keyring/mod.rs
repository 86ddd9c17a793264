//! Keys that encrypt rows at rest: claims, answers kept for a wallet's retry, software signing keys.
//!
//! Owns the key file (what it may contain, who may read it), the key-encryption keys in memory and, in `envelope`,
//! the form of a sealed row. It must not keep plaintext longer than a call, must not print key material and must not
//! know what the rows mean.
//!
//! A key-encryption key never touches data itself. It is the secret of a key derivation (HKDF-Expand, RFC 5869) and
//! gives every sealed row its own wrapping key, so the number of rows under one key is not bounded by the 2³² random
//! nonces that AES-GCM allows (NIST SP 800-38D, section 8.3).

mod envelope;
mod error;
mod file;
#[cfg(test)]
mod tests;

use std::fmt;

use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

pub use envelope::Binding;
pub use error::{KeyringError, LineProblem};

const KEY_BYTES: usize = 32;
/// Domain separation: what is derived for one purpose says nothing about the other.
const CHECK_LABEL: &[u8] = b"credenza keyring v1 check value";
const CHECK_BYTES: usize = 8;

/// One key-encryption key, ready for use.
struct Kek {
    id: String,
    secret: hkdf::Prk,
    check_value: String,
}

impl Kek {
    fn new(id: &str, key: &[u8; KEY_BYTES]) -> Result<Self, KeyringError> {
        let secret = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, key);
        let mut check = [0; CHECK_BYTES];
        secret
            .expand(&[CHECK_LABEL], CheckLength)
            .and_then(|okm| okm.fill(&mut check))
            .map_err(|_source| KeyringError::Crypto)?;
        Ok(Self { id: id.to_owned(), secret, check_value: hex(&check) })
    }
}

struct CheckLength;

impl hkdf::KeyType for CheckLength {
    fn len(&self) -> usize {
        CHECK_BYTES
    }
}

/// The key-encryption keys of a deployment. The first one encrypts, all of them decrypt.
///
/// A rotation adds a new first line to the key file, restarts, lets the rows be [rewrapped](Keyring::rewrap) and
/// removes the old line when no row needs it any more.
pub struct Keyring {
    primary: Kek,
    others: Vec<Kek>,
}

impl Keyring {
    /// A new key ring with one key, and the text of its key file, which the caller stores where only it can read it
    /// ([`Keyring::create`] does both).
    ///
    /// # Errors
    /// [`KeyringError::Crypto`] if the machine gives no randomness.
    pub fn generate() -> Result<(Self, Zeroizing<String>), KeyringError> {
        let mut id = [0; 4];
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        random(&mut id)?;
        random(key.as_mut_slice())?;
        let id = format!("k-{}", hex(&id));
        let text = file::render(&id, &key);
        let primary = Kek::new(&id, &key)?;
        Ok((Self { primary, others: Vec::new() }, text))
    }

    fn from_keys(keys: Vec<(String, Zeroizing<[u8; KEY_BYTES]>)>) -> Result<Self, KeyringError> {
        let mut keks = keys.iter().map(|(id, key)| Kek::new(id, key));
        let primary = keks.next().ok_or(KeyringError::Empty)??;
        Ok(Self { primary, others: keks.collect::<Result<_, _>>()? })
    }

    /// The id of the key that encrypts.
    #[must_use]
    pub fn primary(&self) -> &str {
        &self.primary.id
    }

    /// The ids of all keys, the primary one first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keks().map(|kek| kek.id.as_str())
    }

    /// Every key's id with its check value: 16 hexadecimal digits that tell nothing about the key. A deployment stores
    /// them beside its rows, so that a wrong key under a right id is found at start and not by the first wallet.
    pub fn check_values(&self) -> impl Iterator<Item = (&str, &str)> {
        self.keks().map(|kek| (kek.id.as_str(), kek.check_value.as_str()))
    }

    /// Compares one key with the check value that was stored when it was first used.
    ///
    /// # Errors
    /// [`KeyringError::UnknownKek`] if there is no such key, [`KeyringError::WrongKek`] if it is not the one that was
    /// used then.
    pub fn matches(&self, id: &str, stored_check_value: &str) -> Result<(), KeyringError> {
        if self.kek(id)?.check_value == stored_check_value {
            Ok(())
        } else {
            Err(KeyringError::WrongKek { id: id.to_owned() })
        }
    }

    fn keks(&self) -> impl Iterator<Item = &Kek> {
        std::iter::once(&self.primary).chain(&self.others)
    }

    fn kek(&self, id: &str) -> Result<&Kek, KeyringError> {
        self.keks().find(|kek| kek.id == id).ok_or_else(|| KeyringError::UnknownKek {
            id: id.to_owned(),
            loaded: self.ids().map(str::to_owned).collect(),
        })
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

/// Fills a buffer from the cryptographic library's generator.
fn random(buffer: &mut [u8]) -> Result<(), KeyringError> {
    aws_lc_rs::rand::fill(buffer).map_err(|_source| KeyringError::Crypto)
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a text may be a key's id: 1 to 32 of `a-z`, `0-9` and `-`.
fn is_valid_id(id: &str) -> bool {
    (1..=32).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
