//! What goes wrong, and what the page says about it.

use credenza_tests::process::{Credenza, Options};

use crate::audit;
use crate::page::{DESKTOP, PHONE, Page, phone};

#[tokio::test]
async fn a_missing_claim_leads_to_its_field() {
    let credenza = Credenza::start(Options::default()).await;
    let page = Page::open(&credenza, PHONE).await;
    page.choose("VerifiedEmployee").await;
    page.fill("given_name", "").await;
    page.fill("employee_id", "   ").await;
    page.click("#create").await;
    page.wait_for("the summary", "!document.getElementById('error-summary').hidden").await;
    assert_eq!(page.focused().await, "error-summary");
    assert_eq!(page.texts("#error-list li").await, ["First name is missing.", "Employee number is missing."]);
    assert!(page.holds("document.getElementById('result').hidden").await, "nothing was sent");
    let given = "[data-claim='given_name']";
    assert!(
        page.holds(&format!("document.querySelector(\"{given}\").getAttribute('aria-invalid') === 'true'"))
            .await
    );
    audit::check(&page, "the errors").await;
    page.picture("phone-7-errors").await;

    page.click("#error-list a").await;
    assert!(
        page.holds(&format!("document.activeElement.matches(\"{given}\")")).await,
        "the link leads to the field"
    );
    page.fill("given_name", "Ada").await;
    page.fill("employee_id", "7").await;
    page.create().await;
    page.wait_for_state("created").await;
    page.browser().assert_clean_console().await;
}

#[tokio::test]
async fn a_wrong_pin_stands_in_the_trail_and_the_right_one_still_works() {
    let credenza = Credenza::start(Options::default()).await;
    let page = Page::open(&credenza, DESKTOP).await;
    page.choose("VerifiedEmployee").await;
    page.click("#want-pin").await;
    page.create().await;
    let (link, pin) = (page.link().await, page.pin().await);
    let wrong = if pin == "0000" { "1111" } else { "0000" };
    let wallet = phone(&credenza);
    let refused = wallet.accept(&link, &["--pin", wrong]).await.expect_failure();
    assert!(refused.stdout.contains("invalid_openid_token_hint_pin"), "{}", refused.stdout);
    page.wait_for_events("proof_refused", 1).await;
    page.wait_for("the sentence", "document.getElementById('trail').innerText.includes('wrong_pin')").await;
    page.wait_for(
        "the word",
        "document.getElementById('status-text').textContent.includes('the PIN was wrong')",
    )
    .await;
    assert_eq!(page.scan().await, link, "who mistyped may scan again");
    let trail = page.text("#trail").await;
    assert!(!trail.contains(wrong), "what was typed is nobody's business: {trail}");
    assert!(page.holds("document.getElementById('status').dataset.state === 'retrieved'").await);
    assert!(
        page.find("#pin-value").await.is_displayed().await.expect("can be asked"),
        "the PIN is still needed"
    );
    audit::check(&page, "the wrong PIN").await;
    page.picture("desktop-6-wrong-pin").await;

    drop(wallet.accept(&link, &["--pin", &pin]).await.expect_success());
    page.wait_for_state("completed").await;
    page.wait_for(
        "the callback",
        "document.getElementById('callbacks').innerText.includes('issuance_successful')",
    )
    .await;
    page.browser().assert_clean_console().await;
}

#[tokio::test]
async fn five_wrong_pins_end_the_request() {
    let credenza = Credenza::start(Options::default()).await;
    let page = Page::open(&credenza, DESKTOP).await;
    page.choose("VerifiedEmployee").await;
    page.click("#want-pin").await;
    page.create().await;
    let (link, pin) = (page.link().await, page.pin().await);
    let wrong = if pin == "0000" { "1111" } else { "0000" };
    let wallet = phone(&credenza);
    for _ in 0..5 {
        drop(wallet.accept(&link, &["--pin", wrong]).await.expect_failure());
    }
    page.wait_for_state("failed").await;
    drop(wallet.accept(&link, &["--pin", &pin]).await.expect_failure());
    page.wait_for(
        "the callback",
        "document.getElementById('callbacks').innerText.includes('issuance_error')",
    )
    .await;
    assert_eq!(page.text("#status-text").await, "The issuance failed: the PIN was wrong too often.");
    audit::check(&page, "the failure").await;
    page.picture("desktop-7-failed").await;
    page.browser().assert_clean_console().await;
}

#[tokio::test]
async fn an_issuer_that_is_gone_is_named_as_the_reason() {
    let mut credenza = Credenza::start(Options::default()).await;
    let page = Page::open(&credenza, DESKTOP).await;
    credenza.kill();
    page.click("#create").await;
    page.wait_for("the summary", "!document.getElementById('error-summary').hidden").await;
    assert_eq!(page.focused().await, "error-summary");
    assert!(page.text("#error-summary").await.contains("cannot be reached"));
    let _credenza = credenza.start_again().await;
    page.create().await;
    page.wait_for_state("created").await;
}

#[tokio::test]
async fn text_from_elsewhere_stays_text() {
    let credenza = Credenza::start(Options::default()).await;
    let page = Page::open(&credenza, DESKTOP).await;
    page.choose("VerifiedEmployee").await;
    page.fill("given_name", "<img src=x onerror=alert(1)>").await;
    page.create().await;
    page.click("#sent-box summary").await;
    assert!(page.text("#sent").await.contains("<img src=x onerror=alert(1)>"));
    assert!(page.holds("document.querySelectorAll('#sent img').length === 0").await);
    let report = phone(&credenza).accept(&page.link().await, &[]).await.expect_success().json();
    assert_eq!(report["claims"]["givenName"], "<img src=x onerror=alert(1)>");
    page.browser().assert_clean_console().await;
}
