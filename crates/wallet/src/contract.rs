//! The signed contract (wallet protocol, section 3), read as strictly as the strictest shipping wallet. Owns its shape and
//! what it demands of the holder. Must not fetch anything; signatures are checked in [`crate::verify`].

use std::collections::BTreeMap;

use serde_json::Value;

use crate::address::Address;
use crate::clock::LEEWAY_SECS;
use crate::jws::{CompactJws, JwsError};
use crate::key::SignatureError;
use crate::member::{Node, Problem, ShapeError};
use crate::request::IssuanceRequest;

/// The key under which the `id_token_hint` travels.
pub const SELF_ISSUED: &str = "https://self-issued.me";

/// What a contract shows and demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// The card.
    pub card: Card,
    /// `display.consent.title`.
    pub consent_title: Option<String>,
    /// `display.consent.instructions`.
    pub consent_instructions: String,
    /// Labels by member name, `vc.credentialSubject.<claim>`.
    pub labels: BTreeMap<String, String>,
    /// Where the proof goes; also its `aud`.
    pub credential_issuer: Address,
    /// The issuer's DID.
    pub issuer: String,
    /// What the proof has to carry.
    pub attestations: Attestations,
}

/// Texts of the card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// The card's title.
    pub title: String,
    /// Who issues it.
    pub issued_by: String,
    /// Its description.
    pub description: String,
}

/// What the proof has to carry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attestations {
    /// Configurations of the `idTokens` entries; [`SELF_ISSUED`] stands for the hint.
    pub id_tokens: Vec<String>,
    /// Credential types to present.
    pub presentations: Vec<String>,
    /// Configurations of the `accessTokens` entries.
    pub access_tokens: Vec<String>,
    /// Claims the holder states.
    pub self_issued: Vec<SelfIssuedClaim>,
}

/// A claim the holder states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfIssuedClaim {
    /// Its name.
    pub name: String,
    /// Whether it may be left out.
    pub required: bool,
}

/// Why a contract is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// Not a JWS of this wire.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// A member is missing or of the wrong type.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The signature does not verify.
    #[error("its signature does not verify")]
    Signature(#[from] SignatureError),
    /// `input.issuer` or `iss` is not the DID that signed the contract and the request.
    #[error("it names another issuer than the DID that signed it")]
    Issuer,
    /// `iat` lies in the future.
    #[error("it is not valid yet")]
    NotYet,
    /// No attestation at all; both libraries refuse that.
    #[error("it demands nothing of the holder")]
    NoAttestation,
    /// The request carries a hint that this contract has no place for.
    #[error("it has no place for the request's id_token_hint")]
    NoPlaceForHint,
    /// The contract needs a hint that the request does not carry.
    #[error("it needs an id_token_hint, and the request has none")]
    HintMissing,
    /// The Android library crashes on a PIN together with any attestation but the hint.
    #[error("the request asks for a PIN, and the contract demands more than the hint")]
    PinWithOthers,
}

impl Contract {
    /// Reads the payload of a contract signed under `request.issuer` and holds it against the request. `now` in seconds
    /// since 1970.
    ///
    /// # Errors
    /// [`ContractError`] names the first rule that is broken.
    pub fn parse(payload: &Value, request: &IssuanceRequest, now: i64) -> Result<Self, ContractError> {
        let top = Node::root("contract", payload);
        top.without_nulls()?;
        top.member("id")?.text()?;
        let display = top.member("display")?;
        let input = top.member("input")?;
        let issuer = input.member("issuer")?.string()?.to_owned();
        let named = top.optional_string("iss")?;
        if issuer != request.issuer || named.is_some_and(|iss| iss != request.issuer) {
            return Err(ContractError::Issuer);
        }
        if top.optional_integer("iat")?.is_some_and(|iat| iat > now.saturating_add(LEEWAY_SECS)) {
            return Err(ContractError::NotYet);
        }
        display.optional_string("id")?;
        display.optional_string("locale")?;
        display.optional_string("contract")?;
        input.optional_string("id")?;
        let consent = display.member("consent")?;
        let attestations = Attestations::parse(&input.member("attestations")?)?;
        attestations.check(request)?;
        Ok(Self {
            card: read_card(&display.member("card")?)?,
            consent_title: consent.optional_string("title")?.map(str::to_owned),
            consent_instructions: consent.member("instructions")?.string()?.to_owned(),
            labels: read_labels(&display.member("claims")?)?,
            credential_issuer: input.member("credentialIssuer")?.address()?,
            issuer,
            attestations,
        })
    }
}

/// What a kept contract says about showing its credential; neither judged nor verified again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// The card's title.
    pub title: Option<String>,
    /// Labels by member name.
    pub labels: BTreeMap<String, String>,
}

/// Reads what a kept contract token shows; nothing where it is unreadable.
#[must_use]
pub fn shown(token: &str) -> Shown {
    let Ok(jws) = CompactJws::parse(token) else { return Shown::default() };
    let Ok(display) = Node::root("contract", &jws.payload).member("display") else { return Shown::default() };
    Shown {
        title: display.member("card").and_then(|card| read_card(&card)).ok().map(|card| card.title),
        labels: display.member("claims").and_then(|claims| read_labels(&claims)).unwrap_or_default(),
    }
}

