//! Tests of contracts as a whole. Every error has a case that fails when its check is deleted.

mod advice;
mod claims;
mod examples;
mod files;
mod properties;
mod refusals;
mod refused_displays;
mod refused_texts;

use serde_json::{Value, json};

use super::{Contract, Finding, Severity};

/// A contract without errors and without advice.
fn base() -> Value {
    json!({
        "id": "133d7e92-d227-f74d-1a5b-354cbc8df49a",
        "name": "StudentCard",
        "rules": {
            "attestations": { "idTokenHints": [{
                "mapping": [
                    { "inputClaim": "$.given_name", "outputClaim": "firstName", "required": true },
                    { "inputClaim": "$.number", "outputClaim": "number", "required": true, "indexed": true }
                ],
                "required": false
            }] },
            "validityInterval": 2_592_000,
            "vc": { "type": ["StudentCard"] }
        },
        "displays": [{
            "locale": "en-US",
            "card": {
                "title": "Student card", "issuedBy": "Example", "description": "For students.",
                "backgroundColor": "#000000", "textColor": "#ffffff"
            },
            "consent": { "instructions": "Read this." },
            "claims": [
                { "claim": "vc.credentialSubject.firstName", "label": "First name", "type": "String" },
                { "claim": "vc.credentialSubject.number", "label": "Number", "type": "String" }
            ]
        }]
    })
}

/// [`base`] with one member set, by JSON pointer; a last part that does not exist is added.
fn with(pointer: &str, value: Value) -> Value {
    let mut contract = base();
    set(&mut contract, pointer, value);
    contract
}

fn set(contract: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match contract.pointer_mut(parent).unwrap() {
        Value::Object(members) => {
            members.insert(name.to_owned(), value);
        }
        Value::Array(items) => match name.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
            Some(item) => *item = value,
            None => items.push(value),
        },
        other => panic!("{pointer}: {other}"),
    }
}

fn without(pointer: &str) -> Value {
    let mut contract = base();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    contract.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
    contract
}

/// [`base`] with other attestations.
fn asking(attestations: Value) -> Value {
    with("/rules/attestations", attestations)
}

fn parse(value: &Value) -> Contract {
    Contract::parse(&value.to_string()).unwrap_or_else(|findings| panic!("{findings:?}"))
}

fn refuse(value: &Value) -> Vec<Finding> {
    match Contract::parse(&value.to_string()) {
        Ok(_) => panic!("accepted: {value}"),
        Err(findings) => findings,
    }
}

/// The contract has exactly this one error.
fn assert_refused(contract: &Value, path: &str, message: &str) {
    let findings = refuse(contract);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(findings[0].path, path, "{}", findings[0]);
    assert!(findings[0].message.contains(message), "{}", findings[0]);
    assert_eq!(findings[0].severity, Severity::Error);
}
