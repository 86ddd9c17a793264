//! Whose address a call comes from: the peer's, or what trusted proxies say in front of it.
//!
//! Owns the reading of forwarded headers (`X-Forwarded-For`; `Forwarded`, RFC 7239). They count only as far as they were
//! written by configured proxies: whoever else could write them would choose the address that its calls are counted under.
//! Must not know HTTP requests: lines go in, an address comes out.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use serde::Deserialize;

/// Bits of an IPv6 address that name a site: a single customer line usually has a whole /64 to choose from.
const SITE_BITS: u32 = 64;

/// A network, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

/// The text is no network.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("it has to be an address (192.0.2.1) or a network whose host bits are 0 (10.0.0.0/8, 2001:db8::/32)")]
pub struct InvalidNetwork;

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_source| InvalidNetwork)?;
        let width = width(address);
        let bits = match bits {
            // No sign and no leading plus, which `parse` would take.
            Some(bits) if !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().map_err(|_source| InvalidNetwork)?
            }
            Some(_) => return Err(InvalidNetwork),
            None => width,
        };
        // Host bits that are not 0 are a typing error more often than not.
        if bits > width || network_part(address, bits) != number(address) {
            return Err(InvalidNetwork);
        }
        Ok(Self { address, bits })
    }
}

impl TryFrom<String> for Network {
    type Error = InvalidNetwork;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Network {
    /// Whether the address lies in it. IPv4 addresses in IPv6 spelling count as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4()
            && network_part(address, self.bits) == number(self.address)
    }
}

const fn width(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

fn network_part(address: IpAddr, bits: u32) -> u128 {
    let host = width(address).saturating_sub(bits);
    number(address).checked_shr(host).unwrap_or(0).checked_shl(host).unwrap_or(0)
}

/// What calls are counted under: an IPv4 address, or an IPv6 site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(IpAddr);

impl Origin {
    /// The origin of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let site = network_part(IpAddr::V6(address), SITE_BITS);
                Self(IpAddr::V6(Ipv6Addr::from(site)))
            }
            address @ IpAddr::V4(_) => Self(address),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(address) => write!(f, "{address}/{SITE_BITS}"),
        }
    }
}

/// The header that proxies write. Exactly one counts: a proxy passes the other one through as the caller wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`: addresses, the nearest last.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239): elements with `for=`, the nearest last.
    Forwarded,
}

impl ForwardedHeader {
    /// The header's name, lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }
}

/// The proxies whose word counts.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    /// Where they are.
    pub networks: Vec<Network>,
    /// What they write.
    pub header: ForwardedHeader,
}

impl TrustedProxies {
    /// Whether the word of this peer counts.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }

    /// The caller's address: from the peer outwards, the first that is not one of ours. `lines` are the values of the
    /// header in the order in which they were received; what cannot be read ends the search at the last address that is
    /// certain.
    #[must_use]
    pub fn caller<'a>(
        &self,
        peer: IpAddr,
        lines: impl DoubleEndedIterator<Item = Option<&'a str>>,
    ) -> IpAddr {
        let mut nearest = peer;
        if !self.trusts(peer) {
            return nearest.to_canonical();
        }
        for line in lines.rev() {
            let Some(line) = line else { return nearest.to_canonical() };
            for element in elements(self.header, line) {
                let address = match self.header {
                    ForwardedHeader::XForwardedFor => node(element),
                    ForwardedHeader::Forwarded => for_member(element).and_then(node),
                };
                let Some(address) = address else { return nearest.to_canonical() };
                nearest = address;
                if !self.trusts(address) {
                    return nearest.to_canonical();
                }
            }
        }
        nearest.to_canonical()
    }
}

/// The elements of a list, the last first; commas inside quotes do not separate. Read from the end, so that a quote that a
/// caller left open cannot swallow what our proxies wrote behind it.
fn elements(header: ForwardedHeader, line: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    line.rsplit(move |letter: char| {
        if letter == '"' && header == ForwardedHeader::Forwarded {
            quoted = !quoted;
        }
        letter == ',' && !quoted
    })
    .map(str::trim)
    .filter(|element| !element.is_empty())
}

/// The value of `for` in an element of `Forwarded`. Names have no letter case (RFC 7239, section 4).
fn for_member(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = value.trim();
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        name.trim().eq_ignore_ascii_case("for").then_some(value)
    })
}

/// An address with or without port (RFC 7239, section 6): `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]`, `[2001:db8::1]:80`;
/// also the bare IPv6 address that `X-Forwarded-For` holds.
fn node(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address);
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.ip());
    }
    text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

#[cfg(test)]
mod tests;
