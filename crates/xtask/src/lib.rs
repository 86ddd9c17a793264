//! The parts of `cargo xtask`: finding and installing what the tests need, running the steps,
//! counting the results; and what the load tests need before they can run.
//!
//! A library beside the binary so that the test harness finds the tools by the same rules. It knows nothing of the product:
//! no crate of ours may be used here.

pub mod console;
pub mod install;
pub mod k6;
pub mod load;
pub mod places;
pub mod steps;
pub mod tally;
pub mod test_run;
pub mod tools;
