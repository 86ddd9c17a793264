//! The routes of the built-in token issuer: token endpoint, discovery, keys, and MSAL's instance discovery.
//!
//! Owns the mapping between HTTP and [`BuiltinIssuer`]. It must not decide who gets a token. Errors have the OAuth form
//! (RFC 6749, section 5.2) and not that of the Request Service API, because OAuth clients read them.

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use domain::TenantId;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::body::Body;
use super::{Service, door, method_not_allowed};
use crate::auth::BuiltinIssuer;
use crate::auth::builtin::{OAuthError, TokenRequest};

/// How long clients may keep discovery documents and keys, in seconds.
const DOCUMENT_CACHE: &str = "public, max-age=300";

/// Adds the routes. They take a `web::Data<BuiltinIssuer>` from the application.
pub fn configure(cfg: &mut web::ServiceConfig) {
    let resource = |path: &str| web::resource(path).default_service(web::to(method_not_allowed));
    cfg.service(resource("/common/discovery/instance").route(web::get().to(instance)))
        .service(resource("/{tenant}/oauth2/v2.0/token").route(web::post().to(token)))
        .service(resource("/{tenant}/discovery/v2.0/keys").route(web::get().to(keys)))
        .service(
            web::resource([
                "/{tenant}/v2.0/.well-known/openid-configuration",
                "/{tenant}/.well-known/openid-configuration",
            ])
            .route(web::get().to(discovery))
            .default_service(web::to(method_not_allowed)),
        );
}

#[derive(Deserialize)]
struct InstanceQuery {
    authorization_endpoint: Option<String>,
}

async fn token(
    request: HttpRequest,
    tenant: web::Path<String>,
    form: Body,
    issuer: web::Data<BuiltinIssuer>,
) -> HttpResponse {
    if let Some(service) = request.app_data::<web::Data<Service>>()
        && let Err(wait) = door::admit_token_call(&service.issuer, &request)
    {
        return too_many(wait);
    }
    match issue(&request, &tenant, form, &issuer).await {
        Ok(response) => unstored(HttpResponse::Ok()).json(response),
        Err(error) => refuse(&request, &issuer, error),
    }
}

async fn issue(
    request: &HttpRequest,
    tenant: &str,
    form: Body,
    issuer: &BuiltinIssuer,
) -> Result<crate::auth::builtin::TokenResponse, OAuthError> {
    known_tenant(tenant, issuer)?;
    let form = form.0.map_err(|_source| OAuthError::Body)?;
    let authorization = match request.headers().get(AUTHORIZATION) {
        None => None,
        Some(value) => Some(value.to_str().map_err(|_source| OAuthError::UnsupportedAuthentication)?),
    };
    issuer.token(TokenRequest::parse(&form, authorization)?).await
}

async fn discovery(
    request: HttpRequest,
    tenant: web::Path<String>,
    issuer: web::Data<BuiltinIssuer>,
) -> HttpResponse {
    document(&request, &issuer, known_tenant(&tenant, &issuer).map(|()| issuer.discovery()))
}

async fn keys(
    request: HttpRequest,
    tenant: web::Path<String>,
    issuer: web::Data<BuiltinIssuer>,
) -> HttpResponse {
    document(&request, &issuer, known_tenant(&tenant, &issuer).map(|()| issuer.jwks()))
}

async fn instance(
    request: HttpRequest,
    query: Option<web::Query<InstanceQuery>>,
    issuer: web::Data<BuiltinIssuer>,
) -> HttpResponse {
    let endpoint = query.and_then(|query| query.into_inner().authorization_endpoint);
    document(&request, &issuer, issuer.instance_discovery(endpoint.as_deref()))
}

/// OAuth has no code for it; clients go by the status (RFC 6585, section 4) and need `error` to be text.
fn too_many(wait: Option<u64>) -> HttpResponse {
    unstored(HttpResponse::TooManyRequests())
        .insert_header((RETRY_AFTER, wait.unwrap_or(1).to_string()))
        .json(json!({
            "error": "temporarily_unavailable",
            "error_description": "Too many calls of this address, try again after the time in Retry-After.",
        }))
}

fn known_tenant(text: &str, issuer: &BuiltinIssuer) -> Result<(), OAuthError> {
    match text.parse::<TenantId>() {
        Ok(tenant) if tenant == issuer.tenant() => Ok(()),
        _ => Err(OAuthError::UnknownTenant),
    }
}

fn document(
    request: &HttpRequest,
    issuer: &BuiltinIssuer,
    outcome: Result<Value, OAuthError>,
) -> HttpResponse {
    match outcome {
        Ok(value) => HttpResponse::Ok().insert_header((CACHE_CONTROL, DOCUMENT_CACHE)).json(value),
        Err(error) => refuse(request, issuer, error),
    }
}

fn refuse(request: &HttpRequest, issuer: &BuiltinIssuer, error: OAuthError) -> HttpResponse {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    tracing::info!(error = error.code(), status = status.as_u16(), detail = %error, "token issuer refused a request");
    let mut response = unstored(HttpResponse::build(status));
    if status == StatusCode::UNAUTHORIZED {
        response.insert_header((WWW_AUTHENTICATE, "Basic realm=\"token\""));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.insert_header(("Retry-After", "2"));
    }
    response.json(error.body(issuer.now(), correlation(request)))
}

/// Neither tokens nor refusals are for caches (RFC 6749, section 5.1).
fn unstored(mut response: HttpResponseBuilder) -> HttpResponseBuilder {
    response.insert_header((CACHE_CONTROL, "no-store")).insert_header((PRAGMA, "no-cache"));
    response
}

/// The caller's `client-request-id`, so that its log and ours can be matched, else a new id.
fn correlation(request: &HttpRequest) -> Uuid {
    request
        .headers()
        .get("client-request-id")
        .and_then(|value| Uuid::try_parse(value.to_str().ok()?).ok())
        .unwrap_or_else(Uuid::new_v4)
}

#[cfg(test)]
mod tests;
