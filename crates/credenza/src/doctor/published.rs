//! Whether the DID document and the domain linkage that wallets read are there, and are ours.

use did_web::{DocumentInput, Finding, IdForm, Origin};
use domain::key::SigningKey;
use egress::EgressError;
use serde_json::Value;
use store::Authority;
use url::Url;

use super::database::with_causes;
use super::report::Report;

const AREA: &str = "published";

/// What has to be published.
pub struct Expected<'a> {
    /// The authority of our own origin.
    pub authority: &'a Authority,
    /// Its keys, newest first.
    pub keys: &'a [SigningKey],
    /// Its newest domain linkage.
    pub linkage: Option<&'a str>,
}

/// Fetches both documents and compares them with what has to be there.
pub async fn check(
    report: &mut Report,
    client: &egress::Client,
    public_url: &Url,
    expected: Option<&Expected<'_>>,
    relative_ids: bool,
) {
    let Some(expected) = expected else {
        report.warn(
            AREA,
            "did.json",
            "there is no authority yet",
            "the first start sets it up; until then there is nothing to publish",
        );
        return;
    };
    if let Some(document) = fetch(report, client, public_url, "did.json").await {
        did_document(report, &document, expected, relative_ids);
        if let Some(configuration) = fetch(report, client, public_url, "did-configuration.json").await {
            linkage(report, &configuration, expected);
        }
    }
}

async fn fetch(
    report: &mut Report,
    client: &egress::Client,
    base: &Url,
    name: &'static str,
) -> Option<Value> {
    let url = match base.join(&format!("/.well-known/{name}")) {
        Ok(url) => url,
        Err(error) => {
            report.fail(AREA, name, error.to_string(), "check service.public_url");
            return None;
        }
    };
    match client.get_json(&url).await {
        Ok(fetched) => Some(fetched.value),
        Err(error @ (EgressError::Refused(_) | EgressError::Dns(_))) => {
            report.warn(
                AREA,
                name,
                format!("{url} cannot be checked from here: {}", with_causes(&error)),
                "check it from outside: wallets fetch it from the internet",
            );
            None
        }
        Err(error @ EgressError::Tls(_)) => {
            report.fail(
                AREA,
                name,
                format!("{url}: {}", with_causes(&error)),
                "wallets need a certificate that they trust: renew it, send the whole chain",
            );
            None
        }
        Err(EgressError::Status(status)) => {
            report.fail(
                AREA,
                name,
                format!("{url} answers {status}"),
                "the proxy in front has to pass /.well-known/ on to us; 404 from us means that no key is active yet",
            );
            None
        }
        Err(error) => {
            report.fail(
                AREA,
                name,
                format!("{url}: {}", with_causes(&error)),
                "wallets cannot verify anything without it: is the service running and reachable from here?",
            );
            None
        }
    }
}

fn did_document(report: &mut Report, document: &Value, expected: &Expected<'_>, relative_ids: bool) {
    let Ok(origin) = Origin::parse(&expected.authority.origin) else {
        report.fail(
            AREA,
            "did.json",
            "the authority's origin is none",
            "the database was changed by hand: restore it",
        );
        return;
    };
    let input = DocumentInput {
        did: &expected.authority.did,
        keys: expected.keys,
        linked_domains: &[origin],
        hub: None,
        ids: if relative_ids { IdForm::Relative } else { IdForm::Absolute },
    };
    match did_web::verify_served(document.to_string().as_bytes(), &input) {
        Ok(()) => report.ok(AREA, "did.json", format!("{} with all keys", expected.authority.did)),
        Err(findings) => {
            let texts: Vec<String> = findings.iter().map(Finding::to_string).collect();
            if findings.iter().any(Finding::is_out_of_sync) {
                report.fail(
                    AREA,
                    "did.json",
                    texts.join("; "),
                    "publish the document of this installation: a cache or an older file is served instead",
                );
            } else {
                report.warn(AREA, "did.json", texts.join("; "), "cosmetic: verifiers go by id");
            }
        }
    }
}

