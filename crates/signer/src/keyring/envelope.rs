//! The form of a sealed row: `v1.<key id>.<base64url(salt ‖ wrapped data key)>.<base64url(nonce ‖ ciphertext)>`.
//!
//! Owns that form. Each row has its own random data key, so that a change of the key-encryption key rewrites some
//! hundred bytes and never the payload. Both layers are AES-256-GCM and authenticate what the row is and to whom it
//! belongs, so that a row copied over another one does not open.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::error::KeyringError;
use super::{KEY_BYTES, Kek, Keyring, is_valid_id, random};

const VERSION: &str = "v1";
const WRAP_LABEL: &[u8] = b"credenza keyring v1 wrapping key";
/// 192 random bits: wrapping keys do not repeat within any number of rows that can be stored.
const SALT_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const WRAPPED_BYTES: usize = SALT_BYTES + KEY_BYTES + TAG_BYTES;

/// What a sealed row is and to whom it belongs. A row opens only under the binding with which it was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding<'a> {
    /// The tenant, as it stands in the row's key.
    pub tenant: &'a str,
    /// What the row holds, such as `claims` or `signing-key`.
    pub kind: &'a str,
    /// The row's own key.
    pub row: &'a str,
}

impl Binding<'_> {
    /// Every part with its length in front: no two lists of parts give the same bytes.
    fn authenticated(&self, layer: &str, kek: &str) -> Vec<u8> {
        let parts = [VERSION, layer, kek, self.tenant, self.kind, self.row];
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len().saturating_add(8)).sum());
        for part in parts {
            bytes.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }

    fn of_data_key(&self, kek: &str) -> Aad<Vec<u8>> {
        Aad::from(self.authenticated("data key", kek))
    }

    /// Does not contain the key-encryption key's id: rewrapping leaves the payload as it is.
    fn of_payload(&self) -> Aad<Vec<u8>> {
        Aad::from(self.authenticated("payload", ""))
    }
}

/// A sealed row's parts, still encoded.
struct Envelope<'a> {
    kek: &'a str,
    wrapped: &'a str,
    payload: &'a str,
}

impl<'a> Envelope<'a> {
    fn parse(sealed: &'a str) -> Result<Self, KeyringError> {
        let mut parts = sealed.split('.');
        let (Some(VERSION), Some(kek), Some(wrapped), Some(payload), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(KeyringError::Malformed);
        };
        if !is_valid_id(kek) {
            return Err(KeyringError::Malformed);
        }
        Ok(Self { kek, wrapped, payload })
    }
}

impl Kek {
    /// The key that wraps one row's data key and nothing else.
    fn wrapping_key(&self, salt: &[u8; SALT_BYTES]) -> Result<LessSafeKey, KeyringError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        self.secret
            .expand(&[WRAP_LABEL, salt], &AES_256_GCM)
            .and_then(|okm| okm.fill(key.as_mut_slice()))
            .map_err(|_source| KeyringError::Crypto)?;
        aes(&key)
    }

    fn wrap(
        &self,
        binding: &Binding<'_>,
        salt: &[u8; SALT_BYTES],
        data_key: &[u8; KEY_BYTES],
    ) -> Result<String, KeyringError> {
        let mut wrapped = Zeroizing::new(*data_key);
        // A wrapping key is used once, so its nonce need not vary.
        let tag = self
            .wrapping_key(salt)?
            .seal_in_place_separate_tag(zero_nonce(), binding.of_data_key(&self.id), wrapped.as_mut_slice())
            .map_err(|_source| KeyringError::Crypto)?;
        let mut bytes = Vec::with_capacity(WRAPPED_BYTES);
        bytes.extend_from_slice(salt);
        bytes.extend_from_slice(wrapped.as_slice());
        bytes.extend_from_slice(tag.as_ref());
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    fn unwrap_data_key(
        &self,
        binding: &Binding<'_>,
        wrapped: &str,
    ) -> Result<Zeroizing<[u8; KEY_BYTES]>, KeyringError> {
        let bytes = URL_SAFE_NO_PAD.decode(wrapped).map_err(|_source| KeyringError::Malformed)?;
        let mut bytes = Zeroizing::new(bytes);
        if bytes.len() != WRAPPED_BYTES {
            return Err(KeyringError::Malformed);
        }
        let (salt, sealed) = bytes.split_first_chunk_mut::<SALT_BYTES>().ok_or(KeyringError::Malformed)?;
        let opened = self
            .wrapping_key(salt)?
            .open_in_place(zero_nonce(), binding.of_data_key(&self.id), sealed)
            .map_err(|_source| KeyringError::Corrupt)?;
        let mut data_key = Zeroizing::new([0; KEY_BYTES]);
        if opened.len() != KEY_BYTES {
            return Err(KeyringError::Malformed);
        }
        data_key.copy_from_slice(opened);
        Ok(data_key)
    }
}

