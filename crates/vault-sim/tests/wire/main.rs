//! The simulator by its wire: exact answers, every fault, limits, the control port, the process.
#![cfg(test)]

mod access;
mod answers;
mod caller;
mod control;
mod faults;
mod hsm;
mod limits;
mod process;
