//! What the operator allows: private targets, plain HTTP, times and sizes.
//!
//! Owns the settings and their parsing. It must not judge URLs: that is the module `refusal`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use crate::address::{within_v4, within_v6};

/// How the client behaves. [`Policy::default`] is the safe one: public addresses over HTTPS only.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Allows `localhost`, `*.localhost` and loopback addresses, over plain HTTP too. For development only.
    pub allow_http_loopback: bool,
    /// Allows plain HTTP to what [`allowed_targets`](Self::allowed_targets) names. HTTPS is allowed there anyway.
    pub allow_http_targets: bool,
    /// Private targets that the operator vouches for. An IPv6-only site behind NAT64 names its prefix here.
    pub allowed_targets: Vec<Target>,
    /// Time for name resolution, TCP and TLS together. Default 5 s.
    pub connect_timeout: Duration,
    /// Time for everything, the body included. Default 10 s.
    pub total_timeout: Duration,
    /// Largest document that [`get_json`](crate::Client::get_json) reads, in bytes. Default 64 KiB.
    pub max_response_bytes: usize,
    /// Certificate authorities trusted besides the system's, each a PEM text with one or more certificates.
    pub extra_roots: Vec<Vec<u8>>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            allow_http_loopback: false,
            allow_http_targets: false,
            allowed_targets: Vec::new(),
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(10),
            max_response_bytes: 64 * 1024,
            extra_roots: Vec::new(),
        }
    }
}

/// A target that is allowed although it is private: `10.1.0.0/16`, `fd00::/8`, `hooks.corp.internal` (any port),
/// `hooks:8443`, `10.1.2.3:8443`, `[fd00::1]:8443`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Target {
    /// All addresses with this prefix.
    Network {
        /// Any address in the network.
        address: IpAddr,
        /// Length of the prefix in bits.
        bits: u32,
    },
    /// One address, on one port or on all.
    Address {
        /// The address.
        address: IpAddr,
        /// The port, or any.
        port: Option<u16>,
    },
    /// One host name, on one port or on all. Lower case, without a dot at the end.
    Host {
        /// The name. Whatever it resolves to is allowed.
        name: String,
        /// The port, or any.
        port: Option<u16>,
    },
}

/// The text names no target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a target is a network (10.1.0.0/16), an address or a host name, the latter two with or without port"
)]
pub struct InvalidTarget;

impl Target {
    /// Whether this target covers an address that a name resolved to, or a literal one on `port`.
    pub(crate) fn covers_address(&self, candidate: IpAddr, candidate_port: Option<u16>) -> bool {
        match self {
            Self::Network { address, bits } => match (candidate, address) {
                (IpAddr::V4(candidate), IpAddr::V4(net)) => within_v4(candidate, *net, *bits),
                (IpAddr::V6(candidate), IpAddr::V6(net)) => within_v6(candidate, *net, *bits),
                _ => false,
            },
            Self::Address { address, port } => {
                *address == candidate && port.is_none_or(|port| Some(port) == candidate_port)
            }
            Self::Host { .. } => false,
        }
    }

    /// Whether this target is the host name, on this port. The name is lower case without a dot at the end.
    pub(crate) fn covers_name(&self, candidate: &str, candidate_port: u16) -> bool {
        match self {
            Self::Host { name, port } => name == candidate && port.is_none_or(|port| port == candidate_port),
            Self::Network { .. } | Self::Address { .. } => false,
        }
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        if let Some((net, bits)) = text.split_once('/') {
            return network(net, bits);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address { address, port: None });
        }
        if let Ok(socket) = text.parse::<SocketAddr>() {
            return Ok(Self::Address { address: socket.ip(), port: Some(socket.port()) });
        }
        let (name, port) = match text.rsplit_once(':') {
            // The colons of an address in brackets separate no port.
            Some((name, port)) if !port.ends_with(']') => {
                (name, Some(port.parse::<u16>().map_err(|_source| InvalidTarget)?))
            }
            _ => (text, None),
        };
        // The URL parser is the judge of host names, so that a target is spelt as the URLs that it has to match.
        match url::Host::parse(name.strip_suffix('.').unwrap_or(name)) {
            // An empty label names nothing, and with one more dot at its end the name would be another one.
            Ok(url::Host::Domain(name)) if name.split('.').any(str::is_empty) => Err(InvalidTarget),
            Ok(url::Host::Domain(name)) => Ok(Self::Host { name, port }),
            Ok(url::Host::Ipv6(address)) => Ok(Self::Address { address: IpAddr::V6(address), port }),
            Ok(url::Host::Ipv4(_)) | Err(_) => Err(InvalidTarget),
        }
    }
}

