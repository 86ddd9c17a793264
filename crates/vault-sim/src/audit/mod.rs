//! Owns the record of attempts: the service's audit rows and the compact list of arrivals. Files are written by `blob`.

pub mod blob;
mod hsm;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;

use crate::clock::Moment;
use crate::identity::Claims;
use crate::locked;
use crate::profile::Profile;
use blob::BlobWriter;

/// How the log is kept.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// Where the blobs go; none are written without it.
    pub dir: Option<PathBuf>,
    /// Rows are written up to this much later, each by its own draw.
    pub delay: Duration,
    /// `correlationId` is what the caller sent, instead of the service's own request id.
    pub correlation_from_client: bool,
    /// Refusals by a limit have rows.
    pub throttled_rows: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { dir: None, delay: Duration::ZERO, correlation_from_client: false, throttled_rows: true }
    }
}

/// Rows kept in memory.
const MOST_ROWS: usize = 100_000;
/// Arrivals kept in memory.
const MOST_ARRIVALS: usize = 1_000_000;

/// One HTTP attempt.
#[derive(Debug)]
pub struct Attempt {
    pub arrived: Moment,
    /// The time that the service believes in.
    pub logged_time: Moment,
    pub vault: String,
    pub profile: Profile,
    pub tenant: String,
    pub operation: &'static str,
    pub api_version: Option<&'static str>,
    /// 0: reset before anything was done.
    pub status: u16,
    pub description: String,
    pub duration: Duration,
    pub address: IpAddr,
    pub request_id: String,
    pub correlation_id: String,
    pub claims: Option<Claims>,
    /// A role, a policy and the network let the caller through.
    pub authorized: bool,
    /// `name` or `name/version`, as asked.
    pub key: Option<String>,
    pub key_type: Option<&'static str>,
    pub origin: String,
    /// Path and query.
    pub target: String,
    pub user_agent: String,
    pub tls: &'static str,
    /// The meters hold it.
    pub counted: bool,
    /// It has a row.
    pub logged: bool,
}

/// An arrival, for those who judge limits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Arrival {
    /// Counts all arrivals from 1.
    pub n: u64,
    /// Milliseconds since the Unix epoch, to the microsecond; never skewed.
    pub ms: f64,
    /// Name of the vault.
    pub vault: String,
    /// `operationName` of the log.
    pub op: &'static str,
    /// HTTP status; 0 when the connection was reset before anything was done.
    pub status: u16,
    /// Whether the meters hold it.
    pub counted: bool,
    /// The attempt's name out of the User-Agent.
    pub token: Option<String>,
    /// `name` or `name/version`, as asked.
    pub key: Option<String>,
    /// `x-ms-request-id`.
    pub request_id: String,
}

#[derive(Serialize)]
struct Row<'a> {
    time: String,
    category: &'static str,
    #[serde(rename = "operationName")]
    operation_name: &'static str,
    #[serde(rename = "operationVersion")]
    operation_version: &'a str,
    #[serde(rename = "resultType")]
    result_type: &'static str,
    #[serde(rename = "resultSignature")]
    result_signature: &'static str,
    #[serde(rename = "resultDescription")]
    result_description: &'a str,
    #[serde(rename = "durationMs")]
    duration_ms: String,
    #[serde(rename = "callerIpAddress")]
    caller_ip_address: String,
    #[serde(rename = "correlationId")]
    correlation_id: &'a str,
    identity: RowIdentity<'a>,
    properties: Properties<'a>,
    #[serde(rename = "resourceId")]
    resource_id: String,
}

#[derive(Serialize)]
struct RowIdentity<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<&'a Claims>,
}

#[derive(Serialize)]
struct Properties<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(rename = "clientInfo")]
    client_info: &'a str,
    #[serde(rename = "httpStatusCode")]
    http_status_code: u16,
    #[serde(rename = "requestUri")]
    request_uri: String,
    #[serde(rename = "isAccessPolicyMatch")]
    is_access_policy_match: bool,
    #[serde(rename = "isRbacAuthorized")]
    is_rbac_authorized: bool,
    #[serde(rename = "appliedAssignmentId", skip_serializing_if = "Option::is_none")]
    applied_assignment_id: Option<&'a str>,
    #[serde(rename = "tlsVersion")]
    tls_version: &'a str,
    #[serde(rename = "subnetId")]
    subnet_id: &'static str,
    #[serde(rename = "keyProperties", skip_serializing_if = "Option::is_none")]
    key_properties: Option<KeyProperties>,
}

#[derive(Serialize)]
struct KeyProperties {
    #[serde(rename = "type")]
    key_type: &'static str,
}

/// The role assignment that every authorised call shows.
pub const ASSIGNMENT: &str = "5a1de0f0c0de4000a000000000000001";

/// The vault's or the HSM's id in the control plane.
pub fn resource_id(vault: &str, profile: Profile) -> String {
    let kind = if profile.is_hsm() { "MANAGEDHSMS" } else { "VAULTS" };
    format!(
        "/SUBSCRIPTIONS/00000000-0000-0000-0000-000000000000/RESOURCEGROUPS/SIM/PROVIDERS/MICROSOFT.KEYVAULT/{kind}/{}",
        vault.to_uppercase()
    )
}

fn reason(status: u16) -> &'static str {
    match status {
        200 | 201 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        429 => "Too Many Requests",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Internal Server Error",
    }
}

