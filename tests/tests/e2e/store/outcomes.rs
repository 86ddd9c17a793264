//! Transaction 2: what came of an attempt to sign.

use domain::request::RequestState;
use store::{Effect, Write, Written};

use super::fixture::Fixture;
use super::on_both;
use super::rows::{Ids, PATIENCE, authority, contract, key_id, tenant};

on_both!(
    a_signed_object_moves_its_request,
    a_signed_credential_moves_its_request,
    without_a_callback_nothing_is_announced,
    a_failure_leaves_the_intent_open,
    a_second_outcome_of_an_attempt_changes_nothing,
    a_superseded_answer_records_its_attempt_only,
    an_answer_that_the_sweeper_had_given_up_still_counts,
    a_signature_for_a_request_that_ended_is_not_handed_out,
    an_outcome_of_an_attempt_that_never_was_loses,
    documents_are_stored,
    an_old_and_a_new_answer_in_one_batch_count_once,
);

async fn a_signed_object_moves_its_request(f: Fixture) {
    let ids = f.created().await;
    let intent = f.object_intent(ids);
    let id = intent.id;
    f.open(intent).await;
    f.pass(20);
    assert_eq!(f.write(Write::Outcome(Box::new(f.object(ids, id, 1)))).await, Written::Done);
    let stored = f.stored(ids).await;
    assert_eq!(stored.state, RequestState::Retrieved);
    assert_eq!(stored.object.as_deref(), Some("signed object"));
    assert_eq!(f.intent_state(id), "done|1|", "what was signed is erased");
    let columns = "state, outcome, provider_request_id, latency_us, finished_at";
    let attempt = f.sql(&format!("SELECT {columns} FROM attempt WHERE intent = '{id}'"));
    assert_eq!(attempt, format!("answered|signed|exchange 1|1234|{}", f.now().millis()));
    assert_eq!(f.callbacks(ids), "1|request_retrieved|pending|0");
    let expected = ["request_created", "signing_intent", "signing_outcome", "request_retrieved"];
    assert_eq!(f.trail(ids).await, expected);
    assert!(
        f.store.intent(tenant(), &format!("request_object/{}", ids.request)).await.unwrap().unwrap().done
    );
}

async fn a_signed_credential_moves_its_request(f: Fixture) {
    let ids = f.retrieved().await;
    let intent = f.credential_intent(ids, "alice", "jti");
    let outcome = f.credential(ids, &intent, 1);
    let (id, (list, index)) = (intent.id, intent.status.unwrap());
    f.open(intent).await;
    assert_eq!(f.write(Write::Outcome(Box::new(outcome))).await, Written::Done);
    let stored = f.stored(ids).await;
    assert_eq!((stored.state, stored.issued_at), (RequestState::Issued, Some(f.now())));
    assert_eq!(stored.credential.as_deref(), Some("sealed credential"));
    assert_eq!(stored.payload.as_deref(), Some("sealed claims"), "the wallet has not reported yet");
    let columns = "transaction_id, ordinal, request, credential_id, authority, contract, contract_version, format, \
                   key_id, holder, index_hash, index_hash_lower, status_list, status_index, issued_at, expires_at";
    let now = f.now();
    let expected = [
        ids.transaction.to_string(),
        "0".into(),
        ids.request.to_string(),
        format!("urn:pic:{}", id.as_uuid().simple()),
        authority().to_string(),
        contract().to_string(),
        "3|jwt_vc|key-1|alice|index|".into(),
        list.to_string(),
        index.to_string(),
        now.millis().to_string(),
        now.plus_seconds(86_400).millis().to_string(),
    ];
    assert_eq!(f.sql(&format!("SELECT {columns} FROM issuance")), expected.join("|"));
    let trail = f.trail(ids).await;
    assert_eq!(trail[4..], ["signing_intent", "signing_outcome", "credential_issued"]);
    assert_eq!(
        f.callbacks(ids),
        "1|request_retrieved|pending|0",
        "the front end hears of it from the wallet's report"
    );
}

async fn without_a_callback_nothing_is_announced(f: Fixture) {
    let ids = f.created().await;
    let intent = f.object_intent(ids);
    let mut outcome = f.object(ids, intent.id, 1);
    if let Some(Effect::RequestObject { callback, .. }) = &mut outcome.effect {
        *callback = None;
    }
    f.open(intent).await;
    assert_eq!(f.write(Write::Outcome(Box::new(outcome))).await, Written::Done);
    assert_eq!(f.callbacks(ids), "");
    assert_eq!(f.sql(&format!("SELECT next_callback FROM request WHERE id = '{}'", ids.request)), "0");
}

