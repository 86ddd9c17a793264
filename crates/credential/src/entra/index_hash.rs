//! The hash by which a credential is found again by its indexed claim.
//!
//! Owns the formula of the Admin API's `indexclaimhash`. It is not keyed, so a short claim can be guessed from it: it
//! must not leave the database.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// Padded standard base64 of SHA-256 over contract id, then value, both as they are.
#[must_use]
pub fn index_hash(contract_id: &str, value: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(contract_id.as_bytes());
    hash.update(value.as_bytes());
    STANDARD.encode(hash.finalize())
}

/// The same over lower-cased inputs: some clients lower-case before they hash, so both are stored and either matches.
#[must_use]
pub fn index_hash_lower_case(contract_id: &str, value: &str) -> String {
    index_hash(&contract_id.to_lowercase(), &value.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTRACT: &str = "133d7e92-d227-f74d-1a5b-354cbc8df49a";

    #[test]
    fn the_published_hash() {
        let contract = "ZjViZjJmYzYtNzEzNS00ZDk0LWE2ZmUtYzI2ZTQ1NDNiYzVhdGVzdDM";
        assert_eq!(index_hash(contract, "Bowen"), "tmrokKIZoxbM7q/aNkPvJxVTLAHVxo6NHlAVT78tlDI=");
    }

    #[test]
    fn the_computed_hashes() {
        assert_eq!(index_hash(CONTRACT, "Bowen"), "XnX5Uuao7s3Ps6J4ze6VoPyHnj5XKIKNXctAgFqD3IE=");
        assert_eq!(index_hash(CONTRACT, "bowen"), "tu3+FGWDba/NnmcZ+9ntP3dvP1oH8JuGXBpKzcGZT/E=");
    }

    #[test]
    fn the_second_hash_ignores_letter_case() {
        let lower = index_hash(CONTRACT, "bowen");
        assert_eq!(index_hash_lower_case(&CONTRACT.to_uppercase(), "BOWEN"), lower);
    }
}
