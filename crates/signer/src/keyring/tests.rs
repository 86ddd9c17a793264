//! Tests of the key file and of sealed rows.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;

const HERE: Binding<'static> = Binding { tenant: "t1", kind: "claims", row: "r1" };

fn line(id: &str, byte: u8) -> String {
    format!("{id} {}\n", STANDARD.encode([byte; KEY_BYTES]))
}

fn ring(lines: &[(&str, u8)]) -> Keyring {
    Keyring::parse(&lines.iter().map(|(id, byte)| line(id, *byte)).collect::<String>()).unwrap()
}

fn problem(text: &str) -> (usize, LineProblem) {
    match Keyring::parse(text).unwrap_err() {
        KeyringError::Line { line, problem } => (line, problem),
        other => panic!("{other}"),
    }
}

#[test]
fn the_first_key_encrypts_and_all_decrypt() {
    let old = ring(&[("old", 1)]);
    let both = Keyring::parse(&format!("# a rotation\n\n{}  {}", line("new", 2), line("old", 1))).unwrap();
    assert_eq!(both.primary(), "new");
    assert_eq!(both.ids().collect::<Vec<_>>(), ["new", "old"]);
    let sealed = old.seal(&HERE, b"before").unwrap();
    assert_eq!(both.open(&HERE, &sealed).unwrap().as_slice(), b"before");
    assert!(both.seal(&HERE, b"after").unwrap().starts_with("v1.new."));
}

#[test]
fn wrong_lines_are_refused_by_number_and_reason() {
    let good = line("a", 1);
    assert_eq!(problem(&format!("{good}lonely")), (2, LineProblem::Shape));
    assert_eq!(problem(&format!("# c\n\nb {} more", STANDARD.encode([1; 32]))), (3, LineProblem::Shape));
    for id in ["Upper", "under_score", "dotted.id", "ü", "a234567890123456789012345678901234"] {
        assert_eq!(problem(&line(id, 1)), (1, LineProblem::Id), "{id}");
    }
    assert_eq!(problem(&format!("{good}{}", line("a", 2))), (2, LineProblem::DuplicateId));
    assert_eq!(problem("a !!!!"), (1, LineProblem::Base64));
    assert_eq!(problem(&format!("a {}", STANDARD.encode([1; 31]))), (1, LineProblem::Length));
    assert_eq!(problem(&format!("a {}", STANDARD.encode([1; 33]))), (1, LineProblem::Length));
}

#[test]
fn a_file_without_a_key_is_refused() {
    assert!(matches!(Keyring::parse("# nothing\n\n"), Err(KeyringError::Empty)));
}

#[test]
fn a_refused_line_is_not_repeated() {
    let secret = STANDARD.encode([9; 31]);
    let error = Keyring::parse(&format!("a {secret}")).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(&secret));
}

#[test]
fn a_generated_text_gives_the_same_key() {
    let (keyring, text) = Keyring::generate().unwrap();
    let parsed = Keyring::parse(&text).unwrap();
    let sealed = keyring.seal(&HERE, b"x").unwrap();
    assert_eq!(parsed.open(&HERE, &sealed).unwrap().as_slice(), b"x");
    assert_eq!(keyring.check_values().collect::<Vec<_>>(), parsed.check_values().collect::<Vec<_>>());
}

#[test]
fn key_material_stays_out_of_debug_output() {
    let keyring = ring(&[("a", 7)]);
    assert_eq!(format!("{keyring:?}"), "[\"a\"]");
}

#[cfg(unix)]
#[test]
fn a_key_file_that_others_can_read_is_refused_with_the_cure() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    fs::write(&path, line("a", 1)).unwrap();
    for mode in [0o640, 0o604, 0o620, 0o601] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let message = Keyring::load(&path).unwrap_err().to_string();
        assert!(message.contains(&format!("{mode:04o}")), "{message}");
        assert!(message.contains(&format!("chmod 600 {}", path.display())), "{message}");
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(Keyring::load(&path).unwrap().primary(), "a");
    }
}

#[cfg(unix)]
#[test]
fn a_group_may_read_what_root_mounted_for_it() {
    use super::file::is_closed;
    for mode in [0o440, 0o640] {
        assert!(is_closed(mode, 0, 1000), "{mode:04o}");
        assert!(!is_closed(mode, 1000, 1000), "{mode:04o}: the owner would be able to close it");
        assert!(!is_closed(mode, 0, 0), "{mode:04o}: root needs no group");
    }
    for mode in [0o444, 0o644, 0o460, 0o450, 0o604] {
        assert!(!is_closed(mode, 0, 1000), "{mode:04o}");
    }
    for mode in [0o400, 0o600] {
        assert!(
            is_closed(mode, 0, 0) && is_closed(mode, 1000, 1000) && is_closed(mode, 0, 1000),
            "{mode:04o}"
        );
    }
}

