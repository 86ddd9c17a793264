//! Setting up beside a replica that dies, and in a database that belongs to another origin.

use super::*;
use crate::usecase::site::{ORIGIN, Site};

#[tokio::test]
async fn a_linkage_that_a_dead_replica_left_open_is_finished_by_another() {
    let site = Site::new();
    let dying = site.replica().await;
    dying.gate.allow(0);
    let issuer = Arc::clone(&dying.issuer);
    let set_up =
        tokio::spawn(
            async move { issuer.ensure_authority("Contoso", "held", SignatureAlgorithm::Es256).await },
        );
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
