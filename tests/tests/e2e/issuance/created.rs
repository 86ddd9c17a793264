//! `createIssuanceRequest`: the answer, and everything that real clients do differently from the documentation.

use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use wallet::clock::system_now;
use wallet::link;

use super::errors::assert_members;
use super::fixture::{CREATE, GUEST, Service, TRANSACTION, send};
use super::flow::{Flow, holder};

/// What an independent decoder reads from a PNG in a data URI.
fn decode_qr(data_uri: &str) -> String {
    let encoded = data_uri.strip_prefix("data:image/png;base64,").expect("a PNG in a data URI");
    let file = STANDARD.decode(encoded).expect("base64 with padding");
    let mut decoder = png::Decoder::new(Cursor::new(file));
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a usual size")];
    let frame = reader.next_frame(&mut pixels).expect("a whole PNG");
    assert_eq!(frame.color_type, png::ColorType::Grayscale);
    let (width, height) = (usize::try_from(frame.width).unwrap(), usize::try_from(frame.height).unwrap());
    assert_eq!(width, height);
    let mut image =
        rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| pixels[y * frame.line_size + x]);
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1, "one code in the picture");
    grids[0].decode().expect("a readable code").1
}

#[tokio::test]
async fn exactly_the_documented_members() {
    let service = Service::shared();
    let now = system_now();
    let created = service.created(&service.employee()).await;
    assert_members(&created.answer.json(), &["expiry", "requestId", "url"]);
    assert_eq!(created.answer.header("content-type"), Some("application/json"));
    assert_eq!(created.answer.header("cache-control"), Some("no-store"));
    let id = uuid::Uuid::parse_str(&created.id).expect("a GUID");
    assert_eq!(id.to_string(), created.id);
    assert_eq!(uuid::Uuid::parse_str(&created.transaction).unwrap().get_version_num(), 7);
    assert!((300..=310).contains(&(created.expiry - now)), "five minutes: {}", created.expiry - now);
    let (public, tenant, id) = (service.public(), service.tenant(), &created.id);
    assert_eq!(
        created.link,
        format!(
            "openid-vc://?request_uri={public}/v1.0/tenants/{tenant}/verifiableCredentials/issuanceRequests/{id}"
        )
    );
    let trail = service.trail(&created.id).await;
    assert_eq!((trail.state.as_str(), trail.kinds()), ("created", vec!["request_created"]));
}

#[tokio::test]
async fn the_qr_code_holds_the_link() {
    let service = Service::shared();
    for (contract, with_pin) in [(service.employee(), true), (service.student(), false)] {
        let mut body = contract;
        body["includeQRCode"] = json!(true);
        if with_pin {
            body["pin"] = json!({"value": "1234", "length": 4});
        }
        let created = service.created(&body).await;
        let answer = created.answer.json();
        assert_members(&answer, &["expiry", "qrCode", "requestId", "url"]);
        assert_eq!(decode_qr(answer["qrCode"].as_str().unwrap()), created.link);
    }
    for without in [json!(false), Value::Null] {
        let mut body = service.employee();
        body["includeQRCode"] = without;
        assert_members(&service.created(&body).await.answer.json(), &["expiry", "requestId", "url"]);
    }
}

#[tokio::test]
async fn a_transaction_is_named_in_every_answer_that_belongs_to_it() {
    let service = Service::shared();
    let flow = Flow::start(&service, &service.employee()).await;
    let transaction = Some(flow.created.transaction.as_str());
    let link = link::parse(&flow.created.link).unwrap();
    let object = service.get(link.request_uri.as_str()).await;
    assert_eq!(object.header(TRANSACTION), transaction);
    let contract = service.get(flow.opened.request.manifest.as_str()).await;
    assert_eq!(contract.header(TRANSACTION), transaction);
    let refused = flow.send(flow.altered(&holder(), json!({"aud": "https://other.example"}))).await;
    assert_eq!((refused.status, refused.header(TRANSACTION)), (400, transaction));
    let issued = flow.send(flow.proof(&holder())).await;
    assert_eq!((issued.status, issued.header(TRANSACTION)), (200, transaction));
    assert_eq!(flow.complete().await.header(TRANSACTION), transaction);
    // The contract's own address belongs to no transaction.
    assert_eq!(service.get(&service.manifest(GUEST)).await.header(TRANSACTION), None);
}