/// The label of a claim of the credential's subject, or its name where there is none.
#[must_use]
pub fn label<'a>(labels: &'a BTreeMap<String, String>, claim: &'a str) -> &'a str {
    labels.get(&format!("vc.credentialSubject.{claim}")).map_or(claim, String::as_str)
}

fn read_card(card: &Node<'_>) -> Result<Card, ShapeError> {
    card.member("backgroundColor")?.string()?;
    card.member("textColor")?.string()?;
    if let Some(logo) = card.optional("logo")? {
        logo.member("description")?.string()?;
        logo.optional_string("uri")?;
        logo.optional_string("image")?;
    }
    Ok(Card {
        title: card.member("title")?.string()?.to_owned(),
        issued_by: card.member("issuedBy")?.string()?.to_owned(),
        description: card.member("description")?.string()?.to_owned(),
    })
}

fn read_labels(claims: &Node<'_>) -> Result<BTreeMap<String, String>, ShapeError> {
    let mut labels = BTreeMap::new();
    for (name, claim) in claims.members()? {
        claim.member("type")?.string()?;
        claim.optional_string("description")?;
        labels.insert(name.to_owned(), claim.member("label")?.string()?.to_owned());
    }
    Ok(labels)
}

impl Attestations {
    fn parse(top: &Node<'_>) -> Result<Self, ShapeError> {
        Ok(Self {
            id_tokens: each(top, "idTokens", |entry| {
                entry.member("client_id")?.string()?;
                entry.optional_string("redirect_uri")?;
                entry.optional_string("scope")?;
                check_claims(entry)?;
                Ok(entry.member("configuration")?.text()?.to_owned())
            })?,
            presentations: each(top, "presentations", |entry| {
                check_claims(entry)?;
                entry.optional_integer("validityInterval")?;
                if let Some(contracts) = entry.optional("contracts")? {
                    contracts.strings()?;
                }
                if let Some(issuers) = entry.optional("issuers")? {
                    for issuer in issuers.array()? {
                        issuer.member("iss")?.string()?;
                    }
                }
                Ok(entry.member("credentialType")?.text()?.to_owned())
            })?,
            // The Android decoder needs `claims` and reads `scope`, the iOS one needs `oboScope`.
            access_tokens: each(top, "accessTokens", |entry| {
                check_claims(entry)?;
                entry.member("resourceId")?.string()?;
                entry.member("scope")?.string()?;
                entry.member("oboScope")?.string()?;
                Ok(entry.member("configuration")?.text()?.to_owned())
            })?,
            self_issued: match top.optional("selfIssued")? {
                Some(entry) => read_self_issued(&entry)?,
                None => Vec::new(),
            },
        })
    }

    fn check(&self, request: &IssuanceRequest) -> Result<(), ContractError> {
        let hints = self.id_tokens.iter().filter(|one| *one == SELF_ISSUED).count();
        let others = self.presentations.len()
            + self.access_tokens.len()
            + self.self_issued.len()
            + self.id_tokens.len().saturating_sub(hints);
        if hints + others == 0 {
            return Err(ContractError::NoAttestation);
        }
        match &request.id_token_hint {
            Some(_) if hints == 0 => Err(ContractError::NoPlaceForHint),
            None if hints > 0 => Err(ContractError::HintMissing),
            _ if request.pin.is_some() && others > 0 => Err(ContractError::PinWithOthers),
            _ => Ok(()),
        }
    }
}

/// Reads an optional array of attestations; what identifies an entry may occur once only, for answers go by it.
fn each<'a>(
    top: &Node<'a>,
    name: &str,
    read: impl Fn(&Node<'a>) -> Result<String, ShapeError>,
) -> Result<Vec<String>, ShapeError> {
    let Some(list) = top.optional(name)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in list.array()? {
        entry.optional_boolean("encrypted")?;
        entry.optional_boolean("required")?;
        let key = read(&entry)?;
        if found.contains(&key) {
            return Err(entry.fault(Problem::Repeated));
        }
        found.push(key);
    }
    Ok(found)
}

fn check_claims(entry: &Node<'_>) -> Result<(), ShapeError> {
    for claim in entry.member("claims")?.array()? {
        claim.member("claim")?.text()?;
        claim.optional_boolean("required")?;
        claim.optional_boolean("indexed")?;
        claim.optional_string("type")?;
    }
    Ok(())
}

fn read_self_issued(entry: &Node<'_>) -> Result<Vec<SelfIssuedClaim>, ShapeError> {
    entry.optional_boolean("encrypted")?;
    entry.optional_boolean("required")?;
    check_claims(entry)?;
    let mut claims: Vec<SelfIssuedClaim> = Vec::new();
    for claim in entry.member("claims")?.array()? {
        let name = claim.member("claim")?.text()?.to_owned();
        if claims.iter().any(|one| one.name == name) {
            return Err(claim.fault(Problem::Repeated));
        }
        let required = claim.optional_boolean("required")?.unwrap_or(false);
        claims.push(SelfIssuedClaim { name, required });
    }
    Ok(claims)
}

#[cfg(test)]
mod tests;
