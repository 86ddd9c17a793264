//! The row's text: round trips, size, and what is refused.

use proptest::prelude::*;

use super::*;
use crate::budget::{UNITS, slots::Slot};

fn full_row() -> Row {
    // A vault at its limit: 10 s of answered slots and a second of open ones, four per step.
    let mut held = Held::default();
    let first = 123_456_780;
    for step in 0..460 {
        held.add(first + step * STEP_MS, 4 * UNITS);
    }
    for step in 600..640 {
        held.add(first + step * STEP_MS, 4 * UNITS);
    }
    let time = BudgetTime {
        last: 123_456_789,
        shift: 1_780_000_000_000,
        lost: 12_345_678,
        rises: 60_000,
        newcomers: 1234,
        epoch: "2026-11-20 12:00:00.123456+00".to_owned(),
        paused_until: 15_500,
    };
    let mut gate = Gate { m: 3528, m_bucket: 178_000_000, tokens: Some(98_000_000), ..Gate::default() };
    for bucket in 0..25 {
        gate.created.insert(178_000_000 - bucket, Created { requests: 1400, asked: 4_939_200 });
    }
    for replica in 0..6 {
        gate.queues.insert(format!("replica-{replica}"), Queue { units: 200 * UNITS, at: 123_456_789 });
    }
    let cut = Some(Cut { at: 123_456_789, level: 450_000, paced_until: 123_456_789_000 });
    Row { time, pools: BTreeMap::from([(Operations::Sign, Pool { held, cut })]), gate }
}

#[test]
fn a_row_with_2000_slots_has_less_than_3_kb() {
    let row = full_row();
    let text = row.to_text().unwrap();
    assert!(text.len() < 3000, "{} bytes", text.len());
    assert_eq!(Row::parse(&text).unwrap(), row);
    assert!(!text.contains(char::is_whitespace) || text.contains("2026-11-20 12"), "one line, no blanks");
}

#[test]
fn a_new_row_reads_as_it_was_written() {
    let text = Row::new().to_text().unwrap();
    assert_eq!(
        text,
        r#"{"v":1,"time":{"last":0,"shift":0,"lost":0,"rises":0,"newcomers":0,"epoch":"","paused_until":0},"gate":{"counted_at":0,"m":5040,"created":[],"queues":{}}}"#
    );
    assert_eq!(Row::parse(&text).unwrap(), Row::new());
}

#[test]
fn another_format_is_named_and_refused() {
    let text = Row::new().to_text().unwrap();
    for other in ["2", "0", "4294967295"] {
        let expected = other.parse::<u32>().unwrap();
        let other = text.replacen("\"v\":1", &format!("\"v\":{other}"), 1);
        assert!(matches!(Row::parse(&other), Err(RowError::Schema(v)) if v == expected), "{other}");
    }
    let unknown = r#"{"v":7,"slots":[1,2]}"#;
    assert!(matches!(Row::parse(unknown), Err(RowError::Schema(7))));
}

#[test]
fn a_damaged_text_is_refused() {
    let text = full_row().to_text().unwrap();
    for damaged in [
        String::new(),
        "{}".to_owned(),
        "null".to_owned(),
        text[..text.len() - 1].to_owned(),
        format!("{text}{text}"),
        text.replacen("\"last\"", "\"first\"", 1),
        text.replacen("\"lost\":", "\"more\":1,\"lost\":", 1),
        text.replacen("\"lost\":", "\"lost\":1,\"lost\":", 1),
        text.replacen("\"shift\":1", "\"shift\":1.5,\"x\":1", 1),
    ] {
        assert!(matches!(Row::parse(&damaged), Err(RowError::Damaged(_))), "{damaged}");
    }
}

