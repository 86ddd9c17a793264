//! Owns the row of a Managed HSM, which is flat where a vault's is nested.

use serde::Serialize;

use super::{Attempt, resource_id};

#[derive(Serialize)]
pub(super) struct Row<'a> {
    #[serde(rename = "TenantId")]
    tenant_id: &'a str,
    time: String,
    #[serde(rename = "resourceId")]
    resource_id: String,
    #[serde(rename = "operationName")]
    operation_name: &'static str,
    #[serde(rename = "operationVersion")]
    operation_version: &'a str,
    category: &'static str,
    #[serde(rename = "resultType")]
    result_type: &'static str,
    properties: Properties,
    #[serde(rename = "durationMs")]
    duration_ms: u64,
    #[serde(rename = "callerIpAddress")]
    caller_ip_address: String,
    /// JSON in a string.
    identity: String,
    #[serde(rename = "clientInfo")]
    client_info: &'a str,
    #[serde(rename = "correlationId")]
    correlation_id: &'a str,
    #[serde(rename = "subnetId")]
    subnet_id: &'static str,
    #[serde(rename = "httpStatusCode")]
    http_status_code: u16,
    #[serde(rename = "PoolName")]
    pool_name: &'a str,
    #[serde(rename = "requestUri")]
    request_uri: String,
    #[serde(rename = "resourceGroup")]
    resource_group: &'static str,
    #[serde(rename = "resourceProvider")]
    resource_provider: &'static str,
    resource: &'a str,
    #[serde(rename = "resourceType")]
    resource_type: &'static str,
}

#[derive(Serialize)]
struct Properties {
    #[serde(rename = "PoolType")]
    pool_type: &'static str,
    #[serde(rename = "sku_Family")]
    sku_family: &'static str,
    #[serde(rename = "sku_Name")]
    sku_name: &'static str,
}

#[derive(Serialize)]
struct Identity<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<Claim<'a>>,
}

#[derive(Serialize)]
struct Claim<'a> {
    appid: &'a str,
    http_schemas_microsoft_com_identity: Schema<'a>,
}

#[derive(Serialize)]
struct Schema<'a> {
    claims: Object<'a>,
}

#[derive(Serialize)]
struct Object<'a> {
    objectidentifier: &'a str,
}

fn identity(attempt: &Attempt) -> String {
    let claim = attempt.claims.as_ref().map(|claims| Claim {
        appid: &claims.appid,
        http_schemas_microsoft_com_identity: Schema { claims: Object { objectidentifier: &claims.oid } },
    });
    serde_json::to_string(&Identity { claim }).unwrap_or_default()
}

pub(super) fn row(attempt: &Attempt) -> Row<'_> {
    Row {
        tenant_id: &attempt.tenant,
        time: super::log_time(attempt.logged_time, 3),
        resource_id: resource_id(&attempt.vault, attempt.profile),
        operation_name: attempt.operation,
        operation_version: attempt.api_version.unwrap_or_default(),
        category: "AuditEvent",
        result_type: "Success",
        properties: Properties { pool_type: "M-HSM", sku_family: "B", sku_name: "Standard_B1" },
        duration_ms: u64::try_from(attempt.duration.as_millis()).unwrap_or(u64::MAX),
        caller_ip_address: attempt.address.to_string(),
        identity: identity(attempt),
        client_info: &attempt.user_agent,
        correlation_id: &attempt.correlation_id,
        subnet_id: "(unknown)",
        http_status_code: attempt.status,
        pool_name: &attempt.vault,
        request_uri: format!("{}{}", attempt.origin, attempt.target),
        resource_group: "SIM",
        resource_provider: "MICROSOFT.KEYVAULT",
        resource: &attempt.vault,
        resource_type: "managedHSMs",
    }
}
