//! The wallet-facing manifest: a contract as wallets read it before the person consents.
//!
//! Owns the shape and the member order of the payload. It must not sign it, choose a language or know a server's
//! addresses: those come in as [`ManifestContext`].
//! Source: `spec/entra-verified-id.md` section 3.4 and `spec/wallet-protocol.md` section 3 (observed manifests and what
//! the wallets' decoders want: no `null`, `client_id` always a string, `type` and `label` always there).

use std::collections::BTreeMap;

use domain::contract::{
    Attestations, CLAIM_PREFIX, Contract, Display, DisplayClaim, IdToken, IdTokenHint, Mapping, Presentation,
    SELF_ISSUED, SelfIssued,
};
use domain::{ContractId, Did};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// What the contract itself does not know.
#[derive(Debug, Clone, Copy)]
pub struct ManifestContext<'a> {
    /// Id under which the contract was applied.
    pub contract_id: ContractId,
    /// Address of this manifest.
    pub manifest_url: &'a str,
    /// Address to which wallets post their answer.
    pub credential_issuer: &'a str,
    /// The authority.
    pub issuer_did: &'a Did,
    /// When the manifest is signed, in seconds since 1970.
    pub issued_at_secs: i64,
}

/// The payload of the signed manifest. Its members serialize in the order of the observed manifests.
#[derive(Debug, Serialize)]
pub struct ManifestPayload<'a> {
    id: ContractId,
    display: DisplayPart<'a>,
    input: InputPart<'a>,
    iss: &'a Did,
    iat: i64,
}

#[derive(Debug, Serialize)]
struct DisplayPart<'a> {
    id: &'static str,
    locale: &'a str,
    contract: &'a str,
    card: CardPart<'a>,
    consent: ConsentPart<'a>,
    #[serde(serialize_with = "claims_as_map")]
    claims: &'a [DisplayClaim],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CardPart<'a> {
    title: &'a str,
    issued_by: &'a str,
    background_color: &'a str,
    text_color: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    logo: Option<LogoPart<'a>>,
    description: &'a str,
}

#[derive(Debug, Serialize)]
struct LogoPart<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<&'a str>,
    /// Always there: the Android wallet refuses a logo without it.
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct ConsentPart<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    instructions: &'a str,
}

#[derive(Debug, Serialize)]
struct LabelPart<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    label: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct InputPart<'a> {
    id: &'static str,
    credential_issuer: &'a str,
    issuer: &'a Did,
    attestations: AttestationsPart<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AttestationsPart<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    id_tokens: Vec<IdTokenPart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    presentations: Vec<PresentationPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    self_issued: Option<SelfIssuedPart<'a>>,
}

/// The members here are in snake case, unlike all others: that is how wallets read them.
#[derive(Debug, Serialize)]
struct IdTokenPart<'a> {
    id: &'a str,
    encrypted: bool,
    required: bool,
    configuration: &'a str,
    client_id: &'a str,
    redirect_uri: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    claims: Vec<ClaimPart<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PresentationPart<'a> {
    id: &'a str,
    encrypted: bool,
    required: bool,
    credential_type: &'a str,
    issuers: Vec<IssuerPart<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    contracts: &'a [String],
    claims: Vec<ClaimPart<'a>>,
}

#[derive(Debug, Serialize)]
struct IssuerPart<'a> {
    iss: &'a str,
}

#[derive(Debug, Serialize)]
struct SelfIssuedPart<'a> {
    encrypted: bool,
    required: bool,
    claims: Vec<ClaimPart<'a>>,
}

#[derive(Debug, Serialize)]
struct ClaimPart<'a> {
    claim: &'a str,
    required: bool,
    indexed: bool,
    /// Only where it is not text, so that wallets can offer the right field.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
}

