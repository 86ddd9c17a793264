//! What happens without a caller: delivering callbacks, ending what is over, reading the directory again.

mod hosts;
pub mod outbox;
pub mod sweeper;
