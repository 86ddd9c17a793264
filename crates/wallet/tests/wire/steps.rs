//! The library's steps over TLS.

use serde_json::{Map, Value, json};
use wallet::contract::SELF_ISSUED;
use wallet::credential::Expected;
use wallet::holder::{Holder, HolderKind};
use wallet::http::{FetchError, client};
use wallet::jws::CompactJws;
use wallet::linked_domain::{LinkedDomain, LinkedDomainError, Unverified};
use wallet::proof::{ProofInput, build};
use wallet::session::{Completion, Details, OpenedRequest, ResolveError, Session, SessionError};
use wallet::{link, pin, verify};

use crate::server::Server;

fn session(server: &Server) -> Session {
    Session::new(client(Some(server.ca_pem.as_bytes())).unwrap())
}

async fn open(server: &Server) -> Result<OpenedRequest, SessionError> {
    session(server).open(&link::parse(&server.link()).unwrap(), server.issuer.now).await
}

async fn domain(server: &Server) -> Result<LinkedDomain, SessionError> {
    let opened = open(server).await.unwrap();
    session(server).linked_domain(&opened.document, server.issuer.now).await
}

#[tokio::test]
async fn one_issuance_from_link_to_completion_for_every_holder() {
    for kind in HolderKind::ALL {
        let server = Server::start();
        let issuer = &server.issuer;
        let mut payload = issuer.request();
        payload["pin"] = json!({"length": 4, "type": "numeric", "salt": "s", "hash": "h"});
        server.request(&payload);
        let holder = Holder::generate(kind).unwrap();
        server.credential(&issuer.credential(holder.did()));
        let session = session(&server).with_locale(Some("de".into()));
        let opened = open(&server).await.unwrap();
        let domain = session.linked_domain(&opened.document, issuer.now).await.unwrap();
        assert_eq!(domain, LinkedDomain::Verified { origin: format!("{}/", issuer.origin) });
        let contract = session.contract(&opened, issuer.now).await.unwrap();
        let mut input = ProofInput::new(&holder, &opened.request, &contract.contract, issuer.now);
        input.pin = Some(pin::answer(opened.request.pin.as_ref().unwrap(), "1234").unwrap());
        let proof = holder.sign_jws(&Map::new(), &build(&input)).unwrap();
        let text = session.issue(&contract.contract, proof).await.unwrap();
        let expected = Expected {
            issuer: &opened.request.issuer,
            holder: Some(holder.did()),
            types: &opened.request.types,
            now: issuer.now,
        };
        verify::credential(&text, &opened.document, &expected).unwrap();
        session.complete(&opened.request, Completion::Successful).await.unwrap();
        check_calls(&server, &holder);
    }
}

fn check_calls(server: &Server, holder: &Holder) {
    let fetched = &server.calls("GET /r")[0];
    assert_eq!(fetched.headers["prefer"], "JWT-interop-profile-0.0.1");
    assert!(fetched.headers.contains_key("x-ms-entra-verifiedid-wallet-library"));
    let manifest = &server.calls("GET /manifest")[0];
    assert_eq!(manifest.headers["x-ms-sign-contract"], "true");
    assert_eq!(manifest.headers["accept-language"], "de");
    assert!(!manifest.headers.contains_key("prefer"));
    let issued = &server.calls("POST /issue")[0];
    assert_eq!(issued.headers["content-type"], "text/plain");
    let proof = CompactJws::parse(&issued.body).unwrap();
    assert_eq!(format!("{}#{}", proof.kid.did, proof.kid.fragment), holder.kid());
    let payload = &proof.payload;
    assert_eq!(payload["aud"], json!(format!("{}/issue", server.issuer.origin)));
    assert_eq!(payload["contract"], json!(format!("{}/manifest?request=6f0c", server.issuer.origin)));
    assert_eq!(payload["attestations"]["idTokens"][SELF_ISSUED], json!("aGlu.dC4.dA"));
    assert_eq!(payload["pin"], json!(pin::hash(Some("s"), "1234")));
    let completed = &server.calls("POST /complete")[0];
    assert_eq!(completed.headers["content-type"], "application/json");
    assert_eq!(server.completions(), [json!({"code": "issuance_successful", "state": "c3Rh"})]);
}

#[tokio::test]
async fn requests_that_are_gone_moved_or_not_bare() {
    let server = Server::start();
    server.set_text("GET /r", 404, "gone");
    let error = open(&server).await.unwrap_err();
    assert_eq!(error.http_failure().unwrap().status, 404);
    assert_eq!(error.details(), None);
    server.set_text("GET /r", 302, &format!("{}/elsewhere", server.issuer.origin));
    assert_eq!(open(&server).await.unwrap_err().http_failure().unwrap().status, 302);
    assert!(server.calls("GET /elsewhere").is_empty());
    let good = server.issuer.sign(&server.issuer.request());
    for bad in [format!("{good}\n"), format!("\"{good}\""), String::new(), "{}".into(), "<html>".into()] {
        server.set_text("GET /r", 200, &bad);
        assert!(matches!(open(&server).await, Err(SessionError::Request(_))), "{bad:?}");
    }
    server.set_text("GET /r", 200, &"x".repeat(5 << 20));
    assert!(matches!(open(&server).await, Err(SessionError::FetchRequest(FetchError::TooLarge(_)))));
}

