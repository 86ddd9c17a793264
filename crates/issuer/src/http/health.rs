//! `/livez`: the process answers. `/readyz`: it can issue, or why not.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::Service;

/// Adds the routes.
pub fn configure(cfg: &mut web::ServiceConfig) {
    cfg.route("/livez", web::get().to(live)).route("/readyz", web::get().to(ready));
}

/// Whether the process can issue.
#[derive(Serialize, ToSchema)]
pub struct Readiness {
    /// `ready` or `not ready`.
    status: &'static str,
    /// What is missing.
    reasons: Vec<&'static str>,
}

/// The process answers.
#[utoipa::path(get, path = "/livez", responses((status = 200, description = "Alive")))]
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("ok\n")
}

/// Whether the process can issue, with what is missing.
#[utoipa::path(
    get,
    path = "/readyz",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness))
)]
pub async fn ready(service: web::Data<Service>) -> HttpResponse {
    let mut reasons = Vec::new();
    if service.stopping.is_cancelled() {
        reasons.push("the process is stopping");
    }
    if let Err(error) = service.issuer.store.ping().await {
        tracing::warn!(%error, "the database does not answer");
        reasons.push("the database does not answer");
    }
    let directory = service.issuer.directory.snapshot();
    match directory.authorities().next() {
        None => reasons.push("no authority is set up"),
        Some(entry) => {
            if entry.active.is_none() {
                reasons.push("the authority has no active signing key");
            }
            if entry.configuration.is_none() {
                reasons.push("the domain linkage is not signed");
            }
        }
    }
    if directory.contracts().iter().any(|entry| entry.tokens.is_empty()) {
        reasons.push("a contract is not signed");
    }
    if reasons.is_empty() {
        HttpResponse::Ok().json(Readiness { status: "ready", reasons })
    } else {
        HttpResponse::ServiceUnavailable().json(Readiness { status: "not ready", reasons })
    }
}
