//! The Request Service API: `POST /v1.0/verifiableCredentials/createIssuanceRequest`.
//!
//! Owns the reading of its body: every member, default, limit and error message. Source: Entra Verified ID, issuance
//! request API. Answers carry exactly the documented members; what is ours stands in headers.

use std::collections::BTreeMap;

use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::error::InnerCode;
use domain::{ContractId, CustomerId, Timestamp, TransactionId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::Body;
use super::error::ApiError;
use super::fields::Fields;
use super::{Service, method_not_allowed, qr, with_transaction};
use crate::sealed::{CallbackTarget, PinPrompt, Registration};
use crate::urls::ManifestAddress;
use crate::usecase::create::{Asker, GivenPin, Wanted};

/// Names the customer on whose behalf the front end asks, instead of the member `customer`.
pub const CUSTOMER_HEADER: &str = "x-credenza-customer";

/// Longest customer name, in characters.
const CUSTOMER_CHARS: usize = 256;

/// Longest text of a member that is kept or shown, in characters. Claims have their own limit.
const TEXT_CHARS: usize = 4096;

/// Where front ends ask for an issuance.
pub const CREATE_PATH: &str = "/v1.0/verifiableCredentials/createIssuanceRequest";

/// Adds the route.
pub fn configure(cfg: &mut web::ServiceConfig) {
    cfg.service(
        web::resource(CREATE_PATH)
            .route(web::post().to(create_issuance_request))
            .default_service(web::to(method_not_allowed)),
    );
}

// For the API description only; `read` reads the body.
/// What a front end asks for.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "describes the body in the OpenAPI document; `read` gives its errors their documented form"
)]
pub struct CreateIssuanceRequest {
    /// The issuer's DID.
    #[schema(example = "did:web:issuer.example")]
    authority: String,
    /// Whether the answer contains `qrCode`. Default false.
    #[serde(default, rename = "includeQRCode")]
    include_qr_code: bool,
    /// Who asks, as the wallet shows it.
    registration: RegistrationBody,
    /// Where events go. Without it none are sent.
    callback: Option<CallbackBody>,
    /// The credential's type. Required, and not compared with the contract: clients send placeholders.
    #[serde(rename = "type")]
    credential_type: String,
    /// The contract's manifest address; `manifestUrl` is read too.
    manifest: String,
    /// Claim values by input name; only with a contract that has idTokenHints.
    claims: Option<BTreeMap<String, String>>,
    /// A PIN that the person has to type; only with a contract whose only attestation is idTokenHints.
    pin: Option<PinBody>,
    /// The credential's end, RFC 3339; the contract has to allow it.
    expiration_date: Option<String>,
    /// Extension: the customer on whose behalf the front end asks; at most 256 characters. Also as a header.
    customer: Option<String>,
}

/// Who asks.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
pub struct RegistrationBody {
    client_name: String,
    logo_url: Option<String>,
    terms_of_service_url: Option<String>,
    purpose: Option<String>,
}

/// Where events go.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
pub struct CallbackBody {
    /// A public https address.
    url: String,
    /// Given back in every event.
    state: String,
    /// Only `api-key` and `Authorization`.
    headers: Option<BTreeMap<String, String>>,
}

/// A PIN in clear, or hashed: then `salt` has to be there and `value` is base64(SHA-256(salt ‖ pin)).
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
pub struct PinBody {
    value: String,
    /// `numeric` (default) or `alphanumeric`.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// 4 to 16, default 6.
    length: Option<u32>,
    salt: Option<String>,
    /// `sha256`.
    alg: Option<String>,
    /// 1.
    iterations: Option<u32>,
}

/// The answer: exactly these members, because clients refuse others.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuanceRequestCreated {
    request_id: String,
    /// The link behind the QR code.
    url: String,
    /// Unix seconds.
    expiry: i64,
    /// `data:image/png;base64,…`
    #[serde(skip_serializing_if = "Option::is_none")]
    qr_code: Option<String>,
}

