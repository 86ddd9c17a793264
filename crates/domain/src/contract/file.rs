//! The members of a contract file, around its rules and displays.
//!
//! Owns the typed form and the reading of the outermost object. It must not know who applies a contract, or when.
//! Source: Entra Verified ID, Admin API, contract object.

use serde_json::Value;

use super::display::{self, Display};
use super::reader::{Reader, text_of};
use super::report::{Path, Report, nearest, quoted};
use super::rules::Rules;
use crate::ids::ContractId;

/// Longest name of a contract, in characters.
pub const MAX_NAME_CHARS: usize = 128;

pub(super) const FILE_MEMBERS: &[&str] = &[
    "id",
    "name",
    "status",
    "rules",
    "displays",
    "allowOverrideValidityIntervalOnIssuance",
    "availableInVcDirectory",
    "issueNotificationEnabled",
    "issueNotificationAllowedToGroupOids",
];

/// Whether credentials are issued under a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ContractStatus {
    /// They are.
    #[default]
    Enabled,
    /// No new ones; those that exist stay searchable and revocable.
    Disabled,
}

impl ContractStatus {
    /// The wire value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enabled => "Enabled",
            Self::Disabled => "Disabled",
        }
    }
}

/// The members of a contract file; the same as those of the Admin API's contract object that a caller may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractFile {
    /// `id`; whoever applies a file without one finds or makes it by the name.
    pub id: Option<ContractId>,
    /// `name`, unique within a tenant.
    pub name: String,
    /// `status`.
    pub status: ContractStatus,
    /// `rules`.
    pub rules: Rules,
    /// The first display: for readers of languages that no display has.
    pub default_display: Display,
    /// The other displays, in the order of the file.
    pub other_displays: Vec<Display>,
    /// `allowOverrideValidityIntervalOnIssuance`: whether a request may carry `expirationDate`.
    pub allow_override_validity_interval_on_issuance: bool,
    /// `availableInVcDirectory`; kept and echoed.
    pub available_in_vc_directory: bool,
    /// `issueNotificationEnabled`; kept and echoed.
    pub issue_notification_enabled: bool,
    /// `issueNotificationAllowedToGroupOids`; kept and echoed.
    pub issue_notification_allowed_to_group_oids: Option<Vec<String>>,
}

impl ContractFile {
    pub(super) fn read(value: &Value, report: &mut Report) -> Option<Self> {
        let at = Path::ROOT;
        let file = Reader::open(value, &at, FILE_MEMBERS, report)?;
        let id = file
            .optional_text("id", "a GUID with dashes", report)
            .and_then(|text| read_id(text, &at.member("id"), report));
        let name = file
            .text("name", "the contract's name, such as \"StudentCard\"", report)
            .and_then(|text| read_name(text, &at.member("name"), report));
        let status = file
            .optional_text("status", "\"Enabled\" or \"Disabled\"", report)
            .and_then(|text| read_status(text, &at.member("status"), report))
            .unwrap_or_default();
        let rules = file
            .required("rules", "an object with attestations, validityInterval and vc", report)
            .and_then(|value| Rules::read(value, &at.member("rules"), report));
        let displays = file
            .required("displays", "an array with one display for each language", report)
            .and_then(|value| display::read_displays(value, &at.member("displays"), report));
        let groups = read_groups(&file, &at.member("issueNotificationAllowedToGroupOids"), report);
        let allow_override = file.flag("allowOverrideValidityIntervalOnIssuance", report);
        let available_in_vc_directory = file.flag("availableInVcDirectory", report);
        let issue_notification_enabled = file.flag("issueNotificationEnabled", report);
        let (default_display, other_displays) = displays?;
        Some(Self {
            id,
            name: name?,
            status,
            rules: rules?,
            default_display,
            other_displays,
            allow_override_validity_interval_on_issuance: allow_override,
            available_in_vc_directory,
            issue_notification_enabled,
            issue_notification_allowed_to_group_oids: groups,
        })
    }
}

fn read_id(text: &str, at: &Path<'_>, report: &mut Report) -> Option<ContractId> {
    match text.parse() {
        Ok(id) => Some(id),
        Err(_invalid) => {
            report.error(at, format!("is {}; expected a GUID with dashes, or no id at all", quoted(text)));
            None
        }
    }
}

fn read_name(text: &str, at: &Path<'_>, report: &mut Report) -> Option<String> {
    if text.trim() != text || text.chars().any(char::is_control) || text.chars().nth(MAX_NAME_CHARS).is_some()
    {
        report.error(
            at,
            format!(
                "is {}; expected at most {MAX_NAME_CHARS} characters without white space around them or line breaks",
                quoted(text)
            ),
        );
        return None;
    }
    Some(text.to_owned())
}

fn read_status(text: &str, at: &Path<'_>, report: &mut Report) -> Option<ContractStatus> {
    match text {
        "Enabled" => Some(ContractStatus::Enabled),
        "Disabled" => Some(ContractStatus::Disabled),
        other => {
            let hint = nearest(other, &["Enabled", "Disabled"])
                .map(|meant| format!(" (did you mean {}?)", quoted(meant)))
                .unwrap_or_default();
            report.error(at, format!("is {}{hint}; expected \"Enabled\" or \"Disabled\"", quoted(other)));
            None
        }
    }
}

fn read_groups(file: &Reader<'_>, at: &Path<'_>, report: &mut Report) -> Option<Vec<String>> {
    let name = "issueNotificationAllowedToGroupOids";
    file.get(name)?;
    let expected = "a group's GUID with dashes";
    let mut groups = Vec::new();
    for (index, item) in
        file.optional_list(name, "an array of group GUIDs or null", report).iter().enumerate()
    {
        let at = at.index(index);
        let Some(text) = text_of(item, &at, expected, report) else { continue };
        if text.len() == 36 && uuid::Uuid::try_parse(text).is_ok() {
            groups.push(text.to_owned());
        } else {
            report.error(&at, format!("is {}; expected {expected}", quoted(text)));
        }
    }
    Some(groups)
}
