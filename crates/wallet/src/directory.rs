//! The wallet's directory: holder keys and received credentials as files. Owns their form and permissions. Must not talk to
//! the network.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::holder::{Holder, HolderError, HolderKind};
use crate::jws::{decode, encode};

/// A received credential as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredCredential {
    /// The credential, compact JWS.
    pub credential: String,
    /// The contract it was issued under, compact JWS.
    pub contract: String,
    /// The issuer's DID.
    pub issuer: String,
    /// The holder's DID.
    pub holder: String,
    /// The issuer's origin, where it was verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked_domain: Option<String>,
    /// RFC 3339.
    pub received_at: String,
    /// RFC 3339, from `iat`.
    pub issued_at: String,
    /// RFC 3339, from `exp`.
    pub expires_at: String,
}

#[derive(Serialize, Deserialize)]
struct KeyFile {
    kind: String,
    secret: String,
    did: String,
}

/// Why the wallet's directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The file system refused.
    #[error("{} could not be used", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of the wallet is not what the wallet wrote.
    #[error("{} is not a file of this wallet", path.display())]
    Foreign {
        /// Which file.
        path: PathBuf,
    },
    /// The holder's key could not be made or used.
    #[error("the holder's key is unusable")]
    Holder(#[from] HolderError),
}

/// The wallet's directory.
#[derive(Debug, Clone)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Names the directory; it is made when something is first written.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The holder of this kind; its key is made at first use and kept in a file only its owner can read.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub fn holder(&self, kind: HolderKind) -> Result<Holder, DirectoryError> {
        let path = self.path.join(format!("holder-{kind}.json"));
        if !path.exists() {
            let new = Holder::generate(kind)?;
            let file = KeyFile {
                kind: kind.name().to_owned(),
                secret: encode(new.secret()),
                did: new.did().to_owned(),
            };
            make_directory(&self.path)?;
            match write_new(&path, &json_text(&file)) {
                // Another process of the same wallet was first: its key is the wallet's.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                written => written.map_err(|source| DirectoryError::Io { path: path.clone(), source })?,
            }
        }
        let foreign = || DirectoryError::Foreign { path: path.clone() };
        let text = read(&path)?;
        let file: KeyFile = serde_json::from_str(&text).map_err(|_source| foreign())?;
        let secret = decode(&file.secret).and_then(|bytes| bytes.try_into().ok()).ok_or_else(foreign)?;
        let holder = Holder::from_secret(kind, secret)?;
        if file.kind == kind.name() && file.did == holder.did() { Ok(holder) } else { Err(foreign()) }
    }

    /// Keeps a credential under its `jti`; the same credential twice is one file.
    ///
    /// # Errors
    /// [`DirectoryError::Io`].
    pub fn save(&self, jti: &str, stored: &StoredCredential) -> Result<PathBuf, DirectoryError> {
        let folder = self.path.join("credentials");
        make_directory(&self.path)?;
        make_directory(&folder)?;
        let path = folder.join(format!("{}.json", file_stem(jti)));
        let new = path.with_extension("new");
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| DirectoryError::Io { path, source }
        };
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(&new)(error)),
            Ok(()) | Err(_) => {}
        }
        write_private(&new, &json_text(stored)).map_err(io(&new))?;
        fs::rename(&new, &path).map_err(io(&path))?;
        Ok(path)
    }

    /// The files of all kept credentials, in the order of their names.
    ///
    /// # Errors
    /// [`DirectoryError::Io`]; a wallet without credentials is not an error.
    pub fn list(&self) -> Result<Vec<PathBuf>, DirectoryError> {
        let folder = self.path.join("credentials");
        let io = |source| DirectoryError::Io { path: folder.clone(), source };
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io(error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(io)?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }
}

/// Reads a kept credential.
///
/// # Errors
/// [`DirectoryError`]: not readable, or not written by a wallet.
pub fn load(path: &Path) -> Result<StoredCredential, DirectoryError> {
    let text = read(path)?;
    serde_json::from_str(&text).map_err(|_source| DirectoryError::Foreign { path: path.to_owned() })
}

