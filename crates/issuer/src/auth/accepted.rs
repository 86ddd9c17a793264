//! Tokens that were accepted a moment ago, so that a busy front end's token is verified once and not per request.
//!
//! Owns a bounded store in two generations. It must not decide who is accepted, and refusals are never kept.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use domain::Timestamp;

use super::Caller;

/// Entries per generation; two generations exist. An entry takes a few hundred bytes.
const GENERATION: usize = 4096;

/// Longest time an entry is good, in seconds: how long a token outlives the withdrawal of its issuer's key.
const LONGEST_SECS: i64 = 300;

/// The SHA-256 of a token. The tokens themselves are not kept: they are secrets.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint(Vec<u8>);

impl Fingerprint {
    pub(super) fn of(token: &str) -> Self {
        Self(digest(&SHA256, token.as_bytes()).as_ref().to_vec())
    }
}

#[derive(Clone)]
struct Entry {
    caller: Caller,
    from: Timestamp,
    until: Timestamp,
}

/// When the young generation is full it becomes the old one, and the old one is forgotten: bounded without counting uses.
#[derive(Default)]
struct Generations {
    young: HashMap<Fingerprint, Entry>,
    old: HashMap<Fingerprint, Entry>,
}

#[derive(Default)]
pub(super) struct Accepted {
    generations: Mutex<Generations>,
}

impl Accepted {
    /// The caller of a token accepted before. A clock that went back invalidates the entry.
    pub(super) fn get(&self, token: &Fingerprint, now: Timestamp) -> Option<Caller> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = generations.young.get(token) {
            return entry.at(now);
        }
        let entry = generations.old.remove(token)?;
        let caller = entry.at(now)?;
        generations.insert(token.clone(), entry);
        Some(caller)
    }

    /// Remembers a token until its expiry, at most for five minutes.
    pub(super) fn put(&self, token: Fingerprint, caller: Caller, expires: Timestamp, now: Timestamp) {
        let until = expires.min(now.plus_seconds(LONGEST_SECS));
        if until > now {
            let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
            generations.insert(token, Entry { caller, from: now, until });
        }
    }
}

#[cfg(test)]
impl Accepted {
    /// Forgets everything, so that a test sees the next verification.
    pub(super) fn clear(&self) {
        *self.generations.lock().unwrap() = Generations::default();
    }
}

impl Entry {
    fn at(&self, now: Timestamp) -> Option<Caller> {
        (self.from <= now && now < self.until).then(|| self.caller.clone())
    }
}

impl Generations {
    fn insert(&mut self, token: Fingerprint, entry: Entry) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(token, entry);
    }
}

#[cfg(test)]
mod tests {
    use domain::{ClientId, TenantId};

    use super::*;

    fn caller() -> Caller {
        Caller {
            tenant: "a5f1c9d2-0000-4000-8000-00000000abcd".parse::<TenantId>().unwrap(),
            client: ClientId::new("c"),
            roles: Vec::new(),
            token_id: None,
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn an_entry_lives_until_the_expiry_and_at_most_five_minutes() {
        let accepted = Accepted::default();
        let (short, long) = (Fingerprint::of("short"), Fingerprint::of("long"));
        accepted.put(short.clone(), caller(), at(1100), at(1000));
        accepted.put(long.clone(), caller(), at(9000), at(1000));
        assert!(accepted.get(&short, at(1099)).is_some());
        assert!(accepted.get(&short, at(1100)).is_none());
        assert!(accepted.get(&long, at(1299)).is_some());
        assert!(accepted.get(&long, at(1300)).is_none());
        assert!(accepted.get(&long, at(999)).is_none(), "the clock went back");
        assert!(accepted.get(&Fingerprint::of("other"), at(1000)).is_none());
    }

    #[test]
    fn an_expired_token_within_leeway_is_not_kept() {
        let accepted = Accepted::default();
        accepted.put(Fingerprint::of("t"), caller(), at(1000), at(1000));
        assert!(accepted.get(&Fingerprint::of("t"), at(1000)).is_none());
    }

    #[test]
    fn the_store_is_bounded_and_keeps_what_is_used() {
        let accepted = Accepted::default();
        let used = Fingerprint::of("used");
        accepted.put(used.clone(), caller(), at(1100), at(1000));
        for n in 0..3 * GENERATION {
            accepted.put(Fingerprint::of(&n.to_string()), caller(), at(1100), at(1000));
            if n % 1000 == 0 {
                assert!(accepted.get(&used, at(1000)).is_some(), "{n}");
            }
        }
        assert!(accepted.get(&Fingerprint::of("0"), at(1000)).is_none());
        let generations = accepted.generations.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION);
    }
}
