//! Several vaults for one use: each adds what it can sign.

use super::shut::Rows;
use super::*;

const WEST: &str = "vault:west.vault.azure.net";
const EAST: &str = "vault:east.vault.azure.net";
const SUBSCRIPTION: &str = "subscription:s";

#[tokio::test]
async fn uses_become_alternatives() {
    let site = Site::new(5, 50).await;
    let Replica { budget, .. } = site.replica().await;
    let names = |uses: &[&[&'static str]]| -> Vec<Vec<Vec<String>>> {
        let all = budget.alternatives(uses.iter().map(|names| names.iter().copied()));
        let text = |meters: Vec<MeterName>| meters.iter().map(|name| (**name).to_owned()).collect();
        all.into_iter().map(|alternatives| alternatives.into_iter().map(text).collect()).collect()
    };
    let (east, west) = ([EAST, SUBSCRIPTION].map(str::to_owned), [WEST, SUBSCRIPTION].map(str::to_owned));
    let (east, west) = (east.to_vec(), west.to_vec());
    assert_eq!(names(&[&["east", "west"]]), [[east.clone(), west.clone()]]);
    assert_eq!(names(&[&["east"], &["west"]]), [[east.clone()], [west]]);
    assert_eq!(names(&[&["east"], &["east"]]), [[east.clone()]], "one use like another is asked once");
    assert_eq!(names(&[&["east", "software", "west"]]), [[east, vec![]]], "nobody comes past software");
    assert_eq!(names(&[&["software", "west"], &["nowhere"], &[]]), Vec::<Vec<Vec<String>>>::new());
}

#[tokio::test]
async fn a_second_vault_admits_as_much_again() {
    let site = Site::new(200, 5_000).await;
    for (names, expected) in [(vec!["west"], 9), (vec!["west", "east"], 18)] {
        let replica = site.replica().await;
        let uses = replica.budget.alternatives([names.iter().copied(), names.iter().copied()]);
        let mut rows = Rows::of(&[WEST, EAST, SUBSCRIPTION]);
        let mut session = rows.begin(&replica.budget, 0, 1).unwrap();
        let mut admitted = 0;
        while session.admit(&uses, Timestamp::from_millis(0)).is_ok() {
            admitted += 1;
        }
        assert_eq!(admitted, expected, "{names:?}");
        rows.commit(session);
    }
}

#[tokio::test]
async fn estimates_choose_like_transactions() {
    let site = Site::new(200, 5_000).await;
    let replica = site.replica().await;
    let both = replica.budget.alternatives([["west", "east"]]);
    let create = |names: &[&'static str]| {
        let Write::Create(mut new) = replica.create("west") else { unreachable!("it is one") };
        new.meters = replica.budget.alternatives([names.iter().copied()]);
        Write::Create(new)
    };
    for _ in 0..9 {
        assert_eq!(replica.commit(vec![create(&["west"])]).await.written, [Written::Done]);
    }
    assert!(replica.budget.would_admit(&replica.budget.alternatives([["west"]])).is_err());
    assert!(replica.budget.would_admit(&both).is_ok(), "there is another vault");
    for _ in 0..9 {
        assert_eq!(replica.commit(vec![create(&["west", "east"])]).await.written, [Written::Done]);
    }
    assert!(replica.budget.would_admit(&both).is_err());
}

#[tokio::test]
async fn every_use_needs_an_alternative() {
    let site = Site::new(200, 5_000).await;
    let replica = site.replica().await;
    let mut rows = Rows::of(&[WEST, EAST, SUBSCRIPTION]);
    let mut session = rows.begin(&replica.budget, 0, 1).unwrap();
    let (at, budget) = (Timestamp::from_millis(0), &replica.budget);
    let west = budget.alternatives([["west"]]);
    while session.admit(&west, at).is_ok() {}
    assert_eq!(session.admit(&budget.alternatives([["east"], ["west"]]), at), Err("budget_no_tokens"));
    // The refusal took nothing of the other vault.
    let mut admitted = 0;
    while session.admit(&budget.alternatives([["east"]]), at).is_ok() {
        admitted += 1;
    }
    assert_eq!(admitted, 9);
    let with_software = budget.alternatives([["west", "software"]]);
    assert_eq!(session.admit(&with_software, at), Ok(()), "software keys have no limit");
    rows.commit(session);
}

/// What two vaults sign that share both uses, under a load of three times one vault's limit.
#[tokio::test]
async fn two_vaults_sign_twice_as_much() {
    const LIMIT: u32 = 200;
    const STEP_MS: i64 = 100;
    let (from, end) = (420_000, 600_000);
    let site = Site::new(LIMIT, 5_000).await;
    let replica = site.replica().await;
    let budget = &replica.budget;
    let uses = budget.alternatives([["west", "east"], ["west", "east"]]);
    let mut rows = Rows::of(&[WEST, EAST, SUBSCRIPTION]);
    // Signatures that wait: when their request was made.
    let mut waiting = std::collections::VecDeque::new();
    let mut out: Vec<Vec<Slot>> = Vec::new();
    let mut signed = [0_u32, 0];
    for at in (0..end).step_by(100) {
        site.time.pass(STEP_MS);
        let mut session = rows.begin(budget, at, 1).unwrap();
        for slots in out.drain(..) {
            session.answered(&slots);
        }
        let created_at = Clock::now(&*site.time);
        for _ in 0..3 * LIMIT / 100 {
            if session.admit(&uses, created_at).is_ok() {
                waiting.extend([created_at, created_at]);
            }
        }
        'signing: while let Some(created_at) = waiting.front().copied() {
            for (place, name) in ["west", "east"].into_iter().enumerate() {
                let needs = budget.needs(&key(name, "k"), &[Operations::Sign]);
                if session.set_aside(&needs).is_ok() {
                    out.push(session.grant(&needs, Some(created_at)).unwrap());
                    signed[place] += u32::from(at >= from);
                    waiting.pop_front();
                    continue 'signing;
                }
            }
            break;
        }
        rows.commit(session);
        let units = u64::try_from(waiting.len()).unwrap() * 2520;
        budget.0.queued().insert(WEST.into(), units);
    }
    let most = LIMIT * 18;
    for (name, signed) in ["west", "east"].into_iter().zip(signed) {
        assert!(signed * 100 >= most * 90, "{name} signed {signed} of {most}");
    }
}
