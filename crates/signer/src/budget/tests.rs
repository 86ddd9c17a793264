//! Meters, costs and back ends, as they are declared.

use std::time::Duration;

use super::*;

struct One([Meter; 1]);

impl Budget for One {
    fn meters(&self) -> &[Meter] {
        &self.0
    }

    fn cost(&self, _key: &KeyRef, operations: Operations) -> Cost {
        Cost::one(operations)
    }
}

fn limit(amount: u32, scope: Scope) -> Limit {
    Limit { operations: Operations::Sign, amount, window: Duration::from_secs(10), scope }
}

#[test]
fn a_back_end_is_limited_by_having_a_meter() {
    assert!(One([Meter::vault("v1.vault.azure.net", &[])]).is_limited());
    assert!(!Unlimited.is_limited());
    let key = KeyRef { backend: "software".to_owned(), name: "k".to_owned(), version: "1".to_owned() };
    assert_eq!(Unlimited.cost(&key, Operations::Sign), Cost::one(Operations::Sign));
}

#[test]
fn one_vault_has_one_row_however_it_is_spelled() {
    let row = "vault:v1.vault.azure.net";
    for spelling in [
        "v1.vault.azure.net",
        "V1.Vault.AZURE.net",
        "v1.vault.azure.net.",
        "v1.vault.azure.net:443",
        "v1.vault.azure.net.:0443",
        " v1.vault.azure.net ",
        "v1.vault.azure.net:",
    ] {
        assert_eq!(MeterId::vault(spelling).as_str(), row, "{spelling}");
    }
    assert_eq!(MeterId::vault("LOCALHOST:8443").to_string(), "vault:localhost:8443");
    assert_eq!(MeterId::vault("[::1]:443").as_str(), "vault:[::1]");
    assert_eq!(MeterId::vault("[::1]").as_str(), "vault:[::1]");
    assert_eq!(MeterId::subscription("Production").as_str(), "subscription:production");
    assert_ne!(MeterId::vault("v2.vault.azure.net"), MeterId::vault("v1.vault.azure.net"));
}

#[test]
fn a_meter_takes_the_limits_of_its_scope() {
    let limits = [limit(2000, Scope::Vault), limit(10_000, Scope::Subscription)];
    assert_eq!(Meter::vault("v1", &limits).limits, [limits[0]]);
    assert_eq!(Meter::subscription("s", &limits).limits, [limits[1]]);
}

#[test]
fn the_documented_key_types_cost_exact_shares() {
    // Azure Key Vault service limits, operations per 10 s: EC in an HSM is the reference.
    for (amount, operations) in [(2000, 1.0), (4000, 0.5), (1000, 2.0), (500, 4.0), (250, 8.0)] {
        let units = Cost::of(Operations::Sign, 2000, amount).units;
        assert_eq!(f64::from(u32::try_from(units).unwrap()), 2520.0 * operations, "{amount}");
    }
}

#[test]
fn an_inexact_share_is_rounded_against_us() {
    let units = Cost::of(Operations::Sign, 2000, 2100).units;
    assert!(units * 2100 >= UNITS * 2000 && (units - 1) * 2100 < UNITS * 2000);
    assert_eq!(Cost::of(Operations::Sign, 1, u32::MAX).units, 1);
    assert_eq!(Cost::of(Operations::Sign, 2000, 0).units, u64::MAX);
}

#[test]
fn the_pause_after_lost_commits_covers_everything_that_was_granted() {
    let meter = Meter::vault("v1", &[limit(2000, Scope::Vault)]);
    assert_eq!(meter.lost_commit_pause(), Duration::from_millis(3000 + 10_000 + 2000 + 500));
}
