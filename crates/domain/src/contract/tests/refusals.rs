//! One bad member of the file or its rules at a time: the place and the words of the error.

use serde_json::{Value, json};

use super::super::{MAX_CLAIMS, MAX_NAME_CHARS};
use super::{asking, assert_refused, base, set, with, without};

const HINT: &str = "/rules/attestations/idTokenHints/0";
const LINE: &str = "/rules/attestations/idTokenHints/0/mapping/0";

#[test]
fn members_of_the_file() {
    let cases = [
        ("/id", json!("17"), "$.id", "expected a GUID with dashes, or no id at all"),
        ("/id", json!(17), "$.id", "is a number"),
        ("/name", json!(" "), "$.name", "is blank"),
        ("/name", json!("Card "), "$.name", "white space"),
        ("/name", json!("a\nb"), "$.name", "line breaks"),
        ("/name", json!("a\u{7}b"), "$.name", "control characters"),
        ("/name", json!("x".repeat(MAX_NAME_CHARS + 1)), "$.name", "at most 128 characters"),
        ("/name", json!(["Card"]), "$.name", "is an array"),
        ("/status", json!("enabled"), "$.status", "did you mean \"Enabled\"?"),
        ("/status", json!("gone"), "$.status", "expected \"Enabled\" or \"Disabled\""),
        ("/rules", json!([]), "$.rules", "expected an object with attestations"),
        ("/displays", json!({}), "$.displays", "is an object"),
        ("/displays", json!([]), "$.displays", "is empty"),
        ("/availableInVcDirectory", json!("true"), "$.availableInVcDirectory", "without quotes"),
        ("/issueNotificationEnabled", json!(1), "$.issueNotificationEnabled", "true or false"),
        (
            "/allowOverrideValidityIntervalOnIssuance",
            json!({}),
            "$.allowOverrideValidityIntervalOnIssuance",
            "true or false",
        ),
        (
            "/issueNotificationAllowedToGroupOids",
            json!("x"),
            "$.issueNotificationAllowedToGroupOids",
            "array",
        ),
        (
            "/issueNotificationAllowedToGroupOids",
            json!(["x"]),
            "$.issueNotificationAllowedToGroupOids[0]",
            "GUID",
        ),
        (
            "/issueNotificationAllowedToGroupOids",
            json!([7]),
            "$.issueNotificationAllowedToGroupOids[0]",
            "a number",
        ),
    ];
    for (pointer, value, path, message) in cases {
        assert_refused(&with(pointer, value), path, message);
    }
    for name in ["name", "rules", "displays"] {
        assert_refused(&without(&format!("/{name}")), &format!("$.{name}"), "is missing; expected");
    }
    assert_refused(&with("/name", Value::Null), "$.name", "is missing");
}

#[test]
fn unknown_members_are_named_with_what_is_known() {
    let cases = [
        ("/validityInterval", "$.validityInterval", "the members are id, name, status, rules"),
        ("/display", "$.display", "did you mean \"displays\"?"),
        ("/manifestUrl", "$.manifestUrl", "is set by the service"),
        ("/authorityId", "$.authorityId", "leave it out"),
        ("/issuerId", "$.issuerId", "leave it out"),
        ("/rules/validity_interval", "$.rules.validity_interval", "did you mean \"validityInterval\"?"),
        ("/rules/vc/types", "$.rules.vc.types", "did you mean \"type\"?"),
        (
            "/rules/attestations/idTokenHint",
            "$.rules.attestations.idTokenHint",
            "did you mean \"idTokenHints\"?",
        ),
        (
            "/rules/attestations/verifiablePresentation",
            "$.rules.attestations.verifiablePresentation",
            "the name is \"presentations\"",
        ),
        (
            "/rules/attestations/idTokenHints/0/claims",
            "$.rules.attestations.idTokenHints[0].claims",
            "the members are mapping, required, trustedIssuers",
        ),
        (
            "/rules/attestations/idTokenHints/0/mapping/0/index",
            "$.rules.attestations.idTokenHints[0].mapping[0].index",
            "did you mean \"indexed\"?",
        ),
        ("/displays/0/lang", "$.displays[0].lang", "the members are locale, card, consent, claims"),
        ("/displays/0/card/textcolor", "$.displays[0].card.textcolor", "did you mean \"textColor\"?"),
        ("/displays/0/consent/text", "$.displays[0].consent.text", "the members are title, instructions"),
        ("/displays/0/claims/0/labels", "$.displays[0].claims[0].labels", "did you mean \"label\"?"),
    ];
    for (pointer, path, message) in cases {
        assert_refused(&with(pointer, json!(true)), path, message);
    }
    assert_refused(
        &with("/displays/0/card/logo", json!({ "url": "x", "uri": "data:image/png;base64,AAAA" })),
        "$.displays[0].card.logo.url",
        "did you mean \"uri\"?",
    );
    assert_refused(
        &with(
            "/rules/customStatusEndpoint",
            json!({ "url": "https://a.example", "type": "anonymous", "x": 1 }),
        ),
        "$.rules.customStatusEndpoint.x",
        "the members are url, type",
    );
}

