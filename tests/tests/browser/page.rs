//! The demo page as a person handles it. Owns how its parts are found and waited for; what has to be true is the tests' business.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use credenza_tests::browser::Browser;
use credenza_tests::process::Credenza;
use credenza_tests::wallet::Wallet;
use serde_json::{Value, json};
use thirtyfour::prelude::*;

/// Far longer than anything on the page takes, for a machine that builds at the same time.
const PATIENCE: Duration = Duration::from_secs(20);

/// A desktop's window, in pixels.
pub const DESKTOP: (u32, u32) = (1280, 900);
/// A small phone, in CSS pixels.
pub const PHONE: (u32, u32) = (360, 800);

/// The page in a browser of its own.
pub struct Page {
    browser: Browser,
    base: String,
}

impl Page {
    /// Opens the page and waits until the contracts are there.
    pub async fn open(credenza: &Credenza, size: (u32, u32)) -> Self {
        let browser = Browser::start(DESKTOP.0, DESKTOP.1).await;
        let page = Self { browser, base: credenza.base_http() };
        page.fit(size).await;
        page.visit().await;
        page
    }

    /// Loads the page anew.
    pub async fn visit(&self) {
        self.browser.goto(format!("{}/demo/", self.base)).await.expect("the page loads");
        self.wait_for("the contracts", "!!document.querySelector('#contracts input:checked')").await;
    }

