//! Readers of bytes from outside against arbitrary input, key material against known values, draws against their shape.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;

use crate::clock::{Moment, SimClock};
use crate::failure::{Failure, FailureKind};
use crate::fault::FaultSpec;
use crate::hardware::Hardware;
use crate::identity::{Access, AccessConfig};
use crate::login::{self, LoginRoute};
use crate::material::{Curve, Material};
use crate::members::{Members, base64url, from_base64url};
use crate::operation::{Operation, PERMISSIONS};
use crate::profile::Profile;
use crate::random::Random;
use crate::route::{Query, Route};
use crate::tls;
use crate::vault::key::{Recovery, View};
use crate::vault::rotation::{RotationPolicy, days};
use crate::vault::{Vault, VaultConfig};

const NOW: Moment = Moment(1_800_000_000_000_000_000);
const VIEW: View<'static> = View {
    origin: "https://v1.vault.azure.net",
    recovery: Recovery { retention_days: 90, purge_protection: false },
    platform: true,
    profile: Profile::Vault,
};

fn hardware_wait(hardware: &mut Hardware, operation: Operation, curve: Curve, at: i64) -> u128 {
    hardware.arrive("a", operation, Some(curve), NOW.skewed(at)).as_micros()
}

#[test]
fn hardware_serves_in_turn_at_the_documented_rates() {
    let mut one = Hardware::new(1);
    // 330 a second: three of them take 9.09 ms.
    let waits: Vec<u128> =
        (0..4).map(|_| hardware_wait(&mut one, Operation::Sign, Curve::P256K, 0)).collect();
    assert_eq!(waits, [0, 3_030, 6_060, 9_090]);
    assert_eq!(hardware_wait(&mut one, Operation::Sign, Curve::P256K, 12), 121);
    assert_eq!(hardware_wait(&mut one, Operation::Sign, Curve::P256K, 1_000), 0);
    // Creates have a line of their own, and so have deletes.
    assert_eq!(hardware_wait(&mut one, Operation::Create, Curve::P256, 1_000), 0);
    assert_eq!(hardware_wait(&mut one, Operation::Create, Curve::P256, 1_000), 1_000_000);
    assert_eq!(hardware_wait(&mut one, Operation::Delete, Curve::P256, 1_000), 0);
    assert_eq!(hardware_wait(&mut one, Operation::Purge, Curve::P256, 1_000), 100_000);
    for (operation, curve, per_second) in [
        (Operation::Sign, Curve::P256, 330),
        (Operation::Sign, Curve::P384, 160),
        (Operation::Sign, Curve::P521, 200),
        (Operation::Verify, Curve::P256K, 130),
        (Operation::Verify, Curve::P384, 82),
        (Operation::Verify, Curve::P521, 28),
        (Operation::Get, Curve::P256, 1_100),
    ] {
        for partitions in [1_u32, 3] {
            let mut fresh = Hardware::new(partitions);
            hardware_wait(&mut fresh, operation, curve, 0);
            let wait = hardware_wait(&mut fresh, operation, curve, 0);
            assert_eq!(wait, 1_000_000 / u128::from(per_second * partitions), "{operation:?} {curve:?}");
        }
    }
    let mut endless = Hardware::new(0);
    for _ in 0..10 {
        assert_eq!(hardware_wait(&mut endless, Operation::Create, Curve::P256, 0), 0);
    }
}

fn is_bad_parameter<T>(result: &Result<T, Failure>) -> bool {
    result.as_ref().err().is_some_and(|failure| failure.kind == FailureKind::BadParameter)
}

