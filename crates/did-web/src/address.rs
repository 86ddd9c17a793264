//! Origins, `did:web` DIDs and the address of a DID's document.
//!
//! Owns the did:web method's mapping between a DID and a URL (W3C CCG did:web method specification, sections "Target
//! System" and "Read"). It must not fetch anything.

use std::fmt;
use std::str::FromStr;

use domain::Did;
use serde::{Serialize, Serializer};
use url::{Host, Url};

const METHOD: &str = "did:web:";

/// Why a text is no origin for a DID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOrigin {
    /// Not a URL at all.
    #[error("an origin is a URL such as https://issuer.example")]
    Url,
    /// did:web documents and linked domains are fetched over TLS only.
    #[error("an origin has the scheme https")]
    Scheme,
    /// did:web does not allow IP addresses.
    #[error("an origin has a host name, not an IP address")]
    Host,
    /// More than scheme, host and port.
    #[error("an origin has no user, path, query or fragment")]
    More,
}

/// Scheme, host and port of a site: `https`, a host name, no path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// With the trailing slash, which wallets compare as text.
    text: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    /// Reads an origin, with or without its trailing slash.
    ///
    /// # Errors
    /// [`InvalidOrigin`] says what is not allowed.
    pub fn parse(text: &str) -> Result<Self, InvalidOrigin> {
        let url = Url::parse(text).map_err(|_source| InvalidOrigin::Url)?;
        if url.scheme() != "https" {
            return Err(InvalidOrigin::Scheme);
        }
        let host = match url.host() {
            // A name that ends in a dot is the same host under another text, which no verifier would match.
            Some(Host::Domain(name)) if !name.ends_with('.') => name.to_owned(),
            _ => return Err(InvalidOrigin::Host),
        };
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidOrigin::More);
        }
        Ok(Self { text: url.to_string(), host, port: url.port() })
    }

    /// `https://issuer.example/`: as it stands in documents and in the linkage credential.
    #[must_use]
    pub fn with_slash(&self) -> &str {
        &self.text
    }

    /// `https://issuer.example`: as a browser's `Origin` header and base addresses have it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.text.strip_suffix('/').unwrap_or(&self.text)
    }

    /// The DID whose document is under this origin's `/.well-known/`.
    #[must_use]
    pub fn did(&self) -> Did {
        match self.port {
            Some(port) => Did::new(format!("{METHOD}{}%3A{port}", self.host)),
            None => Did::new(format!("{METHOD}{}", self.host)),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.with_slash())
    }
}

/// The DID of an origin: `https://localhost:8443` gives `did:web:localhost%3A8443`.
///
/// # Errors
/// [`InvalidOrigin`] says what is not allowed.
pub fn did_from_origin(origin: &str) -> Result<Did, InvalidOrigin> {
    Origin::parse(origin).map(|origin| origin.did())
}

/// The text is not a `did:web` DID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a did:web DID is did:web:, a host name, an optional port after %3A, and path segments after colons")]
pub struct InvalidDid;

/// Where a DID's document is: `did:web:host%3A8443:a:b` is at `https://host:8443/a/b/did.json`, and a DID without path
/// has its document under `/.well-known/`.
///
/// # Errors
/// [`InvalidDid`] for other methods, IP addresses, and segments that would lead somewhere else as a URL path.
pub fn document_url(did: &Did) -> Result<Url, InvalidDid> {
    let mut segments = did.as_str().strip_prefix(METHOD).ok_or(InvalidDid)?.split(':');
    let authority = parse_authority(segments.next().ok_or(InvalidDid)?)?;
    let mut text = format!("https://{authority}");
    let mut has_path = false;
    for segment in segments {
        if !is_segment(segment) {
            return Err(InvalidDid);
        }
        has_path = true;
        text.push('/');
        text.push_str(segment);
    }
    text.push_str(if has_path { "/did.json" } else { "/.well-known/did.json" });

    let url = Url::parse(&text).map_err(|_source| InvalidDid)?;
    // What the URL parser reads differently (dot segments in any spelling, numbers that are IP addresses) is no DID.
    let is_same = url.as_str() == text && matches!(url.host(), Some(Host::Domain(_)));
    if is_same { Ok(url) } else { Err(InvalidDid) }
}

/// `host` or `host%3Aport` as it stands in a URL.
fn parse_authority(text: &str) -> Result<String, InvalidDid> {
    let (host, port) = match text.split_once('%') {
        None => (text, None),
        Some((host, escaped)) => {
            let port = escaped.strip_prefix("3A").or_else(|| escaped.strip_prefix("3a")).ok_or(InvalidDid)?;
            // Digits only, without sign or leading zero: one port has one spelling.
            let port: u16 =
                port.parse().ok().filter(|number: &u16| number.to_string() == port).ok_or(InvalidDid)?;
            (host, Some(port))
        }
    };
    let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    if host.is_empty() || !is_name || host.ends_with('.') {
        return Err(InvalidDid);
    }
    let host = host.to_ascii_lowercase();
    Ok(match port {
        // The URL form of https leaves its own port out.
        None | Some(443) => host,
        Some(0) => return Err(InvalidDid),
        Some(port) => format!("{host}:{port}"),
    })
}