#[test]
fn rules() {
    let long = "x".repeat(257);
    let many: Vec<String> = (0..17).map(|n| format!("T{n}")).collect();
    let cases = [
        ("/rules/validityInterval", json!(59), "$.rules.validityInterval", "from 60 to 315360000"),
        ("/rules/validityInterval", json!(315_360_001), "$.rules.validityInterval", "from 60 to 315360000"),
        ("/rules/validityInterval", json!(-1), "$.rules.validityInterval", "whole number"),
        ("/rules/validityInterval", json!(3600.5), "$.rules.validityInterval", "whole number"),
        ("/rules/validityInterval", json!(u64::MAX), "$.rules.validityInterval", "whole number"),
        ("/rules/validityInterval", json!("3600"), "$.rules.validityInterval", "is a text"),
        ("/rules/vc", json!("X"), "$.rules.vc", "expected an object with type"),
        ("/rules/vc", json!({}), "$.rules.vc.type", "is missing"),
        ("/rules/vc/type", json!("X"), "$.rules.vc.type", "expected an array"),
        ("/rules/vc/type", json!([]), "$.rules.vc.type", "is empty"),
        (
            "/rules/vc/type",
            json!(["VerifiableCredential"]),
            "$.rules.vc.type",
            "has only VerifiableCredential",
        ),
        ("/rules/vc/type", json!(["A", ""]), "$.rules.vc.type[1]", "is blank"),
        ("/rules/vc/type", json!(["A", 1]), "$.rules.vc.type[1]", "is a number"),
        ("/rules/vc/type", json!(["A", "A"]), "$.rules.vc.type[1]", "once more"),
        ("/rules/vc/type", json!([" A"]), "$.rules.vc.type[0]", "white space"),
        ("/rules/vc/type", json!([long]), "$.rules.vc.type[0]", "256 bytes"),
        ("/rules/vc/type", json!(many), "$.rules.vc.type", "at most 16"),
        ("/rules/customStatusEndpoint", json!("x"), "$.rules.customStatusEndpoint", "is a text"),
        (
            "/rules/customStatusEndpoint",
            json!({ "url": "http://a.example", "type": "anonymous" }),
            "$.rules.customStatusEndpoint.url",
            "https",
        ),
        (
            "/rules/customStatusEndpoint",
            json!({ "url": "https://a.example", "type": "secret" }),
            "$.rules.customStatusEndpoint.type",
            "\"anonymous\" is the only type",
        ),
        (
            "/rules/customStatusEndpoint",
            json!({ "type": "anonymous" }),
            "$.rules.customStatusEndpoint.url",
            "is missing",
        ),
    ];
    for (pointer, value, path, message) in cases {
        assert_refused(&with(pointer, value), path, message);
    }
    assert_refused(&without("/rules/validityInterval"), "$.rules.validityInterval", "which wallets refuse");
    assert_refused(&without("/rules/attestations"), "$.rules.attestations", "is missing");
    assert_refused(&without("/rules/vc"), "$.rules.vc", "is missing");
}

