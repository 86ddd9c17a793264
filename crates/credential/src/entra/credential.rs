//! The credential that a wallet receives: a JWT with a W3C credential in `vc`.
//!
//! Owns the payload as Entra issues it. The holder is bound by `sub`; the subject has no `id`, and there is no `nbf`.

use std::collections::BTreeMap;

use domain::{Did, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::{CREDENTIAL_TYPE, CREDENTIALS_CONTEXT};
use crate::base64url;

/// Everything that stands in a credential.
#[derive(Clone, Copy)]
pub struct CredentialInput<'a> {
    /// The credential's id; stands as `urn:pic:` and 32 hexadecimal digits.
    pub credential_id: Uuid,
    /// `iss`; the DID of the header's `kid`.
    pub issuer_did: &'a Did,
    /// `sub`; the holder.
    pub subject_did: &'a Did,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`.
    pub expires_at: Timestamp,
    /// The contract's types; `VerifiableCredential` is put first and repetitions are dropped.
    pub types: &'a [String],
    /// The subject's claims.
    pub claims: &'a BTreeMap<String, String>,
    /// The bit that revokes it, if it can be revoked.
    pub status: Option<StatusEntry>,
}

/// One bit of a status list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusEntry {
    /// The list.
    pub list_id: Uuid,
    /// The bit.
    pub index: u32,
}

/// The `jti` of a credential: `urn:pic:` and 32 lower-case hexadecimal digits. The Admin API's id of it.
#[must_use]
pub fn jti(credential_id: &Uuid) -> String {
    format!("urn:pic:{}", credential_id.simple())
}

#[derive(Serialize)]
struct Payload<'a> {
    vc: Vc<'a>,
    jti: String,
    iss: &'a str,
    sub: &'a str,
    iat: i64,
    exp: i64,
}

#[derive(Serialize)]
struct Vc<'a> {
    #[serde(rename = "@context")]
    context: [&'static str; 1],
    #[serde(rename = "type")]
    types: Vec<&'a str>,
    #[serde(rename = "credentialSubject")]
    subject: &'a BTreeMap<String, String>,
    #[serde(rename = "credentialStatus", skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
}

#[derive(Serialize)]
struct Status {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "statusListIndex")]
    index: u32,
    #[serde(rename = "statusListCredential")]
    list: String,
}

/// The payload, ready for [`crate::jws::Unsigned::new`] with `typ` `JWT`.
#[must_use]
pub fn payload<'a>(input: &CredentialInput<'a>) -> impl Serialize + use<'a> {
    let mut types = vec![CREDENTIAL_TYPE];
    for kind in input.types {
        if !types.contains(&kind.as_str()) {
            types.push(kind);
        }
    }
    Payload {
        vc: Vc {
            context: [CREDENTIALS_CONTEXT],
            types,
            subject: input.claims,
            status: input.status.map(|entry| status(input.issuer_did, entry)),
        },
        jti: jti(&input.credential_id),
        iss: input.issuer_did.as_str(),
        sub: input.subject_did.as_str(),
        iat: input.issued_at.seconds(),
        exp: input.expires_at.seconds(),
    }
}

/// The status member in Entra's form: the list is found through the `IdentityHub` service of the issuer's document.
fn status(issuer_did: &Did, entry: StatusEntry) -> Status {
    let StatusEntry { list_id, index } = entry;
    let queries = format!(
        r#"[{{"method":"CollectionsQuery","schema":"https://w3id.org/vc-status-list-2021/v1","objectId":"{list_id}"}}]"#
    );
    Status {
        id: format!("urn:uuid:{list_id}?bit-index={index}"),
        kind: "RevocationList2021Status",
        index,
        list: format!("{issuer_did}?service=IdentityHub&queries={}", base64url::encode(queries)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> BTreeMap<String, String> {
        BTreeMap::from([("lastName".into(), "Bowen".into()), ("firstName".into(), "Megan".into())])
    }

    fn json(types: &[&str], status: Option<StatusEntry>) -> String {
        let claims = claims();
        let types: Vec<String> = types.iter().map(|kind| (*kind).to_owned()).collect();
        let input = CredentialInput {
            credential_id: Uuid::from_u128(0xaea4_2fb3_724b_4ef0_8bd2_d271_2e79_bda2),
            issuer_did: &Did::new("did:web:verifiedid.contoso.com"),
            subject_did: &Did::new("did:jwk:e30"),
            issued_at: Timestamp::from_millis(1_738_578_093_614),
            expires_at: Timestamp::from_seconds(1_741_170_093),
            types: &types,
            claims: &claims,
            status,
        };
        serde_json::to_string(&payload(&input)).unwrap()
    }

    const TAIL: &str = concat!(
        r#"},"jti":"urn:pic:aea42fb3724b4ef08bd2d2712e79bda2","iss":"did:web:verifiedid.contoso.com","#,
        r#""sub":"did:jwk:e30","iat":1738578093,"exp":1741170093}"#
    );

    #[test]
    fn the_whole_payload_byte_for_byte() {
        let list_id = Uuid::from_u128(0x1111_2222_3333_4444_5555_6666_7777_8888);
        let made = json(&["VerifiedCredentialExpert"], Some(StatusEntry { list_id, index: 47 }));
        let queries = concat!(
            r#"[{"method":"CollectionsQuery","schema":"https://w3id.org/vc-status-list-2021/v1","#,
            r#""objectId":"11112222-3333-4444-5555-666677778888"}]"#
        );
        let expected = [
            r#"{"vc":{"@context":["https://www.w3.org/2018/credentials/v1"],"#,
            r#""type":["VerifiableCredential","VerifiedCredentialExpert"],"#,
            r#""credentialSubject":{"firstName":"Megan","lastName":"Bowen"},"#,
            r#""credentialStatus":{"id":"urn:uuid:11112222-3333-4444-5555-666677778888?bit-index=47","#,
            r#""type":"RevocationList2021Status","statusListIndex":47,"#,
            r#""statusListCredential":"did:web:verifiedid.contoso.com?service=IdentityHub&queries="#,
            &base64url::encode(queries),
            "\"}",
            TAIL,
        ]
        .concat();
        assert_eq!(made, expected);
    }

    #[test]
    fn without_status_the_member_is_absent() {
        let made = json(&["A"], None);
        assert!(!made.contains("credentialStatus") && !made.contains("null"), "{made}");
        assert!(
            made.ends_with(&format!(
                r#""credentialSubject":{{"firstName":"Megan","lastName":"Bowen"}}{TAIL}"#
            ))
        );
    }

    #[test]
    fn the_base_type_comes_first_and_no_type_twice() {
        for types in
            [&["A", "B"][..], &["A", "VerifiableCredential", "B"], &["VerifiableCredential", "A", "A", "B"]]
        {
            let made: serde_json::Value = serde_json::from_str(&json(types, None)).unwrap();
            assert_eq!(made["vc"]["type"], serde_json::json!(["VerifiableCredential", "A", "B"]));
        }
    }
}
