//! What happens without a caller: delivering callbacks, ending what is over, saying how much of a vault's limit is used.

mod hosts;
pub mod meters;
pub mod outbox;
pub mod sweeper;
