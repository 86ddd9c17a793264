//! Why a key file was refused or a row could not be sealed or opened.

use std::io;
use std::path::PathBuf;

/// What is wrong with one line of a key file. Never says what the line contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineProblem {
    /// Not two words.
    #[error("a line is an id, a space and a key in base64")]
    Shape,
    /// The id is not 1 to 32 of `a-z`, `0-9` and `-`.
    #[error("a key's id has 1 to 32 of a-z, 0-9 and -")]
    Id,
    /// An earlier line has the same id.
    #[error("an earlier line has the same id")]
    DuplicateId,
    /// The key is not base64.
    #[error("the key is not base64")]
    Base64,
    /// The key is not 32 bytes long.
    #[error("a key has 32 bytes")]
    Length,
}

/// A key file was refused, or a row could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The key file cannot be read or written.
    #[error("cannot use the key file {path}")]
    File {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Others than the owner can read the key file.
    #[error(
        "the key file {path} has mode {mode:04o} and can be used by others than its owner; mend it with: chmod 600 {path} (a file that root mounts for another user may have mode 0440)"
    )]
    Permissions {
        /// Its path.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A line of the key file is wrong.
    #[error("line {line} of the key file: {problem}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        problem: LineProblem,
    },
    /// The key file has no key.
    #[error("the key file has no key")]
    Empty,
    /// The row was sealed with a key that is not loaded.
    #[error("the key {id:?} is not in the key file, which has {loaded:?}")]
    UnknownKek {
        /// The key that is asked for.
        id: String,
        /// The keys that are there.
        loaded: Vec<String>,
    },
    /// The key file has another key under this id than the one that was used.
    #[error("the key file has another key under the id {id:?} than the one that was used")]
    WrongKek {
        /// The id.
        id: String,
    },
    /// The text is not a sealed row.
    #[error("this is not a sealed row")]
    Malformed,
    /// The row was changed, belongs somewhere else, or was sealed with another key of the same id.
    #[error("the sealed row is damaged, belongs to another row, or another key of the same id sealed it")]
    Corrupt,
    /// The cryptographic library failed.
    #[error("the cryptographic library failed")]
    Crypto,
}
