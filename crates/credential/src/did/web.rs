//! did:web: from the DID to the address of its document.
//!
//! Owns the rule of the W3C CCG did:web method, section 2.5.2 ("Read"), and refuses hosts that are no DNS names.
//! It must not fetch; whether the name leads to a private address is for the one who does.

use super::{DidError, DidUrl};

/// Longest DNS name in its text form (RFC 1035, section 2.3.4).
const HOST_LIMIT_BYTES: usize = 253;

/// The `https` address of the DID's document.
///
/// # Errors
/// [`DidError::HostRefused`] for IP addresses, user info, queries and anything else that is no DNS name with an optional
/// `%3A` port; [`DidError::Malformed`] for path segments that could leave their place; [`DidError::UnsupportedMethod`]
/// for other methods.
pub fn document_url(did: &str) -> Result<String, DidError> {
    // A query is told apart from other nonsense because it is how a host would be pointed elsewhere.
    if did.starts_with("did:web:") && did.contains(['?', '@', '/']) {
        return Err(DidError::HostRefused);
    }
    let url = DidUrl::parse(did)?;
    if url.method() != "web" {
        return Err(DidError::UnsupportedMethod);
    }
    if url.fragment().is_some() {
        return Err(DidError::Malformed);
    }
    let mut parts = url.method_specific_id().split(':');
    let host = parts.next().ok_or(DidError::Malformed)?;
    let mut address = String::with_capacity(did.len().saturating_add(32));
    address.push_str("https://");
    push_host(host, &mut address)?;
    let mut bare = true;
    for segment in parts {
        if !is_safe_segment(segment) {
            return Err(DidError::Malformed);
        }
        bare = false;
        address.push('/');
        address.push_str(segment);
    }
    address.push_str(if bare { "/.well-known/did.json" } else { "/did.json" });
    Ok(address)
}

fn push_host(host: &str, address: &mut String) -> Result<(), DidError> {
    let (name, port) = match host.split_once("%3A").or_else(|| host.split_once("%3a")) {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    if !is_dns_name(name) {
        return Err(DidError::HostRefused);
    }
    address.push_str(name);
    if let Some(port) = port {
        let is_port = !port.starts_with('0')
            && port.bytes().all(|byte| byte.is_ascii_digit())
            && port.parse::<u16>().is_ok();
        if !is_port {
            return Err(DidError::HostRefused);
        }
        address.push(':');
        address.push_str(port);
    }
    Ok(())
}

fn is_dns_name(name: &str) -> bool {
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // URL parsers read a host whose last label is a number (decimal, octal or hexadecimal) as an IPv4 address.
    let last = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit())
        || last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    name.len() <= HOST_LIMIT_BYTES && name.split('.').all(label_ok) && !numeric
}

/// No empty or dot segments, and no percent-encoding of a byte that would change where the address points.
fn is_safe_segment(segment: &str) -> bool {
    if matches!(segment, "" | "." | "..") {
        return false;
    }
    segment.split('%').skip(1).all(|rest| {
        let byte = rest.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let hex = rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
        hex && byte.is_some_and(|byte| !byte.is_ascii_control() && !b"./\\%".contains(&byte))
    })
}
