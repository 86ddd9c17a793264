//! Each piece of advice: given where it is due, and not given for the contract without faults.

use serde_json::{Value, json};

use super::super::{MAX_FINDINGS, Severity};
use super::{asking, base, parse, set, with};

fn assert_advised(contract: &Value, path: &str, message: &str) {
    let advice = parse(contract).advise();
    assert!(
        advice.iter().any(|finding| finding.path == path && finding.message.contains(message)),
        "{path}: {message}\n{advice:#?}"
    );
    assert!(advice.iter().all(|finding| finding.severity == Severity::Advice));
}

/// [`base`] whose first claim is called `output`, labels included, so that only its name gives rise to advice.
fn named(output: &str) -> Value {
    let mut contract = with("/rules/attestations/idTokenHints/0/mapping/0/outputClaim", json!(output));
    set(&mut contract, "/displays/0/claims/0/claim", json!(format!("vc.credentialSubject.{output}")));
    contract
}

const FIRST: &str = "$.rules.attestations.idTokenHints[0].mapping[0]";

#[test]
fn the_contract_without_faults_gets_none() {
    assert_eq!(parse(&base()).advise(), []);
    for name in ["over18", "employeeId", "department", "studentNumber", "country", "valid_until", "essay"] {
        assert_eq!(parse(&named(name)).advise(), [], "{name}");
    }
}

#[test]
fn claims_that_carry_more_than_they_need() {
    let at = format!("{FIRST}.outputClaim");
    for (name, message) in [
        ("dateOfBirth", "full birth date"),
        ("birth_date", "full birth date"),
        ("dob", "over18"),
        ("ssn", "official number"),
        ("socialSecurityNumber", "official number"),
        ("passportNumber", "official number"),
        ("driversLicense", "official number"),
        ("gender", "sensitive attribute"),
        ("religion", "sensitive attribute"),
        ("homeAddress", "private contact details"),
        ("phone_number", "private contact details"),
    ] {
        assert_advised(&named(name), &at, message);
    }
    let mut photo = named("photo");
    set(&mut photo, "/rules/attestations/idTokenHints/0/mapping/0/type", json!("image/png;base64url"));
    set(&mut photo, "/displays/0/claims/0/type", json!("image/png;base64url"));
    assert_advised(&photo, &at, "carries a picture");
}

#[test]
fn several_forms_of_a_name() {
    let mut contract = named("displayName");
    set(
        &mut contract,
        "/rules/attestations/idTokenHints/0/mapping/2",
        json!({ "inputClaim": "family_name", "outputClaim": "familyName" }),
    );
    assert_advised(&contract, &format!("{FIRST}.outputClaim"), "\"displayName\" and \"familyName\"");
    set(&mut contract, "/rules/attestations/idTokenHints/0/mapping/2/outputClaim", json!("fullName"));
    assert_advised(&contract, &format!("{FIRST}.outputClaim"), "\"displayName\" and \"fullName\"");
    // One full name, or a first and a last name, are one form.
    assert_eq!(parse(&named("displayName")).advise(), []);
}

#[test]
fn the_index() {
    let line = "/rules/attestations/idTokenHints/0/mapping/1";
    let at = "$.rules.attestations.idTokenHints[0].mapping[1]";
    assert_advised(&with(&format!("{line}/indexed"), json!(false)), "$.rules.attestations", "no index claim");
    assert_advised(
        &with(&format!("{line}/required"), json!(false)),
        &format!("{at}.required"),
        "cannot be found",
    );
    assert_advised(
        &with(&format!("{line}/outputClaim"), json!("birthDate")),
        &format!("{at}.indexed"),
        "a hash does not hide them",
    );
}

#[test]
fn a_long_life() {
    assert_eq!(parse(&with("/rules/validityInterval", json!(31_622_400))).advise(), []);
    assert_advised(
        &with("/rules/validityInterval", json!(31_622_401)),
        "$.rules.validityInterval",
        "live for 366 days",
    );
}

#[test]
fn what_wallets_make_of_it() {
    let mut both = base();
    set(
        &mut both,
        "/rules/attestations/selfIssued",
        json!({ "mapping": [{ "inputClaim": "nick_name", "outputClaim": "nick" }] }),
    );
    assert_advised(&both, "$.rules.attestations", "cannot use a PIN");
    assert_advised(&both, "$.rules.attestations.selfIssued.mapping[0].inputClaim", "when both are the same");

    let addresses = asking(json!({
        "idTokens": [{
            "mapping": [{ "inputClaim": "$.email", "outputClaim": "email" }],
            "configuration": "https://login.example/metadata?p=a&q=b",
            "clientId": "wallet", "redirectUri": "vcclient://openid/"
        }],
        "presentations": [{ "credentialType": "A", "contracts": ["https://a.example/x", "https://a.example/x+y"] }]
    }));
    assert_advised(&addresses, "$.rules.attestations.idTokens[0].configuration", "has a '&'");
    assert_advised(&addresses, "$.rules.attestations.presentations[0].contracts[1]", "has a '+'");
    assert_eq!(
        parse(&addresses).advise().iter().filter(|finding| finding.path.ends_with("contracts[0]")).count(),
        0
    );
}

#[test]
fn labels_and_mappings_belong_together() {
    let mut extra = base();
    set(
        &mut extra,
        "/displays/0/claims/2",
        json!({ "claim": "vc.credentialSubject.grade", "label": "Grade", "type": "String" }),
    );
    assert_advised(&extra, "$.displays[0].claims[2].claim", "no mapping has as outputClaim");
    assert_advised(&with("/displays/0/claims", json!([])), "$.displays[0].claims", "no label for \"number\"");
    assert_advised(
        &with("/displays/0/claims/0/type", json!("Date")),
        "$.displays[0].claims[0].type",
        "is \"Date\", but $.rules.attestations.idTokenHints[0].mapping[0].type is \"String\"",
    );
}

#[test]
fn cards_that_are_hard_to_read() {
    assert_advised(
        &with("/displays/0/card/textColor", json!("#555555")),
        "$.displays[0].card.textColor",
        "people with low vision need 4.5:1",
    );
    // The lightest grey on white that passes, and the first that does not.
    let mut grey = with("/displays/0/card/backgroundColor", json!("#FFFFFF"));
    set(&mut grey, "/displays/0/card/textColor", json!("#767676"));
    assert_eq!(parse(&grey).advise(), []);
    set(&mut grey, "/displays/0/card/textColor", json!("#777777"));
    assert_advised(&grey, "$.displays[0].card.textColor", "4.5:1");

    let logo = json!({ "uri": "https://a.example/logo.png?a=1&b=2" });
    assert_advised(
        &with("/displays/0/card/logo", logo.clone()),
        "$.displays[0].card.logo.description",
        "screen readers",
    );
    assert_advised(&with("/displays/0/card/logo", logo), "$.displays[0].card.logo.uri", "has a '&'");
    let inline = json!({ "uri": "data:image/png;base64,AA+A", "description": "A cube" });
    assert_eq!(parse(&with("/displays/0/card/logo", inline)).advise(), []);
}

#[test]
fn the_amount_is_bounded() {
    let mapping: Vec<Value> = (0..150)
        .map(|n| json!({ "inputClaim": format!("c{n}"), "outputClaim": format!("birthDate{n}") }))
        .collect();
    let contract = asking(json!({ "idTokenHints": [{ "mapping": mapping }] }));
    assert_eq!(parse(&contract).advise().len(), MAX_FINDINGS);
}
