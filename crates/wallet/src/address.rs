//! Addresses a wallet is told to call. Owns the rule which characters every wallet can carry. Must not fetch anything.

use std::fmt;

use url::Url;

/// An absolute https address that the Android and the iOS library both call as it stands, kept byte for byte.
///
/// The iOS library percent-encodes everything but letters, digits and `: - . _ ~ / ? % =`, so an address with `&`, `+` or
/// `#` arrives somewhere else (wallet protocol, section 1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    text: String,
    url: Url,
}

/// Why a text is no usable address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// A character that iOS wallets re-encode.
    #[error("the character {0:?} does not survive in every wallet")]
    Character(char),
    /// Not absolute, or not a URL at all.
    #[error("it is not an absolute URL")]
    NotAbsolute,
    /// Wallets talk TLS only.
    #[error("it is not https")]
    NotHttps,
}

impl Address {
    /// Checks `text`.
    ///
    /// # Errors
    /// A character outside the list, a relative address, another scheme than https.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if let Some(bad) =
            text.chars().find(|one| !(one.is_ascii_alphanumeric() || ":-._~/?%=".contains(*one)))
        {
            return Err(AddressError::Character(bad));
        }
        let url = Url::parse(text).map_err(|_source| AddressError::NotAbsolute)?;
        if url.scheme() != "https" {
            return Err(AddressError::NotHttps);
        }
        // The parser repairs `https:host` and `https:///host`; a wallet need not.
        let host = text.strip_prefix("https://").unwrap_or_default();
        if !host.starts_with(|one: char| one.is_ascii_alphanumeric()) {
            return Err(AddressError::NotAbsolute);
        }
        Ok(Self { text: text.to_owned(), url })
    }

    /// The text as it stood in the message.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The parsed form, for the HTTP client.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_a_port_and_one_query_parameter() {
        let text = "https://localhost:8443/v1.0/a/b?request=0190-ab%20";
        assert_eq!(Address::parse(text).unwrap().as_str(), text);
    }

    #[test]
    fn refuses_what_ios_would_re_encode() {
        for bad in ['&', '+', '#', '@', ',', ';', '!', '$', '*', '(', ')', ' ', '\n', 'é', '[', '"'] {
            let text = format!("https://host/a{bad}b");
            assert_eq!(Address::parse(&text), Err(AddressError::Character(bad)), "{bad:?}");
        }
    }

    #[test]
    fn refuses_other_schemes_and_relative_addresses() {
        assert_eq!(Address::parse("http://host/a"), Err(AddressError::NotHttps));
        for text in ["", "/a/b", "host/a", "https:host/a", "https:///a", "https://"] {
            assert_eq!(Address::parse(text), Err(AddressError::NotAbsolute), "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            if let Ok(address) = Address::parse(&text) {
                prop_assert_eq!(address.as_str(), text);
            }
        }
    }
}
