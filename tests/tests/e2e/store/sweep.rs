//! What time ends.

use domain::request::RequestState;
use store::{Swept, Write, Written};

use super::fixture::Fixture;
use super::on_both;
use super::rows::{Ids, LIFE, PATIENCE, tenant};

on_both!(
    a_request_ends_after_its_grace,
    an_issued_request_keeps_its_callback_for_a_while,
    requests_that_ended_otherwise_are_left_alone,
    an_attempt_without_an_answer_becomes_unknown,
    an_answered_attempt_stays_answered,
    open_intents_of_ended_requests_become_void,
    a_jti_is_forgotten_after_its_end,
    a_sweep_does_no_more_than_it_was_asked_for,
    an_empty_database_has_nothing_to_sweep,
);

const GRACE: i64 = 10_000;
const KEEP: i64 = 86_400_000;

async fn sweep(f: &Fixture) -> Swept {
    f.store.sweep(GRACE, KEEP, 100, f.now()).await.unwrap()
}

async fn a_request_ends_after_its_grace(f: Fixture) {
    let (created, retrieved) = (f.created().await, f.retrieved().await);
    f.pass(LIFE + GRACE - 1);
    assert_eq!(sweep(&f).await.expired, 0);
    assert_eq!(f.stored(created).await.state, RequestState::Created);
    f.pass(1);
    assert_eq!(sweep(&f).await.expired, 2);
    for ids in [created, retrieved] {
        let stored = f.stored(ids).await;
        assert_eq!(stored.state, RequestState::Expired);
        assert_eq!(
            (stored.payload, stored.object, stored.callback, stored.pin_hash),
            (None, None, None, None)
        );
        let trail = f.store.trail(tenant(), ids.transaction).await.unwrap();
        let last = trail.last().unwrap();
        assert_eq!((last.kind.as_str(), last.at), ("request_expired", f.now().millis()));
        assert!(last.body.contains("\"issued\":false"), "{}", last.body);
        assert!(last.body.contains("\"customer\":\"customer 1\""), "{}", last.body);
        assert!(last.body.contains("\"client\":\"web\""), "{}", last.body);
    }
    assert_eq!(sweep(&f).await, Swept::default(), "once");
}

async fn an_issued_request_keeps_its_callback_for_a_while(f: Fixture) {
    let ids = f.issued().await;
    f.pass(LIFE + GRACE);
    assert_eq!(sweep(&f).await.expired, 1);
    let stored = f.stored(ids).await;
    assert_eq!((stored.payload, stored.credential, stored.object), (None, None, None));
    assert_eq!(stored.callback.as_deref(), Some("sealed callback"), "the wallet may still report");
    assert!(
        f.store
            .trail(tenant(), ids.transaction)
            .await
            .unwrap()
            .last()
            .unwrap()
            .body
            .contains("\"issued\":true")
    );
    f.pass(KEEP - 1);
    sweep(&f).await;
    assert!(f.stored(ids).await.callback.is_some());
    f.pass(1);
    sweep(&f).await;
    assert_eq!(f.stored(ids).await.callback, None);
}

async fn requests_that_ended_otherwise_are_left_alone(f: Fixture) {
    let completed = f.issued().await;
    f.write(Write::Complete(Box::new(f.report(completed, "issuance_successful", 1)))).await;
    let failed = f.retrieved().await;
    f.write(Write::PinFailed(Box::new(f.report(failed, "issuance_error", 1)))).await;
    f.pass(LIFE + KEEP);
    assert_eq!(sweep(&f).await.expired, 0);
    assert_eq!(f.stored(completed).await.state, RequestState::Completed);
    assert_eq!(f.stored(failed).await.state, RequestState::Failed);
}

