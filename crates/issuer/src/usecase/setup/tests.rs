//! Setting up beside a replica that dies, and in a database that belongs to another origin.

use super::*;
use crate::placement::KeyUse;
use crate::usecase::site::{ORIGIN, Site};

#[tokio::test]
async fn a_linkage_that_a_dead_replica_left_open_is_finished_by_another() {
    let site = Site::new();
    let dying = site.replica().await;
    dying.gate.allow(0);
    let issuer = Arc::clone(&dying.issuer);
    let set_up =
        tokio::spawn(async move { issuer.ensure_authority("Contoso", SignatureAlgorithm::Es256).await });
    dying.gate.until_asked(1).await;
    set_up.abort();

    let other = site.replica().await;
    let own = other.issuer.own_authority().unwrap();
    assert!(own.active.is_some() && !own.linked && own.configuration.is_none());
    other.issuer.finish_documents().await.unwrap();
    let own = other.issuer.own_authority().unwrap();
    assert!(own.linked && own.configuration.is_some());
    let asked = other.gate.asked();
    other.issuer.finish_documents().await.unwrap();
    other.authority().await;
    assert_eq!(other.gate.asked(), asked, "nothing is missing any more");
}

#[tokio::test]
async fn another_origin_makes_no_second_authority() {
    let site = Site::new();
    let first = site.replica().await;
    let authority = first.authority().await;
    let moved = site.replica_at("https://moved.example").await;
    let message = moved.set_up().await.unwrap_err().to_string();
    for part in ["did:web:issuer.example", ORIGIN, "did:web:moved.example", "a database of its own"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let tenant = moved.issuer.settings.tenant;
    assert_eq!(moved.issuer.store.authorities(tenant).await.unwrap().len(), 1);
    assert!(moved.issuer.own_authority().is_none());
    assert_eq!(site.replica().await.authority().await, authority, "the former origin goes on");
}

#[tokio::test]
async fn another_back_end_is_refused_once_something_was_published() {
    let site = Site::new();
    site.replica().await.authority().await;
    let message = site.replica_signing_in(&["other"]).await.set_up().await.unwrap_err().to_string();
    for part in ["did:web:issuer.example", "keys in held", "no active key in other", "is a rotation"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let both = site.replica_signing_in(&["held", "other"]).await;
    assert!(matches!(both.set_up().await.unwrap_err(), SetupError::KeyElsewhere { .. }));
    assert!(both.issuer.own_authority().unwrap().active.is_none(), "a key is missing");
    site.replica().await.authority().await;
}

#[tokio::test]
async fn a_back_end_that_is_not_there_is_named_and_leaves_no_key() {
    let site = Site::new();
    let replica = site.replica_signing_in(&["held", "nowhere"]).await;
    let message = replica.set_up().await.unwrap_err().to_string();
    assert!(message.contains("nowhere"), "{message}");
    let tenant = replica.issuer.settings.tenant;
    assert!(replica.issuer.store.signing_keys(tenant).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_authority_signs_in_several_back_ends_and_a_crash_between_their_keys_is_mended() {
    let site = Site::new();
    // As a crash after the first key leaves it.
    let dying = site.replica().await;
    dying.gate.allow(0);
    let issuer = Arc::clone(&dying.issuer);
    let set_up =
        tokio::spawn(async move { issuer.ensure_authority("Contoso", SignatureAlgorithm::Es256).await });
    dying.gate.until_asked(1).await;
    set_up.abort();
    let replica = site.replica_signing_in(&["held", "other"]).await;
    assert!(replica.issuer.own_authority().unwrap().active.is_none());
    replica.authority().await;
    let own = replica.issuer.own_authority().unwrap();
    assert_eq!(own.keys.len(), 2);
    assert!(own.linked);
    let of = |key_use| own.signing.of(key_use)[0].key.key.backend.clone();
    assert_eq!((of(KeyUse::Credentials).as_str(), of(KeyUse::Requests).as_str()), ("held", "other"));
    let document = String::from_utf8(own.document.bytes.to_vec()).unwrap();
    for key in &own.keys {
        assert!(document.contains(key.id.as_str()), "{document}");
    }
}
