//! Owns the reading of request lines: path, query, `api-version`. Tolerates what the service tolerates.

use url::form_urlencoded;

use crate::failure::{Failure, FailureKind};
use crate::operation::Operation;

/// Versions of the API that the service takes.
const API_VERSIONS: [&str; 12] = [
    "7.0",
    "7.1",
    "7.2",
    "7.3",
    "7.4",
    "7.5",
    "7.6",
    "2025-07-01",
    "7.6-preview.1",
    "7.6-preview.2",
    "2026-01-01-preview",
    "2026-03-01-preview",
];

/// Versions that do not know `hsmPlatform`.
const WITHOUT_PLATFORM: [&str; 5] = ["7.0", "7.1", "7.2", "7.3", "7.4"];

/// What the path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub operation: Operation,
    /// Key name, as written by the caller.
    pub name: Option<String>,
    /// Key version, where the request names one.
    pub version: Option<String>,
}

/// The query's members that the service knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    pub api_version: Option<String>,
    pub max_results: Option<String>,
    pub skip_token: Option<String>,
}

impl Query {
    /// Reads a query. Names are percent-decoded: the JavaScript client sends `api%2Dversion`.
    pub fn parse(text: &str) -> Self {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let place = match name.to_ascii_lowercase().as_str() {
                "api-version" => &mut query.api_version,
                "maxresults" => &mut query.max_results,
                "$skiptoken" => &mut query.skip_token,
                _ => continue,
            };
            *place = Some(value.into_owned());
        }
        query
    }

    /// The version of the API; there is no default.
    pub fn api_version(&self) -> Result<&'static str, Failure> {
        let Some(asked) = self.api_version.as_deref() else {
            return Err(Failure::bad_parameter("The query must have api-version."));
        };
        API_VERSIONS
            .into_iter()
            .find(|known| *known == asked)
            .ok_or_else(|| Failure::bad_parameter("This api-version is not served here."))
    }
}

/// Whether bundles of this API version have `hsmPlatform`.
pub fn shows_platform(api_version: &str) -> bool {
    !WITHOUT_PLATFORM.contains(&api_version)
}

fn is_name(text: &str) -> bool {
    (1..=127).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

impl Route {
    /// Reads method and path.
    ///
    /// # Errors
    /// `BadParameter` for a bad key name, `NotFound` for what is no operation on keys.
    pub fn parse(method: &str, path: &str) -> Result<Self, Failure> {
        let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        let (operation, name, version) = match (method, segments.as_slice()) {
            ("GET", ["keys"] | ["keys", ""]) => (Operation::List, None, ""),
            ("POST", ["keys", "restore"]) => (Operation::Restore, None, ""),
            ("POST", ["keys", name, "create"]) => (Operation::Create, Some(*name), ""),
            ("GET", ["keys", name, "versions"]) => (Operation::ListVersions, Some(*name), ""),
            ("POST", ["keys", name, "rotate"]) => (Operation::Rotate, Some(*name), ""),
            ("GET", ["keys", name, "rotationpolicy"]) => (Operation::GetRotationPolicy, Some(*name), ""),
            ("PUT", ["keys", name, "rotationpolicy"]) => (Operation::SetRotationPolicy, Some(*name), ""),
            ("POST", ["keys", name, "backup"]) => (Operation::Backup, Some(*name), ""),
            ("POST", ["keys", name, "sign"]) => (Operation::Sign, Some(*name), ""),
            ("POST", ["keys", name, version, "sign"]) => (Operation::Sign, Some(*name), *version),
            ("POST", ["keys", name, "verify"]) => (Operation::Verify, Some(*name), ""),
            ("POST", ["keys", name, version, "verify"]) => (Operation::Verify, Some(*name), *version),
            ("GET", ["keys", name, "attestation"]) => (Operation::GetAttestation, Some(*name), ""),
            ("GET", ["keys", name, version, "attestation"]) => {
                (Operation::GetAttestation, Some(*name), *version)
            }
            ("GET", ["keys", name]) => (Operation::Get, Some(*name), ""),
            ("GET", ["keys", name, version]) => (Operation::Get, Some(*name), *version),
            ("PATCH", ["keys", name]) => (Operation::Update, Some(*name), ""),
            ("PATCH", ["keys", name, version]) => (Operation::Update, Some(*name), *version),
            ("DELETE", ["keys", name] | ["keys", name, ""]) => (Operation::Delete, Some(*name), ""),
            ("PUT", ["keys", name] | ["keys", name, ""]) => (Operation::Import, Some(*name), ""),
            ("GET", ["deletedkeys"] | ["deletedkeys", ""]) => (Operation::ListDeleted, None, ""),
            ("GET", ["deletedkeys", name] | ["deletedkeys", name, ""]) => {
                (Operation::GetDeleted, Some(*name), "")
            }
            ("DELETE", ["deletedkeys", name] | ["deletedkeys", name, ""]) => {
                (Operation::Purge, Some(*name), "")
            }
            ("POST", ["deletedkeys", name, "recover"]) => (Operation::Recover, Some(*name), ""),
            _ => return Err(Failure::new(FailureKind::NotFound, "This is no operation on keys.")),
        };
        if name.is_some_and(|name| !is_name(name)) {
            return Err(Failure::bad_parameter("A key name has 1 to 127 letters, digits and hyphens."));
        }
        let version = (!version.is_empty()).then(|| version.to_ascii_lowercase());
        Ok(Self { operation, name: name.map(str::to_owned), version })
    }
}
