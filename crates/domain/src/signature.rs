//! What is signed and what comes back: digests and raw ECDSA signatures, in the lengths of their algorithms.
//!
//! Owns the two types only, so that a length is checked once, where the bytes enter. It must not hash or verify.

use std::fmt;
use std::ops::Deref;

/// The digest of the bytes to sign, by the hash that the signature algorithm names (RFC 7518, section 3.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Digest {
    /// For ES256 and ES256K.
    Sha256([u8; 32]),
    /// For ES384.
    Sha384([u8; 48]),
}

impl Digest {
    /// The digest's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Sha256(bytes) => bytes,
            Self::Sha384(bytes) => bytes,
        }
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self::Sha256(bytes)
    }
}

impl From<[u8; 48]> for Digest {
    fn from(bytes: [u8; 48]) -> Self {
        Self::Sha384(bytes)
    }
}

impl Deref for Digest {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for Digest {
    /// The kind only: a digest of claims that can be guessed tells what they are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256(_) => "Sha256(…)",
            Self::Sha384(_) => "Sha384(…)",
        })
    }
}

/// A raw ECDSA signature, r ‖ s, each as long as the curve's order and big endian (RFC 7518, section 3.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignatureBytes(Raw);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Raw {
    Bytes64([u8; 64]),
    Bytes96([u8; 96]),
}

impl SignatureBytes {
    /// From 64 or 96 bytes, which are the lengths of the known algorithms; `None` for any other length.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes
            .try_into()
            .map(Raw::Bytes64)
            .or_else(|_source| bytes.try_into().map(Raw::Bytes96))
            .ok()
            .map(Self)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Raw::Bytes64(bytes) => bytes,
            Raw::Bytes96(bytes) => bytes,
        }
    }
}

impl From<[u8; 64]> for SignatureBytes {
    fn from(bytes: [u8; 64]) -> Self {
        Self(Raw::Bytes64(bytes))
    }
}

impl From<[u8; 96]> for SignatureBytes {
    fn from(bytes: [u8; 96]) -> Self {
        Self(Raw::Bytes96(bytes))
    }
}

impl Deref for SignatureBytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl fmt::Debug for SignatureBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignatureBytes({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn debug_output_tells_lengths_only() {
        assert_eq!(format!("{:?}", Digest::from([171; 32])), "Sha256(…)");
        assert_eq!(format!("{:?}", Digest::from([171; 48])), "Sha384(…)");
        assert_eq!(format!("{:?}", SignatureBytes::from([171; 96])), "SignatureBytes(96 bytes)");
    }

    proptest! {
        #[test]
        fn only_whole_signatures_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            match SignatureBytes::from_slice(&bytes) {
                Some(signature) => prop_assert_eq!(signature.as_slice(), bytes.as_slice()),
                None => prop_assert!(bytes.len() != 64 && bytes.len() != 96),
            }
        }

        #[test]
        fn both_lengths_round_trip(short: [u8; 64], long: [u8; 32]) {
            prop_assert_eq!(SignatureBytes::from_slice(&short), Some(SignatureBytes::from(short)));
            let long: Vec<u8> = long.iter().chain(&long).chain(&long).copied().collect();
            let signature = SignatureBytes::from_slice(&long).unwrap();
            prop_assert_eq!(signature.as_slice(), long.as_slice());
        }
    }
}
