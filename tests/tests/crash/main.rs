//! Sudden ends: the server is killed (SIGKILL) again and again while wallets are being served, and started again on the same
//! data. What has to hold afterwards, whatever the moment of the kill:
//!
//! What wallets and front ends see:
//!  1. A request whose creation was answered can be finished by its wallet after the restart, within its lifetime. An
//!     attempt to sign that died with the process is taken over after its deadline of 3 s.
//!  2. The same request object for every fetch, the same credential for every proof of the same holder; none for another.
//!  3. Access tokens and links outlive a restart.
//!  4. No callback is lost: of every finished request the front end hears `request_retrieved` and then
//!     `issuance_successful`, each at least once, never in another order, and nothing else.
//!
//! What the database holds once nothing is under way any more (`books`):
//!  5. Every attempt to sign belongs to an intent, and the ledger has its `signing_intent`, older than its outcome.
//!  6. Every attempt has exactly one `signing_outcome` of the same outcome, digest and key; `unknown` where nobody will ever
//!     know. No outcome without its intent.
//!  7. An intent is `done` if and only if its latest attempt is `signed`; then it no longer holds what was signed.
//!  8. At most one intent that is not void per subject; at most one issuance per request, under a `done` intent with the
//!     same status index, and with exactly one `credential_issued` in the ledger.
//!  9. Whatever a wallet holds has its digest in a `done` intent: nothing was signed off the record.
//! 10. A request that ended holds no claims, no credential and no PIN any more.
//! 11. Every row of the ledger is canonical JSON of a known kind that says the same as its columns.
//!
//! With the keys in a vault (`vault_steps`) the server dies at each step of the signing path by name, and what the simulator
//! has logged has to agree with the ledger attempt by attempt (`credenza_tests::reconciliation`), within the vault's limit.
//!
//! `CREDENZA_CRASH_ROUNDS` says how many kills (12 by default, fewer on PostgreSQL).

mod auditor;
mod books;
mod first_start;
mod issuances;
mod storm;
mod vault_balancer;
mod vault_site;
mod vault_steps;
mod wallets;
