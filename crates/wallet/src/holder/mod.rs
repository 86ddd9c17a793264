//! The holder: a key, its DID, and signatures in its name. Owns how each kind of DID is written. Must not touch files; that
//! is [`crate::directory`].

pub mod ion;

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use k256::ecdsa::signature::hazmat::PrehashSigner as _;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::jws::{Algorithm, encode};
use crate::key::PublicKey;

/// A kind of holder: DID method and curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HolderKind {
    /// `did:jwk` over P-256, as newer iOS wallets make.
    #[default]
    JwkP256,
    /// `did:jwk` over Ed25519.
    JwkEd25519,
    /// `did:key` over P-256.
    KeyP256,
    /// `did:key` over Ed25519.
    KeyEd25519,
    /// Long-form `did:ion` over secp256k1, as stock wallets make.
    IonSecp256k1,
}

impl HolderKind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::JwkP256, Self::JwkEd25519, Self::KeyP256, Self::KeyEd25519, Self::IonSecp256k1];

    /// The name on the command line and in file names.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::JwkP256 => "jwk-p256",
            Self::JwkEd25519 => "jwk-ed25519",
            Self::KeyP256 => "key-p256",
            Self::KeyEd25519 => "key-ed25519",
            Self::IonSecp256k1 => "ion-secp256k1",
        }
    }
}

impl fmt::Display for HolderKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// No kind of holder has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of jwk-p256, jwk-ed25519, key-p256, key-ed25519, ion-secp256k1")]
pub struct UnknownKind;

impl FromStr for HolderKind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(UnknownKind)
    }
}

/// Why there is no holder, or no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HolderError {
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    Random,
    /// The secret is no private key of the curve.
    #[error("the secret is not a private key")]
    Secret,
    /// The key could not sign.
    #[error("the key could not sign")]
    Signing,
    /// High S exists for secp256k1 only.
    #[error("only ion-secp256k1 can make high-S signatures")]
    HighS,
}

enum PrivateKey {
    P256(Box<p256::ecdsa::SigningKey>),
    Secp256k1(Box<k256::ecdsa::SigningKey>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// A holder: key and DID.
pub struct Holder {
    kind: HolderKind,
    secret: [u8; 32],
    private: PrivateKey,
    public: PublicKey,
    did: String,
    fragment: String,
    high_s: bool,
}

impl fmt::Debug for Holder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Holder").field("kind", &self.kind).field("did", &self.did).finish_non_exhaustive()
    }
}

impl Holder {
    /// A holder with a new random key.
    ///
    /// # Errors
    /// [`HolderError::Random`].
    pub fn generate(kind: HolderKind) -> Result<Self, HolderError> {
        loop {
            let mut secret = [0; 32];
            getrandom::fill(&mut secret).map_err(|_source| HolderError::Random)?;
            // Zero and numbers beyond the group's order, one in 2^32 at most, are no private keys.
            if let Ok(holder) = Self::from_secret(kind, secret) {
                return Ok(holder);
            }
        }
    }

    /// The holder of a known private key: 32 bytes, a scalar or an Ed25519 seed.
    ///
    /// # Errors
    /// [`HolderError::Secret`] for a number that is no private key of the curve.
    pub fn from_secret(kind: HolderKind, secret: [u8; 32]) -> Result<Self, HolderError> {
        let (private, public) = match kind {
            HolderKind::JwkP256 | HolderKind::KeyP256 => {
                let key =
                    p256::ecdsa::SigningKey::from_slice(&secret).map_err(|_source| HolderError::Secret)?;
                let public = PublicKey::P256(Box::new(*key.verifying_key()));
                (PrivateKey::P256(Box::new(key)), public)
            }
            HolderKind::IonSecp256k1 => {
                let key =
                    k256::ecdsa::SigningKey::from_slice(&secret).map_err(|_source| HolderError::Secret)?;
                let public = PublicKey::Secp256k1(Box::new(*key.verifying_key()));
                (PrivateKey::Secp256k1(Box::new(key)), public)
            }
            HolderKind::JwkEd25519 | HolderKind::KeyEd25519 => {
                let pair =
                    Ed25519KeyPair::from_seed_unchecked(&secret).map_err(|_source| HolderError::Secret)?;
                let x = pair.public_key().as_ref().try_into().map_err(|_source| HolderError::Secret)?;
                (PrivateKey::Ed25519(Box::new(pair)), PublicKey::Ed25519(x))
            }
        };
        let (did, fragment) = match kind {
            HolderKind::JwkP256 | HolderKind::JwkEd25519 => {
                (format!("did:jwk:{}", encode(public.to_jwk().to_string().as_bytes())), "0".to_owned())
            }
            HolderKind::KeyP256 | HolderKind::KeyEd25519 => {
                let name = multikey(&public);
                (format!("did:key:{name}"), name)
            }
            HolderKind::IonSecp256k1 => ion::long_form(&public, &secret).ok_or(HolderError::Secret)?,
        };
        Ok(Self { kind, secret, private, public, did, fragment, high_s: false })
    }

