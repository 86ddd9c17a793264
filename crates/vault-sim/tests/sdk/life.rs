//! Lists, changes, deletes and their delays, rotation policies, backups.

use std::time::Duration;

use azure_core::http::RequestContent;
use azure_security_keyvault_keys::ResourceExt as _;
use azure_security_keyvault_keys::models::{
    CurveName, KeyAttributes, KeyClientUpdateKeyPropertiesOptions, KeyRotationPolicy,
    KeyRotationPolicyAction, KeyRotationPolicyAttributes, KeyType, LifetimeAction, LifetimeActionTrigger,
    LifetimeActionType, RestoreKeyParameters, SignParameters, SignatureAlgorithm,
    UpdateKeyPropertiesParameters,
};
use futures_util::TryStreamExt as _;
use vault_sim::{Sim, SimClock, SimConfig, VaultConfig};

use crate::client::{client, create, status};

fn signature() -> RequestContent<SignParameters> {
    let parameters = SignParameters { algorithm: Some(SignatureAlgorithm::Es256), value: Some(vec![1; 32]) };
    parameters.try_into().expect("JSON")
}

#[tokio::test]
async fn more_than_a_page_of_keys_and_versions_is_listed_whole() {
    let sim = Sim::start(SimConfig::quick()).expect("starts");
    let client = client(&sim);
    for number in 0..60 {
        create(&client, &format!("key-{number:02}"), KeyType::Ec, CurveName::P256).await;
    }
    for _ in 0..29 {
        client.rotate_key("key-00", None).await.expect("rotates");
    }
    let keys: Vec<_> = client.list_key_properties(None).expect("a list").try_collect().await.expect("pages");
    let names: Vec<String> = keys.iter().map(|key| key.resource_id().expect("a kid").name).collect();
    let wanted: Vec<String> = (0..60).map(|number| format!("key-{number:02}")).collect();
    assert_eq!(names, wanted);
    assert!(keys.iter().all(|key| key.resource_id().expect("a kid").version.is_none()));
    let versions: Vec<_> = client
        .list_key_properties_versions("key-00", None)
        .expect("a list")
        .try_collect()
        .await
        .expect("pages");
    let ids: Vec<String> =
        versions.iter().filter_map(|key| key.resource_id().expect("a kid").version).collect();
    assert_eq!(ids.len(), 30);
    assert!(ids.is_sorted(), "{ids:?}");
    let gets = sim.log().iter().filter(|row| row["operationName"] == "KeyList").count();
    assert_eq!(gets, 3);
}

#[tokio::test]
async fn a_disabled_key_is_read_but_does_not_sign() {
    let sim = Sim::start(SimConfig::quick()).expect("starts");
    let client = client(&sim);
    create(&client, "issuer", KeyType::Ec, CurveName::P256).await;
    let set = |enabled: bool| {
        let attributes = KeyAttributes { enabled: Some(enabled), ..Default::default() };
        let change = UpdateKeyPropertiesParameters { key_attributes: Some(attributes), ..Default::default() };
        change.try_into().expect("JSON")
    };
    let options = KeyClientUpdateKeyPropertiesOptions::default();
    let key = client.update_key_properties("issuer", set(false), Some(options)).await.expect("updated");
    assert_eq!(key.into_model().expect("a key").attributes.and_then(|found| found.enabled), Some(false));
    let read =
        client.get_key("issuer", None).await.expect("a disabled key is read").into_model().expect("a key");
    assert_eq!(read.attributes.and_then(|found| found.enabled), Some(false));
    let refused = client.sign("issuer", signature(), None).await.expect_err("a disabled key does not sign");
    assert_eq!(status(&refused).0, 403);
    client.update_key_properties("issuer", set(true), None).await.expect("updated");
    client.sign("issuer", signature(), None).await.expect("signs again");
}