#[test]
fn hints() {
    let at = "$.rules.attestations.idTokenHints[0]";
    assert_refused(&asking(json!({})), "$.rules.attestations", "names no attestation");
    assert_refused(
        &asking(json!({ "idTokenHints": [], "selfIssued": null, "idTokens": [] })),
        "$.rules.attestations",
        "names no attestation",
    );
    assert_refused(&asking(json!({ "idTokenHints": {} })), "$.rules.attestations.idTokenHints", "an object");
    assert_refused(&with(HINT, json!("x")), at, "is a text; expected an object with mapping");
    assert_refused(&with(&format!("{HINT}/mapping"), json!([])), &format!("{at}.mapping"), "is empty");
    assert_refused(&with(&format!("{HINT}/mapping"), json!({})), &format!("{at}.mapping"), "is an object");
    assert_refused(&without(&format!("{HINT}/mapping")), &format!("{at}.mapping"), "is missing");
    assert_refused(
        &with(&format!("{HINT}/required"), json!("no")),
        &format!("{at}.required"),
        "true or false",
    );
    assert_refused(
        &with(&format!("{HINT}/trustedIssuers"), json!(["me"])),
        &format!("{at}.trustedIssuers[0]"),
        "a DID or an issuer's https address",
    );
    assert_refused(
        &with(
            "/rules/attestations/idTokenHints/1",
            json!({ "mapping": [
            { "inputClaim": "other", "outputClaim": "other" }
        ] }),
        ),
        "$.rules.attestations.idTokenHints",
        "has 2 entries, but a wallet sends one hint",
    );
}

#[test]
fn mapping_lines() {
    let at = "$.rules.attestations.idTokenHints[0].mapping[0]";
    assert_refused(&with(LINE, json!(1)), at, "is a number");
    for name in ["inputClaim", "outputClaim"] {
        assert_refused(&without(&format!("{LINE}/{name}")), &format!("{at}.{name}"), "is missing");
    }
    let long = "x".repeat(129);
    let cases = [
        ("inputClaim", json!("$"), "inputClaim", "does not name a claim"),
        ("inputClaim", json!("$.a.b"), "inputClaim", "idTokenHints has no nested claims"),
        ("inputClaim", json!("$.a[0]"), "inputClaim", "idTokenHints has no nested claims"),
        ("inputClaim", json!("$..a"), "inputClaim", "several values"),
        ("outputClaim", json!("id"), "outputClaim", "a meaning of its own"),
        ("outputClaim", json!("iss"), "outputClaim", "a meaning of its own"),
        ("outputClaim", json!("@id"), "outputClaim", "a meaning of its own"),
        ("outputClaim", json!(" a"), "outputClaim", "white space"),
        ("outputClaim", json!(long), "outputClaim", "at most 128 bytes"),
        ("indexed", json!("yes"), "indexed", "true or false"),
        ("required", json!(0), "required", "true or false"),
        ("type", json!("string"), "type", "did you mean \"String\"?"),
        ("type", json!("image/jpg;base64"), "type", "did you mean \"image/jpg;base64url\"?"),
        ("type", json!("image/;base64url"), "type", "expected \"String\", \"Date\""),
        ("type", json!("Number"), "type", "expected \"String\", \"Date\""),
        ("type", json!(1), "type", "is a number"),
    ];
    for (name, value, member, message) in cases {
        assert_refused(&with(&format!("{LINE}/{name}"), value), &format!("{at}.{member}"), message);
    }
}

#[test]
fn all_mappings_together() {
    assert_refused(
        &with(&format!("{LINE}/outputClaim"), json!("number")),
        "$.rules.attestations.idTokenHints[0].mapping[1].outputClaim",
        "\"number\" once more",
    );
    assert_refused(
        &with(&format!("{LINE}/indexed"), json!(true)),
        "$.rules.attestations.idTokenHints[0].mapping[1].indexed",
        "$.rules.attestations.idTokenHints[0].mapping[0] is indexed already",
    );
    let mut picture = base();
    set(&mut picture, &format!("{HINT}/mapping/1/type"), json!("image/png;base64url"));
    assert_refused(&picture, "$.rules.attestations.idTokenHints[0].mapping[1].indexed", "for a picture");
    let lines: Vec<Value> = (0..=MAX_CLAIMS)
        .map(|n| json!({ "inputClaim": format!("c{n}"), "outputClaim": format!("c{n}") }))
        .collect();
    assert_refused(
        &asking(json!({ "selfIssued": { "mapping": lines } })),
        "$.rules.attestations",
        "expected at most 200",
    );
}

