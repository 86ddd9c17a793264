//! The demo front end of `credenza dev`: a page, and the small back end that a real front end would have.
//!
//! Its requests pass the same reader and the same use case as those of the Request Service API, and its news arrive
//! through the outbox like anybody's. Never part of `serve`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use actix_web::dev::RequestHead;
use actix_web::guard::{GuardContext, fn_guard};
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::header::{HOST, ORIGIN};
use actix_web::{HttpRequest, HttpResponse, web};
use domain::contract::{ClaimKind, ClaimSource, Contract, Display};
use domain::error::InnerCode;
use domain::{ClientId, ContractId, RequestId, TransactionId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::body::{Body, Limit};
use super::error::ApiError;
use super::request_api;
use super::{Service, method_not_allowed, qr, with_transaction};
use crate::usecase::create::{Asker, Created};

/// Requests whose callbacks are remembered.
const REMEMBERED: usize = 512;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// Largest body: a photo of 1 MiB in base64 with the other claims.
const BODY_LIMIT: usize = 2 * 1_048_576;

const FILES: [(&str, &str, &str); 7] = [
    ("", "text/html; charset=utf-8", include_str!("../../assets/demo/index.html")),
    ("style.css", "text/css; charset=utf-8", include_str!("../../assets/demo/style.css")),
    ("app.js", "text/javascript; charset=utf-8", include_str!("../../assets/demo/app.js")),
    ("api.js", "text/javascript; charset=utf-8", include_str!("../../assets/demo/api.js")),
    ("form.js", "text/javascript; charset=utf-8", include_str!("../../assets/demo/form.js")),
    ("result.js", "text/javascript; charset=utf-8", include_str!("../../assets/demo/result.js")),
    ("dom.js", "text/javascript; charset=utf-8", include_str!("../../assets/demo/dom.js")),
];

/// The demo front end.
pub struct Demo {
    /// Where it can be reached from this machine, without a slash at the end.
    base: String,
    /// What stands in front of a link on the command line, and what behind it.
    wallet_command: (String, String),
    /// What callbacks have to carry: nobody else may tell the page stories.
    api_key: String,
    news: Mutex<News>,
}

#[derive(Default)]
struct News {
    order: VecDeque<String>,
    by_request: HashMap<String, Vec<Value>>,
}

impl Demo {
    /// `base` is the origin of the page, `wallet_command` what is typed before and after a link.
    #[must_use]
    pub fn new(base: &str, wallet_command: (String, String)) -> Self {
        Self {
            base: base.trim_end_matches('/').to_owned(),
            wallet_command,
            api_key: Uuid::new_v4().simple().to_string(),
            news: Mutex::new(News::default()),
        }
    }

    /// The spellings of the page's origin.
    fn origins(&self) -> Vec<String> {
        let port = self.base.rsplit_once(':').map_or("80", |(_, port)| port);
        ["127.0.0.1", "localhost", "[::1]"]
            .into_iter()
            .map(|host| format!("http://{host}:{port}"))
            .chain([self.base.clone()])
            .collect()
    }

    /// The page's address.
    #[must_use]
    pub fn page(&self) -> String {
        format!("{}/demo/", self.base)
    }

    fn remember(&self, request: &str, callback: Value) {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        if !news.by_request.contains_key(request) {
            news.order.push_back(request.to_owned());
            if news.order.len() > REMEMBERED
                && let Some(oldest) = news.order.pop_front()
            {
                news.by_request.remove(&oldest);
            }
        }
        news.by_request.entry(request.to_owned()).or_default().push(callback);
    }

    fn news_of(&self, request: &str) -> Vec<Value> {
        let news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        news.by_request.get(request).cloned().unwrap_or_default()
    }
}

/// Adds the routes. They answer people and programs on this machine only, under the demo's own address: neither a
/// website that a developer visits nor a network that reaches the wallets' listener may make requests here.
pub fn configure(demo: &Demo) -> impl FnOnce(&mut web::ServiceConfig) + use<> {
    let origins = demo.origins();
    let local = move |context: &GuardContext<'_>| is_local(context.head(), &origins);
    move |cfg| {
        let resource = |path: &str| web::resource(path).default_service(web::to(method_not_allowed));
        cfg.service(
            web::scope("")
                .guard(fn_guard(local))
                .service(resource("/").route(web::get().to(to_page)))
                .service(resource("/demo").route(web::get().to(to_page)))
                .service(resource("/demo/api/config").route(web::get().to(config)))
                .service(
                    resource("/demo/api/requests").app_data(Limit(BODY_LIMIT)).route(web::post().to(create)),
                )
                .service(resource("/demo/api/requests/{request}").route(web::get().to(status)))
                .service(resource("/demo/link").route(web::post().to(link)))
                .service(resource("/demo/callback").route(web::post().to(callback)))
                .service(resource("/demo/{file:[a-z.]*}").route(web::get().to(file)))
                .default_service(web::to(super::unknown)),
        );
    }
}

/// From this machine, for the demo's own address and not from another site's page.
fn is_local(head: &RequestHead, origins: &[String]) -> bool {
    let from_here = head.peer_addr.is_some_and(|peer| peer.ip().is_loopback());
    let text = |name| head.headers().get(name).and_then(|value| value.to_str().ok());
    let names_us = |origin: &str| origins.iter().any(|known| known == origin);
    from_here
        && text(HOST).is_some_and(|host| names_us(&format!("http://{host}")))
        && text(ORIGIN).is_none_or(names_us)
}

async fn to_page() -> HttpResponse {
    HttpResponse::Found().insert_header(("Location", "/demo/")).finish()
}

async fn file(name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let (_, kind, text) = FILES
        .iter()
        .find(|(file, ..)| *file == name.as_str())
        .ok_or_else(|| ApiError::new(404, InnerCode::NotFound, "There is no such file."))?;
    Ok(HttpResponse::Ok()
        .content_type(*kind)
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(*text))
}

fn demo_of(service: &Service) -> Result<&Demo, ApiError> {
    service
        .demo
        .as_deref()
        .ok_or_else(|| ApiError::new(404, InnerCode::NotFound, "There is no demo front end here."))
}

#[derive(Serialize)]
struct DemoContract<'a> {
    id: ContractId,
    name: &'a str,
    title: &'a str,
    description: &'a str,
    issued_by: &'a str,
    background_color: &'a str,
    text_color: &'a str,
    attestation: &'static str,
    pin_allowed: bool,
    claims: Vec<DemoClaim<'a>>,
}

