//! What a back end's answer says about the exchange itself.
//!
//! Owns the few header values that the ledger keeps, bounded and in plain characters: they come from outside and end
//! up in rows and reports. It must not hold bodies or tokens.

use domain::Timestamp;

/// Longest value that is kept. A vault's ids are 36 characters long.
const LONGEST: usize = 80;

/// An exchange as the back end names it, kept on success and on failure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The back end's own id of the exchange (`x-ms-request-id`), which is the `correlationId` of its audit log.
    pub provider_request_id: Option<String>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// Where the back end is (`x-ms-keyvault-region`).
    pub region: Option<String>,
    /// Its software version (`x-ms-keyvault-service-version`).
    pub service_version: Option<String>,
    /// Its clock (`Date`), in whole seconds.
    pub server_time: Option<Timestamp>,
    /// Its error codes, outermost first, joined by `/`.
    pub error_code: Option<String>,
}

impl Receipt {
    /// A value from outside, if it may be kept: 1 to 80 visible ASCII characters.
    #[must_use]
    pub fn keepable(value: &str) -> Option<String> {
        let fits = (1..=LONGEST).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| value.to_owned())
    }

    /// Whether the back end itself answered. A gateway's answer has no id of the back end, so that it says nothing
    /// about whether the request arrived.
    #[must_use]
    pub const fn answered(&self) -> bool {
        self.provider_request_id.is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_answer_has_an_id() {
        assert!(!Receipt { status: Some(502), ..Receipt::default() }.answered());
        let id = Receipt::keepable("62ddf3d4-0459-4a09-acc1-049e8a453606");
        assert!(Receipt { provider_request_id: id, ..Receipt::default() }.answered());
    }

    proptest! {
        #[test]
        fn what_is_kept_is_short_and_plain(value in ".{0,120}") {
            if let Some(kept) = Receipt::keepable(&value) {
                prop_assert_eq!(&kept, &value);
                prop_assert!(kept.len() <= LONGEST && !kept.is_empty());
                prop_assert!(kept.chars().all(|character| character.is_ascii_graphic()));
            }
        }
    }
}
