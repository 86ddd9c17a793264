//! Tests of the search for tools, in made-up directories.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

struct Machine {
    root: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn places(&self) -> Places {
        Places {
            path: vec![self.root.path().join("bin")],
            postgres_versions: self.root.path().join("versions"),
        }
    }

    fn put(&self, path: &str, text: &str) -> PathBuf {
        let file = self.root.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    fn put_server(&self, directory: &str) -> PathBuf {
        for name in POSTGRES_PROGRAMS {
            self.put(&format!("{directory}/{name}"), "");
        }
        self.root.path().join(directory)
    }
}

#[test]
fn nothing_is_found_on_an_empty_machine() {
    let machine = Machine::new();
    for tool in Tool::ALL {
        assert_eq!(machine.places().find(tool, None), None, "{tool:?}");
    }
}

#[test]
fn the_newest_debian_server_wins_by_number_not_by_spelling() {
    let machine = Machine::new();
    machine.put_server("versions/9/bin");
    let newest = machine.put_server("versions/15/bin");
    assert_eq!(machine.places().find(Tool::Postgres, None), Some(newest));
}

#[test]
fn a_directory_that_lacks_a_program_is_no_server() {
    let machine = Machine::new();
    let directory = machine.put_server("versions/15/bin");
    fs::remove_file(directory.join("psql")).unwrap();
    assert_eq!(machine.places().find(Tool::Postgres, None), None);
}

#[test]
fn a_link_in_the_path_leads_to_the_server() {
    let machine = Machine::new();
    let server = machine.put_server("elsewhere/server");
    fs::create_dir_all(machine.root.path().join("bin")).unwrap();
    symlink(server.join("initdb"), machine.root.path().join("bin/initdb")).unwrap();
    assert_eq!(machine.places().find(Tool::Postgres, None), Some(server.canonicalize().unwrap()));
}

#[test]
fn pg_config_is_asked() {
    let machine = Machine::new();
    let server = machine.put_server("elsewhere/server");
    machine.put("bin/pg_config", &format!("#!/bin/sh\n[ \"$1\" = --bindir ] && echo {}\n", server.display()));
    assert_eq!(machine.places().find(Tool::Postgres, None), Some(server));
}

#[test]
fn programs_are_found_under_any_of_their_names() {
    let machine = Machine::new();
    let driver = machine.put("bin/chromedriver", "");
    let browser = machine.put("bin/google-chrome", "");
    assert_eq!(machine.places().find(Tool::Chromedriver, None), Some(driver));
    assert_eq!(machine.places().find(Tool::Chromium, None), Some(browser));
}

#[test]
fn a_python_that_cannot_make_environments_is_passed_over() {
    let machine = Machine::new();
    machine.put("bin/python3", "#!/bin/sh\nexit 1\n");
    assert_eq!(machine.places().find(Tool::Python, None), None);
    let complete = machine.put("more/python3", "#!/bin/sh\n[ \"$2\" = 'import ensurepip, venv' ]\n");
    let mut places = machine.places();
    places.path.push(machine.root.path().join("more"));
    assert_eq!(places.find(Tool::Python, None), Some(complete));
}

#[test]
fn an_override_that_leads_nowhere_counts_as_missing() {
    let machine = Machine::new();
    machine.put("bin/chromium", "");
    machine.put_server("versions/15/bin");
    let nowhere = machine.root.path().join("nowhere");
    assert_eq!(machine.places().find(Tool::Chromium, Some(&nowhere)), None);
    assert_eq!(machine.places().find(Tool::Postgres, Some(&nowhere)), None);
}

#[test]
fn an_override_wins_over_the_path() {
    let machine = Machine::new();
    machine.put("bin/chromium", "");
    let other = machine.put("other/browser", "");
    assert_eq!(machine.places().find(Tool::Chromium, Some(&other)), Some(other));
}
