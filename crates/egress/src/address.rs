//! Which IP addresses are not the public internet.
//!
//! Owns the table of special-purpose addresses. It must not resolve names or know any policy.
//!
//! Sources: IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890), IANA IPv6 address space (only 2000::/3 is
//! given out as global unicast), RFC 1112 and RFC 4291 for multicast. Forms that carry an IPv4 address inside an IPv6
//! one are refused whatever they carry: which host they reach depends on a translator that we do not control.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is not public.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressKind {
    /// `0.0.0.0/8`, `::` (RFC 1122, section 3.2.1.3).
    Unspecified,
    /// `127.0.0.0/8`, `::1`.
    Loopback,
    /// RFC 1918.
    Private,
    /// `100.64.0.0/10`, carrier-grade NAT (RFC 6598).
    Shared,
    /// `169.254.0.0/16`, `fe80::/10`: cloud metadata services live here.
    LinkLocal,
    /// `fc00::/7` (RFC 4193) and the withdrawn site-local `fec0::/10` (RFC 3879).
    UniqueLocal,
    /// `224.0.0.0/4`, `ff00::/8`.
    Multicast,
    /// `240.0.0.0/4` with the limited broadcast address.
    Reserved,
    /// Addresses for texts (RFC 5737, RFC 3849, RFC 9637).
    Documentation,
    /// `198.18.0.0/15`, `2001:2::/48` (RFC 2544, RFC 5180).
    Benchmark,
    /// Protocol assignments: `192.0.0.0/24`, `2001::/23` (Teredo and ORCHID among them), AS112, AMT, discard, SRv6.
    Protocol,
    /// IPv6 forms that carry an IPv4 address: mapped, compatible, translated, NAT64, 6to4 (RFC 4291, 6052, 3056).
    Embedded,
    /// The cloud platform's own endpoint inside a public range (Azure's `168.63.129.16`).
    Platform,
}

impl AddressKind {
    /// A stable word for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::Shared => "shared",
            Self::LinkLocal => "link_local",
            Self::UniqueLocal => "unique_local",
            Self::Multicast => "multicast",
            Self::Reserved => "reserved",
            Self::Documentation => "documentation",
            Self::Benchmark => "benchmark",
            Self::Protocol => "protocol",
            Self::Embedded => "embedded_ipv4",
            Self::Platform => "platform",
        }
    }
}

/// `None` when the address is public, else what it is.
pub(crate) fn special(address: IpAddr) -> Option<AddressKind> {
    match address {
        IpAddr::V4(v4) => special_v4(v4),
        IpAddr::V6(v6) => special_v6(v6),
    }
}

const V4: [(Ipv4Addr, u32, AddressKind); 19] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, AddressKind::Unspecified),
    (Ipv4Addr::new(10, 0, 0, 0), 8, AddressKind::Private),
    (Ipv4Addr::new(100, 64, 0, 0), 10, AddressKind::Shared),
    (Ipv4Addr::new(127, 0, 0, 0), 8, AddressKind::Loopback),
    (Ipv4Addr::new(168, 63, 129, 16), 32, AddressKind::Platform),
    (Ipv4Addr::new(169, 254, 0, 0), 16, AddressKind::LinkLocal),
    (Ipv4Addr::new(172, 16, 0, 0), 12, AddressKind::Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, AddressKind::Protocol),
    (Ipv4Addr::new(192, 0, 2, 0), 24, AddressKind::Documentation),
    (Ipv4Addr::new(192, 31, 196, 0), 24, AddressKind::Protocol),
    (Ipv4Addr::new(192, 52, 193, 0), 24, AddressKind::Protocol),
    (Ipv4Addr::new(192, 88, 99, 0), 24, AddressKind::Protocol),
    (Ipv4Addr::new(192, 168, 0, 0), 16, AddressKind::Private),
    (Ipv4Addr::new(192, 175, 48, 0), 24, AddressKind::Protocol),
    (Ipv4Addr::new(198, 18, 0, 0), 15, AddressKind::Benchmark),
    (Ipv4Addr::new(198, 51, 100, 0), 24, AddressKind::Documentation),
    (Ipv4Addr::new(203, 0, 113, 0), 24, AddressKind::Documentation),
    (Ipv4Addr::new(224, 0, 0, 0), 4, AddressKind::Multicast),
    (Ipv4Addr::new(240, 0, 0, 0), 4, AddressKind::Reserved),
];

