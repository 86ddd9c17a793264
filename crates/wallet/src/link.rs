//! The deep link that starts an issuance. Owns its syntax. Must not fetch anything.

use crate::address::{Address, AddressError};

const PREFIX: &str = "openid-vc://?";

/// A deep link: where the signed request waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The address of the signed request.
    pub request_uri: Address,
}

/// Why a text is not a link that wallets open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The scheme is case-sensitive, and the authority is empty.
    #[error("it does not begin with openid-vc://?")]
    Scheme,
    /// No `request_uri` parameter.
    #[error("it has no request_uri")]
    NoRequestUri,
    /// Two `request_uri` parameters.
    #[error("it has more than one request_uri")]
    Repeated,
    /// `request` carries the request inline, which only one of the libraries reads; it takes priority there.
    #[error("it carries a request inline")]
    Inline,
    /// A broken percent escape, or a character that has to be escaped.
    #[error("its percent-encoding is broken")]
    Encoding,
    /// The address inside is not one every wallet can call.
    #[error("its request_uri is not usable")]
    Address(#[source] AddressError),
}

/// Reads a deep link (wallet protocol, section 1.1): `openid-vc://?request_uri=<percent-encoded https URL>`.
///
/// # Errors
/// [`LinkError`] says which part is wrong.
pub fn parse(text: &str) -> Result<Link, LinkError> {
    let query = text.strip_prefix(PREFIX).ok_or(LinkError::Scheme)?;
    let mut found = None;
    for parameter in query.split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match name {
            "request" => return Err(LinkError::Inline),
            "request_uri" if found.is_some() => return Err(LinkError::Repeated),
            "request_uri" => found = Some(decode(value)?),
            _ => {}
        }
    }
    let address = found.ok_or(LinkError::NoRequestUri)?;
    Ok(Link { request_uri: Address::parse(&address).map_err(LinkError::Address)? })
}

/// Percent-decoding where `+` stays refused: one library reads it as a space, the other as itself.
fn decode(text: &str) -> Result<String, LinkError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let high = rest.next().and_then(hex).ok_or(LinkError::Encoding)?;
                let low = rest.next().and_then(hex).ok_or(LinkError::Encoding)?;
                bytes.push(high << 4 | low);
            }
            b'+' | b'#' => return Err(LinkError::Encoding),
            plain if plain.is_ascii_graphic() => bytes.push(plain),
            _ => return Err(LinkError::Encoding),
        }
    }
    String::from_utf8(bytes).map_err(|_source| LinkError::Encoding)
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_usual_link() {
        let link = parse("openid-vc://?request_uri=https%3A%2F%2Flocalhost%3A8443%2Fr%2F1").unwrap();
        assert_eq!(link.request_uri.as_str(), "https://localhost:8443/r/1");
    }

    #[test]
    fn refuses_every_other_form() {
        for (text, error) in [
            ("", LinkError::Scheme),
            ("OPENID-VC://?request_uri=https%3A%2F%2Fa%2Fb", LinkError::Scheme),
            ("openid://vc/?request_uri=https%3A%2F%2Fa%2Fb", LinkError::Scheme),
            ("openid-vc://host?request_uri=https%3A%2F%2Fa%2Fb", LinkError::Scheme),
            ("openid-vc://?", LinkError::NoRequestUri),
            ("openid-vc://?credential_offer_uri=https%3A%2F%2Fa%2Fb", LinkError::NoRequestUri),
            ("openid-vc://?request=ey&request_uri=https%3A%2F%2Fa%2Fb", LinkError::Inline),
            ("openid-vc://?request_uri=https%3A%2F%2Fa&request_uri=https%3A%2F%2Fa", LinkError::Repeated),
            ("openid-vc://?request_uri=https%3A%2", LinkError::Encoding),
            ("openid-vc://?request_uri=https%3A%2F%2Fa%zz", LinkError::Encoding),
            ("openid-vc://?request_uri=https%3A%2F%2Fa+b", LinkError::Encoding),
            ("openid-vc://?request_uri=https%3A%2F%2Fa b", LinkError::Encoding),
            ("openid-vc://?request_uri=https%3A%2F%2Fa%ff", LinkError::Encoding),
            ("openid-vc://?request_uri=", LinkError::Address(AddressError::NotAbsolute)),
            ("openid-vc://?request_uri=http%3A%2F%2Fa%2Fb", LinkError::Address(AddressError::NotHttps)),
            (
                "openid-vc://?request_uri=https%3A%2F%2Fa%3Fb%3D1%26c%3D2",
                LinkError::Address(AddressError::Character('&')),
            ),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>(), tail in "[ -~]{0,60}") {
            if let Ok(link) = parse(&text) {
                prop_assert!(link.request_uri.as_str().starts_with("https://"));
            }
            if let Ok(link) = parse(&format!("openid-vc://?request_uri={tail}")) {
                prop_assert!(link.request_uri.as_str().starts_with("https://"));
            }
        }

        #[test]
        fn an_encoded_address_comes_back(path in "[a-zA-Z0-9._~/-]{0,40}") {
            let address = format!("https://host.example:8443/{path}");
            let encoded: String = address.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let link = parse(&format!("openid-vc://?request_uri={encoded}")).unwrap();
            prop_assert_eq!(link.request_uri.as_str(), address);
        }
    }
}
