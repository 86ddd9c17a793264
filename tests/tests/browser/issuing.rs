//! Issuances that go well, from the form to the stored credential.

use std::time::Duration;

use credenza_tests::process::{Credenza, Options};
use serde_json::json;

use crate::audit;
use crate::page::{DESKTOP, PHONE, Page, phone};

/// The smallest JPEG that browsers draw: one grey pixel.
const PHOTO: &[u8] = &[
    0xff, 0xd8, 0xff, 0xdb, 0x00, 0x43, 0x00, 0x03, 0x02, 0x02, 0x02, 0x02, 0x02, 0x03, 0x02, 0x02, 0x02,
    0x03, 0x03, 0x03, 0x03, 0x04, 0x06, 0x04, 0x04, 0x04, 0x04, 0x04, 0x08, 0x06, 0x06, 0x05, 0x06, 0x09,
    0x08, 0x0a, 0x0a, 0x09, 0x08, 0x09, 0x09, 0x0a, 0x0c, 0x0f, 0x0c, 0x0a, 0x0b, 0x0e, 0x0b, 0x09, 0x09,
    0x0d, 0x11, 0x0d, 0x0e, 0x0f, 0x10, 0x10, 0x11, 0x10, 0x0a, 0x0c, 0x12, 0x13, 0x12, 0x10, 0x13, 0x0f,
    0x10, 0x10, 0x10, 0xff, 0xc9, 0x00, 0x0b, 0x08, 0x00, 0x01, 0x00, 0x01, 0x01, 0x01, 0x11, 0x00, 0xff,
    0xcc, 0x00, 0x06, 0x00, 0x10, 0x10, 0x05, 0xff, 0xda, 0x00, 0x08, 0x01, 0x01, 0x00, 0x00, 0x3f, 0x00,
    0xd2, 0xcf, 0x20, 0xff, 0xd9,
];

#[tokio::test]
async fn a_credential_with_a_pin_goes_from_the_form_to_the_wallet() {
    let credenza = Credenza::start(Options::default()).await;
    let page = Page::open(&credenza, DESKTOP).await;
    let did = credenza.ready().authority_did.clone().expect("the demo has an authority");
    assert_eq!(page.text("#authority-did").await, did);
    assert_eq!(page.texts(".card-title").await.len(), 3, "the three contracts of the demo");
    page.choose("VerifiedEmployee").await;
    page.fill("given_name", "Zsófia").await;
    page.fill("family_name", "Ōe-O’Neill").await;
    page.fill("employee_id", "Q-77123").await;
    page.click("#want-pin").await;
    audit::check(&page, "the form").await;
    page.picture("desktop-1-form").await;

    page.create().await;
    page.wait_for_state("created").await;
    let (link, pin) = (page.link().await, page.pin().await);
    assert!(link.starts_with("openid-vc://?request_uri=https"), "{link}");
    assert_eq!(page.scan().await, link, "the code and the link lead to the same place");
    assert!(pin.len() == 4 && pin.bytes().all(|digit| digit.is_ascii_digit()), "{pin}");
    assert!(page.text("#countdown").await.starts_with("Expires in "), "the countdown runs");
    assert_eq!(page.focused().await, "result-title");
    let command = page.text("#wallet-command").await;
    assert!(command.contains(&link) && command.contains(&format!("--pin {pin}")), "{command}");
    assert!(page.holds("document.title.startsWith('Created')").await);
    audit::check(&page, "the code").await;
    page.picture("desktop-2-code").await;

    let wallet = phone(&credenza);
    let report = wallet.accept(&page.scan().await, &["--pin", &pin]).await.expect_success().json();
    assert_eq!(report["claims"]["givenName"], json!("Zsófia"));
    assert_eq!(report["claims"]["familyName"], json!("Ōe-O’Neill"));
    assert_eq!(report["claims"]["employeeId"], json!("Q-77123"));
    assert_eq!(report["linked_domain_verified"], json!(true));
    page.wait_for_state("completed").await;
    page.wait_for_events("callback_delivered", 2).await;
    assert_eq!(page.text("#status-text").await, "Done. The wallet has stored the credential.");
    assert!(page.holds("document.title.startsWith('Stored')").await);
    assert!(page.holds("document.querySelectorAll('#steps .step-done').length === 4").await);
    let callbacks = page.texts("#callbacks li > code").await;
    assert_eq!(callbacks, ["request_retrieved", "issuance_successful"]);
    let trail = page.trail().await;
    let position = |kind: &str| {
        trail.iter().position(|one| one == kind).unwrap_or_else(|| panic!("{kind} in {trail:?}"))
    };
    let order =
        ["request_created", "signing_intent", "request_retrieved", "contract_fetched", "credential_issued"];
    assert!(order.windows(2).all(|pair| position(pair[0]) < position(pair[1])), "{trail:?}");
    assert!(position("credential_issued") < position("wallet_reported"), "{trail:?}");
    let ledger = page.run("return document.getElementById('trail').textContent").await.to_string();
    for value in ["Zsófia", "Q-77123", pin.as_str()] {
        assert!(!ledger.contains(value), "the ledger holds a claim's value or the PIN: {ledger}");
    }
    audit::check(&page, "the end").await;
    page.picture("desktop-3-done").await;
    page.browser().assert_clean_console().await;
}

