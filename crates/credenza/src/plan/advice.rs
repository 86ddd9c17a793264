//! What of a wish cannot be met, or has a price that nobody sees at once, and what to change.

use super::facts;
use super::figures::{grouped, length};
use super::needs::{KeyType, Needs, Rollout};

/// The warnings, the hardest first.
pub fn of(rollout: &Rollout, needs: &Needs) -> Vec<String> {
    let found = [
        vaults(rollout, needs),
        replicas(needs),
        keys(rollout, needs),
        subscriptions(needs),
        expiry(rollout, needs),
        quotas(needs),
        one_replica(rollout, needs),
    ];
    found.into_iter().flatten().collect()
}

fn vaults(rollout: &Rollout, needs: &Needs) -> Option<String> {
    if needs.vaults >= needs.vaults_needed {
        return None;
    }
    let takes = length(needs.time_at_limit_millis);
    let mut text = format!(
        "{} vaults are not enough: at their limit the rollout takes {takes} instead of {}. Use {} vaults, or plan --within {takes}",
        needs.vaults, rollout.within, needs.vaults_needed
    );
    if rollout.key_type == KeyType::Hsm {
        text.push_str(", or --key-type software, whose limit is twice as high");
    }
    if rollout.signatures_per_issuance > 1 {
        text.push_str(", or OpenID4VCI wallets, which need one signature per issuance");
    }
    text.push('.');
    Some(text)
}

fn replicas(needs: &Needs) -> Option<String> {
    (needs.replicas < needs.replicas_needed).then(|| {
        format!(
            "{} replicas are not enough for {} issuances per second: use {}, or more than two cores each.",
            needs.replicas,
            grouped(needs.average_milli_rate.div_ceil(1_000)),
            needs.replicas_needed
        )
    })
}

fn keys(rollout: &Rollout, needs: &Needs) -> Option<String> {
    if needs.most_published <= facts::MOST_KEYS {
        return None;
    }
    let what = match rollout.shortest_rotation_millis(needs.vaults) {
        Some(millis) => format!("Rotate every {} or less often, or issue for a shorter time", length(millis)),
        None => "Use several authorities, with a part of the vaults each".to_owned(),
    };
    Some(format!(
        "The DID document would hold {} keys; some wallets read {} at most. {what}.",
        needs.most_published,
        facts::MOST_KEYS
    ))
}

fn subscriptions(needs: &Needs) -> Option<String> {
    (needs.subscriptions > 1).then(|| {
        format!(
            "{} vaults need {} subscriptions: beyond {} vaults in a region the subscription's own limit counts.",
            needs.vaults,
            needs.subscriptions,
            facts::SUBSCRIPTION_FACTOR
        )
    })
}

fn expiry(rollout: &Rollout, needs: &Needs) -> Option<String> {
    let lasts = u128::from(rollout.within.millis()).max(needs.time_at_limit_millis);
    (u128::from(rollout.validity.millis()) < lasts).then(|| {
        format!(
            "The first credentials end after {}, before the last ones are issued: their renewal is not counted. Choose a \
             longer validity or a shorter rollout.",
            rollout.validity
        )
    })
}

fn quotas(needs: &Needs) -> Option<String> {
    let asked = needs.requests_per_minute;
    let quota = if asked > facts::TENANT_PER_MINUTE {
        "limits.client and limits.tenant"
    } else if asked > facts::CLIENT_PER_MINUTE {
        "limits.client, or use several clients,"
    } else {
        return None;
    };
    Some(format!(
        "{} requests per minute are more than the configuration lets one caller make: raise {quota} per_minute.",
        grouped(asked)
    ))
}

fn one_replica(rollout: &Rollout, needs: &Needs) -> Option<String> {
    (needs.replicas == 1 && rollout.replicas.is_none()).then(|| {
        "One replica carries it, but an upgrade or a crash interrupts it: plan with --replicas 2 if that must not be."
            .to_owned()
    })
}
