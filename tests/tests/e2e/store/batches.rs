//! Batches: all kinds together, and what one member's loss means for the others.

use domain::audit::{Event, EventKind};
use domain::request::RequestState;
use store::{CallbackFinished, Write, Written};

use super::fixture::Fixture;
use super::on_both;
use super::rows::{Ids, PATIENCE, tenant};

on_both!(
    all_kinds_go_together,
    all_kinds_may_lose_together,
    a_request_is_changed_once_per_batch,
    an_empty_batch_is_nothing,
    a_full_batch_is_one_transaction,
);

fn delivered(f: &Fixture, ids: Ids) -> Write {
    Write::Callback(Box::new(CallbackFinished {
        tenant: tenant(),
        request: ids.request,
        seq: 1,
        attempt: 0,
        counts: true,
        at: f.now(),
        ended: Some("delivered"),
        retry_at: f.now(),
        error: None,
        event: None,
    }))
}

/// One member of each kind, each followed by one of its kind that cannot win.
async fn all_kinds(f: &Fixture) -> Vec<(Write, Written)> {
    f.active_key().await;
    let opened = Written::Opened { attempt: 1 };
    let (reviving, answered) = (f.created().await, f.created().await);
    let (reviving_intent, answered_intent) = (f.object_intent(reviving), f.object_intent(answered));
    let (reviving_id, answered_id) = (reviving_intent.id, answered_intent.id);
    assert_eq!(f.open(reviving_intent).await, opened);
    f.pass(PATIENCE);
    assert_eq!(f.open(answered_intent).await, opened);
    let (issued, failing, guessing) = (f.issued().await, f.retrieved().await, f.retrieved().await);
    let (object, credential, called) = (f.created().await, f.retrieved().await, f.retrieved().await);
    let taken = f.created().await;
    let wrong = Ids::fresh;
    let note = Event::new(&Ids::fresh().subject(), EventKind::ContractFetched, f.now());
    let lost = Written::Lost;
    vec![
        (Write::Note(Box::new(note)), Written::Done),
        (delivered(f, called), Written::Done),
        (delivered(f, wrong()), lost),
        (
            Write::PinFailed(Box::new(f.report(guessing, "x", 3))),
            Written::PinCounted { failures: 1, ended: false },
        ),
        (Write::PinFailed(Box::new(f.report(wrong(), "x", 3))), lost),
        (Write::WalletFailed(Box::new(f.report(failing, "issuance_error", 3))), Written::Done),
        (Write::WalletFailed(Box::new(f.report(wrong(), "issuance_error", 3))), lost),
        (Write::Complete(Box::new(f.report(issued, "issuance_successful", 1))), Written::Done),
        (Write::Complete(Box::new(f.report(wrong(), "issuance_successful", 1))), lost),
        (Write::Outcome(Box::new(f.object(answered, answered_id, 1))), Written::Done),
        (Write::Outcome(Box::new(f.object(wrong(), answered_id, 7))), lost),
        (Write::Reattempt(Box::new(f.reattempt(reviving, reviving_id, 1))), Written::Opened { attempt: 2 }),
        (Write::Reattempt(Box::new(f.reattempt(wrong(), reviving_id, 5))), lost),
        (Write::Open(Box::new(f.object_intent(object))), opened),
        (Write::Open(Box::new(f.object_intent(wrong()))), lost),
        (Write::Open(Box::new(f.credential_intent(credential, "alice", "jti"))), opened),
        (Write::Open(Box::new(f.credential_intent(wrong(), "alice", "other"))), lost),
        (Write::Open(Box::new(f.document_intent("contract/1"))), opened),
        (Write::Open(Box::new(f.document_intent("contract/1"))), lost),
        (Write::Create(Box::new(f.request(Ids::fresh()))), Written::Done),
        (Write::Create(Box::new(f.request(taken))), lost),
    ]
}

