//! Credenza's vocabulary: ids, contracts, requests, keys, audit events, error codes.
//!
//! Owns the words that every other crate shares and the rules that need nothing but data.
//! It must not do I/O, must not be async and must not read a clock: time comes in as [`time::Timestamp`].

pub mod audit;
pub mod boot;
pub mod contract;
pub mod error;
pub mod ids;
pub mod key;
pub mod request;
pub mod signature;
pub mod time;

pub use boot::{BootClock, BootTime};
pub use ids::{
    AuthorityId, ClientId, ContractId, CustomerId, Did, IntentId, KeyId, RequestId, TenantId, TransactionId,
};
pub use key::{KeyRef, SignatureAlgorithm};
pub use signature::{Digest, SignatureBytes};
pub use time::{Clock, Timestamp};