/// One or more of DID Core's `idchar` (section 3.1): letters, digits, `.`, `-`, `_` and percent-encoded bytes.
fn is_segment(segment: &str) -> bool {
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let is_valid = match byte {
            b'%' => {
                let digits = (bytes.next(), bytes.next());
                matches!(digits, (Some(high), Some(low)) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
            }
            _ => byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'),
        };
        if !is_valid {
            return false;
        }
    }
    !segment.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(did: &str) -> Option<String> {
        document_url(&Did::new(did)).ok().map(String::from)
    }

    #[test]
    fn an_origin_names_its_did() {
        for (origin, did) in [
            ("https://localhost:8443", "did:web:localhost%3A8443"),
            ("https://localhost:8443/", "did:web:localhost%3A8443"),
            ("https://Issuer.Example", "did:web:issuer.example"),
            ("https://issuer.example:443/", "did:web:issuer.example"),
            ("https://bücher.example", "did:web:xn--bcher-kva.example"),
        ] {
            assert_eq!(did_from_origin(origin).unwrap().as_str(), did, "{origin}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for (text, why) in [
            ("", InvalidOrigin::Url),
            ("issuer.example", InvalidOrigin::Url),
            ("https://", InvalidOrigin::Url),
            ("http://issuer.example", InvalidOrigin::Scheme),
            ("ftp://issuer.example", InvalidOrigin::Scheme),
            ("https://127.0.0.1:8443", InvalidOrigin::Host),
            ("https://[::1]", InvalidOrigin::Host),
            ("https://2130706433", InvalidOrigin::Host),
            ("https://issuer.example.", InvalidOrigin::Host),
            ("https://issuer.example/path", InvalidOrigin::More),
            ("https://issuer.example/?", InvalidOrigin::More),
            ("https://issuer.example/#", InvalidOrigin::More),
            ("https://me@issuer.example", InvalidOrigin::More),
            ("https://:secret@issuer.example", InvalidOrigin::More),
        ] {
            assert_eq!(Origin::parse(text).unwrap_err(), why, "{text}");
        }
    }

    #[test]
    fn an_origin_has_one_spelling_with_and_one_without_slash() {
        let origin = Origin::parse("https://issuer.example:8443").unwrap();
        assert_eq!(origin.with_slash(), "https://issuer.example:8443/");
        assert_eq!(origin.as_str(), "https://issuer.example:8443");
        assert_eq!(origin, "https://issuer.example:8443/".parse().unwrap());
    }

    #[test]
    fn documents_are_where_the_method_says() {
        for (did, address) in [
            ("did:web:issuer.example", "https://issuer.example/.well-known/did.json"),
            ("did:web:ISSUER.example", "https://issuer.example/.well-known/did.json"),
            ("did:web:localhost%3A8443", "https://localhost:8443/.well-known/did.json"),
            ("did:web:localhost%3a8443", "https://localhost:8443/.well-known/did.json"),
            ("did:web:issuer.example%3A443", "https://issuer.example/.well-known/did.json"),
            ("did:web:example.com%3A8443:u:bob", "https://example.com:8443/u/bob/did.json"),
            ("did:web:example.com:a_b-c.d%20e", "https://example.com/a_b-c.d%20e/did.json"),
        ] {
            assert_eq!(url(did).as_deref(), Some(address), "{did}");
        }
    }

    #[test]
    fn what_is_no_did_web_is_refused() {
        for did in [
            "",
            "did:web:",
            "did:key:z6Mk",
            "did:WEB:issuer.example",
            "did:web:127.0.0.1",
            "did:web:2130706433",
            "did:web:[::1]",
            "did:web:issuer.example.",
            "did:web:issuer.example:",
            "did:web:issuer.example::a",
            "did:web:issuer.example:..",
            "did:web:issuer.example:%2e%2e:a",
            "did:web:issuer.example:.",
            "did:web:issuer.example:a/b",
            "did:web:issuer.example:a?b",
            "did:web:issuer.example:a#b",
            "did:web:issuer.example:%2",
            "did:web:issuer.example:%zz",
            "did:web:issuer.example/path",
            "did:web:user@issuer.example",
            "did:web:issuer.example%3A",
            "did:web:issuer.example%3A0",
            "did:web:issuer.example%3A08443",
            "did:web:issuer.example%3A+8443",
            "did:web:issuer.example%3A65536",
            "did:web:issuer.example%2F8443",
        ] {
            assert_eq!(url(did), None, "{did}");
        }
    }

    proptest! {
        #[test]
        fn an_origins_did_leads_back_to_it(host in "[a-z][a-z0-9]{0,10}(\\.[a-z]{2,5}){0,2}", port in 1..=u16::MAX) {
            let origin = Origin::parse(&format!("https://{host}:{port}")).unwrap();
            let url = document_url(&origin.did()).unwrap();
            prop_assert_eq!(Origin::parse(&url.origin().ascii_serialization()).unwrap(), origin);
            prop_assert_eq!(url.path(), "/.well-known/did.json");
        }

        #[test]
        fn no_text_leads_off_the_named_host(rest in ".{0,40}") {
            if let Ok(url) = document_url(&Did::new(format!("did:web:issuer.example:{rest}"))) {
                prop_assert_eq!(url.host_str(), Some("issuer.example"));
                prop_assert!(url.path().ends_with("/did.json"));
                prop_assert_eq!(url.query(), None);
            }
            prop_assert!(document_url(&Did::new(rest)).is_err());
        }
    }
}
