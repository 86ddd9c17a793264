//! Every address that we hand out, and the reading of those that come back.
//!
//! Only letters, digits and `: - . _ ~ / ? % =` may stand in a wallet-facing address, and at most one query parameter:
//! iOS wallets percent-encode anything else.

use domain::{ContractId, RequestId, TenantId};
use url::Url;

/// The public origin with the paths below it.
#[derive(Debug, Clone)]
pub struct Urls {
    base: String,
    tenant: TenantId,
}

/// What a manifest address names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestAddress {
    /// The tenant.
    pub tenant: TenantId,
    /// The contract.
    pub contract: ContractId,
    /// The request, where the address came with a request object.
    pub request: Option<RequestId>,
}

impl Urls {
    /// `public` has to be an origin: scheme, host and perhaps port.
    #[must_use]
    pub fn new(public: &Url, tenant: TenantId) -> Self {
        Self { base: public.as_str().trim_end_matches('/').to_owned(), tenant }
    }

    /// The origin without a slash at the end.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The origin as it stands in DID document and domain linkage: with a slash at the end.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}/", self.base)
    }

    /// Whether an address that came back is at our origin, as all those that we hand out.
    #[must_use]
    pub fn is_ours(&self, address: &str) -> bool {
        address
            .split_at_checked(self.base.len())
            .is_some_and(|(origin, rest)| origin.eq_ignore_ascii_case(&self.base) && rest.starts_with('/'))
    }

    /// Where a wallet fetches the request object.
    #[must_use]
    pub fn request_object(&self, request: RequestId) -> String {
        format!("{}/v1.0/tenants/{}/verifiableCredentials/issuanceRequests/{request}", self.base, self.tenant)
    }

    /// The link behind the QR code. Observed links carry the address as it is, without percent-encoding.
    #[must_use]
    pub fn link(&self, request: RequestId) -> String {
        format!("openid-vc://?request_uri={}", self.request_object(request))
    }

    /// Where a contract is fetched: front ends configure it.
    #[must_use]
    pub fn manifest(&self, contract: ContractId) -> String {
        format!(
            "{}/v1.0/tenants/{}/verifiableCredentials/contracts/{contract}/manifest",
            self.base, self.tenant
        )
    }

    /// The same for one request: wallets give the whole address back, so an answer always names its request.
    #[must_use]
    pub fn manifest_of(&self, contract: ContractId, request: RequestId) -> String {
        format!("{}?request={request}", self.manifest(contract))
    }

    /// Where wallets send their proof (`credentialIssuer`).
    #[must_use]
    pub fn issue(&self) -> String {
        format!("{}/v1.0/tenants/{}/verifiableCredentials/issue", self.base, self.tenant)
    }

    /// Where wallets report how it ended (`redirect_uri`).
    #[must_use]
    pub fn completion(&self) -> String {
        format!("{}/v1.0/verifiableCredentials/completeIssuance", self.base)
    }

    /// The `IdentityHub` that the DID document names: where status lists will be asked for.
    #[must_use]
    pub fn hub(&self) -> String {
        format!("{}/v1.0/{}", self.base, self.tenant)
    }
}

impl ManifestAddress {
    /// Reads a manifest address. Its host may be any (front ends reach us under several names); its path is fixed:
    /// `/v1.0/tenants/{tid}/verifiableCredentials/contracts/{cid}/manifest`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http"))?;
        let parts: Vec<&str> = url.path_segments()?.filter(|part| !part.is_empty()).collect();
        let [version, tenants, tenant, api, contracts, contract, manifest] = parts.as_slice() else {
            return None;
        };
        let fixed = [(version, "v1.0"), (tenants, "tenants"), (api, "verifiableCredentials")]
            .into_iter()
            .chain([(contracts, "contracts"), (manifest, "manifest")])
            .all(|(part, name)| {
                part.eq_ignore_ascii_case(name) || (name == "v1.0" && part.eq_ignore_ascii_case("beta"))
            });
        if !fixed {
            return None;
        }
        let mut requests = url.query_pairs().filter(|(name, _)| name == "request");
        let request = match requests.next() {
            Some((_, value)) => Some(value.parse().ok()?),
            None => None,
        };
        if requests.next().is_some() {
            return None;
        }
        Some(Self { tenant: tenant.parse().ok()?, contract: contract.parse().ok()?, request })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: &str = "a5f1c9d2-0000-4000-8000-00000000abcd";
    const CONTRACT: &str = "133d7e92-d227-474d-9a5b-354cbc8df49a";
    const REQUEST: &str = "e4ef27ca-eb8c-4b63-823b-3b95140eac11";

    fn urls() -> Urls {
        Urls::new(&Url::parse("https://localhost:8443/").unwrap(), TENANT.parse().unwrap())
    }

    #[test]
    fn wallet_facing_addresses_keep_to_the_characters_that_ios_leaves_alone() {
        let (contract, request) = (CONTRACT.parse().unwrap(), REQUEST.parse().unwrap());
        let urls = urls();
        for address in [
            urls.request_object(request),
            urls.manifest_of(contract, request),
            urls.issue(),
            urls.completion(),
        ] {
            let bad = address.chars().find(|c| !c.is_ascii_alphanumeric() && !":-._~/?%=".contains(*c));
            assert_eq!(bad, None, "{address}");
            assert!(address.matches('?').count() <= 1);
        }
    }

    #[test]
    fn a_manifest_address_reads_back() {
        let (contract, request) = (CONTRACT.parse().unwrap(), REQUEST.parse().unwrap());
        let tenant = TENANT.parse().unwrap();
        let read = ManifestAddress::parse(&urls().manifest_of(contract, request));
        assert_eq!(read, Some(ManifestAddress { tenant, contract, request: Some(request) }));
        let read =
            ManifestAddress::parse(&urls().manifest(contract).to_uppercase().replace("HTTPS", "https"));
        assert_eq!(read, Some(ManifestAddress { tenant, contract, request: None }));
    }

    #[test]
    fn an_address_at_another_origin_is_not_ours() {
        let good = urls().manifest(CONTRACT.parse().unwrap());
        assert!(urls().is_ours(&good) && urls().is_ours(&good.replace("localhost", "LOCALHOST")));
        for bad in [
            good.replace("localhost", "evil.example"),
            good.replace(":8443", ""),
            good.replace(":8443", ":84431"),
            good.replace("localhost:8443", "localhost:8443@evil.example"),
            good.replace("https", "http"),
            urls().base().to_owned(),
            "é".repeat(40),
            String::new(),
        ] {
            assert!(!urls().is_ours(&bad), "{bad}");
        }
    }

    #[test]
    fn front_ends_find_the_tenant_at_their_place() {
        let manifest = urls().manifest(CONTRACT.parse().unwrap());
        assert_eq!(manifest.split('/').nth(5), Some(TENANT));
    }

    #[test]
    fn other_addresses_are_no_manifests() {
        let good = urls().manifest(CONTRACT.parse().unwrap());
        for bad in [
            String::new(),
            "nonsense".to_owned(),
            good.replace("https", "ftp"),
            good.replace("manifest", "manifests"),
            good.replace(CONTRACT, "NotAGuid"),
            format!("{good}/more"),
            format!("{good}?request=nonsense"),
            format!("{good}?request={REQUEST}&request={REQUEST}"),
        ] {
            assert_eq!(ManifestAddress::parse(&bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn reading_never_panics(text in ".{0,200}") {
            let _found = ManifestAddress::parse(&text);
        }
    }
}
