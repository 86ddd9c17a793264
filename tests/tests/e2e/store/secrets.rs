//! Signing keys, software keys, settings and the service's own secrets.

use domain::audit::{Event, EventKind};
use domain::key::{EcPoint, KeyState};
use domain::{KeyId, SignatureAlgorithm, TenantId, Timestamp};
use store::SoftwareKeyRow;
use uuid::Uuid;

use super::fixture::Fixture;
use super::on_both;
use super::rows::{Ids, authority, signing_key, tenant};

on_both!(
    a_signing_key_is_stored_once,
    a_key_version_signs_for_one_key,
    a_key_moves_one_step_at_a_time,
    a_software_key_has_its_slot,
    a_software_key_can_be_disabled,
    the_first_setting_stays,
    the_first_secret_stays,
);

async fn a_signing_key_is_stored_once(f: Fixture) {
    let old = signing_key("key-1");
    let mut new = signing_key("key-2");
    new.prepared_at = Timestamp::from_millis(2);
    new.algorithm = SignatureAlgorithm::Es256k;
    assert!(f.store.insert_signing_key(tenant(), &old).await.unwrap());
    assert!(f.store.insert_signing_key(tenant(), &new).await.unwrap());
    assert!(!f.store.insert_signing_key(tenant(), &old).await.unwrap());
    assert_eq!(f.store.signing_keys(tenant()).await.unwrap(), [new, old], "newest first");
    assert!(f.store.signing_keys(TenantId::new(Uuid::from_u128(9))).await.unwrap().is_empty());
}

async fn a_key_version_signs_for_one_key(f: Fixture) {
    assert!(f.store.insert_signing_key(tenant(), &signing_key("key-1")).await.unwrap());
    let mut twin = signing_key("key-1");
    twin.id = KeyId::new("twin");
    assert!(!f.store.insert_signing_key(tenant(), &twin).await.unwrap());
    twin.key.version = "v2".into();
    assert!(f.store.insert_signing_key(tenant(), &twin).await.unwrap());
}

async fn a_key_moves_one_step_at_a_time(f: Fixture) {
    assert!(f.store.insert_signing_key(tenant(), &signing_key("key-1")).await.unwrap());
    let ids = Ids::fresh();
    let event = Event::new(&ids.subject(), EventKind::KeyTransition, f.now());
    let key = KeyId::new("key-1");
    let step = |to| f.store.advance_signing_key(tenant(), authority(), &key, to, f.now(), &event);
    assert!(!step(KeyState::Active).await.unwrap(), "not published yet");
    assert!(!step(KeyState::Retired).await.unwrap());
    for (moved, to) in [KeyState::Published, KeyState::Active, KeyState::Retired].into_iter().enumerate() {
        assert!(step(to).await.unwrap(), "{to:?}");
        assert!(!step(to).await.unwrap(), "{to:?} once");
        assert_eq!(f.store.signing_keys(tenant()).await.unwrap()[0].state, to);
        assert_eq!(f.trail(ids).await.len(), moved + 1);
    }
    for to in [KeyState::Prepared, KeyState::Published, KeyState::Active, KeyState::Removed] {
        assert!(!step(to).await.unwrap(), "{to:?} after its end");
    }
    let times = f.sql("SELECT published_at, activated_at, retired_at, removed_at FROM signing_key");
    let now = f.now().millis();
    assert_eq!(times, format!("{now}|{now}|{now}|"));
    let nobody = KeyId::new("key-9");
    let moved =
        f.store.advance_signing_key(tenant(), authority(), &nobody, KeyState::Published, f.now(), &event);
    assert!(!moved.await.unwrap());
}

fn software_key(version: &str) -> SoftwareKeyRow {
    SoftwareKeyRow {
        name: "slot".into(),
        version: version.into(),
        algorithm: SignatureAlgorithm::Es256k,
        public: EcPoint::new(&[0; 32], &[0xab; 32]).unwrap(),
        sealed: "sealed key".into(),
        disabled: false,
    }
}

async fn a_software_key_has_its_slot(f: Fixture) {
    assert!(!f.store.holds_sealed_rows().await.unwrap());
    assert!(f.store.insert_software_key(tenant(), &software_key("v1"), f.now()).await.unwrap());
    assert!(!f.store.insert_software_key(tenant(), &software_key("v2"), f.now()).await.unwrap());
    assert_eq!(f.store.software_keys(tenant()).await.unwrap(), [software_key("v1")]);
    assert!(f.store.holds_sealed_rows().await.unwrap());
}

async fn a_software_key_can_be_disabled(f: Fixture) {
    f.store.insert_software_key(tenant(), &software_key("v1"), f.now()).await.unwrap();
    let set = |version: &'static str, to| f.store.set_software_key_disabled(tenant(), "slot", version, to);
    assert!(!set("v2", true).await.unwrap(), "another version");
    assert!(set("v1", true).await.unwrap());
    assert!(f.store.software_keys(tenant()).await.unwrap()[0].disabled);
    assert!(set("v1", false).await.unwrap());
    assert!(!f.store.software_keys(tenant()).await.unwrap()[0].disabled);
}

async fn the_first_setting_stays(f: Fixture) {
    assert!(f.store.settings().await.unwrap().is_empty());
    assert_eq!(f.store.setting_or_insert("b", "1").await.unwrap(), "1");
    assert_eq!(f.store.setting_or_insert("b", "2").await.unwrap(), "1");
    assert_eq!(f.store.setting_or_insert("a", "").await.unwrap(), "");
    let expected = [("a", ""), ("b", "1")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(f.store.settings().await.unwrap(), expected);
}

async fn the_first_secret_stays(f: Fixture) {
    let other = TenantId::new(Uuid::from_u128(9));
    assert_eq!(f.store.local_secret(tenant(), "hint").await.unwrap(), None);
    for (owner, sealed, expected) in
        [(tenant(), "one", "one"), (tenant(), "two", "one"), (other, "three", "three")]
    {
        let stored = f.store.local_secret_or_insert(owner, "hint", sealed, f.now()).await.unwrap();
        assert_eq!(stored, expected);
    }
    assert_eq!(f.store.local_secret(tenant(), "hint").await.unwrap().as_deref(), Some("one"));
    assert_eq!(f.store.local_secret(tenant(), "other").await.unwrap(), None);
    assert!(f.store.holds_sealed_rows().await.unwrap());
}
