//! What the software back end needs of a store.
//!
//! Owns the row's shape and the trait through which rows are read and written. It must not know a database: whoever
//! joins the crates implements [`SealedKeyRows`].

use async_trait::async_trait;
use domain::SignatureAlgorithm;
use domain::key::EcPoint;

use crate::error::{Cause, SignError, SignErrorKind};
use crate::keyring::{Binding, KeyringError};

/// One key version at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedKey {
    /// The slot's name, unique among the rows.
    pub name: String,
    /// The version: 32 hexadecimal digits.
    pub version: String,
    /// With what it signs.
    pub algorithm: SignatureAlgorithm,
    /// Its public half.
    pub public: EcPoint,
    /// The private half (32 bytes, big endian), sealed by a [`Keyring`](crate::Keyring).
    pub sealed: String,
    /// Whether it may sign no more.
    pub disabled: bool,
}

/// The owned parts of a row's [`Binding`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowBinding {
    tenant: String,
    row: String,
}

impl RowBinding {
    /// For [`Keyring::seal`](crate::Keyring::seal) and its siblings.
    #[must_use]
    pub fn as_binding(&self) -> Binding<'_> {
        Binding { tenant: &self.tenant, kind: "signing-key", row: &self.row }
    }
}

impl SealedKey {
    /// To what the row is sealed: tenant, name, version and algorithm. Needed to
    /// [rewrap](crate::Keyring::rewrap) the row when the key-encryption key changes.
    #[must_use]
    pub fn binding(&self, tenant: &str) -> RowBinding {
        RowBinding {
            tenant: tenant.to_owned(),
            // Unambiguous: a name has no slash, a version neither.
            row: format!("{}/{}/{}", self.name, self.version, self.algorithm),
        }
    }
}

/// The rows cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the rows of the software keys cannot be used")]
pub struct RowsError(#[source] pub Cause);

/// The rows of one tenant's software keys.
#[async_trait]
pub trait SealedKeyRows: Send + Sync {
    /// All rows, disabled ones too.
    ///
    /// # Errors
    /// [`RowsError`] with the store's error.
    async fn load(&self) -> Result<Vec<SealedKey>, RowsError>;

    /// Stores a new row, durably. False if a row with this name exists; then nothing changes.
    ///
    /// # Errors
    /// [`RowsError`] with the store's error.
    async fn insert(&self, row: &SealedKey) -> Result<bool, RowsError>;

    /// Marks a row as disabled. False if there is no such row; true also if it was disabled before.
    ///
    /// # Errors
    /// [`RowsError`] with the store's error.
    async fn set_disabled(&self, name: &str, version: &str) -> Result<bool, RowsError>;
}

/// A row cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The rows cannot be read.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// A row cannot be opened with the key file.
    #[error("the software key {name}/{version} cannot be opened")]
    Sealed {
        /// The row's name.
        name: String,
        /// The row's version.
        version: String,
        /// Why.
        #[source]
        source: KeyringError,
    },
    /// The private half in a row is none of its algorithm, or does not fit the row's public half.
    #[error("the halves of the software key {name}/{version} do not fit together")]
    Mismatch {
        /// The row's name.
        name: String,
        /// The row's version.
        version: String,
    },
}

impl From<OpenError> for SignError {
    fn from(error: OpenError) -> Self {
        SignErrorKind::Unavailable { may_have_signed: false, source: Box::new(error) }.into()
    }
}
