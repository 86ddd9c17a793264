//! Tests of the decision what to do about missing tools. No command is run here.

use super::*;

fn commands(plan: Plan) -> Vec<String> {
    let Plan::Install(commands) = plan else { panic!("{plan:?}") };
    commands.into_iter().map(|words| words.join(" ")).collect()
}

fn text(plan: Plan) -> String {
    let Plan::Stop(text) = plan else { panic!("{plan:?}") };
    text
}

#[test]
fn nothing_missing_needs_nothing() {
    assert_eq!(plan(&[], false, Privilege::None), Plan::Ready);
    assert_eq!(plan(&[], true, Privilege::Root), Plan::Ready);
}

#[test]
fn root_updates_once_and_installs_only_what_is_missing() {
    let commands = commands(plan(&[Tool::Postgres, Tool::Chromedriver], true, Privilege::Root));
    let [settings, update, install] = commands.as_slice() else { panic!("{commands:?}") };
    assert!(
        settings.starts_with("env sh -c [ -e ") && settings.contains("create_main_cluster=false"),
        "{settings}"
    );
    assert!(update.ends_with(" update"), "{update}");
    assert!(
        install.ends_with(" install --yes --no-install-recommends postgresql chromium-driver"),
        "{install}"
    );
    for command in [update, install] {
        assert!(command.starts_with("env DEBIAN_FRONTEND=noninteractive "), "{command}");
    }
}

#[test]
fn sudo_sets_the_environment_behind_sudo() {
    let commands = commands(plan(&[Tool::Chromium], true, Privilege::Sudo));
    assert_eq!(commands.len(), 2, "no server settings without a server: {commands:?}");
    for command in commands {
        assert!(command.starts_with("sudo -n env DEBIAN_FRONTEND=noninteractive "), "{command}");
    }
}

#[test]
fn without_rights_it_stops_and_names_packages_command_and_variables() {
    let text = text(plan(&[Tool::Postgres, Tool::Chromium], true, Privilege::None));
    assert!(text.contains("sudo apt-get install --no-install-recommends postgresql chromium\n"), "{text}");
    assert!(text.contains("CREDENZA_PG_BIN, CREDENZA_CHROMIUM"), "{text}");
    assert!(text.contains("not root"), "{text}");
}

#[test]
fn without_apt_get_it_stops_even_for_root() {
    let text = text(plan(&[Tool::Git], false, Privilege::Root));
    assert!(text.contains("no apt-get") && text.contains("install --no-install-recommends git\n"), "{text}");
}