    /// Gives the page a viewport of exactly this size; a window cannot be as narrow as a phone.
    pub async fn fit(&self, (width, height): (u32, u32)) {
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}),
        )
        .await;
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.browser
            .cdp()
            .send_raw(command, parameters)
            .await
            .unwrap_or_else(|error| panic!("{command}: {error:?}"))
    }

    /// The browser, for what this type has no word for.
    pub fn browser(&self) -> &Browser {
        &self.browser
    }

    /// Runs a script in the page and hands out what it returns.
    pub async fn run(&self, script: &str) -> Value {
        let answer = self.browser.execute(script, Vec::new()).await;
        answer.unwrap_or_else(|error| panic!("{script}: {error:?}")).json().clone()
    }

    /// Whether a condition, an expression in the page's language, holds now.
    pub async fn holds(&self, condition: &str) -> bool {
        self.run(&format!("return Boolean({condition})")).await == json!(true)
    }

    /// Waits until a condition holds.
    ///
    /// # Panics
    /// When it does not within 20 s; the message holds the page's text.
    pub async fn wait_for(&self, what: &str, condition: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.holds(condition).await {
            if Instant::now() > until {
                panic!("waited for {what} ({condition}). The page says:\n{}", self.text("body").await);
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    }

    /// Waits for the state that the page shows: `created`, `retrieved`, `issued`, `completed`, `failed` or `expired`.
    pub async fn wait_for_state(&self, state: &str) {
        let condition = format!("document.getElementById('status').dataset.state === '{state}'");
        self.wait_for(state, &condition).await;
    }

    /// The element, which has to be there.
    pub async fn find(&self, selector: &str) -> WebElement {
        self.browser.find(By::Css(selector)).await.unwrap_or_else(|error| panic!("{selector}: {error:?}"))
    }

    /// The element's text as it is seen: hidden parts are left out.
    pub async fn text(&self, selector: &str) -> String {
        self.find(selector).await.text().await.expect("an element has a text")
    }

    /// The texts of all elements.
    pub async fn texts(&self, selector: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for element in self.browser.find_all(By::Css(selector)).await.expect("a valid selector") {
            texts.push(element.text().await.expect("an element has a text"));
        }
        texts
    }

    /// Clicks on the element, as the pointer does: where it is covered or hidden, that fails.
    pub async fn click(&self, selector: &str) {
        let clicked = self.find(selector).await.click().await;
        clicked.unwrap_or_else(|error| panic!("cannot click {selector}: {error:?}"));
    }

    /// Chooses the contract of this name.
    pub async fn choose(&self, contract: &str) {
        self.click(&format!("label.card:has(input[data-contract='{contract}'])")).await;
        self.wait_for(
            "the choice",
            &format!("document.querySelector(\"[data-contract='{contract}']\").checked"),
        )
        .await;
    }

    /// Replaces what stands in the field of a claim.
    pub async fn fill(&self, claim: &str, value: &str) {
        let field = self.find(&format!("[data-claim='{claim}']")).await;
        field.clear().await.expect("the field can be emptied");
        field.send_keys(value).await.expect("the field takes text");
    }

    /// Presses the button and waits for the view with the code.
    pub async fn create(&self) {
        self.click("#create").await;
        self.wait_for("the code", "!document.getElementById('result').hidden").await;
        self.wait_for("the picture", "document.getElementById('qr').complete").await;
    }

    /// The link behind "Open in a wallet app".
    pub async fn link(&self) -> String {
        let link = self.find("#deep-link").await.attr("href").await.expect("an attribute can be read");
        link.expect("the link leads somewhere")
    }

    /// The PIN, which has to be there.
    pub async fn pin(&self) -> String {
        self.text("#pin-value").await
    }

    /// What a camera reads: the link in the QR code as it is drawn.
    pub async fn scan(&self) -> String {
        let picture = self.find(".qr-frame").await.screenshot_as_png().await.expect("the browser draws");
        read_qr(&picture)
    }

    /// The kinds of the events in the trail, oldest first.
    pub async fn trail(&self) -> Vec<String> {
        let kinds = "return [...document.querySelectorAll('#trail > li dl')].map((list) => list.querySelector('dd').textContent)";
        serde_json::from_value(self.run(kinds).await).expect("a list of texts")
    }

    /// Waits until the trail holds `count` events of `kind`.
    pub async fn wait_for_events(&self, kind: &str, count: usize) {
        let until = Instant::now() + PATIENCE;
        loop {
            let trail = self.trail().await;
            if trail.iter().filter(|one| *one == kind).count() >= count {
                return;
            }
            assert!(Instant::now() < until, "waited for {count} times {kind} in {trail:?}");
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    }

    /// The id of the element that has the focus.
    pub async fn focused(&self) -> String {
        let id = self.run("return document.activeElement?.id ?? ''").await;
        id.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until nothing moves any more, except what moves all the time: half faded in, a text has no contrast yet.
    pub async fn settle(&self) {
        let still = "document.getAnimations().every((one) => one.effect.getTiming().iterations === Infinity)";
        self.wait_for("the end of all movement", still).await;
    }

    /// Keeps a picture of the whole page as `NAME.png`.
    pub async fn picture(&self, name: &str) {
        self.settle().await;
        let shot = self
            .devtools("Page.captureScreenshot", json!({"format": "png", "captureBeyondViewport": true}))
            .await;
        let bytes = STANDARD.decode(shot["data"].as_str().expect("a picture")).expect("base64");
        let directory = pictures();
        std::fs::create_dir_all(&directory).expect("the directory can be made");
        std::fs::write(directory.join(format!("{name}.png")), bytes).expect("the picture can be written");
    }
}

/// A wallet that trusts the certificate authority of this server.
pub fn phone(credenza: &Credenza) -> Wallet {
    Wallet::new(credenza.ready().ca_file.as_deref())
}

fn pictures() -> PathBuf {
    std::env::var_os("CREDENZA_SCREENSHOTS").map_or_else(
        || {
            let test = std::env::current_exe().expect("a test knows its own place");
            test.ancestors().nth(3).expect("a test lies in target/<profile>/deps").join("screenshots")
        },
        PathBuf::from,
    )
}

/// The text of the one QR code in a picture.
fn read_qr(picture: &[u8]) -> String {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(picture));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().expect("a PNG picture");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a picture of some size")];
    let info = reader.next_frame(&mut pixels).expect("a whole picture");
    let (width, height) = (info.width as usize, info.height as usize);
    let (step, samples) = (info.line_size, info.color_type.samples());
    // Black on white: any one channel tells them apart.
    let mut image =
        rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| pixels[y * step + x * samples]);
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1, "one code in a picture of {width} by {height} pixels");
    grids[0].decode().expect("the code can be read").1
}
