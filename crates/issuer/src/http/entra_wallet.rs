//! What Entra wallets call: request object, contract, issuance, completion. All anonymous.
//!
//! Source: the wallet libraries' behaviour (`spec/wallet-protocol.md`, sections 1 to 5). Signing steps run to their end
//! even when the wallet hangs up: an intent must not be left open because of a lost connection.

use actix_web::http::header::{ACCEPT_LANGUAGE, CACHE_CONTROL, VARY};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credential::completion::Completion;
use domain::error::InnerCode;
use domain::{ContractId, RequestId, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::Body;
use super::error::ApiError;
use super::{Service, method_not_allowed, with_transaction};
use crate::usecase::contract::FetchError;

/// Asks for the signed (`true`, default) or the bare (`false`) contract.
const SIGN_HEADER: &str = "x-ms-sign-contract";

/// Adds the routes.
pub fn configure(cfg: &mut web::ServiceConfig) {
    cfg.service(
        web::resource("/v1.0/tenants/{tenant}/verifiableCredentials/issuanceRequests/{request}")
            .route(web::get().to(request_object))
            .default_service(web::to(method_not_allowed)),
    )
    .service(
        web::resource("/v1.0/tenants/{tenant}/verifiableCredentials/contracts/{contract}/manifest")
            .route(web::get().to(manifest))
            .default_service(web::to(method_not_allowed)),
    )
    .service(
        web::resource("/v1.0/tenants/{tenant}/verifiableCredentials/issue")
            .route(web::post().to(issue))
            .default_service(web::to(method_not_allowed)),
    )
    .service(
        web::resource("/v1.0/verifiableCredentials/completeIssuance")
            .route(web::post().to(complete))
            .default_service(web::to(method_not_allowed)),
    );
}

fn not_found(target: &str) -> ApiError {
    ApiError::new(404, InnerCode::NotFound, "There is no such resource.").about(target)
}

impl From<FetchError> for ApiError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::NoContract => not_found("contract"),
            FetchError::NotSigned => Self::busy("The contract is not signed yet, try again."),
            FetchError::Store(source) => Self::database(&source),
        }
    }
}

fn check_tenant(service: &Service, tenant: &str) -> Result<(), ApiError> {
    match tenant.parse::<TenantId>() {
        Ok(tenant) if tenant == service.issuer.settings.tenant => Ok(()),
        _ => Err(not_found("tenant")),
    }
}

/// The signed request object: a bare compact JWS, whatever `Prefer` says.
#[utoipa::path(
    get,
    path = "/v1.0/tenants/{tenant}/verifiableCredentials/issuanceRequests/{request}",
    params(("tenant" = String, Path), ("request" = String, Path)),
    responses(
        (status = 200, description = "Compact JWS", body = String, content_type = "application/jwt"),
        (status = 403, description = "The operator has stopped the client, the customer or the contract (inner code stopped)", body = super::error::ErrorBody),
        (status = 404, description = "Unknown, expired or completed", body = super::error::ErrorBody),
        (status = 429, description = "Too many calls of this address or about this request; Retry-After says when to try again", body = super::error::ErrorBody),
        (status = 503, description = "Try again", body = super::error::ErrorBody),
    )
)]
pub async fn request_object(
    service: web::Data<Service>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (tenant, request) = path.into_inner();
    check_tenant(&service, &tenant)?;
    let request: RequestId = request.parse().map_err(|_source| not_found("request_uri"))?;
    let issuer = std::sync::Arc::clone(&service.issuer);
    let retrieved =
        finished(service.issuer.steps.begin(async move { issuer.retrieve(request).await }).await)??;
    let response = HttpResponse::Ok()
        .content_type("application/jwt")
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(retrieved.object);
    Ok(with_transaction(response, retrieved.transaction))
}

/// Part of a manifest address that names the request.
#[derive(Deserialize)]
pub struct ManifestQuery {
    request: Option<String>,
}

/// The signed contract.
#[derive(Serialize, ToSchema)]
pub struct SignedManifest<'a> {
    /// Compact JWS.
    token: &'a str,
}

