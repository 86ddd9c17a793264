//! The served DID document against what wallets demand of it (wallet protocol, section 7.2), and as JSON-LD.

use ::ssi::json_ld::{ContextLoader, JsonLdProcessor as _, RemoteDocument, syntax::Parse as _};
use serde_json::{Value, json};

use crate::issued::{Issued, issue};

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

/// A JSON-LD processor (contexts built in, nothing is fetched) makes the relative ids absolute by `@base`.
#[tokio::test]
async fn as_json_ld_the_ids_are_absolute() {
    let issued = issue("ES256").await;
    let ids = expanded_ids(&issued).await;
    let methods = issued.document()["verificationMethod"].clone();
    for method in methods.as_array().expect("methods") {
        let absolute = format!("{}{}", issued.did, method["id"].as_str().expect("an id"));
        // As a method, for authentication and for assertions.
        let found = ids.iter().filter(|id| **id == absolute).count();
        assert_eq!(found, 3, "{absolute} in {ids:?}");
    }
    for id in &ids {
        assert!(id.contains(':') && !id.starts_with('#'), "{id} stayed relative");
    }
}

async fn expanded_ids(issued: &Issued) -> Vec<String> {
    let (value, _) = ::ssi::json_ld::syntax::Value::parse_str(&issued.document).expect("JSON");
    let expanded = RemoteDocument::new(None, None, value).expand(&ContextLoader::default()).await;
    let expanded = expanded.unwrap_or_else(|error| panic!("no JSON-LD: {error}"));
    expanded
        .traverse()
        .filter_map(|fragment| match fragment {
            ::ssi::json_ld::object::FragmentRef::Object(object) => {
                object.as_node()?.id.as_ref().map(ToString::to_string)
            }
            _ => None,
        })
        .collect()
}