impl Keyring {
    /// Encrypts a row under the primary key.
    ///
    /// # Errors
    /// [`KeyringError::Crypto`] if the machine gives no randomness.
    pub fn seal(&self, binding: &Binding<'_>, plaintext: &[u8]) -> Result<String, KeyringError> {
        // One call of the generator for all three.
        let mut fresh = Zeroizing::new([0; KEY_BYTES + SALT_BYTES + NONCE_LEN]);
        random(fresh.as_mut_slice())?;
        let (data_key, rest) = fresh.split_first_chunk::<KEY_BYTES>().ok_or(KeyringError::Crypto)?;
        let (salt, rest) = rest.split_first_chunk::<SALT_BYTES>().ok_or(KeyringError::Crypto)?;
        let nonce = rest.first_chunk::<NONCE_LEN>().ok_or(KeyringError::Crypto)?;

        let mut payload = Zeroizing::new(Vec::with_capacity(
            plaintext.len().saturating_add(NONCE_LEN).saturating_add(TAG_BYTES),
        ));
        payload.extend_from_slice(nonce);
        payload.extend_from_slice(plaintext);
        let (_nonce, in_out) = payload.split_first_chunk_mut::<NONCE_LEN>().ok_or(KeyringError::Crypto)?;
        let tag = aes(data_key)?
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(*nonce), binding.of_payload(), in_out)
            .map_err(|_source| KeyringError::Crypto)?;
        payload.extend_from_slice(tag.as_ref());

        let wrapped = self.primary.wrap(binding, salt, data_key)?;
        Ok(join(&self.primary.id, &wrapped, &URL_SAFE_NO_PAD.encode(payload.as_slice())))
    }

    /// Decrypts a row with whichever loaded key sealed it.
    ///
    /// # Errors
    /// [`KeyringError::UnknownKek`] names the missing key and the loaded ones; [`KeyringError::Malformed`] and
    /// [`KeyringError::Corrupt`] for a row that is damaged or is not the one that the binding names.
    pub fn open(&self, binding: &Binding<'_>, sealed: &str) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        let envelope = Envelope::parse(sealed)?;
        let data_key = self.kek(envelope.kek)?.unwrap_data_key(binding, envelope.wrapped)?;
        let payload = URL_SAFE_NO_PAD.decode(envelope.payload).map_err(|_source| KeyringError::Malformed)?;
        let mut payload = Zeroizing::new(payload);
        let (nonce, in_out) = payload.split_first_chunk_mut::<NONCE_LEN>().ok_or(KeyringError::Malformed)?;
        let length = aes(&data_key)?
            .open_in_place(Nonce::assume_unique_for_key(*nonce), binding.of_payload(), in_out)
            .map_err(|_source| KeyringError::Corrupt)?
            .len();
        // Moves the plaintext to the front of its own buffer: no second copy.
        payload.copy_within(NONCE_LEN..NONCE_LEN.saturating_add(length), 0);
        payload.truncate(length);
        Ok(payload)
    }

    /// Puts a row under the primary key without touching its payload; a row that is there already comes back as it is.
    ///
    /// # Errors
    /// As for [`Keyring::open`]. The payload is not opened, so damage to it is not found here.
    pub fn rewrap(&self, binding: &Binding<'_>, sealed: &str) -> Result<String, KeyringError> {
        let envelope = Envelope::parse(sealed)?;
        let data_key = self.kek(envelope.kek)?.unwrap_data_key(binding, envelope.wrapped)?;
        if envelope.kek == self.primary.id {
            return Ok(sealed.to_owned());
        }
        let mut salt = [0; SALT_BYTES];
        random(&mut salt)?;
        let wrapped = self.primary.wrap(binding, &salt, &data_key)?;
        Ok(join(&self.primary.id, &wrapped, envelope.payload))
    }
}

fn aes(key: &[u8; KEY_BYTES]) -> Result<LessSafeKey, KeyringError> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_source| KeyringError::Crypto)
}

fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

fn join(kek: &str, wrapped: &str, payload: &str) -> String {
    [VERSION, kek, wrapped, payload].join(".")
}
