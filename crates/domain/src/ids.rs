//! Newtypes for every identifier, so that two ids cannot be mixed up.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The text is not an identifier of the expected kind.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{kind} has to be {expected}")]
pub struct InvalidId {
    /// Which id was asked for.
    pub kind: &'static str,
    /// What would have been right.
    pub expected: &'static str,
}

macro_rules! uuid_id {
    ($(#[$meta:meta])* $name:ident, $kind:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID that the caller made or read.
            #[must_use]
            pub const fn new(value: Uuid) -> Self {
                Self(value)
            }
            /// The UUID inside.
            #[must_use]
            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            /// Accepts GUIDs in any letter case (Entra clients mix them).
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                // Only the dashed form: other spellings would give one id several addresses.
                if text.len() != 36 {
                    return Err(InvalidId { kind: $kind, expected: "a GUID with dashes" });
                }
                Uuid::try_parse(text)
                    .map(Self)
                    .map_err(|_source| InvalidId { kind: $kind, expected: "a GUID with dashes" })
            }
        }
    };
}

uuid_id!(
    /// A tenant: the outermost owner of everything that is stored. The `tid` of Entra tokens and URLs.
    TenantId, "tenant id"
);
uuid_id!(
    /// An issuing authority: one DID with its keys and contracts.
    AuthorityId, "authority id"
);
uuid_id!(
    /// A contract: rules and displays of one kind of credential.
    ContractId, "contract id"
);
uuid_id!(
    /// One issuance request, as the Request Service API names it (UUIDv7 with 74 random bits:
    /// it stands in wallet-facing URLs and must not be guessed).
    RequestId, "request id"
);
uuid_id!(
    /// One transaction, from the API call through the vault's log to the callback (UUIDv7).
    TransactionId, "transaction id"
);
uuid_id!(
    /// One intent to sign: committed before the vault is asked.
    IntentId, "intent id"
);

macro_rules! text_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps a text that the caller has checked.
            pub fn new(value: impl Into<String>) -> Self {
                Self(value.into())
            }
            /// The text inside.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id!(
    /// The front end that asks, as its access token names it (`appid`, `azp`, `client_id` or `sub`).
    ClientId
);
text_id!(
    /// The customer on whose behalf a front end asks; free text from the front end, at most 256 characters.
    CustomerId
);
text_id!(
    /// A decentralised identifier without fragment, as it stands in `kid` before the `#`.
    Did
);
text_id!(
    /// A key's fragment in the DID document: unique for ever within its authority, without `#`.
    KeyId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guids_compare_without_letter_case() {
        let lower: TenantId = "a5f1c9d2-0000-4000-8000-00000000abcd".parse().unwrap();
        let upper: TenantId = "A5F1C9D2-0000-4000-8000-00000000ABCD".parse().unwrap();
        assert_eq!(lower, upper);
        assert_eq!(upper.to_string(), "a5f1c9d2-0000-4000-8000-00000000abcd");
    }

    #[test]
    fn other_spellings_of_a_guid_are_refused() {
        for text in ["", "{a5f1c9d2-0000-4000-8000-00000000abcd}", "a5f1c9d200004000800000000000abcd"] {
            assert!(text.parse::<RequestId>().is_err(), "{text}");
        }
    }
}