/// Creates an issuance request.
#[utoipa::path(
    post,
    path = "/v1.0/verifiableCredentials/createIssuanceRequest",
    request_body = CreateIssuanceRequest,
    params(("x-credenza-customer" = Option<String>, Header, description = "The customer on whose behalf the front end asks")),
    responses(
        (status = 201, description = "Accepted", body = IssuanceRequestCreated,
         headers(("x-credenza-transaction-id" = String, description = "The transaction"))),
        (status = 400, description = "A field is wrong", body = super::error::ErrorBody),
        (status = 401, description = "No or a wrong access token", body = super::error::ErrorBody),
        (status = 403, description = "The token lacks the role, or the operator has stopped the client, the customer or the contract (inner code stopped)", body = super::error::ErrorBody),
        (status = 404, description = "No such contract", body = super::error::ErrorBody),
        (status = 413, description = "More than 1 MiB", body = super::error::ErrorBody),
        (status = 415, description = "Not JSON", body = super::error::ErrorBody),
        (status = 429, description = "Too many calls of this address, client, customer or tenant; Retry-After says when to try again", body = super::error::ErrorBody),
        (status = 503, description = "Try again", body = super::error::ErrorBody),
    ),
    security(("bearer" = []))
)]
pub async fn create_issuance_request(
    service: web::Data<Service>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let header = request.headers().get(AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    let caller = service.authenticator.authenticate(header).await?;
    caller.require_create_issuance()?;
    let transaction = TransactionId::new(Uuid::now_v7());
    let mut asker = Asker { client: caller.client, tenant: caller.tenant, customer: None };
    let value = json_body(&request, body).and_then(|value| {
        asker.customer = customer(&request, &value)?;
        Ok(value)
    });
    // Also for a body that is none: what is refused is on record, so it counts.
    let contract = value.as_ref().ok().and_then(contract_of);
    service
        .issuer
        .admit_caller(&asker, contract, transaction)
        .map_err(|refused| ApiError::from(refused).of(transaction))?;
    let (wanted, include_qr_code) = match value.and_then(|value| read(&service, &value)) {
        Ok(read) => read,
        Err(error) => {
            service.issuer.refused(&asker, transaction, None, "bad_body");
            return Err(error.of(transaction));
        }
    };
    let created = service
        .issuer
        .create(&asker, transaction, wanted)
        .await
        .map_err(|error| ApiError::from(error).of(transaction))?;
    let qr_code = if include_qr_code {
        Some(qr::png_data_uri(&created.link).map_err(|error| ApiError::internal(&error).of(transaction))?)
    } else {
        None
    };
    let answer = IssuanceRequestCreated {
        request_id: created.request.to_string(),
        url: created.link,
        expiry: created.expires_at.seconds(),
        qr_code,
    };
    let response = HttpResponse::Created().insert_header((CACHE_CONTROL, "no-store")).json(answer);
    Ok(with_transaction(response, transaction))
}

/// The body as JSON: right content type, not too large, well formed.
pub(super) fn json_body(request: &HttpRequest, body: Body) -> Result<Value, ApiError> {
    if let Some(kind) = request.headers().get(CONTENT_TYPE) {
        let essence = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            let message = "The request body has to be application/json.";
            return Err(ApiError::new(415, InnerCode::BadOrMissingField, message).about("Content-Type"));
        }
    }
    let body = body.0?;
    serde_json::from_slice(&body).map_err(|error| {
        let message =
            format!("The request body is not valid JSON: line {}, column {}.", error.line(), error.column());
        ApiError::new(400, InnerCode::BadOrMissingField, message)
    })
}

/// The contract that a body seems to name; whether it really does is decided later.
fn contract_of(body: &Value) -> Option<ContractId> {
    let manifest = body.get("manifest").or_else(|| body.get("manifestUrl"))?.as_str()?;
    ManifestAddress::parse(manifest).map(|address| address.contract)
}

fn customer(request: &HttpRequest, body: &Value) -> Result<Option<CustomerId>, ApiError> {
    let in_body = Fields::body(body)?.text("customer")?;
    let in_header = match request.headers().get(CUSTOMER_HEADER) {
        Some(value) => Some(value.to_str().map(str::to_owned).map_err(|_source| {
            ApiError::field(CUSTOMER_HEADER, format!("The header `{CUSTOMER_HEADER}` is not ASCII text."))
        })?),
        None => None,
    };
    let Some(name) = in_body.or(in_header).filter(|name| !name.is_empty()) else { return Ok(None) };
    if name.chars().count() > CUSTOMER_CHARS || name.chars().any(char::is_control) {
        let message = "The customer has to be text of at most 256 characters without control characters.";
        return Err(ApiError::field("customer", message));
    }
    Ok(Some(CustomerId::new(name)))
}

