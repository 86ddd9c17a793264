//! The signed issuance request (wallet protocol, section 2), read as strictly as the strictest shipping wallet. Owns the
//! rules of its members. Must not fetch anything; signatures are checked in [`crate::verify`].

use serde_json::Value;

use crate::address::Address;
use crate::clock::LEEWAY_SECS;
use crate::jws::JwsError;
use crate::key::SignatureError;
use crate::member::{Node, Problem, ShapeError};

/// What an issuance request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuanceRequest {
    /// The issuer's DID: `client_id`, and the DID in `kid`.
    pub issuer: String,
    /// The contract's address, verbatim; it goes back in the proof.
    pub manifest: Address,
    /// Where the outcome is reported.
    pub redirect_uri: Address,
    /// Goes back in that report.
    pub state: String,
    /// Credential types of the input descriptor's schema.
    pub types: Vec<String>,
    /// `registration.client_name`.
    pub client_name: Option<String>,
    /// Opaque; goes back in the proof.
    pub id_token_hint: Option<String>,
    /// The PIN to ask for.
    pub pin: Option<PinRequest>,
    /// Seconds since 1970.
    pub expires: i64,
}

/// The `pin` member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinRequest {
    /// Characters to ask for.
    pub length: usize,
    /// Which characters.
    pub kind: PinKind,
    /// Text put before the PIN under the hash.
    pub salt: Option<String>,
    /// Published by the issuer; it must not be what the wallet will answer.
    pub hash: String,
}

/// Characters of a PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinKind {
    /// ASCII digits.
    Numeric,
    /// ASCII letters and digits.
    Alphanumeric,
}

/// Why an issuance request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not a JWS of this wire.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// A member is missing, of the wrong type or of a value no wallet takes.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The signature does not verify.
    #[error("its signature does not verify")]
    Signature(#[from] SignatureError),
    /// `client_id` is not the DID in `kid`.
    #[error("its client_id is not the DID that signed it")]
    ClientId,
    /// `iss` is not the DID in `kid`.
    #[error("its iss is not the DID that signed it")]
    Issuer,
    /// `exp` has passed.
    #[error("it has expired")]
    Expired,
    /// `iat` or `nbf` lies in the future.
    #[error("it is not valid yet")]
    NotYet,
    /// `exp` is not after `iat`.
    #[error("it expires before it was made")]
    Lifetime,
    /// The iOS library cannot read a constraint field without a filter pattern.
    #[error("a constraint field has no filter pattern")]
    Constraint,
    /// A PIN only travels together with a hint.
    #[error("it asks for a PIN without an id_token_hint")]
    PinWithoutHint,
}

impl IssuanceRequest {
    /// Reads the payload of a request signed under the DID `signer`. `now` in seconds since 1970.
    ///
    /// # Errors
    /// [`RequestError`] names the first rule that is broken.
    pub fn parse(payload: &Value, signer: &str, now: i64) -> Result<Self, RequestError> {
        let top = Node::root("request", payload);
        top.without_nulls()?;
        top.member("prompt")?.exactly("create")?;
        top.member("response_type")?.exactly("id_token")?;
        top.member("response_mode")?.exactly("post")?;
        top.member("scope")?.exactly("openid")?;
        if top.member("client_id")?.string()? != signer {
            return Err(RequestError::ClientId);
        }
        if top.optional_string("iss")?.is_some_and(|iss| iss != signer) {
            return Err(RequestError::Issuer);
        }
        top.optional_string("jti")?;
        top.member("nonce")?.text()?;
        let expires = check_times(&top, now)?;
        let client_name = check_registration(&top.member("registration")?)?;
        let (types, manifest) = read_descriptor(&top.member("claims")?)?;
        let id_token_hint = top.optional("id_token_hint")?.map(|hint| hint.text()).transpose()?;
        let pin = top.optional("pin")?.map(|pin| read_pin(&pin)).transpose()?;
        if pin.is_some() && id_token_hint.is_none() {
            return Err(RequestError::PinWithoutHint);
        }
        Ok(Self {
            issuer: signer.to_owned(),
            manifest,
            redirect_uri: top.member("redirect_uri")?.address()?,
            state: top.member("state")?.text()?.to_owned(),
            types,
            client_name,
            id_token_hint: id_token_hint.map(str::to_owned),
            pin,
            expires,
        })
    }
}