/// UTC with at most nine decimals: a vault's rows have seven, an HSM's three.
fn log_time(at: Moment, decimals: usize) -> String {
    let date = at.date();
    let (hour, minute, second) = date.to_hms();
    let fraction = format!("{:09}", date.nanosecond());
    format!(
        "{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        fraction.get(..decimals).unwrap_or(&fraction)
    )
}

/// The `a=` of a User-Agent's comment.
fn attempt_token(user_agent: &str) -> Option<&str> {
    let (_, comment) = user_agent.split_once('(')?;
    let ends = |letter: char| letter == ';' || letter == ')';
    comment.split(ends).find_map(|part| part.trim().strip_prefix("a=")).filter(|token| !token.is_empty())
}

impl Attempt {
    /// The row as one line of JSON.
    pub fn row(&self) -> Vec<u8> {
        let line = if self.profile.is_hsm() {
            serde_json::to_vec(&hsm::row(self))
        } else {
            serde_json::to_vec(&self.vault_row())
        };
        let mut line = line.unwrap_or_default();
        line.push(b'\n');
        line
    }

    fn vault_row(&self) -> Row<'_> {
        Row {
            time: log_time(self.logged_time, 7),
            category: "AuditEvent",
            operation_name: self.operation,
            operation_version: self.api_version.unwrap_or_default(),
            result_type: "Success",
            result_signature: reason(self.status),
            result_description: &self.description,
            duration_ms: self.duration.as_millis().to_string(),
            caller_ip_address: self.address.to_string(),
            correlation_id: &self.correlation_id,
            identity: RowIdentity { claim: self.claims.as_ref() },
            properties: Properties {
                id: self.key.as_ref().map(|key| format!("{}/keys/{key}", self.origin)),
                client_info: &self.user_agent,
                http_status_code: self.status,
                request_uri: format!("{}{}", self.origin, self.target),
                is_access_policy_match: false,
                is_rbac_authorized: self.authorized,
                applied_assignment_id: self.authorized.then_some(ASSIGNMENT),
                tls_version: self.tls,
                subnet_id: "(unknown)",
                key_properties: self.key_type.map(|key_type| KeyProperties { key_type }),
            },
            resource_id: resource_id(&self.vault, self.profile),
        }
    }

    fn arrival(&self, n: u64) -> Arrival {
        // Microseconds as a float: exact until the year 2255.
        let micros = self.arrived.0.div_euclid(1_000);
        let (high, low) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
        let part = |value: i64| f64::from(u32::try_from(value).unwrap_or(u32::MAX));
        Arrival {
            n,
            ms: part(high) * 1_000.0 + part(low) / 1_000.0,
            vault: self.vault.clone(),
            op: self.operation,
            status: self.status,
            counted: self.counted,
            token: attempt_token(&self.user_agent).map(str::to_owned),
            key: self.key.clone(),
            request_id: self.request_id.clone(),
        }
    }
}

#[derive(Debug, Default)]
struct Kept {
    arrived: u64,
    arrivals: VecDeque<Arrival>,
    logged: u64,
    rows: VecDeque<Arc<Attempt>>,
}

/// What was recorded: in memory the newest, on disk everything.
#[derive(Debug)]
pub struct Feed {
    kept: Mutex<Kept>,
    writer: Option<BlobWriter>,
}

impl Feed {
    pub fn new(writer: Option<BlobWriter>) -> Self {
        Self { kept: Mutex::default(), writer }
    }

    pub fn record(&self, attempt: Attempt) {
        let attempt = Arc::new(attempt);
        let mut kept = locked(&self.kept);
        kept.arrived = kept.arrived.saturating_add(1);
        let arrival = attempt.arrival(kept.arrived);
        if kept.arrivals.len() >= MOST_ARRIVALS {
            kept.arrivals.pop_front();
        }
        kept.arrivals.push_back(arrival);
        if !attempt.logged {
            return;
        }
        kept.logged = kept.logged.saturating_add(1);
        if kept.rows.len() >= MOST_ROWS {
            kept.rows.pop_front();
        }
        kept.rows.push_back(Arc::clone(&attempt));
        drop(kept);
        if let Some(writer) = &self.writer {
            writer.write(attempt);
        }
    }

    /// Rows without the first `after`.
    pub fn rows(&self, after: u64) -> Vec<Arc<Attempt>> {
        let kept = locked(&self.kept);
        let left = usize::try_from(kept.logged.saturating_sub(after)).unwrap_or(usize::MAX);
        kept.rows.iter().skip(kept.rows.len().saturating_sub(left)).cloned().collect()
    }

    /// Arrivals without the first `after`.
    pub fn arrivals(&self, after: u64) -> Vec<Arrival> {
        let kept = locked(&self.kept);
        let left = usize::try_from(kept.arrived.saturating_sub(after)).unwrap_or(usize::MAX);
        kept.arrivals.iter().skip(kept.arrivals.len().saturating_sub(left)).cloned().collect()
    }

    pub fn clear(&self) {
        let mut kept = locked(&self.kept);
        kept.rows.clear();
        kept.arrivals.clear();
    }

    /// Waits until the files hold everything.
    pub fn flush(&self) {
        if let Some(writer) = &self.writer {
            writer.flush();
        }
    }
}

#[cfg(test)]
mod tests;