#[derive(Serialize)]
struct DemoClaim<'a> {
    name: &'a str,
    label: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<&'static str>,
}

async fn config(service: web::Data<Service>) -> HttpResponse {
    let directory = service.issuer.directory.snapshot();
    let authority = service.issuer.own_authority();
    let contracts: Vec<DemoContract<'_>> = directory
        .contracts()
        .into_iter()
        .map(|entry| describe(entry.row.id, &entry.contract, entry.contract.default_display()))
        .collect();
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(json!({
        "authority_did": authority.as_ref().map(|entry| entry.authority.did.as_str()),
        "authority_name": authority.as_ref().map(|entry| entry.authority.name.as_str()),
        "contracts": contracts,
    }))
}

fn describe<'a>(id: ContractId, contract: &'a Contract, display: &'a Display) -> DemoContract<'a> {
    // The page shows what it has to fill in, or what the wallet will ask its holder for.
    let source = if contract.accepts_hint() { ClaimSource::IdTokenHint } else { ClaimSource::SelfIssued };
    let claims = contract
        .wanted_claims(source, display)
        .into_iter()
        .map(|claim| DemoClaim {
            name: claim.input,
            label: claim.label.unwrap_or(claim.output),
            kind: claim.kind.name(),
            required: claim.required,
            sample: sample(claim.input, claim.kind),
        })
        .collect();
    DemoContract {
        id,
        name: contract.name(),
        title: &display.card.title,
        description: &display.card.description,
        issued_by: &display.card.issued_by,
        background_color: display.card.background_color.as_str(),
        text_color: display.card.text_color.as_str(),
        attestation: if contract.accepts_hint() { "idTokenHint" } else { "selfIssued" },
        pin_allowed: contract.accepts_pin(),
        claims,
    }
}