/// The hex part of `urn:pic:<32 hex>`; for any other id a hash, so that no id can name a path.
fn file_stem(jti: &str) -> String {
    let hex = jti.strip_prefix("urn:pic:").unwrap_or_default();
    if hex.len() == 32 && hex.chars().all(|one| one.is_ascii_hexdigit()) {
        return hex.to_ascii_lowercase();
    }
    Sha256::digest(jti.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn json_text(value: &impl Serialize) -> String {
    // Strings only, so this cannot fail; an empty file would be refused when it is read.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

fn read(path: &Path) -> Result<String, DirectoryError> {
    fs::read_to_string(path).map_err(|source| DirectoryError::Io { path: path.to_owned(), source })
}

fn make_directory(path: &Path) -> Result<(), DirectoryError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| DirectoryError::Io { path: path.to_owned(), source })
}

/// Writes a file that appears whole or not at all, and never over another one.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    write_private(&temporary, text)?;
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary)?;
    linked
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> StoredCredential {
        StoredCredential {
            credential: "a.b.c".into(),
            contract: "d.e.f".into(),
            issuer: "did:web:a".into(),
            holder: "did:jwk:b".into(),
            linked_domain: None,
            received_at: "1970-01-01T00:00:00Z".into(),
            issued_at: "1970-01-01T00:00:00Z".into(),
            expires_at: "1970-01-01T00:00:00Z".into(),
        }
    }

    #[test]
    fn a_key_is_made_once_per_kind_and_private() {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::new(place.path().join("deep/wallet"));
        for kind in HolderKind::ALL {
            let first = directory.holder(kind).unwrap();
            assert_eq!(directory.holder(kind).unwrap().did(), first.did());
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                let path = place.path().join(format!("deep/wallet/holder-{kind}.json"));
                assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
            }
        }
    }

    #[test]
    fn a_damaged_key_file_is_refused_and_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::new(place.path());
        directory.holder(HolderKind::JwkP256).unwrap();
        let path = place.path().join("holder-jwk-p256.json");
        let good = fs::read_to_string(&path).unwrap();
        let other = directory.holder(HolderKind::JwkEd25519).unwrap();
        for bad in [
            "",
            "{}",
            &good.replace("jwk-p256", "key-p256"),
            &good.replace("\"did:jwk:", "\"did:jwk:x"),
            &good.replace("\"secret\": \"", &format!("\"secret\": \"{}", &other.did()[..4])),
        ] {
            fs::write(&path, bad).unwrap();
            assert!(
                matches!(directory.holder(HolderKind::JwkP256), Err(DirectoryError::Foreign { .. })),
                "{bad}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), bad);
        }
    }

    #[test]
    fn credentials_come_back_and_the_same_jti_is_one_file() {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::new(place.path());
        assert!(directory.list().unwrap().is_empty());
        let jti = "urn:pic:AEA42FB3724B4EF08BD2D2712E79BDA2";
        let path = directory.save(jti, &stored()).unwrap();
        assert!(path.ends_with("credentials/aea42fb3724b4ef08bd2d2712e79bda2.json"));
        directory.save(jti, &stored()).unwrap();
        assert_eq!(directory.list().unwrap(), std::slice::from_ref(&path));
        assert_eq!(load(&path).unwrap(), stored());
        fs::write(&path, "{}").unwrap();
        assert!(matches!(load(&path), Err(DirectoryError::Foreign { .. })));
        assert!(matches!(load(&place.path().join("none")), Err(DirectoryError::Io { .. })));
    }

    #[test]
    fn no_jti_leads_out_of_the_directory() {
        for jti in ["../../etc/passwd", "urn:pic:../x", "", "urn:pic:abc", "a/b"] {
            assert!(file_stem(jti).chars().all(|one| one.is_ascii_hexdigit()), "{jti}");
        }
    }
}
