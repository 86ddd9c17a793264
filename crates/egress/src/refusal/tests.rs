//! Tests of the static check: a table of URLs, and properties over arbitrary ones.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn verdict(url: &str, policy: &Policy) -> Result<Route, Refusal> {
    judge(&Url::parse(url).unwrap(), policy)
}

fn open_policy() -> Policy {
    Policy {
        allow_http_loopback: true,
        allow_http_targets: true,
        allowed_targets: ["10.1.0.0/16", "hooks.corp.internal:8443", "frontend", "fd00::1"]
            .map(|text| text.parse().unwrap())
            .to_vec(),
        ..Policy::default()
    }
}

#[test]
fn the_default_policy_wants_public_https() {
    let address = |kind| Err(Refusal::Address(kind));
    let name = |kind| Err(Refusal::Name(kind));
    let table = [
        ("https://frontend.example/callback?x=1#y", Ok(Route::Public)),
        ("https://frontend.example.:8443/", Ok(Route::Public)),
        ("https://8.8.8.8/", Ok(Route::Public)),
        ("https://[2606:4700::1]/", Ok(Route::Public)),
        ("http://frontend.example/", Err(Refusal::Scheme)),
        ("http://8.8.8.8/", Err(Refusal::Scheme)),
        ("ftp://frontend.example/", Err(Refusal::Scheme)),
        ("file:///etc/passwd", Err(Refusal::Scheme)),
        ("data:text/plain,x", Err(Refusal::Scheme)),
        ("https://user@frontend.example/", Err(Refusal::UserInfo)),
        ("https://:secret@frontend.example/", Err(Refusal::UserInfo)),
        ("https://frontend.example:0/", Err(Refusal::NoHost)),
        ("https://frontend.example../", Err(Refusal::NoHost)),
        ("https://localhost/", name(NameKind::Localhost)),
        ("https://LOCALHOST./", name(NameKind::Localhost)),
        ("https://a.localhost/", name(NameKind::Localhost)),
        ("https://notlocalhost.example/", Ok(Route::Public)),
        ("https://printer.local/", name(NameKind::Local)),
        ("https://metadata.google.internal/", name(NameKind::Internal)),
        ("https://box.home.arpa/", name(NameKind::Internal)),
        ("https://intranet/", name(NameKind::SingleLabel)),
        ("https://intranet./", name(NameKind::SingleLabel)),
        ("https://127.0.0.1/", address(AddressKind::Loopback)),
        ("https://127.1/", address(AddressKind::Loopback)),
        ("https://2130706433/", address(AddressKind::Loopback)),
        ("https://0x7f000001/", address(AddressKind::Loopback)),
        ("https://0177.0.0.1/", address(AddressKind::Loopback)),
        ("https://127.0.0.1./", address(AddressKind::Loopback)),
        ("https://%31%32%37.0.0.1/", address(AddressKind::Loopback)),
        ("https://１２７.0.0.1/", address(AddressKind::Loopback)),
        ("https://127。0。0。1/", address(AddressKind::Loopback)),
        ("https://0/", address(AddressKind::Unspecified)),
        ("https://10.0.0.1/", address(AddressKind::Private)),
        ("https://169.254.169.254/", address(AddressKind::LinkLocal)),
        ("https://100.64.0.1/", address(AddressKind::Shared)),
        ("https://[::1]/", address(AddressKind::Loopback)),
        ("https://[::]/", address(AddressKind::Unspecified)),
        ("https://[::ffff:127.0.0.1]/", address(AddressKind::Embedded)),
        ("https://[::ffff:7f00:1]/", address(AddressKind::Embedded)),
        ("https://[64:ff9b::7f00:1]/", address(AddressKind::Embedded)),
        ("https://[2002:7f00:1::]/", address(AddressKind::Embedded)),
        ("https://[fd00::1]/", address(AddressKind::UniqueLocal)),
        ("https://[fe80::1]/", address(AddressKind::LinkLocal)),
        ("https://[ff02::1]/", address(AddressKind::Multicast)),
        ("https://192.0.2.1/", address(AddressKind::Documentation)),
        ("https://198.18.0.1/", address(AddressKind::Benchmark)),
    ];
    for (url, expected) in table {
        assert_eq!(verdict(url, &Policy::default()), expected, "{url}");
    }
}

