//! The section `[limits]`: quotas of callers, trusted proxies, and what is stopped by configuration.
//!
//! Owns the defaults of production and the rules between members. What a quota means is said in
//! `issuer::inbound::quota`; what to set it to, in docs/limits.md.

use std::num::NonZeroU32;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use issuer::inbound::Policy;
use issuer::inbound::address::{ForwardedHeader, Network, TrustedProxies};
use issuer::inbound::quota::{Kind, Quota};
use serde::Deserialize;
use store::StopKind;

/// The section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSection {
    pub enabled: bool,
    /// Processes over which calls are spread evenly; the quotas are those of all of them together.
    pub replicas: NonZeroU32,
    pub trusted_proxies: Vec<Network>,
    pub forwarded_header: ForwardedHeader,
    pub address: QuotaSection,
    pub front_end_address: QuotaSection,
    pub token_address: QuotaSection,
    pub request: QuotaSection,
    pub client: QuotaSection,
    pub customer: QuotaSection,
    pub tenant: QuotaSection,
    pub stopped: Vec<StoppedSection>,
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self {
            enabled: true,
            replicas: NonZeroU32::MIN,
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::default(),
            address: QuotaSection::default(),
            front_end_address: QuotaSection::default(),
            token_address: QuotaSection::default(),
            request: QuotaSection::default(),
            client: QuotaSection::default(),
            customer: QuotaSection::default(),
            tenant: QuotaSection::default(),
            stopped: Vec::new(),
        }
    }
}

/// One quota; what is absent has its default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuotaSection {
    pub per_minute: Option<u32>,
    pub burst: Option<u32>,
    pub off: bool,
}

/// One stop: exactly one of client, customer and contract.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoppedSection {
    pub client: Option<String>,
    pub customer: Option<String>,
    pub contract: Option<String>,
    /// For people who read the file.
    pub reason: Option<String>,
}

/// Calls per minute and at once where the file says nothing. One vault with HSM keys carries 6,000 Entra-wire issuances
/// a minute (2,000 signatures per 10 s, two per issuance): one client may take that, the tenant twice that, because a
/// part of the codes is never scanned and several vaults are usual where the rate is needed.
const fn default_of(kind: Kind) -> (u32, u32) {
    match kind {
        // Many people stand behind one address: a campus, a mobile network. An issuance is six such calls.
        Kind::Address => (6_000, 1_200),
        Kind::FrontEndAddress => (30_000, 5_000),
        Kind::TokenAddress => (600, 100),
        Kind::Request => (120, 30),
        Kind::Client => (6_000, 1_000),
        Kind::Customer => (3_000, 500),
        Kind::Tenant => (12_000, 2_000),
    }
}

const fn is_by_address(kind: Kind) -> bool {
    matches!(kind, Kind::Address | Kind::FrontEndAddress | Kind::TokenAddress)
}

impl LimitsSection {
    /// The rules between members. `behind_proxy`: every peer is a proxy.
    pub fn check(&self, behind_proxy: bool) -> anyhow::Result<()> {
        self.policy(behind_proxy).map(drop)
    }

    /// What the section asks for. Behind a proxy that is not trusted every call has the proxy's address: then nothing is
    /// counted by address.
    pub fn policy(&self, behind_proxy: bool) -> anyhow::Result<Policy> {
        let mut quotas = Vec::new();
        for kind in Kind::ALL {
            let section = self.section(kind);
            let quota = section.quota(kind)?;
            let all_alike = behind_proxy && self.trusted_proxies.is_empty() && is_by_address(kind);
            ensure!(
                !(all_alike && section.is_given()),
                "limits.{} counts by address, but listen.behind_proxy is true and limits.trusted_proxies is empty: all calls \
                 would have the proxy's address. Name the proxy's network in limits.trusted_proxies",
                kind.name()
            );
            if let Some(quota) = quota.filter(|_| self.enabled && !all_alike) {
                quotas.push((kind, quota));
            }
        }
        let proxies =
            TrustedProxies { networks: self.trusted_proxies.clone(), header: self.forwarded_header };
        let stopped = self.stopped.iter().map(StoppedSection::named).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Policy { quotas, replicas: Some(self.replicas), proxies, stopped })
    }

    const fn section(&self, kind: Kind) -> &QuotaSection {
        match kind {
            Kind::Address => &self.address,
            Kind::FrontEndAddress => &self.front_end_address,
            Kind::TokenAddress => &self.token_address,
            Kind::Request => &self.request,
            Kind::Client => &self.client,
            Kind::Customer => &self.customer,
            Kind::Tenant => &self.tenant,
        }
    }

    /// Reads a file that holds nothing but this section, for `credenza dev --limits`.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            limits: LimitsSection,
        }
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("reading the limits {}", path.display()))?;
        let file: File =
            toml::from_str(&text).with_context(|| format!("in the limits {}", path.display()))?;
        file.limits.check(false).with_context(|| format!("in the limits {}", path.display()))?;
        Ok(file.limits)
    }
}

