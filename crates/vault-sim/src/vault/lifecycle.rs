//! Owns soft delete: delete, recover, purge, each seen only after a while, as in the service.

use serde::Serialize;

use super::key::{Bundle, View};
use super::{NamedKey, Phase, Vault, VaultConfig, key_id};
use crate::clock::Moment;
use crate::failure::{ConflictCode, Failure, FailureKind};

/// The answer about a deleted key.
#[derive(Debug, Serialize)]
pub struct DeletedBundle {
    #[serde(flatten)]
    pub(super) deletion: Deletion,
    #[serde(flatten)]
    bundle: Bundle,
}

/// What is known of a delete.
#[derive(Debug, Serialize)]
pub struct Deletion {
    #[serde(rename = "recoveryId")]
    recovery_id: String,
    #[serde(rename = "deletedDate")]
    deleted_date: i64,
    #[serde(rename = "scheduledPurgeDate")]
    scheduled_purge_date: i64,
}

fn purge_date(deleted: Moment, view: View<'_>) -> i64 {
    deleted.seconds().saturating_add(i64::from(view.recovery.retention_days).saturating_mul(86_400))
}

/// What is known of this key's delete, once it can be seen.
pub(super) fn deletion(key: &NamedKey, view: View<'_>, now: Moment) -> Option<Deletion> {
    match key.phase {
        Phase::Deleted { at, seen } if now >= seen => Some(describe(key, at, view)),
        _ => None,
    }
}

fn describe(key: &NamedKey, at: Moment, view: View<'_>) -> Deletion {
    Deletion {
        recovery_id: format!("{}/deletedkeys/{}", view.origin, key.name),
        deleted_date: at.seconds(),
        scheduled_purge_date: purge_date(at, view),
    }
}

fn deleted_not_found(origin: &str, name: &str) -> Failure {
    Failure::key_not_found(&format!("{origin}/deletedkeys/{name}"))
}

fn being_deleted() -> Failure {
    Failure::conflict(Some(ConflictCode::ObjectIsBeingDeleted), "The key is being deleted; try later.")
}

impl Vault {
    /// Lets what takes time come to its end. Every call begins with it.
    pub fn settle(&mut self, now: Moment, view: View<'_>) {
        if self.next_change.is_none_or(|at| now < at) {
            return;
        }
        self.keys.retain(|_, key| match key.phase {
            Phase::Purging { done } => now < done,
            Phase::Deleted { at, .. } => now.seconds() < purge_date(at, view),
            Phase::Active | Phase::Recovering { .. } => true,
        });
        for key in self.keys.values_mut() {
            if matches!(key.phase, Phase::Recovering { done } if now >= done) {
                key.phase = Phase::Active;
            }
        }
        self.look_ahead(view);
    }

    /// Finds out when there is something to settle: signing does not look at every key.
    fn look_ahead(&mut self, view: View<'_>) {
        let end = |key: &NamedKey| match key.phase {
            Phase::Active => None,
            Phase::Purging { done } | Phase::Recovering { done } => Some(done),
            Phase::Deleted { at, .. } => Some(Moment::from_seconds(purge_date(at, view))),
        };
        self.next_change = self.keys.values().filter_map(end).min();
    }

    /// Deletes all versions, for the time being.
    pub fn delete(
        &mut self,
        name: &str,
        config: &VaultConfig,
        view: View<'_>,
        now: Moment,
    ) -> Result<DeletedBundle, Failure> {
        let missing = || Failure::key_not_found(&key_id(view.origin, name, None));
        let key = self.keys.get_mut(&name.to_ascii_lowercase()).filter(|key| key.phase == Phase::Active);
        let key = key.ok_or_else(missing)?;
        key.phase = Phase::Deleted { at: now, seen: now.plus(config.consistency) };
        let bundle = key.version(None).ok_or_else(missing)?.bundle(&key.name, view);
        let answer = DeletedBundle { deletion: describe(key, now, view), bundle };
        self.look_ahead(view);
        Ok(answer)
    }

    pub fn get_deleted(&self, name: &str, view: View<'_>, now: Moment) -> Result<DeletedBundle, Failure> {
        let missing = || deleted_not_found(view.origin, name);
        let key = self.keys.get(&name.to_ascii_lowercase()).ok_or_else(missing)?;
        let deletion = deletion(key, view, now).ok_or_else(missing)?;
        Ok(DeletedBundle { deletion, bundle: key.version(None).ok_or_else(missing)?.bundle(&key.name, view) })
    }

    pub fn recover(
        &mut self,
        name: &str,
        config: &VaultConfig,
        view: View<'_>,
        now: Moment,
    ) -> Result<Bundle, Failure> {
        let missing = || deleted_not_found(view.origin, name);
        let key = self.keys.get_mut(&name.to_ascii_lowercase()).ok_or_else(missing)?;
        match key.phase {
            Phase::Active | Phase::Purging { .. } => Err(missing()),
            Phase::Deleted { seen, .. } if now < seen => Err(being_deleted()),
            Phase::Deleted { .. } => {
                key.phase = Phase::Recovering { done: now.plus(config.consistency) };
                let bundle = key.version(None).ok_or_else(missing)?.bundle(&key.name, view);
                self.look_ahead(view);
                Ok(bundle)
            }
            Phase::Recovering { .. } => Err(Failure::conflict(None, "The key is being recovered already.")),
        }
    }

    pub fn purge(
        &mut self,
        name: &str,
        config: &VaultConfig,
        view: View<'_>,
        now: Moment,
    ) -> Result<(), Failure> {
        let missing = || deleted_not_found(view.origin, name);
        let key = self.keys.get_mut(&name.to_ascii_lowercase()).ok_or_else(missing)?;
        match key.phase {
            Phase::Active | Phase::Purging { .. } => Err(missing()),
            Phase::Recovering { .. } => Err(Failure::conflict(
                Some(ConflictCode::ObjectIsBeingRecovered),
                "The key is being recovered.",
            )),
            Phase::Deleted { .. } if config.purge_protection => Err(Failure::new(
                FailureKind::Forbidden(None),
                "Purge protection keeps deleted keys until their scheduled date.",
            )),
            Phase::Deleted { seen, .. } if now < seen => Err(being_deleted()),
            Phase::Deleted { .. } => {
                key.phase = Phase::Purging { done: now.plus(config.consistency) };
                self.look_ahead(view);
                Ok(())
            }
        }
    }
}