#[test]
fn a_text_that_contradicts_itself_is_refused() {
    let text = full_row().to_text().unwrap();
    let pool = |pool: &str| {
        let new = Row::new().to_text().unwrap();
        new.replacen("\"gate\"", &format!("\"sign\":{pool},\"gate\""), 1)
    };
    for impossible in [
        text.replacen("\"last\":", "\"last\":-", 1),
        text.replacen("\"lost\":", "\"lost\":-", 1),
        text.replacen("\"m\":3528", "\"m\":0", 1),
        pool(r#"{"first":0,"unit":1,"due":[0]}"#),
        pool(r#"{"first":0,"unit":0,"due":[1]}"#),
        pool(r#"{"first":0,"unit":18446744073709551615,"due":[2]}"#),
        pool(r#"{"first":9223372036854775807,"unit":1,"due":[1]}"#),
        pool(r#"{"first":1,"unit":1,"due":[-9223372036854775808,1]}"#),
        pool(&format!(r#"{{"first":0,"unit":1,"due":[{}1]}}"#, "1,".repeat(100_000))),
    ] {
        assert!(
            matches!(Row::parse(&impossible), Err(RowError::Impossible)),
            "{}",
            &impossible[..200.min(impossible.len())]
        );
    }
}

#[test]
fn a_slot_reads_as_it_was_written() {
    let slot = Slot { operations: Operations::CreateKey, units: 2520, granted_at: -5, due: 5020 };
    assert_eq!(slot.to_string(), "create_key 2520 -5 5020");
    assert_eq!(slot.to_string().parse(), Ok(slot));
    for bad in
        ["", "sign", "sign 1 2", "sign 1 2 3 4", "sign  1 2 3", "sing 1 2 3", "sign -1 2 3", "sign 1 2 x"]
    {
        assert!(bad.parse::<Slot>().is_err(), "{bad}");
    }
}

fn row() -> impl Strategy<Value = Row> {
    let pool = (
        prop::collection::btree_map(-1000_i64..100_000, 1_u64..1_000_000, 0..60),
        prop::option::of((any::<i64>(), any::<u64>(), any::<i64>())),
    );
    let pool = pool.prop_map(|(due, cut)| {
        let mut held = Held::default();
        for (step, units) in due {
            held.add(step * STEP_MS, units);
        }
        Pool { held, cut: cut.map(|(at, level, paced_until)| Cut { at, level, paced_until }) }
    });
    let pools = prop::collection::btree_map(
        prop::sample::select(vec![Operations::Sign, Operations::CreateKey]),
        pool,
        0..3,
    );
    let time = (0..i64::MAX, any::<i64>(), 0..i64::MAX, any::<i64>(), any::<u64>(), ".{0,12}", any::<i64>());
    let time = time.prop_map(|(last, shift, lost, rises, newcomers, epoch, paused_until)| BudgetTime {
        last,
        shift,
        lost,
        rises,
        newcomers,
        epoch,
        paused_until,
    });
    let created = prop::collection::btree_map(any::<i64>(), (any::<u64>(), any::<u64>()), 0..30);
    let queues = prop::collection::btree_map(".{0,12}", (any::<u64>(), any::<i64>()), 0..5);
    let gate = (
        prop::option::of(any::<u64>()),
        any::<i64>(),
        1..u64::MAX,
        (i64::MIN + 1)..i64::MAX,
        created,
        queues,
    );
    let gate = gate.prop_map(|(tokens, counted_at, m, m_bucket, created, queues)| Gate {
        tokens,
        counted_at,
        m,
        m_bucket,
        created: created.into_iter().map(|(b, (requests, asked))| (b, Created { requests, asked })).collect(),
        queues: queues.into_iter().map(|(name, (units, at))| (name, Queue { units, at })).collect(),
    });
    (time, pools, gate).prop_map(|(time, mut pools, gate)| {
        pools.retain(|_, pool| *pool != Pool::default());
        Row { time, pools, gate }
    })
}

proptest! {
    #[test]
    fn every_row_reads_as_it_was_written(row in row()) {
        let text = row.to_text().unwrap();
        let read = Row::parse(&text).unwrap();
        prop_assert_eq!(&read, &row);
        prop_assert_eq!(read.to_text().unwrap(), text);
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        prop_assert!(Row::parse(&text).is_err());
        prop_assert!(text.parse::<Slot>().is_err() || text.starts_with(['s', 'c']));
    }

    /// Texts that are nearly rows: some number of a real one is another.
    #[test]
    fn no_nearly_right_text_makes_it_panic(row in row(), at in any::<prop::sample::Index>(), other in any::<i64>()) {
        let text = row.to_text().unwrap();
        let digits: Vec<usize> = text.match_indices(|c: char| c.is_ascii_digit()).map(|(at, _)| at).collect();
        let at = digits[at.index(digits.len())];
        let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
        if let Ok(mut read) = Row::parse(&changed) {
            let meter = crate::budget::Meter::vault("v1", &[crate::budget::Limit {
                operations: Operations::Sign,
                amount: 2000,
                window: std::time::Duration::from_secs(10),
                scope: crate::budget::Scope::Vault,
            }]);
            let reading = crate::budget::Reading {
                database_ms: other, epoch: String::new(), survives_epoch: false,
                boot: domain::BootTime::from_nanos(1), took: std::time::Duration::ZERO, wall_ms: other,
            };
            let now = read.open(&meter, &reading, &crate::budget::Witness::default()).now;
            let cost = crate::budget::Cost::one(Operations::Sign);
            if let Some(slot) = read.grant(&meter, cost, now) {
                read.throttled(&meter, &slot, now);
                read.answered(&meter, &slot, now);
            }
            read.admit(&meter, now);
            read.created(other);
            read.asked(other, cost);
            read.waiting("a", 1, now);
            prop_assert!(read.snapshot(&meter, Operations::Sign, now).is_some());
            let _next: Option<i64> = read.next_return(&meter, Operations::Sign, now);
            prop_assert!(Row::parse(&read.to_text().unwrap()).is_ok() || now.at < 0);
        }
    }
}