async fn all_kinds_go_together(f: Fixture) {
    let (writes, expected): (Vec<_>, Vec<_>) = all_kinds(&f).await.into_iter().unzip();
    assert_eq!(f.batch(writes).await, expected);
}

async fn all_kinds_may_lose_together(f: Fixture) {
    let members = all_kinds(&f).await;
    let losers: Vec<Write> = members
        .into_iter()
        .filter(|(write, expected)| {
            *expected == Written::Lost && !matches!(write, Write::Open(m) if m.request.is_none())
        })
        .map(|(write, _)| write)
        .collect();
    let before = f.sql("SELECT COUNT(*) FROM event");
    let results = f.batch(losers).await;
    assert!(results.iter().all(|written| *written == Written::Lost), "{results:?}");
    assert_eq!(f.sql("SELECT COUNT(*) FROM event"), before, "who loses leaves no event");
}

async fn a_request_is_changed_once_per_batch(f: Fixture) {
    let ids = f.issued().await;
    let results = f
        .batch(vec![
            Write::WalletFailed(Box::new(f.report(ids, "issuance_error", 9))),
            Write::Complete(Box::new(f.report(ids, "issuance_successful", 1))),
            Write::WalletFailed(Box::new(f.report(ids, "issuance_error", 9))),
        ])
        .await;
    assert_eq!(results, [Written::Done, Written::Lost, Written::Lost]);
    assert_eq!(f.stored(ids).await.state, RequestState::Issued);
    assert_eq!(f.callbacks(ids).lines().count(), 2);
}

async fn an_empty_batch_is_nothing(f: Fixture) {
    assert!(f.batch(Vec::new()).await.is_empty());
}

async fn a_full_batch_is_one_transaction(f: Fixture) {
    f.active_key().await;
    let all: Vec<Ids> = (0..128).map(|_| Ids::fresh()).collect();
    let created = f.batch(all.iter().map(|ids| Write::Create(Box::new(f.request(*ids)))).collect()).await;
    assert!(created.iter().all(|written| *written == Written::Done));
    let intents: Vec<_> = all.iter().map(|ids| f.object_intent(*ids)).collect();
    let outcomes: Vec<Write> = all
        .iter()
        .zip(&intents)
        .map(|(ids, intent)| Write::Outcome(Box::new(f.object(*ids, intent.id, 1))))
        .collect();
    let opened = f.batch(intents.into_iter().map(|intent| Write::Open(Box::new(intent))).collect()).await;
    assert!(opened.iter().all(|written| *written == Written::Opened { attempt: 1 }));
    assert!(f.batch(outcomes).await.iter().all(|written| *written == Written::Done));
    let intents: Vec<_> =
        all.iter().map(|ids| f.credential_intent(*ids, "alice", &ids.request.to_string())).collect();
    let outcomes: Vec<Write> = all
        .iter()
        .zip(&intents)
        .map(|(ids, intent)| Write::Outcome(Box::new(f.credential(*ids, intent, 1))))
        .collect();
    let opened = f.batch(intents.into_iter().map(|intent| Write::Open(Box::new(intent))).collect()).await;
    assert!(opened.iter().all(|written| *written == Written::Opened { attempt: 1 }));
    assert!(f.batch(outcomes).await.iter().all(|written| *written == Written::Done));
    let completed = all.iter().map(|ids| Write::Complete(Box::new(f.report(*ids, "issuance_successful", 1))));
    assert!(f.batch(completed.collect()).await.iter().all(|written| *written == Written::Done));
    assert_eq!(f.sql("SELECT COUNT(*) FROM issuance"), "128");
    assert_eq!(
        f.sql("SELECT COUNT(*), (SELECT COUNT(*) FROM request_part) FROM request WHERE state = 'completed'"),
        "128|0"
    );
    assert_eq!(f.sql("SELECT COUNT(*) FROM event WHERE kind <> 'key_transition'"), (128 * 8).to_string());
}
