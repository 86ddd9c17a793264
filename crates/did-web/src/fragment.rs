//! How a key is named in a DID document.
//!
//! Owns the form that Entra authorities use, so that imported keys keep their names and new ones look like them.

use domain::KeyId;

/// The length of every fragment, as in all documents seen.
const FRAGMENT_CHARS: usize = 50;
const VERSION_CHARS: usize = 32;

/// A key's version or name cannot be put into a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyName {
    /// Fragments are unique for ever because versions are.
    #[error("a key's version has 32 hexadecimal digits")]
    Version,
    /// A fragment stands in URLs.
    #[error("a key's name has letters, digits and dashes")]
    Name,
}

/// The fragment of a key version: the version, then the key's name, cut to 50 characters together. For Entra's key
/// names, `vcSigningKey-` and the authority's id, the first five characters of the id are what is left of it.
///
/// # Errors
/// [`InvalidKeyName`] if the version is not 32 hexadecimal digits or the name has other characters than vaults allow.
pub fn key_fragment(version: &str, key_name: &str) -> Result<KeyId, InvalidKeyName> {
    if version.len() != VERSION_CHARS || !version.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(InvalidKeyName::Version);
    }
    if key_name.is_empty() || !key_name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(InvalidKeyName::Name);
    }
    Ok(KeyId::new(version.chars().chain(key_name.chars()).take(FRAGMENT_CHARS).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: &str = "9f02c1d4a6b84e0f8d2f6b7a9c3e5d71";

    #[test]
    fn entra_key_names_give_entra_fragments() {
        let fragment = key_fragment(VERSION, "vcSigningKey-bacf5333-d68c-01c5-152b-8c9039fbd88d").unwrap();
        assert_eq!(fragment.as_str(), "9f02c1d4a6b84e0f8d2f6b7a9c3e5d71vcSigningKey-bacf5");
        assert_eq!(fragment.as_str().len(), 50);
    }

    #[test]
    fn a_short_name_is_kept_whole() {
        assert_eq!(key_fragment(VERSION, "k1").unwrap().as_str(), format!("{VERSION}k1"));
    }

    #[test]
    fn what_cannot_stand_in_a_fragment_is_refused() {
        let one_short = VERSION.get(1..).unwrap();
        for version in ["", "latest", one_short, "9f02c1d4a6b84e0f8d2f6b7a9c3e5d7g", &format!("{VERSION}0")] {
            assert_eq!(key_fragment(version, "name"), Err(InvalidKeyName::Version), "{version}");
        }
        for name in ["", "a#b", "a b", "a/b", "ä"] {
            assert_eq!(key_fragment(VERSION, name), Err(InvalidKeyName::Name), "{name}");
        }
    }
}