#[tokio::test]
async fn issuers_that_cannot_be_resolved() {
    let server = Server::start();
    server.set_text("GET /.well-known/did.json", 404, "");
    assert!(matches!(open(&server).await, Err(SessionError::Resolve(ResolveError::Fetch(_)))));
    let mut absolute = server.issuer.document();
    absolute["verificationMethod"][0]["id"] = json!(format!("{}#key-1", server.issuer.did));
    server.set("GET /.well-known/did.json", 200, &absolute);
    assert!(matches!(open(&server).await, Err(SessionError::Resolve(ResolveError::Document(_)))));
    let text = server.issuer.sign_as("did:ion:abc#key-1", &server.issuer.request());
    server.set_text("GET /r", 200, &text);
    assert!(matches!(open(&server).await, Err(SessionError::Resolve(ResolveError::Did(_)))));
}

#[tokio::test]
async fn an_unknown_authority_is_not_trusted() {
    let server = Server::start();
    let stranger = Session::new(client(None).unwrap());
    let link = link::parse(&server.link()).unwrap();
    let error = stranger.open(&link, server.issuer.now).await.unwrap_err();
    assert!(matches!(error, SessionError::FetchRequest(FetchError::Network(_))));
}

#[tokio::test]
async fn linked_domains_fail_softly_or_end_everything() {
    const ROUTE: &str = "GET /.well-known/did-configuration.json";
    let server = Server::start();
    let unverified = |verdict| match verdict {
        Ok(LinkedDomain::Unverified { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    for status in [404, 500, 302] {
        server.set_text(ROUTE, status, "");
        assert_eq!(unverified(domain(&server).await), Unverified::NotFetched, "{status}");
    }
    for bad in ["", "<html>", "{}"] {
        server.set_text(ROUTE, 200, bad);
        assert!(matches!(domain(&server).await, Err(SessionError::LinkedDomain(_))), "{bad}");
    }
    server.set_text(ROUTE, 204, "");
    assert!(matches!(domain(&server).await, Err(SessionError::LinkedDomain(LinkedDomainError::Json))));
    let mut foreign = server.issuer.configuration();
    foreign["linked_dids"][0] = json!(server.issuer.sign_as("did:ion:abc#key-1", &server.issuer.linkage()));
    server.set(ROUTE, 200, &foreign);
    let error = domain(&server).await.unwrap_err();
    assert!(matches!(error, SessionError::LinkedDomain(LinkedDomainError::Signer)));
    assert_eq!(error.details(), Some(Details::LinkedDomain));
    for (origins, expected) in [
        (json!(["https://localhost:1/path"]), Some(Unverified::NotAnOrigin)),
        (json!(["https://localhost:1/"]), Some(Unverified::NotFetched)),
        (json!(["localhost"]), None),
    ] {
        let mut document = server.issuer.document();
        document["service"][0]["serviceEndpoint"]["origins"] = origins;
        server.set("GET /.well-known/did.json", 200, &document);
        match expected {
            Some(reason) => assert_eq!(unverified(domain(&server).await), reason),
            None => assert!(matches!(domain(&server).await, Err(SessionError::LinkedDomain(_)))),
        }
    }
    let mut document = server.issuer.document();
    document.as_object_mut().unwrap().remove("service");
    server.set("GET /.well-known/did.json", 200, &document);
    assert_eq!(domain(&server).await.unwrap(), LinkedDomain::NotDeclared);
}

#[tokio::test]
async fn contracts_that_are_missing_bare_or_of_another_issuer() {
    let server = Server::start();
    let opened = open(&server).await.unwrap();
    let session = session(&server);
    let bare: Vec<Value> = vec![json!([]), server.issuer.contract(), json!({"token": 1})];
    for bad in bare {
        server.set("GET /manifest", 200, &bad);
        let error = session.contract(&opened, server.issuer.now).await.unwrap_err();
        assert!(matches!(error, SessionError::FetchContract(FetchError::Shape(_))), "{bad}");
        assert_eq!(error.details(), Some(Details::FetchContract));
    }
    let mut other = server.issuer.contract();
    other["input"]["issuer"] = json!("did:web:other");
    server.contract(&other);
    let error = session.contract(&opened, server.issuer.now).await.unwrap_err();
    assert!(matches!(error, SessionError::Contract(_)));
    assert_eq!(error.details(), Some(Details::FetchContract));
}

#[tokio::test]
async fn refusals_keep_status_and_codes() {
    let server = Server::start();
    let opened = open(&server).await.unwrap();
    let session = session(&server);
    let contract = session.contract(&opened, server.issuer.now).await.unwrap().contract;
    let body = json!({"error": {"code": "forbidden", "innererror": {"code": wallet::http::WRONG_PIN}}});
    server.set("POST /issue", 403, &body);
    let error = session.issue(&contract, "x".into()).await.unwrap_err();
    assert!(error.http_failure().unwrap().is_wrong_pin());
    server.set_text("POST /issue", 204, "");
    let error = session.issue(&contract, "x".into()).await.unwrap_err();
    assert_eq!(error.http_failure().unwrap().status, 204);
    server.set_text("POST /issue", 200, "text");
    assert!(matches!(session.issue(&contract, "x".into()).await, Err(FetchError::NotJson)));
    for (status, good) in [(200, true), (204, true), (500, false)] {
        server.set_text("POST /complete", status, "");
        let failed = Completion::Failed(Details::UserCanceled);
        assert_eq!(session.complete(&opened.request, failed).await.is_ok(), good, "{status}");
    }
    let last = server.completions().pop().unwrap();
    assert_eq!(last, json!({"code": "issuance_failed", "state": "c3Rh", "details": "user_canceled"}));
}