fn network(net: &str, bits: &str) -> Result<Target, InvalidTarget> {
    let address: IpAddr = net.parse().map_err(|_source| InvalidTarget)?;
    let bits: u32 = bits.parse().map_err(|_source| InvalidTarget)?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    if bits > most {
        return Err(InvalidTarget);
    }
    Ok(Target::Network { address, bits })
}

impl TryFrom<String> for Target {
    type Error = InvalidTarget;

    fn try_from(text: String) -> Result<Self, InvalidTarget> {
        text.parse()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network { address, bits } => write!(f, "{address}/{bits}"),
            Self::Address { address, port: None } => write!(f, "{address}"),
            Self::Address { address, port: Some(port) } => write!(f, "{}", SocketAddr::new(*address, *port)),
            Self::Host { name, port: None } => f.write_str(name),
            Self::Host { name, port: Some(port) } => write!(f, "{name}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn targets_are_read_and_printed() {
        for (text, printed) in [
            ("10.1.0.0/16", "10.1.0.0/16"),
            ("fd00::/8", "fd00::/8"),
            ("10.1.2.3", "10.1.2.3"),
            ("10.1.2.3:8443", "10.1.2.3:8443"),
            ("[fd00::1]:8443", "[fd00::1]:8443"),
            ("[fd00::1]", "fd00::1"),
            ("Hooks.Corp.Internal.", "hooks.corp.internal"),
            ("hooks:8443", "hooks:8443"),
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn other_texts_are_no_targets() {
        for text in [
            "",
            "10.0.0.0/33",
            "fd00::/129",
            "10.0.0.0/",
            "/8",
            "a b",
            "host:port",
            "host:70000",
            "http://host",
            "a@b",
            "0x7f.1",
        ] {
            assert_eq!(text.parse::<Target>(), Err(InvalidTarget), "{text}");
        }
    }

    #[test]
    fn a_target_covers_its_own_and_no_more() {
        let net: Target = "10.1.0.0/16".parse().unwrap();
        assert!(net.covers_address("10.1.255.1".parse().unwrap(), Some(443)));
        assert!(!net.covers_address("10.2.0.1".parse().unwrap(), Some(443)));
        assert!(!net.covers_address("::ffff:10.1.0.1".parse().unwrap(), Some(443)));
        let address: Target = "10.1.2.3:8443".parse().unwrap();
        assert!(address.covers_address("10.1.2.3".parse().unwrap(), Some(8443)));
        assert!(!address.covers_address("10.1.2.3".parse().unwrap(), Some(443)));
        assert!(!address.covers_address("10.1.2.3".parse().unwrap(), None));
        let host: Target = "hooks:8443".parse().unwrap();
        assert!(host.covers_name("hooks", 8443));
        assert!(!host.covers_name("hooks", 443));
        assert!(!host.covers_name("other", 8443));
        assert!("hooks".parse::<Target>().unwrap().covers_name("hooks", 1));
    }

    #[test]
    fn names_with_empty_labels_are_refused() {
        for text in [".", "..", "a..", "a..b", ".a", "..:80"] {
            assert_eq!(text.parse::<Target>(), Err(InvalidTarget), "{text}");
        }
        assert!("a.b.".parse::<Target>().is_ok());
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_printing_reads_back(text in "\\PC{0,40}") {
            if let Ok(target) = text.parse::<Target>() {
                prop_assert_eq!(target.to_string().parse::<Target>(), Ok(target));
            }
        }
    }
}