fn linkage(report: &mut Report, configuration: &Value, expected: &Expected<'_>) {
    let name = "did-configuration.json";
    let served = configuration.get("linked_dids").and_then(Value::as_array);
    let holds =
        |token: &str| served.is_some_and(|entries| entries.iter().any(|entry| entry.as_str() == Some(token)));
    match expected.linkage {
        Some(token) if holds(token) => report.ok(AREA, name, "the domain linkage of this installation"),
        Some(_) => report.fail(
            AREA,
            name,
            "our domain linkage is not in it",
            "a cache or an older file is served instead: wallets show the issuer as unverified",
        ),
        None => report.warn(AREA, name, "no domain linkage is signed yet", "start the service: it signs it"),
    }
}

#[cfg(test)]
mod tests {
    use domain::{AuthorityId, TenantId, Timestamp};
    use serde_json::json;

    use super::*;
    use crate::doctor::report::Status;

    fn authority() -> Authority {
        Authority {
            tenant: "a5f1c9d2-0000-4000-8000-00000000abcd".parse::<TenantId>().unwrap(),
            id: AuthorityId::new(uuid::Uuid::nil()),
            name: "Contoso".into(),
            did: did_web::did_from_origin("https://issuer.example").unwrap(),
            origin: "https://issuer.example/".into(),
            created_at: Timestamp::from_millis(0),
        }
    }

    fn judged(judge: impl FnOnce(&mut Report, &Expected<'_>)) -> (Status, String) {
        let authority = authority();
        let expected = Expected { authority: &authority, keys: &[], linkage: Some("e30.e30.sig") };
        let mut report = Report::default();
        judge(&mut report, &expected);
        let status =
            [Status::Fail, Status::Warn, Status::Ok].into_iter().find(|status| report.count(*status) > 0);
        (status.unwrap(), report.table())
    }

    #[test]
    fn another_document_in_our_place_fails() {
        let (status, table) = judged(|report, expected| {
            did_document(report, &json!({"id": "did:web:issuer.example"}), expected, true)
        });
        assert_eq!(status, Status::Ok, "{table}");
        for document in [json!({"id": "did:web:other.example"}), json!([]), json!("text")] {
            let (status, table) = judged(|report, expected| did_document(report, &document, expected, true));
            assert_eq!(status, Status::Fail, "{table}");
        }
    }

    #[test]
    fn the_linkage_has_to_be_ours() {
        for (document, wanted) in [
            (json!({"linked_dids": ["e30.e30.sig"]}), Status::Ok),
            (json!({"linked_dids": ["e30.e30.other"]}), Status::Fail),
            (json!({"linked_dids": []}), Status::Fail),
            (json!({}), Status::Fail),
        ] {
            let (status, table) = judged(|report, expected| linkage(report, &document, expected));
            assert_eq!(status, wanted, "{table}");
        }
        let (status, _) = judged(|report, expected| {
            linkage(
                report,
                &json!({}),
                &Expected { linkage: None, authority: expected.authority, keys: &[] },
            );
        });
        assert_eq!(status, Status::Warn);
    }

    #[tokio::test]
    async fn what_cannot_be_reached_from_here_is_a_warning() {
        let client = egress::Client::new(egress::Policy::default()).unwrap();
        let authority = authority();
        let expected = Expected { authority: &authority, keys: &[], linkage: None };
        for url in ["https://no-such-issuer.invalid", "https://127.0.0.1:8443"] {
            let mut report = Report::default();
            check(&mut report, &client, &Url::parse(url).unwrap(), Some(&expected), true).await;
            assert!(report.is_good() && report.count(Status::Warn) == 1, "{}", report.table());
        }
        let mut report = Report::default();
        check(&mut report, &client, &Url::parse("https://issuer.example").unwrap(), None, true).await;
        assert_eq!(report.count(Status::Warn), 1);
    }
}