#[tokio::test]
async fn every_spelling_of_the_path_in_the_field() {
    let service = Service::shared();
    for path in [
        CREATE,
        "/beta/verifiableCredentials/createIssuanceRequest",
        "/v1.0/verifiablecredentials/createissuancerequest",
        "/V1.0/VerifiableCredentials/CreateIssuanceRequest",
        "//v1.0/verifiableCredentials/createIssuanceRequest",
        "/v1.0//verifiableCredentials//createIssuanceRequest/",
        "/BETA/verifiablecredentials/createIssuanceRequest/?api-version=1",
    ] {
        let answer = service.post(path, &service.employee()).await;
        assert_eq!(answer.status, 201, "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn wallets_addresses_in_every_spelling_too() {
    let service = Service::shared();
    let created = service.created(&service.employee()).await;
    let object = created.link.strip_prefix("openid-vc://?request_uri=").unwrap();
    let first = service.get(object).await;
    for (from, to) in
        [("/v1.0/", "/beta/"), ("issuanceRequests", "issuancerequests"), ("/tenants", "//Tenants")]
    {
        let again = service.get(&object.replace(from, to)).await;
        assert_eq!((again.status, &again.body), (200, &first.body), "{to}");
    }
    // GUIDs compare whatever their letter case.
    let upper = object.replace(&created.id, &created.id.to_uppercase());
    assert_eq!(service.get(&upper).await.body, first.body);
}

#[tokio::test]
async fn the_scheme_of_the_token_in_any_letter_case() {
    let service = Service::shared();
    for scheme in ["Bearer", "bearer", "BEARER", "Bearer "] {
        let call = service.client.post(service.http().to_owned() + CREATE);
        let call = call.header("Authorization", format!("{scheme} {}", service.token));
        assert_eq!(send(call.json(&service.employee())).await.status, 201, "{scheme}");
    }
}

#[tokio::test]
async fn every_spelling_of_the_content_type() {
    let service = Service::shared();
    let call = || service.client.post(service.http().to_owned() + CREATE).bearer_auth(&service.token);
    for kind in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
    ] {
        let answer = send(call().header(CONTENT_TYPE, kind).body(service.employee().to_string())).await;
        assert_eq!(answer.status, 201, "{kind}: {}", answer.text());
    }
    let answer = send(call().body(service.employee().to_string())).await;
    assert_eq!(answer.status, 201, "without a content type: {}", answer.text());
}

#[tokio::test]
async fn null_members_count_as_absent() {
    let service = Service::shared();
    let mut body = service.employee();
    for name in ["includeQRCode", "callback", "pin", "expirationDate", "manifestUrl", "customer"] {
        body[name] = Value::Null;
    }
    for name in ["logoUrl", "termsOfServiceUrl", "purpose"] {
        body["registration"][name] = Value::Null;
    }
    body["claims"]["job_title"] = Value::Null;
    let flow = Flow::start(&service, &body).await;
    let received = flow.receive(&holder()).await;
    assert_eq!(received.credential.claims.get("jobTitle"), None);
    let mut guest = service.guest();
    guest["claims"] = Value::Null;
    service.created(&guest).await;
}

#[tokio::test]
async fn unknown_members_are_ignored() {
    let service = Service::shared();
    let mut body = service.employee();
    body["includeReceipt"] = json!(true);
    body["x-custom"] = json!({"deep": [1, 2, {"a": null}]});
    body["registration"]["purpose"] = json!("To test");
    body["registration"]["unknown"] = json!(1);
    body["callback"] = json!({"url": "http://127.0.0.1:9/cb", "state": "s", "extra": {}});
    service.created(&body).await;
}

#[tokio::test]
async fn the_type_is_not_compared_with_the_contract() {
    let service = Service::shared();
    for kind in ["ignore-this", "VerifiableCredential,MyType", "VerifiedEmployee", "x"] {
        let mut body = service.employee();
        body["type"] = json!(kind);
        let flow = Flow::start(&service, &body).await;
        assert_eq!(flow.opened.request.types, ["VerifiedEmployee"], "{kind}");
    }
}

#[tokio::test]
async fn the_old_name_of_the_manifest_and_other_spellings_of_its_address() {
    let service = Service::shared();
    let mut body = service.employee();
    body["manifestUrl"] = body.as_object_mut().unwrap().remove("manifest").unwrap();
    service.created(&body).await;
    let address = body["manifestUrl"].as_str().unwrap().to_owned();
    for other in [
        address.replace("/v1.0/", "/beta/"),
        address.replace("verifiableCredentials", "verifiablecredentials"),
        address.to_lowercase(),
        // A front end may know the service by another name.
        address.replace(service.public(), "http://credenza.internal:8080"),
        format!("{address}/"),
    ] {
        let mut body = service.employee();
        body["manifest"] = json!(other);
        let flow = Flow::start(&service, &body).await;
        assert!(flow.opened.request.manifest.as_str().starts_with(service.public()), "{other}");
    }
}

#[tokio::test]
async fn without_a_callback_nothing_is_sent() {
    let service = Service::shared();
    let flow = Flow::start(&service, &service.employee()).await;
    flow.receive(&holder()).await;
    assert_eq!(flow.complete().await.status, 202);
    let trail = service.trail(&flow.created.id).await;
    assert_eq!(trail.of("request_created")[0]["callback"], json!(false));
    assert_eq!(
        service.count(&format!("SELECT count(*) FROM outbox WHERE request = '{}'", flow.created.id)),
        0
    );
}

#[tokio::test]
async fn the_customer_is_in_the_ledger() {
    let service = Service::shared();
    let mut body = service.employee();
    body["customer"] = json!("Kundin Müller");
    let created = service.created(&body).await;
    let events = service.ledger(&created.transaction, 1).await;
    assert_eq!(events[0]["customer"], "Kundin Müller");
    let call = service.client.post(service.http().to_owned() + CREATE).bearer_auth(&service.token);
    let answer = send(call.header("x-credenza-customer", "acme").json(&service.employee())).await;
    assert_eq!(answer.status, 201);
    let events = service.ledger(answer.header(TRANSACTION).unwrap(), 1).await;
    assert_eq!((&events[0]["customer"], &events[0]["event"]), (&json!("acme"), &json!("request_created")));
}
