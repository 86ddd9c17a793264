//! `wallet accept`: one issuance from the link to the kept credential, with the user's consent in between.

use std::collections::BTreeMap;
use std::io;

use serde_json::{Map, Value, json};
use wallet::clock::{rfc3339, system_now};
use wallet::contract::{Attestations, Contract, SELF_ISSUED, label};
use wallet::credential::{Credential, Expected};
use wallet::directory::{Directory, StoredCredential};
use wallet::holder::{Holder, HolderError, HolderKind};
use wallet::http::FetchError;
use wallet::linked_domain::LinkedDomain;
use wallet::printable::{explain, printable};
use wallet::proof::{ProofInput, build};
use wallet::request::{IssuanceRequest, PinRequest};
use wallet::session::{Completion, Details, OpenedContract, OpenedRequest, Session, SessionError};
use wallet::{link, pin, verify};

use super::args::Accept;
use super::failure::Failure;
use super::screen::Screen;
use super::{Outcome, client};

struct Acceptance<'a> {
    args: &'a Accept,
    screen: &'a Screen,
    session: Session,
}

/// Runs the command. After the request is known every end of it is reported to the issuer, as wallets do.
pub async fn run(args: &Accept, screen: &Screen) -> Result<Outcome, Failure> {
    let link = link::parse(args.link.trim()).map_err(Failure::Link)?;
    if args.high_s && args.holder != HolderKind::IonSecp256k1 {
        return Err(HolderError::HighS.into());
    }
    let session = Session::new(client(&args.tls)?).with_locale(args.locale.clone());
    let acceptance = Acceptance { args, screen, session };
    let opened = acceptance.session.open(&link, system_now()).await?;
    let (completion, result) = match acceptance.receive(&opened).await {
        Ok(report) => (Some(Completion::Successful), Ok(report)),
        Err(failure) => (failure.details().map(Completion::Failed), Err(failure)),
    };
    let mut delivered = false;
    if let Some(completion) = completion {
        delivered = acceptance.complete(&opened.request, completion).await?;
    }
    let mut report = result?;
    report.insert("completion_delivered".into(), json!(delivered));
    Ok(Outcome { report: Value::Object(report), good: true })
}

