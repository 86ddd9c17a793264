//! The whole way without a pointer.

use credenza_tests::process::{Credenza, Options};
use thirtyfour::Key;

use crate::page::{DESKTOP, Page, phone};

impl Page {
    async fn press(&self, key: Key) {
        let keys = self.browser().action_chain().key_down(key.clone()).key_up(key);
        keys.perform().await.expect("the key is pressed");
    }

    async fn type_in(&self, text: &str) {
        self.browser().action_chain().send_keys(text).perform().await.expect("the keys are pressed");
    }

    /// Presses Tab until the element has the focus; each stop on the way has to be visible as such.
    async fn tab_to(&self, selector: &str) {
        let mut stops = Vec::new();
        for _ in 0..40 {
            self.press(Key::Tab).await;
            let stop = self
                .run(
                    "const at = document.activeElement; const card = at.closest('.card');
                     const ring = getComputedStyle(card ?? at);
                     return { name: at.id || at.tagName, ringed: at.matches(':focus-visible') && ring.outlineStyle !== 'none'
                       && parseFloat(ring.outlineWidth) >= 2, inside: (() => { const box = at.getBoundingClientRect();
                       return box.width > 0 && box.bottom > 0 && box.top < innerHeight; })() }",
                )
                .await;
            let name = stop["name"].as_str().expect("a name").to_owned();
            if name == "BODY" {
                stops.push(name);
                continue;
            }
            assert_eq!(stop["ringed"], true, "no visible focus on {name}");
            assert_eq!(stop["inside"], true, "the focus is outside of the window: {name}");
            if self.holds(&format!("document.activeElement.matches(\"{selector}\")")).await {
                return;
            }
            stops.push(name);
        }
        panic!("Tab never reaches {selector}; it stops at {stops:?}");
    }
}

#[tokio::test]
async fn everything_can_be_done_with_the_keyboard() {
    let credenza = Credenza::start(Options::default()).await;
    let page = Page::open(&credenza, DESKTOP).await;
    page.tab_to(".skip").await;
    page.press(Key::Enter).await;
    page.wait_for("the main part", "document.activeElement.id === 'main'").await;
    page.tab_to("[name='contract']").await;
    for _ in 0..3 {
        if page.holds("document.activeElement.dataset.contract === 'VerifiedEmployee'").await {
            break;
        }
        page.press(Key::Down).await;
    }
    page.wait_for(
        "the contract",
        "document.querySelector('[name=contract]:checked').dataset.contract === 'VerifiedEmployee'",
    )
    .await;
    page.picture("desktop-5-keyboard-focus").await;
    page.tab_to("[data-claim='given_name']").await;
    // Tab selects what stands in a field, so typing replaces it.
    page.type_in("Grace").await;
    page.tab_to("#want-pin").await;
    page.type_in(" ").await;
    page.tab_to("#create").await;
    page.press(Key::Enter).await;
    page.wait_for("the code", "!document.getElementById('result').hidden").await;
    page.wait_for("the heading's focus", "document.activeElement.id === 'result-title'").await;

    let pin = page.pin().await;
    page.tab_to("#deep-link").await;
    page.tab_to("[data-copy='wallet-command']").await;
    page.press(Key::Enter).await;
    page.wait_for("the word", "document.getElementById('announce').textContent !== ''").await;
    let report = phone(&credenza).accept(&page.link().await, &["--pin", &pin]).await.expect_success().json();
    assert_eq!(report["claims"]["givenName"], "Grace");
    page.wait_for_state("completed").await;
    // The button that had the focus has gone: it must not be lost with it.
    assert_eq!(page.focused().await, "result-title");

    page.tab_to("#trail summary").await;
    page.press(Key::Enter).await;
    page.wait_for("the details", "document.querySelector('#trail details').open").await;
    // What is open stays open while answers keep coming.
    page.wait_for_events("callback_delivered", 2).await;
    assert!(page.holds("document.querySelector('#trail details').open").await);
    page.run("document.getElementById('result-title').focus()").await;
    page.tab_to("#start-over").await;
    page.press(Key::Enter).await;
    page.wait_for("the form", "document.getElementById('result').hidden").await;
    page.wait_for("the choice's focus", "document.activeElement.name === 'contract'").await;
    page.browser().assert_clean_console().await;
}
