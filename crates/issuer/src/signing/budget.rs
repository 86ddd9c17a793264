//! What transaction 1 takes from a back end's budget.
//!
//! Owns the question, which is asked before every attempt: no attempt without a slot, where there are slots. Must not
//! count: slots are a row of the database, granted in the intent's and returned in the outcome's transaction.

use signer::budget::Budget;

use super::SigningError;

/// Takes what the next attempt needs. A back end without a limit needs nothing and has no row. One with a limit is
/// refused: no row keeps its slots yet, and asking it without one would break its limit sooner or later.
pub(super) fn take_slot(budget: &dyn Budget) -> Result<(), SigningError> {
    if budget.is_limited() { Err(SigningError::NoSlots) } else { Ok(()) }
}
