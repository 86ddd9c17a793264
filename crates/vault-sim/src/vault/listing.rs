//! Owns lists: pages, their order, `nextLink`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::key::{Attributes, View};
use super::lifecycle::{self, Deletion};
use super::{NamedKey, Phase, Vault, key_id, place_of};
use crate::clock::Moment;
use crate::failure::Failure;
use crate::members::base64url;
use crate::route::Query;

/// The most of a page, and what it is when nobody asks.
const PAGE: usize = 25;

#[derive(Debug, Serialize)]
struct Item {
    #[serde(flatten)]
    deletion: Option<Deletion>,
    kid: String,
    attributes: Attributes,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<BTreeMap<String, String>>,
}

/// A page. `nextLink` is there on the last one, too: null.
#[derive(Debug, Serialize)]
pub struct Page {
    value: Vec<Item>,
    #[serde(rename = "nextLink")]
    next_link: Option<String>,
}

/// Where a page begins and ends.
struct Bounds {
    most: usize,
    after: Option<String>,
}

impl Bounds {
    fn parse(query: &Query) -> Result<Self, Failure> {
        let most = match query.max_results.as_deref() {
            None => PAGE,
            Some(text) => text
                .parse::<usize>()
                .ok()
                .filter(|most| (1..=PAGE).contains(most))
                .ok_or_else(|| Failure::bad_parameter("maxresults must be between 1 and 25."))?,
        };
        Ok(Self { most, after: query.skip_token.as_deref().map(place_of).transpose()? })
    }

    /// Cuts the page out of all entries, which are in the order of their places.
    fn page<'a, T: 'a>(
        self,
        all: impl Iterator<Item = (&'a str, T)>,
        item: impl Fn(T) -> Option<Item>,
        path: &str,
        query: &Query,
    ) -> Page {
        let after = self.after.unwrap_or_default();
        let mut rest = all.filter(|(place, _)| *place > after.as_str()).peekable();
        let (mut value, mut last) = (Vec::new(), None);
        while value.len() < self.most {
            let Some((place, entry)) = rest.next() else { break };
            last = Some(place);
            value.extend(item(entry));
        }
        let next_link = last.filter(|_| rest.peek().is_some()).map(|place| {
            let version = query.api_version.as_deref().unwrap_or_default();
            let token = base64url(place.as_bytes());
            format!("{path}?api-version={version}&$skiptoken={token}&maxresults={}", self.most)
        });
        Page { value, next_link }
    }
}

fn item(key: &NamedKey, kid: String, version: Option<&str>, view: View<'_>) -> Option<Item> {
    let version = key.version(version)?;
    Some(Item { deletion: None, kid, attributes: version.attributes(view), tags: version.tags.clone() })
}

impl Vault {
    /// The keys, by name, with the attributes of their current versions.
    pub fn list(&self, query: &Query, view: View<'_>) -> Result<Page, Failure> {
        let active = self.keys.iter().filter(|(_, key)| key.phase == Phase::Active);
        let entries = active.map(|(place, key)| (place.as_str(), key));
        let of_key = |key: &NamedKey| item(key, key_id(view.origin, &key.name, None), None, view);
        Ok(Bounds::parse(query)?.page(entries, of_key, &format!("{}/keys", view.origin), query))
    }

    /// The versions of a key, by version string: not by age.
    pub fn list_versions(&self, name: &str, query: &Query, view: View<'_>) -> Result<Page, Failure> {
        let (key, _) = self.found(view.origin, name, None)?;
        let entries = key.versions.keys().map(|version| (version.as_str(), version.as_str()));
        let of_version =
            |version: &str| item(key, key_id(view.origin, &key.name, Some(version)), Some(version), view);
        let path = format!("{}/keys/{}/versions", view.origin, key.name);
        Ok(Bounds::parse(query)?.page(entries, of_version, &path, query))
    }

    /// The deleted keys that can be seen.
    pub fn list_deleted(&self, query: &Query, view: View<'_>, now: Moment) -> Result<Page, Failure> {
        let entries = self.keys.iter().filter_map(|(place, key)| {
            lifecycle::deletion(key, view, now).map(|deletion| (place.as_str(), (key, deletion)))
        });
        let of_key = |(key, deletion): (&NamedKey, Deletion)| {
            let plain = item(key, key_id(view.origin, &key.name, None), None, view)?;
            Some(Item { deletion: Some(deletion), ..plain })
        };
        Ok(Bounds::parse(query)?.page(entries, of_key, &format!("{}/deletedkeys", view.origin), query))
    }
}
