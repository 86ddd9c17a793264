//! The signed issuance request that a wallet fetches from a QR code's address.
//!
//! Owns the payload's shape (OpenID SIOP in the profile of Entra wallets). Members without a value are left out, never
//! `null`: Android wallets refuse the whole request otherwise. It must not contain claims of a person or a PIN.

use domain::{Did, RequestId, Timestamp};
use serde::Serialize;

/// What wallets insist on finding among the subject types.
const SUBJECT_TYPES: [&str; 1] = ["did:ion"];
/// Wallets insist on ES256K; the others are harmless to them and true of us.
const ALGORITHMS: [&str; 3] = ["ES256K", "ES256", "EdDSA"];

/// Everything that stands in a request object.
#[derive(Debug, Clone)]
pub struct RequestObject<'a> {
    /// `jti`, and the id of the presentation definition.
    pub request_id: RequestId,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`.
    pub expires_at: Timestamp,
    /// `iss` and `client_id`; byte for byte the DID of the header's `kid`.
    pub issuer_did: &'a Did,
    /// Random, for the hint; wallets do not send it back.
    pub nonce: &'a str,
    /// Unguessable; comes back in the completion call.
    pub state: &'a str,
    /// The address of the completion call.
    pub redirect_uri: &'a str,
    /// What wallets show of the issuer.
    pub client: Client<'a>,
    /// The type of the credential, which wallets match.
    pub credential_type: &'a str,
    /// The contract's address; comes back in the response's `contract`.
    pub manifest_url: &'a str,
    /// The token that comes back in the response.
    pub id_token_hint: Option<&'a str>,
    /// Makes the wallet ask for a PIN; only useful together with a hint.
    pub pin: Option<Pin<'a>>,
}

/// What wallets show of the issuer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Client<'a> {
    /// The issuer's name.
    pub name: Option<&'a str>,
    /// Why the wallet is asked.
    pub purpose: Option<&'a str>,
    /// An image.
    pub logo_uri: Option<&'a str>,
    /// Terms of service.
    pub terms_uri: Option<&'a str>,
}

/// The PIN that the wallet has to ask for.
#[derive(Debug, Clone, Copy)]
pub struct Pin<'a> {
    /// How many characters; at least 1.
    pub length: u32,
    /// Which characters.
    pub kind: PinKind,
    /// Text that the wallet puts before the PIN when it hashes.
    pub salt: Option<&'a str>,
    /// Needed by iOS wallets and used by none. Whoever sees the QR code sees it, so it must not be computable from the
    /// PIN without a key: [`crate::pin::keyed`].
    pub hash: &'a str,
}

/// Which characters a PIN has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PinKind {
    /// Digits.
    Numeric,
    /// ASCII letters and digits.
    Alphanumeric,
}

#[derive(Serialize)]
struct Payload<'a> {
    jti: RequestId,
    iat: i64,
    exp: i64,
    iss: &'a str,
    client_id: &'a str,
    response_type: &'static str,
    response_mode: &'static str,
    scope: &'static str,
    nonce: &'a str,
    state: &'a str,
    redirect_uri: &'a str,
    prompt: &'static str,
    registration: Registration<'a>,
    claims: Claims<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token_hint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pin: Option<PinBlock<'a>>,
}

#[derive(Serialize)]
struct Registration<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_purpose: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logo_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tos_uri: Option<&'a str>,
    subject_syntax_types_supported: [&'static str; 1],
    vp_formats: VpFormats,
}

#[derive(Serialize)]
struct VpFormats {
    jwt_vp: Algorithms,
    jwt_vc: Algorithms,
}

#[derive(Serialize)]
struct Algorithms {
    alg: [&'static str; 3],
}

#[derive(Serialize)]
struct Claims<'a> {
    vp_token: VpToken<'a>,
}

#[derive(Serialize)]
struct VpToken<'a> {
    presentation_definition: Definition<'a>,
}

#[derive(Serialize)]
struct Definition<'a> {
    id: RequestId,
    input_descriptors: [Descriptor<'a>; 1],
}

#[derive(Serialize)]
struct Descriptor<'a> {
    id: &'a str,
    schema: [Schema<'a>; 1],
    issuance: [Issuance<'a>; 1],
}

#[derive(Serialize)]
struct Schema<'a> {
    uri: &'a str,
}

#[derive(Serialize)]
struct Issuance<'a> {
    manifest: &'a str,
}

#[derive(Serialize)]
struct PinBlock<'a> {
    length: u32,
    #[serde(rename = "type")]
    kind: PinKind,
    alg: &'static str,
    iterations: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    salt: Option<&'a str>,
    hash: &'a str,
}

/// The payload, ready for [`crate::jws::Unsigned::new`] with `typ` `JWT`.
#[must_use]
pub fn payload<'a>(object: &RequestObject<'a>) -> impl Serialize + use<'a> {
    Payload {
        jti: object.request_id,
        iat: object.issued_at.seconds(),
        exp: object.expires_at.seconds(),
        iss: object.issuer_did.as_str(),
        client_id: object.issuer_did.as_str(),
        response_type: "id_token",
        response_mode: "post",
        scope: "openid",
        nonce: object.nonce,
        state: object.state,
        redirect_uri: object.redirect_uri,
        prompt: "create",
        registration: Registration {
            client_name: object.client.name,
            client_purpose: object.client.purpose,
            logo_uri: object.client.logo_uri,
            tos_uri: object.client.terms_uri,
            subject_syntax_types_supported: SUBJECT_TYPES,
            vp_formats: VpFormats {
                jwt_vp: Algorithms { alg: ALGORITHMS },
                jwt_vc: Algorithms { alg: ALGORITHMS },
            },
        },
        claims: Claims {
            vp_token: VpToken {
                presentation_definition: Definition {
                    id: object.request_id,
                    input_descriptors: [Descriptor {
                        id: object.credential_type,
                        schema: [Schema { uri: object.credential_type }],
                        issuance: [Issuance { manifest: object.manifest_url }],
                    }],
                },
            },
        },
        id_token_hint: object.id_token_hint,
        pin: object.pin.map(|pin| PinBlock {
            length: pin.length,
            kind: pin.kind,
            alg: "sha256",
            iterations: 1,
            salt: pin.salt,
            hash: pin.hash,
        }),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn object(did: &Did) -> RequestObject<'_> {
        RequestObject {
            request_id: RequestId::new(Uuid::from_u128(0x6f0c)),
            issued_at: Timestamp::from_millis(1_795_000_000_999),
            expires_at: Timestamp::from_seconds(1_795_000_300),
            issuer_did: did,
            nonce: "b2x",
            state: "c3Rh",
            redirect_uri: "https://issuer.example/completion",
            client: Client {
                name: Some("Contoso"),
                purpose: Some("Badge"),
                logo_uri: Some("https://issuer.example/logo.png"),
                terms_uri: Some("https://issuer.example/terms"),
            },
            credential_type: "ContosoBadge",
            manifest_url: "https://issuer.example/manifest?request=6f0c",
            id_token_hint: Some("a.b.c"),
            pin: Some(Pin { length: 4, kind: PinKind::Numeric, salt: Some("5a17"), hash: "c0de" }),
        }
    }

    #[test]
    fn the_whole_payload_byte_for_byte() {
        let did = Did::new("did:web:issuer.example");
        let json = serde_json::to_string(&payload(&object(&did))).unwrap();
        let formats = r#"{"alg":["ES256K","ES256","EdDSA"]}"#;
        let id = "00000000-0000-0000-0000-000000006f0c";
        let expected = [
            &format!(r#"{{"jti":"{id}","iat":1795000000,"exp":1795000300,"#),
            r#""iss":"did:web:issuer.example","client_id":"did:web:issuer.example","#,
            r#""response_type":"id_token","response_mode":"post","scope":"openid","nonce":"b2x","state":"c3Rh","#,
            r#""redirect_uri":"https://issuer.example/completion","prompt":"create","#,
            r#""registration":{"client_name":"Contoso","client_purpose":"Badge","#,
            r#""logo_uri":"https://issuer.example/logo.png","tos_uri":"https://issuer.example/terms","#,
            r#""subject_syntax_types_supported":["did:ion"],"#,
            &format!(r#""vp_formats":{{"jwt_vp":{formats},"jwt_vc":{formats}}}}},"#),
            &format!(r#""claims":{{"vp_token":{{"presentation_definition":{{"id":"{id}","input_descriptors":[{{"#),
            r#""id":"ContosoBadge","schema":[{"uri":"ContosoBadge"}],"#,
            r#""issuance":[{"manifest":"https://issuer.example/manifest?request=6f0c"}]}]}}},"#,
            r#""id_token_hint":"a.b.c","#,
            r#""pin":{"length":4,"type":"numeric","alg":"sha256","iterations":1,"salt":"5a17","hash":"c0de"}}"#,
        ]
        .concat();
        assert_eq!(json, expected);
    }

    #[test]
    fn what_has_no_value_is_left_out() {
        let did = Did::new("did:web:issuer.example");
        let bare =
            RequestObject { client: Client::default(), id_token_hint: None, pin: None, ..object(&did) };
        let json = serde_json::to_string(&payload(&bare)).unwrap();
        for absent in
            ["null", "client_name", "client_purpose", "logo_uri", "tos_uri", "id_token_hint", "\"pin\""]
        {
            assert!(!json.contains(absent), "{absent} in {json}");
        }
        let saltless = Pin { length: 6, kind: PinKind::Alphanumeric, salt: None, hash: "c0de" };
        let with_pin = RequestObject { pin: Some(saltless), ..object(&did) };
        let json = serde_json::to_value(payload(&with_pin)).unwrap();
        let block = serde_json::json!(
            {"length": 6, "type": "alphanumeric", "alg": "sha256", "iterations": 1, "hash": "c0de"}
        );
        assert_eq!(json["pin"], block);
    }
}
