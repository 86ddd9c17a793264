//! The made-up issuer at a fixed time and origin, for unit tests.

use crate::holder::HolderKind;
use crate::issuer::Issuer;
use crate::request::IssuanceRequest;

/// The time of every unit test, seconds since 1970.
pub const NOW: i64 = 1_795_000_000;

impl Issuer {
    pub fn example() -> Self {
        Self::new(HolderKind::JwkP256, "issuer.example", NOW)
    }

    pub fn parsed_request(&self) -> IssuanceRequest {
        IssuanceRequest::parse(&self.request(), &self.did, self.now).unwrap()
    }
}