#[test]
fn real_signatures_of_the_service_verify_here_high_s_included() {
    let digest = "ltYuKr0-Qt5fUDMPuO_ExVmYNSeAd7IemqCzPB3wehw";
    for (crv, x, y, signature) in [
        (
            Curve::P256,
            "pAoGji81xq92vXXRDsR6gddLNUnJ4qaw9aWVwK86wAY",
            "edSPSU1XbS90jffjXiBPrKq-grEY7KnEFtZTmFIpR00",
            "DLFoHGWXrJQAg-U3kwpNmRoxExAtA6HLMNvY2inR92_nisDpu7kEr3pOSB_-JtWi0gSXqGY3g-A-BCL8Cg5k1A",
        ),
        (
            Curve::P256K,
            "VXzdoT77ZnmPnBAR3nVAueUVcKHNFKx_Uqdp-6KetaA",
            "W-1MfgzLeCrbz1KHriIdqpDgHD8gSGcsuhBNQMP5E-k",
            "DoUBtP-PmUUQoxHMY1yXy8wdl0UwO77d3eHGakCsW2PVDbSIf6uRlnfXvLW-LZFVQ8d0BmOQTfNgKYmI_5itDA",
        ),
    ] {
        let bytes = |text: &str| from_base64url(text).unwrap();
        let (digest, signature) = (bytes(digest), bytes(signature));
        assert!(crv.verify(&bytes(x), &bytes(y), &digest, &signature), "{crv:?}");
        assert!(!crv.verify(&bytes(y), &bytes(x), &digest, &signature), "{crv:?}");
        let mut other = digest.clone();
        other[0] ^= 1;
        assert!(!crv.verify(&bytes(x), &bytes(y), &other, &signature), "{crv:?}");
    }
}

#[test]
fn material_survives_export_and_import_on_every_curve() {
    for curve in [Curve::P256, Curve::P256K, Curve::P384, Curve::P521] {
        let made = Material::generate(curve).unwrap();
        let (x, y) = made.coordinates();
        assert_eq!((x.len(), y.len()), (curve.width(), curve.width()));
        let again = Material::import(curve, &made.secret().unwrap(), x, y).unwrap();
        let digest = vec![5; curve.digest_length()];
        assert!(made.verify(&digest, &again.sign(&digest).unwrap()));
        assert!(made.sign(&digest[1..]).is_err());
        assert!(!made.verify(&digest[1..], &made.sign(&digest).unwrap()));
        let stranger = Material::generate(curve).unwrap();
        assert!(Material::import(curve, &stranger.secret().unwrap(), x, y).is_err());
        assert!(Material::import(curve, &[1; 67], x, y).is_err());
    }
}

#[test]
fn latencies_have_the_documented_median_and_tail() {
    let mut random = Random::new(42);
    let mut draws: Vec<Duration> = (0..20_000).map(|_| random.latency(Duration::from_millis(25))).collect();
    draws.sort();
    let (median, tail) = (draws[10_000].as_secs_f64(), draws[19_800].as_secs_f64());
    assert!((0.024..0.026).contains(&median), "{median}");
    assert!((0.110..0.130).contains(&tail), "{tail}");
    let draw = |seed: u64| Random::new(seed).latency(Duration::from_millis(25));
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
}

#[test]
fn every_operation_has_a_permission_that_roles_know() {
    for operation in
        [Operation::Sign, Operation::SetRotationPolicy, Operation::GetAttestation, Operation::Purge]
    {
        assert!(PERMISSIONS.contains(&operation.permission()), "{operation:?}");
        assert!(operation.data_action(Profile::Vault).starts_with("Microsoft.KeyVault/vaults/key"));
        assert!(
            operation.data_action(Profile::ManagedHsm).starts_with("Microsoft.KeyVault/managedHsm/keys/")
        );
    }
}

#[test]
fn durations_of_policies_are_years_months_weeks_and_days() {
    for (text, wanted) in [
        ("P2Y", Some(730)),
        ("P1Y2M3D", Some(428)),
        ("P4W", Some(28)),
        ("P28D", Some(28)),
        ("P", None),
        ("PY", None),
        ("28D", None),
        ("P1D2M", None),
        ("P-1D", None),
        ("P+1D", None),
        ("PT5H", None),
        ("P99999999999Y", None),
        ("P4294967295Y", None),
    ] {
        assert_eq!(days(text), wanted, "{text}");
    }
}