async fn an_attempt_without_an_answer_becomes_unknown(f: Fixture) {
    let ids = f.created().await;
    let intent = f.object_intent(ids);
    let id = intent.id;
    f.open(intent).await;
    let document = f.document_intent("contract/1/en");
    let document_id = document.id;
    f.open(document).await;
    f.pass(PATIENCE + GRACE - 1);
    assert_eq!(sweep(&f).await.orphaned, 0);
    f.pass(1);
    assert_eq!(sweep(&f).await.orphaned, 2);
    assert_eq!(
        (f.attempts(id), f.attempts(document_id)),
        ("1|unknown|unknown".into(), "1|unknown|unknown".into())
    );
    assert_eq!(f.intent_state(id), "open|1|sealed input", "the wallet's next call revives it");
    let trail = f.store.trail(tenant(), ids.transaction).await.unwrap();
    let last = trail.last().unwrap();
    assert_eq!(last.kind, "signing_outcome");
    // The key is named as in the other events of the attempt.
    let key = "\"key\":\"software/slot-key-1/v1\"";
    for part in ["\"attempt\":1", &format!("\"intent\":\"{id}\""), key, "\"outcome\":\"unknown\""] {
        assert!(last.body.contains(part), "{part}: {}", last.body);
    }
    assert_eq!(f.sql("SELECT COUNT(*) FROM event WHERE kind = 'signing_outcome'"), "2");
    assert_eq!(sweep(&f).await.orphaned, 0, "once");
    f.active_key().await;
    let next = f.write(Write::Reattempt(Box::new(f.reattempt(ids, id, 1)))).await;
    assert_eq!(next, Written::Opened { attempt: 2 });
}

async fn an_answered_attempt_stays_answered(f: Fixture) {
    let ids = f.retrieved().await;
    let id = f.signing(ids).await;
    f.write(Write::Outcome(Box::new(f.failed(ids, id, 1)))).await;
    f.pass(PATIENCE + GRACE);
    assert_eq!(sweep(&f).await.orphaned, 0);
    assert_eq!(f.attempts(id), "1|answered|throttled");
}

async fn open_intents_of_ended_requests_become_void(f: Fixture) {
    let (expiring, failing, living) = (f.retrieved().await, f.retrieved().await, f.retrieved().await);
    let intents = [f.signing(expiring).await, f.signing(failing).await, f.signing(living).await];
    let document = f.document_intent("contract/1/en");
    let document_id = document.id;
    f.open(document).await;
    f.write(Write::PinFailed(Box::new(f.report(failing, "issuance_error", 1)))).await;
    sweep(&f).await;
    assert_eq!(f.intent_state(intents[1]), "open|1|sealed input", "its attempt may still be answered");
    f.sql(&format!("UPDATE request SET expires_at = expires_at + {LIFE} WHERE id = '{}'", living.request));
    f.pass(LIFE + GRACE);
    sweep(&f).await;
    assert_eq!(f.intent_state(intents[0]), "void|1|");
    assert_eq!(f.intent_state(intents[1]), "void|1|");
    assert_eq!(f.intent_state(intents[2]), "open|1|sealed input");
    assert_eq!(f.intent_state(document_id), "open|1|sealed input");
}

async fn a_jti_is_forgotten_after_its_end(f: Fixture) {
    let (one, other) = (f.retrieved().await, f.retrieved().await);
    f.open(f.credential_intent(one, "alice", "jti")).await;
    f.pass(59_999);
    sweep(&f).await;
    assert_eq!(f.open(f.credential_intent(other, "alice", "jti")).await, Written::Lost);
    f.pass(1);
    sweep(&f).await;
    assert_eq!(f.sql("SELECT COUNT(*) FROM proof_jti"), "0");
    assert_eq!(f.open(f.credential_intent(other, "alice", "jti")).await, Written::Opened { attempt: 1 });
}

async fn a_sweep_does_no_more_than_it_was_asked_for(f: Fixture) {
    let requests: Vec<Write> = (0..5).map(|_| Write::Create(Box::new(f.request(Ids::fresh())))).collect();
    f.batch(requests).await;
    for n in 0..5 {
        f.open(f.document_intent(&format!("contract/{n}"))).await;
    }
    f.pass(LIFE + GRACE);
    for expected in [2, 2, 1, 0] {
        let swept = f.store.sweep(GRACE, KEEP, 2, f.now()).await.unwrap();
        assert_eq!(swept, Swept { expired: expected, orphaned: expected });
    }
}

async fn an_empty_database_has_nothing_to_sweep(f: Fixture) {
    assert_eq!(sweep(&f).await, Swept::default());
}
