//! The domain linkage credential: the issuer's own word that a web origin belongs to its DID.
//!
//! Owns the payload of the one JWS in `did-configuration.json` (DIF Well Known DID Configuration, section "Linked Data
//! and JWT Proof Formats"). Its header has no `typ`.

use domain::{Did, Timestamp};
use serde::Serialize;

use super::{CREDENTIAL_TYPE, CREDENTIALS_CONTEXT};

/// The JSON-LD context of a linkage credential, and of the file around it.
pub const CONTEXT: &str = "https://identity.foundation/.well-known/contexts/did-configuration-v0.0.jsonld";

/// How long a linkage credential is valid unless the caller says otherwise, in calendar years.
const VALID_YEARS: i64 = 25;

/// Everything that stands in a linkage credential.
#[derive(Debug, Clone, Copy)]
pub struct Linkage<'a> {
    /// Issuer and subject.
    pub did: &'a Did,
    /// The origin, spelled exactly as in the DID document (Entra writes a trailing slash).
    pub origin: &'a str,
    /// `nbf` and `issuanceDate`.
    pub issued_at: Timestamp,
    /// `exp` and `expirationDate`; 25 years after `issued_at` if absent.
    pub expires_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct Payload<'a> {
    sub: &'a str,
    iss: &'a str,
    nbf: i64,
    exp: i64,
    vc: Vc<'a>,
}

#[derive(Serialize)]
struct Vc<'a> {
    #[serde(rename = "@context")]
    context: [&'static str; 2],
    issuer: &'a str,
    #[serde(rename = "issuanceDate")]
    issuance_date: String,
    #[serde(rename = "expirationDate")]
    expiration_date: String,
    #[serde(rename = "type")]
    types: [&'static str; 2],
    #[serde(rename = "credentialSubject")]
    subject: Subject<'a>,
}

#[derive(Serialize)]
struct Subject<'a> {
    id: &'a str,
    origin: &'a str,
}

/// The payload, ready for [`crate::jws::Unsigned::new`] without `typ`.
#[must_use]
pub fn payload<'a>(linkage: &Linkage<'a>) -> impl Serialize + use<'a> {
    let did = linkage.did.as_str();
    let expires_at = linkage.expires_at.unwrap_or_else(|| years_later(linkage.issued_at, VALID_YEARS));
    Payload {
        sub: did,
        iss: did,
        nbf: linkage.issued_at.seconds(),
        exp: expires_at.seconds(),
        vc: Vc {
            context: [CREDENTIALS_CONTEXT, CONTEXT],
            issuer: did,
            issuance_date: linkage.issued_at.to_rfc3339(),
            expiration_date: expires_at.to_rfc3339(),
            types: [CREDENTIAL_TYPE, "DomainLinkageCredential"],
            subject: Subject { id: did, origin: linkage.origin },
        },
    }
}

/// The same day and time some years later; 29 February becomes the 28th where there is none. Beyond the calendar's end
/// (the year 9999) years count 365 days.
fn years_later(from: Timestamp, years: i64) -> Timestamp {
    let date = from.to_rfc3339();
    date.split_once('-')
        .and_then(|(year, rest)| {
            let year = year.parse::<i64>().ok()?.checked_add(years)?;
            let same_day = format!("{year:04}-{rest}");
            Timestamp::parse_rfc3339(&same_day)
                .or_else(|| Timestamp::parse_rfc3339(&same_day.replacen("-02-29T", "-02-28T", 1)))
        })
        .unwrap_or_else(|| from.plus_seconds(years.saturating_mul(365 * 86_400)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    /// The times are those of a live credential of Entra.
    #[test]
    fn the_whole_payload_byte_for_byte() {
        let did = Did::new("did:web:verifiedid.contoso.com");
        let linkage = Linkage {
            did: &did,
            origin: "https://verifiedid.contoso.com/",
            issued_at: at("2025-02-03T10:21:33.614Z"),
            expires_at: None,
        };
        let expected = concat!(
            r#"{"sub":"did:web:verifiedid.contoso.com","iss":"did:web:verifiedid.contoso.com","#,
            r#""nbf":1738578093,"exp":2527496493,"vc":{"@context":["https://www.w3.org/2018/credentials/v1","#,
            r#""https://identity.foundation/.well-known/contexts/did-configuration-v0.0.jsonld"],"#,
            r#""issuer":"did:web:verifiedid.contoso.com","issuanceDate":"2025-02-03T10:21:33.614Z","#,
            r#""expirationDate":"2050-02-03T10:21:33.614Z","type":["VerifiableCredential","DomainLinkageCredential"],"#,
            r#""credentialSubject":{"id":"did:web:verifiedid.contoso.com","origin":"https://verifiedid.contoso.com/"}}}"#
        );
        assert_eq!(serde_json::to_string(&payload(&linkage)).unwrap(), expected);
    }

    #[test]
    fn an_expiry_may_be_given_and_origins_pass_through() {
        let did = Did::new("did:web:a.example");
        let issued_at = at("2025-02-03T10:21:33.614Z");
        let linkage = Linkage {
            did: &did,
            origin: "https://A.example",
            issued_at,
            expires_at: Some(issued_at.plus_seconds(86_400)),
        };
        let made = serde_json::to_value(payload(&linkage)).unwrap();
        assert_eq!(made["exp"], 1_738_578_093 + 86_400);
        assert_eq!(made["vc"]["expirationDate"], "2025-02-04T10:21:33.614Z");
        assert_eq!(made["vc"]["credentialSubject"]["origin"], "https://A.example");
    }

    #[test]
    fn leap_days_and_the_end_of_the_calendar() {
        assert_eq!(years_later(at("2024-02-29T12:00:00.000Z"), 25), at("2049-02-28T12:00:00.000Z"));
        assert_eq!(years_later(at("2024-02-29T12:00:00.000Z"), 4), at("2028-02-29T12:00:00.000Z"));
        let late = at("9990-01-01T00:00:00.000Z");
        assert_eq!(years_later(late, 25), late.plus_seconds(25 * 365 * 86_400));
    }
}