fn special_v4(address: Ipv4Addr) -> Option<AddressKind> {
    V4.into_iter().find(|(net, bits, _)| within_v4(address, *net, *bits)).map(|(_, _, kind)| kind)
}

const V6: [(Ipv6Addr, u32, AddressKind); 14] = [
    (Ipv6Addr::UNSPECIFIED, 128, AddressKind::Unspecified),
    (Ipv6Addr::LOCALHOST, 128, AddressKind::Loopback),
    // IPv4-compatible, mapped (::ffff:0:0/96) and translated (::ffff:0:0:0/96) all lie in ::/64.
    (Ipv6Addr::UNSPECIFIED, 64, AddressKind::Embedded),
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 32, AddressKind::Embedded),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 32, AddressKind::Protocol),
    (Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48, AddressKind::Benchmark),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, AddressKind::Protocol),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, AddressKind::Documentation),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, AddressKind::Embedded),
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48, AddressKind::Protocol),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, AddressKind::Documentation),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, AddressKind::UniqueLocal),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, AddressKind::LinkLocal),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, AddressKind::Multicast),
];

const GLOBAL_UNICAST: Ipv6Addr = Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0);
const SITE_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0);

fn special_v6(address: Ipv6Addr) -> Option<AddressKind> {
    if let Some((_, _, kind)) = V6.into_iter().find(|(net, bits, _)| within_v6(address, *net, *bits)) {
        return Some(kind);
    }
    if within_v6(address, SITE_LOCAL, 10) {
        return Some(AddressKind::UniqueLocal);
    }
    // What nobody was given cannot be a customer's web server.
    (!within_v6(address, GLOBAL_UNICAST, 3)).then_some(AddressKind::Reserved)
}

/// Whether `address` lies in `net/bits`.
pub(crate) fn within_v4(address: Ipv4Addr, net: Ipv4Addr, bits: u32) -> bool {
    let shift = 32_u32.saturating_sub(bits);
    address.to_bits().checked_shr(shift).unwrap_or(0) == net.to_bits().checked_shr(shift).unwrap_or(0)
}