fn check_times(top: &Node<'_>, now: i64) -> Result<i64, RequestError> {
    let expires = top.member("exp")?.integer()?;
    if expires < now.saturating_sub(LEEWAY_SECS) {
        return Err(RequestError::Expired);
    }
    let issued = top.optional_integer("iat")?;
    let not_before = top.optional_integer("nbf")?;
    if [issued, not_before].into_iter().flatten().any(|time| time > now.saturating_add(LEEWAY_SECS)) {
        return Err(RequestError::NotYet);
    }
    if issued.is_some_and(|issued| issued >= expires) { Err(RequestError::Lifetime) } else { Ok(expires) }
}

fn check_registration(registration: &Node<'_>) -> Result<Option<String>, ShapeError> {
    let methods = registration.member("subject_syntax_types_supported")?;
    if !methods.strings()?.contains(&"did:ion") {
        return Err(methods.fault(Problem::Lacks("did:ion")));
    }
    if let Some(formats) = registration.optional("vp_formats")? {
        for name in ["jwt_vp", "jwt_vc"] {
            let algorithms = formats.member(name)?.member("alg")?;
            if !algorithms.strings()?.contains(&"ES256K") {
                return Err(algorithms.fault(Problem::Lacks("ES256K")));
            }
        }
    }
    for name in ["client_purpose", "logo_uri", "tos_uri", "client_uri"] {
        registration.optional_string(name)?;
    }
    Ok(registration.optional_string("client_name")?.map(str::to_owned))
}

fn read_descriptor(claims: &Node<'_>) -> Result<(Vec<String>, Address), RequestError> {
    let definition = claims.member("vp_token")?.member("presentation_definition")?;
    definition.member("id")?.string()?;
    let descriptors = definition.member("input_descriptors")?;
    let list = descriptors.array()?;
    let [descriptor] = list.as_slice() else { return Err(descriptors.fault(Problem::NotSingle).into()) };
    descriptor.member("id")?.string()?;
    let schema = descriptor.member("schema")?;
    let mut types = Vec::new();
    for entry in schema.array()? {
        let uri = entry.member("uri")?.string()?;
        if !uri.trim().is_empty() {
            types.push(uri.to_owned());
        }
    }
    if types.is_empty() {
        return Err(schema.fault(Problem::Empty).into());
    }
    let issuance = descriptor.member("issuance")?;
    let offers = issuance.array()?;
    let first = offers.first().ok_or_else(|| issuance.fault(Problem::Empty))?;
    let manifest = first.member("manifest")?.address()?;
    if let Some(constraints) = descriptor.optional("constraints")? {
        check_constraints(&constraints)?;
    }
    Ok((types, manifest))
}

fn check_constraints(constraints: &Node<'_>) -> Result<(), RequestError> {
    let Some(fields) = constraints.optional("fields")? else { return Ok(()) };
    for field in fields.array()? {
        let pattern = match field.optional("filter")? {
            Some(filter) => filter.optional_string("pattern")?,
            None => None,
        };
        pattern.ok_or(RequestError::Constraint)?;
    }
    Ok(())
}

fn read_pin(pin: &Node<'_>) -> Result<PinRequest, ShapeError> {
    let length = pin.member("length")?;
    let number = length.integer()?;
    let length = usize::try_from(number)
        .ok()
        .filter(|length| *length >= 1)
        .ok_or_else(|| length.fault(Problem::TooSmall(1)))?;
    let kind = pin.member("type")?;
    let kind = match kind.string()? {
        "numeric" => PinKind::Numeric,
        "alphanumeric" => PinKind::Alphanumeric,
        _ => return Err(kind.fault(Problem::Not("numeric"))),
    };
    pin.optional_integer("iterations")?;
    pin.optional_string("alg")?;
    Ok(PinRequest {
        length,
        kind,
        salt: pin.optional_string("salt")?.map(str::to_owned),
        hash: pin.member("hash")?.string()?.to_owned(),
    })
}

#[cfg(test)]
mod tests;
