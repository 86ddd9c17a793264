//! What a vault allows, in the budget's words.
//!
//! Owns the translation of configured limits into meters and costs. It must not count anything.
//!
//! A vault adds up fractions of its limits, whatever the kind of key, so one meter has them all: HSM-protected keys are
//! the reference, software-protected ones cost in proportion. The key type of a reference that was never read is not
//! known; it counts as the dearer one.

use domain::KeyRef;

use super::KeyVaultBackend;
use super::config::{KeyVaultConfig, Protection, VaultLimits};
use crate::budget::{Budget, Cost, Limit, Meter, Operations, Scope};

/// The meters of a vault, and of its subscription where one is named.
pub(super) fn of(config: &KeyVaultConfig) -> Vec<Meter> {
    let mut meters = vec![Meter::vault(&config.authority(), &limits(config, Scope::Vault))];
    if let Some(name) = &config.subscription {
        meters.push(Meter::subscription(name, &limits(config, Scope::Subscription)));
    }
    meters
}

fn limits(config: &KeyVaultConfig, scope: Scope) -> [Limit; 2] {
    let per_cent = match scope {
        Scope::Vault => 100,
        Scope::Subscription => u64::from(config.subscription_percent),
    };
    [(Operations::Sign, config.limits.hsm), (Operations::CreateKey, config.limits.hsm_create)].map(
        |(operations, amount)| {
            let amount = u64::from(amount).saturating_mul(per_cent) / 100;
            // At least one, or nothing would ever go out.
            let amount = u32::try_from(amount.max(1)).unwrap_or(u32::MAX);
            Limit { operations, amount, window: config.limits.window, scope }
        },
    )
}

fn cost(limits: &VaultLimits, protection: Protection, operations: Operations) -> Cost {
    let (reference, amount) = match (operations, protection) {
        (Operations::Sign, Protection::Hsm) => (limits.hsm, limits.hsm),
        (Operations::Sign, Protection::Software) => (limits.hsm, limits.software),
        (Operations::CreateKey, Protection::Hsm) => (limits.hsm_create, limits.hsm_create),
        (Operations::CreateKey, Protection::Software) => (limits.hsm_create, limits.software_create),
    };
    Cost::of(operations, reference, amount)
}

impl Budget for KeyVaultBackend {
    fn meters(&self) -> &[Meter] {
        &self.meters
    }

    fn cost(&self, key: &KeyRef, operations: Operations) -> Cost {
        let protection = match operations {
            Operations::Sign => self.known(key).map_or(Protection::Hsm, |known| known.protection),
            Operations::CreateKey => self.protection,
        };
        cost(&self.limits, protection, operations)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use url::Url;

    use super::*;
    use crate::budget::UNITS;
    use crate::key_vault::VaultCredential;

    fn config() -> KeyVaultConfig {
        let url = Url::parse("https://V1.vault.azure.net:443/").unwrap();
        KeyVaultConfig::new("main", url, VaultCredential::DeveloperTools)
    }

    #[test]
    fn the_documented_limits() {
        let meters = of(&config());
        assert_eq!(meters.len(), 1);
        assert_eq!(meters[0].id.as_str(), "vault:v1.vault.azure.net");
        let sign: Vec<_> = meters[0].limits_on(Operations::Sign).collect();
        assert_eq!((sign[0].amount, sign[0].window), (2000, Duration::from_secs(10)));
        let create: Vec<_> = meters[0].limits_on(Operations::CreateKey).collect();
        assert_eq!(create[0].amount, 10);
    }

    #[test]
    fn a_subscription_has_a_meter_of_its_own() {
        let meters = of(&KeyVaultConfig { subscription: Some("Prod West".into()), ..config() });
        assert_eq!(meters[1].id.as_str(), "subscription:prod west");
        assert_eq!(meters[1].limits_on(Operations::Sign).next().unwrap().amount, 10_000);
    }

    #[test]
    fn software_keys_cost_half() {
        let limits = VaultLimits::default();
        assert_eq!(cost(&limits, Protection::Hsm, Operations::Sign).units, UNITS);
        assert_eq!(cost(&limits, Protection::Software, Operations::Sign).units, UNITS / 2);
        assert_eq!(cost(&limits, Protection::Software, Operations::CreateKey).units, UNITS / 2);
    }
}
