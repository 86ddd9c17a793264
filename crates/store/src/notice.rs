//! Notices that come with a COMMIT.
//!
//! Postgres acknowledges a commit that it could not replicate as configured, with a warning beside the acknowledgement:
//! what was committed may be lost in a failover. The driver only logs notices, so they are taken from where it logs
//! them. Owns the subscriber that counts them and the question whether one came; must not read what they say.

use std::cell::Cell;
use std::pin::pin;

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};
use tracing_core::span::Current;

use crate::StoreError;

/// Where the driver logs them.
const TARGET: &str = "sqlx::postgres::notice";

thread_local! {
    /// Notices that this thread has seen. A connection's answers are read by the task that waits for them, so those of a
    /// poll come on its thread, within it.
    static SEEN: Cell<u64> = const { Cell::new(0) };
}

/// A process's subscriber that also counts notices, whatever is logged. Postgres keeps meters only for a process that has
/// it.
///
/// It goes around the whole subscriber. As a layer inside it would depend on its neighbours: a global filter hides events
/// from all layers, and a filter of its own can miss one after somebody else has asked whether something is logged.
#[derive(Debug)]
pub struct NoticeWatch<S>(S);

impl<S: Subscriber> NoticeWatch<S> {
    /// Puts it around what logs.
    pub const fn around(lines: S) -> Self {
        Self(lines)
    }
}

fn is_notice(metadata: &Metadata<'_>) -> bool {
    // The driver logs one only after it has asked whether anybody wants it, which is not an event.
    !metadata.is_span() && metadata.target() == TARGET
}

impl<S: Subscriber> Subscriber for NoticeWatch<S> {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let inner = self.0.register_callsite(metadata);
        if is_notice(metadata) { Interest::always() } else { inner }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata) || is_notice(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // The least severe notices are logged at the lowest level.
        Some(LevelFilter::TRACE)
    }

    fn event_enabled(&self, event: &Event<'_>) -> bool {
        is_notice(event.metadata()) || self.0.event_enabled(event)
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        if !is_notice(metadata) {
            return self.0.event(event);
        }
        SEEN.set(SEEN.get().wrapping_add(1));
        if self.0.enabled(metadata) && self.0.event_enabled(event) {
            self.0.event(event);
        }
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.0.new_span(span)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.0.record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.0.record_follows_from(span, follows);
    }

    fn enter(&self, span: &Id) {
        self.0.enter(span);
    }

    fn exit(&self, span: &Id) {
        self.0.exit(span);
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.0.clone_span(id)
    }

    fn try_close(&self, id: Id) -> bool {
        self.0.try_close(id)
    }

    fn current_span(&self) -> Current {
        self.0.current_span()
    }

    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        self.0.on_register_dispatch(subscriber);
    }
}

/// Whether notices reach a [`NoticeWatch`] here and now, at each of the levels at which the driver logs them. Asks as the
/// driver does: first whether anybody listens.
pub(crate) fn is_watched() -> bool {
    let is_wanted = tracing::enabled!(target: TARGET, Level::ERROR)
        && tracing::enabled!(target: TARGET, Level::WARN)
        && tracing::enabled!(target: TARGET, Level::INFO)
        && tracing::enabled!(target: TARGET, Level::DEBUG)
        && tracing::enabled!(target: TARGET, Level::TRACE);
    if !is_wanted {
        return false;
    }
    let before = SEEN.get();
    // At the lowest level: no log shows it, and where it is seen the higher ones are.
    tracing::event!(target: TARGET, Level::TRACE, "is anybody listening");
    SEEN.get() != before
}

/// Runs a commit; one that brought a notice is unknown.
pub(crate) async fn watched(commit: impl Future<Output = Result<(), sqlx::Error>>) -> Result<(), StoreError> {
    let mut commit = pin!(commit);
    let mut noticed = false;
    let done = std::future::poll_fn(|context| {
        let before = SEEN.get();
        let polled = commit.as_mut().poll(context);
        noticed |= SEEN.get() != before;
        polled
    })
    .await;
    done.map_err(StoreError::Postgres)?;
    if noticed { Err(StoreError::CommitUnknown) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// A commit that logs as the driver does, in its second poll.
    async fn committing(warning: bool) -> Result<(), sqlx::Error> {
        tokio::task::yield_now().await;
        if warning && tracing::enabled!(target: TARGET, Level::WARN) {
            tracing::event!(target: TARGET, Level::WARN, message = "canceling wait for replication");
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_notice_makes_a_commit_unknown() {
        for filter in ["error", "off"] {
            let quiet = tracing_subscriber::fmt()
                .with_writer(std::io::sink)
                .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
                .finish();
            let _guard = tracing::subscriber::set_default(NoticeWatch::around(quiet));
            is_noticed().await;
        }
    }

    async fn is_noticed() {
        assert!(is_watched());
        watched(committing(false)).await.unwrap();
        assert!(matches!(watched(committing(true)).await, Err(StoreError::CommitUnknown)));
        watched(committing(false)).await.unwrap();
        let failed = watched(async { Err(sqlx::Error::PoolClosed) }).await;
        assert!(matches!(failed, Err(StoreError::Postgres(_))), "{failed:?}");
    }

    #[tokio::test]
    async fn a_notice_of_another_task_is_not_ours() {
        let _guard = tracing::subscriber::set_default(NoticeWatch::around(tracing_subscriber::registry()));
        assert!(is_watched());
        let other = async {
            for _ in 0..3 {
                tracing::event!(target: TARGET, Level::WARN, message = "theirs");
                tokio::task::yield_now().await;
            }
        };
        let (ours, ()) = tokio::join!(watched(committing(false)), other);
        ours.unwrap();
    }

    #[test]
    fn questions_about_other_logs_do_not_hide_a_notice() {
        use tracing_subscriber::Layer as _;
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::sink)
            .with_filter(tracing_subscriber::EnvFilter::new("error,[span]=trace"));
        let subscriber = NoticeWatch::around(tracing_subscriber::registry().with(lines));
        let _guard = tracing::subscriber::set_default(subscriber);
        for _ in 0..3 {
            let _asked = tracing::enabled!(target: "sqlx::query", Level::DEBUG);
            assert!(is_watched());
        }
    }

    /// Shows events of the driver, and says that nobody wants them when asked before.
    struct Unasked;

    impl Subscriber for Unasked {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.is_event()
        }

        fn new_span(&self, _span: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _span: &Id, _values: &Record<'_>) {}

        fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

        fn event(&self, _event: &Event<'_>) {
            SEEN.set(SEEN.get().wrapping_add(1));
        }

        fn enter(&self, _span: &Id) {}

        fn exit(&self, _span: &Id) {}
    }

    #[test]
    fn who_is_never_asked_for_watches_nothing() {
        let _guard = tracing::subscriber::set_default(Unasked);
        assert!(!is_watched());
    }

    #[test]
    fn what_hides_notices_is_seen() {
        assert!(!is_watched(), "no subscriber at all");
        // A filter over all layers, as one is easily installed.
        let filter = tracing_subscriber::EnvFilter::new("error");
        let subscriber = NoticeWatch::around(tracing_subscriber::registry()).with(filter);
        let _guard = tracing::subscriber::set_default(subscriber);
        assert!(!is_watched());
    }
}