/// Something to start with for names that many contracts use.
fn sample(name: &str, kind: &ClaimKind) -> Option<&'static str> {
    if kind.is_image() {
        return None;
    }
    let known = [
        ("given_name", "Megan"),
        ("family_name", "Bowen"),
        ("name", "Megan Bowen"),
        ("job_title", "Product Manager"),
        ("employee_id", "E-10482"),
        ("student_number", "S-2026-0117"),
        ("programme", "Computer Science"),
        ("email", "megan@example.org"),
    ];
    known.iter().find(|(known, _)| *known == name).map(|(_, sample)| *sample)
}

/// What the page sends.
#[derive(Deserialize)]
struct Asked {
    contract_id: ContractId,
    #[serde(default)]
    claims: BTreeMap<String, String>,
    #[serde(default)]
    pin: bool,
}

/// A request that the demo front end has made.
struct Made {
    created: Created,
    pin: Option<String>,
}

async fn make(service: &Service, asked: Asked, transaction: TransactionId) -> Result<Made, ApiError> {
    let demo = demo_of(service)?;
    let authority = service
        .issuer
        .own_authority()
        .ok_or_else(|| ApiError::new(404, InnerCode::AuthorityNotFound, "No authority is set up."))?;
    let pin = if asked.pin { Some(random_pin()?) } else { None };
    // Just what a front end of the Request Service API would send.
    let mut wire = json!({
        "authority": authority.authority.did.as_str(),
        "includeQRCode": true,
        "registration": { "clientName": "Credenza demo" },
        "callback": {
            "url": format!("{}/demo/callback", demo.base),
            "state": Uuid::new_v4().to_string(),
            "headers": { "api-key": demo.api_key },
        },
        "type": "demo",
        "manifest": service.issuer.urls.manifest(asked.contract_id),
    });
    if let Value::Object(members) = &mut wire {
        if !asked.claims.is_empty() {
            members.insert("claims".to_owned(), json!(asked.claims));
        }
        if let Some(pin) = &pin {
            members.insert("pin".to_owned(), json!({ "value": pin, "length": pin.len() }));
        }
    }
    let asker =
        Asker { client: ClientId::new("demo-page"), tenant: service.issuer.settings.tenant, customer: None };
    service.issuer.admit_caller(&asker, Some(asked.contract_id), transaction)?;
    let (wanted, _) = request_api::read(service, &wire)?;
    let created = service.issuer.create(&asker, transaction, wanted).await?;
    Ok(Made { created, pin })
}

async fn create(
    service: web::Data<Service>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let asked = request_api::json_body(&request, body)?;
    let asked: Asked = serde_json::from_value(asked)
        .map_err(|error| ApiError::new(400, InnerCode::BadOrMissingField, error.to_string()))?;
    let transaction = TransactionId::new(Uuid::now_v7());
    let Made { created, pin } =
        make(&service, asked, transaction).await.map_err(|error| error.of(transaction))?;
    let qr_code = qr::png_data_uri(&created.link).map_err(|error| ApiError::internal(&error))?;
    let (before, after) = &demo_of(&service)?.wallet_command;
    let mut command = format!("{before} '{}' {after}", created.link);
    if let Some(pin) = &pin {
        command.push_str(" --pin ");
        command.push_str(pin);
    }
    let mut answer = json!({
        "request_id": created.request,
        "transaction_id": created.transaction,
        "url": created.link,
        "qr_code": qr_code,
        "expiry": created.expires_at.seconds(),
        "wallet_command": command,
    });
    if let (Some(pin), Value::Object(members)) = (pin, &mut answer) {
        members.insert("pin".to_owned(), Value::String(pin));
    }
    let response = HttpResponse::Created().insert_header((CACHE_CONTROL, "no-store")).json(answer);
    Ok(with_transaction(response, transaction))
}