#[test]
fn the_policy_opens_what_it_names_and_no_more() {
    let policy = open_policy();
    let table = [
        ("http://localhost:3000/cb", Ok(Route::Vouched)),
        ("https://app.localhost/cb", Ok(Route::Vouched)),
        ("http://127.0.0.1:3000/", Ok(Route::Vouched)),
        ("http://[::1]:3000/", Ok(Route::Vouched)),
        ("http://10.1.2.3/", Ok(Route::Vouched)),
        ("http://10.2.2.3/", Err(Refusal::Address(AddressKind::Private))),
        ("https://hooks.corp.internal:8443/", Ok(Route::Vouched)),
        ("https://hooks.corp.internal/", Err(Refusal::Name(NameKind::Internal))),
        ("http://frontend:9000/", Ok(Route::Vouched)),
        ("https://[fd00::1]/", Ok(Route::Vouched)),
        ("https://[fd00::2]/", Err(Refusal::Address(AddressKind::UniqueLocal))),
        ("http://frontend.example/", Err(Refusal::Scheme)),
        ("http://user@localhost/", Err(Refusal::UserInfo)),
        ("http://0.0.0.0/", Err(Refusal::Address(AddressKind::Unspecified))),
    ];
    for (url, expected) in table {
        assert_eq!(verdict(url, &policy), expected, "{url}");
    }
}

#[test]
fn plain_http_to_an_allowed_target_needs_its_own_consent() {
    let policy = Policy { allow_http_targets: false, ..open_policy() };
    assert_eq!(verdict("http://10.1.2.3/", &policy), Err(Refusal::Scheme));
    assert_eq!(verdict("http://frontend/", &policy), Err(Refusal::Scheme));
    assert_eq!(verdict("https://10.1.2.3/", &policy), Ok(Route::Vouched));
}

#[test]
fn refusals_have_words_for_people_and_for_metrics() {
    assert_eq!(Refusal::Address(AddressKind::Private).to_string(), "URL must be public");
    assert_eq!(Refusal::Name(NameKind::Localhost).to_string(), "URL must be public");
    assert_eq!(Refusal::Address(AddressKind::Private).reason(), "private");
    assert_eq!(Refusal::Name(NameKind::SingleLabel).reason(), "single_label");
}

proptest! {
    #[test]
    fn any_text_gets_a_verdict(text in "\\PC{0,60}") {
        for policy in [Policy::default(), open_policy()] {
            if let Ok(url) = Url::parse(&text) {
                let allowed = judge(&url, &policy).is_ok();
                prop_assert!(!allowed || matches!(url.scheme(), "https" | "http"));
            }
            if let Ok(url) = Url::parse(&format!("https://{text}")) {
                let allowed = judge(&url, &Policy::default()).is_ok();
                prop_assert!(!allowed || (url.scheme() == "https" && url.username().is_empty()));
            }
        }
    }

    /// However an IPv4 address is spelt, the verdict is the same.
    #[test]
    fn the_spelling_of_an_address_does_not_matter(bits in any::<u32>()) {
        let address = Ipv4Addr::from_bits(bits);
        let [a, b, c, d] = address.octets();
        let plain = verdict(&format!("https://{address}/"), &Policy::default());
        for spelling in [
            format!("{bits}"),
            format!("{bits:#x}"),
            format!("{a:#o}.{b}.{c}.{d}").replace("0o", "0"),
            format!("{a}.{b}.{}", u16::from_be_bytes([c, d])),
            format!("{address}."),
        ] {
            prop_assert_eq!(verdict(&format!("https://{spelling}/"), &Policy::default()), plain, "{}", spelling);
        }
        prop_assert_eq!(plain.is_ok(), special(IpAddr::V4(address)).is_none());
    }

    #[test]
    fn an_ipv6_literal_is_judged_by_the_table(bits in any::<u128>()) {
        let address = Ipv6Addr::from_bits(bits);
        let judged = verdict(&format!("https://[{address}]/"), &Policy::default());
        prop_assert_eq!(judged.is_ok(), special(IpAddr::V6(address)).is_none());
    }

    #[test]
    fn names_below_localhost_are_refused(front in "[a-z][a-z0-9]{0,10}") {
        for suffix in ["localhost", "local", "internal"] {
            let judged = verdict(&format!("https://{front}.{suffix}/"), &Policy::default());
            prop_assert!(matches!(judged, Err(Refusal::Name(_))));
        }
    }
}
