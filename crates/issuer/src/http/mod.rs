//! HTTP: the front doors and what is served beside them.
//!
//! Each file is one surface. Handlers translate between the wire and a use case; they decide nothing.

pub mod body;
pub mod demo;
pub mod door;
pub mod entra_wallet;
pub mod error;
pub mod fields;
pub mod health;
pub mod openapi;
pub mod path;
pub mod qr;
pub mod request_api;
pub mod token_api;
pub mod well_known;

use std::sync::Arc;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpResponse, web};
use domain::TransactionId;

use crate::Issuer;
use crate::auth::{Authenticator, BuiltinIssuer};

/// Carries the transaction on every answer that belongs to one.
pub const TRANSACTION_HEADER: &str = "x-credenza-transaction-id";

/// Largest request body, in bytes: Entra's limit for an issuance request (1 MB).
pub const BODY_LIMIT: usize = 1_048_576;

/// What handlers share.
#[derive(Clone)]
pub struct Service {
    /// The use cases.
    pub issuer: Arc<Issuer>,
    /// Who may call.
    pub authenticator: Arc<Authenticator>,
    /// The built-in token issuer, where it is enabled.
    pub tokens: Option<web::Data<BuiltinIssuer>>,
    /// The demo front end, in `credenza dev`.
    pub demo: Option<Arc<demo::Demo>>,
    /// Whether the process is about to end.
    pub stopping: tokio_util::sync::CancellationToken,
}

/// Adds every route. The application wraps [`path::canonical`] around it.
pub fn configure(service: &Service) -> impl FnOnce(&mut web::ServiceConfig) + use<> {
    let service = service.clone();
    move |cfg| {
        cfg.app_data(web::Data::new(service.clone()))
            .app_data(web::PayloadConfig::new(BODY_LIMIT))
            // The busiest first: routes are tried in this order.
            .configure(request_api::configure)
            .configure(entra_wallet::configure)
            .configure(well_known::configure)
            .configure(health::configure)
            .configure(openapi::configure);
        if let Some(tokens) = &service.tokens {
            cfg.app_data(tokens.clone()).configure(token_api::configure);
        }
        // Last: it takes whatever path is left, for callers on this machine.
        if let Some(demo) = &service.demo {
            cfg.configure(demo::configure(demo));
        }
        cfg.default_service(web::to(unknown));
    }
}

async fn unknown() -> Result<HttpResponse, error::ApiError> {
    Err(error::ApiError::new(404, domain::error::InnerCode::NotFound, "There is no such resource."))
}

/// For methods that a resource does not have.
pub(crate) async fn method_not_allowed() -> Result<HttpResponse, error::ApiError> {
    let code = domain::error::InnerCode::BadOrMissingField;
    Err(error::ApiError::new(405, code, "This resource does not have this method."))
}

/// Names the transaction in an answer.
pub(crate) fn with_transaction(mut response: HttpResponse, transaction: TransactionId) -> HttpResponse {
    if let Ok(value) = HeaderValue::from_str(&transaction.to_string()) {
        response.headers_mut().insert(HeaderName::from_static(TRANSACTION_HEADER), value);
    }
    response
}
