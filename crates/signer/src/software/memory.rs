//! Rows in memory, for tests and benchmarks. Production rows are in a database.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::rows::{RowsError, SealedKey, SealedKeyRows};

/// Rows that last as long as the value.
#[derive(Debug, Default)]
pub struct MemoryRows(Mutex<Vec<SealedKey>>);

impl MemoryRows {
    /// With these rows, as if a process had left them behind.
    #[must_use]
    pub fn with(rows: Vec<SealedKey>) -> Self {
        Self(Mutex::new(rows))
    }

    /// What is stored.
    #[must_use]
    pub fn rows(&self) -> Vec<SealedKey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl SealedKeyRows for MemoryRows {
    async fn load(&self) -> Result<Vec<SealedKey>, RowsError> {
        Ok(self.rows())
    }

    async fn insert(&self, row: &SealedKey) -> Result<bool, RowsError> {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.iter().any(|known| known.name == row.name) {
            return Ok(false);
        }
        rows.push(row.clone());
        Ok(true)
    }

    async fn set_disabled(&self, name: &str, version: &str) -> Result<bool, RowsError> {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let row = rows.iter_mut().find(|row| row.name == name && row.version == version);
        Ok(row.map(|row| row.disabled = true).is_some())
    }
}
