//! Properties over arbitrary input: nothing panics, a display always comes, and mapping follows its rules.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Number, Value, json};

use super::super::{ClaimSource, Contract};
use super::{base, parse, set};

/// JSON made of words that contracts use, so that the readers are reached.
fn contract_like() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("name"),
        Just("rules"),
        Just("displays"),
        Just("attestations"),
        Just("idTokenHints"),
        Just("idTokens"),
        Just("presentations"),
        Just("selfIssued"),
        Just("accessTokens"),
        Just("mapping"),
        Just("inputClaim"),
        Just("outputClaim"),
        Just("indexed"),
        Just("required"),
        Just("type"),
        Just("vc"),
        Just("validityInterval"),
        Just("locale"),
        Just("card"),
        Just("consent"),
        Just("claims"),
        Just("claim"),
        Just("label"),
        Just("logo"),
        Just("uri"),
        Just("textColor"),
    ];
    let text = prop_oneof![
        ".{0,12}".prop_map(String::from),
        Just("String".to_owned()),
        Just("en-US".to_owned()),
        Just("#123456".to_owned()),
        Just("$.a".to_owned()),
        Just("vc.credentialSubject.a".to_owned()),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|number| Value::Number(Number::from(number))),
        text.prop_map(Value::String),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((word.clone(), inner), 0..8).prop_map(|members| {
                Value::Object(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>())
            }),
        ]
    })
}

/// Every place in a value, as JSON pointers.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                pointers(member, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// Either an error with a place in it, or a contract whose every method answers.
fn exercise(outcome: Result<Contract, Vec<super::Finding>>) {
    match outcome {
        Ok(contract) => {
            assert!(contract.displays().next().is_some());
            assert!(contract.credential_types().count() >= 2);
            assert!(!contract.rules().attestations.kinds().is_empty());
            assert!(contract.advise().len() <= super::super::MAX_FINDINGS);
            assert_eq!(Contract::parse(&contract.submitted().to_string()).unwrap(), contract);
        }
        Err(findings) => {
            assert!(!findings.is_empty());
            assert!(findings.iter().all(|finding| finding.path.starts_with('$')));
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in ".{0,200}") {
        exercise(Contract::parse(&text));
    }

    #[test]
    fn arbitrary_json_never_panics(value in contract_like()) {
        exercise(Contract::parse(&value.to_string()));
    }

    #[test]
    fn a_good_contract_with_one_odd_place_never_panics(odd in contract_like(), place in any::<prop::sample::Index>()) {
        let mut contract = base();
        let mut places = Vec::new();
        pointers(&contract, "", &mut places);
        let place = place.get(&places);
        *contract.pointer_mut(place).unwrap() = odd;
        exercise(Contract::from_value(contract.clone()));
        exercise(Contract::parse(&contract.to_string()));
    }

    #[test]
    fn cut_text_never_panics(cut in 0_usize..1500) {
        let text = base().to_string();
        let cut: String = text.chars().take(cut).collect();
        exercise(Contract::parse(&cut));
    }

    #[test]
    fn a_display_always_comes(header in prop_oneof![
        ".{0,200}",
        "([a-zA-Z*]{1,3}(-[a-zA-Z0-9]{1,4}){0,2}(;q=[01](\\.[0-9]{0,4})?)?,? ?){0,40}"
    ]) {
        let mut contract = base();
        let mut second = contract["displays"][0].clone();
        second["locale"] = json!("de");
        set(&mut contract, "/displays/1", second);
        let contract = parse(&contract);
        let chosen = contract.select_display(Some(&header));
        prop_assert!(contract.displays().any(|display| std::ptr::eq(display, chosen)));
    }

    #[test]
    fn an_exact_tag_is_always_found(position in 0_usize..4, upper in any::<bool>()) {
        let tags = ["en-US", "en-GB", "pt", "pt-BR"];
        let mut contract = base();
        let display = contract["displays"][0].clone();
        for (index, tag) in tags.iter().enumerate() {
            let mut display = display.clone();
            display["locale"] = json!(tag);
            set(&mut contract, &format!("/displays/{index}"), display);
        }
        let tag = tags[position];
        let header = if upper { tag.to_uppercase() } else { tag.to_lowercase() };
        let contract = parse(&contract);
        prop_assert_eq!(contract.select_display(Some(&header)).locale.as_str(), tag);
    }

    #[test]
    fn mapping_keeps_values_and_adds_nothing(
        values in prop::collection::btree_map("(given_name|number|other|firstName)", ".{0,20}", 0..5)
    ) {
        let given: BTreeMap<String, String> = values;
        let present = |name: &str| given.get(name).is_some_and(|value| !value.trim().is_empty());
        match parse(&base()).map_claims(ClaimSource::IdTokenHint, &given) {
            Ok(claims) => {
                prop_assert_eq!(claims.len(), 2);
                prop_assert_eq!(&claims["firstName"], &given["given_name"]);
                prop_assert_eq!(&claims["number"], &given["number"]);
            }
            Err(faults) => {
                let missing = ["given_name", "number"].into_iter().filter(|name| !present(name)).count();
                prop_assert!(missing > 0);
                prop_assert_eq!(faults.len(), missing);
            }
        }
    }
}