/// Reads a body; says also whether a QR code is wanted.
pub(super) fn read(service: &Service, body: &Value) -> Result<(Wanted, bool), ApiError> {
    let fields = Fields::body(body)?;
    let authority = fields
        .text("authority")?
        .filter(|did| did.starts_with("did:"))
        .ok_or_else(|| ApiError::field("authority", "The request does not contain a valid authority DID."))?;
    let include_qr_code = fields.boolean("includeQRCode")?.unwrap_or(false);
    let registration = registration(&fields)?;
    let callback = callback(service, &fields)?;
    // Required, and then ignored: official samples send placeholders.
    fields.required_text("type", TEXT_CHARS)?;
    let manifest = match fields.text("manifest")? {
        Some(manifest) => manifest,
        None => fields.text("manifestUrl")?.ok_or_else(|| fields.missing("manifest"))?,
    };
    let expiration = match fields.text("expirationDate")? {
        Some(text) => Some(Timestamp::parse_rfc3339(&text).ok_or_else(|| {
            let message = "The request contains `expirationDate`, but it is not an ISO 8601 time such as \
                           2026-12-31T23:59:59.000Z.";
            ApiError::field("expirationDate", message)
        })?),
        None => None,
    };
    let wanted = Wanted {
        authority,
        manifest,
        claims: fields.text_map("claims")?,
        pin: pin(&fields)?,
        expiration,
        registration,
        callback,
    };
    Ok((wanted, include_qr_code))
}

fn registration(fields: &Fields<'_>) -> Result<Registration, ApiError> {
    let registration =
        fields.object("registration", "registration.")?.ok_or_else(|| fields.missing("registration"))?;
    let address = |name: &str| -> Result<Option<String>, ApiError> {
        let Some(text) = registration.short_text(name, TEXT_CHARS)?.filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        match Url::parse(&text) {
            Ok(url) if matches!(url.scheme(), "https" | "http" | "data") => Ok(Some(text)),
            _ => {
                let target = registration.target(name);
                let message = format!("The request contains `{target}`, but it is not a URL.");
                Err(ApiError::field(target, message))
            }
        }
    };
    Ok(Registration {
        client_name: registration.required_text("clientName", TEXT_CHARS)?,
        logo_url: address("logoUrl")?,
        terms_of_service_url: address("termsOfServiceUrl")?,
        purpose: registration.short_text("purpose", TEXT_CHARS)?.filter(|text| !text.is_empty()),
    })
}

fn callback(service: &Service, fields: &Fields<'_>) -> Result<Option<CallbackTarget>, ApiError> {
    let Some(callback) = fields.object("callback", "callback.")? else { return Ok(None) };
    let text = callback.required_text("url", TEXT_CHARS)?;
    let url = Url::parse(&text).map_err(|_source| {
        ApiError::field("callback.url", "The request contains `callback.url`, but it is not a URL.")
    })?;
    service
        .issuer
        .egress
        .check(&url)
        .map_err(|refusal| ApiError::field("callback.url", refusal.to_string()))?;
    let state = callback.required_text("state", TEXT_CHARS)?;
    let headers = callback.text_map("headers")?;
    for (name, value) in &headers {
        let target = format!("callback.headers.{name}");
        if !["api-key", "authorization"].iter().any(|allowed| name.eq_ignore_ascii_case(allowed)) {
            let message = format!(
                "The callback header `{name}` is invalid: only `api-key` and `Authorization` are allowed."
            );
            return Err(ApiError::field(target, message));
        }
        if value.len() > TEXT_CHARS {
            let message = format!("The callback header `{name}` is longer than {TEXT_CHARS} bytes.");
            return Err(ApiError::field(target, message));
        }
        if egress::check_header(name, value).is_err() {
            let message =
                format!("The callback header `{name}` contains characters that no header can carry.");
            return Err(ApiError::field(target, message));
        }
    }
    Ok(Some(CallbackTarget { url: text, state, headers }))
}

