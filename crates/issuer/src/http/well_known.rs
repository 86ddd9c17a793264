//! `/.well-known/did.json` and `/.well-known/did-configuration.json`.
//!
//! Wallets read these literally: the exact document or 404, never anything else with a 2xx.

use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse, web};
use did_web::Rendered;
use domain::error::InnerCode;

use super::error::ApiError;
use super::{Service, method_not_allowed};

/// How long resolvers may keep a document, in seconds. Part of what a key has to wait for before it signs.
const MAX_AGE: &str = "public, max-age=3600, must-revalidate";

/// Adds the routes.
pub fn configure(cfg: &mut web::ServiceConfig) {
    cfg.service(
        web::resource("/.well-known/did.json")
            .route(web::get().to(did_document))
            .route(web::head().to(did_document))
            .default_service(web::to(method_not_allowed)),
    )
    .service(
        web::resource("/.well-known/did-configuration.json")
            .route(web::get().to(did_configuration))
            .route(web::head().to(did_configuration))
            .default_service(web::to(method_not_allowed)),
    );
}

/// The DID document of the authority at this origin.
#[utoipa::path(
    get,
    path = "/.well-known/did.json",
    responses((status = 200, description = "The DID document"), (status = 404, description = "No authority"))
)]
pub async fn did_document(
    service: web::Data<Service>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let directory = service.issuer.directory.snapshot();
    let did =
        did_web::did_from_origin(service.issuer.urls.base()).map_err(|error| ApiError::internal(&error))?;
    let entry = directory.authority_by_did(did.as_str()).ok_or_else(absent)?;
    // Without an active key there is nothing to verify with: a document without keys would only be cached.
    entry.active.as_ref().ok_or_else(absent)?;
    Ok(document(&request, &entry.document))
}

/// The domain linkage of the authority at this origin.
#[utoipa::path(
    get,
    path = "/.well-known/did-configuration.json",
    responses((status = 200, description = "The DID configuration"), (status = 404, description = "Not signed yet"))
)]
pub async fn did_configuration(
    service: web::Data<Service>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let directory = service.issuer.directory.snapshot();
    let did =
        did_web::did_from_origin(service.issuer.urls.base()).map_err(|error| ApiError::internal(&error))?;
    let entry = directory.authority_by_did(did.as_str()).ok_or_else(absent)?;
    Ok(document(&request, entry.configuration.as_ref().ok_or_else(absent)?))
}

fn absent() -> ApiError {
    ApiError::new(404, InnerCode::AuthorityNotFound, "No authority publishes this document here.")
}

fn document(request: &HttpRequest, rendered: &Rendered) -> HttpResponse {
    let known = request
        .headers()
        .get(IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|tags| tags.split(',').any(|tag| names(tag.trim(), &rendered.etag)));
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .insert_header((CACHE_CONTROL, MAX_AGE))
        .insert_header((ETAG, rendered.etag.clone()))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
    if known {
        return response.finish();
    }
    response.insert_header((CONTENT_TYPE, "application/json")).body(rendered.bytes.clone())
}

/// Weak comparison (RFC 9110, section 13.1.2): a proxy that compresses makes a strong tag weak.
fn names(tag: &str, etag: &str) -> bool {
    tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
}
