//! Owns rotation policies: their rules and their JSON. Nothing here rotates by itself.

use serde::Serialize;

use crate::failure::Failure;
use crate::members::Members;
use crate::profile::Profile;

const SHORTEST_EXPIRY_DAYS: u32 = 28;
const SHORTEST_ROTATION_DAYS: u32 = 7;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Rotate,
    Notify,
}

impl Action {
    /// An HSM writes it in lower case.
    fn spelled(self, profile: Profile) -> &'static str {
        match (self, profile) {
            (Self::Rotate, Profile::Vault) => "Rotate",
            (Self::Rotate, Profile::ManagedHsm) => "rotate",
            (Self::Notify, _) => "Notify",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct LifetimeAction {
    trigger: Trigger,
    action: ActionType,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ActionType {
    #[serde(skip)]
    action: Action,
    #[serde(rename = "type")]
    spelled: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Trigger {
    #[serde(rename = "timeAfterCreate", skip_serializing_if = "Option::is_none")]
    after_create: Option<String>,
    #[serde(rename = "timeBeforeExpiry", skip_serializing_if = "Option::is_none")]
    before_expiry: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct PolicyAttributes {
    #[serde(rename = "expiryTime", skip_serializing_if = "Option::is_none")]
    expiry_time: Option<String>,
    created: i64,
    updated: i64,
}

/// A key's rotation policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationPolicy {
    actions: Vec<LifetimeAction>,
    attributes: PolicyAttributes,
}

/// The answer; both members are null when no policy was set.
#[derive(Debug, Serialize)]
pub struct PolicyAnswer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(rename = "lifetimeActions")]
    lifetime_actions: Option<&'a [LifetimeAction]>,
    attributes: Option<&'a PolicyAttributes>,
}

/// Days of an ISO 8601 duration of years, months, weeks and days; a year is 365 days, a month 30.
pub fn days(text: &str) -> Option<u32> {
    let mut rest = text.strip_prefix('P').filter(|rest| !rest.is_empty())?;
    let mut total = 0_u32;
    for (unit, days) in [('Y', 365), ('M', 30), ('W', 7), ('D', 1)] {
        if let Some((count, after)) = rest.split_once(unit) {
            if !count.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            total = total.checked_add(count.parse::<u32>().ok()?.checked_mul(days)?)?;
            rest = after;
        }
    }
    rest.is_empty().then_some(total)
}

fn duration(members: &Members, name: &str) -> Result<Option<(String, u32)>, Failure> {
    let Some(text) = members.text(name)?.filter(|text| !text.is_empty()) else { return Ok(None) };
    let days = days(text)
        .ok_or_else(|| Failure::bad_parameter(format!("Property {name} must be an ISO 8601 duration.")))?;
    Ok(Some((text.to_owned(), days)))
}

impl RotationPolicy {
    /// Reads a policy that replaces `before`.
    pub fn parse(
        members: &Members,
        before: Option<&Self>,
        profile: Profile,
        now: i64,
    ) -> Result<Self, Failure> {
        let expiry = match members.object("attributes")? {
            Some(attributes) => duration(&attributes, "expiryTime")?,
            None => None,
        };
        if expiry.as_ref().is_some_and(|(_, days)| *days < SHORTEST_EXPIRY_DAYS) {
            return Err(Failure::bad_parameter("Property expiryTime must be at least 28 days."));
        }
        let mut actions = Vec::new();
        for item in members.objects("lifetimeActions")? {
            actions.push(Self::action(&item, expiry.as_ref().map(|(_, days)| *days), profile)?);
        }
        let count =
            |wanted| actions.iter().filter(|item: &&LifetimeAction| item.action.action == wanted).count();
        let (rotations, notices) = (count(Action::Rotate), count(Action::Notify));
        if rotations > 1 || notices > 1 {
            return Err(Failure::bad_parameter("A policy has at most one Rotate and one Notify."));
        }
        if notices > 0 && profile.is_hsm() {
            return Err(Failure::bad_parameter("An HSM has no Notify."));
        }
        if notices == 0 && !profile.is_hsm() {
            actions.push(LifetimeAction {
                trigger: Trigger { after_create: None, before_expiry: Some("P30D".to_owned()) },
                action: ActionType { action: Action::Notify, spelled: Action::Notify.spelled(profile) },
            });
        }
        let created = before.map_or(now, |before| before.attributes.created);
        let expiry_time = expiry.map(|(text, _)| text);
        Ok(Self { actions, attributes: PolicyAttributes { expiry_time, created, updated: now } })
    }

    fn action(item: &Members, expiry_days: Option<u32>, profile: Profile) -> Result<LifetimeAction, Failure> {
        let kind = item.object("action")?.unwrap_or_default();
        let kind = kind.text("type")?.unwrap_or_default();
        let action = if kind.eq_ignore_ascii_case("Rotate") {
            Action::Rotate
        } else if kind.eq_ignore_ascii_case("Notify") {
            Action::Notify
        } else {
            return Err(Failure::bad_parameter("An action's type is Rotate or Notify."));
        };
        let trigger = item.object("trigger")?.unwrap_or_default();
        let after = duration(&trigger, "timeAfterCreate")?;
        let before = duration(&trigger, "timeBeforeExpiry")?;
        if after.is_some() == before.is_some() {
            return Err(Failure::bad_parameter("A trigger has one of timeAfterCreate and timeBeforeExpiry."));
        }
        if action == Action::Rotate {
            let too_soon = after.as_ref().is_some_and(|(_, days)| *days < SHORTEST_ROTATION_DAYS);
            let too_late = before.as_ref().is_some_and(|(_, days)| {
                *days < SHORTEST_ROTATION_DAYS
                    || expiry_days.is_none_or(|expiry| days.saturating_add(SHORTEST_ROTATION_DAYS) > expiry)
            });
            if too_soon || too_late {
                let message = "A rotation is at least 7 days after creation and 7 days before expiry.";
                return Err(Failure::bad_parameter(message));
            }
        }
        let text = |value: Option<(String, u32)>| value.map(|(text, _)| text);
        let trigger = Trigger { after_create: text(after), before_expiry: text(before) };
        Ok(LifetimeAction { trigger, action: ActionType { action, spelled: action.spelled(profile) } })
    }

    /// When a version made at `now` expires under this policy, in Unix seconds.
    pub fn expiry_of_new_version(&self, now: i64) -> Option<i64> {
        let days = days(self.attributes.expiry_time.as_deref()?)?;
        Some(now.saturating_add(i64::from(days).saturating_mul(86_400)))
    }

    /// The JSON of a policy, or of there being none.
    pub fn answer<'a>(policy: Option<&'a Self>, origin: &str, name: &str) -> PolicyAnswer<'a> {
        PolicyAnswer {
            id: policy.map(|_| format!("{origin}/keys/{name}/rotationpolicy")),
            lifetime_actions: policy.map(|policy| policy.actions.as_slice()),
            attributes: policy.map(|policy| &policy.attributes),
        }
    }
}