fn pin(fields: &Fields<'_>) -> Result<Option<GivenPin>, ApiError> {
    let Some(pin) = fields.object("pin", "pin.")? else { return Ok(None) };
    let value = pin.required_text("value", TEXT_CHARS)?;
    let alphanumeric = match pin.text("type")?.as_deref() {
        None | Some("numeric") => false,
        Some("alphanumeric") => true,
        Some(_) => {
            let message = "The request contains `pin.type`, but it is not `numeric` or `alphanumeric`.";
            return Err(ApiError::field("pin.type", message));
        }
    };
    let length = match pin.integer("length")? {
        None => 6,
        Some(length) => {
            u32::try_from(length).ok().filter(|length| (4..=16).contains(length)).ok_or_else(|| {
                ApiError::field(
                    "pin.length",
                    "The request contains `pin.length`, but it is not between 4 and 16.",
                )
            })?
        }
    };
    let salt = pin.short_text("salt", TEXT_CHARS)?;
    let alg = pin.text("alg")?;
    let iterations = pin.integer("iterations")?;
    if salt.is_none() && alg.is_none() && iterations.is_none() {
        return clear_pin(&value, alphanumeric, length).map(Some);
    }
    let salt = salt.filter(|salt| !salt.is_empty()).ok_or_else(|| pin.missing("salt"))?;
    if alg.as_deref().is_some_and(|alg| !alg.eq_ignore_ascii_case("sha256")) {
        return Err(ApiError::field("pin.alg", "The request contains `pin.alg`, but it is not `sha256`."));
    }
    if iterations.is_some_and(|iterations| iterations != 1) {
        let message = "The request contains `pin.iterations`, but it is not 1: wallets hash once.";
        return Err(ApiError::field("pin.iterations", message));
    }
    if STANDARD.decode(&value).map(|hash| hash.len()).unwrap_or_default() != 32 {
        let message = "The request contains a hashed `pin.value`, but it is not base64 of a SHA-256 hash.";
        return Err(ApiError::field("pin.value", message));
    }
    Ok(Some(GivenPin { prompt: PinPrompt { length, alphanumeric, salt }, wallet_value: value }))
}

fn clear_pin(value: &str, alphanumeric: bool, length: u32) -> Result<GivenPin, ApiError> {
    let right_length = u32::try_from(value.len()).is_ok_and(|found| found == length);
    let right_characters =
        value.bytes().all(|byte| byte.is_ascii_digit() || (alphanumeric && byte.is_ascii_alphanumeric()));
    if !right_length || !right_characters {
        let kind = if alphanumeric { "ASCII letters or digits" } else { "digits" };
        let message = format!(
            "The request contains `pin.value`, but it is not made of {length} {kind} (`pin.length`)."
        );
        return Err(ApiError::field("pin.value", message));
    }
    let salt = Uuid::new_v4().simple().to_string();
    let wallet_value = credential::pin::wallet_value(Some(&salt), value);
    Ok(GivenPin { prompt: PinPrompt { length, alphanumeric, salt }, wallet_value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// JSON of any shape, with the members that the reader knows as likely keys.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,24}".prop_map(Value::from),
            prop_oneof!["1234", "numeric", "sha256", "https://app.example/cb", "did:web:x"]
                .prop_map(Value::from),
        ];
        let key = prop_oneof![
            "value|type|length|salt|alg|iterations|clientName|logoUrl|termsOfServiceUrl|purpose|pin|registration",
            ".{0,8}",
        ];
        leaf.prop_recursive(3, 32, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(key.clone(), inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_body_makes_the_reader_panic_and_every_refusal_is_a_documented_400(body in any_json()) {
            let Ok(fields) = Fields::body(&body) else { return Ok(()) };
            let refusals = [registration(&fields).err(), pin(&fields).err(), fields.text_map("claims").err()];
            for refusal in refusals.into_iter().flatten() {
                prop_assert_eq!(refusal.status(), 400);
            }
        }

        #[test]
        fn a_pin_in_clear_reads_back(pin in "[0-9]{4,16}") {
            let body = json!({ "pin": { "value": pin, "length": pin.len() } });
            let given = super::pin(&Fields::body(&body).unwrap()).unwrap().unwrap();
            prop_assert_eq!(
                given.wallet_value,
                credential::pin::wallet_value(Some(&given.prompt.salt), &pin)
            );
        }
    }
}