impl Acceptance<'_> {
    async fn receive(&self, opened: &OpenedRequest) -> Result<Map<String, Value>, Failure> {
        let domain = self.session.linked_domain(&opened.document, system_now()).await?;
        let contract = self.session.contract(opened, system_now()).await?;
        self.show_consent(opened, &contract.contract, &domain)?;
        if !self.args.yes && !self.consents()? {
            return Err(Failure::Declined);
        }
        check_supported(&contract.contract.attestations)?;
        let claims = self.self_issued(&contract.contract)?;
        let directory = Directory::new(&self.args.place.dir);
        let mut holder = directory.holder(self.args.holder)?;
        if self.args.high_s {
            holder = holder.with_high_s()?;
        }
        let text = self.issue(opened, &contract, &holder, claims).await?;
        let credential = self.judge(&text, opened, &holder).await?;
        self.keep(&directory, text, &contract, &credential, &domain)
    }

    fn show_consent(
        &self,
        opened: &OpenedRequest,
        contract: &Contract,
        domain: &LinkedDomain,
    ) -> io::Result<()> {
        let screen = self.screen;
        screen.line(&format!("{} offers you a credential", printable(&contract.card.issued_by)))?;
        screen.field("card", &contract.card.title)?;
        screen.field("about it", &contract.card.description)?;
        screen.field("issuer", &opened.request.issuer)?;
        screen.field("linked domain", &describe(domain))?;
        if let Some(name) = &opened.request.client_name {
            screen.field("asked by", name)?;
        }
        if let Some(title) = &contract.consent_title {
            screen.field("consent", title)?;
        }
        screen.field("instructions", &contract.consent_instructions)?;
        for text in contract.labels.values() {
            screen.field("card shows", text)?;
        }
        for text in shared(&opened.request, &contract.attestations) {
            screen.field("you share", &text)?;
        }
        Ok(())
    }

    fn consents(&self) -> io::Result<bool> {
        let answer = self.screen.ask("Accept? [y/N]")?.unwrap_or_default();
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// Claims from the command line, and the missing ones from the user.
    fn self_issued(&self, contract: &Contract) -> Result<BTreeMap<String, String>, Failure> {
        let wanted = &contract.attestations.self_issued;
        let mut given: BTreeMap<String, String> = self.args.claims.iter().cloned().collect();
        if let Some(unknown) = given.keys().find(|name| !wanted.iter().any(|claim| claim.name == **name)) {
            return Err(Failure::ClaimUnknown(unknown.clone()));
        }
        for claim in wanted {
            let ask = claim.required || (self.screen.is_interactive() && !self.args.yes);
            if given.contains_key(&claim.name) || !ask {
                continue;
            }
            let answer = self.screen.ask(&format!("{}:", printable(label(&contract.labels, &claim.name))))?;
            match answer.filter(|text| !text.is_empty()) {
                Some(text) => {
                    given.insert(claim.name.clone(), text);
                }
                None if claim.required => return Err(Failure::ClaimRequired(claim.name.clone())),
                None => {}
            }
        }
        Ok(given)
    }

    async fn issue(
        &self,
        opened: &OpenedRequest,
        contract: &OpenedContract,
        holder: &Holder,
        claims: BTreeMap<String, String>,
    ) -> Result<String, Failure> {
        let mut typed = self.args.pin.clone();
        loop {
            let mut input = ProofInput::new(holder, &opened.request, &contract.contract, system_now());
            input.self_issued.clone_from(&claims);
            if let Some(wanted) = &opened.request.pin {
                input.pin = Some(self.pin(wanted, typed.take())?);
            }
            let proof = holder.sign_jws(&Map::new(), &build(&input))?;
            match self.session.issue(&contract.contract, proof).await {
                Ok(text) => return Ok(text),
                Err(FetchError::Status(failure)) if failure.is_wrong_pin() => {
                    if opened.request.pin.is_none() || !self.screen.is_interactive() {
                        return Err(Failure::PinRejected(failure));
                    }
                    self.complete(&opened.request, Completion::Failed(Details::IssuanceService)).await?;
                    self.screen.line("The issuer says that the PIN is wrong.")?;
                }
                Err(error) => return Err(SessionError::Issue(error).into()),
            }
        }
    }

    fn pin(&self, wanted: &PinRequest, given: Option<String>) -> Result<String, Failure> {
        if let Some(given) = given {
            return pin::answer(wanted, &given).map_err(Failure::Pin);
        }
        loop {
            let question = format!("PIN ({} characters):", wanted.length);
            let typed = self.screen.ask(&question)?.ok_or(Failure::PinRequired)?;
            match pin::answer(wanted, typed.trim()) {
                Ok(answer) => return Ok(answer),
                Err(error @ pin::PinError::Exposed) => return Err(Failure::Pin(error)),
                Err(error) if !self.screen.is_interactive() => return Err(Failure::Pin(error)),
                Err(error) => self.screen.line(&explain(&error))?,
            }
        }
    }

    /// As the Android library does, resolves the signer once more: the key may have become known since.
    async fn judge(
        &self,
        text: &str,
        opened: &OpenedRequest,
        holder: &Holder,
    ) -> Result<Credential, Failure> {
        let issuer = &opened.request.issuer;
        let document = self.session.resolve(issuer).await.map_err(SessionError::Resolve)?;
        let expected =
            Expected { issuer, holder: Some(holder.did()), types: &opened.request.types, now: system_now() };
        Ok(verify::credential(text, &document, &expected).map_err(SessionError::Credential)?)
    }

    fn keep(
        &self,
        directory: &Directory,
        text: String,
        contract: &OpenedContract,
        credential: &Credential,
        domain: &LinkedDomain,
    ) -> Result<Map<String, Value>, Failure> {
        let linked_domain = match domain {
            LinkedDomain::Verified { origin } => Some(origin.clone()),
            LinkedDomain::Unverified { .. } | LinkedDomain::NotDeclared => None,
        };
        let stored = StoredCredential {
            credential: text,
            contract: contract.token.clone(),
            issuer: credential.issuer.clone(),
            holder: credential.holder.clone(),
            linked_domain: linked_domain.clone(),
            received_at: rfc3339(system_now()),
            issued_at: rfc3339(credential.issued),
            expires_at: rfc3339(credential.expires),
        };
        let path = directory.save(&credential.jti, &stored)?;
        self.screen.line("You have the credential")?;
        super::show::fields(self.screen, credential, &contract.contract.labels)?;
        self.screen.field("kept in", &path.display().to_string())?;
        let mut report = super::show::report(credential);
        report.insert("file".into(), json!(path));
        report.insert("title".into(), json!(contract.contract.card.title));
        report.insert("linked_domain".into(), json!(describe(domain)));
        report.insert("linked_domain_verified".into(), json!(linked_domain.is_some()));
        Ok(report)
    }

    /// Reports the outcome to the issuer; whether that worked. As in real wallets a failure changes nothing.
    async fn complete(&self, request: &IssuanceRequest, completion: Completion) -> io::Result<bool> {
        match self.session.complete(request, completion).await {
            Ok(()) => Ok(true),
            Err(error) => {
                self.screen
                    .line(&format!("The issuer could not be told the outcome: {}", explain(&error)))?;
                Ok(false)
            }
        }
    }
}

/// Attestations that need another service or another credential.
fn check_supported(attestations: &Attestations) -> Result<(), Failure> {
    if attestations.id_tokens.iter().any(|configuration| configuration != SELF_ISSUED) {
        return Err(Failure::Unsupported("a sign-in"));
    }
    if !attestations.presentations.is_empty() {
        return Err(Failure::Unsupported("another credential"));
    }
    if attestations.access_tokens.is_empty() { Ok(()) } else { Err(Failure::Unsupported("an access token")) }
}

fn shared(request: &IssuanceRequest, attestations: &Attestations) -> Vec<String> {
    let mut lines = vec!["your DID, for this issuer to put into the credential".to_owned()];
    if request.id_token_hint.is_some() {
        lines.push("what the issuer already knows (its own token, sent back)".to_owned());
    }
    if request.pin.is_some() {
        lines.push("a hash of the PIN".to_owned());
    }
    for claim in &attestations.self_issued {
        let optional = if claim.required { "" } else { " (optional)" };
        lines.push(format!("{}{optional}", claim.name));
    }
    lines.extend(
        attestations
            .id_tokens
            .iter()
            .filter(|one| *one != SELF_ISSUED)
            .map(|one| format!("a sign-in at {one}")),
    );
    lines.extend(attestations.presentations.iter().map(|kind| format!("your {kind}")));
    lines.extend(attestations.access_tokens.iter().map(|one| format!("an access token of {one}")));
    lines
}

/// One line about the issuer's domain.
pub fn describe(domain: &LinkedDomain) -> String {
    match domain {
        LinkedDomain::Verified { origin } => format!("{origin} (verified)"),
        LinkedDomain::Unverified { origin, reason } => {
            format!("{origin} (NOT verified: {})", explain(reason))
        }
        LinkedDomain::NotDeclared => "none (NOT verified)".to_owned(),
    }
}