#[tokio::test]
async fn delete_recover_and_purge_are_seen_after_a_while() {
    let clock = SimClock::frozen_at(1_800_000_000);
    let keys = VaultConfig { consistency: Duration::from_secs(4), ..VaultConfig::default() };
    let sim = Sim::start(SimConfig { clock: clock.clone(), keys, ..SimConfig::quick() }).expect("starts");
    let client = client(&sim);
    create(&client, "issuer", KeyType::Ec, CurveName::P256).await;
    let deleted = client.delete_key("issuer", None).await.expect("deleted").into_model().expect("a key");
    let purge = deleted.scheduled_purge_date.expect("a date") - deleted.deleted_date.expect("a date");
    assert_eq!(purge.whole_days(), 90);
    let at_once = client.get_deleted_key("issuer", None).await.expect_err("not seen yet");
    assert_eq!(status(&at_once), (404, "KeyNotFound".into()));
    let at_once = client.sign("issuer", signature(), None).await.expect_err("gone at once");
    assert_eq!(status(&at_once), (404, "KeyNotFound".into()));
    assert_eq!(status(&client.purge_deleted_key("issuer", None).await.expect_err("too early")).0, 409);
    clock.advance(Duration::from_secs(4));
    client.get_deleted_key("issuer", None).await.expect("seen");
    let listed: Vec<_> =
        client.list_deleted_key_properties(None).expect("a list").try_collect().await.expect("pages");
    assert_eq!(listed.len(), 1);
    client.recover_deleted_key("issuer", None).await.expect("recovers");
    assert_eq!(status(&client.recover_deleted_key("issuer", None).await.expect_err("once")).0, 409);
    assert_eq!(status(&client.get_key("issuer", None).await.expect_err("not yet")).0, 404);
    clock.advance(Duration::from_secs(4));
    client.sign("issuer", signature(), None).await.expect("back");
    client.delete_key("issuer", None).await.expect("deleted");
    clock.advance(Duration::from_secs(4));
    client.purge_deleted_key("issuer", None).await.expect("purged");
    assert_eq!(status(&client.get_deleted_key("issuer", None).await.expect_err("gone")).0, 404);
    clock.advance(Duration::from_secs(4));
    create(&client, "issuer", KeyType::Ec, CurveName::P256).await;
}

#[tokio::test]
async fn a_rotation_policy_comes_back_with_a_notice() {
    let clock = SimClock::frozen_at(1_800_000_000);
    let sim = Sim::start(SimConfig { clock, ..SimConfig::quick() }).expect("starts");
    let client = client(&sim);
    create(&client, "issuer", KeyType::Ec, CurveName::P256).await;
    let none = client.get_key_rotation_policy("issuer", None).await.expect("an answer").into_model();
    assert!(none.expect("a policy").lifetime_actions.is_none());
    let policy = KeyRotationPolicy {
        attributes: Some(KeyRotationPolicyAttributes {
            expiry_time: Some("P2Y".to_owned()),
            ..Default::default()
        }),
        lifetime_actions: Some(vec![LifetimeAction {
            action: Some(LifetimeActionType { type_prop: Some(KeyRotationPolicyAction::Rotate) }),
            trigger: Some(LifetimeActionTrigger {
                time_after_create: Some("P18M".to_owned()),
                time_before_expiry: None,
            }),
        }]),
        ..Default::default()
    };
    let answer = client.update_key_rotation_policy("issuer", policy.try_into().expect("JSON"), None).await;
    let actions = answer.expect("set").into_model().expect("a policy").lifetime_actions.expect("actions");
    assert_eq!(actions.len(), 2);
    let kinds: Vec<_> = actions.iter().filter_map(|item| item.action.clone()?.type_prop).collect();
    assert_eq!(kinds, [KeyRotationPolicyAction::Rotate, KeyRotationPolicyAction::Notify]);
    let rotated = client.rotate_key("issuer", None).await.expect("rotates").into_model().expect("a key");
    let expires = rotated.attributes.and_then(|found| found.expires).expect("an expiry");
    assert_eq!(expires.unix_timestamp(), 1_800_000_000 + 2 * 365 * 86_400);
}

#[tokio::test]
async fn a_backup_restores_all_versions_into_another_vault() {
    let vaults = vec!["a".to_owned(), "b".to_owned()];
    let sim = Sim::start(SimConfig { vaults, ..SimConfig::quick() }).expect("starts");
    let client = client(&sim);
    create(&client, "issuer", KeyType::Ec, CurveName::P256).await;
    client.rotate_key("issuer", None).await.expect("rotates");
    let backup = client.backup_key("issuer", None).await.expect("saved").into_model().expect("a backup");
    let restore = || RequestContent::try_from(RestoreKeyParameters { key_backup: backup.value.clone() });
    let here = client.restore_key(restore().expect("JSON"), None).await.expect_err("the name is taken");
    assert_eq!(status(&here), (409, "Conflict".into()));
    let token = std::sync::Arc::new(crate::client::StaticToken("any"));
    let other = crate::client::client_at(&sim, &sim.url_of("b"), token);
    other.restore_key(restore().expect("JSON"), None).await.expect("restored");
    let versions: Vec<_> = other
        .list_key_properties_versions("issuer", None)
        .expect("a list")
        .try_collect()
        .await
        .expect("pages");
    assert_eq!(versions.len(), 2);
    other.sign("issuer", signature(), None).await.expect("signs");
}
