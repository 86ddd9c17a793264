//! The example contracts that come with the product, and the reference that describes contracts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::{Contract, attestations, display, file, mapping, rules};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn every_example_is_issuable_and_its_advice_is_expected() {
    let mut expected: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("verified-employee.json", &[][..]),
        // A student card without a photo would be of little use at a door; the photo is optional.
        ("student-card.json", &["$.rules.attestations.idTokenHints[0].mapping[4].outputClaim"][..]),
        ("event-guest.json", &[][..]),
    ]);
    let mut ids = Vec::new();
    for entry in std::fs::read_dir(repository().join("config/contracts")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let contract = Contract::parse(&std::fs::read_to_string(&path).unwrap())
            .unwrap_or_else(|findings| panic!("{name}: {findings:#?}"));
        contract.check_issuable().unwrap();
        let advice: Vec<String> = contract.advise().into_iter().map(|finding| finding.path).collect();
        let wanted = expected.remove(name).unwrap_or_else(|| panic!("{name} is not listed here"));
        assert_eq!(advice, wanted, "{name}");
        ids.push(contract.id().unwrap());
        assert!(contract.index_claim().is_some(), "{name}");
    }
    assert!(expected.is_empty(), "missing: {expected:?}");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[test]
fn the_examples_are_what_the_demo_needs() {
    let read = |name: &str| {
        let text = std::fs::read_to_string(repository().join("config/contracts").join(name)).unwrap();
        Contract::parse(&text).unwrap()
    };
    let employee = read("verified-employee.json");
    assert!(employee.accepts_pin());
    assert_eq!(employee.index_claim().unwrap().output_claim, "employeeId");
    assert_eq!(employee.select_display(Some("de-CH")).locale.as_str(), "de-DE");
    let student = read("student-card.json");
    assert!(student.allows_expiration_date());
    assert_eq!(student.select_display(Some("fr-FR")).locale.as_str(), "fr");
    let guest = read("event-guest.json");
    assert!(guest.needs_self_issued() && !guest.accepts_hint());
}

#[test]
fn the_reference_names_every_member() {
    let reference = std::fs::read_to_string(repository().join("docs/contracts.md")).unwrap();
    let lists = [
        file::FILE_MEMBERS,
        rules::RULES_MEMBERS,
        rules::VC_MEMBERS,
        rules::STATUS_MEMBERS,
        attestations::ATTESTATION_KINDS,
        attestations::HINT_MEMBERS,
        attestations::ID_TOKEN_MEMBERS,
        attestations::PRESENTATION_MEMBERS,
        attestations::SELF_ISSUED_MEMBERS,
        attestations::ACCESS_TOKEN_MEMBERS,
        mapping::MAPPING_MEMBERS,
        display::DISPLAY_MEMBERS,
        display::CARD_MEMBERS,
        display::LOGO_MEMBERS,
        display::CONSENT_MEMBERS,
        display::CLAIM_MEMBERS,
    ];
    for member in lists.into_iter().flatten() {
        assert!(reference.contains(&format!("`{member}`")), "docs/contracts.md does not name {member}");
    }
}

#[test]
fn the_reference_names_every_limit() {
    let reference = std::fs::read_to_string(repository().join("docs/contracts.md")).unwrap();
    for limit in [
        super::super::MIN_VALIDITY_SECS.to_string(),
        super::super::MAX_VALIDITY_SECS.to_string(),
        format!("{} displays", super::super::MAX_DISPLAYS),
        format!("{} claims", super::super::MAX_CLAIMS),
        format!("{} types", super::super::MAX_TYPES),
        format!("{} findings", super::super::MAX_FINDINGS),
        format!("{} characters", super::super::MAX_NAME_CHARS),
    ] {
        assert!(reference.contains(&limit), "docs/contracts.md does not name {limit}");
    }
}
