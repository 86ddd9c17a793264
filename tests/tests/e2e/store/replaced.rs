//! Intents that are replaced because their key signs no more.

use store::{Write, Written};

use super::fixture::Fixture;
use super::on_both;
use super::rows::{Ids, PATIENCE, tenant};

const OPENED: Written = Written::Opened { attempt: 1 };

on_both!(
    an_intent_is_replaced_in_one_batch,
    a_running_attempt_is_not_replaced,
    who_saw_another_attempt_replaces_nothing,
    an_intent_is_replaced_once,
    an_intent_whose_key_still_signs_is_not_replaced,
    a_done_intent_is_not_replaced,
    a_late_answer_of_a_replaced_intent_changes_nothing,
);

/// A request whose credential's intent has failed once.
async fn stuck(f: &Fixture) -> (Ids, domain::IntentId) {
    let ids = f.retrieved().await;
    let intent = f.signing(ids).await;
    f.write(Write::Outcome(Box::new(f.failed(ids, intent, 1)))).await;
    (ids, intent)
}

async fn an_intent_whose_key_still_signs_is_not_replaced(f: Fixture) {
    let (ids, old) = stuck(&f).await;
    let mut new = f.credential_intent(ids, "alice", "two");
    new.replaces = Some((old, 1));
    assert_eq!(f.open(new).await, Written::Lost);
    assert_eq!(f.open(f.replacing(ids, "three", (old, 1))).await, Written::Lost, "key-2 does not sign yet");
    assert_eq!(f.intent_state(old), "open|1|sealed input");
}

async fn an_intent_is_replaced_in_one_batch(f: Fixture) {
    let (ids, old) = stuck(&f).await;
    f.rotate().await;
    let new = f.replacing(ids, "two", (old, 1));
    let id = new.id;
    assert_eq!(f.open(new).await, OPENED);
    assert_eq!(f.intent_state(old), "void|1|", "what was to be signed is erased");
    assert_eq!(f.intent_state(id), "open|1|sealed input");
    let found = f.store.intent(tenant(), &format!("credential/{}/0", ids.request)).await.unwrap().unwrap();
    assert_eq!(found.id, id);
    let trail = f.store.trail(tenant(), ids.transaction).await.unwrap();
    let [.., voided, intent] = trail.as_slice() else { panic!("{trail:?}") };
    assert_eq!((voided.kind.as_str(), intent.kind.as_str()), ("intent_voided", "signing_intent"));
    assert!(
        voided.body.contains(&format!("\"intent\":\"{old}\",\"replaced_by\":\"{id}\"")),
        "{}",
        voided.body
    );
}

async fn a_running_attempt_is_not_replaced(f: Fixture) {
    let ids = f.retrieved().await;
    let old = f.signing(ids).await;
    f.rotate().await;
    let replacing = |jti: &str| f.replacing(ids, jti, (old, 1));
    f.pass(PATIENCE - 1);
    assert_eq!(f.open(replacing("two")).await, Written::Lost);
    assert_eq!(f.intent_state(old), "open|1|sealed input");
    f.pass(1);
    assert_eq!(f.open(replacing("three")).await, OPENED);
    assert_eq!(f.intent_state(old), "void|1|");
}

async fn who_saw_another_attempt_replaces_nothing(f: Fixture) {
    let (ids, old) = stuck(&f).await;
    f.rotate().await;
    for wrong in [(old, 0), (old, 2), (domain::IntentId::new(uuid::Uuid::now_v7()), 1)] {
        assert_eq!(f.open(f.replacing(ids, "two", wrong)).await, Written::Lost);
    }
    assert_eq!(f.intent_state(old), "open|1|sealed input");
    assert_eq!(f.trail(ids).await.last().unwrap(), "signing_outcome");
}

async fn an_intent_is_replaced_once(f: Fixture) {
    let (ids, old) = stuck(&f).await;
    f.rotate().await;
    for expected in [OPENED, Written::Lost] {
        assert_eq!(f.open(f.replacing(ids, "two", (old, 1))).await, expected);
    }
    let live = format!(
        "SELECT COUNT(*) FROM intent WHERE subject = 'credential/{}/0' AND state <> 'void'",
        ids.request
    );
    assert_eq!(f.sql(&live), "1");
}

async fn a_done_intent_is_not_replaced(f: Fixture) {
    let ids = f.created().await;
    let intent = f.object_intent(ids);
    let id = intent.id;
    f.open(intent).await;
    f.write(Write::Outcome(Box::new(f.object(ids, id, 1)))).await;
    let mut new = f.object_intent(ids);
    new.replaces = Some((id, 1));
    assert_eq!(f.open(new).await, Written::Lost);
    assert_eq!(f.intent_state(id), "done|1|");
}

async fn a_late_answer_of_a_replaced_intent_changes_nothing(f: Fixture) {
    let ids = f.retrieved().await;
    let old = f.credential_intent(ids, "alice", "one");
    let late = f.credential(ids, &old, 1);
    let old_id = old.id;
    f.open(old).await;
    f.pass(PATIENCE);
    f.rotate().await;
    let new = f.replacing(ids, "two", (old_id, 1));
    let id = new.id;
    assert_eq!(f.open(new).await, OPENED);
    assert_eq!(f.write(Write::Outcome(Box::new(late))).await, Written::Lost);
    assert_eq!(f.attempts(old_id), "1|answered|signed", "the answer itself is on the record");
    assert_eq!(f.intent_state(old_id), "void|1|");
    assert_eq!(f.intent_state(id), "open|1|sealed input");
    assert_eq!(f.stored(ids).await.credential, None);
    assert_eq!(f.sql("SELECT COUNT(*) FROM issuance"), "0");
}