#[test]
fn an_own_leaf_is_kept_and_an_issued_one_grows_with_its_names() {
    let dir = tempfile::tempdir().unwrap();
    let names =
        |vaults: &[&str]| tls::names(&vaults.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), &[]);
    let leaf = || std::fs::read_to_string(dir.path().join("leaf.pem")).unwrap();
    tls::open(Some(dir.path()), &names(&["a"])).unwrap();
    let first = leaf();
    tls::open(Some(dir.path()), &names(&["a"])).unwrap();
    assert_eq!(leaf(), first);
    tls::open(Some(dir.path()), &names(&["a", "b"])).unwrap();
    let second = leaf();
    assert_ne!(second, first);
    std::fs::remove_file(dir.path().join("leaf.names")).unwrap();
    tls::open(Some(dir.path()), &names(&["c"])).unwrap();
    assert_eq!(leaf(), second);
    std::fs::write(dir.path().join("leaf-key.pem"), "no key").unwrap();
    assert!(tls::open(Some(dir.path()), &names(&["c"])).is_err());
}

#[test]
fn an_hsm_holds_so_many_keys_and_versions() {
    let view = View { profile: Profile::ManagedHsm, ..VIEW };
    let mut hsm = Vault::default();
    let config = VaultConfig::default();
    let members = Members::parse(br#"{"kty":"EC"}"#).unwrap();
    let is_full = |result: Result<(), Failure>| {
        result.is_err_and(|failure| failure.kind == FailureKind::Forbidden(None))
    };
    for number in 0..5_000 {
        hsm.create(&format!("key-{number}"), &members, &config, view, NOW).unwrap();
    }
    assert!(is_full(hsm.create("more", &members, &config, view, NOW).map(drop)));
    for _ in 1..100 {
        hsm.rotate("key-0", view, NOW).unwrap();
    }
    assert!(is_full(hsm.rotate("key-0", view, NOW).map(drop)));
    assert!(is_full(hsm.create("key-0", &members, &config, view, NOW).map(drop)));
    hsm.create("key-1", &members, &config, view, NOW).unwrap();
    // A vault states no limit.
    hsm.create("more", &members, &config, VIEW, NOW).unwrap();
    hsm.rotate("key-0", VIEW, NOW).unwrap();
}

#[test]
fn deletes_come_to_their_end_in_any_order() {
    let mut vault = Vault::default();
    let config = VaultConfig::default();
    let members = Members::parse(br#"{"kty":"EC"}"#).unwrap();
    let later = |seconds: i64| Moment::from_seconds(NOW.seconds() + seconds);
    for name in ["a", "b", "c"] {
        vault.create(name, &members, &config, VIEW, NOW).unwrap();
    }
    vault.delete("a", &config, VIEW, NOW).unwrap();
    vault.delete("b", &config, VIEW, NOW).unwrap();
    vault.settle(later(4), VIEW);
    vault.recover("b", &config, VIEW, later(4)).unwrap();
    vault.settle(later(7), VIEW);
    assert!(vault.get("b", None, VIEW).is_err());
    vault.settle(later(8), VIEW);
    vault.get("b", None, VIEW).unwrap();
    vault.purge("a", &config, VIEW, later(8)).unwrap();
    vault.settle(later(12), VIEW);
    assert_eq!(vault.count(), 2);
    // After the retention nobody has to ask.
    vault.delete("c", &config, VIEW, later(12)).unwrap();
    vault.settle(later(12 + 90 * 86_400 - 1), VIEW);
    assert_eq!(vault.count(), 2);
    vault.settle(later(12 + 90 * 86_400), VIEW);
    assert_eq!(vault.count(), 1);
}

fn vault_with_key() -> Vault {
    let mut vault = Vault::default();
    let members = Members::parse(br#"{"kty":"EC"}"#).unwrap();
    vault.create("issuer", &members, &VaultConfig::default(), VIEW, NOW).unwrap();
    vault
}

proptest! {
    #[test]
    fn request_lines_never_panic(method in "(GET|PUT|POST|PATCH|DELETE|X)", path in ".{0,60}", query in ".{0,60}") {
        if let Ok(Route { name: Some(name), .. }) = Route::parse(&method, &path) {
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
        }
        if let Ok(version) = Query::parse(&query).api_version() {
            prop_assert!(query.contains(&version[..3]));
        }
        if LoginRoute::parse(&method, &path).is_some() {
            prop_assert!(Route::parse(&method, &path).is_err());
        }
    }

    #[test]
    fn paths_keep_name_and_version(name in "[0-9a-zA-Z-]{1,127}", version in "[0-9a-f]{32}") {
        let route = Route::parse("POST", &format!("/keys/{name}/{version}/sign")).unwrap();
        prop_assert_eq!(route, Route {
            operation: Operation::Sign, name: Some(name), version: Some(version),
        });
    }

    #[test]
    fn bodies_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), value in json()) {
        for text in [bytes, value.to_string().into_bytes()] {
            drop(FaultSpec::parse(&text));
            drop(login::token(&AccessConfig::default(), "t", &text, NOW));
            let Ok(members) = Members::parse(&text) else { continue };
            drop(RotationPolicy::parse(&members, None, Profile::Vault, 0));
            drop(RotationPolicy::parse(&members, None, Profile::ManagedHsm, 0));
            let mut vault = vault_with_key();
            let config = VaultConfig::default();
            drop(vault.create("other", &members, &config, VIEW, NOW));
            drop(vault.import("third", &members, &config, VIEW, NOW));
            drop(vault.update("issuer", None, &members, VIEW, NOW));
            prop_assert!(is_bad_parameter(&vault.restore(&members, VIEW, NOW)));
        }
    }

    #[test]
    fn base64url_round_trips(bytes in proptest::collection::vec(any::<u8>(), 0..80), text in ".{0,40}") {
        prop_assert_eq!(from_base64url(&base64url(&bytes)), Some(bytes));
        if let Some(read) = from_base64url(&text) {
            prop_assert_eq!(base64url(&read), text);
        }
    }

    #[test]
    fn authorization_headers_never_panic(header in ".{0,80}", payload in json()) {
        let access = Access::new(AccessConfig { check_expiry: true, check_audience: true, ..AccessConfig::default() });
        drop(access.authenticate(Some(&header), Profile::Vault, NOW));
        let token = format!("Bearer a.{}.b", base64url(payload.to_string().as_bytes()));
        if let Ok(identity) = access.authenticate(Some(&token), Profile::Vault, NOW) {
            prop_assert!(!payload.is_object(), "no audience in {}: {:?}", payload, identity);
        }
    }

    #[test]
    fn clocks_only_go_forward(steps in proptest::collection::vec(0_u64..1_000, 1..20)) {
        let clock = SimClock::frozen_at(1_800_000_000);
        for step in steps {
            let before = clock.now();
            clock.advance(Duration::from_millis(step));
            prop_assert_eq!(clock.now(), before.plus(Duration::from_millis(step)));
            prop_assert_eq!(clock.now().minus(Duration::from_millis(step)), before);
        }
    }
}

/// Small JSON objects with the members that requests have.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "(EC|EC-HSM|RSA|P-256|P-521|sign|verify|AQAB|P30D|Rotate|throttled|delay|.{0,8})"
            .prop_map(Value::from),
    ];
    let name = prop_oneof![
        Just("kty"),
        Just("crv"),
        Just("key"),
        Just("key_ops"),
        Just("attributes"),
        Just("nbf"),
        Just("exp"),
        Just("enabled"),
        Just("tags"),
        Just("value"),
        Just("d"),
        Just("x"),
        Just("y"),
        Just("lifetimeActions"),
        Just("action"),
        Just("trigger"),
        Just("type"),
        Just("expiryTime"),
        Just("timeAfterCreate"),
        Just("fault"),
        Just("ms"),
        Just("count"),
        Just("sub"),
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(name.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}
