//! Tests of the plan and of the summing up. No cargo is started here.

use super::*;

fn parse(words: &[&str], in_ci: bool) -> anyhow::Result<Options> {
    Options::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), in_ci)
}

fn titles(options: &Options) -> Vec<String> {
    plan(options, &[]).iter().map(Step::title).collect()
}

fn ended(ok: bool, passed: u64, failed: u64) -> Option<Ended> {
    Some(Ended { ok, tally: Tally { passed, failed, ignored: 0 }, elapsed: Duration::ZERO })
}

fn total_of(results: &[Option<Ended>], options: &Options) -> Tally {
    total(&results.iter().map(|ended| ("step".to_owned(), ended.clone())).collect::<Vec<_>>(), options)
}

#[test]
fn arguments_are_read() {
    let options = parse(&["--filter", "rotation", "--skip-lint"], false).unwrap();
    assert_eq!(options, Options { filter: Some("rotation".to_owned()), skip_lint: true, in_ci: false });
}

#[test]
fn wrong_arguments_are_refused() {
    for words in [
        ["--filter"].as_slice(),
        &["--filter", "--skip-lint"],
        &["--filter", ""],
        &["rotation"],
        &["--quick"],
    ] {
        assert!(parse(words, false).is_err(), "{words:?}");
    }
}

#[test]
fn ci_leaves_nothing_out() {
    assert!(parse(&["--skip-lint"], true).is_err());
    let titles = titles(&parse(&[], true).unwrap());
    assert_eq!(
        titles,
        [
            "cargo fmt --all --check",
            "cargo clippy --workspace --all-targets --locked -- -D warnings",
            "cargo build --workspace --exclude credenza-tests --bins --locked",
            "cargo test --workspace --exclude credenza-tests --locked --no-fail-fast",
            "cargo test --package credenza-tests --locked --no-fail-fast",
            "RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked",
        ]
    );
}

#[test]
fn skip_lint_keeps_build_and_tests_and_filter_reaches_the_tests() {
    let titles = titles(&parse(&["--skip-lint", "--filter", "rotation"], false).unwrap());
    assert_eq!(
        titles,
        [
            "cargo build --workspace --exclude credenza-tests --bins --locked",
            "cargo test --workspace --exclude credenza-tests --locked --no-fail-fast rotation",
            "cargo test --package credenza-tests --locked --no-fail-fast rotation",
        ]
    );
}

#[test]
fn only_test_steps_get_the_harness_environment() {
    let place = ("CREDENZA_BIN_DIR".to_owned(), "somewhere".to_owned());
    for step in plan(&Options::default(), std::slice::from_ref(&place)) {
        assert_eq!(step.environment.contains(&place), step.runs_tests, "{}", step.title());
    }
}

#[test]
fn a_failure_without_a_failed_test_counts_as_one() {
    let options = Options::default();
    assert_eq!(total_of(&[ended(true, 3, 0), ended(false, 0, 0)], &options).failed, 1);
    assert_eq!(total_of(&[ended(false, 3, 2)], &options).failed, 2);
    assert_eq!(total_of(&[ended(false, 0, 0), None, None], &options).failed, 3);
    assert_eq!(
        total_of(&[ended(true, 3, 0), ended(true, 4, 0)], &options),
        Tally { passed: 7, failed: 0, ignored: 0 }
    );
}

#[test]
fn a_filter_that_matches_nothing_fails() {
    let options = Options { filter: Some("x".to_owned()), ..Options::default() };
    assert_eq!(total_of(&[ended(true, 0, 0), ended(true, 0, 0)], &options).failed, 1);
    assert_eq!(total_of(&[ended(true, 0, 0), ended(true, 1, 0)], &options).failed, 0);
}

#[test]
fn a_test_step_that_runs_no_test_fails() {
    let plan = plan(&Options::default(), &[]);
    let judged: Vec<bool> =
        plan.iter().map(|step| judge(step, &Options::default(), ended(true, 0, 0).unwrap()).ok).collect();
    assert_eq!(judged, [true, true, true, false, false, true]);
}
