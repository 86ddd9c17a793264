//! The page at its narrowest and widest, with long texts, in light and dark.

use credenza_tests::process::{Credenza, Options};
use serde_json::json;

use crate::audit;
use crate::page::{DESKTOP, PHONE, Page, phone};

#[tokio::test]
async fn a_narrow_screen_never_scrolls_sideways() {
    let credenza = Credenza::start(Options::default()).await;
    let page = Page::open(&credenza, PHONE).await;
    page.choose("VerifiedEmployee").await;
    audit::check(&page, "the form").await;
    page.picture("phone-3-form").await;

    // Nothing to break a line at, and a text that runs the other way.
    page.fill("given_name", &"W".repeat(180)).await;
    page.fill("job_title", "مديرة المنتجات").await;
    page.click("#want-pin").await;
    page.create().await;
    audit::check(&page, "the code").await;
    page.picture("phone-4-code").await;
    assert_eq!(page.scan().await, page.link().await, "a camera reads the code of a small screen, too");

    drop(phone(&credenza).accept(&page.link().await, &["--pin", &page.pin().await]).await.expect_success());
    page.wait_for_state("completed").await;
    page.wait_for_events("callback_delivered", 2).await;
    page.picture("phone-5-done").await;
    page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })").await;
    audit::check(&page, "the end with everything open").await;
    page.picture("phone-6-details").await;
    // The reflow of WCAG 2.2, 1.4.10: as wide as a desktop's window at 400 %.
    page.fit((320, 256)).await;
    audit::check(&page, "320 pixels").await;
    page.fit(DESKTOP).await;
    audit::check(&page, "a desktop with everything open").await;
    page.browser().assert_clean_console().await;
}

#[tokio::test]
async fn the_dark_look_is_as_legible() {
    let credenza = Credenza::start(Options::default()).await;
    let page = Page::open(&credenza, DESKTOP).await;
    let dark = json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
    page.browser().cdp().send_raw("Emulation.setEmulatedMedia", dark).await.expect("the look can be set");
    page.wait_for("the dark look", "matchMedia('(prefers-color-scheme: dark)').matches").await;
    audit::check(&page, "the form").await;
    page.picture("dark-1-form").await;
    page.choose("VerifiedEmployee").await;
    page.click("#want-pin").await;
    page.create().await;
    assert_eq!(page.scan().await, page.link().await, "the code stays black on white");
    drop(phone(&credenza).accept(&page.link().await, &["--pin", &page.pin().await]).await.expect_success());
    page.wait_for_state("completed").await;
    page.wait_for_events("callback_delivered", 2).await;
    audit::check(&page, "the end").await;
    page.picture("dark-2-done").await;
}
