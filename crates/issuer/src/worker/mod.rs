//! What happens without a caller: delivering callbacks, ending what is over, reading the directory again.

pub mod outbox;
pub mod sweeper;
