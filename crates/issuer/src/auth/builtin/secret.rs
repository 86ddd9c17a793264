//! Checking client secrets against their argon2id hashes.
//!
//! Owns the hashes and the memory of secrets that were right. Argon2 is slow on purpose, so it runs on the blocking
//! threads, few at a time, and a front end that asks again with the same secret is answered from memory. It must not
//! keep a secret in clear: what is remembered is an HMAC under a key of this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use aws_lc_rs::{constant_time, hmac, rand};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::BuiltinClient;
use super::error::BuiltinError;

/// Checks at a time: each takes the hash's memory (19 MiB by default) and one core.
const AT_A_TIME: usize = 2;

/// How long a request waits for its turn. Who sends wrong secrets in bulk must not build a queue without end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether a hash is that of a secret. For checks at start: it costs some ten milliseconds.
#[must_use]
pub fn secret_matches(hash: &str, secret: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(secret.as_bytes(), &hash).is_ok())
}

/// Hashes a secret with argon2id and a random salt, as a PHC string for the configuration.
///
/// # Errors
/// [`BuiltinError::Hash`]: no random numbers, or a secret of more than 4 GiB.
pub fn hash_secret(secret: &str) -> Result<String, BuiltinError> {
    let hash = Argon2::default().hash_password(secret.as_bytes()).map_err(|_source| BuiltinError::Hash)?;
    Ok(hash.to_string())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Right,
    Wrong,
    Busy,
}

pub(super) struct ClientSecrets {
    hashes: HashMap<String, Arc<PasswordHash>>,
    /// Per client the tag of the secret that was right last.
    right: Mutex<HashMap<String, hmac::Tag>>,
    key: hmac::Key,
    turns: Semaphore,
}

impl ClientSecrets {
    pub(super) fn new(clients: &[BuiltinClient]) -> Result<Self, BuiltinError> {
        let mut hashes = HashMap::new();
        for client in clients {
            let refused = || BuiltinError::SecretHash { client: client.id.clone() };
            let hash = PasswordHash::new(&client.secret_hash).map_err(|_source| refused())?;
            let complete = hash.salt.is_some() && hash.hash.is_some();
            if hash.algorithm.as_str() != argon2::Algorithm::Argon2id.as_str() || !complete {
                return Err(refused());
            }
            hashes.insert(client.id.clone(), Arc::new(hash));
        }
        let mut seed = Zeroizing::new([0; 32]);
        rand::fill(seed.as_mut_slice()).map_err(|_source| BuiltinError::Random)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, seed.as_slice());
        Ok(Self { hashes, right: Mutex::default(), key, turns: Semaphore::new(AT_A_TIME) })
    }

    /// Checks the secret of a configured client.
    pub(super) async fn check(&self, client: &str, secret: Zeroizing<String>) -> Verdict {
        let tag = hmac::sign(&self.key, secret.as_bytes());
        if self.was_right(client, &tag) {
            return Verdict::Right;
        }
        let Some(hash) = self.hashes.get(client).map(Arc::clone) else { return Verdict::Wrong };
        let Ok(Ok(turn)) = tokio::time::timeout(PATIENCE, self.turns.acquire()).await else {
            return Verdict::Busy;
        };
        // Requests that waited side by side need the slow check only once.
        if self.was_right(client, &tag) {
            return Verdict::Right;
        }
        // A thread of its own instead of one of the pool: a check takes 19 MiB, and the system's allocator would keep
        // as much for every thread of the pool that ever made one.
        let (answer, right) = tokio::sync::oneshot::channel();
        let check = std::thread::Builder::new().name("client-secret".to_owned()).spawn(move || {
            let right = Argon2::default().verify_password(secret.as_bytes(), hash.as_ref()).is_ok();
            let _caller_hung_up = answer.send(right);
        });
        let right = check.is_ok() && right.await.unwrap_or(false);
        drop(turn);
        if !right {
            return Verdict::Wrong;
        }
        self.right.lock().unwrap_or_else(PoisonError::into_inner).insert(client.to_owned(), tag);
        Verdict::Right
    }

    fn was_right(&self, client: &str, tag: &hmac::Tag) -> bool {
        let right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        right
            .get(client)
            .is_some_and(|known| constant_time::verify_slices_are_equal(known.as_ref(), tag.as_ref()).is_ok())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A hash with the least cost, so that tests are fast.
    pub(crate) fn cheap_hash(secret: &str) -> String {
        let params = argon2::Params::new(8, 1, 1, None).unwrap();
        Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
            .hash_password(secret.as_bytes())
            .unwrap()
            .to_string()
    }

    fn secrets() -> ClientSecrets {
        ClientSecrets::new(&[
            BuiltinClient::new("c", cheap_hash("right")),
            BuiltinClient::new("d", cheap_hash("other")),
        ])
        .unwrap()
    }

    async fn check(secrets: &ClientSecrets, client: &str, secret: &str) -> Verdict {
        secrets.check(client, Zeroizing::new(secret.to_owned())).await
    }

    #[tokio::test]
    async fn only_the_clients_own_secret_is_right_before_and_after_it_is_remembered() {
        let secrets = secrets();
        for _ in 0..2 {
            assert_eq!(check(&secrets, "c", "right").await, Verdict::Right);
            assert_eq!(check(&secrets, "c", "wrong").await, Verdict::Wrong);
            assert_eq!(check(&secrets, "c", "").await, Verdict::Wrong);
            assert_eq!(check(&secrets, "d", "right").await, Verdict::Wrong);
            assert_eq!(check(&secrets, "e", "right").await, Verdict::Wrong);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_remembered_secret_needs_no_turn_and_another_waits_in_vain() {
        let secrets = secrets();
        assert_eq!(check(&secrets, "c", "right").await, Verdict::Right);
        let taken = secrets.turns.acquire_many(2).await.unwrap();
        assert_eq!(check(&secrets, "c", "right").await, Verdict::Right);
        assert_eq!(check(&secrets, "d", "other").await, Verdict::Busy);
        drop(taken);
        assert_eq!(check(&secrets, "d", "other").await, Verdict::Right);
    }

    #[test]
    fn only_argon2id_hashes_are_taken() {
        let right = cheap_hash("x");
        for hash in [
            String::new(),
            "plain text".to_owned(),
            right.replace("argon2id", "argon2i"),
            right.rsplit_once('$').unwrap().0.to_owned(),
            "$2b$12$abcdefghijklmnopqrstuv".to_owned(),
        ] {
            let error = ClientSecrets::new(&[BuiltinClient::new("c", &*hash)]).err();
            assert_eq!(error, Some(BuiltinError::SecretHash { client: "c".to_owned() }), "{hash}");
        }
    }

    #[tokio::test]
    async fn a_made_hash_is_accepted() {
        let hash = hash_secret("s3cret").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, hash_secret("s3cret").unwrap(), "the salt is random");
        let secrets = ClientSecrets::new(&[BuiltinClient::new("c", hash)]).unwrap();
        assert_eq!(check(&secrets, "c", "s3cret").await, Verdict::Right);
    }
}
