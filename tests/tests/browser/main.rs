//! The demo page of `credenza dev` in a real browser, with the real wallet as the phone: what a person sees, types and hears.
//!
//! Pictures of the states go to `CREDENZA_SCREENSHOTS`, else to `screenshots` in the target directory, for people to look at.

mod audit;
mod issuing;
mod keyboard;
mod layout;
mod page;
mod refusals;
