//! Name resolution with a filter: only addresses that pass are ever dialled.
//!
//! Owns the two resolvers. It must not judge URLs or connect.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::address::special;
use crate::policy::Target;
use crate::refusal::{NameKind, Refusal, special_name};

/// For URLs that others name: drops every address that is not public and that no allowed network covers.
pub(crate) struct Filtering {
    networks: Vec<Target>,
}

impl Filtering {
    /// Only networks and addresses without a port count here: a resolver does not know the port.
    pub(crate) fn new(targets: &[Target]) -> Self {
        Self { networks: targets.to_vec() }
    }
}

impl Resolve for Filtering {
    fn resolve(&self, name: Name) -> Resolving {
        let networks = self.networks.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses = filter(found, &networks)?;
            Ok(boxed(addresses))
        })
    }
}

/// Keeps what may be dialled. When nothing is left, says what the first address was.
fn filter(found: impl Iterator<Item = SocketAddr>, networks: &[Target]) -> Result<Vec<SocketAddr>, Refusal> {
    let mut refused = None;
    let mut kept = Vec::new();
    for address in found {
        match special(address.ip()) {
            Some(kind) if !networks.iter().any(|network| network.covers_address(address.ip(), None)) => {
                refused.get_or_insert(Refusal::Address(kind));
            }
            _ => kept.push(address),
        }
    }
    match refused {
        Some(refusal) if kept.is_empty() => Err(refusal),
        _ => Ok(kept),
    }
}

/// For hosts that the operator named: addresses as they come. `localhost` never leaves the machine, whatever a DNS
/// server says (RFC 6761, section 6.3).
pub(crate) struct Vouching;

impl Resolve for Vouching {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().trim_end_matches('.').to_owned();
        Box::pin(async move {
            if special_name(&name) == Some(NameKind::Localhost) {
                return Ok(boxed(vec![
                    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
                    SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0),
                ]));
            }
            Ok(boxed(tokio::net::lookup_host((name.as_str(), 0)).await?.collect()))
        })
    }
}

fn boxed(addresses: Vec<SocketAddr>) -> Addrs {
    Box::new(addresses.into_iter())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::AddressKind;

    fn sockets(list: &[&str]) -> std::vec::IntoIter<SocketAddr> {
        list.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn private_answers_are_dropped() {
        let kept = filter(sockets(&["10.0.0.1", "8.8.8.8", "::ffff:127.0.0.1"]), &[]).unwrap();
        assert_eq!(kept, sockets(&["8.8.8.8"]).collect::<Vec<_>>());
    }

    #[test]
    fn only_private_answers_are_a_refusal() {
        let refusal = filter(sockets(&["169.254.169.254", "10.0.0.1"]), &[]).unwrap_err();
        assert_eq!(refusal, Refusal::Address(AddressKind::LinkLocal));
    }

    #[test]
    fn allowed_networks_pass() {
        let networks = ["10.1.0.0/16", "10.9.9.9:443"].map(|text| text.parse().unwrap());
        let kept = filter(sockets(&["10.1.0.1", "10.2.0.1"]), &networks).unwrap();
        assert_eq!(kept, sockets(&["10.1.0.1"]).collect::<Vec<_>>());
        // An address with a port vouches for literal URLs only.
        assert!(filter(sockets(&["10.9.9.9"]), &networks).is_err());
    }

    #[test]
    fn no_answer_is_no_refusal() {
        assert!(filter(sockets(&[]), &[]).unwrap().is_empty());
    }
}
