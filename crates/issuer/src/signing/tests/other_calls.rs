//! Calls besides signatures: the slots that they take, until when they may be sent, when the slots return.

use super::*;

#[tokio::test(start_paused = true)]
async fn other_calls_take_slots_too_and_return_them_after_their_answer() {
    let f = limited(Failure::Down, 0, Limited::budget(), 1).await;
    let key = f.key.key.key.clone();
    let sign = [Operations::Sign];
    let until = (tokio::time::Instant::now() + Duration::from_secs(1)).into_std();
    let slots = f.path.slots();
    assert_eq!(slots.around(&key, &sign, until, exchanged(Some("id"), Ok(7))).await.unwrap(), 7);
    let refused = slots.around(&key, &sign, until, exchanged(Some("id"), Err(throttled()))).await;
    assert!(matches!(refused, Err(slots::CallError::Backend(_))), "{refused:?}");
    let begun = tokio::time::Instant::now();
    let never = std::future::pending::<Result<(), SignError>>();
    let silent = slots.around(&key, &sign, until, never).await;
    assert!(matches!(silent, Err(slots::CallError::Backend(_))), "{silent:?}");
    assert!(begun.elapsed() <= ATTEMPT_DEADLINE, "nothing is sent after what the slot allows");
    assert_eq!(f.ledger.seen(), ["take", "return Given", "take", "return Throttled", "take"]);
    let without = slots.around(&key, &sign, until, async { Ok(7) }).await;
    assert!(matches!(without, Err(slots::CallError::Slots(SigningError::NoSlotInTime))), "{without:?}");
}

/// One exchange of a back end that counts, and what it makes of the answer.
async fn exchanged(id: Option<&str>, result: Result<u8, SignError>) -> Result<u8, SignError> {
    let leave = Leave::current().expect("a call within slots has leave");
    assert!(leave.begin(Operations::Sign));
    assert!(!leave.begin(Operations::Sign), "one slot is one exchange");
    if receipt(200, id).answered() {
        leave.answered();
    }
    result
}

#[tokio::test(start_paused = true)]
async fn a_slot_does_not_return_before_the_back_end_itself_has_answered() {
    let f = limited(Failure::Down, 0, Limited::budget(), 4).await;
    let key = f.key.key.key.clone();
    let forbidden = || {
        let kind = SignErrorKind::Forbidden { by: signer::Denial::Unknown };
        SignError::answered_with(kind, receipt(403, None))
    };
    let slots = f.path.slots();
    let around = |call| slots.around(&key, &[Operations::Sign], far(), call);
    around(exchanged(None, Err(forbidden()))).await.unwrap_err();
    around(exchanged(None, Ok(7))).await.unwrap();
    slots.around(&key, &[Operations::Sign], far(), async { Ok(7) }).await.unwrap();
    around(exchanged(Some("id"), Ok(7))).await.unwrap();
    assert_eq!(f.ledger.seen(), ["take", "take", "take", "take", "return Given"]);
}

#[tokio::test(start_paused = true)]
async fn slots_that_came_too_late_are_not_used() {
    let f = limited(Failure::Down, 0, Limited::budget(), 1).await;
    f.ledger.commits_take(ATTEMPT_DEADLINE);
    let called = AtomicU32::new(0);
    let call = async {
        called.fetch_add(1, SeqCst);
        Ok(7)
    };
    let late = f.path.slots().around(&f.key.key.key, &[Operations::Sign], far(), call).await;
    assert!(matches!(late, Err(slots::CallError::Slots(SigningError::NoSlotInTime))), "{late:?}");
    assert_eq!(called.load(SeqCst), 0, "not even begun");
    assert_eq!(f.ledger.seen(), ["take"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_knows_until_when_its_slots_allow_it_to_send() {
    let f = limited(Failure::Down, 0, Limited::budget(), 1).await;
    f.ledger.commits_take(Duration::from_secs(1));
    let begun = f.ledger.clock.now();
    let call = async { Ok(Leave::current().unwrap().until()) };
    let until = f.path.slots().around(&f.key.key.key, &[Operations::Sign], far(), call).await.unwrap();
    assert_eq!(until, begun.plus(ATTEMPT_DEADLINE), "counted from before the transaction");
}

#[tokio::test(start_paused = true)]
async fn calls_of_a_back_end_without_a_limit_take_nothing() {
    let f = fixture(0, Arc::new(Unlimited)).await;
    let call = async { Ok(7) };
    let done = f.path.slots().around(&f.key.key.key, &[Operations::Sign], far(), call).await;
    assert_eq!(done.unwrap(), 7);
    assert!(f.ledger.seen().is_empty());
}
