//! Places in status lists: leased in blocks, given out in random order within a block.
//!
//! Random, because a place in the order of issuing would tell strangers how many credentials were issued when.

use std::collections::HashMap;

use domain::{AuthorityId, TenantId, Timestamp};
use store::{Store, StoreError};
use tokio::sync::Mutex;
use uuid::Uuid;

/// Places per lease. A restart loses what is left of one.
const BLOCK: i64 = 256;

/// Places per list: 2^17, the least that W3C's status lists allow and what keeps a list's bits from telling people apart.
const LIST: i64 = 131_072;

/// The places that this process holds.
pub struct StatusIndices {
    tenant: TenantId,
    held: Mutex<HashMap<AuthorityId, Vec<(Uuid, i64)>>>,
}

impl StatusIndices {
    /// Holds nothing yet.
    #[must_use]
    pub fn new(tenant: TenantId) -> Self {
        Self { tenant, held: Mutex::new(HashMap::new()) }
    }

    /// A place that nobody else has.
    pub async fn take(
        &self,
        store: &Store,
        authority: AuthorityId,
        now: Timestamp,
    ) -> Result<(Uuid, i64), StoreError> {
        let mut held = self.held.lock().await;
        let places = held.entry(authority).or_default();
        if let Some(place) = places.pop() {
            return Ok(place);
        }
        let block =
            store.lease_status_block(self.tenant, authority, BLOCK, Uuid::new_v4(), LIST, now).await?;
        places.extend((block.first..block.first + block.len).map(|index| (block.list, index)));
        shuffle(places);
        places.pop().ok_or(StoreError::Corrupt("status_list.size"))
    }
}

/// Fisher and Yates; without randomness the order stays, which costs privacy but no correctness.
fn shuffle(places: &mut [(Uuid, i64)]) {
    for last in (1..places.len()).rev() {
        let Ok(random) = getrandom::u64() else { return };
        let bound = u64::try_from(last).unwrap_or(u64::MAX).saturating_add(1);
        let other = usize::try_from(random % bound).unwrap_or(0);
        places.swap(last, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffling_keeps_every_place() {
        let mut places: Vec<(Uuid, i64)> = (0..200).map(|index| (Uuid::nil(), index)).collect();
        shuffle(&mut places);
        let in_order = places.windows(2).filter(|pair| pair[0].1 < pair[1].1).count();
        assert!(in_order < 190, "not shuffled");
        places.sort_unstable();
        assert!(places.iter().zip(0..).all(|((_, index), expected)| *index == expected));
    }
}