impl QuotaSection {
    const fn is_given(&self) -> bool {
        self.per_minute.is_some() || self.burst.is_some()
    }

    fn quota(&self, kind: Kind) -> anyhow::Result<Option<Quota>> {
        let name = kind.name();
        if self.off {
            ensure!(!self.is_given(), "limits.{name} is off and has a quota: only one of them makes sense");
            return Ok(None);
        }
        let (per_minute, burst) = match (self.per_minute, self.burst) {
            (None, None) => default_of(kind),
            // Ten seconds' worth.
            (Some(per_minute), None) => (per_minute, (per_minute / 6).max(1)),
            (per_minute, Some(burst)) => (per_minute.unwrap_or(default_of(kind).0), burst),
        };
        let positive = |member: &str, value| {
            NonZeroU32::new(value).with_context(|| {
                format!("limits.{name}.{member} is 0: nobody could call. Use off = true to have no limit, or a stop")
            })
        };
        Ok(Some(Quota { per_minute: positive("per_minute", per_minute)?, burst: positive("burst", burst)? }))
    }
}

impl StoppedSection {
    fn named(&self) -> anyhow::Result<(StopKind, String)> {
        let (kind, name) = match (&self.client, &self.customer, &self.contract) {
            (Some(name), None, None) => (StopKind::Client, name),
            (None, Some(name), None) => (StopKind::Customer, name),
            (None, None, Some(name)) => (StopKind::Contract, name),
            _ => bail!("limits.stopped: each entry needs exactly one of client, customer and contract"),
        };
        ensure!(!name.trim().is_empty(), "limits.stopped: {kind} is empty");
        Ok((kind, name.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<LimitsSection> {
        Ok(toml::from_str(text)?)
    }

    fn policy(text: &str) -> Policy {
        read(text).unwrap().policy(false).unwrap()
    }

    fn of(policy: &Policy, kind: Kind) -> Option<(u32, u32)> {
        let (_, quota) = policy.quotas.iter().find(|(known, _)| *known == kind)?;
        Some((quota.per_minute.get(), quota.burst.get()))
    }

    #[test]
    fn nothing_said_is_the_production_default() {
        let policy = policy("");
        assert_eq!(policy.quotas.len(), Kind::ALL.len());
        assert_eq!(of(&policy, Kind::Client), Some((6_000, 1_000)));
        assert!(policy.stopped.is_empty());
    }

    #[test]
    fn members_are_read() {
        let policy = policy(
            "replicas = 3\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\nforwarded_header = \"forwarded\"\n\
             client = { per_minute = 60 }\ncustomer = { burst = 7 }\ntenant = { off = true }\n\
             [[stopped]]\ncontract = \"StudentCard\"\nreason = \"recalled\"\n",
        );
        assert_eq!(of(&policy, Kind::Client), Some((60, 10)));
        assert_eq!(of(&policy, Kind::Customer), Some((3_000, 7)));
        assert_eq!(of(&policy, Kind::Tenant), None);
        assert_eq!(policy.replicas.map(NonZeroU32::get), Some(3));
        assert!(policy.proxies.trusts("10.1.2.3".parse().unwrap()));
        assert_eq!(policy.proxies.header, ForwardedHeader::Forwarded);
        assert_eq!(policy.stopped, [(StopKind::Contract, "StudentCard".to_owned())]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_reason() {
        for (text, part) in [
            ("client = { per_minute = 0 }", "limits.client.per_minute is 0"),
            ("address = { burst = 0 }", "limits.address.burst is 0"),
            ("tenant = { off = true, burst = 5 }", "limits.tenant is off"),
            ("[[stopped]]\nreason = \"x\"", "exactly one of"),
            ("[[stopped]]\nclient = \"a\"\ncustomer = \"b\"", "exactly one of"),
            ("[[stopped]]\nclient = \" \"", "client is empty"),
        ] {
            let message = read(text).unwrap().check(false).unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
        for text in [
            "per_minute = 5",
            "client = { rate = 5 }",
            "replicas = 0",
            "trusted_proxies = [\"10.0.0.1/8\"]",
            "trusted_proxies = [\"proxy.example\"]",
            "forwarded_header = \"x-real-ip\"",
            "[[stopped]]\ntenant = \"x\"",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn behind_an_unknown_proxy_addresses_say_nothing() {
        let policy = read("").unwrap().policy(true).unwrap();
        assert_eq!(of(&policy, Kind::Address), None);
        assert!(of(&policy, Kind::Client).is_some());
        let trusting = read("trusted_proxies = [\"10.0.0.0/8\"]").unwrap().policy(true).unwrap();
        assert!(of(&trusting, Kind::Address).is_some());
        let message = read("address = { per_minute = 5 }").unwrap().check(true).unwrap_err().to_string();
        assert!(message.contains("limits.trusted_proxies"), "{message}");
    }

    #[test]
    fn all_can_be_off() {
        assert_eq!(policy("enabled = false\nclient = { per_minute = 5 }").quotas, []);
    }
}