    /// Makes every signature with the high half of S from now on, as some Android wallets do half of the time.
    ///
    /// # Errors
    /// [`HolderError::HighS`] for other curves than secp256k1.
    pub fn with_high_s(mut self) -> Result<Self, HolderError> {
        if self.kind != HolderKind::IonSecp256k1 {
            return Err(HolderError::HighS);
        }
        self.high_s = true;
        Ok(self)
    }

    /// Which kind of holder this is.
    #[must_use]
    pub fn kind(&self) -> HolderKind {
        self.kind
    }

    /// The DID.
    #[must_use]
    pub fn did(&self) -> &str {
        &self.did
    }

    /// `kid` of the header: the DID, `#` and the key's id.
    #[must_use]
    pub fn kid(&self) -> String {
        format!("{}#{}", self.did, self.fragment)
    }

    /// The key's id: the fragment of [`Self::kid`].
    #[must_use]
    pub fn fragment(&self) -> &str {
        &self.fragment
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The private key's 32 bytes, for the wallet's own file.
    pub(crate) fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// A compact JWS. The header is `alg`, `kid` and `typ`; `extras` are put over it, and a `null` there takes a member
    /// away, so that tests can make headers no wallet makes.
    ///
    /// # Errors
    /// [`HolderError::Signing`].
    pub fn sign_jws(&self, extras: &Map<String, Value>, payload: &Value) -> Result<String, HolderError> {
        let mut header = Map::new();
        header.insert("alg".into(), json!(self.public.algorithm().name()));
        header.insert("kid".into(), json!(self.kid()));
        header.insert("typ".into(), json!("JWT"));
        for (name, value) in extras {
            if value.is_null() {
                header.remove(name);
            } else {
                header.insert(name.clone(), value.clone());
            }
        }
        let header = Value::Object(header).to_string();
        let input = format!("{}.{}", encode(header.as_bytes()), encode(payload.to_string().as_bytes()));
        let signature = self.sign(input.as_bytes())?;
        Ok(format!("{input}.{}", encode(&signature)))
    }

    /// The algorithm of the signatures.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, HolderError> {
        let digest = Sha256::digest(message);
        match &self.private {
            PrivateKey::P256(key) => {
                let signature: p256::ecdsa::Signature =
                    key.sign_prehash(&digest).map_err(|_source| HolderError::Signing)?;
                Ok(signature.to_vec())
            }
            PrivateKey::Secp256k1(key) => {
                let signature: k256::ecdsa::Signature =
                    key.sign_prehash(&digest).map_err(|_source| HolderError::Signing)?;
                let low = signature.normalize_s();
                if !self.high_s {
                    return Ok(low.to_vec());
                }
                let high = k256::ecdsa::Signature::from_scalars(low.r(), -low.s())
                    .map_err(|_source| HolderError::Signing)?;
                Ok(high.to_vec())
            }
            PrivateKey::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

/// The multibase name of a key (did:key method): base58btc over the multicodec prefix and the compressed point.
fn multikey(public: &PublicKey) -> String {
    let mut bytes = Vec::new();
    match public {
        PublicKey::P256(key) => {
            bytes.extend([0x80, 0x24]);
            bytes.extend_from_slice(key.to_sec1_point(true).as_bytes());
        }
        PublicKey::Secp256k1(key) => {
            bytes.extend([0xe7, 0x01]);
            bytes.extend_from_slice(key.to_sec1_point(true).as_bytes());
        }
        PublicKey::Ed25519(x) => {
            bytes.extend([0xed, 0x01]);
            bytes.extend_from_slice(x);
        }
    }
    format!("z{}", bs58::encode(bytes).into_string())
}

#[cfg(test)]
mod tests;
