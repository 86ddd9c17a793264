//! Networks, origins and what forwarded headers may and may not say.

use proptest::prelude::*;

use super::*;

fn proxies(header: ForwardedHeader) -> TrustedProxies {
    let networks = ["10.0.0.0/8", "2001:db8:f::/48"].map(|text| text.parse().unwrap());
    TrustedProxies { networks: networks.to_vec(), header }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn caller(header: ForwardedHeader, peer: &str, lines: &[&str]) -> String {
    proxies(header).caller(ip(peer), lines.iter().copied().map(Some)).to_string()
}

#[test]
fn networks_are_read_and_contain_what_they_should() {
    for (text, inside, outside) in [
        ("10.0.0.0/8", "10.255.1.2", "11.0.0.0"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ("0.0.0.0/0", "255.255.255.255", "::1"),
        ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
        ("::/0", "ffff::", "1.2.3.4"),
        ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
    ] {
        let network: Network = text.parse().unwrap();
        assert!(network.contains(ip(inside)), "{text} {inside}");
        assert!(!network.contains(ip(outside)), "{text} {outside}");
    }
}

#[test]
fn what_is_no_network_is_refused() {
    for text in
        ["", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0.1/8", "::/129", "proxy.example", "10.0.0"]
    {
        assert_eq!(text.parse::<Network>(), Err(InvalidNetwork), "{text}");
    }
}

#[test]
fn a_stranger_cannot_choose_its_address() {
    for header in [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded] {
        assert_eq!(caller(header, "203.0.113.9", &["198.51.100.1", "for=198.51.100.1"]), "203.0.113.9");
    }
    // What the caller itself put in front stays in front of what our proxies wrote.
    assert_eq!(
        caller(ForwardedHeader::XForwardedFor, "10.0.0.1", &["198.51.100.1, 203.0.113.9, 10.0.0.2"]),
        "203.0.113.9"
    );
    assert_eq!(
        caller(ForwardedHeader::XForwardedFor, "10.0.0.1", &["198.51.100.1", "203.0.113.9"]),
        "203.0.113.9",
        "of several lines the last is the nearest"
    );
}

#[test]
fn proxies_are_believed_in_every_spelling() {
    let plain = |line| caller(ForwardedHeader::XForwardedFor, "10.0.0.1", &[line]);
    assert_eq!(plain("203.0.113.9:4711"), "203.0.113.9");
    assert_eq!(plain("2001:db8::7"), "2001:db8::7");
    assert_eq!(plain("[2001:db8::7]:443"), "2001:db8::7");
    assert_eq!(plain("::ffff:203.0.113.9"), "203.0.113.9");
    assert_eq!(plain("10.9.9.9"), "10.9.9.9", "a caller inside our own network");
    let full = |line| caller(ForwardedHeader::Forwarded, "2001:db8:f::1", &[line]);
    assert_eq!(full("for=192.0.2.60;proto=http;by=203.0.113.43"), "192.0.2.60");
    assert_eq!(full("proto=https; For=\"[2001:db8::17]:4711\""), "2001:db8::17");
    assert_eq!(full("for=192.0.2.43, for=\"198.51.100.17:80\";by=\"a,b\""), "198.51.100.17");
}

#[test]
fn what_cannot_be_read_ends_the_search_at_what_is_certain() {
    for line in ["", "unknown", "203.0.113.9, nonsense", "203.0.113.9, 1.2.3", "for=203.0.113.9"] {
        assert_eq!(caller(ForwardedHeader::XForwardedFor, "10.0.0.1", &[line]), "10.0.0.1", "{line}");
    }
    for line in ["for=unknown", "for=_hidden", "by=203.0.113.9", "203.0.113.9"] {
        assert_eq!(caller(ForwardedHeader::Forwarded, "10.0.0.1", &[line]), "10.0.0.1", "{line}");
    }
    let lines = [Some("203.0.113.9"), None];
    let found = proxies(ForwardedHeader::XForwardedFor).caller(ip("10.0.0.1"), lines.into_iter());
    assert_eq!(found, ip("10.0.0.1"), "a line that is no text");
}

#[test]
fn an_ipv6_site_is_one_origin() {
    let origin = |text| Origin::of(ip(text));
    assert_eq!(origin("2001:db8:0:1::1"), origin("2001:db8:0:1:ffff:ffff:ffff:ffff"));
    assert_ne!(origin("2001:db8:0:1::1"), origin("2001:db8:0:2::1"));
    assert_eq!(origin("2001:db8:0:1::1").to_string(), "2001:db8:0:1::/64");
    assert_eq!(origin("::ffff:192.0.2.1"), origin("192.0.2.1"));
    assert_ne!(origin("192.0.2.1"), origin("192.0.2.2"));
}

proptest! {
    #[test]
    fn no_header_makes_the_reader_panic_and_strangers_stay_who_they_are(
        peer in any::<u32>(),
        lines in prop::collection::vec(
            prop_oneof![".{0,64}", "(for=|[0-9.:\\[\\]\",; a-f]){0,40}"], 0..4
        ),
    ) {
        let peer = IpAddr::V4(peer.into());
        for header in [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded] {
            let proxies = proxies(header);
            let found = proxies.caller(peer, lines.iter().map(|line| Some(line.as_str())));
            if !proxies.trusts(peer) {
                prop_assert_eq!(found, peer);
            }
        }
    }

    #[test]
    fn a_caller_behind_any_number_of_proxies_is_found(
        caller in any::<u32>(),
        forged in ".{0,20}",
        hops in prop::collection::vec(any::<[u8; 3]>(), 0..5),
    ) {
        let caller = IpAddr::V4(caller.into());
        for header in [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded] {
        let proxies = proxies(header);
        prop_assume!(!proxies.trusts(caller));
        let element = |address: String| match header {
            ForwardedHeader::XForwardedFor => address,
            ForwardedHeader::Forwarded => format!("for=\"{address}\";proto=https"),
        };
        let hops = hops.iter().map(|[a, b, c]| element(format!("10.{a}.{b}.{c}")));
        let chain: Vec<String> =
            [forged.clone(), element(caller.to_string())].into_iter().chain(hops).collect();
        let line = chain.join(", ");
        prop_assert_eq!(proxies.caller(ip("10.0.0.1"), [Some(line.as_str())].into_iter()), caller);
        }
    }

    #[test]
    fn networks_read_back(address in any::<u128>(), v4 in any::<bool>(), bits in 0_u32..=128) {
        let address = if v4 {
            IpAddr::V4(u32::try_from(address & u128::from(u32::MAX)).unwrap().into())
        } else {
            IpAddr::V6(address.into())
        };
        let bits = bits.min(width(address));
        let part = network_part(address, bits);
        let base = if v4 { IpAddr::V4(u32::try_from(part).unwrap().into()) } else { IpAddr::V6(part.into()) };
        let network = Network { address: base, bits };
        prop_assert_eq!(network.to_string().parse::<Network>(), Ok(network));
        prop_assert!(network.contains(address) || address.to_canonical() != address);
    }

    #[test]
    fn no_text_makes_the_network_reader_panic(text in ".{0,60}") {
        text.parse::<Network>().ok();
    }
}