#[test]
fn self_issued_claims() {
    let at = "$.rules.attestations.selfIssued";
    let line = json!({ "inputClaim": "name", "outputClaim": "name" });
    assert_refused(&asking(json!({ "selfIssued": {} })), &format!("{at}.mapping"), "is missing");
    assert_refused(&asking(json!({ "selfIssued": "x" })), at, "is a text");
    assert_refused(&asking(json!({ "selfIssued": [7] })), &format!("{at}[0]"), "is a number");
    assert_refused(
        &asking(json!({ "selfIssued": [{ "mapping": [line] }, { "mapping": [line] }] })),
        at,
        "has 2 entries; expected one object",
    );
    assert_refused(
        &asking(json!({ "selfIssued": { "mapping": [line], "trustedIssuers": [] } })),
        &format!("{at}.trustedIssuers"),
        "the members are mapping, required",
    );
    assert_refused(
        &asking(json!({ "selfIssued": { "mapping": [
            { "inputClaim": "photo", "outputClaim": "photo", "type": "image/jpg;base64url" }
        ] } })),
        &format!("{at}.mapping[0].type"),
        "the person types selfIssued claims",
    );
    assert_refused(
        &asking(json!({ "selfIssued": { "mapping": [{ "inputClaim": "$.a.b", "outputClaim": "b" }] } })),
        &format!("{at}.mapping[0].inputClaim"),
        "selfIssued has no nested claims",
    );
}

fn id_token() -> Value {
    json!({
        "mapping": [{ "inputClaim": "$.email", "outputClaim": "email" }],
        "configuration": "https://login.example/.well-known/openid-configuration",
        "clientId": "wallet",
        "redirectUri": "vcclient://openid"
    })
}

#[test]
fn id_tokens() {
    let at = "$.rules.attestations.idTokens[0]";
    let cases = [
        ("configuration", json!("https://self-issued.me"), "under idTokenHints"),
        ("configuration", json!("http://login.example/"), "discovery document"),
        ("configuration", json!("https://user:pw@login.example/"), "discovery document"),
        ("configuration", json!("login.example"), "discovery document"),
        ("configuration", Value::Null, "is missing"),
        ("clientId", json!(""), "is blank"),
        ("clientId", Value::Null, "is missing"),
        ("redirectUri", json!("https://app.example/"), "wallets listen only at \"vcclient://openid/\""),
        ("redirectUri", Value::Null, "expected \"vcclient://openid/\""),
        ("scope", json!(["openid"]), "is an array"),
        ("mapping", json!([]), "is empty"),
    ];
    for (name, value, message) in cases {
        let mut entry = id_token();
        entry[name] = value;
        assert_refused(&asking(json!({ "idTokens": [entry] })), &format!("{at}.{name}"), message);
    }
    let mut entry = id_token();
    entry["issuer"] = json!("x");
    assert_refused(&asking(json!({ "idTokens": [entry] })), &format!("{at}.issuer"), "not a member");
    let mut entry = id_token();
    entry["trustedIssuers"] = json!(["ftp://x.example"]);
    assert_refused(&asking(json!({ "idTokens": [entry] })), &format!("{at}.trustedIssuers[0]"), "https");
    let mut second = id_token();
    second["mapping"][0]["outputClaim"] = json!("other");
    assert_refused(
        &asking(json!({ "idTokens": [id_token(), second] })),
        "$.rules.attestations.idTokens[1].configuration",
        "once more",
    );
}

#[test]
fn presentations_and_access_tokens() {
    let at = "$.rules.attestations.presentations";
    assert_refused(
        &asking(json!({ "presentations": [{}] })),
        &format!("{at}[0].credentialType"),
        "is missing",
    );
    assert_refused(
        &asking(json!({ "presentations": [{ "credentialType": "A" }, { "credentialType": "A" }] })),
        &format!("{at}[1].credentialType"),
        "\"A\" once more",
    );
    for issuer in ["https://a.example", "did:", "did:web", "did:web:", "did:Web:a", "did:web:a#1", "web:a:b"]
    {
        assert_refused(
            &asking(json!({ "presentations": [{ "credentialType": "A", "trustedIssuers": [issuer] }] })),
            &format!("{at}[0].trustedIssuers[0]"),
            "expected a DID",
        );
    }
    assert_refused(
        &asking(json!({ "presentations": [{ "credentialType": "A", "contracts": ["x"] }] })),
        &format!("{at}[0].contracts[0]"),
        "https address of a manifest",
    );
    assert_refused(
        &asking(json!({ "presentations": [{ "credentialType": "A", "types": [] }] })),
        &format!("{at}[0].types"),
        "the members are",
    );
    assert_refused(
        &asking(json!({ "accessTokens": [{ "mapping": [
            { "inputClaim": "$.shoeSize", "outputClaim": "shoeSize" }
        ] }] })),
        "$.rules.attestations.accessTokens[0].mapping[0].inputClaim",
        "accessTokens can give only givenName",
    );
    assert_refused(
        &asking(json!({ "accessTokens": [{}] })),
        "$.rules.attestations.accessTokens[0].mapping",
        "is missing",
    );
}
