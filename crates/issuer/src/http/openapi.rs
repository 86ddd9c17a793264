//! The API description, generated from the handlers.

use actix_web::{HttpResponse, web};
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use super::{entra_wallet, error, health, method_not_allowed, request_api, well_known};

/// Adds the route.
pub fn configure(cfg: &mut web::ServiceConfig) {
    cfg.service(
        web::resource("/openapi.json")
            .route(web::get().to(serve))
            .default_service(web::to(method_not_allowed)),
    );
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Credenza", description = "Issues verifiable credentials. Signing keys never leave the process in the clear; in the database they are encrypted."),
    paths(
        request_api::create_issuance_request,
        entra_wallet::request_object,
        entra_wallet::manifest,
        entra_wallet::issue,
        entra_wallet::complete,
        well_known::did_document,
        well_known::did_configuration,
        health::live,
        health::ready,
    ),
    components(schemas(error::ErrorBody)),
    modifiers(&Bearer)
)]
struct Api;

struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = openapi.components.get_or_insert_with(Default::default);
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// The description as pretty JSON: what `/openapi.json` serves and `docs/openapi.json` keeps.
#[must_use]
pub fn document() -> String {
    Api::openapi().to_pretty_json().unwrap_or_default()
}

async fn serve() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(document())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kept_description_is_the_one_that_is_served() {
        let kept = include_str!("../../../../docs/openapi.json");
        assert!(
            document() == kept.trim_end(),
            "docs/openapi.json is not up to date: run `cargo run -- openapi > docs/openapi.json`"
        );
    }

    #[test]
    fn every_operation_says_what_it_answers() {
        let description: serde_json::Value = serde_json::from_str(&document()).unwrap();
        for (path, operations) in description["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let answers = operation["responses"].as_object().unwrap();
                assert!(!answers.is_empty(), "{method} {path}");
            }
        }
    }
}
