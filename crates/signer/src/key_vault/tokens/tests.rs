//! When tokens are fetched, by how many, and what happens when there are none.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize};
use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;

use super::*;
use crate::error::{Retry, SignError};

struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

#[derive(Debug)]
struct Source {
    asked: AtomicUsize,
    fails: AtomicBool,
    slow: Duration,
    clock: Arc<TestClock>,
}

impl fmt::Debug for TestClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

const LIFE: i64 = 3_600_000;

#[async_trait]
impl TokenSource for Source {
    async fn issue(&self) -> Result<Issued, NoToken> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(self.slow).await;
        if self.fails.load(Ordering::SeqCst) {
            let source = Arc::new(std::io::Error::from(std::io::ErrorKind::HostUnreachable));
            return Err(NoToken { why: TokenProblem::Unavailable, source });
        }
        let secret = Zeroizing::new(format!("token {number}"));
        Ok(Issued { secret, expires_at: self.clock.now().plus_millis(LIFE) })
    }
}

struct Setup {
    clock: Arc<TestClock>,
    source: Arc<Source>,
    tokens: Arc<Tokens>,
}

impl Setup {
    fn new(slow: Duration) -> Self {
        let clock = Arc::new(TestClock(AtomicI64::new(1_000_000)));
        let source = Arc::new(Source {
            asked: AtomicUsize::new(0),
            fails: AtomicBool::new(false),
            slow,
            clock: clock.clone(),
        });
        let tokens = Tokens::new(source.clone(), clock.clone());
        Self { clock, source, tokens }
    }

    fn pass(&self, millis: i64) {
        self.clock.0.fetch_add(millis, Ordering::SeqCst);
    }

    fn asked(&self) -> usize {
        self.source.asked.load(Ordering::SeqCst)
    }

    async fn secret(&self) -> String {
        self.tokens.current().await.unwrap().secret().to_owned()
    }

    /// Lets a renewal that runs on the side come to its end.
    async fn settle(&self) {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        drop(self.tokens.renewing.lock().await);
    }
}

#[tokio::test(start_paused = true)]
async fn one_caller_fetches_for_all() {
    let setup = Setup::new(Duration::from_millis(300));
    let secrets = join_all((0..100).map(|_| setup.secret())).await;
    assert!(secrets.iter().all(|secret| secret == "token 0"));
    assert_eq!(setup.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_old_token_serves_while_one_caller_renews() {
    let setup = Setup::new(Duration::from_millis(300));
    setup.secret().await;
    setup.pass(LIFE * 49 / 100);
    setup.secret().await;
    setup.settle().await;
    assert_eq!(setup.asked(), 1, "not before half of its life");
    setup.pass(LIFE * 32 / 100);
    let before = tokio::time::Instant::now();
    let secrets = join_all((0..100).map(|_| setup.secret())).await;
    assert!(secrets.iter().all(|secret| secret == "token 0"));
    assert_eq!(before.elapsed(), Duration::ZERO, "nobody waits");
    setup.settle().await;
    assert_eq!(setup.asked(), 2, "one renews");
    assert_eq!(setup.secret().await, "token 1");
}

#[tokio::test(start_paused = true)]
async fn the_old_token_serves_while_the_endpoint_is_down() {
    let setup = Setup::new(Duration::ZERO);
    setup.secret().await;
    setup.source.fails.store(true, Ordering::SeqCst);
    setup.pass(LIFE * 85 / 100);
    for _ in 0..20 {
        assert_eq!(setup.secret().await, "token 0");
        setup.settle().await;
    }
    assert_eq!(setup.asked(), 2, "a failed renewal is not repeated at once");
    setup.source.fails.store(false, Ordering::SeqCst);
    setup.pass(EARLY_FAILURE_PAUSE);
    setup.secret().await;
    setup.settle().await;
    assert_eq!(setup.secret().await, "token 2");
}

#[tokio::test(start_paused = true)]
async fn a_token_at_its_end_is_not_used() {
    let setup = Setup::new(Duration::ZERO);
    setup.secret().await;
    setup.pass(LIFE - LAST_SECONDS);
    assert_eq!(setup.secret().await, "token 1");
}

#[tokio::test(start_paused = true)]
async fn without_any_token_a_failure_is_shared_for_a_second() {
    let setup = Setup::new(Duration::from_millis(10));
    setup.source.fails.store(true, Ordering::SeqCst);
    let answers = join_all((0..50).map(|_| setup.tokens.current())).await;
    for answer in answers {
        let error = SignError::from(answer.err().unwrap());
        assert!(matches!(error.kind(), SignErrorKind::NoToken { why: TokenProblem::Unavailable, .. }));
        assert!(matches!(error.retry(), Retry::After(_)));
        assert!(!error.may_have_signed());
    }
    assert_eq!(setup.asked(), 1);
    setup.source.fails.store(false, Ordering::SeqCst);
    setup.pass(FAILURE_PAUSE);
    assert_eq!(setup.secret().await, "token 1");
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_gives_up_does_not_throw_the_answer_away() {
    let setup = Setup::new(Duration::from_secs(5));
    let given_up = tokio::time::timeout(Duration::from_secs(1), setup.tokens.current()).await;
    assert!(given_up.is_err());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(setup.secret().await, "token 0");
    assert_eq!(setup.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_once() {
    let setup = Setup::new(Duration::ZERO);
    let token = setup.tokens.current().await.unwrap();
    assert!(token.is_fresh());
    setup.tokens.refuse(&token);
    assert_eq!(setup.secret().await, "token 0", "a new one would be refused as well");
    setup.pass(FRESH);
    let token = setup.tokens.current().await.unwrap();
    assert!(!token.is_fresh());
    setup.tokens.refuse(&token);
    assert_eq!(setup.secret().await, "token 1");
    // A second exchange with the old token comes back later: the new one stays.
    setup.tokens.refuse(&token);
    assert_eq!(setup.secret().await, "token 1");
    assert_eq!(setup.asked(), 2);
}

proptest! {
    #[test]
    fn renewal_is_between_half_and_four_fifths(from in 0i64..4_000_000_000_000, life in 0i64..100_000_000, _n in 0..4) {
        let (from, end) = (Timestamp::from_millis(from), Timestamp::from_millis(from + life));
        let at = renewal(from, end, share()).millis() - from.millis();
        prop_assert!(at >= life / 100 * 50 && at <= life * 80 / 100);
    }
}
