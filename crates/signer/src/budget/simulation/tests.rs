//! The figures of `docs/budget.md`, with the promises of design section 8 as bounds.

use super::report::Report;
use super::service::{Plan, Service};
use super::signatures::Demand;
use super::vault::Window;
use super::{MS, S};

const WINDOWS: [Window; 2] = [Window::Sliding, Window::Fixed(3_700_000)];

fn plan(demand: Demand) -> Plan {
    Plan {
        seed: 1,
        replicas: 1,
        limit: 2000,
        commit: 3 * MS,
        demand,
        window: Window::Sliding,
        count_refused: false,
        foreign: None,
        length: 400 * S,
    }
}

fn overload(replicas: usize, window: Window) {
    // 143 requests per second are what 200 signatures per second carry when 30 % of the codes are not scanned.
    let report = Service::new(Plan { replicas, window, ..plan(Demand::Requests(3 * 143)) }).run();
    let used = Report::rate(&report.accepted, 240 * S, 400 * S) / 200.0;
    println!(
        "overload, {replicas} replicas, {window:?}: {:.2} % used, m {:.3}, slowest {} ms, wait p50 {:.1} p99 {:.1} ms, \
         created {}, turned away {}, row {} bytes",
        used * 100.0,
        report.m,
        report.slowest / MS,
        report.wait(240 * S, 500),
        report.wait(240 * S, 990),
        report.created,
        report.turned_away,
        report.longest_text,
    );
    assert_eq!(report.refused.len(), 0, "the vault refused");
    assert!(report.fullest() <= 2000);
    assert!(used >= 0.97, "{used}");
    assert!(report.slowest < 10 * S, "an admitted wallet waited {} ms", report.slowest / MS);
    assert!(report.turned_away > report.created);
    assert!(report.longest_text < 3000, "the row has {} bytes", report.longest_text);
}

#[test]
fn an_overloaded_replica_uses_the_limit_and_never_breaks_it() {
    for window in WINDOWS {
        overload(1, window);
    }
}

#[test]
fn three_overloaded_replicas_use_the_limit_and_never_break_it() {
    for window in WINDOWS {
        overload(3, window);
    }
}

#[test]
fn a_burst_after_quiet_goes_out_at_once() {
    let report = Service::new(Plan { length: 40 * S, ..plan(Demand::Burst(1000, 30 * S)) }).run();
    assert_eq!(report.accepted.len(), 1000);
    let last = report.accepted.iter().max().unwrap() - 30 * S;
    println!(
        "burst of 1,000: the last arrives after {} ms, is answered by {} ms",
        last / MS,
        report.slowest / MS
    );
    assert!(last < S / 10);
    assert!(report.slowest < S);
}

#[test]
fn at_half_load_a_grant_takes_a_few_commits() {
    for (commit, share) in [(1, 50), (3, 50), (3, 90), (5, 50)] {
        let demand = Demand::Requests(143 * share / 100);
        let report = Service::new(Plan { commit: commit * MS, length: 120 * S, ..plan(demand) }).run();
        let (p50, p99) = (report.wait(40 * S, 500), report.wait(40 * S, 990));
        println!("commits of {commit} ms, {share} % load: wait p50 {p50:.1} ms, p99 {p99:.1} ms");
        let commits = f64::from(i32::try_from(commit).unwrap());
        assert!(p99 <= 10.0 * commits, "{p99} ms");
        assert_eq!(report.refused.len(), 0);
    }
}

#[test]
fn half_of_the_limit_is_left_to_another_tenant() {
    for window in WINDOWS {
        for count_refused in [false, true] {
            let foreign = Some((100, 60 * S, 660 * S));
            let plan = Plan { foreign, window, count_refused, length: 900 * S, ..plan(Demand::Always(400)) };
            let report = Service::new(plan).run();
            let ours = Report::rate(&report.accepted, 90 * S, 660 * S);
            let theirs = Report::rate(&report.foreign_accepted, 90 * S, 660 * S);
            let refused = report.refused.len();
            let again = (660..900).find(|s| Report::rate(&report.accepted, s * S, (s + 10) * S) >= 190.0);
            let least = (100..650)
                .map(|s| Report::rate(&report.accepted, s * S, (s + 10) * S))
                .fold(f64::MAX, f64::min);
            println!(
                "foreign half, {window:?}, refused count {count_refused}: ours {ours:.1}/s (least in 10 s {least:.1}), theirs \
                 {theirs:.1}/s, refused ours {refused} theirs {}, full again after {:?} s",
                report.foreign_refused.len(),
                again.map(|s| s - 660),
            );
            assert!(ours >= 85.0, "{ours} of 100 per second");
            assert!(least >= 60.0, "{least}");
            assert!(theirs >= 95.0, "{theirs}");
            assert!(refused <= 600, "{refused} of 57,000 refused");
            assert!(again.is_some_and(|s| s - 660 <= 240), "{again:?}");
        }
    }
}
