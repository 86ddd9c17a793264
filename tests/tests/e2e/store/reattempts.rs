//! Later attempts of an intent that is open.

use domain::key::KeyState;
use store::{Write, Written};

use super::fixture::Fixture;
use super::on_both;
use super::rows::{Ids, LIFE, PATIENCE, tenant};

on_both!(
    a_failed_attempt_is_followed_by_the_next,
    a_running_attempt_is_waited_for,
    an_attempt_without_an_answer_is_followed_at_its_deadline,
    an_old_attempt_without_an_answer_does_not_hold_up_the_third,
    who_saw_another_attempt_loses,
    a_key_that_retired_signs_no_more,
    a_request_that_ended_is_not_signed_for,
    an_intent_that_is_done_or_unknown_has_no_next_attempt,
    two_that_want_the_next_attempt_are_told_apart,
);

async fn again(f: &Fixture, ids: Ids, intent: domain::IntentId, after: i64) -> Written {
    f.write(Write::Reattempt(Box::new(f.reattempt(ids, intent, after)))).await
}

async fn a_failed_attempt_is_followed_by_the_next(f: Fixture) {
    f.active_key().await;
    let ids = f.retrieved().await;
    let intent = f.signing(ids).await;
    for n in 1..4 {
        assert_eq!(f.write(Write::Outcome(Box::new(f.failed(ids, intent, n)))).await, Written::Done);
        f.pass(10);
        assert_eq!(again(&f, ids, intent, n).await, Written::Opened { attempt: n + 1 });
    }
    let failed = "answered|throttled";
    assert_eq!(f.attempts(intent), format!("1|{failed}\n2|{failed}\n3|{failed}\n4|open|"));
    let stored = f.store.intent(tenant(), &format!("credential/{}/0", ids.request)).await.unwrap().unwrap();
    assert_eq!((stored.attempt, stored.attempt_open), (4, true));
    assert_eq!(stored.deadline, f.now().plus_millis(PATIENCE));
    let trail = f.store.trail(tenant(), ids.transaction).await.unwrap();
    let last = trail.last().unwrap();
    assert_eq!(last.kind, "signing_intent");
    assert!(last.body.contains("\"attempt\":4"), "{}", last.body);
}

async fn a_running_attempt_is_waited_for(f: Fixture) {
    f.active_key().await;
    let ids = f.created().await;
    let intent = f.object_intent(ids);
    let id = intent.id;
    f.open(intent).await;
    assert_eq!(again(&f, ids, id, 1).await, Written::Lost);
    f.pass(PATIENCE - 1);
    assert_eq!(again(&f, ids, id, 1).await, Written::Lost);
    assert_eq!(f.attempts(id), "1|open|");
}

async fn an_attempt_without_an_answer_is_followed_at_its_deadline(f: Fixture) {
    f.active_key().await;
    let ids = f.created().await;
    let intent = f.object_intent(ids);
    let id = intent.id;
    f.open(intent).await;
    f.pass(PATIENCE);
    assert_eq!(again(&f, ids, id, 1).await, Written::Opened { attempt: 2 });
    assert_eq!(again(&f, ids, id, 2).await, Written::Lost, "the second runs now");
    assert_eq!(f.attempts(id), "1|open|\n2|open|");
}

async fn an_old_attempt_without_an_answer_does_not_hold_up_the_third(f: Fixture) {
    f.active_key().await;
    let ids = f.created().await;
    let intent = f.object_intent(ids);
    let (id, subject) = (intent.id, intent.subject.clone());
    f.open(intent).await;
    f.pass(PATIENCE);
    assert_eq!(again(&f, ids, id, 1).await, Written::Opened { attempt: 2 });
    f.write(Write::Outcome(Box::new(f.failed(ids, id, 2)))).await;
    assert!(!f.store.intent(tenant(), &subject).await.unwrap().unwrap().attempt_open, "the second has ended");
    assert_eq!(again(&f, ids, id, 2).await, Written::Opened { attempt: 3 });
}

async fn who_saw_another_attempt_loses(f: Fixture) {
    f.active_key().await;
    let ids = f.retrieved().await;
    let intent = f.signing(ids).await;
    f.write(Write::Outcome(Box::new(f.failed(ids, intent, 1)))).await;
    for after in [0, 2, -1, i64::MAX] {
        assert_eq!(again(&f, ids, intent, after).await, Written::Lost, "{after}");
    }
    assert_eq!(again(&f, ids, intent, 1).await, Written::Opened { attempt: 2 });
    assert_eq!(again(&f, ids, intent, 1).await, Written::Lost, "somebody was faster");
    assert_eq!(f.attempts(intent), "1|answered|throttled\n2|open|");
}

async fn a_key_that_retired_signs_no_more(f: Fixture) {
    f.active_key().await;
    let ids = f.retrieved().await;
    let intent = f.signing(ids).await;
    f.write(Write::Outcome(Box::new(f.failed(ids, intent, 1)))).await;
    f.advance_key(KeyState::Retired).await;
    assert_eq!(again(&f, ids, intent, 1).await, Written::Lost);
    assert_eq!(f.intent_state(intent), "open|1|sealed input");
}

async fn a_request_that_ended_is_not_signed_for(f: Fixture) {
    f.active_key().await;
    let ids = f.retrieved().await;
    let intent = f.signing(ids).await;
    f.write(Write::Outcome(Box::new(f.failed(ids, intent, 1)))).await;
    f.pass(LIFE);
    assert_eq!(again(&f, ids, intent, 1).await, Written::Lost);
    // And one that failed before its time.
    let ids = f.retrieved().await;
    let intent = f.signing(ids).await;
    f.write(Write::Outcome(Box::new(f.failed(ids, intent, 1)))).await;
    f.write(Write::PinFailed(Box::new(f.report(ids, "issuance_error", 1)))).await;
    assert_eq!(again(&f, ids, intent, 1).await, Written::Lost);
}

async fn an_intent_that_is_done_or_unknown_has_no_next_attempt(f: Fixture) {
    f.active_key().await;
    let ids = f.created().await;
    let intent = f.object_intent(ids);
    let id = intent.id;
    f.open(intent).await;
    f.write(Write::Outcome(Box::new(f.object(ids, id, 1)))).await;
    assert_eq!(again(&f, ids, id, 1).await, Written::Lost);
    assert_eq!(f.attempts(id), "1|answered|signed");
    let unknown = domain::IntentId::new(uuid::Uuid::now_v7());
    assert_eq!(again(&f, ids, unknown, 1).await, Written::Lost);
    assert_eq!(f.attempts(unknown), "");
}

async fn two_that_want_the_next_attempt_are_told_apart(f: Fixture) {
    f.active_key().await;
    let intent = f.document_intent("contract/1/en");
    let id = intent.id;
    f.open(intent).await;
    f.pass(PATIENCE);
    let next = || {
        let mut member = f.reattempt(Ids::fresh(), id, 1);
        member.request = None;
        Write::Reattempt(Box::new(member))
    };
    assert_eq!(f.batch(vec![next(), next()]).await, [Written::Opened { attempt: 2 }, Written::Lost]);
    assert_eq!(f.attempts(id), "1|open|\n2|open|");
}
