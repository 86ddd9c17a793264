//! `/livez`: the process answers. `/readyz`: it can issue, or why not.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Service, method_not_allowed};
use crate::Issuer;

/// Adds the routes.
pub fn configure(cfg: &mut web::ServiceConfig) {
    cfg.service(
        web::resource("/livez")
            .route(web::get().to(live))
            .route(web::head().to(live))
            .default_service(web::to(method_not_allowed)),
    )
    .service(
        web::resource("/readyz")
            .route(web::get().to(ready))
            .route(web::head().to(ready))
            .default_service(web::to(method_not_allowed)),
    );
}

/// Whether the process can issue.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Readiness {
    /// `ready` or `not ready`.
    status: &'static str,
    /// What is missing.
    reasons: Vec<&'static str>,
    /// What an operator should look at although the process can issue.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'static str>,
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
    let database = service.issuer.store.ping().await;
    if let Err(error) = &database {
        tracing::warn!(%error, "the database does not answer");
    }
    let readiness = observe(&service.issuer, service.stopping.is_cancelled(), database.is_ok()).judge();
    if readiness.reasons.is_empty() {
        HttpResponse::Ok().json(readiness)
    } else {
        HttpResponse::ServiceUnavailable().json(readiness)
    }
}

/// What readiness depends on.
struct Observed {
    stopping: bool,
    database: bool,
    committer: bool,
    /// The authority of our own origin: whether it has an active key and a signed domain linkage.
    authority: Option<(bool, bool)>,
    contracts_signed: bool,
}

fn observe(issuer: &Issuer, stopping: bool, database: bool) -> Observed {
    let directory = issuer.directory.snapshot();
    Observed {
        stopping,
        database,
        committer: issuer.committer().is_running(),
        authority: issuer
            .own_authority()
            .map(|entry| (entry.active.is_some(), entry.configuration.is_some())),
        contracts_signed: directory.contracts().iter().all(|entry| entry.is_signed()),
    }
}

impl Observed {
    fn judge(&self) -> Readiness {
        let reasons: Vec<&'static str> = [
            (self.stopping, "the process is stopping"),
            (!self.database, "the database does not answer"),
            (!self.committer, "nothing carries changes to the database any more"),
            (self.authority.is_none(), "no authority is set up"),
            (matches!(self.authority, Some((false, _))), "the authority has no active signing key"),
            (matches!(self.authority, Some((_, false))), "the domain linkage is not signed"),
        ]
        .into_iter()
        .filter_map(|(missing, reason)| missing.then_some(reason))
        .collect();
        let warnings = if self.contracts_signed { Vec::new() } else { vec!["a contract is not signed"] };
        Readiness { status: if reasons.is_empty() { "ready" } else { "not ready" }, reasons, warnings }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Observed = Observed {
        stopping: false,
        database: true,
        committer: true,
        authority: Some((true, true)),
        contracts_signed: true,
    };

    #[test]
    fn a_good_process_is_ready_without_a_word() {
        let text = serde_json::to_string(&GOOD.judge()).unwrap();
        assert_eq!(text, r#"{"status":"ready","reasons":[]}"#);
    }

    #[test]
    fn each_thing_that_is_missing_has_its_reason() {
        for (observed, reason) in [
            (Observed { stopping: true, ..GOOD }, "the process is stopping"),
            (Observed { database: false, ..GOOD }, "the database does not answer"),
            (Observed { committer: false, ..GOOD }, "nothing carries changes to the database any more"),
            (Observed { authority: None, ..GOOD }, "no authority is set up"),
            (Observed { authority: Some((false, true)), ..GOOD }, "the authority has no active signing key"),
            (Observed { authority: Some((true, false)), ..GOOD }, "the domain linkage is not signed"),
        ] {
            let expected = Readiness { status: "not ready", reasons: vec![reason], warnings: Vec::new() };
            assert_eq!(observed.judge(), expected);
        }
    }

    #[test]
    fn a_contract_without_signature_keeps_nobody_from_the_others() {
        let readiness = Observed { contracts_signed: false, ..GOOD }.judge();
        let warnings = vec!["a contract is not signed"];
        assert_eq!(readiness, Readiness { status: "ready", reasons: Vec::new(), warnings });
    }
}
