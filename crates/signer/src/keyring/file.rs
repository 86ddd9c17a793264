//! The key file: one `id base64` per line, `#` comments, the first key encrypts.
//!
//! Owns its syntax and its permissions. It must not repeat a line's content in an error.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::error::{KeyringError, LineProblem};
use super::{KEY_BYTES, Keyring, is_valid_id};

/// Far more than any rotation leaves behind; keeps a wrong path from filling the memory.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// The file's text for one new key.
pub(super) fn render(id: &str, key: &[u8; KEY_BYTES]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(512));
    text.push_str(
        "# Keys that encrypt rows at rest: one `id base64(32 bytes)` per line. The first one encrypts,\n",
    );
    text.push_str(
        "# all of them decrypt. Without this file the rows are lost: back it up, apart from the database.\n",
    );
    text.push_str(id);
    text.push(' ');
    STANDARD.encode_string(key, &mut text);
    text.push('\n');
    text
}

impl Keyring {
    /// Reads a key file's text.
    ///
    /// # Errors
    /// [`KeyringError::Line`] names the first wrong line, [`KeyringError::Empty`] says that there is no key.
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        let mut keys: Vec<(String, Zeroizing<[u8; KEY_BYTES]>)> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let refuse = |problem| KeyringError::Line { line: index.saturating_add(1), problem };
            let (id, key) = parse_line(line).map_err(refuse)?;
            if keys.iter().any(|(known, _)| known == id) {
                return Err(refuse(LineProblem::DuplicateId));
            }
            keys.push((id.to_owned(), key));
        }
        Self::from_keys(keys)
    }

    /// Reads a key file. On Unix it has to belong to its owner alone.
    ///
    /// # Errors
    /// [`KeyringError::File`], [`KeyringError::Permissions`], and what [`Keyring::parse`] refuses.
    pub fn load(path: &Path) -> Result<Self, KeyringError> {
        let failed = |source| KeyringError::File { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        check_permissions(path, &file)?;
        // Room for the whole file, so that no grown buffer leaves a copy of the keys behind.
        let size = file.metadata().map_err(failed)?.len().min(MAX_FILE_BYTES);
        let capacity = usize::try_from(size).unwrap_or_default().saturating_add(1);
        let mut text = Zeroizing::new(String::with_capacity(capacity));
        let mut limited = file.take(MAX_FILE_BYTES.saturating_add(1));
        let read = limited.read_to_string(&mut text).map_err(failed)?;
        if u64::try_from(read).unwrap_or(u64::MAX) > MAX_FILE_BYTES {
            return Err(failed(io::Error::from(io::ErrorKind::FileTooLarge)));
        }
        Self::parse(&text)
    }

    /// Makes a key ring and its key file, readable by the owner alone. An existing file stays as it is.
    ///
    /// # Errors
    /// [`KeyringError::File`], also if the file exists; [`KeyringError::Crypto`].
    pub fn create(path: &Path) -> Result<Self, KeyringError> {
        let (keyring, text) = Self::generate()?;
        write_new(path, text.as_bytes())
            .map_err(|source| KeyringError::File { path: path.to_owned(), source })?;
        Ok(keyring)
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    // Rows sealed with this key must not outlive it in a crash.
    file.sync_all()
}

fn parse_line(line: &str) -> Result<(&str, Zeroizing<[u8; KEY_BYTES]>), LineProblem> {
    let mut words = line.split_whitespace();
    let (Some(id), Some(encoded), None) = (words.next(), words.next(), words.next()) else {
        return Err(LineProblem::Shape);
    };
    if !is_valid_id(id) {
        return Err(LineProblem::Id);
    }
    let decoded = Zeroizing::new(STANDARD.decode(encoded).map_err(|_source| LineProblem::Base64)?);
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    if decoded.len() != KEY_BYTES {
        return Err(LineProblem::Length);
    }
    key.copy_from_slice(&decoded);
    Ok((id, key))
}

/// Asks the opened file and not the path, which could point elsewhere a moment later.
#[cfg(unix)]
fn check_permissions(path: &Path, file: &File) -> Result<(), KeyringError> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let metadata = file.metadata().map_err(|source| KeyringError::File { path: path.to_owned(), source })?;
    let mode = metadata.permissions().mode() & 0o7777;
    // Its owner is who we are. Where that cannot be told, the stricter rule counts.
    let process = std::fs::metadata("/proc/self").map_or(ROOT, |process| process.uid());
    if is_closed(mode, metadata.uid(), process) {
        Ok(())
    } else {
        Err(KeyringError::Permissions { path: path.to_owned(), mode })
    }
}

#[cfg(unix)]
const ROOT: u32 = 0;

/// Whether only those can read the file who should: its owner, or, for a file that root gives to a process which is not
/// root (secrets that are mounted into containers), the group that root chose.
#[cfg(unix)]
pub(super) const fn is_closed(mode: u32, owner: u32, process: u32) -> bool {
    let open_to_others = mode & 0o077;
    open_to_others == 0 || (open_to_others == 0o040 && owner == ROOT && process != ROOT)
}

#[cfg(not(unix))]
fn check_permissions(_path: &Path, _file: &File) -> Result<(), KeyringError> {
    Ok(())
}
