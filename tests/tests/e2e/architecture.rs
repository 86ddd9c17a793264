//! Rules about the repository itself: who may use whom, what may be shipped, how long files are, what they must not name.
//!
//! The crate table is that of ARCHITECTURE.md. Who changes it here needs a decision record in `docs/adr/`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use credenza_tests::binaries;
use serde_json::Value;
use xtask::tools::Tool;

/// Our crates and which of ours each may use, outside of its tests.
const MAY_USE: [(&str, &[&str]); 12] = [
    ("credenza-domain", &[]),
    ("credenza-credential", &["credenza-domain"]),
    ("credenza-signer", &["credenza-domain"]),
    ("credenza-egress", &["credenza-domain"]),
    ("credenza-did-web", &["credenza-domain", "credenza-credential", "credenza-egress"]),
    ("credenza-store", &["credenza-domain"]),
    (
        "credenza-issuer",
        &[
            "credenza-domain",
            "credenza-credential",
            "credenza-signer",
            "credenza-egress",
            "credenza-did-web",
            "credenza-store",
        ],
    ),
    (
        "credenza",
        &[
            "credenza-domain",
            "credenza-credential",
            "credenza-signer",
            "credenza-egress",
            "credenza-did-web",
            "credenza-store",
            "credenza-issuer",
        ],
    ),
    ("wallet", &[]),
    ("vault-sim", &[]),
    ("xtask", &[]),
    ("credenza-tests", &["wallet", "xtask"]),
];

/// These judge the product from outside, so not even their tests may share code with it.
const SHARES_NOTHING: [&str; 2] = ["wallet", "vault-sim"];

/// Dependencies with one home, and who may use them outside of tests.
const HOMES: [(&str, &[&str]); 7] = [
    ("rusqlite", &["credenza-store", "credenza-tests"]),
    ("sqlx", &["credenza-store"]),
    ("reqwest", &["credenza-egress", "credenza-signer", "wallet", "credenza-tests"]),
    ("azure_core", &["credenza-signer"]),
    ("azure_identity", &["credenza-signer"]),
    ("azure_security_keyvault_keys", &["credenza-signer"]),
    ("actix-web", &["credenza-issuer", "credenza"]),
];

/// A second TLS or crypto library in the shipped binary.
const NOT_SHIPPED: [&str; 3] = ["ring", "openssl-sys", "native-tls"];

const LONGEST_FILE: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root").to_path_buf()
}

fn output_of(command: &mut Command) -> String {
    let output = command.current_dir(root()).stdin(Stdio::null()).output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn cargo(arguments: &[&str]) -> String {
    output_of(Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())).args(arguments))
}

/// Per member of the workspace: its dependencies as (name, kind), kind being `normal`, `build` or `dev`.
fn members() -> BTreeMap<String, Vec<(String, String)>> {
    let text = cargo(&["metadata", "--format-version", "1", "--no-deps"]);
    let metadata: Value = serde_json::from_str(&text).expect("cargo writes JSON");
    let dependency = |of: &Value| {
        let name = of["name"].as_str().expect("a name").to_owned();
        (name, of["kind"].as_str().unwrap_or("normal").to_owned())
    };
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("dependencies");
            (
                package["name"].as_str().expect("a name").to_owned(),
                dependencies.iter().map(dependency).collect(),
            )
        })
        .collect()
}

/// What git tracks or would track.
fn tracked_files() -> Vec<PathBuf> {
    let mut git = Command::new(binaries::tool(Tool::Git));
    // The checkout may belong to another user than the one who runs the tests.
    git.args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let files: BTreeSet<PathBuf> =
        output_of(&mut git).split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    let files: Vec<PathBuf> = files.into_iter().filter(|file| root().join(file).is_file()).collect();
    assert!(files.contains(&PathBuf::from("Cargo.toml")), "git lists no files: is this a clone?");
    files
}

fn rust_files() -> Vec<(PathBuf, String)> {
    let is_ours = |file: &PathBuf| {
        file.extension().is_some_and(|extension| extension == "rs")
            && (file.starts_with("crates") || file.starts_with("tests"))
    };
    tracked_files()
        .into_iter()
        .filter(is_ours)
        .map(|file| {
            let text = std::fs::read_to_string(root().join(&file)).expect("a source file is text");
            (file, text)
        })
        .collect()
}

#[test]
fn the_members_are_those_of_the_table() {
    let known: BTreeSet<String> = MAY_USE.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(members().into_keys().collect::<BTreeSet<_>>(), known, "a new crate needs a decision record");
}