/// A link for the command line: the first contract that takes claims, with sample values.
async fn link(service: web::Data<Service>) -> Result<HttpResponse, ApiError> {
    let directory = service.issuer.directory.snapshot();
    let entry = directory
        .contracts()
        .into_iter()
        .find(|entry| entry.contract.accepts_hint())
        .ok_or_else(|| ApiError::new(404, InnerCode::NotFound, "No contract takes claims."))?;
    let claims = entry
        .contract
        .wanted_claims(ClaimSource::IdTokenHint, entry.contract.default_display())
        .into_iter()
        .filter(|claim| !claim.kind.is_image())
        .map(|claim| (claim.input.to_owned(), sample(claim.input, claim.kind).unwrap_or("Sample").to_owned()))
        .collect();
    let asked = Asked { contract_id: entry.row.id, claims, pin: false };
    let transaction = TransactionId::new(Uuid::now_v7());
    let made = make(&service, asked, transaction).await.map_err(|error| error.of(transaction))?;
    let response =
        HttpResponse::Created().content_type("text/plain").body(format!("{}\n", made.created.link));
    Ok(with_transaction(response, transaction))
}

fn random_pin() -> Result<String, ApiError> {
    let random = getrandom::u32().map_err(|error| ApiError::internal(&std::io::Error::from(error)))?;
    Ok(format!("{:04}", random % 10_000))
}

async fn status(service: web::Data<Service>, request: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let demo = demo_of(&service)?;
    let absent = || ApiError::new(404, InnerCode::NotFound, "There is no such request.");
    let id: RequestId = request.parse().map_err(|_source| absent())?;
    let store = &service.issuer.store;
    let tenant = service.issuer.settings.tenant;
    let found = store.request(tenant, id).await.map_err(|error| ApiError::internal(&error))?;
    let found = found.ok_or_else(absent)?;
    let trail = store.trail(tenant, found.transaction).await.map_err(|error| ApiError::internal(&error))?;
    let events: Vec<Value> = trail
        .iter()
        .map(|event| {
            let body: Value = serde_json::from_str(&event.body).unwrap_or_default();
            json!({
                "at": event.at,
                "event": event.kind,
                "details": body.get("details").cloned().unwrap_or_else(|| json!({})),
            })
        })
        .collect();
    let expired = found.expires_at <= service.issuer.clock.now() && !found.state.is_final();
    let state = if expired && found.issued_at.is_none() { "expired" } else { found.state.name() };
    let answer = json!({ "state": state, "callbacks": demo.news_of(&id.to_string()), "events": events });
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(answer))
}

async fn callback(
    service: web::Data<Service>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, ApiError> {
    let demo = demo_of(&service)?;
    let key = request.headers().get("api-key").and_then(|value| value.to_str().ok());
    if key != Some(demo.api_key.as_str()) {
        return Err(ApiError::new(401, InnerCode::TokenError, "The api-key is wrong.").about("api-key"));
    }
    let mut news: Value = serde_json::from_slice(&body)
        .map_err(|error| ApiError::new(400, InnerCode::BadOrMissingField, error.to_string()))?;
    let id = news.get("requestId").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Value::Object(members) = &mut news {
        members.insert("at".to_owned(), json!(service.issuer.clock.now().millis()));
        members.remove("state");
    }
    demo.remember(&id, news);
    Ok(HttpResponse::Ok().finish())
}
