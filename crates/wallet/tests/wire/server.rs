//! A TLS server on localhost with fixed answers that keeps what it was asked.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use wallet::holder::HolderKind;

use crate::issuer::Issuer;

/// One call that came.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: String,
}

#[derive(Default)]
struct State {
    answers: Mutex<HashMap<String, Vec<(u16, String)>>>,
    calls: Mutex<Vec<Call>>,
}

/// The server and the issuer it plays.
pub struct Server {
    pub issuer: Issuer,
    pub ca_pem: String,
    state: Arc<State>,
}

impl Server {
    /// A server that answers every step of an issuance well, except `/issue`.
    pub fn start() -> Self {
        Self::start_with(HolderKind::JwkP256)
    }

    pub fn start_with(kind: HolderKind) -> Self {
        // Each test installs it; only the first one wins.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let shared = Data::from(Arc::clone(&state));
        let (started, running) = channel();
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(move || {
                    App::new().app_data(shared.clone()).default_service(web::to(answer))
                })
                .workers(1)
                .listen_rustls_0_23(listener, tls)
                .unwrap()
                .run();
                started.send(()).unwrap();
                server.await.unwrap();
            });
        });
        running.recv().unwrap();
        let now = i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
        let issuer = Issuer::new(kind, &format!("localhost:{port}"), now);
        let server = Self { issuer, ca_pem: made.cert.pem(), state };
        server.set("GET /.well-known/did.json", 200, &server.issuer.document());
        server.set("GET /.well-known/did-configuration.json", 200, &server.issuer.configuration());
        server.request(&server.issuer.request());
        server.contract(&server.issuer.contract());
        server.set_text("POST /complete", 202, "");
        server
    }

    /// From now on this route answers this.
    pub fn set_text(&self, route: &str, status: u16, body: &str) {
        self.state.answers.lock().unwrap().insert(route.to_owned(), vec![(status, body.to_owned())]);
    }

    /// As [`Self::set_text`], for JSON.
    pub fn set(&self, route: &str, status: u16, body: &Value) {
        self.set_text(route, status, &body.to_string());
    }

    pub fn request(&self, payload: &Value) {
        self.set_text("GET /r", 200, &self.issuer.sign(payload));
    }

    pub fn contract(&self, payload: &Value) {
        self.set("GET /manifest", 200, &json!({"token": self.issuer.sign(payload)}));
    }

    pub fn credential(&self, payload: &Value) {
        self.set("POST /issue", 200, &json!({"vc": self.issuer.sign(payload)}));
    }

    pub fn link(&self) -> String {
        format!(
            "openid-vc://?request_uri={}",
            format!("{}/r", self.issuer.origin).replace(':', "%3A").replace('/', "%2F")
        )
    }

    /// What came on this route, oldest first.
    pub fn calls(&self, route: &str) -> Vec<Call> {
        let calls = self.state.calls.lock().unwrap();
        calls.iter().filter(|call| format!("{} {}", call.method, call.path) == route).cloned().collect()
    }

    /// The bodies of the completion calls.
    pub fn completions(&self) -> Vec<Value> {
        self.calls("POST /complete").iter().map(|call| serde_json::from_str(&call.body).unwrap()).collect()
    }
}

async fn answer(request: HttpRequest, body: Bytes, state: Data<State>) -> HttpResponse {
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    let call = Call {
        method: request.method().to_string(),
        path: request.path().to_owned(),
        headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    let route = format!("{} {}", call.method, call.path);
    state.calls.lock().unwrap().push(call);
    match state.answers.lock().unwrap().get(&route).and_then(|list| list.first()).cloned() {
        Some((status @ 300..400, location)) => HttpResponse::build(StatusCode::from_u16(status).unwrap())
            .insert_header(("location", location))
            .finish(),
        Some((status, text)) => HttpResponse::build(StatusCode::from_u16(status).unwrap()).body(text),
        None => HttpResponse::NotFound().finish(),
    }
}