/// A contract, signed or, with `x-ms-sign-contract: false`, bare.
#[utoipa::path(
    get,
    path = "/v1.0/tenants/{tenant}/verifiableCredentials/contracts/{contract}/manifest",
    params(
        ("tenant" = String, Path),
        ("contract" = String, Path),
        ("request" = Option<String>, Query, description = "Names the transaction; changes nothing in the answer"),
        ("x-ms-sign-contract" = Option<bool>, Header),
        ("Accept-Language" = Option<String>, Header),
    ),
    responses(
        (status = 200, description = "The contract", body = SignedManifest),
        (status = 404, description = "No such contract", body = super::error::ErrorBody),
        (status = 429, description = "Too many calls of this address or about this request; Retry-After says when to try again", body = super::error::ErrorBody),
        (status = 503, description = "Not signed yet, try again", body = super::error::ErrorBody),
    )
)]
pub async fn manifest(
    service: web::Data<Service>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    query: Option<web::Query<ManifestQuery>>,
) -> Result<HttpResponse, ApiError> {
    let (tenant, contract) = path.into_inner();
    check_tenant(&service, &tenant)?;
    let contract: ContractId = contract.parse().map_err(|_source| not_found("contract"))?;
    let of_request = query.and_then(|query| query.into_inner().request?.parse().ok());
    if let Some(id) = of_request {
        service.issuer.inbound.request(id)?;
    }
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let (token, transaction) =
        service.issuer.fetch_contract(contract, header(ACCEPT_LANGUAGE.as_str()), of_request).await?;
    let mut response = HttpResponse::Ok();
    response
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((VARY, "Accept-Language, x-ms-sign-contract"));
    let bare = header(SIGN_HEADER).is_some_and(|value| value.eq_ignore_ascii_case("false"));
    let response = if bare {
        let payload = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
        response.content_type("application/json").body(payload.ok_or_else(|| not_found("contract"))?)
    } else {
        response.json(SignedManifest { token: &token })
    };
    Ok(match transaction {
        Some(transaction) => with_transaction(response, transaction),
        None => response,
    })
}

/// A credential.
#[derive(Serialize, ToSchema)]
pub struct IssuedCredential {
    /// Compact JWS.
    vc: String,
}

/// Takes a wallet's proof and gives the credential.
#[utoipa::path(
    post,
    path = "/v1.0/tenants/{tenant}/verifiableCredentials/issue",
    params(("tenant" = String, Path)),
    request_body(content = String, content_type = "text/plain", description = "The issuance response, a compact JWS"),
    responses(
        (status = 200, description = "The credential", body = IssuedCredential),
        (status = 400, description = "The proof was refused", body = super::error::ErrorBody),
        (status = 403, description = "Wrong PIN (inner code token_validation.invalid_openid_token_hint_pin) another holder, or stopped by the operator", body = super::error::ErrorBody),
        (status = 404, description = "Unknown, expired or completed", body = super::error::ErrorBody),
        (status = 429, description = "Too many calls of this address or about this request; Retry-After says when to try again", body = super::error::ErrorBody),
        (status = 503, description = "Try again", body = super::error::ErrorBody),
    )
)]
pub async fn issue(
    service: web::Data<Service>,
    path: web::Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    check_tenant(&service, &path)?;
    let body = body.0?;
    let issuer = std::sync::Arc::clone(&service.issuer);
    let issued = finished(
        service
            .issuer
            .steps
            .begin(async move {
                let text = std::str::from_utf8(&body).unwrap_or_default();
                issuer.issue(text).await
            })
            .await,
    )??;
    let response = HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(IssuedCredential { vc: issued.credential });
    Ok(with_transaction(response, issued.transaction))
}

/// What a wallet reports.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document; `credential::completion` reads it")]
pub struct CompletionBody {
    /// `issuance_successful` or `issuance_failed`.
    code: String,
    /// The `state` of the request object.
    state: String,
    /// After a failure: `user_canceled`, `fetch_contract_error`, `issuance_service_error`, `unspecified_error` or
    /// `linked_domain_error`.
    details: Option<String>,
}

/// Takes a wallet's report.
#[utoipa::path(
    post,
    path = "/v1.0/verifiableCredentials/completeIssuance",
    request_body = CompletionBody,
    responses(
        (status = 202, description = "Taken"),
        (status = 400, description = "Not a report", body = super::error::ErrorBody),
        (status = 404, description = "No request has this state", body = super::error::ErrorBody),
        (status = 409, description = "No credential was issued", body = super::error::ErrorBody),
        (status = 429, description = "Too many calls of this address or about this request; Retry-After says when to try again", body = super::error::ErrorBody),
    )
)]
pub async fn complete(service: web::Data<Service>, body: Body) -> Result<HttpResponse, ApiError> {
    let body = body.0?;
    let completion = Completion::parse(&body)
        .map_err(|error| ApiError::new(400, InnerCode::BadOrMissingField, error.to_string()))?;
    let transaction = service.issuer.complete(&completion.state, completion.outcome).await?;
    Ok(with_transaction(HttpResponse::Accepted().finish(), transaction))
}

/// A spawned step either ended or the runtime is shutting down.
fn finished<T>(step: Result<T, tokio::task::JoinError>) -> Result<T, ApiError> {
    step.map_err(|error| ApiError::internal(&error))
}

#[cfg(test)]
mod tests {
    use store::StoreError;

    use super::*;

    #[test]
    fn a_manifest_can_be_fetched_again_after_the_database_was_away() {
        let away = ApiError::from(FetchError::Store(StoreError::TimedOut));
        assert_eq!(away.status(), 503);
        let defect = ApiError::from(FetchError::Store(StoreError::Corrupt("a row")));
        assert_eq!(defect.status(), 500);
    }
}
