//! Texts from outside: what comes in comes out, and none of them breaks a batch for its neighbours.

use domain::audit::{Event, EventKind};
use domain::{ClientId, CustomerId};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use store::{CallbackFinished, Write, Written};

use super::fixture::Fixture;
use super::on_both;
use super::rows::{Ids, tenant};

on_both!(
    odd_texts_survive,
    arbitrary_texts_survive,
    a_nul_becomes_a_replacement_character_and_harms_nobody,
    a_nul_in_an_event_stays,
    hostile_proofs_harm_nobody,
    a_parameter_may_hold_a_nul,
);

fn odd() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        "'; DROP TABLE request; --",
        "\"quoted\" \\ back \\u0041 \\\\u0000",
        "{\"a\":[1,2]}",
        "null",
        "1e400",
        "-0",
        "é ẞ 漢字 🦀👩‍👩‍👧 \u{10ffff}",
        "\u{202e}right to left\u{202c} שלום",
        "\u{feff}\u{fffd}\u{2028}\u{2029}\u{85}",
        "$1 @text(x) ?1 %s",
    ]
    .map(str::to_owned)
    .into();
    texts.push((1_u8..32).map(char::from).collect());
    texts.push("ä\"\\".repeat(262_144));
    texts
}

async fn survive(f: &Fixture, texts: &[String]) {
    let mut all = Vec::new();
    let mut writes = Vec::new();
    for text in texts {
        let ids = Ids::fresh();
        let mut request = f.request(ids);
        request.client = ClientId::new(text.as_str());
        request.customer = Some(CustomerId::new(text.as_str()));
        request.payload.clone_from(text);
        request.callback = Some(text.clone());
        request.pin_hash = Some(text.clone());
        request.event = request.event.with("text", text.as_str());
        let body = request.event.canonical();
        writes.push(Write::Create(Box::new(request)));
        all.push((ids, text, body));
    }
    let results = f.batch(writes).await;
    assert!(results.iter().all(|written| *written == Written::Done), "{results:?}");
    for (ids, text, body) in all {
        let stored = f.stored(ids).await;
        let expected = text.replace('\0', "\u{fffd}");
        assert_eq!(stored.client.as_str(), expected);
        assert_eq!(stored.customer.unwrap().as_str(), expected);
        for column in [stored.payload, stored.callback, stored.pin_hash] {
            assert_eq!(column.as_deref(), Some(expected.as_str()));
        }
        assert_eq!(f.store.trail(tenant(), ids.transaction).await.unwrap()[0].body, body);
    }
}

async fn odd_texts_survive(f: Fixture) {
    survive(&f, &odd()).await;
    for text in odd().iter().filter(|text| text.len() < 1_000) {
        assert_eq!(&f.store.setting_or_insert(text, text).await.unwrap(), text);
    }
    let settings = f.store.settings().await.unwrap();
    assert!(settings.iter().all(|(name, value)| name == value));
    assert_eq!(settings.len(), odd().len() - 1);
}

async fn arbitrary_texts_survive(f: Fixture) {
    let mut runner = TestRunner::default();
    let strategy = proptest::collection::vec(proptest::prelude::any::<String>(), 100);
    let texts = strategy.new_tree(&mut runner).unwrap().current();
    survive(&f, &texts).await;
}

async fn a_nul_becomes_a_replacement_character_and_harms_nobody(f: Fixture) {
    let texts = ["\0", "a\0b", "\\\0", "\\u0000\0", "plain"].map(str::to_owned);
    survive(&f, &texts).await;
    let ids = f.retrieved().await;
    f.store.claim_callbacks(1, 10).await.unwrap();
    let finished = CallbackFinished {
        tenant: tenant(),
        request: ids.request,
        seq: 1,
        attempt: 1,
        counts: true,
        at: f.now(),
        ended: None,
        retry_at: f.now(),
        error: Some("HTTP 500: \0".into()),
        event: None,
    };
    assert_eq!(f.write(Write::Callback(Box::new(finished))).await, Written::Done);
    assert_eq!(f.sql("SELECT last_error FROM outbox"), "HTTP 500: \u{fffd}");
}

async fn a_nul_in_an_event_stays(f: Fixture) {
    let ids = Ids::fresh();
    let event = Event::new(&ids.subject(), EventKind::ProofRefused, f.now()).with("reason", "a\0b");
    f.write(Write::Note(Box::new(event.clone()))).await;
    let body = f.store.trail(tenant(), ids.transaction).await.unwrap().remove(0).body;
    assert_eq!(body, event.canonical());
    assert!(body.contains("a\\u0000b"), "the ledger spells it out: {body}");
}

async fn hostile_proofs_harm_nobody(f: Fixture) {
    let good = f.retrieved().await;
    let mut writes = vec![Write::Open(Box::new(f.credential_intent(good, "alice", "plain")))];
    // The longest `jti` that a proof may have is 256 characters.
    for jti in ["\0", "\0\0", "'\"\\", &"\u{10ffff}".repeat(256), &"\0".repeat(256)] {
        let ids = f.retrieved().await;
        writes.push(Write::Open(Box::new(f.credential_intent(ids, "mallory \0", jti))));
    }
    let results = f.batch(writes).await;
    assert!(results.iter().all(|written| *written == Written::Opened { attempt: 1 }), "{results:?}");
    // Stored alike, so it counts as seen: refused, which is the safe side.
    let ids = f.retrieved().await;
    assert_eq!(f.open(f.credential_intent(ids, "mallory", "\u{fffd}")).await, Written::Lost);
    assert_eq!(f.open(f.credential_intent(ids, "mallory", "\0")).await, Written::Lost);
    // Found again under the name that it was given.
    let mut document = f.document_intent("contract/\0");
    document.input = "in\0put".into();
    f.open(document).await;
    let found = f.store.intent(tenant(), "contract/\0").await.unwrap().unwrap();
    assert_eq!(found.input.as_deref(), Some("in\u{fffd}put"));
}

async fn a_parameter_may_hold_a_nul(f: Fixture) {
    assert_eq!(f.store.setting_or_insert("n\0me", "v\0lue").await.unwrap(), "v\u{fffd}lue");
    assert_eq!(f.store.setting_or_insert("n\0me", "other").await.unwrap(), "v\u{fffd}lue");
    assert_eq!(f.store.local_secret(tenant(), "\0").await.unwrap(), None);
    f.store.ping().await.unwrap();
}
