//! Steps that run to their end even when whoever asked for them goes away.
//!
//! Owns where such steps run and who waits for them: on the main runtime, because those that serve connections end with
//! their last connection. Must not know what a step does.

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// The steps under way.
pub struct Steps {
    runtime: Handle,
    tracker: TaskTracker,
}

impl Steps {
    /// None yet; they will run on this runtime.
    #[must_use]
    pub fn on(runtime: Handle) -> Self {
        Self { runtime, tracker: TaskTracker::new() }
    }

    /// Begins a step. Dropping the handle leaves it running.
    pub fn begin<F>(&self, step: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn_on(step, &self.runtime)
    }

    /// Waits for all steps under way.
    pub async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_step_outlives_its_caller_and_is_waited_for() {
        let main =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let steps = Steps::on(main.handle().clone());
        let done = Arc::new(AtomicBool::new(false));
        let connection = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        connection.block_on(async {
            let done = Arc::clone(&done);
            drop(steps.begin(async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                done.store(true, Ordering::SeqCst);
            }));
        });
        drop(connection);
        assert!(!done.load(Ordering::SeqCst));
        main.block_on(steps.ended());
        assert!(done.load(Ordering::SeqCst));
    }
}