#[tokio::test]
async fn the_holder_states_claims_and_the_page_asks_for_none() {
    let credenza = Credenza::start(Options::default()).await;
    let page = Page::open(&credenza, PHONE).await;
    page.choose("EventGuest").await;
    assert!(page.texts("#claims input").await.is_empty(), "nothing to fill in");
    assert!(page.text("#claims").await.contains("Your name"));
    assert!(page.holds("document.getElementById('pin-option').hidden").await);
    page.picture("phone-1-self-issued").await;
    page.create().await;
    assert!(page.holds("document.getElementById('pin').hidden").await);
    let accepted = phone(&credenza).accept(&page.link().await, &["--claim", "name=Ada"]).await;
    assert_eq!(accepted.expect_success().json()["claims"], json!({"name": "Ada"}));
    page.wait_for_state("completed").await;
    page.browser().assert_clean_console().await;
}

#[tokio::test]
async fn a_photo_reaches_the_credential() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let file = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).expect("the file can be written");
        path.display().to_string()
    };
    let credenza = Credenza::start(Options::default()).await;
    let page = Page::open(&credenza, PHONE).await;
    page.choose("StudentCard").await;
    let input = page.find("[data-claim='photo']").await;

    input.send_keys(file("notes.jpg", b"not a picture")).await.expect("the file is chosen");
    page.wait_for("the complaint", "document.body.innerText.includes('This file is not a JPEG picture.')")
        .await;
    input.send_keys(file("large.jpg", &vec![0xff; 1_048_577])).await.expect("the file is chosen");
    page.wait_for("the complaint", "document.body.innerText.includes('larger than 1 MB')").await;

    input.send_keys(file("face.jpg", PHOTO)).await.expect("the file is chosen");
    page.wait_for("the preview", "document.querySelector('.preview')?.naturalWidth === 1").await;
    audit::check(&page, "the form with a photo").await;
    page.picture("phone-2-photo").await;
    page.create().await;
    let report = phone(&credenza).accept(&page.link().await, &[]).await.expect_success().json();
    use base64::Engine as _;
    let expected = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(PHOTO);
    assert_eq!(report["claims"]["photo"], json!(expected));
    page.wait_for_state("completed").await;
    page.browser().assert_clean_console().await;
}

#[tokio::test]
async fn what_is_left_alone_expires_and_another_one_can_be_made() {
    let options = Options { extra_args: vec!["--request-lifetime".into(), "3".into()], ..Options::default() };
    let credenza = Credenza::start(options).await;
    let page = Page::open(&credenza, DESKTOP).await;
    page.create().await;
    let first = page.link().await;
    page.wait_for_state("expired").await;
    assert!(page.text("#status-text").await.contains("expired"));
    assert_eq!(page.text("#qr-veil").await, "Expired");
    assert!(!page.find("#deep-link").await.is_displayed().await.expect("can be asked"));
    page.picture("desktop-4-expired").await;
    let late = phone(&credenza).accept(&first, &[]).await.expect_failure();
    assert!(late.stdout.contains("404"), "{}", late.stdout);

    page.click("#start-over").await;
    page.wait_for("the form", "document.getElementById('result').hidden").await;
    page.create().await;
    page.wait_for_state("created").await;
    assert_ne!(page.link().await, first);
    page.browser().assert_clean_console().await;
}

#[tokio::test]
async fn the_page_survives_a_restart_of_the_issuer() {
    let mut credenza = Credenza::start(Options::default()).await;
    let page = Page::open(&credenza, DESKTOP).await;
    page.choose("VerifiedEmployee").await;
    page.create().await;
    let link = page.link().await;
    credenza.kill();
    page.wait_for(
        "the note",
        "document.getElementById('connection').textContent.includes('cannot be reached')",
    )
    .await;
    let credenza = credenza.start_again().await;
    page.wait_for("the note's end", "document.getElementById('connection').textContent === ''").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(phone(&credenza).accept(&link, &[]).await.expect_success());
    page.wait_for_state("completed").await;
}
