//! `wallet show`: kept credentials, offline.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde_json::{Map, Value, json};
use wallet::clock::rfc3339;
use wallet::contract::{label, shown};
use wallet::credential::Credential;
use wallet::directory::{Directory, StoredCredential, load};
use wallet::jws::CompactJws;

use super::Outcome;
use super::args::Show;
use super::failure::Failure;
use super::screen::Screen;

/// Runs the command.
pub fn run(args: &Show, screen: &Screen) -> Result<Outcome, Failure> {
    if let Some(file) = &args.file {
        let report = show(file, screen)?;
        return Ok(Outcome { report: Value::Object(report), good: true });
    }
    let files = Directory::new(&args.place.dir).list()?;
    if files.is_empty() {
        screen.line("There is no credential yet.")?;
    }
    let mut reports = Vec::new();
    for file in files {
        reports.push(show(&file, screen)?);
    }
    Ok(Outcome { report: json!({"credentials": reports}), good: true })
}

fn show(file: &Path, screen: &Screen) -> Result<Map<String, Value>, Failure> {
    let stored = load(file)?;
    let credential = read(&stored)?;
    let shown = shown(&stored.contract);
    screen.field("file", &file.display().to_string())?;
    if let Some(title) = &shown.title {
        screen.field("card", title)?;
    }
    fields(screen, &credential, &shown.labels)?;
    screen.field(
        "linked domain",
        stored.linked_domain.as_deref().unwrap_or("not verified when it was received"),
    )?;
    screen.line("")?;
    let mut report = report(&credential);
    report.insert("file".into(), json!(file));
    report.insert("received_at".into(), json!(stored.received_at));
    Ok(report)
}

fn read(stored: &StoredCredential) -> Result<Credential, Failure> {
    let jws = CompactJws::parse(&stored.credential).map_err(Failure::FileContent)?;
    Credential::read_only(&jws.payload).map_err(Failure::FileCredential)
}

/// Prints a credential.
pub fn fields(screen: &Screen, credential: &Credential, labels: &BTreeMap<String, String>) -> io::Result<()> {
    screen.field("types", &credential.types.join(", "))?;
    screen.field("issuer", &credential.issuer)?;
    screen.field("holder", &credential.holder)?;
    screen.field("id", &credential.jti)?;
    screen.field("issued", &rfc3339(credential.issued))?;
    screen.field("expires", &rfc3339(credential.expires))?;
    if let Some(status) = &credential.status_type {
        screen.field("status", status)?;
    }
    for (name, value) in &credential.claims {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        screen.field(label(labels, name), &text)?;
    }
    Ok(())
}

/// A credential for `--json`.
pub fn report(credential: &Credential) -> Map<String, Value> {
    let mut report = Map::new();
    report.insert("jti".into(), json!(credential.jti));
    report.insert("issuer".into(), json!(credential.issuer));
    report.insert("holder".into(), json!(credential.holder));
    report.insert("types".into(), json!(credential.types));
    report.insert("claims".into(), json!(credential.claims));
    report.insert("iat".into(), json!(credential.issued));
    report.insert("exp".into(), json!(credential.expires));
    report
}
