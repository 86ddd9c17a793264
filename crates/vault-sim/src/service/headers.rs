//! Owns the headers that every answer of a vault or an HSM has.

use std::time::Duration;

use super::{Asked, Progress};
use crate::answer::Answer;
use crate::audit::ASSIGNMENT;
use crate::clock::Moment;
use crate::profile::Profile;

pub(super) fn add(
    answer: &mut Answer,
    asked: &Asked,
    request_id: &str,
    progress: &Progress,
    wait: Duration,
    now: Moment,
) {
    let known = answer.status != 401;
    let profile = progress.profile;
    let headers = &mut answer.headers;
    headers.extend(profile.headers(asked.method == "GET", known, asked.address, wait));
    headers.push(("x-ms-request-id", request_id.to_owned()));
    if let Some(id) = &asked.client_request_id {
        headers.push(("x-ms-client-request-id", id.clone()));
    }
    if profile == Profile::ManagedHsm {
        return;
    }
    // On answers to authorised calls only: known of 200, 404 and 409.
    if progress.authorized && matches!(answer.status, 200 | 204 | 404 | 409) {
        headers.push(("x-ms-keyvault-rbac-assignment-id", ASSIGNMENT.to_owned()));
    }
    headers.push(("date", http_date(now)));
}

/// A date as HTTP writes it.
fn http_date(at: Moment) -> String {
    let date = at.date();
    let (hour, minute, second) = date.to_hms();
    let short = |name: String| name.get(..3).unwrap_or_default().to_owned();
    format!(
        "{}, {:02} {} {:04} {hour:02}:{minute:02}:{second:02} GMT",
        short(date.weekday().to_string()),
        date.day(),
        short(date.month().to_string()),
        date.year()
    )
}