async fn a_failure_leaves_the_intent_open(f: Fixture) {
    let ids = f.created().await;
    let intent = f.object_intent(ids);
    let id = intent.id;
    f.open(intent).await;
    assert_eq!(f.write(Write::Outcome(Box::new(f.failed(ids, id, 1)))).await, Written::Done);
    assert_eq!(f.attempts(id), "1|answered|throttled");
    assert_eq!(f.intent_state(id), "open|1|sealed input");
    assert_eq!(f.stored(ids).await.state, RequestState::Created);
    assert_eq!(f.trail(ids).await, ["request_created", "signing_intent", "signing_outcome"]);
}

async fn a_second_outcome_of_an_attempt_changes_nothing(f: Fixture) {
    let ids = f.created().await;
    let intent = f.object_intent(ids);
    let id = intent.id;
    f.open(intent).await;
    f.write(Write::Outcome(Box::new(f.failed(ids, id, 1)))).await;
    assert_eq!(f.write(Write::Outcome(Box::new(f.object(ids, id, 1)))).await, Written::Lost);
    assert_eq!(f.write(Write::Outcome(Box::new(f.failed(ids, id, 1)))).await, Written::Lost);
    assert_eq!(f.attempts(id), "1|answered|throttled");
    assert_eq!(f.stored(ids).await.state, RequestState::Created);
    assert_eq!(f.trail(ids).await.len(), 3);
    let ids = f.retrieved().await;
    let intent = f.sql(&format!("SELECT id FROM intent WHERE request = '{}'", ids.request)).parse().unwrap();
    let before = f.trail(ids).await;
    assert_eq!(f.write(Write::Outcome(Box::new(f.object(ids, intent, 1)))).await, Written::Lost);
    assert_eq!((f.trail(ids).await, f.callbacks(ids).lines().count()), (before, 1));
}

/// An intent whose first attempt was given up and whose second runs.
async fn overtaken(f: &Fixture) -> (Ids, domain::IntentId) {
    f.active_key().await;
    let ids = f.created().await;
    let intent = f.object_intent(ids);
    let id = intent.id;
    f.open(intent).await;
    f.pass(PATIENCE);
    let next = f.write(Write::Reattempt(Box::new(f.reattempt(ids, id, 1)))).await;
    assert_eq!(next, Written::Opened { attempt: 2 });
    (ids, id)
}

async fn a_superseded_answer_records_its_attempt_only(f: Fixture) {
    let (ids, id) = overtaken(&f).await;
    assert_eq!(f.write(Write::Outcome(Box::new(f.object(ids, id, 1)))).await, Written::Lost);
    assert_eq!(f.attempts(id), "1|answered|signed\n2|open|");
    assert_eq!(f.intent_state(id), "open|2|sealed input");
    assert_eq!(f.stored(ids).await.state, RequestState::Created);
    assert_eq!(f.trail(ids).await.last().unwrap(), "signing_outcome", "the signature is on the record");
    assert_eq!(f.callbacks(ids), "");
    assert_eq!(f.write(Write::Outcome(Box::new(f.object(ids, id, 2)))).await, Written::Done);
    assert_eq!(f.stored(ids).await.state, RequestState::Retrieved);
}

async fn an_answer_that_the_sweeper_had_given_up_still_counts(f: Fixture) {
    let ids = f.created().await;
    let intent = f.object_intent(ids);
    let id = intent.id;
    f.open(intent).await;
    f.pass(PATIENCE + 10_000);
    assert_eq!(f.store.sweep(10_000, 0, 100, f.now()).await.unwrap().orphaned, 1);
    assert_eq!(f.attempts(id), "1|unknown|unknown");
    // The intent is open and this is its latest attempt.
    assert_eq!(f.write(Write::Outcome(Box::new(f.object(ids, id, 1)))).await, Written::Done);
    assert_eq!(f.attempts(id), "1|answered|signed");
    assert_eq!(f.stored(ids).await.state, RequestState::Retrieved);
}

