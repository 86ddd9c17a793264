//! `wallet verify`: a credential against its issuer's live documents, check by check. Does not ask for the revocation status.

use std::error::Error;
use std::fs;

use serde_json::{Value, json};
use wallet::clock::{rfc3339, system_now};
use wallet::credential::Credential;
use wallet::directory::StoredCredential;
use wallet::document::DidDocument;
use wallet::jws::CompactJws;
use wallet::linked_domain::LinkedDomain;
use wallet::printable::{explain, printable};
use wallet::session::Session;
use wallet::verify::signature;

use super::accept::describe;
use super::args::Verify;
use super::failure::Failure;
use super::screen::Screen;
use super::{Outcome, client};

struct Check {
    name: &'static str,
    good: bool,
    detail: String,
}

impl Check {
    fn of<E: Error + 'static>(name: &'static str, result: Result<String, E>) -> Self {
        match result {
            Ok(detail) => Self { name, good: true, detail },
            Err(error) => Self { name, good: false, detail: explain(&error) },
        }
    }
}

/// Runs the command; the verdict is good when every check is.
pub async fn run(args: &Verify, screen: &Screen) -> Result<Outcome, Failure> {
    let text = fs::read_to_string(&args.file).map_err(Failure::File)?;
    let credential = match serde_json::from_str::<StoredCredential>(&text) {
        Ok(stored) => stored.credential,
        Err(_) => text.trim().to_owned(),
    };
    let jws = CompactJws::parse(&credential).map_err(Failure::FileContent)?;
    let session = Session::new(client(&args.tls)?);
    let now = system_now();
    let mut checks = form_checks(&jws, now);
    match session.resolve(&jws.kid.did).await {
        Ok(document) => {
            checks.push(Check { name: "did document", good: true, detail: jws.kid.did.clone() });
            let by = format!("{} by #{}", jws.algorithm.name(), jws.kid.fragment);
            checks.push(Check::of("signature", signature(&jws, &document).map(|()| by)));
            checks.push(linked_domain(&session, &document, now).await);
        }
        Err(error) => checks.push(Check::of("did document", Err(error))),
    }
    let good = checks.iter().all(|check| check.good);
    for check in &checks {
        let word = if check.good { "ok  " } else { "FAIL" };
        screen.line(&format!("{word} {:<14} {}", check.name, printable(&check.detail)))?;
    }
    screen.line(if good { "The credential is good." } else { "The credential is NOT good." })?;
    let list: Vec<Value> = checks
        .iter()
        .map(|check| json!({"check": check.name, "ok": check.good, "detail": check.detail}))
        .collect();
    Ok(Outcome { report: json!({"file": args.file, "valid": good, "checks": list}), good })
}

fn form_checks(jws: &CompactJws, now: i64) -> Vec<Check> {
    let credential = match Credential::read_only(&jws.payload) {
        Ok(credential) => credential,
        Err(error) => return vec![Check::of("form", Err(error))],
    };
    let good_issuer = credential.issuer == jws.kid.did;
    let until = format!("until {}", rfc3339(credential.expires));
    vec![
        Check { name: "form", good: true, detail: credential.types.join(", ") },
        Check { name: "issuer", good: good_issuer, detail: credential.issuer.clone() },
        Check::of("validity", credential.check_time(now).map(|()| until)),
    ]
}

/// A domain that is declared has to vouch for the DID; one that is not declared is only said.
async fn linked_domain(session: &Session, document: &DidDocument, now: i64) -> Check {
    match session.linked_domain(document, now).await {
        Ok(domain) => {
            let good = !matches!(domain, LinkedDomain::Unverified { .. });
            Check { name: "linked domain", good, detail: describe(&domain) }
        }
        Err(error) => Check::of("linked domain", Err(error)),
    }
}
