//! Secrets in files that the configuration names.
//!
//! Owns who may be able to read such a file. Must not repeat a secret in an error.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use secrecy::SecretString;
use zeroize::Zeroizing;

/// Far more than any secret; keeps a wrong path from filling the memory.
const MAX_BYTES: u64 = 16 * 1024;

/// Reads a secret, without the white space around it.
pub fn read(path: &Path) -> anyhow::Result<SecretString> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("reading {shown}"))?;
    check_permissions(path, &file)?;
    // Room for the whole file, so that no grown buffer leaves a copy behind.
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(MAX_BYTES).unwrap_or_default() + 1));
    let read =
        file.take(MAX_BYTES + 1).read_to_string(&mut text).with_context(|| format!("reading {shown}"))?;
    ensure!(
        u64::try_from(read).is_ok_and(|read| read <= MAX_BYTES),
        "{shown} has more than {MAX_BYTES} bytes: that is no secret"
    );
    ensure!(!text.trim().is_empty(), "{shown} is empty");
    Ok(text.trim().into())
}

/// Asks the opened file and not the path, which could point elsewhere a moment later.
#[cfg(unix)]
fn check_permissions(path: &Path, file: &File) -> anyhow::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let metadata = file.metadata().with_context(|| format!("reading {}", path.display()))?;
    let mode = metadata.permissions().mode() & 0o7777;
    // Our process's owner is who we are. Where that cannot be told, the stricter rule counts.
    let process = std::fs::metadata("/proc/self").map_or(0, |process| process.uid());
    ensure!(
        is_closed(mode, metadata.uid(), process),
        "{path} has mode {mode:04o} and can be read by others than its owner; mend it with: chmod 600 {path} (a file that \
         root mounts for another user may have mode 0440)",
        path = path.display()
    );
    Ok(())
}

#[cfg(not(unix))]
fn check_permissions(_path: &Path, _file: &File) -> anyhow::Result<()> {
    Ok(())
}

/// The rule of the key file: the owner alone, or, for a file that root gives to a process which is not root (secrets that
/// are mounted into containers), the group that root chose.
#[cfg(unix)]
const fn is_closed(mode: u32, owner: u32, process: u32) -> bool {
    let open_to_others = mode & 0o077;
    open_to_others == 0 || (open_to_others == 0o040 && owner == 0 && process != 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use secrecy::ExposeSecret as _;

    use super::*;

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (directory, path)
    }

    #[test]
    fn a_secret_comes_without_its_line_end() {
        let (_kept, path) = file("s3cret\n", 0o600);
        assert_eq!(read(&path).unwrap().expose_secret(), "s3cret");
    }

    #[test]
    fn open_empty_and_endless_files_are_refused() {
        for (text, mode, expected) in [
            ("s3cret", 0o644, "chmod 600"),
            ("s3cret", 0o640, "mode 0640"),
            (" \n", 0o600, "is empty"),
            (&*"x".repeat(20_000), 0o600, "is no secret"),
        ] {
            let (_kept, path) = file(text, mode);
            let message = format!("{:#}", read(&path).unwrap_err());
            assert!(message.contains(expected) && !message.contains("s3cret"), "{message}");
        }
        let (kept, _) = file("", 0o600);
        let message = format!("{:#}", read(&kept.path().join("absent")).unwrap_err());
        assert!(message.contains("absent"), "{message}");
    }

    #[test]
    fn the_group_may_read_what_root_mounts_for_another_user() {
        assert!(is_closed(0o440, 0, 1000));
        for (mode, owner, process) in [(0o440, 0, 0), (0o440, 7, 1000), (0o444, 0, 1000), (0o604, 0, 1000)] {
            assert!(!is_closed(mode, owner, process), "{mode:o}");
        }
    }
}
