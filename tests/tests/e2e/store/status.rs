//! Places in status lists.

use std::collections::HashSet;
use std::sync::Arc;

use domain::AuthorityId;
use store::{Authority, StatusBlock, StoreError};
use uuid::Uuid;

use super::fixture::Fixture;
use super::on_both;
use super::rows::{authority, tenant};

on_both!(
    blocks_follow_each_other,
    a_full_list_is_followed_by_a_new_one,
    each_authority_has_lists_of_its_own,
    a_block_that_fits_no_list_is_an_error,
    processes_never_share_a_place,
);

async fn lease(f: &Fixture, authority: AuthorityId, len: i64, size: i64) -> Result<StatusBlock, StoreError> {
    f.pass(1);
    f.store.lease_status_block(tenant(), authority, len, Uuid::new_v4(), size, f.now()).await
}

async fn blocks_follow_each_other(f: Fixture) {
    let first = lease(&f, authority(), 10, 100).await.unwrap();
    let second = lease(&f, authority(), 20, 100).await.unwrap();
    let third = lease(&f, authority(), 70, 100).await.unwrap();
    assert_eq!((first.first, first.len), (0, 10));
    assert_eq!((second.list, second.first, second.len), (first.list, 10, 20));
    assert_eq!((third.list, third.first, third.len), (first.list, 30, 70), "a list is used to its end");
}

async fn a_full_list_is_followed_by_a_new_one(f: Fixture) {
    let first = lease(&f, authority(), 60, 100).await.unwrap();
    let second = lease(&f, authority(), 60, 100).await.unwrap();
    assert_ne!(second.list, first.list);
    assert_eq!(second.first, 0);
    let rest = lease(&f, authority(), 40, 100).await.unwrap();
    assert_eq!((rest.list, rest.first), (first.list, 60), "the room in the old one is used");
    assert_eq!(f.sql("SELECT COUNT(*) FROM status_list"), "2");
}

async fn each_authority_has_lists_of_its_own(f: Fixture) {
    let other = AuthorityId::new(Uuid::from_u128(0xa1));
    let (mine, theirs) =
        (lease(&f, authority(), 10, 100).await.unwrap(), lease(&f, other, 10, 100).await.unwrap());
    assert_ne!(mine.list, theirs.list);
    assert_eq!((mine.first, theirs.first), (0, 0));
}

async fn a_block_that_fits_no_list_is_an_error(f: Fixture) {
    for (len, size) in [(101, 100), (0, 100), (-1, 100)] {
        let refused = lease(&f, authority(), len, size).await;
        assert!(matches!(refused, Err(StoreError::Corrupt("status_list.size"))), "{len}: {refused:?}");
    }
    assert_eq!(f.sql("SELECT COUNT(*) FROM status_list"), "0");
    assert_eq!(lease(&f, authority(), 100, 100).await.unwrap().len, 100);
}

async fn processes_never_share_a_place(f: Fixture) {
    let row = Authority {
        tenant: tenant(),
        id: authority(),
        name: "Example".into(),
        did: domain::Did::new("did:web:issuer.example"),
        origin: "https://issuer.example/".into(),
        created_at: f.now(),
    };
    assert!(f.store.insert_authority(&row).await.unwrap());
    let stores = [Arc::clone(&f.store), Arc::new(f.open_again().await.unwrap())];
    let now = f.now();
    let leases: Vec<_> = (0..8)
        .map(|n| {
            let store = Arc::clone(&stores[n % 2]);
            tokio::spawn(async move {
                let mut places = Vec::new();
                for _ in 0..5 {
                    let block = store
                        .lease_status_block(tenant(), authority(), 10, Uuid::new_v4(), 100, now)
                        .await
                        .unwrap();
                    places.extend((block.first..block.first + block.len).map(|place| (block.list, place)));
                }
                places
            })
        })
        .collect();
    let mut places = HashSet::new();
    for lease in leases {
        for place in lease.await.unwrap() {
            assert!((0..100).contains(&place.1));
            assert!(places.insert(place), "{place:?} was given out twice");
        }
    }
    assert_eq!(places.len(), 400);
    assert_eq!(f.sql("SELECT COUNT(*) FROM status_list"), "4", "no list more than is needed");
}
