//! From a `did:web` to the address of its document. Owns the method's URL rule. Must not fetch anything.

use url::Url;

/// Why a DID has no document this wallet can fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DidWebError {
    /// Another method: issuers on this wire are `did:web`.
    #[error("it is not a did:web")]
    Method,
    /// A host that is no host name with an optional port.
    #[error("its host is not a host name with an optional %3A port")]
    Host,
    /// An empty path segment, or one with characters that are neither unreserved nor escaped.
    #[error("one of its path segments is not usable")]
    Segment,
}

/// The https address of the DID document (did:web method, "Read (Resolve)"): `did:web:host%3Aport:a:b` is
/// `https://host:port/a/b/did.json`, and without a path `/.well-known/did.json`.
///
/// # Errors
/// [`DidWebError`] for other methods and for hosts or segments that could lead elsewhere.
pub fn document_url(did: &str) -> Result<Url, DidWebError> {
    let name = did.strip_prefix("did:web:").ok_or(DidWebError::Method)?;
    let mut segments = name.split(':');
    let authority = authority(segments.next().unwrap_or_default()).ok_or(DidWebError::Host)?;
    let path: Vec<&str> = segments.collect();
    if !path.iter().all(|segment| usable(segment)) {
        return Err(DidWebError::Segment);
    }
    let text = if path.is_empty() {
        format!("https://{authority}/.well-known/did.json")
    } else {
        format!("https://{authority}/{}/did.json", path.join("/"))
    };
    Url::parse(&text).map_err(|_source| DidWebError::Host)
}

fn authority(host: &str) -> Option<String> {
    let (name, port) = match host.split_once("%3A").or_else(|| host.split_once("%3a")) {
        Some((name, port)) => (name, Some(port.parse::<u16>().ok().filter(|number| *number > 0)?)),
        None => (host, None),
    };
    let letters = name.chars().all(|one| one.is_ascii_alphanumeric() || one == '-' || one == '.');
    if name.is_empty() || !letters || name.starts_with(['-', '.']) {
        return None;
    }
    Some(port.map_or_else(|| name.to_owned(), |port| format!("{name}:{port}")))
}

/// Unreserved characters and escapes of anything but separators and dots, which could climb out of the path.
fn usable(segment: &str) -> bool {
    let lower = segment.to_ascii_lowercase();
    let climbs =
        segment.chars().all(|one| one == '.') || ["%2e", "%2f", "%5c"].iter().any(|bad| lower.contains(bad));
    let mut escapes = segment.split('%');
    let first = escapes.next().unwrap_or_default();
    !climbs
        && segment.chars().all(|one| one.is_ascii_alphanumeric() || "-._~%".contains(one))
        && !first.contains('%')
        && escapes.all(|rest| {
            let mut digits = rest.chars();
            digits.next().is_some_and(|one| one.is_ascii_hexdigit())
                && digits.next().is_some_and(|one| one.is_ascii_hexdigit())
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn follows_the_method() {
        for (did, url) in [
            ("did:web:issuer.example", "https://issuer.example/.well-known/did.json"),
            ("did:web:localhost%3A8443", "https://localhost:8443/.well-known/did.json"),
            ("did:web:host.example:a:b-c", "https://host.example/a/b-c/did.json"),
            ("did:web:host.example%3A8443:a", "https://host.example:8443/a/did.json"),
        ] {
            assert_eq!(document_url(did).unwrap().as_str(), url);
        }
    }

    #[test]
    fn refuses_what_could_lead_elsewhere() {
        for (did, error) in [
            ("did:ion:abc", DidWebError::Method),
            ("did:web", DidWebError::Method),
            ("DID:WEB:a", DidWebError::Method),
            ("did:web:", DidWebError::Host),
            ("did:web:user@host", DidWebError::Host),
            ("did:web:host/path", DidWebError::Host),
            ("did:web:host%3A", DidWebError::Host),
            ("did:web:host%3A0", DidWebError::Host),
            ("did:web:host%3A99999", DidWebError::Host),
            ("did:web:host%2Fpath", DidWebError::Host),
            ("did:web:.host", DidWebError::Host),
            ("did:web:host:", DidWebError::Segment),
            ("did:web:host::a", DidWebError::Segment),
            ("did:web:host:..", DidWebError::Segment),
            ("did:web:host:%2e%2e", DidWebError::Segment),
            ("did:web:host:a%2Fb", DidWebError::Segment),
            ("did:web:host:a%2", DidWebError::Segment),
            ("did:web:host:a?b", DidWebError::Segment),
            ("did:web:host:a#b", DidWebError::Segment),
        ] {
            assert_eq!(document_url(did), Err(error), "{did}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_names_stay_on_https_and_never_panic(name in any::<String>(), plain in "[a-z%0-9:./@#?-]{0,30}") {
            for did in [name.clone(), format!("did:web:{name}"), format!("did:web:{plain}")] {
                if let Ok(url) = document_url(&did) {
                    prop_assert_eq!(url.scheme(), "https");
                    prop_assert!(url.path().ends_with("/did.json"));
                    prop_assert!(url.username().is_empty() && url.query().is_none() && url.fragment().is_none());
                }
            }
        }
    }
}
