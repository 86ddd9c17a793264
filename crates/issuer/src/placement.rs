//! Which of an authority's keys signs what.
//!
//! An authority may have active keys in several back ends: each vault has a limit of its own, and request signing can be
//! kept away from credential signing. Owns the choice. Must not know what a back end is.

use std::sync::Arc;

use crate::signing::ActiveKey;

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyUse {
    /// Request objects.
    Requests,
    /// Credentials, contracts and the domain linkage.
    Credentials,
}

/// In which back ends an authority keeps the keys that sign: each list names back ends, the preferred one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Where request objects are signed.
    pub requests: Vec<String>,
    /// Where credentials, contracts and the domain linkage are signed. The documents take the first.
    pub credentials: Vec<String>,
}

impl Placement {
    /// Everything in one back end.
    #[must_use]
    pub fn one(backend: &str) -> Self {
        Self { requests: vec![backend.to_owned()], credentials: vec![backend.to_owned()] }
    }

    /// Every back end that is named, once.
    #[must_use]
    pub fn backends(&self) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        for name in self.credentials.iter().chain(&self.requests) {
            if !all.contains(&name.as_str()) {
                all.push(name);
            }
        }
        all
    }

    fn of(&self, key_use: KeyUse) -> &[String] {
        match key_use {
            KeyUse::Requests => &self.requests,
            KeyUse::Credentials => &self.credentials,
        }
    }
}

/// The active keys of an authority, by what they sign; each list begins with the preferred one.
#[derive(Default)]
pub struct ActiveKeys {
    requests: Vec<Arc<ActiveKey>>,
    credentials: Vec<Arc<ActiveKey>>,
}

impl ActiveKeys {
    /// Sorts active keys into their places. One that is in no back end of the placement signs nothing.
    pub(crate) fn new(active: &[Arc<ActiveKey>], placement: &Placement) -> Self {
        let placed = |key_use: KeyUse| {
            let names = placement.of(key_use).iter();
            names.filter_map(|name| active.iter().find(|key| key.key.key.backend == *name).cloned()).collect()
        };
        Self { requests: placed(KeyUse::Requests), credentials: placed(KeyUse::Credentials) }
    }

    /// All keys for this use.
    #[must_use]
    pub fn of(&self, key_use: KeyUse) -> &[Arc<ActiveKey>] {
        match key_use {
            KeyUse::Requests => &self.requests,
            KeyUse::Credentials => &self.credentials,
        }
    }

    /// All of them, each once.
    pub fn all(&self) -> impl Iterator<Item = &Arc<ActiveKey>> {
        let others =
            self.requests.iter().filter(|key| !self.credentials.iter().any(|other| Arc::ptr_eq(other, key)));
        self.credentials.iter().chain(others)
    }

    /// The key for the next signature: the first whose back end has room, else the first.
    pub fn with_room(&self, key_use: KeyUse, has_room: impl Fn(&str) -> bool) -> Option<&Arc<ActiveKey>> {
        let keys = self.of(key_use);
        match keys {
            [only] => Some(only),
            _ => keys.iter().find(|key| has_room(&key.key.key.backend)).or_else(|| keys.first()),
        }
    }

    /// Whether each back end of the placement holds one.
    pub(crate) fn is_complete(&self, placement: &Placement) -> bool {
        [KeyUse::Requests, KeyUse::Credentials]
            .into_iter()
            .all(|key_use| self.of(key_use).len() == placement.of(key_use).len())
    }
}

#[cfg(test)]
mod tests {
    use credential::key::PublicKey;
    use domain::key::{EcPoint, KeyState, SigningKey};
    use domain::{AuthorityId, KeyId, KeyRef, SignatureAlgorithm, Timestamp};

    use super::*;

    fn key(backend: &str) -> Arc<ActiveKey> {
        // The generator of P-256 (SEC 2, section 2.4.2): a point like any other.
        let sec1: Vec<u8> = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
                             4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
            .as_bytes()
            .chunks(2)
            .map(|hex| u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap())
            .collect();
        let public = EcPoint::from_sec1(&sec1).unwrap();
        let key = SigningKey {
            authority: AuthorityId::new(uuid::Uuid::nil()),
            id: KeyId::new(backend),
            key: KeyRef { backend: backend.into(), name: "n".into(), version: "v".into() },
            algorithm: SignatureAlgorithm::Es256,
            public,
            state: KeyState::Active,
            prepared_at: Timestamp::from_millis(0),
        };
        let public = PublicKey::from_point(SignatureAlgorithm::Es256, &public).unwrap();
        Arc::new(ActiveKey { kid: format!("did#{backend}"), key, public })
    }

    fn placement(requests: &[&str], credentials: &[&str]) -> Placement {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Placement { requests: names(requests), credentials: names(credentials) }
    }

    fn backend(key: Option<&Arc<ActiveKey>>) -> Option<&str> {
        key.map(|key| key.key.key.backend.as_str())
    }

    #[test]
    fn each_use_has_its_own_back_ends() {
        let places = placement(&["east"], &["west"]);
        assert_eq!(places.backends(), ["west", "east"]);
        let keys = ActiveKeys::new(&[key("east"), key("west"), key("software")], &places);
        assert_eq!(backend(keys.with_room(KeyUse::Requests, |_| false)), Some("east"));
        assert_eq!(backend(keys.with_room(KeyUse::Credentials, |_| false)), Some("west"));
        assert_eq!(keys.all().count(), 2);
        assert!(keys.is_complete(&places));
        assert!(!ActiveKeys::new(&[key("east")], &places).is_complete(&places));
        let software = ActiveKeys::new(&[key("software")], &places);
        assert_eq!(backend(software.with_room(KeyUse::Requests, |_| true)), None, "it is in no place");
    }

    #[test]
    fn work_goes_to_the_first_back_end_with_room() {
        let places = placement(&["east"], &["west", "north"]);
        let keys = ActiveKeys::new(&[key("north"), key("east"), key("west")], &places);
        let chosen = |full: &'static [&str]| {
            backend(keys.with_room(KeyUse::Credentials, move |name| !full.contains(&name)))
                .unwrap()
                .to_owned()
        };
        assert_eq!(chosen(&[]), "west");
        assert_eq!(chosen(&["west"]), "north");
        assert_eq!(chosen(&["west", "north"]), "west", "all are full: wait for the preferred one");
    }

    #[test]
    fn one_back_end_may_do_everything() {
        let places = Placement::one("software");
        assert_eq!(places.backends(), ["software"]);
        let keys = ActiveKeys::new(&[key("software")], &places);
        assert!(keys.is_complete(&places));
        assert_eq!(keys.all().count(), 1);
        assert_eq!(backend(keys.with_room(KeyUse::Requests, |_| true)), Some("software"));
    }
}