/// Renders a contract for one of its displays.
///
/// The contract has to have passed [`Contract::check_issuable`]: `accessTokens` have no place here, because a contract
/// does not say where their tokens come from.
#[must_use]
pub fn payload<'a>(
    contract: &'a Contract,
    display: &'a Display,
    context: &ManifestContext<'a>,
) -> ManifestPayload<'a> {
    ManifestPayload {
        id: context.contract_id,
        display: display_part(display, context),
        input: InputPart {
            id: "input",
            credential_issuer: context.credential_issuer,
            issuer: context.issuer_did,
            attestations: attestations_part(&contract.rules().attestations, context),
        },
        iss: context.issuer_did,
        iat: context.issued_at_secs,
    }
}

fn display_part<'a>(display: &'a Display, context: &ManifestContext<'a>) -> DisplayPart<'a> {
    let card = &display.card;
    DisplayPart {
        id: "display",
        locale: display.locale.as_str(),
        contract: context.manifest_url,
        card: CardPart {
            title: &card.title,
            issued_by: &card.issued_by,
            background_color: card.background_color.as_str(),
            text_color: card.text_color.as_str(),
            logo: card.logo.as_ref().map(|logo| LogoPart {
                uri: logo.uri.as_deref(),
                description: logo.description.as_deref().unwrap_or_default(),
                image: logo.image.as_deref(),
            }),
            description: &card.description,
        },
        consent: ConsentPart {
            title: display.consent.title.as_deref(),
            instructions: &display.consent.instructions,
        },
        claims: &display.claims,
    }
}

fn attestations_part<'a>(
    attestations: &'a Attestations,
    context: &ManifestContext<'a>,
) -> AttestationsPart<'a> {
    let hint = attestations.id_token_hints.iter().map(hint_part);
    let id_tokens = attestations.id_tokens.iter().map(id_token_part);
    AttestationsPart {
        id_tokens: hint.chain(id_tokens).collect(),
        presentations: attestations
            .presentations
            .iter()
            .map(|entry| presentation_part(entry, context.issuer_did))
            .collect(),
        self_issued: attestations.self_issued.as_ref().map(self_issued_part),
    }
}

/// A wallet sends a hint only for an entry with exactly this configuration, and wants `client_id` to be a string.
fn hint_part(hint: &IdTokenHint) -> IdTokenPart<'_> {
    IdTokenPart {
        id: SELF_ISSUED,
        encrypted: false,
        required: hint.required,
        configuration: SELF_ISSUED,
        client_id: "",
        redirect_uri: "",
        scope: None,
        claims: claim_parts(&hint.mapping, |line| line.input_claim.as_str()),
    }
}

fn id_token_part(entry: &IdToken) -> IdTokenPart<'_> {
    IdTokenPart {
        id: &entry.configuration,
        encrypted: false,
        required: entry.required,
        configuration: &entry.configuration,
        client_id: &entry.client_id,
        redirect_uri: &entry.redirect_uri,
        scope: entry.scope.as_deref(),
        claims: claim_parts(&entry.mapping, |line| line.input_claim.as_str()),
    }
}

fn presentation_part<'a>(entry: &'a Presentation, own_did: &'a Did) -> PresentationPart<'a> {
    let issuers = if entry.trusted_issuers.is_empty() {
        vec![IssuerPart { iss: own_did.as_str() }]
    } else {
        entry.trusted_issuers.iter().map(|iss| IssuerPart { iss }).collect()
    };
    PresentationPart {
        id: &entry.credential_type,
        encrypted: false,
        required: entry.required,
        credential_type: &entry.credential_type,
        issuers,
        contracts: &entry.contracts,
        claims: claim_parts(&entry.mapping, |line| line.input_claim.as_str()),
    }
}

/// The bare name, not the path: wallets look for the field's label under it and answer with it as the key.
fn self_issued_part(entry: &SelfIssued) -> SelfIssuedPart<'_> {
    SelfIssuedPart {
        encrypted: false,
        required: entry.required,
        claims: claim_parts(&entry.mapping, Mapping::input_name),
    }
}

