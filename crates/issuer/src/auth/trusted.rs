//! Which issuers' tokens are accepted, and how their claims are read.
//!
//! Owns the settings of one trusted issuer. It must not fetch or verify anything.

use std::collections::HashMap;
use std::str::FromStr;

use domain::TenantId;
use serde::Deserialize;
use url::Url;

use super::DEFAULT_AUDIENCE;

/// The place in an issuer's name where a multi-tenant issuer puts the tenant.
pub(super) const TENANT_PLACEHOLDER: &str = "{tenantid}";

/// One issuer whose access tokens are accepted.
#[derive(Debug, Clone)]
pub struct TrustedIssuer {
    /// The exact `iss`. May contain `{tenantid}` once, which the token's tenant claim (a GUID) fills.
    pub issuer: String,
    /// Where the keys are.
    pub keys: KeySource,
    /// Accepted values of `aud`.
    pub audiences: Vec<String>,
    /// The claim with the tenant. Dots descend into objects when no claim has the whole name.
    pub tenant_claim: String,
    /// The claim with the roles, an array of strings. Dots descend as above (`realm_access.roles`).
    pub roles_claim: String,
    /// Accepted signature algorithms. The token's header only chooses among them.
    pub algorithms: Vec<TokenAlgorithm>,
    /// From the issuer's tenants to ours.
    pub tenants: TenantMapping,
    /// From the issuer's role names to ours; a role without an entry keeps its name.
    pub role_names: HashMap<String, String>,
}

impl TrustedIssuer {
    /// An issuer with Entra's claims and the default audience and algorithms.
    #[must_use]
    pub fn new(issuer: impl Into<String>, keys: KeySource) -> Self {
        Self {
            issuer: issuer.into(),
            keys,
            audiences: vec![DEFAULT_AUDIENCE.to_owned()],
            tenant_claim: "tid".to_owned(),
            roles_claim: "roles".to_owned(),
            algorithms: vec![TokenAlgorithm::Rs256, TokenAlgorithm::Es256],
            tenants: TenantMapping::Same,
            role_names: HashMap::new(),
        }
    }

    /// Whether a token with this `iss` and tenant claim comes from here.
    pub(super) fn issues(&self, iss: &str, tenant_claim: Option<&str>) -> bool {
        if !self.issuer.contains(TENANT_PLACEHOLDER) {
            return self.issuer == iss;
        }
        // Only a GUID may fill the template: anything else could contain a path.
        tenant_claim
            .filter(|text| text.parse::<TenantId>().is_ok())
            .is_some_and(|tenant| self.issuer.replace(TENANT_PLACEHOLDER, tenant) == iss)
    }
}

/// Where an issuer's keys are found. Both addresses are called through `egress`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// The address of the OpenID Connect discovery document; its `issuer` has to be the configured one.
    Discovery(Url),
    /// The address of the JWK set.
    Jwks(Url),
}

/// From the tenants that an issuer names to the tenants that we store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantMapping {
    /// The tenant claim is our tenant id.
    Same,
    /// Only these. GUIDs compare in any letter case, other names exactly.
    Map(HashMap<String, TenantId>),
    /// Every token of this issuer is for one tenant; no tenant claim is needed.
    Fixed(TenantId),
}

impl TenantMapping {
    pub(super) fn find(&self, claim: &str) -> Option<TenantId> {
        match self {
            Self::Fixed(tenant) => Some(*tenant),
            Self::Same => claim.parse().ok(),
            Self::Map(map) => map.get(claim).copied().or_else(|| {
                let wanted: TenantId = claim.parse().ok()?;
                map.iter().find(|(name, _)| name.parse() == Ok(wanted)).map(|(_, tenant)| *tenant)
            }),
        }
    }
}

/// Signature algorithms for access tokens (RFC 7518, section 3.1; RFC 8037). Public keys only: a shared secret or `none`
/// cannot even be configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum TokenAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// EdDSA on Ed25519.
    EdDsa,
}

/// The text names no algorithm for access tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an algorithm for access tokens is one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA"
)]
pub struct UnknownAlgorithm;

impl TokenAlgorithm {
    const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// The name in a JWS header's `alg`.
    #[must_use]
    pub const fn jose_name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl FromStr for TokenAlgorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.jose_name() == text).ok_or(UnknownAlgorithm)
    }
}

impl TryFrom<String> for TokenAlgorithm {
    type Error = UnknownAlgorithm;

    fn try_from(text: String) -> Result<Self, UnknownAlgorithm> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TID: &str = "a5f1c9d2-0000-4000-8000-00000000abcd";

    fn issuer(name: &str) -> TrustedIssuer {
        TrustedIssuer::new(name, KeySource::Jwks("https://login.example/keys".parse().unwrap()))
    }

    #[test]
    fn a_plain_issuer_is_compared_exactly() {
        let trusted = issuer("https://login.example/");
        assert!(trusted.issues("https://login.example/", None));
        for other in ["https://login.example", "https://LOGIN.example/", "https://login.example/x", ""] {
            assert!(!trusted.issues(other, Some(TID)), "{other}");
        }
    }

    #[test]
    fn a_template_takes_the_tokens_own_tenant_and_only_guids() {
        let trusted = issuer("https://login.example/{tenantid}/v2.0");
        assert!(trusted.issues(&format!("https://login.example/{TID}/v2.0"), Some(TID)));
        let other = "b5f1c9d2-0000-4000-8000-00000000abcd";
        assert!(!trusted.issues(&format!("https://login.example/{other}/v2.0"), Some(TID)));
        assert!(!trusted.issues(&format!("https://login.example/{TID}/v2.0"), None));
        assert!(!trusted.issues("https://login.example/a/b/v2.0", Some("a/b")));
        assert!(!trusted.issues("https://login.example/{tenantid}/v2.0", Some("{tenantid}")));
    }

    #[test]
    fn tenants_are_mapped() {
        let ours: TenantId = TID.parse().unwrap();
        assert_eq!(TenantMapping::Same.find(&TID.to_uppercase()), Some(ours));
        assert_eq!(TenantMapping::Same.find("realm"), None);
        assert_eq!(TenantMapping::Fixed(ours).find("anything"), Some(ours));
        let guid = "b5f1c9d2-0000-4000-8000-00000000abcd";
        let map = TenantMapping::Map(HashMap::from([("realm".to_owned(), ours), (guid.to_owned(), ours)]));
        assert_eq!(map.find("realm"), Some(ours));
        assert_eq!(map.find("Realm"), None);
        assert_eq!(map.find(&guid.to_uppercase()), Some(ours));
        assert_eq!(map.find(TID), None);
    }

    #[test]
    fn only_public_key_algorithms_have_names() {
        for algorithm in TokenAlgorithm::ALL {
            assert_eq!(algorithm.jose_name().parse(), Ok(algorithm));
        }
        for text in ["none", "None", "HS256", "rs256", "", "ES256K"] {
            assert_eq!(text.parse::<TokenAlgorithm>(), Err(UnknownAlgorithm), "{text}");
        }
    }
}
