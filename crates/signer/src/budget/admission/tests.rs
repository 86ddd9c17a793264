//! Tokens, the queue and what a request costs.

use super::*;

const FLOW: Flow = Flow { units: 2000 * UNITS, window_ms: 10_000 };

fn admitted(gate: &mut Gate, at: i64) -> u32 {
    let mut admitted = 0;
    while gate.judge(FLOW, at) == Admission::Admitted {
        gate.take(FLOW, at);
        admitted += 1;
    }
    admitted
}

#[test]
fn a_second_s_worth_is_there_at_first_and_grows_with_the_limit() {
    let mut gate = Gate::default();
    // 0.98 · 2,000 / (10 s · 2 signatures)
    assert_eq!(admitted(&mut gate, 0), 98);
    assert_eq!(gate.judge(FLOW, 0), Admission::Refused(Refusal::NoTokens));
    assert_eq!(admitted(&mut gate, 500), 49);
    assert_eq!(admitted(&mut gate, 60_000), 98, "no more than a second's worth");
    assert_eq!(admitted(&mut gate, 59_000), 0, "time that went back gives nothing");
}

#[test]
fn a_limit_too_small_for_one_request_a_second_still_admits() {
    let gate = Gate::default();
    let flow = Flow { units: UNITS, window_ms: 10_000 };
    assert_eq!(gate.judge(flow, 0), Admission::Admitted);
}

#[test]
fn nobody_is_admitted_into_a_queue_of_a_second() {
    let mut gate = Gate::default();
    gate.report("a", 150 * UNITS, 0);
    gate.report("b", 49 * UNITS, 0);
    assert_eq!(gate.judge(FLOW, 0), Admission::Admitted);
    gate.report("b", 50 * UNITS, 0);
    assert_eq!(gate.queued(0), 200 * UNITS);
    assert_eq!(gate.judge(FLOW, 0), Admission::Refused(Refusal::QueueTooLong));
    gate.report("a", 0, 0);
    assert_eq!(gate.judge(FLOW, 0), Admission::Admitted);
}

#[test]
fn a_queue_that_nobody_speaks_of_is_forgotten_after_5_s() {
    let mut gate = Gate::default();
    gate.report("a", 500 * UNITS, 1000);
    assert_eq!(gate.queued(6000), 500 * UNITS);
    assert_eq!(gate.queued(6001), 0);
    gate.refresh(6001, 0);
    assert!(gate.queues.is_empty());
}

#[test]
fn not_more_replicas_are_listened_to_than_the_row_has_room_for() {
    let mut gate = Gate::default();
    for replica in 0..100 {
        gate.report(&replica.to_string(), 1, 0);
    }
    assert_eq!(gate.queues.len(), 64);
}

#[test]
fn m_is_what_requests_really_cost() {
    let mut gate = Gate::default();
    gate.refresh(0, 0);
    assert_eq!(gate.m, 2 * UNITS);
    for i in 0..500 {
        gate.count_created(5000);
        if i < 250 {
            gate.count_asked(5000, UNITS);
        }
    }
    gate.refresh(0, 59_999);
    assert_eq!(gate.m, 2 * UNITS, "requests younger than 60 s do not count yet");
    gate.refresh(0, 70_000);
    // (500 · 2 + 250) / (500 + 500)
    assert_eq!(gate.m, UNITS * 1250 / 1000);
    let before = gate.m;
    gate.refresh(0, 79_999);
    assert_eq!(gate.m, before, "once per 10 s");
    gate.refresh(0, 260_000);
    assert!(gate.created.is_empty(), "and requests older than 240 s no longer");
    gate.count_asked(5000, UNITS);
    assert!(gate.created.is_empty());
}

#[test]
fn codes_that_nobody_scans_do_not_open_the_gate_without_bound() {
    let mut gate = Gate::default();
    for bucket in 0..400_i64 {
        gate.refresh(0, bucket * 10_000);
        for _ in 0..3000 {
            gate.count_created(bucket * 10_000);
        }
    }
    assert_eq!(gate.m, UNITS / 10);
}