/// Each claim of the source once, however many claims of the credential it fills: a wallet asks for it once.
fn claim_parts<'a>(mapping: &'a [Mapping], name: fn(&'a Mapping) -> &'a str) -> Vec<ClaimPart<'a>> {
    let mut demands: BTreeMap<&str, (bool, bool)> = BTreeMap::new();
    for line in mapping {
        let (required, indexed) = demands.entry(name(line)).or_default();
        *required |= line.required;
        *indexed |= line.indexed;
    }
    mapping
        .iter()
        .filter_map(|line| {
            let (required, indexed) = demands.remove(name(line))?;
            let kind = line.kind.name();
            let kind = (kind != "String").then_some(kind);
            Some(ClaimPart { claim: name(line), required, indexed, kind })
        })
        .collect()
}

/// An array in a contract, a map in a manifest.
fn claims_as_map<S: Serializer>(claims: &&[DisplayClaim], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(claims.len()))?;
    for claim in *claims {
        let part = LabelPart {
            kind: claim.kind.name(),
            label: &claim.label,
            description: claim.description.as_deref(),
        };
        map.serialize_entry(&format!("{CLAIM_PREFIX}{}", claim.output_claim), &part)?;
    }
    map.end()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const HOST: &str = "https://issuer.example/v1.0/tenants/00000000-0000-4000-8000-000000000001";

    fn contract(attestations: &Value) -> Contract {
        Contract::from_value(json!({
            "name": "Expert",
            "rules": {
                "attestations": attestations,
                "validityInterval": 2_592_000,
                "vc": { "type": ["VerifiedCredentialExpert"] }
            },
            "displays": [{
                "locale": "en-US",
                "card": {
                    "title": "Expert", "issuedBy": "Contoso", "description": "For experts.",
                    "backgroundColor": "#000000", "textColor": "#ffffff",
                    "logo": { "uri": "https://issuer.example/logo.png", "description": "A cube" }
                },
                "consent": { "title": "Get it?", "instructions": "Read this." },
                "claims": [
                    { "claim": "vc.credentialSubject.lastName", "label": "Last name", "type": "String" },
                    { "claim": "vc.credentialSubject.firstName", "label": "First name", "type": "String" }
                ]
            }]
        }))
        .unwrap()
    }

    fn render(contract: &Contract) -> String {
        let did = Did::new("did:web:issuer.example");
        let manifest_url = format!("{HOST}/manifest");
        let credential_issuer = format!("{HOST}/issue");
        let context = ManifestContext {
            contract_id: "133d7e92-d227-f74d-1a5b-354cbc8df49a".parse().unwrap(),
            manifest_url: &manifest_url,
            credential_issuer: &credential_issuer,
            issuer_did: &did,
            issued_at_secs: 1_738_578_093,
        };
        serde_json::to_string(&payload(contract, contract.default_display(), &context)).unwrap()
    }

    fn rendered_attestations(attestations: &Value) -> Value {
        let payload: Value = serde_json::from_str(&render(&contract(attestations))).unwrap();
        payload["input"]["attestations"].clone()
    }

    #[test]
    fn a_hint_contract_has_the_observed_shape_and_order() {
        let rendered = render(&contract(&json!({ "idTokenHints": [{
            "mapping": [{ "outputClaim": "firstName", "inputClaim": "$.given_name", "required": true }],
            "required": true
        }] })));
        let expected = concat!(
            r#"{"id":"133d7e92-d227-f74d-1a5b-354cbc8df49a","#,
            r#""display":{"id":"display","locale":"en-US","#,
            r#""contract":"https://issuer.example/v1.0/tenants/00000000-0000-4000-8000-000000000001/manifest","#,
            r##""card":{"title":"Expert","issuedBy":"Contoso","backgroundColor":"#000000","textColor":"#ffffff","##,
            r#""logo":{"uri":"https://issuer.example/logo.png","description":"A cube"},"description":"For experts."},"#,
            r#""consent":{"title":"Get it?","instructions":"Read this."},"#,
            r#""claims":{"vc.credentialSubject.lastName":{"type":"String","label":"Last name"},"#,
            r#""vc.credentialSubject.firstName":{"type":"String","label":"First name"}}},"#,
            r#""input":{"id":"input","#,
            r#""credentialIssuer":"https://issuer.example/v1.0/tenants/00000000-0000-4000-8000-000000000001/issue","#,
            r#""issuer":"did:web:issuer.example","#,
            r#""attestations":{"idTokens":[{"id":"https://self-issued.me","encrypted":false,"required":true,"#,
            r#""configuration":"https://self-issued.me","client_id":"","redirect_uri":"","#,
            r#""claims":[{"claim":"$.given_name","required":true,"indexed":false}]}]}},"#,
            r#""iss":"did:web:issuer.example","iat":1738578093}"#,
        );
        assert_eq!(rendered, expected);
    }

    #[test]
    fn self_issued_claims_go_by_their_bare_name_and_alone() {
        let rendered = rendered_attestations(&json!({ "selfIssued": {
            "mapping": [
                { "outputClaim": "name", "inputClaim": "$.name", "required": true, "indexed": true },
                { "outputClaim": "since", "inputClaim": "$['since']", "type": "Date" }
            ]
        } }));
        assert_eq!(
            rendered,
            json!({ "selfIssued": { "encrypted": false, "required": false, "claims": [
                { "claim": "name", "required": true, "indexed": true },
                { "claim": "since", "required": false, "indexed": false, "type": "Date" }
            ] } })
        );
    }

    #[test]
    fn a_source_claim_that_fills_two_claims_is_asked_for_once() {
        let rendered = rendered_attestations(&json!({ "selfIssued": { "mapping": [
            { "outputClaim": "name", "inputClaim": "name" },
            { "outputClaim": "badgeName", "inputClaim": "$.name", "required": true }
        ] } }));
        assert_eq!(
            rendered["selfIssued"]["claims"],
            json!([{ "claim": "name", "required": true, "indexed": false }])
        );
    }

    #[test]
    fn presentations_and_id_tokens_have_the_observed_shape() {
        let rendered = rendered_attestations(&json!({
            "idTokens": [{
                "mapping": [{ "outputClaim": "mail", "inputClaim": "$.emails[0]" }],
                "configuration": "https://login.example/.well-known/openid-configuration",
                "clientId": "wallet", "redirectUri": "vcclient://openid/", "scope": "openid profile"
            }],
            "presentations": [{ "credentialType": "Employee", "required": true }, {
                "credentialType": "Card", "trustedIssuers": ["did:web:card.example"],
                "contracts": ["https://card.example/manifest"]
            }]
        }));
        assert_eq!(
            rendered,
            json!({
                "idTokens": [{
                    "id": "https://login.example/.well-known/openid-configuration",
                    "encrypted": false, "required": false,
                    "configuration": "https://login.example/.well-known/openid-configuration",
                    "client_id": "wallet", "redirect_uri": "vcclient://openid/", "scope": "openid profile",
                    "claims": [{ "claim": "$.emails[0]", "required": false, "indexed": false }]
                }],
                "presentations": [
                    { "id": "Employee", "encrypted": false, "required": true, "credentialType": "Employee",
                      "issuers": [{ "iss": "did:web:issuer.example" }], "claims": [] },
                    { "id": "Card", "encrypted": false, "required": false, "credentialType": "Card",
                      "issuers": [{ "iss": "did:web:card.example" }],
                      "contracts": ["https://card.example/manifest"], "claims": [] }
                ]
            })
        );
    }

    #[test]
    fn what_the_contract_leaves_out_is_left_out_and_never_null() {
        let mut submitted = contract(&json!({ "selfIssued": { "mapping": [
            { "outputClaim": "name", "inputClaim": "name" }
        ] } }))
        .submitted()
        .clone();
        submitted["displays"][0]["consent"] = json!({ "title": null, "instructions": "Read this." });
        submitted["displays"][0]["card"]["logo"] = json!({ "image": "AAAA" });
        let rendered = render(&Contract::from_value(submitted).unwrap());
        assert!(!rendered.contains("null"), "{rendered}");
        let payload: Value = serde_json::from_str(&rendered).unwrap();
        assert_eq!(payload["display"]["consent"], json!({ "instructions": "Read this." }));
        // The Android wallet wants a logo to have a description.
        assert_eq!(payload["display"]["card"]["logo"], json!({ "description": "", "image": "AAAA" }));
    }
}