#[test]
fn our_crates_use_only_whom_they_may() {
    let members = members();
    let mut wrong = Vec::new();
    for (name, may_use) in MAY_USE {
        for (used, kind) in &members[name] {
            let counts = kind != "dev" || SHARES_NOTHING.contains(&name);
            if counts && members.contains_key(used) && !may_use.contains(&used.as_str()) {
                wrong.push(format!("{name} uses {used} ({kind})"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn some_dependencies_have_one_home() {
    let mut wrong = Vec::new();
    for (name, dependencies) in members() {
        for (used, kind) in dependencies {
            let home = HOMES.iter().find(|(dependency, _)| *dependency == used);
            if kind != "dev" && home.is_some_and(|(_, users)| !users.contains(&name.as_str())) {
                wrong.push(format!("{name} uses {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_binary_ships_one_crypto_library() {
    let tree =
        cargo(&["tree", "--locked", "-p", "credenza", "-e", "normal,build", "--prefix", "none", "-f", "{p}"]);
    let shipped: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(shipped.contains("aws-lc-rs"), "this is not the tree of credenza: {shipped:?}");
    let wrong: Vec<&str> = NOT_SHIPPED.into_iter().filter(|name| shipped.contains(name)).collect();
    assert!(wrong.is_empty(), "{wrong:?} in the shipped tree; see `cargo tree -p credenza -i {}`", wrong[0]);
}

#[test]
fn the_map_names_files_that_exist() {
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md exists");
    let is_of_a_path = |letter: char| letter.is_ascii_alphanumeric() || "_-./".contains(letter);
    let named: BTreeSet<&str> = map
        .split(|letter| !is_of_a_path(letter))
        .filter(|word| word.ends_with(".rs") && *word != ".rs")
        .collect();
    assert!(!named.is_empty(), "ARCHITECTURE.md names no source file");
    let missing: Vec<&&str> = named.iter().filter(|path| !root().join(path).is_file()).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names files that do not exist: {missing:#?}");
}

#[test]
fn no_source_file_is_too_long() {
    let long: Vec<String> = rust_files()
        .iter()
        .map(|(file, text)| (file, text.lines().count()))
        .filter(|(_, lines)| *lines > LONGEST_FILE)
        .map(|(file, lines)| format!("{}: {lines} lines", file.display()))
        .collect();
    assert!(long.is_empty(), "split by meaning: {long:#?}");
}

#[test]
fn every_source_file_says_what_it_owns() {
    let silent: Vec<PathBuf> = rust_files()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(file, _)| file)
        .collect();
    assert!(silent.is_empty(), "no `//!` in the first line of {silent:#?}");
}

/// Whether `text` holds `word` where a path or a host begins, that is not inside a longer word, path or address.
fn holds(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(position, _)| {
        let before = text[..position].chars().next_back();
        word.contains("//")
            || !before.is_some_and(|letter| letter.is_alphanumeric() || "._-/}$~".contains(letter))
    })
}

#[test]
fn no_file_names_a_machine_or_a_package_mirror() {
    // Put together at run time, so that this file does not hold them.
    let directories = ["root", "home", "work", "Users"].map(|name| format!("/{name}/"));
    let hosts =
        [["//registry", "npmjs"], ["//index", "crates"], ["//static", "crates"], ["//proxy", "golang"]]
            .map(|parts| parts.join("."));
    let lock_address = format!("\"{}\": \"http", "resolved");
    let forbidden: Vec<String> = directories.into_iter().chain(hosts).chain([lock_address]).collect();
    let mut wrong = Vec::new();
    for file in tracked_files() {
        let bytes = std::fs::read(root().join(&file)).expect("a tracked file can be read");
        let text = String::from_utf8_lossy(&bytes);
        for (number, line) in text.lines().enumerate() {
            for word in forbidden.iter().filter(|word| holds(line, word)) {
                wrong.push(format!("{}:{} holds `{word}`", file.display(), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_search_for_machine_paths_finds_them_and_nothing_else() {
    let path = format!("/{}/", "home");
    for text in [format!("in {path}me"), format!("\"{path}me\""), format!("{path}me")] {
        assert!(holds(&text, &path), "{text}");
    }
    for text in [format!("https://example.com{path}page"), format!("$DIR{path}me"), "home/".to_owned()] {
        assert!(!holds(&text, &path), "{text}");
    }
}
