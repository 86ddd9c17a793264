//! A vault that fails, and the whole service in front of it: the real program, the real wire, the simulator as judge.
//!
//! Each fault meets a service that has worked before. While it lasts, nobody gets a credential that does not verify, wallets
//! and front ends get the documented error within the 10 s that wallets wait, and the documents are served as ever. Once it is
//! over, the first issuance is through within 5 s, and those that were refused are finished. In the end the vault's log and the
//! ledger agree attempt by attempt ([`credenza_tests::reconciliation`]).

mod answers;
mod bench;
mod budget;
mod tokens;
mod transport;
