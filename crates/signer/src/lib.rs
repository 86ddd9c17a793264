//! Signing with keys that stay in their back end.
//!
//! Owns the traits that every back end implements ([`Signer`], [`KeyAdmin`]), the permit without which nothing is
//! signed ([`permit`]), the vault budget's place in the path ([`budget`]), the keys that encrypt rows at rest
//! ([`keyring`]), the software back end ([`software`]), the Azure Key Vault back end (`key_vault`) and the
//! suite that all back ends pass (`conformance`), the last two behind the cargo features `key-vault` and
//! `conformance`.
//!
//! It must not know the store, must not speak HTTP to anything but a vault, must not decide which key signs, and must
//! not retry: one layer above does that, inside the caller's deadline.

pub mod backend;
pub mod boot_clock;
pub mod budget;
pub mod build;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod error;
#[cfg(feature = "key-vault")]
pub mod key_vault;
pub mod keyring;
pub mod leave;
pub mod permit;
pub mod receipt;
pub mod software;

pub use backend::{Capabilities, CreatedKey, KeyAdmin, ListedKey, Signed, Signer, Unsupported};
pub use boot_clock::SystemBootClock;
pub use build::{Backend, BuildError, SignerConfig, Signers, build};
pub use error::{Denial, InvalidResponse, Retry, SignError, SignErrorKind, TokenProblem, Unreachability};
pub use keyring::{Binding, Keyring, KeyringError};
pub use leave::Leave;
pub use permit::{Permit, PermitMint, PermitTerms};
pub use receipt::Receipt;
pub use software::{OpenError, RowsError, SealedKey, SealedKeyRows, SoftwareBackend};
