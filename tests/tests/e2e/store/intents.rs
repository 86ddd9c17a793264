//! Transaction 1: who may open an intent to sign.

use domain::{KeyId, Timestamp};
use store::{RequestChange, Write, Written};

use super::fixture::Fixture;
use super::on_both;
use super::rows::{Ids, LIFE, PATIENCE, authority, key_id, signing_key, tenant};

const OPENED: Written = Written::Opened { attempt: 1 };

on_both!(
    an_intent_is_stored_with_its_first_attempt,
    an_object_is_signed_for_a_request_that_is_new,
    an_object_is_not_signed_for_a_request_that_is_not_new,
    a_credential_is_signed_for_a_request_that_is_retrieved,
    a_credential_is_not_signed_for_a_request_that_is_not_retrieved,
    nothing_is_opened_after_the_end_of_a_request,
    the_first_holder_has_the_request,
    the_same_holder_gets_no_second_intent,
    a_jti_belongs_to_one_request,
    a_key_is_reserved_for_longer_but_never_for_less,
    each_key_is_reserved_for_itself,
    a_document_is_signed_once,
    an_intent_without_its_request_loses,
);

async fn an_intent_is_stored_with_its_first_attempt(f: Fixture) {
    let ids = f.retrieved().await;
    let intent = f.credential_intent(ids, "alice", "jti");
    let (id, status) = (intent.id, intent.status);
    assert_eq!(f.open(intent).await, OPENED);
    let stored = f.store.intent(tenant(), &format!("credential/{}/0", ids.request)).await.unwrap().unwrap();
    assert_eq!((stored.id, stored.transaction, stored.done), (id, ids.transaction, false));
    assert_eq!(
        (stored.authority, stored.key_id, stored.key),
        (authority(), key_id(), signing_key("key-1").key)
    );
    assert_eq!(stored.digest, "00ff".repeat(16));
    assert_eq!(stored.input.as_deref(), Some("sealed input"));
    assert_eq!((stored.status, stored.attempt, stored.attempt_open), (status, 1, true));
    assert_eq!(stored.deadline, f.now().plus_millis(PATIENCE));
    assert_eq!(f.attempts(id), "1|open|");
    let trail = f.trail(ids).await;
    assert_eq!(trail.last().unwrap(), "signing_intent");
    assert!(f.store.intent(tenant(), "credential/none/0").await.unwrap().is_none());
}

async fn an_object_is_signed_for_a_request_that_is_new(f: Fixture) {
    let ids = f.created().await;
    assert_eq!(f.open(f.object_intent(ids)).await, OPENED);
    // The second of two wallets, or of two fetches of one.
    let second = f.object_intent(ids);
    let id = second.id;
    assert_eq!(f.open(second).await, Written::Lost);
    assert_eq!((f.intent_state(id), f.attempts(id)), (String::new(), String::new()));
    assert_eq!(f.trail(ids).await, ["request_created", "signing_intent"]);
}

async fn an_object_is_not_signed_for_a_request_that_is_not_new(f: Fixture) {
    for ids in [f.retrieved().await, f.issued().await, Ids::fresh()] {
        let mut intent = f.object_intent(ids);
        // Not the subject is what stops it.
        intent.subject = format!("other/{}", ids.request);
        assert_eq!(f.open(intent).await, Written::Lost);
    }
}

async fn a_credential_is_signed_for_a_request_that_is_retrieved(f: Fixture) {
    let ids = f.retrieved().await;
    assert_eq!(f.open(f.credential_intent(ids, "alice", "jti")).await, OPENED);
    assert_eq!(f.stored(ids).await.holder.as_deref(), Some("alice"));
    let remembered = f.sql("SELECT jti, request, expires_at FROM proof_jti");
    assert_eq!(remembered, format!("jti|{}|{}", ids.request, f.now().plus_millis(60_000).millis()));
}

async fn a_credential_is_not_signed_for_a_request_that_is_not_retrieved(f: Fixture) {
    for ids in [f.created().await, f.issued().await, Ids::fresh()] {
        let mut intent = f.credential_intent(ids, "alice", &format!("jti of {}", ids.request));
        intent.subject = format!("other/{}", ids.request);
        assert_eq!(f.open(intent).await, Written::Lost);
    }
}

async fn nothing_is_opened_after_the_end_of_a_request(f: Fixture) {
    let (created, retrieved) = (f.created().await, f.retrieved().await);
    let (late_created, late_retrieved) = (f.created().await, f.retrieved().await);
    f.pass(LIFE - 1);
    assert_eq!(f.open(f.object_intent(created)).await, OPENED);
    assert_eq!(f.open(f.credential_intent(retrieved, "alice", "one")).await, OPENED);
    f.pass(1);
    assert_eq!(f.open(f.object_intent(late_created)).await, Written::Lost);
    assert_eq!(f.open(f.credential_intent(late_retrieved, "alice", "two")).await, Written::Lost);
    assert_eq!(f.stored(late_retrieved).await.holder, None);
}