#[test]
fn a_created_key_file_can_be_loaded_and_is_not_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let created = Keyring::create(&path).unwrap();
    let loaded = Keyring::load(&path).unwrap();
    assert_eq!(created.primary(), loaded.primary());
    let before = fs::read(&path).unwrap();
    assert!(matches!(Keyring::create(&path), Err(KeyringError::File { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[cfg(unix)]
#[test]
fn a_huge_key_file_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    fs::write(&path, format!("{}{}", line("a", 1), "#".repeat(64 * 1024))).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(Keyring::load(&path), Err(KeyringError::File { .. })));
}

#[test]
fn a_missing_key_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let message = Keyring::load(&directory.path().join("absent")).unwrap_err().to_string();
    assert!(message.contains("absent"), "{message}");
}

#[test]
fn a_row_opens_only_in_its_place() {
    let keyring = ring(&[("a", 1)]);
    let sealed = keyring.seal(&HERE, b"claims").unwrap();
    for elsewhere in [
        Binding { tenant: "t2", ..HERE },
        Binding { kind: "answer", ..HERE },
        Binding { row: "r2", ..HERE },
        // The same letters, divided differently.
        Binding { tenant: "t1c", kind: "laims", ..HERE },
    ] {
        assert!(matches!(keyring.open(&elsewhere, &sealed), Err(KeyringError::Corrupt)), "{elsewhere:?}");
        assert!(matches!(keyring.rewrap(&elsewhere, &sealed), Err(KeyringError::Corrupt)), "{elsewhere:?}");
    }
}

#[test]
fn the_halves_of_two_sealings_do_not_fit_together() {
    let keyring = ring(&[("a", 1)]);
    let first = keyring.seal(&HERE, b"one").unwrap();
    let second = keyring.seal(&HERE, b"two").unwrap();
    let head = first.rsplit_once('.').unwrap().0;
    let tail = second.rsplit_once('.').unwrap().1;
    assert!(matches!(keyring.open(&HERE, &format!("{head}.{tail}")), Err(KeyringError::Corrupt)));
}

#[test]
fn a_missing_key_is_named_with_the_loaded_ones() {
    let sealed = ring(&[("gone", 1)]).seal(&HERE, b"x").unwrap();
    match ring(&[("a", 2), ("b", 3)]).open(&HERE, &sealed).unwrap_err() {
        KeyringError::UnknownKek { id, loaded } => {
            assert_eq!(id, "gone");
            assert_eq!(loaded, ["a", "b"]);
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_wrong_key_under_a_right_id_is_found_by_its_check_value() {
    let used = ring(&[("a", 1)]);
    let stored = used.check_values().next().unwrap().1.to_owned();
    assert_eq!(stored.len(), 16);
    assert!(used.matches("a", &stored).is_ok());
    assert!(matches!(ring(&[("a", 2)]).matches("a", &stored), Err(KeyringError::WrongKek { .. })));
    assert!(matches!(ring(&[("b", 1)]).matches("a", &stored), Err(KeyringError::UnknownKek { .. })));
    // And without the check, nothing opens either.
    let sealed = used.seal(&HERE, b"x").unwrap();
    assert!(matches!(ring(&[("a", 2)]).open(&HERE, &sealed), Err(KeyringError::Corrupt)));
}

#[test]
fn rewrapping_moves_a_row_to_the_primary_key_and_keeps_the_payload() {
    let sealed = ring(&[("old", 1)]).seal(&HERE, b"payload").unwrap();
    let both = ring(&[("new", 2), ("old", 1)]);
    let moved = both.rewrap(&HERE, &sealed).unwrap();
    assert!(moved.starts_with("v1.new."));
    assert_eq!(moved.rsplit_once('.').unwrap().1, sealed.rsplit_once('.').unwrap().1);
    assert_eq!(ring(&[("new", 2)]).open(&HERE, &moved).unwrap().as_slice(), b"payload");
    assert_eq!(both.rewrap(&HERE, &moved).unwrap(), moved);
}

#[test]
fn what_is_not_an_envelope_is_refused() {
    let keyring = ring(&[("a", 1)]);
    let sealed = keyring.seal(&HERE, b"x").unwrap();
    let parts: Vec<&str> = sealed.split('.').collect();
    let short = URL_SAFE_NO_PAD.encode([0; 71]);
    for text in [
        String::new(),
        "v1".into(),
        sealed.replacen("v1", "v2", 1),
        format!("{sealed}."),
        format!("v1.A.{}.{}", parts[2], parts[3]),
        format!("v1.a.{short}.{}", parts[3]),
        format!("v1.a.!.{}", parts[3]),
        format!("v1.a.{}.!", parts[2]),
        format!("v1.a.{}.AAAA", parts[2]),
    ] {
        assert!(matches!(keyring.open(&HERE, &text), Err(KeyringError::Malformed)), "{text}");
    }
}

#[test]
fn two_rows_with_the_same_content_look_different() {
    let keyring = ring(&[("a", 1)]);
    assert_ne!(keyring.seal(&HERE, b"x").unwrap(), keyring.seal(&HERE, b"x").unwrap());
}

proptest! {
    #[test]
    fn what_was_sealed_opens(plaintext in proptest::collection::vec(any::<u8>(), 0..600), row in ".*") {
        let keyring = ring(&[("a", 1)]);
        let binding = Binding { row: &row, ..HERE };
        let sealed = keyring.seal(&binding, &plaintext).unwrap();
        let opened = keyring.open(&binding, &sealed).unwrap();
        prop_assert_eq!(opened.as_slice(), plaintext.as_slice());
    }

    #[test]
    fn one_changed_character_never_opens(at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_.-]") {
        let keyring = ring(&[("a", 1)]);
        let sealed = keyring.seal(&HERE, b"some claims").unwrap();
        let at = at.index(sealed.len());
        let mut changed = sealed.clone();
        changed.replace_range(at..=at, &with);
        prop_assume!(changed != sealed);
        prop_assert!(keyring.open(&HERE, &changed).is_err());
    }

    #[test]
    fn any_text_is_refused_without_a_panic(text in ".*") {
        let keyring = ring(&[("a", 1)]);
        prop_assert!(keyring.open(&HERE, &text).is_err());
        let framed = format!("v1.a.{text}");
        prop_assert!(keyring.open(&HERE, &framed).is_err());
    }

    #[test]
    fn any_key_file_is_read_without_a_panic(text in "(?s).{0,200}") {
        prop_assert!(Keyring::parse(&text).is_err());
    }
}
