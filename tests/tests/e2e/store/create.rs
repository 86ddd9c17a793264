//! New requests.

use domain::request::RequestState;
use domain::{RequestId, TenantId};
use store::{Write, Written};
use uuid::Uuid;

use super::fixture::Fixture;
use super::on_both;
use super::rows::{Ids, LIFE, authority, contract, tenant};

on_both!(
    a_request_is_stored_as_it_was_made,
    what_is_absent_stays_absent,
    a_taken_id_loses,
    the_same_id_twice_in_a_batch_wins_once,
    nobody_else_sees_it,
);

async fn a_request_is_stored_as_it_was_made(f: Fixture) {
    let ids = f.created().await;
    let stored = f.stored(ids).await;
    assert_eq!((stored.id, stored.tenant, stored.transaction), (ids.request, tenant(), ids.transaction));
    assert_eq!((stored.authority, stored.contract, stored.contract_version), (authority(), contract(), 3));
    assert_eq!(stored.client.as_str(), "web");
    assert_eq!(stored.customer.unwrap().as_str(), "customer 1");
    assert_eq!(stored.state, RequestState::Created);
    assert_eq!((stored.created_at, stored.expires_at), (f.now(), f.now().plus_millis(LIFE)));
    assert_eq!(stored.payload.as_deref(), Some("sealed claims"));
    assert_eq!(stored.callback.as_deref(), Some("sealed callback"));
    assert_eq!(stored.pin_hash.as_deref(), Some("keyed hash"));
    assert_eq!((stored.issued_at, stored.credential, stored.object, stored.holder), (None, None, None, None));
    assert_eq!(stored.pin_failures, 0);
    assert_eq!(f.trail(ids).await, ["request_created"]);
}

async fn what_is_absent_stays_absent(f: Fixture) {
    let ids = Ids::fresh();
    let mut request = f.request(ids);
    (request.customer, request.callback, request.pin_hash) = (None, None, None);
    assert_eq!(f.write(Write::Create(Box::new(request))).await, Written::Done);
    let stored = f.stored(ids).await;
    assert_eq!((stored.customer, stored.callback, stored.pin_hash), (None, None, None));
}

async fn a_taken_id_loses(f: Fixture) {
    let ids = f.created().await;
    let mut second = f.request(ids);
    second.payload = "other claims".into();
    assert_eq!(f.write(Write::Create(Box::new(second))).await, Written::Lost);
    assert_eq!(f.stored(ids).await.payload.as_deref(), Some("sealed claims"));
    assert_eq!(f.trail(ids).await, ["request_created"]);
}

async fn the_same_id_twice_in_a_batch_wins_once(f: Fixture) {
    let ids = Ids::fresh();
    let mut second = f.request(ids);
    second.payload = "other claims".into();
    let first = Write::Create(Box::new(f.request(ids)));
    let results = f.batch(vec![first, Write::Create(Box::new(second))]).await;
    assert_eq!(results, [Written::Done, Written::Lost]);
    assert_eq!(f.stored(ids).await.payload.as_deref(), Some("sealed claims"));
    assert_eq!(f.trail(ids).await, ["request_created"]);
}

async fn nobody_else_sees_it(f: Fixture) {
    let ids = f.created().await;
    let stranger = TenantId::new(Uuid::from_u128(1));
    assert!(f.store.request(stranger, ids.request).await.unwrap().is_none());
    assert!(f.store.trail(stranger, ids.transaction).await.unwrap().is_empty());
    let unknown = RequestId::new(Uuid::new_v4());
    assert!(f.store.request(tenant(), unknown).await.unwrap().is_none());
}