async fn a_signature_for_a_request_that_ended_is_not_handed_out(f: Fixture) {
    let ids = f.retrieved().await;
    let intent = f.credential_intent(ids, "alice", "jti");
    let (id, outcome) = (intent.id, f.credential(ids, &intent, 1));
    f.open(intent).await;
    let ended = f.write(Write::PinFailed(Box::new(f.report(ids, "issuance_error", 1)))).await;
    assert_eq!(ended, Written::PinCounted { failures: 1, ended: true });
    assert_eq!(f.write(Write::Outcome(Box::new(outcome))).await, Written::Lost);
    assert_eq!(f.attempts(id), "1|answered|signed");
    let stored = f.stored(ids).await;
    assert_eq!((stored.state, stored.credential, stored.issued_at), (RequestState::Failed, None, None));
    assert_eq!(f.sql("SELECT COUNT(*) FROM issuance"), "0");
    assert_eq!(f.trail(ids).await.last().unwrap(), "signing_outcome");
}

async fn an_outcome_of_an_attempt_that_never_was_loses(f: Fixture) {
    let ids = f.created().await;
    let intent = f.object_intent(ids);
    let id = intent.id;
    f.open(intent).await;
    let before = f.trail(ids).await;
    assert_eq!(f.write(Write::Outcome(Box::new(f.object(ids, id, 2)))).await, Written::Lost);
    let stranger = domain::IntentId::new(uuid::Uuid::now_v7());
    assert_eq!(f.write(Write::Outcome(Box::new(f.object(ids, stranger, 1)))).await, Written::Lost);
    assert_eq!(f.trail(ids).await, before);
    assert_eq!(f.intent_state(id), "open|1|sealed input");
}

async fn documents_are_stored(f: Fixture) {
    let effects = [
        Effect::Contract {
            contract: contract(),
            version: 3,
            locale: "en-US".into(),
            key_id: key_id(),
            token: "signed contract".into(),
        },
        Effect::DomainLinkage {
            authority: authority(),
            origin: "https://issuer.example/".into(),
            key_id: key_id(),
            token: "linkage".into(),
        },
    ];
    for (n, effect) in effects.into_iter().enumerate() {
        let intent = f.document_intent(&format!("document/{n}"));
        let mut outcome = f.failed(Ids::fresh(), intent.id, 1);
        (outcome.request, outcome.effect) = (None, Some(effect));
        f.open(intent).await;
        assert_eq!(f.write(Write::Outcome(Box::new(outcome))).await, Written::Done);
    }
    let contracts = f.store.signed_contracts(tenant()).await.unwrap();
    let [signed] = contracts.as_slice() else { panic!("{contracts:?}") };
    assert_eq!((signed.contract, signed.version, signed.locale.as_str()), (contract(), 3, "en-US"));
    assert_eq!((&signed.key_id, signed.token.as_str()), (&key_id(), "signed contract"));
    let linkage = f.store.domain_linkage(tenant(), authority(), "https://issuer.example/").await.unwrap();
    assert_eq!(linkage, [(key_id(), "linkage".to_owned())]);
    assert!(
        f.store.domain_linkage(tenant(), authority(), "https://issuer.example").await.unwrap().is_empty()
    );
}

async fn an_old_and_a_new_answer_in_one_batch_count_once(f: Fixture) {
    f.active_key().await;
    let intent = f.document_intent("contract/1");
    let id = intent.id;
    f.open(intent).await;
    f.pass(PATIENCE);
    let mut next = f.reattempt(Ids::fresh(), id, 1);
    next.request = None;
    f.write(Write::Reattempt(Box::new(next))).await;
    let answer = |attempt: i64| {
        let mut outcome = f.failed(Ids::fresh(), id, attempt);
        outcome.request = None;
        outcome.effect = Some(Effect::Contract {
            contract: contract(),
            version: 1,
            locale: format!("of attempt {attempt}"),
            key_id: key_id(),
            token: "token".into(),
        });
        Write::Outcome(Box::new(outcome))
    };
    // The second member for an intent waits for another batch.
    assert_eq!(f.batch(vec![answer(1), answer(2)]).await, [Written::Lost, Written::Lost]);
    assert_eq!(f.attempts(id), "1|answered|throttled\n2|open|");
    assert_eq!(f.write(answer(2)).await, Written::Done);
    let contracts = f.store.signed_contracts(tenant()).await.unwrap();
    assert_eq!(contracts.len(), 1);
    assert_eq!(contracts[0].locale, "of attempt 2");
}