/// Whether `address` lies in `net/bits`.
pub(crate) fn within_v6(address: Ipv6Addr, net: Ipv6Addr, bits: u32) -> bool {
    let shift = 128_u32.saturating_sub(bits);
    address.to_bits().checked_shr(shift).unwrap_or(0) == net.to_bits().checked_shr(shift).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_table_of_addresses() {
        let table = [
            ("0.0.0.0", Some(AddressKind::Unspecified)),
            ("0.1.2.3", Some(AddressKind::Unspecified)),
            ("10.0.0.0", Some(AddressKind::Private)),
            ("10.255.255.255", Some(AddressKind::Private)),
            ("9.255.255.255", None),
            ("11.0.0.0", None),
            ("100.63.255.255", None),
            ("100.64.0.0", Some(AddressKind::Shared)),
            ("100.127.255.255", Some(AddressKind::Shared)),
            ("100.128.0.0", None),
            ("126.255.255.255", None),
            ("127.0.0.1", Some(AddressKind::Loopback)),
            ("127.255.255.255", Some(AddressKind::Loopback)),
            ("128.0.0.0", None),
            ("168.63.129.16", Some(AddressKind::Platform)),
            ("168.63.129.17", None),
            ("169.253.255.255", None),
            ("169.254.169.254", Some(AddressKind::LinkLocal)),
            ("169.255.0.0", None),
            ("172.15.255.255", None),
            ("172.16.0.0", Some(AddressKind::Private)),
            ("172.31.255.255", Some(AddressKind::Private)),
            ("172.32.0.0", None),
            ("192.0.0.1", Some(AddressKind::Protocol)),
            ("192.0.0.170", Some(AddressKind::Protocol)),
            ("192.0.1.0", None),
            ("192.0.2.1", Some(AddressKind::Documentation)),
            ("192.31.196.1", Some(AddressKind::Protocol)),
            ("192.52.193.1", Some(AddressKind::Protocol)),
            ("192.88.99.1", Some(AddressKind::Protocol)),
            ("192.167.255.255", None),
            ("192.168.1.1", Some(AddressKind::Private)),
            ("192.169.0.0", None),
            ("192.175.48.1", Some(AddressKind::Protocol)),
            ("198.17.255.255", None),
            ("198.18.0.0", Some(AddressKind::Benchmark)),
            ("198.19.255.255", Some(AddressKind::Benchmark)),
            ("198.20.0.0", None),
            ("198.51.100.7", Some(AddressKind::Documentation)),
            ("203.0.113.7", Some(AddressKind::Documentation)),
            ("223.255.255.255", None),
            ("224.0.0.1", Some(AddressKind::Multicast)),
            ("239.255.255.255", Some(AddressKind::Multicast)),
            ("240.0.0.0", Some(AddressKind::Reserved)),
            ("255.255.255.255", Some(AddressKind::Reserved)),
            ("8.8.8.8", None),
            ("::", Some(AddressKind::Unspecified)),
            ("::1", Some(AddressKind::Loopback)),
            ("::2", Some(AddressKind::Embedded)),
            ("::8.8.8.8", Some(AddressKind::Embedded)),
            ("::ffff:127.0.0.1", Some(AddressKind::Embedded)),
            ("::ffff:8.8.8.8", Some(AddressKind::Embedded)),
            ("::ffff:0:127.0.0.1", Some(AddressKind::Embedded)),
            ("64:ff9b::a00:1", Some(AddressKind::Embedded)),
            ("64:ff9b:1::a00:1", Some(AddressKind::Embedded)),
            ("100::1", Some(AddressKind::Protocol)),
            ("100:0:0:1::1", Some(AddressKind::Protocol)),
            ("2001::1", Some(AddressKind::Protocol)),
            ("2001:2::1", Some(AddressKind::Benchmark)),
            ("2001:20::1", Some(AddressKind::Protocol)),
            ("2001:1ff:ffff::1", Some(AddressKind::Protocol)),
            ("2001:200::1", None),
            ("2001:db8::1", Some(AddressKind::Documentation)),
            ("2002:7f00:1::", Some(AddressKind::Embedded)),
            ("2003::1", None),
            ("2606:4700:4700::1111", None),
            ("2620:4f:8000::1", Some(AddressKind::Protocol)),
            ("3ffe::1", None),
            ("3fff::1", Some(AddressKind::Documentation)),
            ("3fff:1000::1", None),
            ("4000::1", Some(AddressKind::Reserved)),
            ("5f00::1", Some(AddressKind::Reserved)),
            ("fc00::1", Some(AddressKind::UniqueLocal)),
            ("fdff::1", Some(AddressKind::UniqueLocal)),
            ("fe80::1", Some(AddressKind::LinkLocal)),
            ("fec0::1", Some(AddressKind::UniqueLocal)),
            ("ff02::1", Some(AddressKind::Multicast)),
            ("fe00::1", Some(AddressKind::Reserved)),
        ];
        for (text, expected) in table {
            assert_eq!(special(text.parse().unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn a_prefix_of_no_bits_holds_everything() {
        assert!(within_v4(Ipv4Addr::BROADCAST, Ipv4Addr::UNSPECIFIED, 0));
        assert!(within_v6(Ipv6Addr::from_bits(u128::MAX), Ipv6Addr::UNSPECIFIED, 0));
        assert!(!within_v4(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 0), 32));
    }

    proptest! {
        /// An IPv4 address hidden in any IPv6 form never counts as public.
        #[test]
        fn no_ipv4_address_hides_in_an_ipv6_one(bits in any::<u32>()) {
            let v4 = Ipv4Addr::from_bits(bits);
            let low = u128::from(bits);
            for hidden in [
                v4.to_ipv6_mapped(),
                v4.to_ipv6_compatible(),
                Ipv6Addr::from_bits((0x0064_ff9b_u128 << 96) | low),
                Ipv6Addr::from_bits((0x2002_u128 << 112) | (low << 80)),
            ] {
                prop_assert!(special(IpAddr::V6(hidden)).is_some(), "{}", hidden);
            }
        }

        #[test]
        fn what_the_standard_library_calls_private_is_refused(bits in any::<u32>()) {
            let v4 = Ipv4Addr::from_bits(bits);
            if v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast()
                || v4.is_broadcast() || v4.is_documentation() || v4.is_unspecified()
            {
                prop_assert!(special(IpAddr::V4(v4)).is_some());
            }
        }
    }
}