async fn the_first_holder_has_the_request(f: Fixture) {
    let ids = f.retrieved().await;
    let first = f.credential_intent(ids, "alice", "one");
    let id = first.id;
    assert_eq!(f.open(first).await, OPENED);
    assert_eq!(f.open(f.credential_intent(ids, "mallory", "two")).await, Written::Lost);
    assert_eq!(f.stored(ids).await.holder.as_deref(), Some("alice"));
    // Not even when the intent came to nothing.
    f.write(Write::Outcome(Box::new(f.failed(ids, id, 1)))).await;
    let mut replacing = f.credential_intent(ids, "mallory", "three");
    replacing.replaces = Some((id, 1));
    assert_eq!(f.open(replacing).await, Written::Lost);
    assert_eq!(f.intent_state(id), "open|1|sealed input", "a stranger voids nothing");
}

async fn the_same_holder_gets_no_second_intent(f: Fixture) {
    let ids = f.retrieved().await;
    assert_eq!(f.open(f.credential_intent(ids, "alice", "one")).await, OPENED);
    assert_eq!(f.open(f.credential_intent(ids, "alice", "two")).await, Written::Lost);
    assert_eq!(
        f.sql(&format!("SELECT COUNT(*) FROM intent WHERE subject = 'credential/{}/0'", ids.request)),
        "1"
    );
    assert_eq!(f.sql("SELECT COUNT(*) FROM attempt"), "2", "that of the object and that of the credential");
}

async fn a_jti_belongs_to_one_request(f: Fixture) {
    let (one, other) = (f.retrieved().await, f.retrieved().await);
    let first = f.credential_intent(one, "alice", "jti");
    let id = first.id;
    assert_eq!(f.open(first).await, OPENED);
    assert_eq!(f.open(f.credential_intent(other, "alice", "jti")).await, Written::Lost);
    assert_eq!(f.stored(other).await.holder, None, "a refused proof binds nobody");
    // Two requests with one `jti` in one batch: one of them has it.
    let (third, fourth) = (f.retrieved().await, f.retrieved().await);
    let writes =
        [third, fourth].map(|ids| Write::Open(Box::new(f.credential_intent(ids, "alice", "shared"))));
    let results = f.batch(writes.into()).await;
    assert_eq!(results.iter().filter(|written| **written == OPENED).count(), 1, "{results:?}");
    assert_eq!(f.open(f.credential_intent(other, "alice", "fresh")).await, OPENED);
    // The same proof again, for the same request, after the first try came to nothing.
    f.write(Write::Outcome(Box::new(f.failed(one, id, 1)))).await;
    f.rotate().await;
    assert_eq!(f.open(f.replacing(one, "jti", (id, 1))).await, OPENED);
}

async fn reserve(f: &Fixture, key: &str, until: i64) {
    let ids = f.retrieved().await;
    let mut intent = f.credential_intent(ids, "alice", &ids.request.to_string());
    intent.key_id = KeyId::new(key);
    let RequestChange::Issue { reserved_until, .. } = &mut intent.change else { unreachable!() };
    *reserved_until = Timestamp::from_millis(until);
    assert_eq!(f.open(intent).await, OPENED);
}

async fn a_key_is_reserved_for_longer_but_never_for_less(f: Fixture) {
    f.active_key().await;
    let reserved = || async { f.store.reserved_until(tenant(), authority(), &key_id()).await.unwrap() };
    assert_eq!(reserved().await, Some(Timestamp::from_millis(0)));
    for (until, expected) in [(5_000, 5_000), (4_000, 5_000), (6_000, 6_000), (6_000, 6_000)] {
        reserve(&f, "key-1", until).await;
        assert_eq!(reserved().await, Some(Timestamp::from_millis(expected)));
    }
    // Two in one batch: the later end counts, whatever their order.
    let mut writes = Vec::new();
    for until in [9_000, 8_000] {
        let ids = f.retrieved().await;
        let mut intent = f.credential_intent(ids, "alice", &ids.request.to_string());
        let RequestChange::Issue { reserved_until, .. } = &mut intent.change else { unreachable!() };
        *reserved_until = Timestamp::from_millis(until);
        writes.push(Write::Open(Box::new(intent)));
    }
    assert_eq!(f.batch(writes).await, [OPENED, OPENED]);
    assert_eq!(reserved().await, Some(Timestamp::from_millis(9_000)));
}

async fn each_key_is_reserved_for_itself(f: Fixture) {
    f.activate("key-1").await;
    f.activate("key-2").await;
    reserve(&f, "key-2", 7_000).await;
    let of = |key: &str| {
        let key = KeyId::new(key);
        let store = &f.store;
        async move { store.reserved_until(tenant(), authority(), &key).await.unwrap() }
    };
    assert_eq!(of("key-1").await, Some(Timestamp::from_millis(0)));
    assert_eq!(of("key-2").await, Some(Timestamp::from_millis(7_000)));
    assert_eq!(of("key-3").await, None);
}

async fn a_document_is_signed_once(f: Fixture) {
    assert_eq!(f.open(f.document_intent("contract/1/en")).await, OPENED);
    assert_eq!(f.open(f.document_intent("contract/1/en")).await, Written::Lost);
    let both = ["contract/1/de", "contract/1/de"].map(|name| Write::Open(Box::new(f.document_intent(name))));
    assert_eq!(f.batch(both.into()).await, [OPENED, Written::Lost]);
    assert_eq!(f.sql("SELECT COUNT(*) FROM intent"), "2");
    assert_eq!(f.sql("SELECT COUNT(*) FROM attempt"), "2");
}

async fn an_intent_without_its_request_loses(f: Fixture) {
    let ids = f.created().await;
    let mut intent = f.object_intent(ids);
    intent.request = None;
    assert_eq!(f.open(intent).await, Written::Lost);
}
