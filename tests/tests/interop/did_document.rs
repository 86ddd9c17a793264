//! The served DID document against what wallets demand of it (wallet protocol, section 7.2), and as JSON-LD.

use ::ssi::json_ld::{ContextLoader, Iri, Loader as _};
use serde_json::{Value, json};

use crate::issued::issue;
use crate::python;

/// What wallets demand, member by member. No JSON-LD: the wallets have none either.
fn faults(document: &Value, did: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut demand = |holds: bool, what: &str| {
        if !holds {
            wrong.push(what.to_owned());
        }
    };
    demand(document["id"] == did, "id is the DID");
    let empty = Vec::new();
    let methods = document["verificationMethod"].as_array().unwrap_or(&empty);
    demand(!methods.is_empty(), "there are verification methods");
    let mut ids = Vec::new();
    for method in methods {
        let id = method["id"].as_str().unwrap_or_default();
        ids.push(json!(id));
        demand(
            id.len() > 1 && id.starts_with('#') && !id[1..].contains('#'),
            "the id of a method is #fragment",
        );
        demand(method["type"].is_string(), "a method has a type");
        demand(method["controller"] == did, "a method's controller is the DID");
        let jwk = &method["publicKeyJwk"];
        demand(
            jwk["kty"] == "EC" && (jwk["crv"] == "P-256" || jwk["crv"] == "secp256k1"),
            "the key is of a known curve",
        );
        demand(jwk["x"].as_str().is_some_and(|x| x.len() == 43), "x is there, 32 bytes in base64url");
        demand(jwk["y"].as_str().is_some_and(|y| y.len() == 43), "y is there, 32 bytes in base64url");
        demand(jwk.get("d").is_none(), "no private key");
    }
    for relationship in ["authentication", "assertionMethod"] {
        let listed = document[relationship].as_array();
        demand(listed.is_some(), "the relationships are arrays");
        let listed = listed.unwrap_or(&empty);
        demand(
            listed.iter().all(|entry| ids.contains(entry)),
            "a relationship lists ids of methods as texts",
        );
        demand(!listed.is_empty(), "the keys may be used");
    }
    let services = document["service"].as_array().unwrap_or(&empty);
    for service in services {
        demand(service["id"].is_string() && service["type"].is_string(), "a service has an id and a type");
        demand(service["serviceEndpoint"].is_object(), "a service's endpoint is an object");
    }
    let linked = services.iter().find(|service| service["type"] == "LinkedDomains");
    let origins = linked.and_then(|service| service["serviceEndpoint"]["origins"].as_array());
    demand(
        origins.is_some_and(|origins| {
            origins
                .first()
                .and_then(Value::as_str)
                .is_some_and(|one| one.starts_with("https://") && one.ends_with('/'))
        }),
        "the first linked origin is https with a slash at the end",
    );
    let contexts = document["@context"].as_array().unwrap_or(&empty);
    demand(
        contexts.first() == Some(&json!("https://www.w3.org/ns/did/v1")),
        "the first context is that of DIDs",
    );
    demand(contexts.contains(&json!({"@base": did})), "relative ids have a base");
    wrong
}

#[tokio::test]
async fn wallets_can_read_the_document() {
    for algorithm in ["ES256", "ES256K"] {
        let issued = issue(algorithm).await;
        assert_eq!(faults(&issued.document(), &issued.did), Vec::<String>::new(), "{}", issued.document);
    }
}

#[tokio::test]
async fn the_judge_of_documents_sees_what_is_wrong() {
    let issued = issue("ES256").await;
    let damages: [fn(&mut Value); 8] = [
        |document| document["id"] = json!("did:web:other.example"),
        |document| document["verificationMethod"][0]["id"] = json!("did:web:x#key"),
        |document| document["verificationMethod"][0]["publicKeyJwk"]["y"] = Value::Null,
        |document| document["verificationMethod"][0]["publicKeyJwk"]["d"] = json!("secret"),
        |document| document["authentication"] = json!([{"id": "#embedded"}]),
        |document| document["assertionMethod"] = Value::Null,
        |document| document["service"][0]["serviceEndpoint"] = json!("https://issuer.example/"),
        |document| document["@context"] = json!("https://www.w3.org/ns/did/v1"),
    ];
    for damage in damages {
        let mut document = issued.document();
        damage(&mut document);
        assert!(!faults(&document, &issued.did).is_empty(), "{document}");
    }
}

/// `PyLD`, a JSON-LD processor of the standard's authors, makes the relative ids absolute by `@base`. (The `json-ld` crate that
/// `ssi` brings leaves them relative under every base, so it cannot judge this.)
const EXPAND: &str = r#"
import json, sys
from pyld import jsonld

asked = json.load(sys.stdin)

def load(url, options):
    if url != "https://www.w3.org/ns/did/v1":
        raise RuntimeError("an unknown context: " + url)
    return {"contentType": "application/ld+json", "contextUrl": None, "documentUrl": url, "document": asked["context"]}

jsonld.set_document_loader(load)
print(json.dumps(jsonld.expand(asked["document"])))
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_json_ld_the_ids_are_absolute() {
    let issued = issue("ES256").await;
    let name = Iri::new("https://www.w3.org/ns/did/v1").expect("an IRI");
    let known = ContextLoader::default().load(name).await;
    let context = known.expect("ssi knows the context").into_document().to_string();
    let context: Value = serde_json::from_str(&context).expect("JSON");
    let expanded = python::run(EXPAND, &json!({"document": issued.document(), "context": context}), &[]);
    let expanded = expanded.unwrap_or_else(|error| panic!("no JSON-LD: {error}"))[0].clone();
    assert_eq!(expanded["@id"], issued.did.as_str());
    let document = issued.document();
    let methods = document["verificationMethod"].as_array().expect("methods");
    let expected: Vec<Value> = methods
        .iter()
        .map(|method| json!(format!("{}{}", issued.did, method["id"].as_str().expect("an id"))))
        .collect();
    for property in ["verificationMethod", "authenticationMethod", "assertionMethod"] {
        let found = &expanded[format!("https://w3id.org/security#{property}")];
        let found: Vec<Value> =
            found.as_array().expect("a list").iter().map(|one| one["@id"].clone()).collect();
        assert_eq!(found, expected, "{property} in {expanded}");
    }
}
