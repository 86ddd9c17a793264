//! One bad member of a display at a time: the place and the words of the error.

use serde_json::{Value, json};

use super::super::{MAX_CLAIMS, MAX_DISPLAYS};
use super::{assert_refused, base, refuse, set, with, without};

const DISPLAY: &str = "/displays/0";

#[test]
fn displays() {
    let picture = "\"data:image/png;base64,…\"";
    let cases: Vec<(String, Value, &str, &str)> = [
        ("", json!(1), "", "is a number"),
        ("/locale", json!("en_US"), ".locale", "did you mean \"en-US\"?"),
        ("/locale", json!("english language"), ".locale", "is not a language tag"),
        ("/card", json!([]), ".card", "is an array"),
        ("/card/title", json!("\t"), ".card.title", "is blank"),
        ("/card/backgroundColor", json!("red"), ".card.backgroundColor", "#RRGGBB"),
        ("/card/backgroundColor", json!("#fff"), ".card.backgroundColor", "#RRGGBB"),
        ("/card/textColor", json!("#GG0000"), ".card.textColor", "#RRGGBB"),
        ("/card/textColor", json!("#+12345"), ".card.textColor", "#RRGGBB"),
        ("/card/logo", json!("x"), ".card.logo", "is a text"),
        ("/card/logo", json!({ "description": "x" }), ".card.logo", "neither uri nor image"),
        ("/card/logo", json!({ "uri": "http://a.example/x.png" }), ".card.logo.uri", picture),
        ("/card/logo", json!({ "uri": "data:text/html;base64,AAAA" }), ".card.logo.uri", picture),
        ("/card/logo", json!({ "uri": "data:image/svg+xml,<svg/>" }), ".card.logo.uri", picture),
        ("/card/logo", json!({ "uri": "data:image/png;base64,A*" }), ".card.logo.uri", picture),
        ("/card/logo", json!({ "image": "not base64" }), ".card.logo.image", "a picture in base64"),
        ("/consent", json!("x"), ".consent", "is a text"),
        ("/consent", json!({}), ".consent.instructions", "is missing"),
        ("/consent/title", json!(""), ".consent.title", "is blank"),
        ("/claims", json!({}), ".claims", "is an object"),
        ("/claims/0", json!("x"), ".claims[0]", "is a text"),
        (
            "/claims/0/claim",
            json!("firstName"),
            ".claims[0].claim",
            "did you mean \"vc.credentialSubject.firstName\"?",
        ),
        (
            "/claims/0/claim",
            json!("vc.credentialsubject.firstName"),
            ".claims[0].claim",
            "did you mean \"vc.credentialSubject.firstName\"?",
        ),
        ("/claims/0/claim", json!("vc.credentialSubject."), ".claims[0].claim", "and the outputClaim"),
        ("/claims/0/type", json!("Text"), ".claims[0].type", "expected \"String\", \"Date\""),
        ("/claims/0/label", json!(""), ".claims[0].label", "is blank"),
        ("/claims/0/description", json!(7), ".claims[0].description", "is a number"),
        ("/claims/1/claim", json!("vc.credentialSubject.firstName"), ".claims[1].claim", "once more"),
    ]
    .into_iter()
    .map(|(pointer, value, path, message)| (format!("{DISPLAY}{pointer}"), value, path, message))
    .collect();
    for (pointer, value, path, message) in &cases {
        assert_refused(&with(pointer, value.clone()), &format!("$.displays[0]{path}"), message);
    }
    for pointer in [
        "/locale",
        "/card",
        "/card/title",
        "/card/issuedBy",
        "/card/description",
        "/card/backgroundColor",
        "/card/textColor",
        "/consent",
        "/claims",
        "/claims/0/claim",
        "/claims/0/label",
        "/claims/0/type",
    ] {
        let findings = refuse(&without(&format!("{DISPLAY}{pointer}")));
        assert_eq!(findings.len(), 1, "{pointer}: {findings:#?}");
        assert!(findings[0].message.starts_with("is missing; expected"), "{pointer}: {}", findings[0]);
    }
}

#[test]
fn displays_together() {
    let mut twice = base();
    let mut second = twice["displays"][0].clone();
    second["locale"] = json!("EN-us");
    set(&mut twice, "/displays/1", second);
    assert_refused(&twice, "$.displays[1].locale", "\"EN-us\" once more");

    let display = base()["displays"][0].clone();
    let many: Vec<Value> = (0..=MAX_DISPLAYS)
        .map(|n| {
            let mut display = display.clone();
            display["locale"] = json!(format!("en-x{n:03}"));
            display
        })
        .collect();
    assert_refused(&with("/displays", json!(many)), "$.displays", "at most 50");

    let claims: Vec<Value> = (0..=MAX_CLAIMS)
        .map(|n| json!({ "claim": format!("vc.credentialSubject.c{n}"), "label": "x", "type": "String" }))
        .collect();
    assert_refused(&with("/displays/0/claims", json!(claims)), "$.displays[0].claims", "at most 200");
}
